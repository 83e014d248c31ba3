//! What sessions leave behind for programs of the host to execute: who sees to it, and whether there is
//! a person to ask. It must never change the exit code: that is the agent's.

use std::io::{IsTerminal as _, StdinLock};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::termios::{QueueSelector, tcflush};

use super::say;
use crate::bytes::Bytes;
use crate::error::{self, Error, Result};
use crate::git::sync::ending;
use crate::host::Host;
use crate::host_files::ask::{Dialogue, Person};
use crate::host_files::screen::{self, Screen};
use crate::host_files::settle::{self, Settled};
use crate::session::inside::{self, Inside};
use crate::session::{Session, Sessions};

/// Sees to a session that has just ended in this terminal.
pub(super) fn see_to(session: &Session) {
    // First: what git tracks is not moved. Again: what was moved may have held something.
    let ending = ending::see_to(session);
    host_files(session);
    if let Some(ending) = ending {
        let ending = ending::once_more(session, ending);
        ending::tell(session.id.as_str(), &ending, &mut anstream::stderr());
    }
}

fn host_files(session: &Session) {
    let mut person = person();
    let person = person.as_mut().map(|person| person as &mut dyn Person);
    match settle::conclude(session, person, &mut Screen::stderr(&mut anstream::stderr())) {
        Ok(Settled::Done) => {}
        Ok(Settled::Busy) => say(format_args!(
            "what session {} left behind is not seen to yet; the next claudebox command does it",
            session.id
        )),
        Err(error) => error::report(&error),
    }
}

/// Sees to sessions whose supervisor and front end were both killed.
pub fn see_to_pending(host: &Host) {
    for session in Sessions::new(&host.dirs).pending() {
        if inside::wait(&session.directory, Duration::ZERO) != Inside::Never {
            say(format_args!("session {} ended without seeing to what it left behind", session.id));
        }
        see_to(&session);
    }
}

/// A session must not begin on what an earlier one left: it would take it for what was there.
pub(super) fn refuse_pending(sessions: Sessions<'_>, project: &Bytes) -> Result<()> {
    let here = |session: &Session| {
        sessions.record(&session.id).is_some_and(|record| record.project == *project)
    };
    let Some(session) = sessions.pending().into_iter().find(here) else { return Ok(()) };
    let id = &session.id;
    Err(Error::launcher(format!(
        "what session {id} left behind in this project for the host to execute is not seen to yet"
    ))
    .hint("answer the question in its terminal, or wait until all of it has ended"))
}

/// Somebody who can read the question and answer it.
fn person() -> Option<Dialogue<StdinLock<'static>, anstream::AutoStream<std::io::Stderr>>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    // A tmux client had the terminal, and the signals were for it.
    let ending = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
    let _ = SigSet::from_iter(ending).thread_unblock();
    // What was typed was typed for the agent, or by the terminal itself.
    let _ = tcflush(std::io::stdin(), QueueSelector::IFlush);
    Some(Dialogue::new(std::io::stdin().lock(), anstream::stderr(), screen::columns()))
}
