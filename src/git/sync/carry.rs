//! Carries out what was decided, by way of the journal and under the index's lock, and says what could not
//! be done. It must never change what is checked out where the user did something since it was looked.

use std::collections::BTreeMap;

use super::apply::{Apply, Failures};
use super::decide::Decided;
use super::journal::{Journal, Phase};
use super::report::{self, Item};
use super::rules::Why;
use super::{CHECKED_OUT, Sync};
use crate::bytes::Bytes;
use crate::error::{Result, Tried as _};
use crate::git::fingerprint::{self, Fingerprint};
use crate::git::oid::Oid;
use crate::git::outside::Outside;
use crate::git::record::{Base, Head, Record};

impl Sync<'_> {
    /// Does what was decided. Answers with what is agreed on; `None` where the user was faster. `stood`:
    /// what is checked out, before it was looked at, as far as a change of it would show.
    pub(super) fn carry_out(
        &self,
        apply: &Apply<'_>,
        record: &Record,
        decided: Decided,
        (outside, stood): (&Outside, Option<Fingerprint>),
        items: &mut Vec<Item>,
    ) -> Result<Option<Base>> {
        if !decided.changes() {
            return Ok(Some(decided.after));
        }
        let locks = decided.locks();
        // It is journalled before it is made: a kill leaves nothing that nobody takes away.
        let mut journal = Journal {
            git_dir: record.git_dir.clone(),
            phase: Phase::Prepared,
            index: decided.index.is_some(),
            current: decided.current,
            head: decided.head,
            moves: decided.moves,
            deletes: decided.deletes,
            stashes: decided.stashes,
            after: decided.after,
            before: Base { index: outside.now.index.clone(), ..record.base.clone() },
        };
        let tried = || "write down what is about to be synced";
        journal.write(self.directory).tried(tried)?;
        if locks {
            let made = match &decided.index {
                Some(oid) => apply.prepare_index(oid),
                None => apply.prepare_lock(),
            };
            let locked = made.map(|()| apply.lock_index());
            if let Err(why) = match locked {
                Ok(locked) => locked,
                Err(error) => {
                    apply.take_back()?;
                    return Err(error);
                }
            } {
                apply.take_back()?;
                let known = &outside.now.refs;
                let after = self.without_checkout(apply, record, (journal, known), why, items)?;
                return Ok(Some(after));
            }
            if !is_unchanged(apply, outside, stood)? {
                apply.take_back()?;
                return Ok(None);
            }
        }
        journal.phase = Phase::Decided;
        journal.write(self.directory).tried(tried)?;
        let failures = apply.carry_out(&mut journal, Some(&outside.now.refs))?;
        tell_failures(failures, items);
        Ok(Some(journal.after))
    }

    /// The index is locked by somebody: what does not need it is done.
    fn without_checkout(
        &self,
        apply: &Apply<'_>,
        record: &Record,
        (mut journal, known): (Journal, &BTreeMap<Bytes, Oid>),
        why: Why,
        items: &mut Vec<Item>,
    ) -> Result<Base> {
        let mut failures: Failures = vec![(report::HEAD.into(), why.clone())];
        if let Some(current) = journal.current.take() {
            journal.take_out(&current.name);
            failures.push((current.name, why));
        }
        let deletes_of_current = match &outside_head(&journal) {
            Some(name) => journal.deletes.iter().filter(|it| it.name == *name).cloned().collect(),
            None => Vec::new(),
        };
        for one in deletes_of_current {
            journal.take_out(&one.name);
            journal.deletes.retain(|it| it.name != one.name);
        }
        (journal.head, journal.index) = (None, false);
        journal.after.head = record.base.head.clone();
        journal.after.index.clone_from(&record.base.index);
        journal.phase = Phase::Decided;
        journal.write(self.directory).tried(|| "write down what is about to be synced")?;
        failures.extend(apply.carry_out(&mut journal, Some(known))?);
        items.retain(|item| !matches!(item, Item::Head { .. } | Item::Index));
        tell_failures(failures, items);
        Ok(journal.after)
    }
}

/// Whether what is checked out on the host is what was looked at. Git is asked where the files cannot
/// tell.
fn is_unchanged(apply: &Apply<'_>, outside: &Outside, stood: Option<Fingerprint>) -> Result<bool> {
    let repository = apply.repository;
    if let Some(stood) = stood
        && fingerprint::of(repository.git_dir, CHECKED_OUT, CHECKED_OUT.len()) == Some(stood)
    {
        return Ok(true);
    }
    Ok(repository.head()? == outside.now.head && Some(repository.index(None)?) == outside.now.index)
}

/// The branch that `HEAD` leaves.
fn outside_head(journal: &Journal) -> Option<Bytes> {
    match journal.head.as_ref()? {
        (Head::Branch(name), _) => Some(name.clone()),
        (Head::Detached(_), _) => None,
    }
}

/// What could not be done is told instead of what was to be done.
fn tell_failures(failures: Failures, items: &mut Vec<Item>) {
    for (name, why) in failures {
        items.retain(|item| match item {
            Item::Ref { name: other, .. } => *other != name,
            Item::Head { .. } | Item::Index => name.0 != report::HEAD.as_bytes(),
            _ => true,
        });
        items.push(Item::Held { name, why, kept: None });
    }
}
