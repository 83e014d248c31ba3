//! The front end: what runs in the user's terminal. It makes the session, opens tmux, waits, and
//! exits with the agent's code. It is only a viewer: its own death means "detached", except where
//! it is itself the supervisor. It must never take an exit code from tmux, whose client ends with
//! 0 for a detach and an end alike.

mod attach;
mod client;
mod conclude;
mod interrupted;
mod leftovers;
mod private;
mod supervise;
mod terminal;
mod users;

pub use attach::attach;
pub use leftovers::Pending;
pub use supervise::supervise;

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;

use crate::bytes::Bytes;
use crate::error::{Result, say};
use crate::host::Host;
use crate::host_files::settle;
use crate::log::clock::now;
use crate::network::plan::Network;
use crate::plan::{ExecLog, Plan};
use crate::policy::Policy;
use crate::policy::invocation::Invocation;
use crate::policy::outside::replaceable;
use crate::session::record::{Mode, Status};
use crate::session::{Draft, Locks, Session, Sessions};
use crate::tmux::Program;

/// What is weaker where claudebox's own tmux is not between the agent and the terminal.
const NOT_BETWEEN: &str = "terminal: what runs inside prints to yours, escape sequences included; no tmux of ours between";

/// Less than this is no use divided.
const SMALLEST: (u16, u16) = (40, 10);

/// Columns and rows.
type Size = (u16, u16);

/// A session that is about to begin.
struct Start<'a> {
    plan: &'a Plan,
    invocation: &'a Invocation,
    host: &'a Host,
    session: &'a Session,
}

/// Where the agent will show itself.
enum Place {
    /// In this terminal, and nothing beside it.
    Here { note: Option<&'static str> },
    /// In this pane of the user's tmux, with the log in another.
    UsersTmux(users::Pane),
    /// In a tmux of our own.
    OwnTmux(Program, Size),
}

impl Place {
    /// Whether what the agent prints reaches the user's own terminal as it is.
    fn is_the_users_terminal(&self) -> bool {
        match self {
            Self::Here { .. } => std::io::stdout().is_terminal() || std::io::stdin().is_terminal(),
            Self::UsersTmux(_) => true,
            Self::OwnTmux(..) => false,
        }
    }
}

/// Runs a session from its beginning until it ends or is detached from; answers with the code to
/// exit with.
pub fn run(policy: &Policy, plan: &Plan, invocation: &Invocation, host: &Host) -> Result<u8> {
    let place = choose_place(policy, invocation, host)?;
    let sessions = Sessions::new(&host.dirs);
    conclude::remove_stale(sessions, &host.environment);
    leftovers::refuse_pending(sessions, &plan.summary.project)?;
    let (session, locks) = sessions.create(draft(policy, plan, host, &place))?;
    let (mode, known) = (policy.host_files.value, policy.known.clone());
    let begun = write_rules(&session, plan)
        .and_then(|()| settle::begin(&session, &policy.project.root, mode, known));
    if let Err(error) = begun {
        let _ = session.write_status(&Status::of_failure(&error, now()));
        session.remove_runtime();
        return Err(error);
    }
    let mut plan = plan.clone();
    if place.is_the_users_terminal() {
        plan.summary.weakened.push(NOT_BETWEEN.to_owned());
    }
    let start = Start { plan: &plan, invocation, host, session: &session };
    match place {
        Place::Here { note } => here(&start, note, locks),
        Place::UsersTmux(pane) => users::run(&start, &pane, locks),
        Place::OwnTmux(program, size) => private::run(&start, &program, size, locks),
    }
}

/// So that it can be said of a session that is over, too, what it could reach.
fn write_rules(session: &Session, plan: &Plan) -> Result<()> {
    match &plan.network {
        Network::Allow(allow) => session.write_rules(&allow.rules),
        Network::None | Network::Host => Ok(()),
    }
}

fn choose_place(policy: &Policy, invocation: &Invocation, host: &Host) -> Result<Place> {
    if !invocation.monitor {
        return Ok(Place::Here { note: None });
    }
    let (Some(size), true) = (host.terminal, std::io::stdout().is_terminal()) else {
        return Ok(Place::Here { note: Some("there is no terminal here, so no log pane") });
    };
    let tmux = Program::locate(host)?;
    if policy.lets_replace(&tmux) {
        return Err(replaceable(&tmux).hint("take it off PATH, or run with --no-monitor"));
    }
    let program = Program::at(tmux)?;
    Ok(match users::Pane::find(program.path(), &host.environment) {
        Some(pane) => Place::UsersTmux(pane),
        None => Place::OwnTmux(program, size),
    })
}

fn here(start: &Start<'_>, note: Option<&str>, locks: Locks) -> Result<u8> {
    if let Some(note) = note {
        let id = &start.session.id;
        if start.plan.inner.exec_log == ExecLog::Off {
            say(format_args!("{note}; no command is logged"));
        } else {
            say(format_args!("{note}; `claudebox log {id}` shows what runs"));
        }
    }
    supervise::in_users_terminal(start.session, start.plan, locks)
}

fn draft(policy: &Policy, plan: &Plan, host: &Host, place: &Place) -> Draft {
    let program = plan.summary.agent.first().map(Bytes::as_path);
    let name = program.and_then(|path| path.file_name()).unwrap_or_default();
    Draft {
        project: plan.summary.project.clone(),
        places: policy.writable_places().map(|place| (&*place).into()).collect(),
        cwd: host.cwd.as_path().into(),
        profile: plan.summary.profile.clone(),
        network: plan.summary.network.clone(),
        command: name.into(),
        mode: match place {
            Place::Here { .. } => Mode::Terminal,
            Place::UsersTmux(_) => Mode::UserTmux,
            Place::OwnTmux(..) => Mode::Tmux,
        },
        tmux: match place {
            Place::OwnTmux(program, _) => Some(program.path().into()),
            Place::Here { .. } | Place::UsersTmux(_) => None,
        },
    }
}

/// What is to be said of a terminal that is too small to be divided.
fn no_room((columns, rows): Size) -> Option<String> {
    let enough = columns >= SMALLEST.0 && rows >= SMALLEST.1;
    (!enough).then(|| {
        format!(
            "this terminal of {columns}x{rows} is too small for a log pane; \
             prefix L opens one, `claudebox log` shows what ran"
        )
    })
}

/// This program with arguments for a session.
fn own_command(host: &Host, arguments: &[&str]) -> Vec<OsString> {
    let program = [host.executable.as_os_str()];
    program.into_iter().chain(arguments.iter().map(OsStr::new)).map(OsString::from).collect()
}
