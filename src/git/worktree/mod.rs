//! The worktrees of a repository that `run --worktree` makes for sessions, and the way of what was
//! done in one to the user's own branches. The commits are an agent's, checked when they came
//! ([`super::sync`]); the files in a worktree are an agent's, unchecked. It must never run a
//! program that those name: no hook, no filter, no driver, no external diff.
//!
//! ```text
//! STATE/../claudebox-worktrees/REPOSITORY-HASH/NAME        the worktree, on the branch claudebox/NAME
//! .../REPOSITORY-HASH/.records/NAME.json                   where it began, and what became of its work (record)
//! .../REPOSITORY-HASH/.look/NAME                           a look at its files; there while it is taken (snapshot)
//! ```

pub mod apply;
pub mod checkout;
pub mod diff;
pub mod include;
pub mod judge;
pub mod land;
mod led;
pub mod list;
pub mod live;
pub mod make;
pub mod merge;
pub mod record;
pub mod remove;
pub mod replay;
pub mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::call::Call;
use super::names::{self, HEADS};
use super::oid::Oid;
use super::outside::{Outside, Repository};
use super::private::repository::Repository as Survey;
use super::private::survey;
use super::record::Head;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::version;
use crate::host::{Disk, Facts as _, FileKind, Host};
use crate::lexical::clean;
use crate::session::{Found, Sessions};
use crate::visible::{visible, visible_path};

/// What is put before a worktree's name to name its branch.
pub const BRANCH: &str = "claudebox/";

/// A repository, by its main work tree.
#[derive(Debug)]
pub struct Main<'h> {
    /// The main work tree.
    pub root: PathBuf,
    /// What was found of it.
    pub survey: Survey,
    /// Where its worktrees are.
    pub directory: PathBuf,
    host: &'h Host,
}

/// One worktree, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Something stands there.
    pub there: bool,
    /// Its git directory, below the repository's; `None` where git knows no such worktree.
    pub git_dir: Option<PathBuf>,
    /// What its branch has.
    pub tip: Option<Oid>,
}

impl Known {
    /// Its branch, without `refs/heads/`.
    pub fn branch(&self) -> String {
        format!("{BRANCH}{}", self.name)
    }

    /// Its branch.
    pub fn full(&self) -> String {
        format!("{HEADS}{BRANCH}{}", self.name)
    }

    /// What its branch has.
    ///
    /// # Errors
    /// A usage error where there is none.
    pub fn commit(&self) -> Result<&Oid> {
        self.tip.as_ref().ok_or_else(|| {
            Error::usage(format!("the branch {} is gone", self.branch()))
                .hint(format!("`claudebox worktree rm {}` takes the rest away", self.name))
        })
    }
}

impl<'h> Main<'h> {
    /// The repository whose main work tree this is.
    ///
    /// # Errors
    /// When it is not as git makes it, or there is no git.
    pub fn of(root: &Path, host: &'h Host) -> Result<Self> {
        let survey = survey::look(root, None, host)?;
        if let Some(odd) = survey.main.odd.first() {
            return Err(Error::usage(format!(
                "git: no worktree is made from {}: {odd}",
                visible_path(&survey.main.directory)
            ))
            .hint(
                "or run in the checkout itself, without --worktree: --git shared, --git read-only",
            ));
        }
        Ok(Self { root: root.to_owned(), survey, directory: host.dirs.worktrees_of(root), host })
    }

    /// Refuses where the host's git cannot be told to run nothing of what an agent wrote.
    ///
    /// # Errors
    /// That one.
    pub fn must_have_git(&self) -> Result<()> {
        self.survey.version.must_be(version::PRIVATE, "worktrees of claudebox's")
    }

    /// Its git directory.
    pub fn git_dir(&self) -> &Path {
        &self.survey.main.directory
    }

    /// The main work tree with its git directory.
    pub fn repository(&self) -> Repository<'_> {
        Repository { program: &self.survey.program, git_dir: self.git_dir(), work_tree: &self.root }
    }

    /// A call for its objects and refs.
    pub fn call(&self, what: &str) -> Call {
        self.repository().call(what)
    }

    /// Where the worktree of this name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// All its worktrees, by their names: what stands in its directory, what git knows to be there, and
    /// branches that are left.
    ///
    /// # Errors
    /// When git does not say its refs.
    pub fn known(&self) -> Result<(Vec<Known>, Outside)> {
        let outside = self.repository().refs()?;
        let mut git_dirs = self.git_dirs();
        let mut all: BTreeSet<String> = git_dirs.keys().cloned().collect();
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        all.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()));
        let prefix = format!("{HEADS}{BRANCH}");
        let branches = outside.now.refs.keys().filter_map(|name| names::behind(name, &prefix));
        all.extend(branches.filter_map(|name| String::from_utf8(name.to_vec()).ok()));
        all.retain(|name| make::is_name(name));
        let one = |name: String| {
            let path = self.path(&name);
            let there = path.symlink_metadata().is_ok();
            let tip = outside.now.refs.get(&format!("{prefix}{name}").as_str().into()).cloned();
            Known { git_dir: git_dirs.remove(&name), name, path, there, tip }
        };
        Ok((all.into_iter().map(one).collect(), outside))
    }

    /// The one of this name.
    ///
    /// # Errors
    /// A usage error that lists those that there are.
    pub fn named(&self, name: &str) -> Result<Known> {
        let (all, _) = self.known()?;
        if let Some(known) = all.iter().find(|known| known.name == name) {
            return Ok(known.clone());
        }
        let error = Error::usage(format!(
            "there is no worktree `{}` of {}",
            visible(name),
            visible_path(&self.root)
        ));
        let names: Vec<&str> = all.iter().map(|known| known.name.as_str()).collect();
        Err(match names.as_slice() {
            [] => error.hint("`claudebox run -w NAME` makes one"),
            names => error.hint(format!("there are: {}", names.join(", "))),
        })
    }

    /// The git directories of its worktrees, by their names (gitrepository-layout(5), `worktrees/*/gitdir`).
    /// One that does not lead back here is none: where git is shared, an agent can make such a directory,
    /// with another configuration behind it.
    fn git_dirs(&self) -> BTreeMap<String, PathBuf> {
        let entries =
            fs::read_dir(self.git_dir().join("worktrees")).into_iter().flatten().flatten();
        let one = |entry: fs::DirEntry| {
            let git_dir = entry.path();
            let leads = |name: &str| {
                let file = git_dir.join(name);
                Disk.lstat(&file).filter(|found| found.kind == FileKind::File)?;
                let text = Disk.read_head(&file, 4096)?;
                Some(clean(&git_dir.join(OsStr::from_bytes(text.trim_ascii_end()))))
            };
            let real = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let back = real && leads("commondir")? == self.git_dir();
            let file = leads("gitdir").filter(|_| back)?;
            let name = file.parent()?.strip_prefix(&self.directory).ok()?.to_str()?.to_owned();
            Some((name, git_dir))
        };
        entries.filter_map(one).collect()
    }

    /// What a worktree has checked out; `None` where that cannot be said.
    pub fn head(&self, known: &Known) -> Option<Head> {
        let git_dir = known.git_dir.as_deref()?;
        let program = &self.survey.program;
        Repository { program, git_dir, work_tree: &known.path }.head().ok()
    }

    /// The sessions that worked in a worktree, the latest first.
    pub fn sessions(&self, known: &Known) -> Vec<Found> {
        let mut all = Sessions::new(&self.host.dirs).all();
        let made = record::Record::read(&self.directory, &known.name).map_or(0, |it| it.made);
        let is_of = |found: &Found| found.state.lives() || found.record.created >= made;
        all.retain(|found| found.record.project.as_path() == known.path && is_of(found));
        all
    }

    /// The sessions of this user.
    pub fn all_sessions(&self) -> Sessions<'h> {
        Sessions::new(&self.host.dirs)
    }

    /// Whether one commit contains another, both being there.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub fn contains(&self, old: &Oid, new: &Oid) -> Result<bool> {
        self.repository().contains(old, new)
    }

    /// A single object id that git answers with; `None` where it says no.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub fn oid(&self, call: Call) -> Result<Option<Oid>> {
        let said = call.outcome()?;
        Ok(Oid::parse(said.output.trim_ascii_end()).filter(|_| said.status.success()))
    }

    /// The commit that these words name.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub fn commit(&self, words: &str) -> Result<Option<Oid>> {
        let call = self.call(&format!("look up {}", visible(words)));
        let name = format!("{words}^{{commit}}");
        self.oid(call.args(["rev-parse", "-q", "--verify", "--end-of-options", &name]))
    }

    /// Where two commits parted; `None` where they never met.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub fn parted(&self, one: &Oid, other: &Oid) -> Result<Option<Oid>> {
        self.oid(self.call("compare commits").args(["merge-base", one.as_str(), other.as_str()]))
    }

    /// How many commits `git rev-list` finds with these words.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub fn count<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Result<usize> {
        let call = self.call("count commits");
        let said = call.args(["rev-list", "--count"]).args(words).run()?;
        let text = std::str::from_utf8(said.trim_ascii_end()).ok();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::launcher("cannot count commits: git's answer is not understood"))
    }
}

/// A branch as a person calls it.
pub fn short(name: &Bytes) -> String {
    visible(names::behind(name, HEADS).unwrap_or(&name.0))
}

/// What a git that must not be ended half way is given to hold: nobody waits for it.
fn lock_of(git_dir: &Path) -> Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, git_dir, flags, Mode::empty()).tried(|| format!("open {}", visible_path(git_dir)))
}
