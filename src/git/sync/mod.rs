//! One sync, in the order in which it happens: go on with what a killed one left, look at both sides,
//! bring the objects, decide, write down what will be done, do it, and agree on a new base. One sync of
//! a session at a time; submodules before what names their commits.

pub mod apply;
pub mod checkout;
pub mod decide;
pub mod ending;
pub mod fingerprint;
pub mod import;
pub mod inside;
pub mod journal;
pub mod quarantine;
pub mod report;
pub mod rules;
pub mod sign;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use self::apply::{Apply, Failures};
use self::decide::{Decided, Question, backup, decide, kept_as, own};
use self::import::Import;
use self::inside::{Depth, Inside};
use self::journal::{Journal, Move, Phase};
use self::report::{Item, Told};
use self::rules::Why;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::boxed::Boxed;
use crate::git::limits::Size;
use crate::git::names::{self, HEADS, NOTES, TAGS};
use crate::git::oid::Oid;
use crate::git::outside::{Outside, Repository};
use crate::git::record::{Base, Head, Record};
use crate::session::{directory, lock};
use crate::visible::visible_path;

/// The most new refs that come at once: each is a file in the user's repository.
const MOST: usize = 1000;

/// How often it is begun anew because the user changed something meanwhile.
const PATIENCE: usize = 5;

/// A session whose git comes back.
#[derive(Clone, Copy, Debug)]
pub struct Sync<'a> {
    /// The session's directory.
    pub directory: &'a Path,
    /// Its id.
    pub session: &'a str,
    /// Something inside still runs.
    pub running: bool,
    /// What an import may take.
    pub size: Size,
}

/// Both sides, as they were looked at.
#[derive(Clone, Copy)]
struct Looked<'a> {
    boxed: &'a Boxed<'a>,
    inside: &'a Inside,
    outside: &'a Outside,
}

/// What came of an import.
struct Imported {
    /// What did not come, and why.
    refused: BTreeMap<Oid, Why>,
    /// Refs that are too many.
    left_out: BTreeSet<Bytes>,
    /// What there is to tell.
    items: Vec<Item>,
}

/// How far one repository's sync came.
enum Step {
    Done(Vec<Item>),
    /// The user did something between the look and the lock.
    Again,
}

impl Sync<'_> {
    /// Brings everything back; `None` where the session's git is not private.
    ///
    /// # Errors
    /// When it cannot be done; nothing of the host's is left half done then that the next sync does not
    /// see to.
    pub fn all(&self) -> Result<Option<Vec<Told>>> {
        let Some((mut record, lock)) = self.begin()? else { return Ok(None) };
        let mut told = Vec::new();
        let root = record.work_tree.clone();
        for at in 0..record.submodules.len() {
            let mut submodule = record.submodules[at].clone();
            let items = self.repository(&mut submodule, &lock, &mut |base| {
                record.submodules[at].base = base;
                self.write(&record)
            })?;
            told.push(Told { submodule: Some(below(&root, &submodule)), items });
        }
        let mut project = record.clone();
        let items = self.repository(&mut project, &lock, &mut |base| {
            record.base = base;
            self.write(&record)
        })?;
        told.push(Told { submodule: None, items });
        Ok(Some(told))
    }

    /// Brings the branches into `refs/claudebox`, and nothing else; `None` as in [`Sync::all`].
    ///
    /// # Errors
    /// As of [`Sync::all`].
    pub fn branches(&self) -> Result<Option<Vec<Told>>> {
        let Some((record, lock)) = self.begin()? else { return Ok(None) };
        let one = |record: &Record, submodule| -> Result<Told> {
            let apply = self.apply(record, &lock);
            let outside = apply.repository.refs()?;
            let boxed = Boxed::new(record, &self.scratch())?;
            let inside = inside::look(&boxed, Depth::Branches)?;
            let looked = Looked { boxed: &boxed, inside: &inside, outside: &outside };
            let Imported { items, .. } = self.import(&apply, record, &looked, Vec::new())?;
            Ok(Told { submodule, items })
        };
        let mut told = Vec::new();
        for submodule in &record.submodules {
            told.push(one(submodule, Some(below(&record.work_tree, submodule)))?);
        }
        told.push(one(&record, None)?);
        Ok(Some(told))
    }

    /// Takes the lock, and goes on with what was left.
    fn begin(&self) -> Result<Option<(Record, File)>> {
        let path = self.directory.join("git.lock");
        let lock = lock::take(&path).tried(|| format!("lock {}", visible_path(&path)))?;
        let Some(mut record) = Record::read(self.directory) else { return Ok(None) };
        directory::make_private(&self.scratch())?;
        self.replay(&mut record, &lock)?;
        Ok(Some((record, lock)))
    }

    fn scratch(&self) -> PathBuf {
        self.directory.join("git-sync")
    }

    fn write(&self, record: &Record) -> Result<()> {
        record.write(self.directory).tried(|| "write down what was synced")
    }

    fn replay(&self, record: &mut Record, lock: &File) -> Result<()> {
        let Some(journal) = Journal::left(self.directory) else { return Ok(()) };
        let one = if record.git_dir == journal.git_dir {
            Some(&mut *record)
        } else {
            record.submodules.iter_mut().find(|it| it.git_dir == journal.git_dir)
        };
        let Some(one) = one else {
            let shown = visible_path(journal.git_dir.as_path());
            let what = format!("a sync of {shown} was left half done, and its record is gone");
            return Err(Error::launcher(what));
        };
        let of = one.clone();
        let apply = self.apply(&of, lock);
        if let Some((journal, _)) = apply::replay(&apply, journal)? {
            one.base = journal.after;
            self.write(record)?;
            apply.take_back()?;
        }
        Ok(())
    }

    fn apply<'r>(&'r self, record: &'r Record, lock: &'r File) -> Apply<'r> {
        let repository = Repository::of(record);
        let lock = lock.as_fd();
        Apply { repository, directory: self.directory, session: self.session, lock }
    }

    /// Syncs one repository. `agree` writes the new base down.
    fn repository(
        &self,
        record: &mut Record,
        lock: &File,
        agree: &mut dyn FnMut(Base) -> Result<()>,
    ) -> Result<Vec<Item>> {
        for _ in 0..PATIENCE {
            if let Step::Done(items) = self.attempt(record, lock, agree)? {
                return Ok(items);
            }
        }
        let shown = visible_path(record.work_tree.as_path());
        Err(Error::launcher(format!("cannot sync {shown}: it changes all the time"))
            .hint(format!("`claudebox sync {}` tries again", self.session)))
    }

    fn attempt(
        &self,
        record: &mut Record,
        lock: &File,
        agree: &mut dyn FnMut(Base) -> Result<()>,
    ) -> Result<Step> {
        let apply_record = record.clone();
        let apply = self.apply(&apply_record, lock);
        let repository = apply.repository;
        let outside = repository.look()?;
        let commit = repository.commit()?;
        let boxed = Boxed::new(&apply_record, &self.scratch())?;
        let inside = inside::look(&boxed, Depth::All)?;
        let extra = extra_tips(&record.base, &inside, &outside);
        let looked = Looked { boxed: &boxed, inside: &inside, outside: &outside };
        let Imported { refused, left_out, .. } = self.import(&apply, record, &looked, extra)?;
        // Only where something is to be decided by it.
        let known = [&record.base.index, &inside.now.index].contains(&&outside.now.index);
        let clean = !known && repository.is_clean()?;
        let failed = std::cell::RefCell::new(None);
        let contained = |old: &Oid, new: &Oid| match repository.contains(old, new) {
            Ok(is) => is,
            Err(error) => {
                failed.borrow_mut().get_or_insert(error);
                false
            }
        };
        let decided = decide(&Question {
            base: &record.base,
            inside: &inside,
            outside: &outside,
            commit: commit.as_ref(),
            clean,
            refused: &refused,
            left_out: &left_out,
            contained: &contained,
            session: self.session,
        });
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        // What came into refs/claudebox is told as what became of it.
        let mut items = decided.items.clone();
        let carried = self.carry_out(&apply, record, decided, &outside, &mut items)?;
        let Some(after) = carried else { return Ok(Step::Again) };
        if after != record.base {
            record.base.clone_from(&after);
            agree(after)?;
        }
        apply.take_back()?;
        if !self.running {
            self.tidy(&apply, &inside, &refused)?;
        }
        Ok(Step::Done(items))
    }

    /// Brings what the agent's refs lead to, and writes it down in refs of claudebox's own.
    fn import(
        &self,
        apply: &Apply<'_>,
        record: &Record,
        looked: &Looked<'_>,
        extra: Vec<(String, Oid)>,
    ) -> Result<Imported> {
        let Looked { boxed, inside, outside } = *looked;
        let mut items = Vec::new();
        let mut wanted: BTreeMap<Bytes, (Option<&Bytes>, Oid)> = BTreeMap::new();
        for (name, oid) in changed(&record.base, inside, outside) {
            if let Some(kept) = kept_as(self.session, name, oid) {
                wanted.insert(kept, (Some(name), oid.clone()));
            }
        }
        for (name, oid) in extra {
            wanted.insert(format!("{}{name}", own(self.session)).as_str().into(), (None, oid));
        }
        // Tags go last, by the order of names.
        let rest = wanted.keys().nth(MOST).cloned();
        let rest = rest.map(|first| wanted.split_off(&first)).unwrap_or_default();
        let tips: BTreeSet<Oid> = wanted.values().map(|(_, oid)| oid.clone()).collect();
        let (scratch, size) = (self.scratch(), self.size);
        let (running, lock) = (self.running, apply.lock);
        let import = Import { record, boxed, outside, scratch: &scratch, running, size, lock };
        let mut refused = import.bring(&tips)?;
        let left_out = rest.values().filter_map(|(name, _)| (*name).cloned()).collect();
        // What has no name is not left out by one.
        let nameless = rest.into_values().filter(|(name, _)| name.is_none()).map(|(_, oid)| oid);
        refused.extend(nameless.map(|oid| (oid, Why::TooMany)));
        let mut moves = Vec::new();
        for (kept, (name, oid)) in &wanted {
            let old = outside.own.get(kept).cloned();
            if refused.contains_key(oid) {
                if let (Some(name), Some(why)) = (name, refused.get(oid)) {
                    items.push(Item::Held { name: (*name).clone(), why: why.clone(), kept: None });
                }
                continue;
            }
            if old.as_ref() == Some(oid) {
                continue;
            }
            if let Some(name) = name {
                let (name, to, kept) = ((*name).clone(), oid.clone(), kept.clone());
                items.push(Item::Imported { name, to, kept });
            }
            moves.push(Move { name: kept.clone(), old, new: Some(oid.clone()), backup: None });
        }
        moves.extend(self.gone(inside, outside));
        if !moves.is_empty() {
            apply.move_own(&moves)?;
        }
        Ok(Imported { refused, left_out, items })
    }

    /// Branches that came before and are not there any more: what they had is kept as a backup.
    fn gone(&self, inside: &Inside, outside: &Outside) -> Vec<Move> {
        let heads = format!("{}heads/", own(self.session));
        let gone = |(name, had): (&Bytes, &Oid)| {
            let short = names::behind(name, &heads)?;
            let inside_name = Bytes([HEADS.as_bytes(), short].concat());
            let there = inside.now.refs.contains_key(&inside_name)
                || inside.symbolic.contains(&inside_name);
            (!there).then(|| Move {
                name: name.clone(),
                old: Some(had.clone()),
                new: None,
                backup: Some(backup(self.session, &inside_name, had)),
            })
        };
        outside.own.iter().filter_map(gone).collect()
    }

    /// Does what was decided. Answers with what is agreed on; `None` where the user was faster.
    fn carry_out(
        &self,
        apply: &Apply<'_>,
        record: &Record,
        decided: Decided,
        outside: &Outside,
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
                return Ok(Some(self.without_checkout(apply, record, journal, why, items)?));
            }
            let unchanged = apply.repository.head()? == outside.now.head
                && Some(apply.repository.index(None)?) == outside.now.index;
            if !unchanged {
                apply.take_back()?;
                return Ok(None);
            }
        }
        journal.phase = Phase::Decided;
        journal.write(self.directory).tried(tried)?;
        let failures = apply.carry_out(&mut journal)?;
        tell_failures(failures, items);
        Ok(Some(journal.after))
    }

    /// The index is locked by somebody: what does not need it is done.
    fn without_checkout(
        &self,
        apply: &Apply<'_>,
        record: &Record,
        mut journal: Journal,
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
        failures.extend(apply.carry_out(&mut journal)?);
        items.retain(|item| !matches!(item, Item::Head { .. } | Item::Index));
        tell_failures(failures, items);
        Ok(journal.after)
    }

    /// After the end: what the host has now needs no ref of claudebox's own, and what nobody borrows any
    /// more no pin.
    fn tidy(&self, apply: &Apply<'_>, inside: &Inside, refused: &BTreeMap<Oid, Why>) -> Result<()> {
        let outside = apply.repository.refs()?;
        let prefix = own(self.session);
        let index_is_here = || -> Result<bool> {
            Ok(inside.now.index.is_some()
                && Some(apply.repository.index(None)?) == inside.now.index)
        };
        let mut moves = Vec::new();
        for (name, oid) in &outside.own {
            let Some(short) = names::behind(name, &prefix) else { continue };
            let part = |kind: &str| short.strip_prefix(kind.as_bytes());
            let of_host = [("heads/", HEADS), ("tags/", TAGS), ("notes/", NOTES)]
                .iter()
                .find_map(|(kind, prefix)| Some([prefix.as_bytes(), part(kind)?].concat()));
            let over = match of_host {
                Some(of_host) => match outside.now.refs.get(&Bytes(of_host)) {
                    Some(now) => now == oid || apply.repository.contains(oid, now)?,
                    None => false,
                },
                None if part("pin/").is_some() => refused.is_empty(),
                None if short == b"index" => index_is_here()?,
                None if short == b"head" => apply.repository.commit()?.as_ref() == Some(oid),
                None if part("stash/").is_some() => {
                    let of_stash = part("stash/").and_then(Oid::parse);
                    of_stash.is_some_and(|oid| inside.now.stashes.contains(&oid))
                }
                None => false,
            };
            if over {
                let old = Some(oid.clone());
                moves.push(Move { name: name.clone(), old, new: None, backup: None });
            }
        }
        apply.move_own(&moves)
    }
}

/// The branch that `HEAD` leaves.
fn outside_head(journal: &Journal) -> Option<Bytes> {
    match journal.head.as_ref()? {
        (Head::Branch(name), _) => Some(name.clone()),
        (Head::Detached(_), _) => None,
    }
}

fn below(root: &Bytes, submodule: &Record) -> Bytes {
    let path = submodule.work_tree.as_path();
    path.strip_prefix(root.as_path()).unwrap_or(path).into()
}

/// The agent's refs that are not as they were, nor as they are on the host.
fn changed<'a>(
    base: &'a Base,
    inside: &'a Inside,
    outside: &'a Outside,
) -> impl Iterator<Item = (&'a Bytes, &'a Oid)> {
    inside.now.refs.iter().filter(|(name, oid)| {
        let kinds = [HEADS, TAGS, NOTES];
        kinds.iter().any(|prefix| names::behind(name, prefix).is_some())
            && base.refs.get(*name) != Some(oid)
            && outside.now.refs.get(*name) != Some(oid)
    })
}

/// What else is needed: the commit that is checked out, what is staged, the stashes.
fn extra_tips(base: &Base, inside: &Inside, outside: &Outside) -> Vec<(String, Oid)> {
    let mut tips = Vec::new();
    let named: BTreeSet<&Oid> = outside.now.refs.values().collect();
    if let Some(commit) = &inside.commit
        && !named.contains(commit)
        && !inside.now.refs.values().any(|oid| oid == commit)
    {
        tips.push(("head".to_owned(), commit.clone()));
    }
    let index = &inside.now.index;
    if let Some(staged) = &inside.staged
        && !inside.clean
        && *index != outside.now.index
        && *index != base.index
    {
        tips.push(("index".to_owned(), staged.clone()));
    }
    for stash in rules::stashes(&base.stashes, &inside.now.stashes, &outside.now.stashes) {
        tips.push((format!("stash/{stash}"), stash.clone()));
    }
    tips
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
