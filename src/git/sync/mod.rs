//! One sync, in the order in which it happens: go on with what a killed one left, look at both sides,
//! bring the objects, decide, write down what will be done, do it, and agree on a new base. One sync of
//! a session at a time; submodules before what names their commits.

pub mod apply;
mod bring;
mod carry;
pub mod checkout;
pub mod decide;
pub mod ending;
pub mod import;
pub mod inside;
pub mod journal;
mod lfs;
mod own;
pub mod quarantine;
pub mod report;
pub mod rules;
pub mod sign;
pub mod watch;

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;

use self::apply::Apply;
use self::bring::Imported;
use self::decide::{Question, decide};
use self::inside::{Depth, Inside};
use self::journal::Journal;
use self::report::{Item, Told};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::boxed::Boxed;
use crate::git::fingerprint;
use crate::git::limits::Size;
use crate::git::oid::Oid;
use crate::git::outside::{Outside, Repository};
use crate::git::record::{Base, Record};
use crate::git::written;
use crate::session::{directory, lock};
use crate::visible::visible_path;

/// How often it is begun anew because the user changed something meanwhile.
const PATIENCE: usize = 5;

/// What says what is checked out.
const CHECKED_OUT: &[&str] = &["HEAD", "index"];

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

    /// Where the agent touched nothing of its git directory there is nothing to bring: what was pinned is
    /// let go. `None` as in [`Sync::all`].
    ///
    /// # Errors
    /// As of [`Sync::all`].
    pub fn let_go(&self) -> Result<Option<Vec<Told>>> {
        let Some((record, lock)) = self.begin()? else { return Ok(None) };
        for record in record.submodules.iter().chain([&record]) {
            self.unpin(&self.apply(record, &lock))?;
        }
        Ok(Some(Vec::new()))
    }

    /// Brings the branches into `refs/claudebox`, and nothing else; `None` as in [`Sync::all`].
    ///
    /// # Errors
    /// As of [`Sync::all`].
    pub fn branches(&self) -> Result<Option<Vec<Told>>> {
        let Some((record, lock)) = self.begin()? else { return Ok(None) };
        let one = |record: &Record, submodule| -> Result<Told> {
            let apply = self.apply(record, &lock);
            let boxed = Boxed::new(record, &self.scratch())?;
            let (outside, inside) = both(
                || apply.repository.refs(),
                || inside::look(&boxed, record.private.as_path(), Depth::Branches),
            )?;
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
        for record in record.submodules.iter().chain([&record]) {
            self.may_write(record.git_dir.as_path())?;
        }
        directory::make_private(&self.scratch())?;
        self.replay(&mut record, &lock)?;
        Ok(Some((record, lock)))
    }

    /// Looks that git would write nowhere else than in the repository. It was looked at before the agent
    /// began, and the agent cannot write there; another session with `--git shared` could since.
    fn may_write(&self, git_dir: &Path) -> Result<()> {
        let Some(why) = written::stands_against(git_dir, Some(&quarantine::common(git_dir))) else {
            return Ok(());
        };
        let shown = visible_path(git_dir);
        Err(Error::launcher(format!("nothing is brought into {shown}: {why}"))
            .hint(format!("look at it, remove it, then: claudebox sync {}", self.session)))
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
        // Before the commits that name them.
        let lfs = lfs::bring(record, self.session);
        for _ in 0..PATIENCE {
            if let Step::Done(mut items) = self.attempt(record, lock, agree)? {
                items.extend(lfs);
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
        let stood = fingerprint::of(repository.git_dir, CHECKED_OUT, CHECKED_OUT.len());
        let stood = stood.filter(|stood| !stood.is_fresh());
        let boxed = Boxed::new(&apply_record, &self.scratch())?;
        let (outside, inside) = both(
            || repository.look(),
            || inside::look(&boxed, apply_record.private.as_path(), Depth::All),
        )?;
        let extra = bring::extra_tips(&record.base, &inside, &outside);
        let looked = Looked { boxed: &boxed, inside: &inside, outside: &outside };
        let Imported { refused, left_out, .. } = self.import(&apply, record, &looked, extra)?;
        // Only where something is to be decided by it.
        let known = [&record.base.index, &inside.now.index].contains(&&outside.now.index);
        let clean = !known && repository.is_clean()?;
        let failed = RefCell::new(None);
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
            commit: outside.commit(),
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
        let carried = self.carry_out(&apply, record, decided, (&outside, stood), &mut items)?;
        let Some(after) = carried else { return Ok(Step::Again) };
        if after != record.base {
            record.base.clone_from(&after);
            agree(after)?;
        }
        apply.take_back()?;
        if !self.running {
            let held = items.iter().any(|item| item.is_held(&report::HEAD.into()));
            self.tidy(&apply, &inside, &refused, held)?;
        }
        Ok(Step::Done(items))
    }
}

/// Looks at both sides at the same time.
fn both(
    outside: impl FnOnce() -> Result<Outside> + Send,
    inside: impl FnOnce() -> Result<Inside>,
) -> Result<(Outside, Inside)> {
    thread::scope(|scope| {
        let outside = scope.spawn(outside);
        let inside = inside();
        let lost = |_| Err(Error::launcher("git was not waited for"));
        Ok((outside.join().unwrap_or_else(lost)?, inside?))
    })
}

fn below(root: &Bytes, submodule: &Record) -> Bytes {
    let path = submodule.work_tree.as_path();
    path.strip_prefix(root.as_path()).unwrap_or(path).into()
}
