//! Runs a program to its end, within limits of time and output: git where a repository is a stranger's,
//! tmux where a user's configuration makes it hang, `nix-store` where its daemon does. It must never wait for what a program left behind.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags};
use rustix::io::ioctl_fionbio;

use crate::ready::ready_by;
use crate::sys::keeper::keep;
use crate::sys::pidfd;

/// How much of what it says on its standard error is kept, bytes: the end, where the reason stands.
const WORDS: usize = 16 << 10;

/// The most that [`output`] takes, bytes.
const MOST: usize = 64 << 20;

/// Which process group a program is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// One of its own, which is killed with everything in it.
    Own,
    /// The same, also when we end: for what starts a bwrap.
    Kept,
    /// Ours, where it may ask in the terminal; it is killed alone.
    Ours,
}

/// Runs it; it is killed where it takes longer than `time`, or prints more than `most` bytes. Whether it
/// outlives us is the caller's to say, but for [`Group::Kept`].
pub(crate) fn run(
    mut command: Command,
    input: &[u8],
    group: Group,
    time: Duration,
    most: usize,
) -> Result<Output, Broken> {
    let end = Instant::now() + time;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let life = match group {
        Group::Own => {
            command.process_group(0);
            None
        }
        Group::Kept => Some(keep(&mut command)?),
        Group::Ours => None,
    };
    let mut child = command.spawn().map_err(Broken::NotStarted)?;
    let said = converse(&mut child, input, most, end);
    let ended = match &said {
        Ok(_) => ends_by(&child, end),
        Err(_) => Ok(false),
    };
    if !matches!(ended, Ok(true)) {
        let _ = match group {
            Group::Own | Group::Kept => {
                killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL)
            }
            Group::Ours => kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL),
        };
    }
    let status = child.wait()?;
    drop(life);
    let (stdout, stderr) = said?;
    if ended? { Ok(Output { status, stdout, stderr }) } else { Err(Broken::Late) }
}

/// The same without input, for a program that says little; one that takes longer is an error of kind
/// [`io::ErrorKind::TimedOut`].
pub(crate) fn output(command: Command, group: Group, time: Duration) -> io::Result<Output> {
    run(command, b"", group, time, MOST).map_err(|broken| match broken {
        Broken::Late => io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {time:?}")),
        Broken::TooMuch => io::Error::other(format!("it says more than {} MiB", MOST >> 20)),
        Broken::NotStarted(err) | Broken::Io(err) => err,
    })
}

fn ends_by(child: &Child, end: Instant) -> io::Result<bool> {
    let ended = pidfd::open(child.id().cast_signed())?;
    pidfd::ends_within(ended.as_fd(), end.saturating_duration_since(Instant::now()))
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It cannot be executed.
    NotStarted(io::Error),
    /// It was not done in time.
    Late,
    /// It said too much.
    TooMuch,
    /// The kernel refuses something.
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(err: io::Error) -> Self {
        Self::Io(err)
    }
}

/// Writes the input, and reads what comes until there is no more. Of the words to a person only the
/// end is kept, where the reason stands.
fn converse(
    child: &mut Child,
    input: &[u8],
    most: usize,
    end: Instant,
) -> Result<(Vec<u8>, Vec<u8>), Broken> {
    let mut stdin = child.stdin.take().filter(|_| !input.is_empty());
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let fds = [stdin.as_ref().map(|it| it.as_fd()), stdout.as_ref().map(|it| it.as_fd())];
    for fd in fds.into_iter().chain([stderr.as_ref().map(|it| it.as_fd())]).flatten() {
        ioctl_fionbio(fd, true).map_err(io::Error::from)?;
    }
    let (mut written, mut output, mut words) = (0, Vec::new(), Vec::new());
    while stdout.is_some() || stderr.is_some() {
        let [writing, reading, listening] = wait(
            [
                stdin.as_ref().map(|it| (it.as_fd(), PollFlags::OUT)),
                stdout.as_ref().map(|it| (it.as_fd(), PollFlags::IN)),
                stderr.as_ref().map(|it| (it.as_fd(), PollFlags::IN)),
            ],
            end,
        )?;
        if writing && let Some(to) = &mut stdin {
            match to.write(&input[written..]) {
                Ok(count) => written += count,
                Err(err) if is_later(&err) => {}
                // It does not want to read all of it; why, its status says.
                Err(_) => written = input.len(),
            }
            if written == input.len() {
                stdin = None;
            }
        }
        if reading && let Some(from) = &mut stdout {
            if !read(from, &mut output)? {
                stdout = None;
            }
            if output.len() > most {
                return Err(Broken::TooMuch);
            }
        }
        if listening && let Some(from) = &mut stderr {
            if !read(from, &mut words)? {
                stderr = None;
            }
            words.drain(..words.len().saturating_sub(WORDS));
        }
    }
    Ok((output, words))
}

/// Which of the three is ready, or over.
fn wait(
    asked: [Option<(BorrowedFd<'_>, PollFlags)>; 3],
    end: Instant,
) -> Result<[bool; 3], Broken> {
    // Who always has something to say is late, too.
    if Instant::now() >= end {
        return Err(Broken::Late);
    }
    let mut fds: Vec<PollFd<'_>> =
        asked.iter().flatten().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    if !ready_by(&mut fds, end)? {
        return Err(Broken::Late);
    }
    let mut told = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(asked.map(|asked| asked.is_some() && told.next().unwrap_or_default()))
}

/// Reads what there is now; `false` when there will be no more.
fn read(from: &mut impl io::Read, to: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    match from.by_ref().read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(count) => {
            to.extend_from_slice(&buffer[..count]);
            Ok(true)
        }
        Err(err) if is_later(&err) => Ok(true),
        Err(err) => Err(err),
    }
}

fn is_later(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    fn shell(script: &str, time: Duration, most: usize) -> Result<Output, Broken> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, b"given", Group::Own, time, most)
    }

    #[test]
    fn more_than_a_pipe_holds_comes_through() {
        let script = "cat; head -c 200000 /dev/zero; head -c 200000 /dev/zero >&2; exit 3";
        let output = shell(script, TIME, 1 << 20).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout.len(), output.stderr.len()), (200_005, WORDS));
    }

    #[test]
    fn who_takes_too_long_or_says_too_much_is_killed_with_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let alive = directory.path().join("alive");
        let script = format!("(sleep 2; touch {}) & sleep 60", alive.display());
        let short = TIME / 50;
        assert!(matches!(shell(&script, short, 1 << 20), Err(Broken::Late)));
        assert!(matches!(shell("yes", TIME, 1 << 20), Err(Broken::TooMuch)));
        // Nobody who was killed closed its output by itself.
        let closed = shell("exec >&- 2>&-; sleep 60", short, 1 << 20);
        assert!(matches!(closed, Err(Broken::Late)));
        std::thread::sleep(Duration::from_secs(2));
        assert!(!alive.exists());
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec sleep 60"]);
        let error = output(command, Group::Ours, TIME / 200).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "no answer in 50ms");
    }

    #[test]
    fn what_cannot_be_executed_is_not_started() {
        let command = Command::new("/nonexistent/program");
        assert!(matches!(run(command, b"", Group::Own, TIME, 1), Err(Broken::NotStarted(_))));
    }
}
