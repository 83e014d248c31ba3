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

/// What an argument is offered besides what `cli` says of it: its command, its name there, and whether
/// it can be a path as well; that is offered where nothing else is.
const OFFERS: [(&[&str], &str, Offer, bool); 41] = [
    (&[], "allow", groups, false),
    (&[], "bind", nothing, true),
    (&[], "ro_bind", nothing, true),
    (&[], "agent_args", nothing, true),
    (&[], "worktree", worktrees, false),
    (&["run"], "agent", agents, true),
    (&["run"], "profile", profiles, true),
    (&["run"], "bind", nothing, true),
    (&["run"], "ro_bind", nothing, true),
    (&["run"], "argv", nothing, true),
    (&["run"], "allow", groups, false),
    (&["run"], "worktree", worktrees, false),
    (&["explain"], "agent", agents, true),
    (&["explain"], "profile", profiles, true),
    (&["explain"], "bind", nothing, true),
    (&["explain"], "ro_bind", nothing, true),
    (&["explain"], "argv", nothing, true),
    (&["explain"], "allow", groups, false),
    (&["explain"], "worktree", worktrees, false),
    (&["attach"], "session", living, false),
    (&["keep"], "session", sessions, false),
    (&["keep"], "paths", nothing, true),
    (&["sync"], "session", sessions, false),
    (&["rm"], "sessions", sessions, false),
    (&["log"], "session", sessions, false),
    (&["net"], "session", sessions, false),
    (&["verify"], "session", sessions, false),
    (&["allow"], "session", sessions, false),
    (&["allow"], "rule", groups, false),
    (&["worktree", "diff"], "name", worktrees, false),
    (&["worktree", "diff"], "words", nothing, true),
    (&["worktree", "merge"], "name", worktrees, false),
    (&["worktree", "apply"], "name", worktrees, false),
    (&["worktree", "rm"], "names", worktrees, false),
    (&["profile", "show"], "name", profiles, true),
    (&["profile", "check"], "names", profiles, true),
    (&["profile", "diff"], "left", profiles, true),
    (&["profile", "diff"], "right", profiles, true),
    (&["profile", "new"], "argv", nothing, true),
    (&["profile", "path"], "name", profiles, false),
    (&["doctor"], "profile", profiles, true),
];

/// Answers the script of a shell, where it is that which asks; the answer is then the code to exit with.
pub(crate) fn answer(args: &[OsString]) -> Option<u8> {
    let here = std::env::current_dir().ok();
    let env = CompleteEnv::with_factory(command).var(COMPLETING);
    match env.try_complete(args, here.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(0),
        Err(err) => {
            error::report(&Error::launcher(format!("cannot complete: {err}")));
            Some(exit::LAUNCHER)
        }
    }
}

fn command() -> Command {
    OFFERS.into_iter().fold(Cli::command(), |command, (path, name, offer, or_path)| {
        // Not `mut_arg`, which would put the argument behind all others.
        let offered = |arg: Arg| {
            if arg.get_id() == name { arg.add(completer(offer, or_path)) } else { arg }
        };
        of(command, path, |command| command.mut_args(offered))
    })
}

/// Changes the command at the end of this path of subcommands.
fn of(command: Command, path: &[&str], change: impl FnOnce(Command) -> Command) -> Command {
    // Boxed: else the type of each level would hold that of the next, without end.
    let change: Box<dyn FnOnce(Command) -> Command + '_> = Box::new(change);
    match path {
        [] => change(command),
        [first, rest @ ..] => command.mut_subcommand(first, |it| of(it, rest, change)),
    }
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

    fn find<'c>(command: &'c Command, path: &[&str]) -> &'c Command {
        path.iter().fold(command, |command, name| command.find_subcommand(name).unwrap())
    }

    #[test]
    fn every_argument_that_is_offered_something_is_there() {
        let command = command();
        for (path, name, _, _) in OFFERS {
            let mut arguments = find(&command, path).get_arguments();
            let arg = arguments.find(|arg| arg.get_id() == name);
            let offered = arg.is_some_and(|arg| arg.get::<ArgValueCompleter>().is_some());
            assert!(offered, "{path:?} {name}");
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
