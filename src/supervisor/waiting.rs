//! From a bwrap that was started to an inner stage that is ready, and in its scope; or to what stood
//! against it. It must never wait for one thing only: bwrap may end, and the user may.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::events::Verdict;
use super::refusal::{self, Userns};
use super::scope::Joining;
use super::signals::Signals;
use super::spawn::Sandbox;
use crate::error::Error;
use crate::sandbox::inner::handshake::{Observed, Ready, Report};
use crate::sys::channel::Received;
use crate::sys::pidfd;

/// How long bwrap and the inner stage may take. Only a machine that hangs takes this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Why a sandbox did not begin.
pub(super) struct Failed {
    pub(super) verdict: Verdict,
    /// It may begin without its group, and nothing of it has run.
    pub(super) for_group: bool,
}

impl From<Verdict> for Failed {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, for_group: false }
    }
}

impl Failed {
    pub(super) fn for_group(error: Error) -> Self {
        Self { verdict: Verdict::not_started(error), for_group: true }
    }
}

/// What of the inner stage's words is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heed {
    /// Each.
    Words,
    /// What it has left when it has ended.
    LastWords,
}

/// A sandbox that is not ready yet.
pub(super) struct Waiting<'a> {
    sandbox: &'a Sandbox,
    signals: &'a Signals,
    deadline: Instant,
    /// Its way into a scope, if it has one.
    joining: Option<Joining>,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(
        sandbox: &'a Sandbox,
        signals: &'a Signals,
        joining: Option<Joining>,
    ) -> Self {
        Self { sandbox, signals, deadline: Instant::now() + PATIENCE, joining }
    }

    /// Waits until the inner stage has handed over what there is to observe it with, and is in its scope.
    pub(super) fn observed(mut self) -> Result<(Observed, Vec<OwnedFd>, Option<i32>), Failed> {
        let received = self.message()?;
        let Report::Observed(observed) = received.message else {
            return Err(not_expected(received.message));
        };
        self.joined(received.pid)?;
        Ok((observed, received.fds, received.pid))
    }

    /// Waits until everything is in force.
    pub(super) fn ready(mut self) -> Result<Ready, Verdict> {
        let ready = self.message().and_then(|received| match received.message {
            Report::Ready(ready) => Ok(ready),
            other => Err(not_expected(other)),
        });
        ready.map_err(|failed| failed.verdict)
    }

    fn message(&mut self) -> Result<Received<Report>, Failed> {
        loop {
            if let Some(received) = self.next(Heed::Words)? {
                return Ok(received);
            }
        }
    }

    /// Waits until the sandbox is in its scope. Of its processes only pid 1 lives now; what it says is for
    /// later, unless it has ended.
    fn joined(&mut self, init: Option<i32>) -> Result<(), Failed> {
        while self.joining.as_ref().is_some_and(|joining| !joining.is_over()) {
            if let Some(last) = self.next(Heed::LastWords)? {
                return Err(not_expected(last.message));
            }
        }
        let Some(joining) = &self.joining else { return Ok(()) };
        joining.check(init).map_err(Failed::for_group)
    }

    /// The next message, unless the start is over first; `None` when it came nearer to its scope.
    fn next(&mut self, heed: Heed) -> Result<Option<Received<Report>>, Failed> {
        let not_started = |err: io::Error| {
            Verdict::not_started(Error::launcher(format!("cannot talk to the inner stage: {err}")))
        };
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let pause = self.joining.as_ref().and_then(Joining::pause);
            let timeout = Timespec::try_from(pause.map_or(left, |pause| pause.min(left)))
                .map_err(|err| not_started(io::Error::other(err)))?;
            let (inner, bwrap) = (self.sandbox.inner.as_fd(), self.sandbox.pidfd());
            let joining = self.joining.as_ref().and_then(Joining::event);
            let talks = (heed == Heed::Words).then_some(inner);
            let mut ready: Vec<PollFd<'_>> = [self.signals.as_fd(), bwrap]
                .into_iter()
                .chain(joining)
                .chain(talks)
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .collect();
            let count = match poll(&mut ready, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other.map_err(|err| not_started(err.into()))?,
            };
            let is_ready =
                |index: usize| ready.get(index).is_some_and(|fd| !fd.revents().is_empty());
            let [signal, ended] = [0, 1].map(is_ready);
            let step = joining.is_some() && is_ready(2);
            let message = talks.is_some() && is_ready(ready.len() - 1)
                || ended && has_said_something(inner).map_err(not_started)?;
            if count == 0 && left.is_zero() {
                let words = "the sandbox was not ready within 30 s";
                return Err(Verdict::not_started(Error::launcher(words)).into());
            }
            if signal
                && let Some(signal) = self.signals.next().map_err(not_started)?
                && signal != Signal::SIGTSTP
            {
                return Err(Verdict::terminated(signal as i32).into());
            }
            if message {
                return match self.sandbox.inner.receive().map_err(not_started)? {
                    Some(received) => Ok(Some(received)),
                    None => Err(Verdict::not_started(broken_off(self.sandbox)).into()),
                };
            }
            // A bwrap that was killed can leave a child that waits for it and holds the socket open.
            if ended {
                return Err(Verdict::not_started(broken_off(self.sandbox)).into());
            }
            if (step || count == 0)
                && let Some(joining) = &mut self.joining
            {
                joining.step().map_err(Failed::for_group)?;
                return Ok(None);
            }
        }
    }
}

/// What the inner stage said in place of what was waited for.
fn not_expected(report: Report) -> Failed {
    let error = match report {
        Report::Failed { message, hints } => {
            hints.into_iter().fold(Error::launcher(message), Error::hint)
        }
        other => Error::launcher(format!("the inner stage said {other:?} too early")),
    };
    Verdict::not_started(error).into()
}

/// Why a start failed that could not go on: who looks at an inner stage that has just failed sees only that
/// it is gone, and what it said of it says more.
pub(super) fn failed(sandbox: &Sandbox, error: Error) -> Verdict {
    let said = has_said_something(sandbox.inner.as_fd())
        .and_then(|said| if said { sandbox.inner.receive::<Report>() } else { Ok(None) });
    match said {
        Ok(Some(Received { message: report @ Report::Failed { .. }, .. })) => {
            not_expected(report).verdict
        }
        _ => Verdict::not_started(error),
    }
}

/// Whether there is a message, or the end of all.
fn has_said_something(inner: BorrowedFd<'_>) -> io::Result<bool> {
    let mut ready = [PollFd::from_borrowed_fd(inner, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut ready, Some(&at_once))? > 0)
}

/// bwrap or the inner stage ended before it was ready: what did they say?
fn broken_off(sandbox: &Sandbox) -> Error {
    // The socket closes a moment before the process that held it has written its last words.
    let _ = pidfd::ends_within(sandbox.pidfd(), Duration::from_secs(5));
    refusal::explain(&sandbox.words(), Userns::read())
}
