//! The terminal that the agent runs in: who is in front, and how it is left. A stopped agent is
//! answered as a shell would; in a pane, where no shell waits, it is continued. It must never
//! leave the user's shell behind the agent's dead process group or in raw mode.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Pid, getpgrp};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};

use super::signals::stop_own_group;
use super::{Terminal, answers};

/// The controlling terminal, if there is one.
#[derive(Debug)]
pub(super) struct Tty {
    kind: Terminal,
    fd: OwnedFd,
    /// Our own process group.
    own: Pid,
    /// How it was set when we came.
    before: Termios,
    /// The agent's group was put in front, and we may take the front back.
    given: bool,
}

impl Tty {
    /// Whether this is a pane, with nobody behind it to return to.
    pub(super) fn is_pane(&self) -> bool {
        self.kind == Terminal::Own
    }

    /// `None` without a controlling terminal: then there is nothing to do here.
    pub(super) fn open(kind: Terminal) -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = openat(CWD, "/dev/tty", flags, Mode::empty()).ok()?;
        let before = tcgetattr(&fd).ok()?;
        Some(Self { kind, fd, own: getpgrp(), before, given: false })
    }

    /// Whether the agent starts in front: it would then take what is typed. Not in a pipeline,
    /// whose other programs share our group and may want the terminal, nor in the background; there
    /// it is put in front when it asks.
    pub(super) fn agent_starts_in_front(&mut self) -> bool {
        let whole = io::stdin().is_terminal() && io::stdout().is_terminal();
        self.given = whole && self.in_front(self.own);
        self.given
    }

    /// Answers a stop of the agent; when it returns, the agent is to be continued.
    pub(super) fn agent_stopped(&mut self, agent: Pid, signal: i32) -> io::Result<()> {
        let asks = signal == Signal::SIGTTIN as i32 || signal == Signal::SIGTTOU as i32;
        if self.is_pane() {
            if asks {
                self.give(agent);
            }
            return Ok(());
        }
        if asks && self.in_front(self.own) {
            self.give(agent);
            return Ok(());
        }
        if asks && self.in_front(agent) {
            return Ok(());
        }
        self.suspend(agent)?;
        if asks && !self.in_front(agent) {
            // Nobody stopped us and nobody is there to put us in front: it will ask again.
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Hands the terminal back to the shell, stops, and goes on where the shell lets us.
    fn suspend(&mut self, agent: Pid) -> io::Result<()> {
        // Behind, the terminal is set as somebody else wants it.
        let agents = self.given.then(|| tcgetattr(&self.fd)).transpose()?;
        if self.given {
            self.take_back();
        }
        stop_own_group()?;
        if self.in_front(self.own) {
            // The shell may have set it anew; that is what it is to get back.
            self.before = tcgetattr(&self.fd)?;
            if let Some(agents) = agents {
                tcsetattr(&self.fd, OptionalActions::Drain, &agents)?;
            }
            self.give(agent);
        }
        Ok(())
    }

    fn in_front(&self, group: Pid) -> bool {
        tcgetpgrp(&self.fd).is_ok_and(|front| front == group)
    }

    fn give(&mut self, agent: Pid) {
        self.given = tcsetpgrp(&self.fd, agent).is_ok();
    }

    /// Unread input is thrown away: it was typed for the agent, and a shell would execute it.
    fn take_back(&mut self) {
        let _ = tcsetpgrp(&self.fd, self.own);
        if !self.is_pane() && answers::knows(std::env::var_os("TERM").as_deref()) {
            let _ = answers::throw_away(&self.fd, &self.before);
        }
        let _ = tcsetattr(&self.fd, OptionalActions::Flush, &self.before);
        self.given = false;
    }

    /// Leaves the terminal as it was found.
    pub(super) fn restore(&mut self) {
        if self.given {
            self.take_back();
        }
    }
}
