//! A session in a tmux server of its own: the agent's pane, the log beside it, and this terminal
//! attached to both. The order matters: the plan is given away only when everything stands and the
//! terminal is attached, so that an agent that ends at once is still seen, and one whose terminal
//! cannot be opened never starts.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use super::client::Client;
use super::conclude::{conclude, end_server};
use super::{Size, Start, leftovers, no_room, own_command, say};
use crate::error::{Error, Result, Tried as _};
use crate::log::clock::now;
use crate::session::handover::Offer;
use crate::session::record::Status;
use crate::session::{Locks, Session};
use crate::sys::pidfd;
use crate::tmux::config::{self, Facts};
use crate::tmux::version::Support;
use crate::tmux::{Program, Server, argv, process, terminfo};
use crate::visible::{visible, visible_path};

/// How long the terminal and the supervisor may take to appear.
const LIMIT: Duration = Duration::from_secs(10);

/// What there is to tell the user. It is told when tmux has left the terminal: of what was printed just
/// before it comes, it throws away what is still on its way there (tcflush(3), `TCOFLUSH`), and hides the
/// rest.
type Notes = Vec<String>;

/// Runs a session until it ends or is detached from.
pub(super) fn run(start: &Start<'_>, program: &Program, size: Size, locks: Locks) -> Result<u8> {
    let mut notes = Notes::new();
    if program.support == Support::Passthrough {
        notes.push("tmux 3.2 lets programs write to your terminal past it; 3.3 does not".into());
    }
    let _viewing = start.session.view();
    let socket = start.session.tmux_socket();
    let config = before_path(start.session);
    let server = Server::private(program.path(), &socket, Some(&config), &start.host.environment);
    let left = open(start, &server, size, locks, &mut notes).map(Client::wait);
    notes.iter().for_each(say);
    match left {
        Ok(signal) => conclude(start.session, &server, signal?),
        Err(error) => {
            abandon(start.session, &server, &error);
            Err(error)
        }
    }
}

fn open(
    start: &Start<'_>,
    server: &Server,
    size: Size,
    locks: Locks,
    notes: &mut Notes,
) -> Result<Client> {
    let offer = Offer::open(start.session)?;
    lay_out(start, server, size, notes)?;
    let mut waiter = server.start(&argv::wait_attached())?;
    let opened = Client::open(server, &argv::attach_and_report());
    let opened = opened.and_then(|client| match hand_over(start, &client, &waiter, offer, locks) {
        Ok(()) => Ok(client),
        Err(error) => {
            client.close();
            Err(error)
        }
    });
    let _ = waiter.kill();
    let _ = waiter.wait();
    opened
}

/// Makes the panes, with the agent's still waiting for its plan.
fn lay_out(start: &Start<'_>, server: &Server, size: Size, notes: &mut Notes) -> Result<()> {
    let id = start.session.id.as_str();
    let executable = start.host.executable.as_os_str();
    let facts = Facts {
        session: id,
        profile: &start.plan.summary.profile,
        network: &start.plan.summary.network,
        executable,
        terminal: terminfo::for_panes(&start.host.environment),
    };
    write(&before_path(start.session), config::before(&facts).as_bytes())?;
    let supervisor = own_command(start.host, &["__supervise", id]);
    let agent = server.run(&argv::new_session(size, &supervisor))?;
    if start.invocation.tmux_config {
        read_users_config(start, server, notes)?;
    }
    let side_by_side = argv::side_by_side(start.invocation.split_direction, size);
    let after = start.session.runtime.join("after.conf");
    write(&after, &config::after(&facts, &agent, side_by_side))?;
    server.run(&argv::source(after.as_os_str()))?;
    server.run(&argv::end_with(&agent).then(argv::name_pane(&agent, "agent")))?;
    if let Some(note) = no_room(size) {
        notes.push(note);
    } else {
        let log = own_command(start.host, &["log", "--follow", id]);
        let opened = server.run(&argv::split(&agent, side_by_side, &[], &log));
        let named = opened.and_then(|pane| server.run(&argv::name_pane(&pane, "commands")));
        if let Err(error) = named {
            notes.push(format!("no log pane: {error}"));
        }
    }
    Ok(())
}

/// Reads the user's tmux configuration, and takes its hooks away again: they would run programs on
/// the host when the agent does something, with words of the agent in them.
fn read_users_config(start: &Start<'_>, server: &Server, notes: &mut Notes) -> Result<()> {
    for path in users_config(start) {
        let complaint = match server.read_config(&path) {
            Ok(None) => continue,
            Ok(Some(complaint)) => complaint,
            Err(error) => error.to_string(),
        };
        notes.push(format!("tmux says of {}: {complaint}", visible_path(&path)));
    }
    server.run(&argv::kill_other_sessions())?;
    for hook in set_hooks(&server.run(&argv::hooks())?) {
        server.run(&argv::drop_hook(hook))?;
    }
    Ok(())
}

/// The files that tmux reads when it is started without `-f`, tmux(1).
fn users_config(start: &Start<'_>) -> Vec<PathBuf> {
    let home = &start.host.home;
    let config = match start.host.environment.get(std::ffi::OsStr::new("XDG_CONFIG_HOME")) {
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => home.join(".config"),
    };
    let files = ["/etc/tmux.conf".into(), home.join(".tmux.conf"), config.join("tmux/tmux.conf")];
    files.into_iter().filter(|path: &PathBuf| path.exists()).collect()
}

/// The names in what show-hooks prints, `NAME[INDEX] COMMAND`; a hook that is not set has no index.
fn set_hooks(told: &str) -> Vec<&str> {
    let mut names: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split_once(' ')?.0.strip_suffix(']')?.split_once('['))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Waits for the terminal, then for the supervisor, and gives the session to it.
fn hand_over(
    start: &Start<'_>,
    client: &Client,
    waiter: &Child,
    offer: Offer,
    locks: Locks,
) -> Result<()> {
    let no_terminal = || {
        let term = start.host.environment.get(std::ffi::OsStr::new("TERM"));
        let term = term.map(|term| visible(term.as_encoded_bytes())).unwrap_or_default();
        Error::launcher(format!("tmux could not use this terminal (TERM is `{term}`)"))
            .hint("run with --no-monitor, and see the commands with `claudebox log --follow`")
    };
    let no_supervisor = || {
        Error::launcher("the agent's pane closed before the session could begin")
            .hint("run with --no-monitor to see why")
    };
    let attached = pidfd::open(waiter.id().cast_signed()).tried(|| "watch tmux")?;
    await_second(client, attached.as_fd(), no_terminal)?;
    await_second(client, offer.as_fd(), no_supervisor)?;
    offer.give(start.plan, locks)
}

/// Waits until a descriptor is readable; that the client ends first is an error.
fn await_second(
    client: &Client,
    awaited: std::os::fd::BorrowedFd<'_>,
    gone: impl FnOnce() -> Error,
) -> Result<()> {
    let first = process::wait_for_any(&[client.ended.as_fd(), awaited], LIMIT);
    match first.tried(|| "wait for the session to begin")? {
        Some(1) => Ok(()),
        _ => Err(gone()),
    }
}

/// Takes down what stands of a session that did not begin, and leaves word of why.
fn abandon(session: &Session, server: &Server, error: &Error) {
    end_server(session, server);
    let _ = session.write_status(&Status::of_failure(error, now()));
    session.remove_runtime();
    // Where nothing has run there is nothing to be seen to: no later command is to say that there is.
    leftovers::see_to(session);
}

fn before_path(session: &Session) -> PathBuf {
    session.runtime.join("before.conf")
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).tried(|| format!("write {}", visible_path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hooks_that_are_set_are_named() {
        let told = "after-bind-key\nalert-bell[0] display-message x\nalert-bell[1] y\npane-died";
        assert_eq!(set_hooks(told), ["alert-bell"]);
    }
}
