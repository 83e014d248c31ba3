//! How the host's repository stands: its `HEAD`, refs, index and stashes, and what stands against
//! changing them now. Git is asked; the index is looked at without what stat(2) says, which git
//! itself writes anew whenever somebody asks for the status.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::thread;

use sha2::{Digest as _, Sha256};

use super::call::Call;
use super::names::{HEADS, OWN, STASH};
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

impl Outside {
    /// The commit that `HEAD` leads to; `None` on a branch without one.
    pub fn commit(&self) -> Option<&Oid> {
        match &self.now.head {
            Head::Branch(name) => self.now.refs.get(name).or_else(|| self.own.get(name)),
            Head::Detached(oid) => Some(oid),
        }
    }
}

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
        let call = Call::new(self.program, format!("{what} of {shown}"));
        call.git_dir(self.git_dir).project(self.work_tree)
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
        Ok(self.programs()?.off(self.call_at_work(what)))
    }

    /// What has to be said so, for several calls.
    ///
    /// # Errors
    /// When git cannot read the configuration.
    pub fn programs(&self) -> Result<Programs> {
        let names = self
            .call_at_work("read the configuration")
            .args(["config", "--null", "--name-only", "--get-regexp"])
            .arg(r"^(filter\.|merge\..*\.driver$)")
            .outcome()?;
        let keys = names.output.split(|byte| *byte == 0).filter(|key| !key.is_empty());
        Ok(Programs(keys.map(Bytes::from).collect()))
    }

    /// Looks how it stands.
    ///
    /// # Errors
    /// When git cannot read it, or says what is not understood.
    pub fn look(&self) -> Result<Outside> {
        let (refs, index) = thread::scope(|scope| {
            let index = scope.spawn(|| self.index(None));
            let refs = self.refs();
            let lost = |_| Err(self.not_understood("read the index"));
            (refs, index.join().unwrap_or_else(lost))
        });
        let mut outside = refs?;
        outside.now.index = Some(index?);
        outside.now.head = self.head()?;
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
        match self.plain_head() {
            Some(head) => Ok(head),
            None => self.asked_head(),
        }
    }

    fn asked_head(&self) -> Result<Head> {
        let what = "read the HEAD";
        let outcome = self.call(what).args(["symbolic-ref", "-q", "HEAD"]).outcome()?;
        if outcome.status.success() {
            return Ok(Head::Branch(outcome.output.trim_ascii_end().into()));
        }
        let said = self.call(what).args(["rev-parse", "-q", "--verify", "HEAD^{commit}"]).run()?;
        let oid = Oid::parse(said.trim_ascii_end());
        oid.map(Head::Detached).ok_or_else(|| self.not_understood(what))
    }

    /// What `HEAD` says, where its file says it all (gitrepository-layout(5)): no link, no reftable, and
    /// the branch not symbolic itself.
    fn plain_head(&self) -> Option<Head> {
        let file = self.git_dir.join("HEAD");
        file.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        let text = std::fs::read(&file).ok()?;
        if let Some(oid) = Oid::parse(text.strip_suffix(b"\n")?) {
            return Some(Head::Detached(oid));
        }
        let name = text.strip_prefix(b"ref: ")?.strip_suffix(b"\n")?;
        let is_plain = |byte: &u8| byte.is_ascii_graphic();
        let climbs = name.windows(2).any(|pair| pair == b"..");
        if !name.starts_with(HEADS.as_bytes()) || !name.iter().all(is_plain) || climbs {
            return None;
        }
        let path: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
        let elsewhere = ["commondir", "reftable"].iter().any(|it| self.git_dir.join(it).exists());
        let symbolic =
            std::fs::read(self.git_dir.join(path)).is_ok_and(|it| it.starts_with(b"ref:"));
        (!elsewhere && !symbolic).then(|| Head::Branch(name.into()))
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
        self.refs_below(&[])
    }

    /// The refs at these places alone.
    ///
    /// # Errors
    /// As of [`Repository::look`].
    pub fn refs_below(&self, places: &[&str]) -> Result<Outside> {
        let what = "read the refs";
        let format = "%(objectname)%00%(refname)%00%(symref)%00%(worktreepath)%00";
        let call = self.call(what).args(["for-each-ref", &format!("--format={format}")]);
        let said = call.args(places).run()?;
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

/// The keys of a configuration by which attributes name programs.
#[derive(Debug)]
pub struct Programs(Vec<Bytes>);

impl Programs {
    /// A call in which none of them runs.
    pub fn off(&self, call: Call) -> Call {
        let off = |call: Call, key: &Bytes| {
            let value = match key.0.as_slice() {
                driver if driver.starts_with(b"merge.") => "false",
                required if required.ends_with(b".required") => "false",
                _ => "",
            };
            call.config(key.as_os_str(), value)
        };
        self.0.iter().fold(call.config("merge.renormalize", "false"), off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read without git is what git says.
    #[test]
    fn a_plain_head_is_what_git_says_it_is() {
        for (plain, script) in [
            (true, "true"),
            (true, "git commit -q --allow-empty -m x; git checkout -q -b a/b-c"),
            (true, "git commit -q --allow-empty -m x; git checkout -q --detach"),
            (false, "git symbolic-ref refs/heads/main refs/heads/other"),
            (false, "git commit -q --allow-empty -m x; git worktree add -q ../w; cd ../w"),
            (false, "git commit -q --allow-empty -m x; git checkout -q -b 'caf\u{e9}'"),
            (false, "printf 'ref:\trefs/heads/x\n' >.git/HEAD"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let prelude = "set -e; git init -q -b main p; cd p\n\
                export GIT_AUTHOR_NAME=T GIT_AUTHOR_EMAIL=t@e GIT_COMMITTER_NAME=T GIT_COMMITTER_EMAIL=t@e";
            let script = format!("{prelude}\n{script}\ngit rev-parse --absolute-git-dir");
            let mut sh = std::process::Command::new("sh");
            let said = sh.args(["-c", &script]).current_dir(&directory).output().unwrap();
            assert!(said.status.success(), "{script}: {said:?}");
            let git_dir = String::from_utf8(said.stdout).unwrap();
            let (program, work_tree) = (Path::new("git"), directory.path());
            let git_dir = Path::new(git_dir.trim_end());
            let repository = Repository { program, git_dir, work_tree };
            let (head, git) = (repository.plain_head(), repository.asked_head().unwrap());
            assert_eq!(head, plain.then(|| git.clone()), "{script}");
            assert_eq!(repository.head().unwrap(), git, "{script}");
        }
    }
}
