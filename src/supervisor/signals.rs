//! The signals that the supervisor answers to, read as messages. It must never die of one with
//! the sandbox still running and the terminal not restored.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Read from the descriptor.
const READ: [Signal; 5] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGTSTP];

/// Only held off: who blocks SIGTTOU may set the terminal's foreground group from behind it, and
/// with SIGTTIN blocked a read from behind is an error and not a stop.
const HELD: [Signal; 2] = [Signal::SIGTTIN, Signal::SIGTTOU];

/// The signals of this thread and all it starts later, until dropped.
#[derive(Debug)]
pub(super) struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    pub(super) fn take() -> io::Result<Self> {
        let read: SigSet = READ.into_iter().collect();
        let blocked: SigSet = READ.into_iter().chain(HELD).collect();
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut before))?;
        let fd = SignalFd::with_flags(&read, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd, before })
    }

    /// The next one that is waiting.
    pub(super) fn next(&self) -> io::Result<Option<Signal>> {
        let Some(info) = self.fd.read_signal()? else { return Ok(None) };
        Ok(i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What came last and was not read would now end us, just before our own end.
        while let Ok(Some(_)) = self.next() {}
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

/// Stops this process and its whole group, as Ctrl-Z does with a job, and returns when somebody
/// continues it; at once where there is nobody (an orphaned group is not stopped, setpgid(2)).
pub(super) fn stop_own_group() -> io::Result<()> {
    let stop: SigSet = [Signal::SIGTSTP].into_iter().collect();
    pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&stop), None)?;
    let sent = nix::sys::signal::kill(nix::unistd::Pid::from_raw(0), Signal::SIGTSTP);
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&stop), None)?;
    Ok(sent?)
}
