//! How the host's repository stands: its `HEAD`, refs, index and stashes, and what stands against
//! changing them now. Git is asked; the index is looked at without what stat(2) says, which git
//! itself writes anew whenever somebody asks for the status.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::call::Call;
use super::names::{OWN, STASH};
use super::oid::Oid;
use super::record::{Base, Head, Record};
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::hex::hexadecimal;
use crate::visible::visible_path;

/// A repository of the host's.
#[derive(Clone, Copy, Debug)]
pub struct Repository<'a> {
    /// The host's git.
    pub program: &'a Path,
    /// The git directory.
    pub git_dir: &'a Path,
    /// The root of the work tree.
    pub work_tree: &'a Path,
}

/// How it stands.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// What the sync compares.
    pub now: Base,
    /// Refs below `refs/claudebox`: what was imported, backups and pins of every session.
    pub own: BTreeMap<Bytes, Oid>,
    /// Branches that a worktree other than this has checked out.
    pub elsewhere: BTreeSet<Bytes>,
    /// Symbolic refs.
    pub symbolic: BTreeSet<Bytes>,
    /// What has been begun and not finished: `a merge`, `a rebase`.
    pub unfinished: Option<&'static str>,
}

/// A file in a git directory, and what it says is under way (the order of `git status`).
pub const UNFINISHED: [(&str, &str); 7] = [
    ("MERGE_HEAD", "a merge"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or `git am`"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("sequencer", "a cherry-pick or revert of several commits"),
    ("BISECT_LOG", "a bisect"),
];

impl<'a> Repository<'a> {
    /// The one that this record is of.
    pub fn of(record: &'a Record) -> Self {
        Self {
            program: record.program.as_path(),
            git_dir: record.git_dir.as_path(),
            work_tree: record.work_tree.as_path(),
        }
    }

    /// A call for its objects and refs.
    pub fn call(&self, what: &str) -> Call {
        let shown = visible_path(self.git_dir);
        Call::new(self.program, format!("{what} of {shown}")).git_dir(self.git_dir)
    }

    /// A call that looks at its work tree and index, too.
    pub fn call_at_work(&self, what: &str) -> Call {
        self.call(what).work_tree(self.work_tree)
    }

    /// A call at its work tree in which nothing runs that its files can name by an attribute
    /// (gitattributes(5)): no filter, and in the place of a merge driver one that gives up, so that
    /// what it was for is a conflict.
    ///
    /// # Errors
    /// When git cannot read the configuration.
    pub fn call_without_programs(&self, what: &str) -> Result<Call> {
        let names = self
            .call_at_work("read the configuration")
            .args(["config", "--null", "--name-only", "--get-regexp"])
            .arg(r"^(filter\.|merge\..*\.driver$)")
            .outcome()?;
        let mut call = self.call_at_work(what);
        for key in names.output.split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
            let value = match key {
                driver if driver.starts_with(b"merge.") => "false",
                required if required.ends_with(b".required") => "false",
                _ => "",
            };
            call = call.config(Bytes::from(key).as_os_str(), value);
        }
        Ok(call.config("merge.renormalize", "false"))
    }

    /// Looks how it stands.
    ///
    /// # Errors
    /// When git cannot read it, or says what is not understood.
    pub fn look(&self) -> Result<Outside> {
        let mut outside = self.refs()?;
        outside.now.head = self.head()?;
        outside.now.index = Some(self.index(None)?);
        if outside.now.refs.contains_key(&Bytes::from(STASH)) {
            outside.now.stashes = self.stashes()?;
        }
        let there = |(name, _): &&(&str, &str)| self.git_dir.join(name).symlink_metadata().is_ok();
        outside.unfinished = UNFINISHED.iter().find(there).map(|(_, what)| *what);
        Ok(outside)
    }

    /// What `HEAD` says.
    ///
    /// # Errors
    /// As of [`Repository::look`].
    pub fn head(&self) -> Result<Head> {
        let what = "read the HEAD";
        let outcome = self.call(what).args(["symbolic-ref", "-q", "HEAD"]).outcome()?;
        if outcome.status.success() {
            return Ok(Head::Branch(outcome.output.trim_ascii_end().into()));
        }
        let said = self.call(what).args(["rev-parse", "-q", "--verify", "HEAD^{commit}"]).run()?;
        let oid = Oid::parse(said.trim_ascii_end());
        oid.map(Head::Detached).ok_or_else(|| self.not_understood(what))
    }

    /// The commit that `HEAD` leads to; `None` on a branch without one.
    ///
    /// # Errors
    /// As of [`Repository::look`].
    pub fn commit(&self) -> Result<Option<Oid>> {
        let call = self.call("read the HEAD");
        let said = call.args(["rev-parse", "-q", "--verify", "HEAD^{commit}"]).outcome()?;
        Ok(Oid::parse(said.output.trim_ascii_end()))
    }

    /// Whether nothing is staged: the index holds what `HEAD` holds.
    ///
    /// # Errors
    /// As of [`Repository::look`].
    pub fn is_clean(&self) -> Result<bool> {
        let call = self.call_at_work("compare the index");
        let told = call.args(["diff-index", "--cached", "--quiet", "HEAD", "--"]).outcome()?;
        Ok(told.status.success())
    }

    /// Whether the second commit contains the first, both being there.
    ///
    /// # Errors
    /// As of [`Repository::look`].
    pub fn contains(&self, old: &Oid, new: &Oid) -> Result<bool> {
        let call = self.call("compare commits").args(["merge-base", "--is-ancestor"]);
        Ok(call.args([old.as_str(), new.as_str()]).outcome()?.status.success())
    }

    /// The digest of an index, see [`Base::index`]: the repository's, or of this file.
    ///
    /// # Errors
    /// As of [`Repository::look`].
    pub fn index(&self, file: Option<&Path>) -> Result<String> {
        let mut call = self.call_at_work("read the index");
        if let Some(file) = file {
            call = call.env("GIT_INDEX_FILE", file);
        }
        Ok(digest(&call.args(["ls-files", "--stage", "-z"]).run()?))
    }

    /// The refs alone.
    ///
    /// # Errors
    /// As of [`Repository::look`].
    pub fn refs(&self) -> Result<Outside> {
        let what = "read the refs";
        let format = "%(objectname)%00%(refname)%00%(symref)%00%(worktreepath)%00";
        let said = self.call(what).args(["for-each-ref", &format!("--format={format}")]).run()?;
        let mut outside = Outside::default();
        // Of a submodule git says that its git directory is its work tree.
        let own = [self.work_tree, self.git_dir]
            .map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.into()));
        let mut fields = said.split(|byte| *byte == 0);
        // The last field of each ref ends in NUL, and then comes the newline.
        while let Some(oid) = fields.next().map(<[u8]>::trim_ascii_start) {
            if oid.is_empty() {
                break;
            }
            let (Some(name), Some(symref), Some(at)) =
                (fields.next(), fields.next(), fields.next())
            else {
                return Err(self.not_understood(what));
            };
            let oid = Oid::parse(oid).ok_or_else(|| self.not_understood(what))?;
            let name = Bytes::from(name);
            if !at.is_empty() && !own.iter().any(|own| is_at(at, own)) {
                outside.elsewhere.insert(name.clone());
            }
            if !symref.is_empty() {
                outside.symbolic.insert(name);
            } else if name.0.starts_with(OWN.as_bytes()) {
                outside.own.insert(name, oid);
            } else {
                outside.now.refs.insert(name, oid);
            }
        }
        Ok(outside)
    }

    fn stashes(&self) -> Result<Vec<Oid>> {
        let what = "read the stashes";
        let said = self.call(what).args(["rev-list", "-g", STASH, "--"]).outcome()?;
        // Without a reflog there is the latest one only, and that is no stash of a list.
        let lines = said.output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| Oid::parse(line).ok_or_else(|| self.not_understood(what))).collect()
    }

    fn not_understood(&self, what: &str) -> Error {
        let shown = visible_path(self.git_dir);
        Error::launcher(format!("cannot {what} of {shown}: git's answer is not understood"))
    }
}

fn is_at(path: &[u8], work_tree: &Path) -> bool {
    let path: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(path);
    Path::new(path) == work_tree || std::fs::canonicalize(path).is_ok_and(|path| path == work_tree)
}

/// See [`Base::index`]; of what `git ls-files --stage -z` printed.
pub fn digest(listed: &[u8]) -> String {
    hexadecimal(&Sha256::digest(listed))
}
