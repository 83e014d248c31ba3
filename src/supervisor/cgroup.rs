//! The control group of a session: made before bwrap, which is started in it, and taken away at the
//! end; but systemd's is made beside bwrap's start ([`Scope`]). It must never move a process that
//! runs already, and never take away what is in use: the kernel only removes a group without processes.
//!
//! A process that moves itself in version 1 (`tasks`) does so at once, and one that is made in a group
//! of version 2 (clone3(2)) is there at once; a move through `cgroup.procs` or by systemd makes the
//! kernel wait for every processor (percpu-rwsem, some ten milliseconds).
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread::{self, Scope as Scoped, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::scope::Scope;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::plan::limits::{Group, Maker, Setting};
use crate::proc_stat::started;
use crate::visible::visible_path;

/// The names of our groups: this, our process id, and when it started. A group whose maker is dead
/// was left by a supervisor that was killed.
const PREFIX: &str = "claudebox-";
/// How long what was inside may take to be gone from the group after its death.
const EMPTIES: Duration = Duration::from_secs(1);

/// How bwrap is started so that it is in its group.
#[derive(Debug, Default)]
pub(super) struct Cgroup {
    /// The directory of a group of version 2, to be made in it.
    pub(super) into: Option<OwnedFd>,
    /// What it writes itself into; where there is `into`, only if it cannot be made there.
    pub(super) enter: Vec<OwnedFd>,
    /// What it is moved into while it makes its mounts.
    pub(super) scope: Option<Scope>,
    /// What is to be removed.
    made: Vec<PathBuf>,
}

impl Cgroup {
    fn make(group: &Group) -> Result<Self> {
        let name = own_name();
        let mut cgroup = Self::default();
        match &group.maker {
            Maker::Systemd { program, runtime } => {
                let runtime = runtime.as_ref().map(Bytes::as_path);
                cgroup.scope = Some(Scope::new(group.clone(), &name, program.as_path(), runtime));
            }
            Maker::V2(parent) => {
                let parent = parent.as_path();
                remove_stale(parent);
                pass_on(parent, group).tried(|| format!("prepare {}", visible_path(parent)))?;
                let directory = parent.join(&name);
                cgroup.add(&directory, &group.v2(), "cgroup.procs")?;
                let opened = std::fs::File::open(&directory);
                cgroup.into =
                    Some(opened.tried(|| format!("open {}", visible_path(&directory)))?.into());
            }
            Maker::V1(parents) => {
                for (controller, parent) in parents {
                    let parent = parent.as_path();
                    remove_stale(parent);
                    cgroup.add(&parent.join(&name), &group.v1(*controller), "tasks")?;
                }
            }
        }
        Ok(cgroup)
    }

    fn add(&mut self, directory: &Path, settings: &[Setting], members: &str) -> Result<()> {
        let tried = || format!("make the control group {}", visible_path(directory));
        match std::fs::create_dir(directory) {
            // Of an attempt before, or of another controller in the same hierarchy.
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.tried(tried)?,
        }
        self.made.push(directory.to_owned());
        for Setting { file, value, may_lack } in settings {
            match write(&directory.join(file), value) {
                Err(err) if *may_lack && err.kind() == io::ErrorKind::NotFound => {}
                other => other.tried(|| format!("set {file} of {}", visible_path(directory)))?,
            }
        }
        let members = std::fs::OpenOptions::new().write(true).open(directory.join(members));
        self.enter.push(members.tried(tried)?.into());
        Ok(())
    }
}

/// A group that a thread makes: the kernel takes most of a millisecond to make one of version 1, and
/// there is enough else to prepare meanwhile. It is over before bwrap is started.
pub(super) struct Making<'scope>(io::Result<ScopedJoinHandle<'scope, Result<Cgroup>>>);

impl<'scope> Making<'scope> {
    pub(super) fn begin<'env: 'scope>(
        scope: &'scope Scoped<'scope, 'env>,
        group: &'env Group,
    ) -> Self {
        Self(thread::Builder::new().spawn_scoped(scope, || Cgroup::make(group)))
    }

    /// Waits for it.
    pub(super) fn made(self) -> Result<Cgroup> {
        let thread = self.0.tried(|| "start a thread")?;
        let broke = |_| Error::launcher("cannot make a control group: a defect in claudebox");
        thread.join().map_err(broke)?
    }
}

/// Everything inside must be dead.
impl Drop for Cgroup {
    fn drop(&mut self) {
        let until = Instant::now() + EMPTIES;
        for directory in &self.made {
            // The dead are in the group until the kernel is done with them.
            while std::fs::remove_dir(directory).is_err_and(|err| is_busy(&err))
                && Instant::now() < until
            {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn is_busy(err: &io::Error) -> bool {
    err.kind() == io::ErrorKind::ResourceBusy
}

/// Files of groups take what they are told in one write(2), and are never created.
fn write(path: &Path, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// Lets the root of all groups pass on what it does not yet.
fn pass_on(parent: &Path, group: &Group) -> io::Result<()> {
    let file = parent.join("cgroup.subtree_control");
    let passed = std::fs::read_to_string(&file)?;
    let needed = [
        ("memory", group.memory.is_some()),
        ("pids", group.processes.is_some()),
        ("cpu", group.cpu.is_some()),
    ];
    needed
        .into_iter()
        .filter(|(name, needed)| *needed && !passed.split_whitespace().any(|word| word == *name))
        .try_for_each(|(name, _)| write(&file, &format!("+{name}")))
}

fn own_name() -> String {
    let pid = std::process::id();
    let since = started(pid.cast_signed()).unwrap_or_default();
    format!("{PREFIX}{pid}-{since}")
}

/// Removes the groups of supervisors that were killed. What still runs in one keeps it.
fn remove_stale(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_stale) {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

fn is_stale(name: &str) -> bool {
    let maker = name.strip_prefix(PREFIX).and_then(|name| name.split_once('-'));
    let Some((Ok(pid), Ok(since))) =
        maker.map(|(pid, since)| (pid.parse::<i32>(), since.parse::<u64>()))
    else {
        return false;
    };
    started(pid) != Some(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_whose_maker_is_dead_are_stale() {
        assert!(!is_stale(&own_name()));
        let pid = std::process::id();
        assert!(is_stale(&format!("{PREFIX}{pid}-1")), "another process had the number");
        assert!(is_stale(&format!("{PREFIX}{}-1", i32::MAX)));
        for name in ["user.slice", "claudebox-", "claudebox-x-1", "claudebox-1", "claudebox-1-2-3"]
        {
            assert!(!is_stale(name), "{name}");
        }
    }

    #[test]
    fn a_stale_group_that_is_in_use_stays() {
        // Not a group, but removed by the same system call, which spares what is not empty.
        let parent = tempfile::tempdir().unwrap();
        let names = [format!("{PREFIX}{}-1", i32::MAX), format!("{PREFIX}{}-2", i32::MAX)];
        let [used, empty] = names.map(|name| parent.path().join(name));
        std::fs::create_dir_all(used.join("x")).unwrap();
        std::fs::create_dir(&empty).unwrap();
        remove_stale(parent.path());
        assert!(used.exists() && !empty.exists());
    }
}
