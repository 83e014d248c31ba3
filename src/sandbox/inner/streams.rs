//! The standard streams as the agent gets them. One that was opened outside is a way to the file behind
//! it, whatever is mounted inside: where that is a device of memory (`/dev/null`), the same one inside
//! takes its place. It must never touch a terminal, a pipe or a file: those are meant.
#![forbid(unsafe_code)]

use std::io::{self, stderr, stdin, stdout};
use std::os::fd::AsFd;

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fstat, major, minor, openat};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Replaces those that are one.
pub(super) fn renew() -> io::Result<()> {
    if let Some(fd) = inside(&stdin())? {
        dup2_stdin(&fd)?;
    }
    if let Some(fd) = inside(&stdout())? {
        dup2_stdout(&fd)?;
    }
    if let Some(fd) = inside(&stderr())? {
        dup2_stderr(&fd)?;
    }
    Ok(())
}

fn inside(stream: &impl AsFd) -> io::Result<Option<std::os::fd::OwnedFd>> {
    // One may be closed.
    let Ok(stat) = fstat(stream) else { return Ok(None) };
    let Some(path) = device(stat.st_mode, stat.st_rdev) else { return Ok(None) };
    let mode = fcntl_getfl(stream)? & (OFlags::RWMODE | OFlags::NONBLOCK | OFlags::APPEND);
    Ok(Some(openat(CWD, path, mode | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?))
}

/// The node of a device of memory (Linux, admin-guide/devices.txt, major 1).
fn device(mode: u32, rdev: u64) -> Option<&'static str> {
    let is_memory = FileType::from_raw_mode(mode) == FileType::CharacterDevice && major(rdev) == 1;
    match minor(rdev) {
        3 if is_memory => Some("/dev/null"),
        5 if is_memory => Some("/dev/zero"),
        7 if is_memory => Some("/dev/full"),
        8 if is_memory => Some("/dev/random"),
        9 if is_memory => Some("/dev/urandom"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_of_memory_are_known() {
        let node = |path: &str| {
            let stat = rustix::fs::stat(path).unwrap();
            device(stat.st_mode, stat.st_rdev)
        };
        for path in ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"] {
            assert_eq!(node(path), Some(path));
        }
        for path in ["/dev/tty", "/dev/ptmx", "/", "/proc/self/exe"] {
            assert_eq!(node(path), None);
        }
    }
}
