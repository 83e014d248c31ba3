//! Waits for programs with a limit. tmux hangs where a user's configuration makes it hang, and
//! claudebox must never hang with it.

use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::ready::ready_by;

/// Runs a program to its end and collects what it says; one that takes longer is killed and is an
/// error of kind [`io::ErrorKind::TimedOut`].
pub fn output(mut command: Command, limit: Duration) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let ended = wait_for_any(&[pidfd(&child)?.as_fd()], limit)?.is_some();
    if !ended {
        let _ = child.kill();
    }
    let status = child.wait()?;
    if !ended {
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}")));
    }
    let text = |reader: Option<Collector>| match reader {
        Some(reader) => reader.join().unwrap_or_else(|_| Ok(Vec::new())),
        None => Ok(Vec::new()),
    };
    Ok(Output { status, stdout: text(stdout)?, stderr: text(stderr)? })
}

/// A descriptor that becomes readable when a child ends (`pidfd_open(2)`, Linux 5.3).
pub fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    Ok(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?)
}

/// Waits until one of the descriptors is readable; answers with its place, `None` after `limit`.
pub fn wait_for_any(fds: &[BorrowedFd<'_>], limit: Duration) -> io::Result<Option<usize>> {
    let mut polled: Vec<_> =
        fds.iter().map(|&fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let ready = ready_by(&mut polled, Instant::now() + limit)?;
    Ok(polled.iter().position(|fd| ready && !fd.revents().is_empty()))
}

type Collector = thread::JoinHandle<io::Result<Vec<u8>>>;

/// Reads a pipe to its end on a thread of its own: a program that fills one pipe while the other
/// is read would wait for ever.
fn collect(mut pipe: impl Read + Send + 'static) -> Collector {
    thread::spawn(move || {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text)?;
        Ok(text)
    })
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
    fn more_than_a_pipe_holds_comes_through() {
        let script = "head -c 200000 /dev/zero; head -c 200000 /dev/zero >&2; exit 3";
        let output = output(sh(script), Duration::from_secs(10)).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout.len(), output.stderr.len()), (200_000, 200_000));
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = output(sh("exec sleep 60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
