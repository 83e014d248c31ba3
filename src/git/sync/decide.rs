//! From how base, agent and host stand to what is done: every ref by its rule, and what is checked out
//! by its own. It must never look at a disk: what it needs to know it is told.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use super::checkout::{self, Checkout, Stand, checkout};
use super::inside::Inside;
use super::journal::Move;
use super::own::{backup, kept_as};
use super::report::{HEAD, Item};
use super::rules::{self, Action, Contains, Three, Why};
use crate::bytes::Bytes;
use crate::git::names::{self, HEADS, NOTES, STASH, TAGS, Taken};
use crate::git::oid::Oid;
use crate::git::outside::Outside;
use crate::git::record::{Base, Head};

/// All that there is to know.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// When both last agreed.
    pub base: &'a Base,
    /// Inside, now.
    pub inside: &'a Inside,
    /// On the host, now.
    pub outside: &'a Outside,
    /// The commit that the host's `HEAD` leads to.
    pub commit: Option<&'a Oid>,
    /// Nothing is staged on the host.
    pub clean: bool,
    /// What did not come, and why.
    pub refused: &'a BTreeMap<Oid, Why>,
    /// Refs that are too many to come at once.
    pub left_out: &'a BTreeSet<Bytes>,
    /// Whether one commit contains another.
    pub contained: &'a Contains<'a>,
    /// The session.
    pub session: &'a str,
}

/// What is done.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// The branch that is checked out moves.
    pub current: Option<Move>,
    /// `HEAD` changes.
    pub head: Option<(Head, Head)>,
    /// The index becomes that of this commit.
    pub index: Option<Oid>,
    /// Other refs are made or moved.
    pub moves: Vec<Move>,
    /// Refs are deleted.
    pub deletes: Vec<Move>,
    /// Stashes are added, the oldest first.
    pub stashes: Vec<(Oid, Bytes)>,
    /// All of it, and what is held, for a person.
    pub items: Vec<Item>,
    /// How both stand when it is done.
    pub after: Base,
}

impl Decided {
    /// Whether the host's repository changes.
    pub fn changes(&self) -> bool {
        self.locks()
            || !self.moves.is_empty()
            || !self.deletes.is_empty()
            || !self.stashes.is_empty()
    }

    /// Whether it changes in what the index's lock is for.
    pub fn locks(&self) -> bool {
        self.current.is_some() || self.head.is_some() || self.index.is_some()
    }
}

/// Decides.
pub fn decide(question: &Question<'_>) -> Decided {
    let actions = actions(question);
    let Question { base, inside, outside, .. } = *question;
    let nothing = Action::Nothing;
    let current_name = match &outside.now.head {
        Head::Branch(name) => Some(name),
        Head::Detached(_) => None,
    };
    let current = current_name.and_then(|name| actions.get(name)).unwrap_or(&nothing);
    let target = target(question, &actions);
    let refused = |oid: &Option<Oid>| question.refused.get(oid.as_ref()?);
    let unfinished = unfinished(inside, outside);
    let settled = checkout(&checkout::Three {
        base: (&base.head, base.index.as_deref()),
        agent: Stand {
            head: &inside.now.head,
            commit: inside.commit.as_ref(),
            index: inside.now.index.as_deref(),
            clean: inside.clean,
        },
        host: Stand {
            head: &outside.now.head,
            commit: question.commit,
            index: outside.now.index.as_deref(),
            clean: question.clean,
        },
        current,
        target: &target,
        index_held: refused(&inside.staged).or_else(|| refused(&inside.commit)),
        unfinished: unfinished.as_ref(),
    });
    let mut decided = Decided { after: base.clone(), ..Decided::default() };
    decided.check_out(question, settled, current_name, current);
    for (name, action) in &actions {
        decided.move_ref(question, name, action, current_name);
    }
    decided.add_stashes(question);
    decided
}

/// What happens to each ref that somebody may have touched, by its name.
fn actions(question: &Question<'_>) -> BTreeMap<Bytes, Action> {
    let Question { base, inside, outside, .. } = *question;
    let sides = [&base.refs, &inside.now.refs, &outside.now.refs];
    let names: BTreeSet<&Bytes> = sides.into_iter().flat_map(BTreeMap::keys).collect();
    let mut taken =
        Taken::new(outside.now.refs.keys().chain(&outside.symbolic).chain(outside.own.keys()));
    let mut actions = BTreeMap::new();
    // Branches before tags, which must not stand in their way.
    for prefix in [HEADS, TAGS, NOTES] {
        for name in names.iter().filter(|name| names::behind(name, prefix).is_some()) {
            let action = action(question, name, prefix, &taken);
            if action.changes() {
                taken.insert(name);
            }
            actions.insert((*name).clone(), action);
        }
    }
    actions
}

fn action(question: &Question<'_>, name: &Bytes, prefix: &str, taken: &Taken) -> Action {
    let Question { base, inside, outside, refused, contained, .. } = *question;
    let three = Three {
        base: base.refs.get(name),
        agent: inside.now.refs.get(name),
        host: outside.now.refs.get(name),
    };
    let held = |why| Action::Held { why };
    if three.agent == three.base && !inside.symbolic.contains(name) || three.agent == three.host {
        return Action::Nothing;
    }
    if inside.symbolic.contains(name) || outside.symbolic.contains(name) {
        return held(Why::Symbolic);
    }
    if let Some(why) = three.agent.and_then(|oid| refused.get(oid)) {
        return held(why.clone());
    }
    if question.left_out.contains(name) {
        return held(Why::TooMany);
    }
    if three.host.is_none() && three.base.is_none() {
        if let Err(refused) = names::check(names::behind(name, prefix).unwrap_or_default()) {
            return held(refused.into());
        }
        if taken.in_the_way(&name.0) {
            return held(Why::InTheWay);
        }
    }
    if outside.elsewhere.contains(name) {
        return held(Why::Elsewhere);
    }
    match prefix {
        HEADS => rules::branch(three, contained),
        TAGS => rules::tag(three),
        _ => rules::notes(three, contained),
    }
}

/// What becomes of the branch that is checked out inside; it may have no commit yet.
fn target(question: &Question<'_>, actions: &BTreeMap<Bytes, Action>) -> Action {
    let Head::Branch(name) = &question.inside.now.head else { return Action::Nothing };
    let of_no_commit = || match names::behind(name, HEADS).map(names::check) {
        Some(Ok(())) => Action::Nothing,
        _ if question.outside.now.head == question.inside.now.head => Action::Nothing,
        Some(Err(refused)) => Action::Held { why: refused.into() },
        None => Action::Held { why: Why::Symbolic },
    };
    actions.get(name).cloned().unwrap_or_else(of_no_commit)
}

fn unfinished(inside: &Inside, outside: &Outside) -> Option<Why> {
    let on_host = outside.unfinished.map(|what| Why::UnfinishedOutside { what: what.to_owned() });
    on_host
        .or_else(|| inside.unfinished.map(|what| Why::UnfinishedInside { what: what.to_owned() }))
}

impl Decided {
    fn check_out(
        &mut self,
        question: &Question<'_>,
        settled: Checkout,
        current_name: Option<&Bytes>,
        current: &Action,
    ) {
        let Question { inside, outside, .. } = *question;
        let agree = inside.now.head == outside.now.head;
        match settled {
            Checkout::Nothing => {
                if agree {
                    self.after.head = inside.now.head.clone();
                }
                if inside.now.index == outside.now.index {
                    self.after.index.clone_from(&inside.now.index);
                }
            }
            Checkout::Held(why) => {
                if let Some(name) = current_name.filter(|_| current.changes()) {
                    self.hold(question, name, why.clone());
                }
                self.hold(question, &HEAD.into(), why);
            }
            Checkout::Apply { head, index } => {
                if let Some(name) = current_name.filter(|_| current.to().is_some()) {
                    self.current = Some(self.moved(question, name, current));
                }
                if index {
                    // What is staged is what the commit holds, or has a commit of its own.
                    let clean = inside.clean.then(|| inside.commit.clone()).flatten();
                    self.index = clean.or_else(|| inside.staged.clone());
                }
                let is_staged = !inside.clean && inside.now.index != question.base.index;
                if index && is_staged {
                    self.items.push(Item::Index);
                }
                self.after.index.clone_from(&inside.now.index);
                if let Some(to) = head {
                    self.items.push(Item::Head { to: to.clone() });
                    self.after.head = to.clone();
                    self.head = Some((outside.now.head.clone(), to));
                } else if agree {
                    self.after.head = inside.now.head.clone();
                }
            }
        }
    }

    fn move_ref(
        &mut self,
        question: &Question<'_>,
        name: &Bytes,
        action: &Action,
        current_name: Option<&Bytes>,
    ) {
        let here = current_name == Some(name);
        match action {
            Action::Held { why } => {
                self.hold(question, name, why.clone());
                return;
            }
            Action::Delete { .. } if here && self.head.is_none() => {
                // Said already, if what is checked out is held as a whole.
                if !self.items.iter().any(|item| item.is_held(name)) {
                    self.hold(question, name, Why::CheckedOut);
                }
                return;
            }
            Action::Delete { .. } => {
                let one = self.moved(question, name, action);
                self.deletes.push(one);
            }
            // Done with the checkout, or held with it.
            Action::Create { .. } | Action::Forward { .. } | Action::Rewrite { .. } if here => {
                if self.current.is_none() {
                    return;
                }
            }
            Action::Create { .. } | Action::Forward { .. } | Action::Rewrite { .. } => {
                let one = self.moved(question, name, action);
                self.moves.push(one);
            }
            Action::Nothing => {}
        }
        match question.inside.now.refs.get(name) {
            Some(oid) => self.after.refs.insert(name.clone(), oid.clone()),
            None => self.after.refs.remove(name),
        };
    }

    fn moved(&mut self, question: &Question<'_>, name: &Bytes, action: &Action) -> Move {
        let backup = action.backup().map(|had| backup(question.session, name, had));
        self.items.push(Item::Ref {
            name: name.clone(),
            action: action.clone(),
            backup: backup.clone(),
        });
        Move { name: name.clone(), old: action.from().cloned(), new: action.to().cloned(), backup }
    }

    fn hold(&mut self, question: &Question<'_>, name: &Bytes, why: Why) {
        let kept =
            question.inside.now.refs.get(name).filter(|oid| !question.refused.contains_key(oid));
        let kept = kept.and_then(|oid| kept_as(question.session, name, oid));
        self.items.push(Item::Held { name: name.clone(), why, kept });
    }

    fn add_stashes(&mut self, question: &Question<'_>) {
        let Question { base, inside, outside, refused, .. } = *question;
        self.after.stashes.clone_from(&inside.now.stashes);
        for oid in rules::stashes(&base.stashes, &inside.now.stashes, &outside.now.stashes) {
            if let Some(why) = refused.get(oid) {
                self.hold(question, &STASH.into(), why.clone());
                self.after.stashes.retain(|stash| stash != oid);
                continue;
            }
            let message = inside.messages.get(oid).cloned().unwrap_or_default();
            self.stashes.push((oid.clone(), message.into()));
            self.items.push(Item::Stash { oid: oid.clone() });
        }
    }
}

#[cfg(test)]
mod tests;
