//! claudebox runs a coding agent in a bubblewrap sandbox and shows every command that anything
//! inside executes, as the kernel saw it. [`run`] is the story of the program; [`plan()`] is how
//! one run gets from what was typed to what is done.

pub mod attack;
mod bwrap_info;
pub mod bytes;
#[cfg(test)]
mod cases;
pub mod cli;
mod commands;
pub mod demo;
pub mod dirs;
pub mod doctor;
pub mod error;
pub mod filters;
pub mod front;
pub mod generated;
pub mod git;
mod hex;
pub mod host;
pub mod host_files;
mod json_file;
mod learn;
mod lexical;
pub mod log;
pub mod network;
mod nofollow;
pub mod plan;
pub mod policy;
mod proc_stat;
pub mod profile;
mod ready;
pub mod sandbox;
pub mod session;
mod subprocess;
pub mod supervisor;
pub mod sys;
pub mod tmux;
pub mod trace;
pub mod visible;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cli::{Cli, Command};
use error::{Error, Result};
use host::{Disk, Host, Seen};
use plan::Plan;
use policy::Policy;
use policy::invocation::Invocation;
use policy::project;
use profile::config::Config;
use profile::settings::Settings;

/// Runs claudebox with this command line and answers with its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = commands::complete::answer(&args) {
        return ExitCode::from(code);
    }
    let cli = match cli::parse(&args, profile::is_built_in_agent) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    // Inside the sandbox there is no host to look at and no user to talk to.
    match cli.command {
        Some(Command::Inner { socket, plan }) => return sandbox::inner::main(socket, plan),
        Some(Command::Attack) => return attack::act(),
        Some(Command::Demo) => return demo::act(),
        _ => {}
    }
    ExitCode::from(dispatch(cli).unwrap_or_else(|error| failed(&error)))
}

/// Says why, and answers with the code to exit with.
fn failed(error: &Error) -> u8 {
    error::report(error);
    error.kind().exit_code()
}

fn dispatch(cli: Cli) -> Result<u8> {
    let mut host = Host::probe_for(named_project(&cli))?;
    if makes_a_plan(cli.command.as_ref()) {
        host.find_bwrap()?;
    }
    if !sees_to_pending(cli.command.as_ref()) {
        return command(cli, &host);
    }
    let pending = pending(&cli, &host);
    pending.see_to_own();
    if lasts(cli.command.as_ref()) {
        pending.tell_others();
    }
    // What went wrong is said before anything is asked.
    let code = command(cli, &host).unwrap_or_else(|error| failed(&error));
    pending.see_to_others();
    Ok(code)
}

fn command(cli: Cli, host: &Host) -> Result<u8> {
    match cli.command {
        None => commands::bare(&cli.run, &cli.agent_args, host),
        Some(Command::Run(args)) => commands::run(&args, host),
        Some(Command::Explain(args)) => commands::explain(&args, host),
        Some(Command::Supervise { session }) => front::supervise(&session, host),
        Some(Command::Shell { session }) => commands::shell(&session, host),
        Some(Command::Ls(args)) => commands::ls(&args, host),
        Some(Command::Attach(args)) => front::attach(args.session.as_deref(), host),
        Some(Command::Keep(args)) => commands::keep(&args, host),
        Some(Command::Rm(args)) => commands::rm(&args, host),
        Some(Command::Sync(args)) => commands::sync(&args, host),
        Some(Command::Worktree(command)) => commands::worktree(&command, host),
        Some(Command::Log(args)) => commands::log(&args, host),
        Some(Command::Allow(args)) => commands::allow(&args, host),
        Some(Command::Net(args)) => commands::net(&args, host),
        Some(Command::Verify(args)) => commands::verify(&args, host),
        Some(Command::Profile(command)) => commands::profile(&command, host),
        Some(Command::Trust(args)) => commands::trust(&args, host),
        Some(Command::Doctor(args)) => commands::doctor(&args, host),
        Some(Command::Completions { shell }) => commands::completions(shell),
        Some(Command::Man) => commands::man(),
        Some(Command::Schema) => commands::schema(),
        // Answered in `run`, before the host is looked at.
        Some(Command::Inner { .. } | Command::Attack | Command::Demo) => Ok(error::exit::USAGE),
    }
}

/// The project that was named by an option: no program is taken from it.
fn named_project(cli: &Cli) -> Option<&Path> {
    match &cli.command {
        None => cli.run.project.as_deref(),
        Some(Command::Run(args)) => args.options.project.as_deref(),
        Some(Command::Explain(args)) => args.run.options.project.as_deref(),
        _ => None,
    }
}

/// What killed sessions left behind, with those set apart that this command may have to do with.
fn pending(cli: &Cli, host: &Host) -> front::Pending {
    let project = project::find(named_project(cli), host, &Disk).ok();
    let places: Vec<PathBuf> =
        project.map(|project| project.root).into_iter().chain([host.here()]).collect();
    let named = match &cli.command {
        Some(Command::Keep(args)) => args.session.as_deref(),
        Some(Command::Sync(args)) => args.session.as_deref(),
        _ => None,
    };
    front::Pending::find(&host.dirs, &places, named)
}

/// Whether a command may last for hours.
fn lasts(command: Option<&Command>) -> bool {
    matches!(command, None | Some(Command::Run(_) | Command::Attach(_)))
}

/// Whether a command makes a plan, and so asks bwrap what it can do.
fn makes_a_plan(command: Option<&Command>) -> bool {
    matches!(
        command,
        None | Some(
            Command::Run(_) | Command::Explain(_) | Command::Doctor(_) | Command::Profile(_)
        )
    )
}

/// Whether a command sees to what killed sessions left behind. `ls` only shows that there is
/// something; panes and scripts of a shell are no place for it, and who allows a host is waited for.
fn sees_to_pending(command: Option<&Command>) -> bool {
    match command {
        Some(Command::Log(args)) => !args.follow,
        Some(
            // Who gives it up by `--force` may have waited for it in vain.
            Command::Ls(_)
            | Command::Rm(_)
            | Command::Allow(_)
            | Command::Net(_)
            | Command::Supervise { .. }
            | Command::Shell { .. }
            | Command::Completions { .. }
            | Command::Man
            | Command::Schema,
        ) => false,
        _ => true,
    }
}

/// From what was typed to what is meant: project, settings, policy.
///
/// # Errors
/// When the command line, a profile or this machine stands against it; nothing has happened then.
pub fn settle(invocation: &Invocation, config: &Config, host: &Host) -> Result<(Settings, Policy)> {
    let seen = Seen::default();
    let project = project::find(invocation.project.as_deref(), host, &seen)?;
    tracing::info!(project = %visible::visible_path(&project.root), "found the project");
    // What parsed the command line and probed the host is not needed again, and a session's supervisor is to be
    // small from the first moment on. Where it cannot be done, only memory is lost.
    let _ = sys::text::let_go();
    let settings =
        profile::settle(&invocation.profile, &invocation.argv, host, Some(&project.root), config)?;
    settings.remarks.iter().for_each(error::say);
    tracing::info!(profile = %settings.name, "merged the profile's layers");
    let policy = policy::resolve(&settings, invocation, host, &project, &seen)?;
    policy.remarks.iter().for_each(error::say);
    for step in &policy.mounts {
        let destination = visible::visible_path(step.mount.destination());
        tracing::debug!(%destination, why = %step.why, "mount");
    }
    Ok((settings, policy))
}

/// From what was typed to what is done: the policy, and the plan that carries it out.
///
/// # Errors
/// As of [`settle`].
pub fn plan(invocation: &Invocation, config: &Config, host: &Host) -> Result<(Policy, Plan)> {
    let (_, policy) = settle(invocation, config, host)?;
    let plan = sandbox::compile::plan(&policy, host)?;
    tracing::info!(mounts = policy.mounts.len(), args = plan.args.len(), "made the plan");
    // Nor is what settled it.
    let _ = sys::text::let_go();
    Ok((policy, plan))
}
