//! pid 1 inside: starts the agent, reaps, reports and obeys the supervisor. When the agent ends,
//! or the supervisor is gone, or anything here fails, it exits, and the kernel ends everything
//! inside with it (`pid_namespaces(7)`). Nothing inside can reach it: signals to the init of a
//! namespace need a handler there, and it has none. It must never wait for anything but these:
//! the supervisor's two sockets and its children.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, WaitStatus};

use super::child::{self, Program};
use super::handshake::{Order, Report, Status, Whom};
use super::sockets::Sockets;
use crate::sys::channel::Channel;
use crate::sys::process::SingleThreaded;
use crate::sys::signals;

/// The init, once the agent runs.
pub(super) struct Init {
    single: SingleThreaded,
    supervisor: Channel,
    /// `None` where nobody asks for sockets.
    sockets: Option<Sockets>,
    children: SignalFd,
    shell: Program,
    agent: Pid,
    shells: BTreeMap<Pid, u64>,
    /// The supervisor was told that the agent is stopped, and has not answered yet. One word is enough:
    /// whoever stops and continues it a thousand times would fill the socket, and have each of us
    /// wait for the other.
    told_stopped: bool,
}

/// Changes of children that are taken at once: whoever makes orphans without end shall not keep the
/// supervisor's words from being read.
const AT_ONCE: usize = 64;

/// What there is of changes of children.
#[derive(Debug, PartialEq, Eq)]
enum Changes {
    /// The agent has ended.
    AgentEnded,
    /// None is left.
    Taken,
    /// There may be more.
    More,
}

impl Init {
    /// Starts the agent.
    pub(super) fn start(
        single: SingleThreaded,
        supervisor: Channel,
        sockets: Option<Sockets>,
        agent: &Program,
        shell: Program,
        foreground: bool,
    ) -> io::Result<Self> {
        signals::ignore_all_but_child()?;
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
        let children = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let agent = single.child(|| child::agent(agent, foreground, &supervisor))?;
        let (shells, told_stopped) = (BTreeMap::new(), false);
        Ok(Self { single, supervisor, sockets, children, shell, agent, shells, told_stopped })
    }

    /// Serves until the agent has ended or the supervisor is gone.
    pub(super) fn serve(mut self) -> io::Result<()> {
        let mut changes = Changes::Taken;
        loop {
            let mut ready = vec![
                PollFd::new(&self.supervisor, PollFlags::IN),
                PollFd::new(&self.children, PollFlags::IN),
            ];
            ready.extend(self.sockets.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            let more = changes == Changes::More;
            match poll(&mut ready, more.then_some(&at_once)) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            let is_ready = |at: usize| ready.get(at).is_some_and(|fd| !fd.revents().is_empty());
            let (orders, children, sockets) = (is_ready(0), is_ready(1), is_ready(2));
            if children || more {
                changes = self.reap()?;
            }
            if changes == Changes::AgentEnded {
                return Ok(());
            }
            if orders && !self.obey()? {
                return Ok(());
            }
            // Who asks for sockets may be gone before the supervisor is.
            if sockets && !self.sockets.as_ref().is_some_and(|it| it.answer().unwrap_or(false)) {
                self.sockets = None;
            }
        }
    }

    /// Takes the changes of children.
    fn reap(&mut self) -> io::Result<Changes> {
        while self.children.read_signal()?.is_some() {}
        for _ in 0..AT_ONCE {
            match rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((pid, status))) => {
                    if self.changed(Pid::from_raw(pid.as_raw_nonzero().get()), status)? {
                        return Ok(Changes::AgentEnded);
                    }
                }
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(Changes::Taken),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Changes::More)
    }

    /// One child changed. Orphans of the sandbox are only reaped.
    fn changed(&mut self, pid: Pid, change: WaitStatus) -> io::Result<bool> {
        if let Some(signal) = change.stopping_signal() {
            if pid == self.agent {
                if !self.told_stopped {
                    self.told_stopped = true;
                    self.supervisor.send(&Report::Stopped { signal }, &[])?;
                }
            } else if self.shells.contains_key(&pid) {
                // A session leader in a pane has nobody above it who could continue it.
                signal_group(pid, libc::SIGCONT);
            }
            return Ok(false);
        }
        let Some(status) = ended(change) else { return Ok(false) };
        if pid == self.agent {
            self.supervisor.send(&Report::Ended(status), &[])?;
            return Ok(true);
        }
        if let Some(id) = self.shells.remove(&pid) {
            self.supervisor.send(&Report::ShellEnded { id, status }, &[])?;
        }
        Ok(false)
    }

    /// Carries out one order; answers whether there is still a supervisor.
    fn obey(&mut self) -> io::Result<bool> {
        let Some(order) = self.supervisor.receive::<Order>()? else { return Ok(false) };
        match order.message {
            // Of the start, and answered there.
            Order::Observe(_) | Order::Proceed => {}
            Order::Signal { whom, signal } => {
                if whom == Whom::Agent && signal == libc::SIGCONT {
                    self.told_stopped = false;
                }
                if let Some(leader) = self.leader(whom) {
                    signal_group(leader, signal);
                }
            }
            Order::Shell { id } => self.open_shell(id, order.fds.into_iter().next())?,
        }
        Ok(true)
    }

    fn leader(&self, whom: Whom) -> Option<Pid> {
        match whom {
            Whom::Agent => Some(self.agent),
            Whom::Shell(id) => {
                self.shells.iter().find(|(_, shell)| **shell == id).map(|(pid, _)| *pid)
            }
        }
    }

    fn open_shell(&mut self, id: u64, terminal: Option<OwnedFd>) -> io::Result<()> {
        let terminal = terminal.ok_or_else(|| io::Error::other("no terminal for the shell"))?;
        // A copy: whoever stops it before its exec must not stop us. (Nothing foreign runs yet where
        // the agent is started.)
        if let Ok(pid) = self.single.copy(|| child::shell(&self.shell, &terminal)) {
            self.shells.insert(pid, id);
            return Ok(());
        }
        // What runs inside may have used up the processes: the session goes on without a shell.
        let status = Status::Exited(crate::error::exit::CANNOT_EXECUTE);
        self.supervisor.send(&Report::ShellEnded { id, status }, &[])
    }
}

/// A group that has just ended is no failure. Its number cannot belong to another: only this
/// process reaps the leader.
fn signal_group(leader: Pid, signal: i32) {
    let group = rustix::process::Pid::from_raw(leader.as_raw());
    if let (Some(group), Some(signal)) = (group, rustix::process::Signal::from_named_raw(signal)) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

fn ended(change: WaitStatus) -> Option<Status> {
    let byte = |number: i32| u8::try_from(number).ok();
    let signaled = || change.terminating_signal().and_then(byte).map(Status::Signaled);
    change.exit_status().and_then(byte).map(Status::Exited).or_else(signaled)
}
