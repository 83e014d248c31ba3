//! The rule table: from how a ref stood when host and private directory last agreed (base), how it
//! stands inside (agent) and on the host, to what is done on the host. Where only the agent moved, the
//! host follows; where only the user moved, nothing happens; where both did, nothing happens and it is
//! said. No rule may make a commit of the host unreachable without a backup, and no tag is ever moved.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::git::names::Refused;
use crate::git::oid::Oid;

/// A ref, three ways; `None` where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Three<'a> {
    /// When both last agreed.
    pub base: Option<&'a Oid>,
    /// Inside, now.
    pub agent: Option<&'a Oid>,
    /// On the host, now.
    pub host: Option<&'a Oid>,
}

/// What is done to a ref of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Nothing: the agent did nothing to it, or the host has it already.
    Nothing,
    /// It is made.
    Create {
        /// What it is.
        to: Oid,
    },
    /// It moves to a commit that contains the one it had.
    Forward {
        /// What it has.
        from: Oid,
        /// What it gets.
        to: Oid,
    },
    /// It moves to a commit that does not; what it had gets a backup.
    Rewrite {
        /// What it has.
        from: Oid,
        /// What it gets.
        to: Oid,
    },
    /// It is deleted; what it had gets a backup.
    Delete {
        /// What it has.
        from: Oid,
    },
    /// It stays as it is, and that is said.
    Held {
        /// Why.
        why: Why,
    },
}

/// Why something of the agent's is not on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Why {
    /// The user and the agent both moved it, in different directions.
    BothMoved,
    /// The agent deleted it, and the user moved it.
    DeletedInside,
    /// The user deleted it, and the agent moved it.
    DeletedOutside,
    /// The agent deleted it, and it is checked out.
    CheckedOut,
    /// Another worktree has it checked out.
    Elsewhere,
    /// It is a symbolic ref.
    Symbolic,
    /// Its name is not taken.
    Name {
        /// Why not.
        because: String,
    },
    /// Its name stands in the way of another's.
    InTheWay,
    /// A tag that was there was moved or deleted.
    Tag,
    /// The objects were refused: too large, not well formed, missing.
    Objects {
        /// What git said, ready for a terminal.
        words: String,
    },
    /// There are more new refs than come at once.
    TooMany,
    /// A commit brings a new submodule, and a repository stands where it belongs: git on the host
    /// would run what that names. While the session runs, one can come at any time.
    Gitlink {
        /// Where, relative to the work tree; ready for a terminal.
        path: String,
        /// The session runs.
        running: bool,
    },
    /// The user checked out something else meanwhile.
    Switched,
    /// The user staged something meanwhile.
    Staged,
    /// Something is under way inside.
    UnfinishedInside {
        /// `a merge`, ...
        what: String,
    },
    /// Something is under way on the host.
    UnfinishedOutside {
        /// `a merge`, ...
        what: String,
    },
    /// The agent's index cannot be read, or has conflicts in it.
    Unmerged,
    /// `index.lock` is there: another git is at work, or one was killed.
    Locked,
    /// Files of git-lfs did not come.
    Lfs {
        /// Why not.
        words: String,
    },
    /// The user did something just now, or git said no.
    Git {
        /// In git's words, ready for a terminal.
        words: String,
    },
}

impl From<Refused> for Why {
    fn from(refused: Refused) -> Self {
        Self::Name { because: refused.words().to_owned() }
    }
}

impl Action {
    fn held(why: Why) -> Self {
        Self::Held { why }
    }

    /// Why nothing is done although there is something to do.
    pub fn why(&self) -> Option<&Why> {
        match self {
            Self::Held { why } => Some(why),
            _ => None,
        }
    }

    /// What the host has before, for `git update-ref`; `None`: nothing.
    pub fn from(&self) -> Option<&Oid> {
        match self {
            Self::Forward { from, .. } | Self::Rewrite { from, .. } | Self::Delete { from } => {
                Some(from)
            }
            Self::Create { .. } | Self::Nothing | Self::Held { .. } => None,
        }
    }

    /// What the host gets.
    pub fn to(&self) -> Option<&Oid> {
        match self {
            Self::Create { to } | Self::Forward { to, .. } | Self::Rewrite { to, .. } => Some(to),
            Self::Delete { .. } | Self::Nothing | Self::Held { .. } => None,
        }
    }

    /// What would be lost, and gets a backup.
    pub fn backup(&self) -> Option<&Oid> {
        match self {
            Self::Rewrite { from, .. } | Self::Delete { from } => Some(from),
            _ => None,
        }
    }

    /// Whether the ref changes.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Held { .. })
    }
}

/// Whether the second commit contains the first.
pub type Contains<'a> = dyn Fn(&Oid, &Oid) -> bool + 'a;

/// What happens to a branch.
pub fn branch(three: Three<'_>, contained: &Contains<'_>) -> Action {
    let Three { base, agent, host } = three;
    if agent == base || agent == host {
        return Action::Nothing;
    }
    match (base == host, agent, host) {
        (_, Some(to), Some(from)) if contained(from, to) => {
            Action::Forward { from: from.clone(), to: to.clone() }
        }
        (true, Some(to), None) => Action::Create { to: to.clone() },
        (true, Some(to), Some(from)) => Action::Rewrite { from: from.clone(), to: to.clone() },
        (true, None, Some(from)) => Action::Delete { from: from.clone() },
        // The user has merged it.
        (false, Some(to), Some(from)) if contained(to, from) => Action::Nothing,
        (false, Some(_), Some(_)) => Action::held(Why::BothMoved),
        (false, None, Some(_)) => Action::held(Why::DeletedInside),
        (false, Some(_), None) => Action::held(Why::DeletedOutside),
        // Both are none, which is equal.
        (_, None, None) => Action::Nothing,
    }
}

/// What happens to a tag.
pub fn tag(three: Three<'_>) -> Action {
    let Three { base, agent, host } = three;
    match (agent, host) {
        _ if agent == base || agent == host => Action::Nothing,
        (Some(to), None) if base.is_none() => Action::Create { to: to.clone() },
        (_, None) => Action::held(Why::DeletedOutside),
        _ => Action::held(Why::Tag),
    }
}

/// What happens to notes: they only grow.
pub fn notes(three: Three<'_>, contained: &Contains<'_>) -> Action {
    match branch(three, contained) {
        Action::Rewrite { .. } => Action::held(Why::BothMoved),
        Action::Delete { .. } => Action::held(Why::DeletedInside),
        other => other,
    }
}

/// Which stashes of the agent's the host gets, the oldest first. What the agent dropped stays.
pub fn stashes<'a>(base: &[Oid], agent: &'a [Oid], host: &[Oid]) -> Vec<&'a Oid> {
    let new = |oid: &&Oid| !base.contains(oid) && !host.contains(oid);
    agent.iter().filter(new).rev().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Commits 1 to 9, each containing its divisors: 2 is in 4, 6 and 8, 3 in 6 and 9.
    fn oid(number: u8) -> Oid {
        Oid::parse(number.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn contained(old: &Oid, new: &Oid) -> bool {
        let number = |oid: &Oid| oid.as_str().as_bytes()[0] - b'0';
        number(new) % number(old) == 0
    }

    fn rule(base: u8, agent: u8, host: u8) -> Action {
        let [base, agent, host] = [base, agent, host].map(|it| (it > 0).then(|| oid(it)));
        let three = Three { base: base.as_ref(), agent: agent.as_ref(), host: host.as_ref() };
        branch(three, &contained)
    }

    #[test]
    fn the_table_of_branches() {
        let (one, two, three) = (oid(1), oid(2), oid(3));
        assert_eq!(rule(1, 1, 2), Action::Nothing, "only the user moved it");
        assert_eq!(rule(1, 2, 2), Action::Nothing, "both are there");
        assert_eq!(rule(0, 2, 0), Action::Create { to: two.clone() });
        assert_eq!(rule(1, 2, 1), Action::Forward { from: one.clone(), to: two.clone() });
        assert_eq!(rule(2, 3, 2), Action::Rewrite { from: two.clone(), to: three });
        assert_eq!(rule(2, 1, 2), Action::Rewrite { from: two, to: one.clone() }, "a reset");
        assert_eq!(rule(1, 0, 1), Action::Delete { from: one });
        assert_eq!(rule(1, 2, 3), Action::held(Why::BothMoved));
        assert_eq!(rule(0, 2, 3), Action::held(Why::BothMoved), "both made one");
        assert_eq!(rule(1, 0, 2), Action::held(Why::DeletedInside));
        assert_eq!(rule(1, 2, 0), Action::held(Why::DeletedOutside));
        assert_eq!(rule(1, 4, 2), Action::Forward { from: oid(2), to: oid(4) }, "merged before");
        assert_eq!(rule(1, 2, 4), Action::Nothing, "the user has merged it");
        assert_eq!(rule(1, 0, 0), Action::Nothing, "both deleted it");
    }

    #[test]
    fn the_table_of_tags_and_notes() {
        let rule = |base: u8, agent: u8, host: u8| {
            let [base, agent, host] = [base, agent, host].map(|it| (it > 0).then(|| oid(it)));
            let three = Three { base: base.as_ref(), agent: agent.as_ref(), host: host.as_ref() };
            (tag(three), notes(three, &contained))
        };
        let (one, two) = (oid(1), oid(2));
        let create = Action::Create { to: two.clone() };
        assert_eq!(rule(0, 2, 0), (create.clone(), create));
        let forward = Action::Forward { from: one, to: two };
        assert_eq!(rule(1, 2, 1), (Action::held(Why::Tag), forward));
        assert_eq!(rule(2, 3, 2), (Action::held(Why::Tag), Action::held(Why::BothMoved)));
        assert_eq!(rule(1, 0, 1), (Action::held(Why::Tag), Action::held(Why::DeletedInside)));
        let gone = Action::held(Why::DeletedOutside);
        assert_eq!(rule(1, 2, 0), (gone.clone(), gone));
        assert_eq!(rule(1, 1, 0), (Action::Nothing, Action::Nothing));
        assert_eq!(rule(0, 2, 3).0, Action::held(Why::Tag));
    }

    #[test]
    fn new_stashes_come_in_the_order_they_were_made() {
        let list = |numbers: &[u8]| numbers.iter().copied().map(oid).collect::<Vec<_>>();
        let (base, agent, host) = (list(&[2, 1]), list(&[5, 4, 1, 3]), list(&[4, 2, 1]));
        assert_eq!(stashes(&base, &agent, &host), [&oid(3), &oid(5)]);
    }

    fn some() -> impl Strategy<Value = Option<Oid>> {
        proptest::option::of((1_u8..=9).prop_map(oid))
    }

    proptest! {
        #[test]
        fn no_commit_of_the_host_is_lost(base in some(), agent in some(), host in some()) {
            let three = Three { base: base.as_ref(), agent: agent.as_ref(), host: host.as_ref() };
            for (action, is_tag) in [
                (branch(three, &contained), false), (tag(three), true), (notes(three, &contained), false),
            ] {
                if !action.changes() {
                    continue;
                }
                // What is done starts from what the host has, and ends at what the agent has.
                prop_assert_eq!(action.from(), host.as_ref());
                prop_assert_eq!(action.to(), agent.as_ref());
                prop_assert_ne!(&agent, &base, "the agent did something");
                let kept = |host: &Oid| {
                    action.to().is_some_and(|to| contained(host, to)) || action.backup() == Some(host)
                };
                prop_assert!(host.as_ref().is_none_or(kept), "{:?}", action);
                // Only what the user left alone is rewritten or deleted.
                prop_assert!(action.backup().is_none() || host == base);
                let made = matches!(action, Action::Create { .. });
                prop_assert!(!is_tag || made);
            }
        }

        #[test]
        fn what_was_done_is_not_done_again(base in some(), agent in some(), host in some()) {
            let three = Three { base: base.as_ref(), agent: agent.as_ref(), host: host.as_ref() };
            let action = branch(three, &contained);
            let host = if action.changes() { action.to().cloned() } else { host.clone() };
            // After a kill the base is still the old one; after none it is the agent's.
            let bases = if action.why().is_some() { vec![base] } else { vec![base, agent.clone()] };
            for base in bases {
                let three = Three { base: base.as_ref(), agent: agent.as_ref(), host: host.as_ref() };
                let again = branch(three, &contained);
                prop_assert!(!again.changes(), "{:?} then {:?}", action, again);
                prop_assert_eq!(again.why(), action.why());
            }
        }
    }
}
