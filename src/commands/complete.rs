//! Completion by Tab: the shell's script asks this program, so that sessions, profiles and worktrees are
//! offered as they are now. It must never print anything but candidates, ask anybody, or change
//! anything; where something cannot be read there is nothing to offer.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompleteEnv;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};

use super::worktree;
use crate::cli::Cli;
use crate::error::{self, Error, exit};
use crate::generated::COMPLETING;
use crate::host::Host;
use crate::profile::command::described;
use crate::profile::library::Library;
use crate::session::{Found, Sessions};
use crate::visible::visible_path;

/// What can stand in the place of an argument.
type Offer = fn(&Host) -> Vec<CompletionCandidate>;

/// What an argument of a command is offered besides what `cli` says of it, and whether it can be a path as
/// well; that is offered where nothing else is. What has one name means one thing, whatever it is given to.
fn offer(command: &str, argument: &str) -> Option<(Offer, bool)> {
    Some(match (command, argument) {
        (_, "bind" | "ro_bind" | "agent_args" | "argv" | "paths" | "words") => (nothing, true),
        (_, "allow" | "rule") => (groups, false),
        ("attach", "session") => (living, false),
        (_, "session" | "sessions") => (sessions, false),
        (_, "agent") => (agents, true),
        (_, "profile" | "left" | "right") | ("show", "name") | ("check", "names") => {
            (profiles, true)
        }
        ("path", "name") => (profiles, false),
        (_, "worktree") | ("diff" | "merge" | "apply", "name") | ("rm", "names") => {
            (worktrees, false)
        }
        _ => return None,
    })
}

/// Answers the script of a shell, where it is that which asks; the answer is then the code to exit with.
pub(crate) fn answer(args: &[OsString]) -> Option<u8> {
    let here = std::env::current_dir().ok();
    let env = CompleteEnv::with_factory(|| offering(Cli::command())).var(COMPLETING);
    match env.try_complete(args, here.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(0),
        Err(err) => {
            error::report(&Error::launcher(format!("cannot complete: {err}")));
            Some(exit::LAUNCHER)
        }
    }
}

/// Adds to a command, and to all below it, what is offered.
fn offering(command: Command) -> Command {
    let name = command.get_name().to_owned();
    // Not `mut_arg`, which would put the argument behind all others.
    let command = command.mut_args(|arg: Arg| match offer(&name, arg.get_id().as_str()) {
        Some((offer, or_path)) => arg.add(completer(offer, or_path)),
        None => arg,
    });
    command.mut_subcommands(offering)
}

fn completer(offer: Offer, or_path: bool) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let begins = |it: &CompletionCandidate| {
            it.get_value().as_encoded_bytes().starts_with(typed.as_encoded_bytes())
        };
        let offered = Host::probe_for(None).map(|host| offer(&host)).unwrap_or_default();
        let candidates: Vec<_> = offered.into_iter().filter(begins).collect();
        if or_path && candidates.is_empty() {
            return PathCompleter::any().complete(typed);
        }
        candidates
    })
}

fn candidate(value: impl Into<OsString>, about: String) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(StyledStr::from(about)))
}

fn nothing(_: &Host) -> Vec<CompletionCandidate> {
    Vec::new()
}

/// The sessions of this project and its worktrees, and those that live; where there are none, all.
fn sessions(host: &Host) -> Vec<CompletionCandidate> {
    let of_project = Sessions::new(&host.dirs).project_at(&host.here());
    let near = of_sessions(host, |found| of_project.has(found) || found.state.lives());
    if near.is_empty() { of_sessions(host, |_| true) } else { near }
}

fn living(host: &Host) -> Vec<CompletionCandidate> {
    of_sessions(host, |found| found.state.lives())
}

/// The latest first.
fn of_sessions(host: &Host, is_meant: impl Fn(&Found) -> bool) -> Vec<CompletionCandidate> {
    let all = Sessions::new(&host.dirs).all().into_iter().filter(is_meant).enumerate();
    let one = |(at, found): (usize, Found)| {
        let Found { session, record, state } = found;
        let about = format!("{state}, {}", visible_path(record.project.as_path()));
        candidate(session.id.as_str(), about).display_order(Some(at))
    };
    all.map(one).collect()
}

fn profiles(host: &Host) -> Vec<CompletionCandidate> {
    of_profiles(host, |_| true)
}

fn agents(host: &Host) -> Vec<CompletionCandidate> {
    of_profiles(host, |names_an_agent| names_an_agent)
}

fn of_profiles(host: &Host, is_meant: impl Fn(bool) -> bool) -> Vec<CompletionCandidate> {
    let library = Library::of(host);
    let names = library.names().unwrap_or_default().into_iter();
    let one = |name: String| {
        let (names_an_agent, about) = described(&library, &name).ok()?;
        is_meant(names_an_agent).then(|| candidate(name, about))
    };
    names.filter_map(one).collect()
}

fn groups(host: &Host) -> Vec<CompletionCandidate> {
    let groups = Library::of(host).named_groups().unwrap_or_default();
    groups.names().map(|name| CompletionCandidate::new(format!("@{name}"))).collect()
}

fn worktrees(host: &Host) -> Vec<CompletionCandidate> {
    worktree::all(host).unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        offering(Cli::command())
    }

    fn find<'c>(command: &'c Command, path: &[&str]) -> &'c Command {
        path.iter().fold(command, |command, name| command.find_subcommand(name).unwrap())
    }

    /// What is offered something: a command's arguments.
    const OFFERED: &[(&[&str], &[&str])] = &[
        (&[], &["allow", "bind", "ro_bind", "agent_args", "worktree"]),
        (&["run"], &["agent", "profile", "bind", "ro_bind", "argv", "allow", "worktree"]),
        (&["explain"], &["agent", "profile", "bind", "ro_bind", "argv", "allow", "worktree"]),
        (&["attach"], &["session"]),
        (&["keep"], &["session", "paths"]),
        (&["sync"], &["session"]),
        (&["rm"], &["sessions"]),
        (&["log"], &["session"]),
        (&["net"], &["session"]),
        (&["verify"], &["session"]),
        (&["allow"], &["session", "rule"]),
        (&["worktree", "diff"], &["name", "words"]),
        (&["worktree", "merge"], &["name"]),
        (&["worktree", "apply"], &["name"]),
        (&["worktree", "rm"], &["names"]),
        (&["profile", "show"], &["name"]),
        (&["profile", "check"], &["names"]),
        (&["profile", "diff"], &["left", "right"]),
        (&["profile", "new"], &["argv"]),
        (&["profile", "path"], &["name"]),
        (&["doctor"], &["profile"]),
    ];

    #[test]
    fn every_argument_that_is_offered_something_is_there() {
        let command = command();
        for (path, names) in OFFERED {
            for name in *names {
                let mut arguments = find(&command, path).get_arguments();
                let arg = arguments.find(|arg| arg.get_id() == name);
                let offered = arg.is_some_and(|arg| arg.get::<ArgValueCompleter>().is_some());
                assert!(offered, "{path:?} {name}");
            }
        }
        command.debug_assert();
    }

    /// Each of these is offered something, whatever command it is an argument of.
    #[test]
    fn what_names_a_session_a_profile_or_a_worktree_is_offered_some() {
        fn look(command: &Command, path: &str) {
            for arg in command.get_arguments() {
                let named = ["session", "agent", "profile", "worktree"];
                let is_offered = arg.get::<ArgValueCompleter>().is_some();
                assert!(
                    is_offered || !named.contains(&arg.get_id().as_str()),
                    "{path} {}",
                    arg.get_id()
                );
            }
            for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
                look(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        look(&command(), "claudebox");
    }
}
