//! The tmux client in the user's terminal, as a child. It must never outlive the front end: two
//! programs would then read one terminal.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Child;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::terminal::Before;
use crate::error::{Result, Tried as _};
use crate::sys::pidfd;
use crate::tmux::Server;
use crate::tmux::argv::Words;
use crate::tmux::process;

/// Signals that end the front end; a viewer that is told to leave detaches.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// A tmux client that has this terminal.
pub(super) struct Client {
    child: Child,
    signals: SignalFd,
    before: Before,
    /// Readable when the client has ended.
    pub(super) ended: OwnedFd,
}

impl Client {
    /// Starts the client. From here on the ending signals are its.
    pub(super) fn open(server: &Server, words: &Words) -> Result<Self> {
        let mut mask = SigSet::from_iter(ENDING);
        mask.add(Signal::SIGCHLD);
        mask.thread_block().tried(|| "block signals")?;
        let signals =
            SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC).tried(|| "await signals")?;
        let before = Before::look();
        let child = server.open(words)?;
        let ended = pidfd::open(child.id().cast_signed()).tried(|| "watch the tmux client")?;
        Ok(Self { child, signals, before, ended })
    }

    /// Waits until the client is gone; answers with the signal that the front end got, if any.
    pub(super) fn wait(mut self) -> Result<Option<Signal>> {
        let mut ended_by = None;
        while !self.is_over().tried(|| "wait for the tmux client")? {
            let got = self.signals.read_signal().tried(|| "await signals")?;
            let signal = got.and_then(|got| Signal::try_from(got.ssi_signo.cast_signed()).ok());
            if let Some(signal) = signal.filter(|signal| ENDING.contains(signal)) {
                ended_by.get_or_insert(signal);
                let _ = kill(self.pid(), Signal::SIGTERM);
            }
        }
        self.before.put_right();
        Ok(ended_by)
    }

    /// Ends the client at once.
    pub(super) fn close(mut self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let patience = std::time::Duration::from_secs(1);
        if !matches!(process::wait_for_any(&[self.ended.as_fd()], patience), Ok(Some(_))) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        self.before.put_right();
    }

    fn is_over(&mut self) -> io::Result<bool> {
        match waitpid(self.pid(), Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Stopped(..)) => {
                self.stop_with_it()?;
                Ok(false)
            }
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => Ok(true),
            Ok(_) | Err(Errno::EINTR) => Ok(false),
            Err(err) => Err(err.into()),
        }
    }

    /// tmux's suspend-client stops only itself, and the shell waits for the front end.
    fn stop_with_it(&self) -> io::Result<()> {
        raise(Signal::SIGSTOP)?;
        let _ = kill(self.pid(), Signal::SIGCONT);
        Ok(())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}
