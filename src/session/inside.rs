//! What lives inside a session, for whoever comes after its supervisor was killed: pid 1 of the sandbox
//! is the last to go, so when it is gone nothing inside can write any more. It must never take
//! another process for it.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use rustix::io::Errno;
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
        self.0.write(&Init { pid, started, boot: boot()? })
    }
}

/// Waits for the end of everything inside. What cannot be told counts as alive: whoever looks at files
/// or moves them meanwhile would do so under the hands of an agent.
pub fn wait(directory: &Path, patience: Duration) -> Inside {
    let path = path(directory);
    let init = match json_file::read_if_there::<Init>(&path) {
        Ok(None) => return Inside::Never,
        Ok(Some(init)) => init,
        // It is whole as long as the machine runs, so its going down has broken it.
        Err(_) if is_older_than_this_boot(&path) => return Inside::Dead,
        Err(_) => return Inside::Alive,
    };
    let pidfd = pidfd::open(init.pid);
    // Asked after it was opened: if it is the same now, the descriptor is of the same.
    if is_gone(&init, boot().ok().as_deref(), pidfd.as_ref().err(), started(init.pid)) {
        return Inside::Dead;
    }
    let ended = pidfd.is_ok_and(|pidfd| {
        let ended = pidfd::ends_within(pidfd.as_fd(), patience);
        ended.unwrap_or(false)
    });
    if ended { Inside::Dead } else { Inside::Alive }
}

/// Whether that process is certainly no more: by this boot, by why it cannot be opened, and by when the
/// process of its number started; `None` where that is not known.
fn is_gone(init: &Init, boot: Option<&str>, refused: Option<&Errno>, started: Option<u64>) -> bool {
    boot.is_some_and(|boot| boot != init.boot)
        || refused == Some(&Errno::SRCH)
        || started.is_some_and(|started| started != init.started)
}

fn is_older_than_this_boot(path: &Path) -> bool {
    let age = fs::symlink_metadata(path).and_then(|found| found.modified());
    let age = age.ok().and_then(|then| SystemTime::now().duration_since(then).ok());
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from);
    age.zip(up).is_some_and(|(age, up)| age > up)
}

fn path(directory: &Path) -> PathBuf {
    directory.join("inside.json")
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
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
        let init = Init { pid, started: started(pid).unwrap() + 1, boot: boot().unwrap() };
        json_file::write(&path(dir.path()), &init).unwrap();
        assert_eq!(wait(dir.path(), Duration::from_secs(10)), Inside::Dead);
        let init = Init { started: init.started - 1, boot: "another".into(), pid };
        json_file::write(&path(dir.path()), &init).unwrap();
        assert_eq!(wait(dir.path(), Duration::from_secs(10)), Inside::Dead);
    }

    #[test]
    fn what_cannot_be_told_is_alive() {
        let init = || Init { pid: 7, started: 5, boot: "this".into() };
        let gone = |boot, refused: Option<Errno>, started| {
            is_gone(&init(), boot, refused.as_ref(), started)
        };
        for refused in [None, Some(Errno::MFILE), Some(Errno::NOMEM), Some(Errno::PERM)] {
            assert!(!gone(Some("this"), refused, Some(5)), "{refused:?}");
            assert!(!gone(None, refused, None), "{refused:?}");
            assert!(gone(Some("another"), refused, None));
            // Its number is a thread's by now.
            assert!(gone(Some("this"), refused, Some(6)));
        }
        assert!(gone(None, Some(Errno::SRCH), None));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_death_unless_the_machine_went_down() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(path(dir.path())).unwrap();
        assert_eq!(wait(dir.path(), Duration::ZERO), Inside::Alive);
        fs::remove_dir(path(dir.path())).unwrap();
        fs::write(path(dir.path()), "").unwrap();
        assert_eq!(wait(dir.path(), Duration::ZERO), Inside::Alive);
        let file = fs::File::options().write(true).open(path(dir.path())).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(wait(dir.path(), Duration::ZERO), Inside::Dead);
    }
}
