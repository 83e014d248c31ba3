//! The session while the agent runs: one loop over everything that can happen, until the agent
//! has ended and all that was inside is dead. It must never wait for anything else (the broker has a
//! second to answer a person's question about the network), and never answer with another code than the agent's where the agent has one.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

use super::begin::Init;
use super::control::{Control, Request};
use super::events::{self, Verdict};
use super::execs::Execs;
use super::git;
use super::host_files::HostFiles;
use super::rules;
use super::signals::Signals;
use super::spawn::Sandbox;
use super::terminal::Tty;
use crate::error::Error;
use crate::network::live::Live;
use crate::plan::{ExecLog, Plan};
use crate::sandbox::inner::handshake::{Order, Report, Status, Whom};
use crate::sys::channel::Received;
use crate::sys::pidfd::ends_within;
use crate::visible::visible;

/// How long an agent that was asked to end may take.
const GRACE: Duration = Duration::from_secs(5);
/// How long the kernel may take to end what was killed.
pub(super) const DEATH: Duration = Duration::from_secs(10);

/// A session with a running agent.
pub(super) struct Running<'a> {
    pub(super) plan: &'a Plan,
    /// Its id.
    pub(super) session: &'a str,
    pub(super) sandbox: Sandbox,
    pub(super) init: Init,
    pub(super) execs: &'a Execs,
    pub(super) signals: &'a Signals,
    pub(super) tty: Option<&'a mut Tty>,
    pub(super) control: Control,
    pub(super) host_files: &'a mut HostFiles,
    /// The broker, where the network goes by rules.
    pub(super) network: Option<&'a dyn Live>,
}

/// What is known of the agent so far.
#[derive(Default)]
struct Agent {
    /// Its process, and its process group, as seen from here.
    group: Option<Pid>,
    /// Why it could not be executed.
    errno: Option<i32>,
    /// It was asked to end by this signal, and will be made to at this time.
    asked: Option<(Signal, Instant)>,
}

/// One thing that happened.
enum Wake {
    Report(Received<Report>),
    /// The inner stage is gone.
    Gone,
    Signal(Signal),
    LogFailed,
    Knock,
    Client(u64),
    /// Something happened to host-executable files.
    HostFiles,
    /// It is time to watch them.
    WatchHostFiles,
    /// The agent's time is over.
    Late,
}

impl Running<'_> {
    /// Serves to the end. When it returns, nothing lives inside; bwrap, which follows, is still to be
    /// reaped.
    pub(super) fn serve(mut self) -> (Verdict, Sandbox) {
        let verdict = self.until_the_end();
        self.execs.hurry();
        if verdict.leaves_it_running() {
            self.sandbox.kill();
        }
        // It exits by itself when the agent has; where it does not, bwrap's death is its own.
        if !ends_within(self.init.pidfd.as_fd(), DEATH).unwrap_or(false) {
            self.sandbox.kill();
            let _ = ends_within(self.init.pidfd.as_fd(), DEATH);
        }
        (verdict, self.sandbox)
    }

    fn until_the_end(&mut self) -> Verdict {
        let mut agent = Agent::default();
        let mut watch_log = true;
        loop {
            let wake = match self.next(agent.asked.map(|(_, end)| end), watch_log) {
                Ok(wake) => wake,
                Err(err) => {
                    let error = Error::launcher(format!("cannot watch the session: {err}"));
                    return Verdict::given_up(error);
                }
            };
            let over = match wake {
                Wake::Report(report) => self.reported(&mut agent, report),
                Wake::Gone => Some(Verdict::sandbox_killed()),
                Wake::Signal(signal) => {
                    self.signaled(&mut agent, signal);
                    None
                }
                Wake::LogFailed => {
                    watch_log = false;
                    self.log_failed()
                }
                Wake::Knock => {
                    // A client that is gone again is no concern of the session's.
                    let _ = self.control.accept();
                    None
                }
                Wake::Client(id) => {
                    self.client(id);
                    None
                }
                Wake::HostFiles => {
                    self.host_files.read().into_iter().for_each(|event| self.execs.note(event));
                    None
                }
                Wake::WatchHostFiles => {
                    self.host_files.begin().into_iter().for_each(|event| self.execs.note(event));
                    None
                }
                Wake::Late => agent.asked.map(|(signal, _)| Verdict::terminated(signal as i32)),
            };
            if let Some(verdict) = over {
                return verdict;
            }
        }
    }

    /// Waits for the next thing. What the inner stage said comes before its end.
    fn next(&self, deadline: Option<Instant>, watch_log: bool) -> io::Result<Wake> {
        loop {
            let begins = self.host_files.begins();
            let now = Instant::now();
            // Before what else there is: an agent can see to it that there is always something.
            if deadline.is_some_and(|end| end <= now) {
                return Ok(Wake::Late);
            }
            if begins.is_some_and(|begins| begins <= now) {
                return Ok(Wake::WatchHostFiles);
            }
            let timeout = deadline.into_iter().chain(begins).min().map(until).transpose()?;
            let clients: Vec<(u64, BorrowedFd<'_>)> = self.control.clients().collect();
            // Signals first: only what is outside sends them.
            let fixed = [
                self.signals.as_fd(),
                self.sandbox.inner.as_fd(),
                self.sandbox.pidfd(),
                self.control.listener(),
                self.execs.failure(),
            ];
            let fixed = &fixed[..if watch_log { 5 } else { 4 }];
            let host_files = self.host_files.fd();
            let clients_end = fixed.len() + clients.len();
            let all = fixed.iter().chain(clients.iter().map(|(_, fd)| fd)).chain(&host_files);
            let mut ready: Vec<PollFd<'_>> =
                all.map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
            match poll(&mut ready, timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) | Ok(0) => continue,
                other => other?,
            };
            let first = ready.iter().position(|fd| !fd.revents().is_empty());
            match first {
                Some(0) => {
                    if let Some(signal) = self.signals.next()? {
                        return Ok(Wake::Signal(signal));
                    }
                }
                Some(1) => {
                    let received = self.sandbox.inner.receive()?;
                    return Ok(received.map_or(Wake::Gone, Wake::Report));
                }
                Some(2) => return Ok(Wake::Gone),
                Some(3) => return Ok(Wake::Knock),
                Some(4) if watch_log => return Ok(Wake::LogFailed),
                Some(index) if index >= clients_end => return Ok(Wake::HostFiles),
                Some(index) => return Ok(Wake::Client(clients[index - fixed.len()].0)),
                None => {}
            }
        }
    }

    /// What the inner stage reports. A verdict ends the session.
    fn reported(&mut self, agent: &mut Agent, report: Received<Report>) -> Option<Verdict> {
        match report.message {
            Report::Started => agent.group = report.pid.and_then(Pid::from_raw),
            Report::NotExecuted { errno } => agent.errno = Some(errno),
            Report::Stopped { signal } => self.stopped(agent, signal),
            Report::ShellEnded { id, status } => self.control.ended(id, status),
            Report::Ended(status) => return Some(self.ended(agent, status)),
            Report::Failed { message, .. } => {
                return Some(Verdict::given_up(Error::launcher(message)));
            }
            // Of the start, and waited for there.
            Report::Observed(_) | Report::Ready(_) => {}
        }
        None
    }

    fn ended(&self, agent: &Agent, status: Status) -> Verdict {
        let Some(errno) = agent.errno else { return Verdict::ended(status) };
        let program = visible(&self.plan.inner.program);
        let why = nix::errno::Errno::from_raw(errno).desc();
        let kind = super::not_executed(errno);
        let error = Error::new(kind, format!("cannot execute {program} inside: {why}"));
        Verdict::not_executed(match errno {
            libc::ENOENT => error.hint("it, or the interpreter it names, is not visible inside"),
            libc::ENOEXEC => {
                error.hint("it is neither a program for this machine nor a script with a `#!` line")
            }
            _ => error,
        })
    }

    /// Lets the terminal decide how long the agent stays stopped.
    fn stopped(&mut self, agent: &Agent, signal: i32) {
        if let (Some(tty), Some(group)) = (self.tty.as_mut(), agent.group) {
            // Without a terminal to return to, there is nothing to wait for.
            let _ = tty.agent_stopped(group, signal);
        }
        self.signal(Whom::Agent, Signal::SIGCONT);
    }

    fn signaled(&mut self, agent: &mut Agent, signal: Signal) {
        match signal {
            // A request to end. Who does not follow it is made to.
            Signal::SIGTERM | Signal::SIGHUP => {
                agent.asked.get_or_insert((signal, Instant::now() + GRACE));
                let name = signal.as_str();
                self.execs.note(events::notice("signal", format!("{name} passed on to the agent")));
                self.signal(Whom::Agent, signal);
            }
            // In a pane there is nobody who could continue it.
            Signal::SIGTSTP if self.tty.as_ref().is_none_or(|tty| tty.is_pane()) => {}
            // Typed while the agent is not in front. An agent may answer SIGINT by going on.
            _ => self.signal(Whom::Agent, signal),
        }
    }

    fn signal(&self, whom: Whom, signal: Signal) {
        // If the inner stage is gone, the loop is about to see it.
        let _ = self.sandbox.inner.send(&Order::Signal { whom, signal: signal as i32 }, &[]);
    }

    fn log_failed(&self) -> Option<Verdict> {
        // The cause is known when the log's own thread has ended.
        (self.plan.exec_log == ExecLog::Required)
            .then(|| Verdict::log_failed(Error::launcher("the log cannot be written any more")))
    }

    /// A client asks for something, or a pane whose shell runs was closed.
    fn client(&mut self, id: u64) {
        let Some(asked) = self.control.receive(id) else {
            self.signal(Whom::Shell(id), Signal::SIGHUP);
            return;
        };
        match asked.message {
            Request::Shell => self.open_shell(id, &asked.fds),
            Request::Allow { said, rules, origin } => {
                let wanted = rules::Wanted { said: &said, rules: &rules, origin: &origin };
                let answer = rules::allow(self.network, &self.plan.network, wanted);
                self.control.answer(id, &answer, &[]);
            }
            Request::Network => {
                let (answer, file) = rules::tell(self.network, &self.plan.network);
                let fds: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
                self.control.answer(id, &answer, &fds);
            }
            Request::Synced => {
                let (answer, events) = git::synced(self.session, asked.fds);
                for event in events {
                    self.execs.note(event);
                }
                self.control.answer(id, &answer, &[]);
            }
        }
    }

    fn open_shell(&mut self, id: u64, fds: &[OwnedFd]) {
        let Some(terminal) = fds.first() else { return };
        if self.sandbox.inner.send(&Order::Shell { id }, &[terminal.as_fd()]).is_ok() {
            let words = "a shell was opened inside by the user";
            self.execs.note(events::notice("shell-opened", words));
        } else {
            // What runs inside is the same user to the kernel, and may have as many descriptors on
            // their way as the user is granted (ETOOMANYREFS).
            self.control.ended(id, Status::Exited(crate::error::exit::LAUNCHER));
        }
    }
}

fn until(end: Instant) -> io::Result<Timespec> {
    Timespec::try_from(end.saturating_duration_since(Instant::now())).map_err(io::Error::other)
}
