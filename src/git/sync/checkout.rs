//! The rule for what is checked out: `HEAD`, the branch it names, and the index. They belong together:
//! they are changed all at once or not at all, and only where the user has left them alone, so that
//! `git status` on the host says afterwards what it says inside. What the user has staged is never
//! touched.
#![forbid(unsafe_code)]

use super::rules::{Action, Why};
use crate::git::oid::Oid;
use crate::git::record::Head;

/// What is checked out somewhere.
#[derive(Clone, Copy, Debug)]
pub struct Stand<'a> {
    /// What `HEAD` says.
    pub head: &'a Head,
    /// The commit it leads to; `None` on a branch that has none yet.
    pub commit: Option<&'a Oid>,
    /// The index, see [`crate::git::record::Base::index`]; `None` where it is not known.
    pub index: Option<&'a str>,
    /// The index holds what the commit holds: nothing is staged.
    pub clean: bool,
}

/// All that there is to know for it.
#[derive(Clone, Copy, Debug)]
pub struct Three<'a> {
    /// When both last agreed: what `HEAD` said, and the index.
    pub base: (&'a Head, Option<&'a str>),
    /// Inside, now.
    pub agent: Stand<'a>,
    /// On the host, now.
    pub host: Stand<'a>,
    /// What becomes of the branch that is checked out on the host.
    pub current: &'a Action,
    /// What becomes of the branch that is checked out inside.
    pub target: &'a Action,
    /// Why what is staged inside cannot come.
    pub index_held: Option<&'a Why>,
    /// What is under way inside or on the host, as a reason.
    pub unfinished: Option<&'a Why>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkout {
    /// Nothing is to be done; the branch that is checked out does not move.
    Nothing,
    /// The branch moves as its own rule says, and with it the rest.
    Apply {
        /// What `HEAD` is to say, where that is new.
        head: Option<Head>,
        /// The index becomes the agent's.
        index: bool,
    },
    /// All of it stays as it is, the branch included.
    Held(Why),
}

/// Decides.
pub fn checkout(three: &Three<'_>) -> Checkout {
    let Three { base: (base_head, base_index), agent, host, current, target, .. } = *three;
    let switches = agent.head != base_head && agent.head != host.head;
    let moves = current.changes();
    let staged = agent.index != base_index || three.index_held.is_some();
    if !switches && !moves {
        // Where nothing is staged inside, the index is that of a commit: of one that is not checked
        // out here, or that the host is ahead of.
        let of_another = agent.clean && agent.commit != host.commit;
        if !staged || of_another || (agent.index.is_some() && agent.index == host.index) {
            return Checkout::Nothing;
        }
    }
    match blocker(three, switches) {
        Some(why) => Checkout::Held(why),
        None => apply(&agent, &host, base_index, target, switches),
    }
}

fn blocker(three: &Three<'_>, switches: bool) -> Option<Why> {
    let Three { base: (base_head, _), agent, host, current, target, index_held, unfinished } =
        *three;
    if let Some(why) = unfinished {
        return Some(why.clone());
    }
    // Of two that moved one branch the reason is the branch's.
    if let Some(why) = current.why() {
        return Some(why.clone());
    }
    if host.head != base_head && (switches || host.head != agent.head) {
        return Some(Why::Switched);
    }
    if matches!(current, Action::Delete { .. }) && !switches {
        return Some(Why::CheckedOut);
    }
    if let Some(why) = index_held {
        return Some(why.clone());
    }
    if agent.index.is_none() {
        return Some(Why::Unmerged);
    }
    match target.why() {
        // It is checked out without its branch.
        Some(Why::Name { .. }) if switches && agent.commit.is_some() => None,
        why => why.cloned(),
    }
}

fn apply(
    agent: &Stand<'_>,
    host: &Stand<'_>,
    base_index: Option<&str>,
    target: &Action,
    switches: bool,
) -> Checkout {
    let index = host.index != agent.index;
    let untouched = base_index.is_some() && host.index == base_index;
    if index && !untouched && !host.clean {
        return Checkout::Held(Why::Staged);
    }
    let head = switches.then(|| match (target.why(), agent.commit) {
        (Some(_), Some(commit)) => Head::Detached(commit.clone()),
        _ => agent.head.clone(),
    });
    Checkout::Apply { head, index }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oid(number: u8) -> Oid {
        Oid::parse(number.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn on(name: &str) -> Head {
        Head::Branch(format!("refs/heads/{name}").as_str().into())
    }

    /// A place: `HEAD`, its commit, the index, whether nothing is staged.
    type Place = (Head, u8, Option<&'static str>, bool);

    fn decide(
        base: &(Head, Option<&str>),
        agent: &Place,
        host: &Place,
        current: &Action,
        target: &Action,
    ) -> Checkout {
        let (agent_commit, host_commit) = (oid(agent.1), oid(host.1));
        checkout(&Three {
            base: (&base.0, base.1),
            agent: Stand {
                head: &agent.0,
                commit: Some(&agent_commit),
                index: agent.2,
                clean: agent.3,
            },
            host: Stand { head: &host.0, commit: Some(&host_commit), index: host.2, clean: host.3 },
            current,
            target,
            index_held: None,
            unfinished: None,
        })
    }

    fn forward() -> Action {
        Action::Forward { from: oid(1), to: oid(2) }
    }

    #[test]
    fn the_host_follows_where_the_user_left_it_alone() {
        let base = || (on("main"), Some("a"));
        let host = || (on("main"), 1, Some("a"), true);
        let (move_, stay) = (forward(), Action::Nothing);
        let applied = |head, index| Checkout::Apply { head, index };
        let main = |index, clean| (on("main"), 2, Some(index), clean);
        assert_eq!(decide(&base(), &main("b", true), &host(), &move_, &move_), applied(None, true));
        // What was staged before is committed.
        assert_eq!(
            decide(&base(), &main("a", true), &host(), &move_, &move_),
            applied(None, false)
        );
        let staged = (on("main"), 1, Some("b"), false);
        assert_eq!(decide(&base(), &staged, &host(), &stay, &stay), applied(None, true));
        let other = || (on("other"), 2, Some("b"), true);
        let create = Action::Create { to: oid(2) };
        let head = Some(on("other"));
        assert_eq!(decide(&base(), &other(), &host(), &stay, &create), applied(head.clone(), true));
        // A branch that was renamed: the old one goes when it is not checked out any more.
        let delete = Action::Delete { from: oid(1) };
        assert_eq!(decide(&base(), &other(), &host(), &delete, &create), applied(head, true));
        let bad = Action::Held { why: Why::Name { because: String::new() } };
        let detached = Some(Head::Detached(oid(2)));
        assert_eq!(decide(&base(), &other(), &host(), &stay, &bad), applied(detached, true));
        let same = (on("main"), 1, Some("a"), true);
        assert_eq!(decide(&base(), &same, &host(), &stay, &stay), Checkout::Nothing);
    }

    #[test]
    fn what_the_user_did_meanwhile_is_left_alone() {
        let base = || (on("main"), Some("a"));
        let committed = || (on("main"), 2, Some("b"), true);
        let held = Checkout::Held;
        let (move_, stay) = (forward(), Action::Nothing);
        let both = Action::Held { why: Why::BothMoved };
        let host = (on("main"), 1, Some("c"), false);
        assert_eq!(decide(&base(), &committed(), &host, &move_, &move_), held(Why::Staged));
        let host = || (on("main"), 3, Some("c"), true);
        let staged = || (on("main"), 2, Some("b"), false);
        assert_eq!(decide(&base(), &staged(), &host(), &both, &both), held(Why::BothMoved));
        // That the branch is held is said of the branch.
        assert_eq!(decide(&base(), &committed(), &host(), &both, &both), Checkout::Nothing);
        let host = || (on("mine"), 1, Some("a"), true);
        assert_eq!(decide(&base(), &staged(), &host(), &stay, &move_), held(Why::Switched));
        // Nothing is staged inside: the commit is on its branch, which is not checked out here.
        assert_eq!(decide(&base(), &committed(), &host(), &stay, &move_), Checkout::Nothing);
        // The user has merged it, and has nothing staged.
        let host = (on("main"), 4, Some("d"), true);
        assert_eq!(decide(&base(), &committed(), &host, &stay, &stay), Checkout::Nothing);
    }

    #[test]
    fn the_commit_that_was_taken_before_may_be_gone_on_from() {
        let base = (on("main"), Some("a"));
        let (move_, host) = (forward(), (on("main"), 1, Some("b"), true));
        let applied = Checkout::Apply { head: None, index: true };
        assert_eq!(
            decide(&base, &(on("main"), 2, Some("c"), true), &host, &move_, &move_),
            applied
        );
    }

    fn place() -> impl Strategy<Value = Place> {
        let index = prop_oneof![Just(None), Just(Some("a")), Just(Some("b")), Just(Some("c"))];
        let head = prop_oneof![
            Just(on("main")),
            Just(on("other")),
            (1_u8..4).prop_map(|it| Head::Detached(oid(it)))
        ];
        (head, 1_u8..4, index, any::<bool>())
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            Just(Action::Nothing),
            Just(forward()),
            Just(Action::Rewrite { from: oid(1), to: oid(3) }),
            Just(Action::Delete { from: oid(1) }),
            Just(Action::Held { why: Why::BothMoved }),
            Just(Action::Held { why: Why::Name { because: String::new() } }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_staged_on_the_host_is_never_overwritten(
            base in place(), agent in place(), host in place(), current in action(), target in action(),
        ) {
            let decision =
                decide(&(base.0.clone(), base.2), &agent, &host, &current, &target);
            if let Checkout::Apply { head, index } = decision {
                let untouched = base.2.is_some() && host.2 == base.2;
                prop_assert!(!index || untouched || host.3 || host.2 == agent.2);
                prop_assert!(head.is_none() || host.0 == base.0, "the user's HEAD stays");
                prop_assert!(current.why().is_none());
                prop_assert!(agent.2.is_some());
            }
        }
    }
}
