//! From the private directory to the host's repository: objects, by way of the quarantine, and the refs
//! of claudebox's own that hold them. Nothing that the user has is touched here. It must never let an
//! object come that the quarantine has not taken, nor a commit that brings a submodule of the agent's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::quarantine::Quarantine;
use super::rules::Why;
use crate::error::{Result, Tried as _};
use crate::git::boxed::Boxed;
use crate::git::call::Limits;
use crate::git::limits::Size;
use crate::git::oid::Oid;
use crate::git::outside::{Outside, Repository};
use crate::git::record::{Head, Record};
use crate::nofollow;
use crate::visible::{visible, visible_path};

/// One import.
#[derive(Clone, Copy, Debug)]
pub struct Import<'a> {
    /// The repository and its private directory.
    pub record: &'a Record,
    /// The boxes of it.
    pub boxed: &'a Boxed<'a>,
    /// How the host stands.
    pub outside: &'a Outside,
    /// A directory of claudebox's own.
    pub scratch: &'a Path,
    /// Something inside still runs: where there is no repository now, there may be one at any time.
    pub running: bool,
    /// What it may take.
    pub size: Size,
    /// The lock of the session's syncs.
    pub lock: BorrowedFd<'a>,
}

impl Import<'_> {
    /// Brings these objects, with all they need. Answers with those that did not come.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub fn bring(&self, tips: &BTreeSet<Oid>) -> Result<BTreeMap<Oid, Why>> {
        if tips.is_empty() {
            return Ok(BTreeMap::new());
        }
        let refs = self.outside.now.refs.values().chain(self.outside.own.values());
        let known: BTreeSet<&Oid> = refs.collect();
        let new: Vec<Oid> = tips.iter().filter(|oid| !known.contains(oid)).cloned().collect();
        let quarantine =
            Quarantine::make(self.record, self.scratch, known.iter().copied(), self.size)?;
        let words = quarantine.take(self.boxed, &new)?;
        let mut refused: BTreeMap<Oid, Why> =
            words.into_iter().map(|(oid, words)| (oid, Why::Objects { words })).collect();
        let taken = tips.iter().filter(|oid| !refused.contains_key(oid)).cloned().collect();
        let base = self.base();
        let submodules = self.submodules();
        let known = |path: &[u8]| submodules.contains(path);
        for (oid, path) in quarantine.new_submodules(&taken, base.as_ref(), &known)? {
            if self.running || self.is_repository(&path)? {
                let (path, running) = (visible(&path), self.running);
                refused.insert(oid, Why::Gitlink { path, running });
            }
        }
        let allowed = |(_, oid): &(usize, &Oid)| !refused.contains_key(*oid);
        let names: Vec<String> = new
            .iter()
            .enumerate()
            .filter(allowed)
            .map(|(number, _)| Quarantine::name(number))
            .collect();
        self.take_over(&quarantine, &names)?;
        Ok(refused)
    }

    /// The commit that the host had when it and the private directory last agreed.
    fn base(&self) -> Option<Oid> {
        let base = &self.record.base;
        let oid = match &base.head {
            Head::Branch(name) => base.refs.get(name).cloned(),
            Head::Detached(oid) => Some(oid.clone()),
        };
        // It must be there: a host that has thrown it away has no use for the comparison.
        oid.filter(|oid| {
            self.outside.now.refs.values().any(|now| now == oid)
                || Repository::of(self.record).contains(oid, oid).unwrap_or_default()
        })
    }

    /// The paths of the submodules that the host has.
    fn submodules(&self) -> BTreeSet<Vec<u8>> {
        let root = self.record.work_tree.as_path();
        let below = |record: &Record| {
            let path = record.work_tree.as_path().strip_prefix(root).ok()?.as_os_str();
            Some(path.as_encoded_bytes().to_vec())
        };
        self.record.submodules.iter().filter_map(below).collect()
    }

    /// Whether git would take what stands at this path of the work tree for a repository. The path is
    /// the agent's, and so is what stands there: a link on the way counts as one.
    fn is_repository(&self, path: &[u8]) -> Result<bool> {
        let root = self.record.work_tree.as_path();
        let shown =
            || format!("look for a repository at {} in {}", visible(path), visible_path(root));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let at: OwnedFd = openat(CWD, root, flags, Mode::empty()).tried(shown)?;
        let path: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(path);
        let git: PathBuf = Path::new(path).join(".git");
        match nofollow::beneath(&at, &git, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            // What cannot be looked at is not said to be harmless.
            _ => Ok(true),
        }
    }

    /// From the quarantine, which is claudebox's own, into the host's repository.
    fn take_over(&self, quarantine: &Quarantine<'_>, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        // What a stranger's configuration has instead of a path above could hold what was never checked.
        // The longest beginning counts, and none is longer than all of it.
        let path = quarantine.path().as_os_str();
        let instead: [&OsStr; 3] = ["url.".as_ref(), path, ".insteadOf".as_ref()];
        Repository::of(self.record)
            .call("take over what was checked into the repository")
            .config(OsString::from_iter(instead), path)
            .fetches()
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"])
            .args(["--no-recurse-submodules", "--no-auto-maintenance", "--stdin"])
            .arg(quarantine.path())
            .input(names.join("\n") + "\n")
            .limits(Limits { time: self.size.time, ..Limits::default() })
            .outlives_us(self.lock)?
            .run()?;
        Ok(())
    }
}
