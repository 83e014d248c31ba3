//! A session in the user's own tmux: the agent runs in the current pane, and only the log pane is
//! opened, and closed at the end. Nothing else of the user's server may be touched.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::conclude::say_ended;
use super::supervise::in_users_terminal;
use super::{Start, no_room, own_command, say};
use crate::error::Result;
use crate::session::Locks;
use crate::tmux::{Server, argv};

/// The pane that claudebox was started in.
pub(super) struct Pane {
    server: Server,
    id: String,
}

/// A pane that is closed when this is dropped.
struct LogPane<'a> {
    server: &'a Server,
    id: String,
}

/// Where the log pane finds sessions. The user's server may have been started with others.
const DIRECTORIES: [&str; 4] = ["HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"];

impl Pane {
    /// The pane of this terminal, if it is one. `$TMUX` alone says little: terminals that were
    /// started from a pane inherit it.
    pub(super) fn find(program: &Path, environment: &BTreeMap<OsString, OsString>) -> Option<Self> {
        environment.get(OsStr::new("TMUX")).filter(|value| !value.is_empty())?;
        let id = environment.get(OsStr::new("TMUX_PANE"))?.to_str()?.to_owned();
        let server = Server::users(program, environment);
        let terminal = server.run(&argv::pane_terminal(&id)).ok()?;
        let ours = nix::unistd::ttyname(std::io::stdin()).ok()?;
        (ours.as_os_str() == OsStr::new(&terminal)).then_some(Self { server, id })
    }
}

/// Runs a session in this pane.
pub(super) fn run(start: &Start<'_>, pane: &Pane, locks: Locks) -> Result<u8> {
    let log = open_log(start, pane).unwrap_or_else(|error| {
        say(format_args!("no log pane: {error}"));
        None
    });
    let outcome = in_users_terminal(start.session, start.plan, locks);
    if log.is_some() && outcome.is_ok() {
        start.session.status().inspect(|status| say_ended(start.session, status));
    }
    drop(log);
    outcome
}

fn open_log<'a>(start: &Start<'_>, pane: &'a Pane) -> Result<Option<LogPane<'a>>> {
    let size = start.host.terminal.unwrap_or_default();
    if let Some(note) = no_room(size) {
        say(note);
        return Ok(None);
    }
    let command = own_command(start.host, &["log", "--follow", start.session.id.as_str()]);
    let side_by_side = argv::side_by_side(start.invocation.split_direction, size);
    let known = |name: &&str| {
        Some((OsString::from(name), start.host.environment.get(OsStr::new(name))?.clone()))
    };
    let environment: Vec<_> = DIRECTORIES.iter().filter_map(known).collect();
    let id = pane.server.run(&argv::split(&pane.id, side_by_side, &environment, &command))?;
    pane.server.run(&argv::title_pane(&id, "commands"))?;
    Ok(Some(LogPane { server: &pane.server, id }))
}

impl Drop for LogPane<'_> {
    fn drop(&mut self) {
        // The user may have closed it.
        let _ = self.server.run(&argv::kill_pane(&self.id));
    }
}
