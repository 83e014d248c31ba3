//! The supervisor: the parent of bwrap. It starts the sandbox, has its execs watched, keeps the
//! log's first and last words, passes signals on, and answers for the end of everything inside.
//! It must never act on the word of something inside, and never end before the sandbox has.
#![forbid(unsafe_code)]

pub mod execs;

mod answers;
mod arguments;
mod begin;
mod beside;
mod cgroup;
mod client;
mod control;
mod devices;
mod events;
mod git;
mod host_files;
mod mirror;
mod network;
mod refusal;
mod rules;
mod scope;
mod serve;
mod signals;
mod spawn;
mod terminal;
mod waiting;

use std::io;
use std::path::Path;
use std::time::Instant;

use self::begin::{Begun, Watched};
use self::beside::Beside;
use self::events::Verdict;
use self::execs::Execs;
use self::host_files::HostFiles;
use self::mirror::Kept;
use self::serve::Running;
use self::signals::Signals;
use self::terminal::Tty;
use crate::error::{Error, Kind, Result, Tried as _};
use crate::log::event::Event;
use crate::log::sink::Sink;
use crate::network::live::Live;
use crate::plan::{ExecLog, PLAN_VERSION, Plan};
use crate::sys::fds;

pub use self::client::{allow, network, shell, synced};
pub use self::control::Allowed;

/// Whose terminal the agent runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// A pane that the supervisor has for itself: there is no shell behind it to return to.
    Own,
    /// The user's, with a shell that waits behind it (`--no-monitor`).
    Users,
}

/// Where a session keeps its things.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its directory below the state directory, mode 0700.
    pub directory: &'a Path,
    /// The directory for its sockets, mode 0700.
    pub runtime: &'a Path,
    /// Whose terminal the agent runs in.
    pub terminal: Terminal,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The code claudebox exits with.
    pub code: u8,
    /// See [`crate::log::event::End::reason`].
    pub reason: String,
    /// How many execs were logged.
    pub execs: u64,
}

/// Runs one session from its first to its last event. Must be called while this process has one
/// thread and no child: it takes over the signals of the first and adopts what its child leaves.
/// From here on nothing that this process has open above standard error passes an exec.
///
/// # Errors
/// When the session could not be started, its agent could not be executed (kinds
/// [`Kind::NotFound`] and [`Kind::CannotExecute`]), or it had to be ended because it could not be
/// logged. The caller leaves word of it: a pane vanishes with what it shows.
pub fn run(plan: &Plan, session: &Session<'_>, sink: Box<dyn Sink>) -> Result<Ended> {
    if plan.version != PLAN_VERSION {
        return Err(Error::launcher("the plan is from another version of claudebox"));
    }
    fds::cloexec_above_stderr().tried(|| "close inherited descriptors")?;
    let signals = Signals::take().tried(|| "take over the signals")?;
    let mut tty = Tty::open(session.terminal);
    let result = observed(plan, session, &signals, &mut tty, sink);
    if let Some(tty) = &mut tty {
        tty.restore();
    }
    result
}

/// From the start of the sandbox to the last line of the log.
fn observed(
    plan: &Plan,
    session: &Session<'_>,
    signals: &Signals,
    tty: &mut Option<Tty>,
    mut sink: Box<dyn Sink>,
) -> Result<Ended> {
    let since = Instant::now();
    let mut first = Some(());
    let mut open_log = || -> io::Result<()> {
        let Some(()) = first.take() else { return Ok(()) };
        sink.write(&Event::Start(events::start(plan, session.id)))?;
        sink.flush()
    };
    let (mut begun, control) =
        match begin::begin(plan, session, signals, tty.as_mut(), &mut open_log) {
            Ok(begun) => begun,
            Err(verdict) => {
                git::not_started(session.directory, session.id);
                // The error that ended the start says more than one of the log's could.
                let opened = open_log();
                let end = Event::End(events::end(&verdict, 0, None));
                let _ = opened.and_then(|()| sink.write(&end)).and_then(|()| sink.flush());
                return ended(verdict, 0);
            }
        };
    let mut host_files = HostFiles::new(session.directory);
    let before = git::Before::look(session.directory, session.id);
    let (pairs, discarded) = (begun.pairs.take(), std::mem::take(&mut begun.discarded));
    let (watched, beside) = match started(plan, begun, signals, sink, |execs| {
        Beside::begin(before.as_ref(), pairs, execs)
    }) {
        Ok(started) => started,
        Err(verdict) => {
            git::not_started(session.directory, session.id);
            return ended(verdict, 0);
        }
    };
    discarded.remove_beside();
    let Watched { sandbox, init, execs, broker, .. } = watched;
    let running = Running {
        plan,
        session: session.id,
        sandbox,
        init,
        execs: &execs,
        signals,
        tty: tty.as_mut(),
        control,
        host_files: &mut host_files,
        network: broker.as_ref().map(|broker| broker as &dyn Live),
    };
    let (verdict, mut sandbox) = running.serve();
    execs.stop();
    // Everything inside is dead. Dropped now, the broker tells of the connections that were open; what
    // the kernel has to take down is the gateway process's affair.
    drop(broker);
    let mirror = beside.end_git();
    // Before the look at the host-executable files: what git tracks is not moved.
    for event in before.iter().flat_map(git::end) {
        execs.note(event);
    }
    for event in host_files.end() {
        execs.note(event);
    }
    for words in mirror.map(Kept::end).unwrap_or_default() {
        execs.note(events::notice("state-not-returned", words));
    }
    let finished = execs.finish(|count| events::end(&verdict, count, Some(since)));
    // It has ended meanwhile.
    let _ = sandbox.reap(serve::DEATH);
    drop(sandbox);
    let execs = match finished {
        Ok(summary) => summary.execs,
        Err(cause) if verdict.is_log_failed() => return Err(log_failed(&cause, session)),
        // The first error says more than one that came of it.
        Err(_) if verdict.error.is_some() || plan.exec_log != ExecLog::Required => 0,
        Err(error) => return Err(error),
    };
    ended(verdict, execs)
}

/// Starts what works beside the agent, and the agent once it is confined.
fn started(
    plan: &Plan,
    begun: Begun,
    signals: &Signals,
    sink: Box<dyn Sink>,
    begin_beside: impl FnOnce(&Execs) -> Result<Beside>,
) -> Result<(Watched, Beside), Verdict> {
    let mut watched = begin::watch(plan, begun, sink)?;
    let beside = match begin_beside(&watched.execs) {
        Ok(beside) => beside,
        Err(error) => return Err(watched.abandon(Verdict::not_started(error))),
    };
    match watched.confined(signals) {
        Ok(()) => {
            watched.proceed();
            Ok((watched, beside))
        }
        Err(verdict) => {
            let verdict = watched.abandon(verdict);
            beside.end_git().map(Kept::end);
            Err(verdict)
        }
    }
}

fn ended(verdict: Verdict, execs: u64) -> Result<Ended> {
    match verdict.error {
        Some(error) => Err(error),
        None => Ok(Ended { code: verdict.code, reason: verdict.reason.to_owned(), execs }),
    }
}

fn log_failed(cause: &Error, session: &Session<'_>) -> Error {
    let directory = crate::visible::visible_path(session.directory);
    Error::launcher(format!("{cause}; the session was ended, for nothing may run unseen"))
        .hint(format!("the log is in {directory}: is there still room?"))
        .hint("a profile with `exec-log = \"best-effort\"` would have gone on without it")
}

/// Which kind of failure an execve(2) of the agent is: what env(1) and a shell say.
fn not_executed(errno: i32) -> Kind {
    match errno {
        libc::ENOENT | libc::ENOTDIR => Kind::NotFound,
        _ => Kind::CannotExecute,
    }
}
