//! The supervisor's frame: runs the sandbox in the agent's pane or in the user's terminal, and
//! leaves word of how it ended. Whatever happens between the hand-over and the end must stand in
//! `status.json`: a pane vanishes with what it shows.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::leftovers;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _, say};
use crate::git::sync::ending;
use crate::host::Host;
use crate::host_files::screen::Screen;
use crate::host_files::settle;
use crate::log::clock::now;
use crate::log::event::Event;
use crate::log::sink::Sink;
use crate::log::writer::{Limits, Writer};
use crate::plan::Plan;
use crate::session::id::Id;
use crate::session::record::{RECORD_VERSION, Status};
use crate::session::{Locks, Session, Sessions, handover, lock};
use crate::supervisor::{self, Ended, Terminal};
use crate::tmux::{Server, argv};
use crate::visible::visible;

/// An agent that ends sooner than this, or with an error, leaves what was on its screen.
const TOO_SOON: Duration = Duration::from_secs(2);

/// The most lines that are kept of a screen.
const LAST_WORDS: usize = 40;

/// The entry of `claudebox __supervise`, the process in the agent's pane.
pub fn supervise(id: &str, host: &Host) -> Result<u8> {
    let unknown = || Error::usage(format!("no session `{}` is waiting", visible(id)));
    let id = Id::parse(id).ok_or_else(unknown)?;
    let sessions = Sessions::new(&host.dirs);
    let session = sessions.get(&id).ok_or_else(unknown)?;
    let tmux = sessions.record(&id).and_then(|record| record.tmux);
    let (mut plan, locks) = handover::take(&session)?;
    know_terminal(&mut plan.inner.env, &host.environment);
    let begun = Instant::now();
    let (mut status, outcome) = run(&session, &plan, Terminal::Own);
    if status.message.is_none() && (begun.elapsed() < TOO_SOON || status.code != 0) {
        status.last_words =
            tmux.map(|tmux| screen(tmux.as_path(), &host.environment)).unwrap_or_default();
    }
    if !session.is_viewed() {
        // Nobody is there who could be asked.
        let _ =
            settle::conclude(&session, None, &mut Screen { out: &mut io::sink(), columns: None });
        ending::see_to(&session).map(|ending| ending::once_more(&session, ending));
    }
    let left_word = finish(&session, &status);
    drop(locks);
    conclude(outcome, left_word)
}

/// Runs a session in the terminal that claudebox itself was started in.
pub(super) fn in_users_terminal(session: &Session, plan: &Plan, locks: Locks) -> Result<u8> {
    let process = std::process::id().to_string();
    let noted = lock::note(&locks.session, &process);
    let (status, outcome) = match noted.tried(|| "note the supervisor of this session") {
        Ok(()) => run(session, plan, Terminal::Users),
        Err(error) => (Status::of_failure(&error, now()), Err(error)),
    };
    let left_word = finish(session, &status);
    // With the locks: no other session begins on what this one left.
    leftovers::see_to(session);
    drop(locks);
    conclude(outcome, left_word)
}

/// How the session ended is what counts, also where word of it could not be left.
fn conclude(outcome: Result<u8>, left_word: Result<()>) -> Result<u8> {
    if let Err(error) = left_word {
        say(error);
    }
    outcome
}

fn run(session: &Session, plan: &Plan, terminal: Terminal) -> (Status, Result<u8>) {
    let log = Writer::create(&session.directory, session.id.as_str(), Limits::default())
        .tried(|| "begin the session's log")
        .map(Log::new);
    let outcome = log.and_then(|log| Ok((launch(session, plan, terminal, log.clone())?, log)));
    match outcome {
        Ok((ended, log)) => (status_of(&ended, &log), Ok(ended.code)),
        Err(error) => (Status::of_failure(&error, now()), Err(error)),
    }
}

fn launch(session: &Session, plan: &Plan, terminal: Terminal, log: Log) -> Result<Ended> {
    let paths = supervisor::Session {
        id: session.id.as_str(),
        directory: &session.directory,
        runtime: &session.runtime,
        terminal,
    };
    supervisor::run(plan, &paths, Box::new(log))
}

fn status_of(ended: &Ended, log: &Log) -> Status {
    let (events, head) = log.writer().head();
    Status {
        v: RECORD_VERSION,
        code: ended.code,
        reason: ended.reason.clone(),
        ended: now(),
        execs: ended.execs,
        events,
        head: Some(head),
        message: None,
        hints: Vec::new(),
        last_words: Vec::new(),
    }
}

/// The status stands before the locks are let go of and before the sockets are gone, so that
/// nobody sees a session that is over and does not say how.
fn finish(session: &Session, status: &Status) -> Result<()> {
    let written = session.write_status(status);
    session.remove_runtime();
    written
}

/// The names under which programs look for their terminal; tmux sets them for its panes.
const TERMINAL_NAMES: [&str; 3] = ["TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION"];

/// The plan was made in the user's terminal; in a pane the terminal is tmux.
fn know_terminal(inner: &mut Vec<(Bytes, Bytes)>, pane: &BTreeMap<OsString, OsString>) {
    inner.retain_mut(|(name, value)| {
        let name = name.as_os_str();
        if TERMINAL_NAMES.iter().all(|terminal| name != *terminal) {
            return true;
        }
        let here = pane.get(name);
        here.inspect(|here| *value = here.as_os_str().into()).is_some()
    });
}

/// What the agent's pane shows, without the blank lines around it; nothing if tmux does not say.
fn screen(tmux: &Path, environment: &BTreeMap<OsString, OsString>) -> Vec<String> {
    let lines = || {
        let pane = environment.get(OsStr::new("TMUX_PANE"))?.to_str()?;
        Server::users(tmux, environment).run(&argv::screen(pane)).ok()
    };
    let text = lines().unwrap_or_default();
    let mut lines: Vec<String> =
        text.lines().map(str::trim_end).skip_while(|line| line.is_empty()).map(visible).collect();
    lines.drain(..lines.len().saturating_sub(LAST_WORDS));
    lines
}

/// The log's writer, shared with the supervisor so that its last hash can be told at the end.
#[derive(Clone)]
struct Log(Arc<Mutex<Writer>>);

impl Log {
    fn new(writer: Writer) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Log {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.writer().write(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    fn shorten(&self) -> bool {
        self.writer().shorten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_pane_the_terminal_is_tmux_and_nothing_else_changes() {
        let mut inner: Vec<(Bytes, Bytes)> =
            [("TERM", "xterm-kitty"), ("TERM_PROGRAM", "iTerm.app"), ("LANG", "C")]
                .map(|(name, value)| (name.into(), value.into()))
                .into();
        let pane = [("TERM", "tmux-256color"), ("LANG", "de_DE"), ("TMUX", "/run/s,1,0")];
        let pane = pane.map(|(name, value)| (name.into(), value.into())).into_iter().collect();
        know_terminal(&mut inner, &pane);
        assert_eq!(inner, [("TERM".into(), "tmux-256color".into()), ("LANG".into(), "C".into())]);
    }
}
