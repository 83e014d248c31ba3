//! Waits for programs with a limit. tmux hangs where a user's configuration makes it hang, and
//! claudebox must never hang with it.

use std::io;
use std::os::fd::BorrowedFd;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::ready::ready_by;
use crate::subprocess::{self, Broken, Group};

/// The most that tmux may say, bytes.
const MOST: usize = 64 << 20;

/// Runs a program to its end and collects what it says; one that takes longer is killed and is an
/// error of kind [`io::ErrorKind::TimedOut`].
pub fn output(command: Command, limit: Duration) -> io::Result<Output> {
    subprocess::run(command, b"", Group::Own, limit, MOST).map_err(|broken| match broken {
        Broken::Late => io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}")),
        Broken::TooMuch => io::Error::other(format!("it says more than {} MiB", MOST >> 20)),
        Broken::NotStarted(err) | Broken::Io(err) => err,
    })
}

/// Waits until one of the descriptors is readable; answers with its place, `None` after `limit`.
pub fn wait_for_any(fds: &[BorrowedFd<'_>], limit: Duration) -> io::Result<Option<usize>> {
    let mut polled: Vec<_> =
        fds.iter().map(|&fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let ready = ready_by(&mut polled, Instant::now() + limit)?;
    Ok(polled.iter().position(|fd| ready && !fd.revents().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = output(sh("exec sleep 60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
