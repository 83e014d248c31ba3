//! Does to the host's repository what was decided: refs, `HEAD`, index and stashes, by way of the
//! journal. Nothing is done to a ref that has not the value it was looked at with, and nothing to an
//! index that is not the one that was looked at: what the user does meanwhile wins.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::journal::{Journal, Move, Phase, prepared_index};
use super::report::HEAD;
use super::rules::Why;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::call::{Call, PATIENT};
use crate::git::names::STASH;
use crate::git::oid::Oid;
use crate::git::outside::Repository;
use crate::git::record::Head;
use crate::visible::{visible, visible_path};

/// One sync of one repository.
#[derive(Clone, Copy, Debug)]
pub struct Apply<'a> {
    /// The repository.
    pub repository: Repository<'a>,
    /// The session's directory, where the journal is.
    pub directory: &'a Path,
    /// The session's id.
    pub session: &'a str,
    /// The lock of the session's syncs.
    pub lock: BorrowedFd<'a>,
}

/// What was not done, and why.
pub type Failures = Vec<(Bytes, Why)>;

impl Apply<'_> {
    /// Makes the new index ready: that of this commit or tree, with what the old one knows of the files
    /// that stay the same. Nobody's filter runs for it: a file that only a filter could compare is left
    /// to the user's own git.
    pub fn prepare_index(&self, of: &Oid) -> Result<()> {
        let (git_dir, path) = (self.repository.git_dir, self.prepared());
        let shown = || format!("make the new index {}", visible_path(&path));
        self.remove_prepared().tried(shown)?;
        let old = git_dir.join("index");
        match fs::copy(&old, &path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            other => {
                other.tried(shown)?;
            }
        }
        // git reads what it finds, and a copy of an index may be shared by all.
        let programs = self.repository.programs()?;
        let call = |what| {
            let call = programs.off(self.repository.call_at_work(what));
            call.limits(PATIENT).env("GIT_INDEX_FILE", &path)
        };
        call("make the new index").args(["read-tree", "--reset", "-i", of.as_str()]).run()?;
        // It says no where a file differs from the index, which is what it is for.
        call("compare the files of the work tree")
            .args(["update-index", "-q", "--refresh"])
            .outcome()?;
        Ok(())
    }

    fn prepared(&self) -> PathBuf {
        prepared_index(self.repository.git_dir, self.session)
    }

    fn lock(&self) -> PathBuf {
        self.repository.git_dir.join("index.lock")
    }

    /// Makes a copy of the index ready, where only its lock is needed.
    pub fn prepare_lock(&self) -> Result<()> {
        let path = self.prepared();
        let shown = || format!("make {}", visible_path(&path));
        self.remove_prepared().tried(shown)?;
        match fs::copy(self.repository.git_dir.join("index"), &path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                File::create_new(&path).map(drop).tried(shown)
            }
            other => other.map(drop).tried(shown),
        }
    }

    /// Takes the index's lock as git does, so that no git changes it meanwhile. What was made ready is
    /// itself linked there: by that a lock of ours is known after a kill.
    pub fn lock_index(&self) -> std::result::Result<(), Why> {
        let (prepared, lock) = (self.prepared(), self.lock());
        let locked = fs::hard_link(&prepared, &lock).or_else(|err| match err.kind() {
            io::ErrorKind::AlreadyExists => Err(err),
            // There are file systems without links.
            _ => copy_to(&prepared, &lock),
        });
        locked.map_err(|err| match err.kind() {
            io::ErrorKind::AlreadyExists => Why::Locked,
            _ => Why::Git { words: visible(err.to_string()) },
        })
    }

    /// Whether the lock that is there is ours: what we made ready, or a copy of it.
    fn is_our_lock(&self) -> bool {
        let (lock, prepared) = (self.lock(), self.prepared());
        let (Ok(one), Ok(other)) = (lock.symlink_metadata(), prepared.symlink_metadata()) else {
            return false;
        };
        let same = (one.dev(), one.ino()) == (other.dev(), other.ino());
        let equal = || matches!((fs::read(&lock), fs::read(&prepared)), (Ok(a), Ok(b)) if a == b);
        same || (one.is_file() && one.len() == other.len() && one.len() > 0 && equal())
    }

    /// Takes back what was made ready.
    pub fn take_back(&self) -> Result<()> {
        let tried = || format!("take back what was made ready in {}", self.shown());
        if self.is_our_lock() {
            fs::remove_file(self.lock()).tried(tried)?;
        }
        self.remove_prepared().tried(tried)?;
        Journal::remove(self.directory).tried(tried)
    }

    fn shown(&self) -> String {
        visible_path(self.repository.git_dir)
    }

    fn remove_prepared(&self) -> io::Result<()> {
        let path = self.prepared();
        let beside = |end: &str| {
            let mut name = path.clone().into_os_string();
            name.push(end);
            name
        };
        for path in [beside(".lock"), beside(".copy"), beside("")] {
            match fs::remove_file(path) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
                _ => {}
            }
        }
        Ok(())
    }

    /// Does what is decided, or goes on with it: what is done already is not done again. Answers with
    /// what could not be done, which is then left as it is, in the journal's `after` too. `known`: how
    /// the refs are, where that was looked at.
    ///
    /// # Errors
    /// When what was done cannot be told from what was not.
    pub fn carry_out(
        &self,
        journal: &mut Journal,
        known: Option<&BTreeMap<Bytes, Oid>>,
    ) -> Result<Failures> {
        let mut failures = Failures::new();
        let now = match known {
            Some(known) => known.clone(),
            None => self.repository.refs()?.now.refs,
        };
        let mut together = true;
        if let Some(current) = journal.current.clone() {
            together = self.move_refs(&[&current], &now, &mut failures)?;
        }
        self.move_refs(&journal.moves.iter().collect::<Vec<_>>(), &now, &mut failures)?;
        if together && let Some((old, new)) = &journal.head {
            together = self.move_head(old, new, &mut failures)?;
        }
        self.move_refs(&journal.deletes.iter().collect::<Vec<_>>(), &now, &mut failures)?;
        if journal.index {
            together = together && self.replace_index(journal, &mut failures)?;
        }
        for (oid, message) in &journal.stashes {
            if let Err(why) = self.store_stash(oid, message)? {
                failures.push((STASH.into(), why));
            }
        }
        if !together {
            journal.after.head = journal.before.head.clone();
            journal.after.index.clone_from(&journal.before.index);
        }
        for (name, _) in &failures {
            journal.take_out(name);
        }
        Ok(failures)
    }

    /// Moves refs in one transaction, or each for itself where one is not as it was; `false` if not all
    /// of them have what they are to have. `now` says how they are.
    fn move_refs(
        &self,
        moves: &[&Move],
        now: &BTreeMap<Bytes, Oid>,
        failures: &mut Failures,
    ) -> Result<bool> {
        let is_done = |it: &&Move| now.get(&it.name) == it.new.as_ref();
        let open: Vec<&Move> = moves.iter().copied().filter(|it| !is_done(it)).collect();
        if open.is_empty() || self.transaction(&open, &[])?.is_ok() {
            return Ok(true);
        }
        let before = failures.len();
        for one in open {
            if let Err(words) = self.transaction(&[one], &[])? {
                failures.push((one.name.clone(), Why::Git { words }));
            }
        }
        Ok(failures.len() == before)
    }

    /// Moves refs of claudebox's own; what they had before stays reachable by their reflog.
    ///
    /// # Errors
    /// When git says no.
    pub fn move_own(&self, moves: &[Move]) -> Result<()> {
        let (deletes, others): (Vec<&Move>, Vec<&Move>) =
            moves.iter().partition(|it| it.new.is_none());
        for part in [deletes, others] {
            if part.is_empty() {
                continue;
            }
            self.transaction(&part, &["--create-reflog"])?.map_err(|words| {
                Error::launcher(format!("cannot write down what was imported: {words}"))
            })?;
        }
        Ok(())
    }

    fn transaction(
        &self,
        moves: &[&Move],
        options: &[&str],
    ) -> Result<std::result::Result<(), String>> {
        // Without the last word nothing is done: we may be killed before it.
        let mut input = b"start\0".to_vec();
        for one in moves {
            let Some(any) = one.new.as_ref().or(one.old.as_ref()) else { continue };
            let none = any.none();
            if let (Some(backup), Some(old)) = (&one.backup, &one.old) {
                put(&mut input, backup, old, None);
            }
            let old = one.old.as_ref().unwrap_or(&none);
            if let Some(new) = &one.new {
                put(&mut input, &one.name, new, Some(old));
            } else {
                input.extend_from_slice(b"option no-deref\0delete ");
                input.extend_from_slice(&one.name.0);
                input.push(0);
                input.extend_from_slice(old.as_str().as_bytes());
                input.push(0);
            }
        }
        input.extend_from_slice(b"prepare\0commit\0");
        let message = self.message();
        let call = self.changing("move the refs")?;
        let outcome =
            call.args(["update-ref", "-m", &message]).args(options).args(["--stdin", "-z"]);
        let outcome = outcome.input(input).outcome()?;
        Ok(if outcome.status.success() { Ok(()) } else { Err(outcome.words) })
    }

    /// A call that changes refs: it is not to be ended half way, neither by us nor by our end.
    fn changing(&self, what: &str) -> Result<Call> {
        self.repository.call(what).limits(PATIENT).outlives_us(self.lock)
    }

    fn message(&self) -> String {
        format!("claudebox: session {}", self.session)
    }

    fn move_head(&self, old: &Head, new: &Head, failures: &mut Failures) -> Result<bool> {
        let now = self.repository.head()?;
        if now == *new {
            return Ok(true);
        }
        if now != *old {
            let words = "it was changed just now".to_owned();
            failures.push((HEAD.into(), Why::Git { words }));
            return Ok(false);
        }
        let (call, message) = (self.changing("change the HEAD")?, self.message());
        let outcome = match new {
            Head::Branch(name) => {
                call.args(["symbolic-ref", "-m", &message, HEAD]).arg(name.as_os_str())
            }
            Head::Detached(oid) => {
                call.args(["update-ref", "--no-deref", "-m", &message, HEAD, oid.as_str()])
            }
        }
        .outcome()?;
        if !outcome.status.success() {
            failures.push((HEAD.into(), Why::Git { words: outcome.words }));
            return Ok(false);
        }
        Ok(true)
    }

    /// Puts the new index in the place of the old one.
    fn replace_index(&self, journal: &Journal, failures: &mut Failures) -> Result<bool> {
        let tried = || format!("replace the index of {}", self.shown());
        if !self.is_our_lock() {
            let now = Some(self.repository.index(None)?);
            if now == journal.after.index {
                // It was done, and then came the kill.
                return Ok(true);
            }
            // Somebody took the lock away after a kill, as git tells people to.
            let why = if now == journal.before.index {
                self.lock_index().err()
            } else {
                Some(Why::Staged)
            };
            if let Some(why) = why {
                failures.push((HEAD.into(), why));
                return Ok(false);
            }
        }
        fs::rename(self.lock(), self.repository.git_dir.join("index")).tried(tried)?;
        Ok(true)
    }

    fn store_stash(&self, oid: &Oid, message: &Bytes) -> Result<std::result::Result<(), Why>> {
        let call = self.repository.call("read the stashes");
        let there = call.args(["rev-list", "-g", STASH, "--"]).outcome()?;
        if there.output.split(|byte| *byte == b'\n').any(|line| line == oid.as_str().as_bytes()) {
            return Ok(Ok(()));
        }
        let message = visible(message);
        let outcome = self
            .repository
            .call_at_work("store a stash")
            .args(["stash", "store", "-q", "-m", &message, oid.as_str()])
            .limits(PATIENT)
            .outlives_us(self.lock)?
            .outcome()?;
        let why = || Why::Git { words: outcome.words.clone() };
        Ok(if outcome.status.success() { Ok(()) } else { Err(why()) })
    }
}

/// One move of a ref, as `git update-ref --stdin -z` reads it.
pub(super) fn put(to: &mut Vec<u8>, name: &Bytes, new: &Oid, old: Option<&Oid>) {
    to.extend_from_slice(b"option no-deref\0update ");
    to.extend_from_slice(&name.0);
    to.push(0);
    to.extend_from_slice(new.as_str().as_bytes());
    to.push(0);
    to.extend_from_slice(old.map_or("", Oid::as_str).as_bytes());
    to.push(0);
}

fn copy_to(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = from.to_path_buf().into_os_string();
    copy.push(".copy");
    fs::copy(from, &copy)?;
    let renamed = renameat_with(CWD, Path::new(&copy), CWD, to, RenameFlags::NOREPLACE);
    if renamed.is_err() {
        fs::remove_file(&copy)?;
    }
    Ok(renamed?)
}

/// Goes on with, or takes back, what a killed sync left.
///
/// # Errors
/// When that cannot be done; it stays left then.
pub fn replay(apply: &Apply<'_>, mut journal: Journal) -> Result<Option<(Journal, Failures)>> {
    if Phase::Prepared == journal.phase {
        apply.take_back()?;
        return Ok(None);
    }
    let failures = apply.carry_out(&mut journal, None)?;
    Ok(Some((journal, failures)))
}
