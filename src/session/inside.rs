//! What lives inside a session, for whoever comes after its supervisor was killed: pid 1 of the sandbox
//! is the last to go, so when it is gone nothing inside can write any more. It must never take
//! another process for it.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::json_file::{self, Prepared};
use crate::proc_stat::started;
use crate::sys::pidfd;

/// `inside.json`
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Init {
    /// As seen from outside.
    pid: i32,
    /// See [`started`]: a number that comes again belongs to another process.
    started: u64,
    /// Which boot, `/proc/sys/kernel/random/boot_id`.
    boot: String,
}

/// How it stands inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Nothing has ever run there.
    Never,
    /// Nothing runs there any more.
    Dead,
    /// Something may still run.
    Alive,
}

/// Room to write down pid 1 of the sandbox.
#[derive(Debug)]
pub struct Note(Prepared);

impl Note {
    /// Makes room in a session's directory. Nothing stands there yet.
    pub fn prepare(directory: &Path) -> io::Result<Self> {
        Prepared::new(&path(directory)).map(Self)
    }

    /// Writes it down, before anything of the agent's runs.
    pub fn write(self, pid: i32) -> io::Result<()> {
        let started = started(pid).ok_or(io::ErrorKind::NotFound)?;
        self.0.write(&Init { pid, started, boot: boot() })
    }
}

/// Waits for the end of everything inside.
pub fn wait(directory: &Path, patience: Duration) -> Inside {
    if !path(directory).exists() {
        return Inside::Never;
    }
    // A file that cannot be read was written by the machine's going down.
    let Some(init) = json_file::read::<Init>(&path(directory)) else { return Inside::Dead };
    let pidfd = pidfd::open(init.pid).ok().filter(|_| init.boot == boot());
    let Some(pidfd) = pidfd else { return Inside::Dead };
    // Asked after it was opened: if it is the same now, the descriptor is of the same.
    if started(init.pid) != Some(init.started) {
        return Inside::Dead;
    }
    let ended = pidfd::ends_within(pidfd.as_fd(), patience).unwrap_or(false);
    if ended { Inside::Dead } else { Inside::Alive }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("inside.json")
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_known_until_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(wait(dir.path(), Duration::ZERO), Inside::Never);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let note = Note::prepare(dir.path()).unwrap();
        assert_eq!(wait(dir.path(), Duration::ZERO), Inside::Never);
        note.write(child.id().cast_signed()).unwrap();
        assert_eq!(wait(dir.path(), Duration::ZERO), Inside::Alive);
        child.kill().unwrap();
        assert_eq!(wait(dir.path(), Duration::from_secs(10)), Inside::Dead);
        child.wait().unwrap();
        assert_eq!(wait(dir.path(), Duration::ZERO), Inside::Dead);
    }

    #[test]
    fn another_process_of_the_same_number_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pid = std::process::id().cast_signed();
        let init = Init { pid, started: started(pid).unwrap() + 1, boot: boot() };
        json_file::write(&path(dir.path()), &init).unwrap();
        assert_eq!(wait(dir.path(), Duration::from_secs(10)), Inside::Dead);
        let init = Init { started: init.started - 1, boot: "another".into(), pid };
        json_file::write(&path(dir.path()), &init).unwrap();
        assert_eq!(wait(dir.path(), Duration::from_secs(10)), Inside::Dead);
    }
}
