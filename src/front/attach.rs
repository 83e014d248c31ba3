//! `claudebox attach`: shows a running session in this terminal. It must never touch a session
//! that has ended.

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::path::Path;

use super::client::Client;
use super::conclude::conclude;
use super::say;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::log::clock::{age, now};
use crate::session::record::{Mode, Status};
use crate::session::{Found, Sessions, State};
use crate::tmux::{Server, argv};
use crate::visible::visible_path;

/// Attaches to the session that is meant by the beginning of an id, or else to this project's
/// latest; answers with the code to exit with.
pub fn attach(prefix: Option<&str>, host: &Host) -> Result<u8> {
    let found = Sessions::new(&host.dirs).find(prefix, &host.here())?;
    check(&found)?;
    if host.terminal.is_none() || !std::io::stdout().is_terminal() {
        return Err(Error::launcher("attach needs a terminal, and there is none here")
            .hint(format!("`claudebox log --follow {}` shows what runs", found.session.id)));
    }
    if host.environment.contains_key(OsStr::new("TMUX")) {
        say("this is a tmux inside a tmux: type the prefix twice to reach the inner one");
    }
    let socket = found.session.tmux_socket();
    let tmux = found.record.tmux.as_ref().ok_or_else(|| no_tmux(&socket))?;
    let _viewing = found.session.view();
    let server = Server::private(tmux.as_path(), &socket, None, &host.environment);
    let client = Client::open(&server, &argv::attach())?;
    let signal = client.wait()?;
    conclude(&found.session, &server, signal)
}

fn check(Found { session, record, state }: &Found) -> Result<()> {
    let id = &session.id;
    let log = format!("`claudebox log {id}` shows what ran");
    match (state, record.mode) {
        (State::Ended(status), _) => {
            Err(Error::launcher(format!("session {id} {}", how_it_ended(status))).hint(log))
        }
        (State::Crashed, _) => {
            Err(Error::launcher(format!("session {id} crashed: its supervisor was killed"))
                .hint(log))
        }
        (State::Starting | State::Running, Mode::Tmux) => Ok(()),
        (State::Starting | State::Running, Mode::UserTmux | Mode::Terminal) => {
            Err(Error::launcher(format!("session {id} runs in the terminal it was started in"))
                .hint(format!("`claudebox log --follow {id}` shows what runs")))
        }
    }
}

/// On `PATH` the agent may have put another by now.
fn no_tmux(socket: &Path) -> Error {
    Error::launcher("this session was started by an older claudebox, which did not note its tmux")
        .hint(format!("go to it by your own: tmux -S {} attach", visible_path(socket)))
}

fn how_it_ended(status: &Status) -> String {
    let ago = age(now().saturating_sub(status.ended));
    match &status.message {
        Some(message) => format!("could not run, {ago} ago: {message}"),
        None => format!("ended with {}, {ago} ago", status.code),
    }
}
