//! What the front end makes of the end of its tmux client: detached, ended, or crashed. Only the
//! session's own status and lock may say which.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{leftovers, say};
use crate::error::{Error, Result, exit};
use crate::session::record::Status;
use crate::session::{Session, Sessions};
use crate::tmux::{Server, argv};
use crate::visible::visible_path;

/// How long a supervisor may take to end everything, once its terminal is gone.
const LIMIT: Duration = Duration::from_secs(10);

/// Tells how the session stands, now that this terminal has left it, and answers with the code to
/// exit with: the agent's, or 0 when it goes on.
pub(super) fn conclude(session: &Session, server: &Server, signal: Option<Signal>) -> Result<u8> {
    let id = &session.id;
    if goes_on(session, server) {
        say(format_args!("detached; `claudebox attach {id}` goes back"));
        let number = signal.and_then(|signal| u8::try_from(signal as i32).ok());
        return Ok(number.map_or(0, |number| exit::SIGNAL_BASE + number));
    }
    let ended = await_end(session);
    end_server(session, server);
    if let Some(status) = session.status() {
        session.remove_runtime();
        let told = tell(session, &status);
        leftovers::see_to(session);
        return told;
    }
    if !ended {
        return Err(Error::launcher(format!(
            "session {id} has lost its terminal and does not end"
        ))
        .hint(format!("`claudebox log {id}` shows what it does")));
    }
    session.remove_runtime();
    leftovers::see_to(session);
    if !session.directory.exists() {
        let directory = visible_path(&session.directory);
        let gone = format!("session {id} was ended: its directory {directory} was removed");
        return Err(Error::launcher(gone)
            .hint("its log was there, and nothing may run unseen")
            .hint("what it left for programs of the host to execute was not looked at: see what is new"));
    }
    Err(Error::launcher(format!("session {id} ended without a word: its supervisor was killed"))
        .hint(format!("everything inside ended with it; `claudebox log {id}` shows what ran")))
}

/// Removes what sessions left behind whose supervisor and front end were killed.
pub(super) fn remove_stale(sessions: Sessions<'_>, environment: &BTreeMap<OsString, OsString>) {
    for session in sessions.stale() {
        if let Some(tmux) = sessions.record(&session.id).and_then(|record| record.tmux) {
            let socket = session.tmux_socket();
            end_server(&session, &Server::private(tmux.as_path(), &socket, None, environment));
        }
        session.remove_runtime();
    }
}

/// Ends the session's tmux server, if it is there: a hook or a plugin may have made it stay.
pub(super) fn end_server(session: &Session, server: &Server) {
    if session.tmux_socket().exists() {
        let _ = server.run(&argv::kill_server());
    }
}

fn goes_on(session: &Session, server: &Server) -> bool {
    session.status().is_none() && session.is_alive() && server.run(&argv::has_session()).is_ok()
}

/// Waits for the end of a session whose pane is gone; `false` if it does not come.
fn await_end(session: &Session) -> bool {
    let end = Instant::now() + LIMIT;
    while session.is_alive() {
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(5));
    }
    true
}

fn tell(session: &Session, status: &Status) -> Result<u8> {
    if let Some(error) = status.failure() {
        return Err(error);
    }
    let mut out = anstream::stderr().lock();
    for line in &status.last_words {
        let _ = writeln!(out, "{line}");
    }
    drop(out);
    say_ended(session, status);
    Ok(status.code)
}

/// Says how the agent ended, and where its commands are now that their pane has gone.
pub(super) fn say_ended(session: &Session, status: &Status) {
    let (id, execs) = (&session.id, status.execs);
    let s = if execs == 1 { "" } else { "s" };
    say(format_args!(
        "the agent ended with {}; `claudebox log {id}` shows its {execs} command{s}",
        status.code
    ));
}
