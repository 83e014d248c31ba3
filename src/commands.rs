//! One function for each command: what it needs from the rooms below, in the order in which it
//! happens. It must never decide anything; that is theirs.

mod allow;
pub(crate) mod complete;
mod ls;
mod net;
mod profile_new;
mod rm;
mod verify;
mod worktree;

use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::attack;
use crate::cli::{
    AllowArgs, DoctorArgs, ExplainArgs, KeepArgs, LogArgs, LsArgs, NetArgs, ProfileCommand, RmArgs,
    RunArgs, RunOptions, SyncArgs, TrustArgs, VerifyArgs, WorktreeCommand,
};
use crate::demo;
use crate::doctor;
use crate::error::{self, Error, Result, Tried as _, printed};
use crate::front;
use crate::generated;
use crate::git::sync::{ending, sign};
use crate::git::worktree::make;
use crate::host::{Disk, Host};
use crate::host_files;
use crate::host_files::screen::Screen;
use crate::log;
use crate::policy::explain as explanation;
use crate::policy::invocation::{Invocation, ProfileChoice};
use crate::policy::project::{self, GitEntry};
use crate::profile::ask_trust;
use crate::profile::command as profiles;
use crate::profile::config::Config;
use crate::profile::diff::diff as profile_diff;
use crate::profile::include;
use crate::profile::library::Library;
use crate::profile::project as own;
use crate::profile::schema::Git;
use crate::session::homes;
use crate::session::inside::{self, Inside};
use crate::session::{Found, Sessions, State};
use crate::supervisor;
use crate::trace;
use crate::visible::{visible, visible_path};

/// The agent of the demo.
const DEMO: &str = "demo";

/// The bare `claudebox`: the default agent in this project.
pub(crate) fn bare(options: &RunOptions, argv: &[OsString], host: &Host) -> Result<u8> {
    let config = Config::load(host)?;
    trace::start(options.verbose().unwrap_or(config.verbose()));
    start(&Invocation::of_bare(options, argv, &config)?, &config, host)
}

/// `claudebox run`
pub(crate) fn run(args: &RunArgs, host: &Host) -> Result<u8> {
    let config = Config::load(host)?;
    trace::start(args.options.verbose().unwrap_or(config.verbose()));
    let invocation = Invocation::of_run(args, &config)?;
    if invocation.profile == ProfileChoice::Agent(DEMO.into()) && invocation.project.is_none() {
        return run_demo(invocation, &config, host);
    }
    start(&invocation, &config, host)
}

/// One run, from what was typed to the agent's exit code.
fn start(invocation: &Invocation, config: &Config, host: &Host) -> Result<u8> {
    let invocation = &in_worktree(invocation, host)?;
    let (policy, plan) = crate::plan(invocation, config, host)?;
    front::run(&policy, &plan, invocation, host)
}

/// With `--worktree` the project is that, and made if it is not there.
fn in_worktree(invocation: &Invocation, host: &Host) -> Result<Invocation> {
    let Some(name) = &invocation.worktree else { return Ok(invocation.clone()) };
    let root = main_of_worktree(invocation, host)?;
    let include = worktree::include(&root, host)?;
    let with =
        |wanted| include.as_ref().filter(|(_, trusted)| *trusted == wanted).map(|(it, _)| it);
    let made = make::make(&root, name, invocation.base.as_deref(), with(true), host)?;
    worktree::say_made(&made, with(false));
    Ok(with_project(invocation, made.path))
}

/// The same for `explain`, which makes none.
fn in_old_worktree(invocation: &Invocation, host: &Host) -> Result<Invocation> {
    let Some(name) = &invocation.worktree else { return Ok(invocation.clone()) };
    let root = main_of_worktree(invocation, host)?;
    let found = make::find(&root, name, invocation.base.as_deref(), host)?.ok_or_else(|| {
        Error::usage(format!("there is no worktree `{name}` yet: `run` would make it"))
            .hint("explain makes none; without --worktree it shows the same for the checkout")
    })?;
    Ok(with_project(invocation, found.path))
}

/// The main work tree of the repository that a worktree is asked for.
fn main_of_worktree(invocation: &Invocation, host: &Host) -> Result<PathBuf> {
    let main = project::find(invocation.project.as_deref(), host, &Disk)?;
    match &main.git {
        GitEntry::Directory => Ok(main.root),
        GitEntry::Pointer { target } => Err(project::pointer_refused(&main.root, target)),
        GitEntry::Absent => Err(project::outside_git(&main.root)
            .hint("a worktree is made of a repository: git init, and a first commit")
            .hint("or run in the directory itself, without --worktree")),
    }
}

/// A run in a worktree: git in it is private, as nothing else knows worktrees.
fn with_project(invocation: &Invocation, worktree: PathBuf) -> Invocation {
    let git = invocation.git.or(Some(Git::Private));
    Invocation { project: Some(worktree), git, ..invocation.clone() }
}

/// The demo in its scratch project, and the look from outside afterwards.
fn run_demo(mut invocation: Invocation, config: &Config, host: &Host) -> Result<u8> {
    let scratch = demo::prepare(host)?;
    invocation.project = Some(scratch.project());
    let code = start(&invocation, config, host)?;
    let Found { session, state, .. } = Sessions::new(&host.dirs).latest_of(&scratch.project())?;
    if matches!(state, State::Starting | State::Running) {
        scratch.keep();
        return Ok(code);
    }
    let escaped = scratch.escaped();
    if escaped.is_empty() {
        // By its id: the scratch project, whose latest session it is, goes away now.
        let id = session.id;
        drop_home(&scratch.project(), host);
        let _ = writeln!(
            anstream::stderr(),
            "Seen from outside: nothing of it has changed anything on this host.\n\
             `claudebox log --tree {id}` shows who started whom; `claudebox verify {id}` checks the log."
        );
        return Ok(code);
    }
    let paths: Vec<String> = escaped.iter().map(|path| visible_path(path)).collect();
    Err(Error::launcher(format!("the sandbox did not hold: {}", paths.join(", "))))
}

/// Nobody comes back to the scratch project.
fn drop_home(project: &Path, host: &Host) {
    let homes = homes::all(&host.dirs.state).into_iter().filter(|home| home.project == project);
    for error in homes.filter_map(|home| home.remove().err()) {
        error::report(&error);
    }
}

/// `claudebox explain`
pub(crate) fn explain(args: &ExplainArgs, host: &Host) -> Result<u8> {
    let config = Config::load(host)?;
    trace::start(args.run.options.verbose().unwrap_or(config.verbose()));
    let invocation = in_old_worktree(&Invocation::of_run(&args.run, &config)?, host)?;
    let (policy, plan) = crate::plan(&invocation, &config, host)?;
    let text = if args.json {
        let lines = format!("{:#}", explanation::json(&policy));
        lines.lines().map(|line| log::encode::printable(line) + "\n").collect()
    } else if args.bwrap {
        explanation::bwrap(&plan)
    } else {
        explanation::text(&policy)
    };
    print(|out| out.write_all(text.as_bytes()))
}

/// `claudebox __shell`
pub(crate) fn shell(session: &str, host: &Host) -> Result<u8> {
    let found = find(Some(session), host)?;
    supervisor::shell(&found.session.runtime)
}

/// `claudebox ls`
pub(crate) fn ls(args: &LsArgs, host: &Host) -> Result<u8> {
    let columns = host.terminal.filter(|_| io::stdout().is_terminal()).map(|(columns, _)| columns);
    let sessions = Sessions::new(&host.dirs);
    ls::ls(args, sessions, &host.here(), columns, &mut anstream::stdout())?;
    Ok(0)
}

/// `claudebox keep`
pub(crate) fn keep(args: &KeepArgs, host: &Host) -> Result<u8> {
    let Found { session, record, state } =
        find(args.session.as_deref(), host).map_err(|error| meant_a_path(args, error))?;
    if matches!(state, State::Starting | State::Running) {
        return Err(Error::usage(format!("session {} still runs", session.id))
            .hint("what it leaves behind is seen to when it ends"));
    }
    let wanted = host_files::name::Wanted::new(&args.paths, record.project.as_path(), &host.here());
    host_files::settle::keep(
        &session,
        &|path| wanted.means(path),
        &mut Screen::stderr(&mut anstream::stderr()),
    )?;
    Ok(0)
}

/// `claudebox rm`
pub(crate) fn rm(args: &RmArgs, host: &Host) -> Result<u8> {
    rm::rm(args, host, &mut anstream::stdout())?;
    Ok(0)
}

/// The first word of `keep` names a session, also where somebody thought of a path.
fn meant_a_path(args: &KeepArgs, error: Error) -> Error {
    match args.session.as_deref() {
        Some(word) if !word.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            error.hint(format!(
                "what is brought back stands behind the session: claudebox keep ID {}",
                visible(word)
            ))
        }
        _ => error,
    }
}

/// `claudebox sync`
pub(crate) fn sync(args: &SyncArgs, host: &Host) -> Result<u8> {
    let Found { session, state, .. } = find(args.session.as_deref(), host)?;
    // Of one that crashed something may still live.
    let running =
        state.lives() || inside::wait(&session.directory, Duration::ZERO) == Inside::Alive;
    if args.sign && running {
        return Err(Error::usage(format!("session {} still runs", session.id))
            .hint("its commits can be signed when it is over: signed ones are other commits"));
    }
    let told = ending::command(&session, running, &mut anstream::stdout())?;
    // The log of one that is over is closed.
    if state.lives()
        && told.iter().any(|told| !told.items.is_empty())
        && let Err(error) = supervisor::synced(&session.runtime, &told)
    {
        error::say(format_args!("the log of session {} does not say so: {error}", session.id));
    }
    if args.sign {
        sign::command(&session, &mut anstream::stdout())?;
    }
    Ok(0)
}

/// `claudebox worktree`
pub(crate) fn worktree(command: &WorktreeCommand, host: &Host) -> Result<u8> {
    worktree::worktree(command, host)
}

/// `claudebox log`
pub(crate) fn log(args: &LogArgs, host: &Host) -> Result<u8> {
    let found = find(args.session.as_deref(), host)?;
    log::show::to_stdout(&found.session.directory, args)?;
    Ok(0)
}

/// `claudebox allow`
pub(crate) fn allow(args: &AllowArgs, host: &Host) -> Result<u8> {
    let library = Library::of(host);
    let (wanted, warnings) = allow::wanted(&args.rule, &library)?;
    let found = find(args.session.as_deref(), host)?;
    warnings.iter().for_each(error::say);
    allow::allow(&wanted, args.always, &found, &library, &mut anstream::stdout())?;
    Ok(0)
}

/// `claudebox net`
pub(crate) fn net(args: &NetArgs, host: &Host) -> Result<u8> {
    let found = find(args.session.as_deref(), host)?;
    let columns = host.terminal.filter(|_| io::stdout().is_terminal()).map(|(columns, _)| columns);
    let form = net::Form { json: args.json, all: args.all, columns };
    net::net(&found, form, &mut anstream::stdout())?;
    Ok(0)
}

/// `claudebox verify`
pub(crate) fn verify(args: &VerifyArgs, host: &Host) -> Result<u8> {
    let here = host.here();
    verify::verify(args, Sessions::new(&host.dirs), &here, &mut anstream::stdout())
}

/// `claudebox profile`
pub(crate) fn profile(command: &ProfileCommand, host: &Host) -> Result<u8> {
    let library = Library::of(host);
    let out = &mut anstream::stdout();
    match command {
        ProfileCommand::List => profiles::list(&library, out),
        ProfileCommand::Show { name } => profiles::show(&library, &host.cwd, name, out),
        ProfileCommand::Check { names } => profiles::check(&library, &host.cwd, names, out),
        ProfileCommand::Diff { left, right } => {
            return profile_diff(&library, &host.cwd, [left, right], out);
        }
        ProfileCommand::New(args) => return profile_new::new(args, &library, host, out),
        ProfileCommand::Path { name } => profiles::path(&library, &host.cwd, name.as_deref(), out),
    }?;
    Ok(0)
}

/// `claudebox trust`
pub(crate) fn trust(args: &TrustArgs, host: &Host) -> Result<u8> {
    let mut out = anstream::stdout();
    let mut confirm = |out: &mut dyn Write| if args.yes { Ok(true) } else { ask(out) };
    match args.file.as_deref() {
        None => trust_all(host, &mut out, &mut confirm),
        Some(file) if file.file_name() == Some(include::FILE.as_ref()) => {
            trust_include(file, host, &mut out, &mut confirm)
        }
        file => ask_trust::command(&mut out, host, file, &host.here(), &mut confirm),
    }?;
    Ok(0)
}

/// Asks somebody who reads what was written.
type Confirm<'a> = &'a mut dyn FnMut(&mut dyn Write) -> Result<bool>;

/// Trusts what there is in the project: its profile, and what its worktrees get a copy of.
fn trust_all(host: &Host, out: &mut dyn Write, confirm: Confirm<'_>) -> Result<()> {
    let project = project::find_here(host, &Disk)
        .map_err(|error| error.hint("or name the file: claudebox trust FILE"))?
        .root;
    let include = include::Include::read(&project)?;
    // Where neither is there it is the profile's that is missed.
    if include.is_none() || project.join(own::FILE).symlink_metadata().is_ok() {
        ask_trust::command(out, host, None, &project, confirm)?;
    }
    include.map_or(Ok(()), |include| include::trust(out, host, &include, confirm))
}

/// Trusts a file that names what worktrees get a copy of.
fn trust_include(
    file: &Path,
    host: &Host,
    out: &mut dyn Write,
    confirm: Confirm<'_>,
) -> Result<()> {
    let project = directory_of(file, host)?;
    let include = include::Include::read(&project)?.ok_or_else(|| {
        let shown = visible_path(&project.join(include::FILE));
        Error::usage(format!("there is no {shown} to trust"))
    })?;
    include::trust(out, host, &include, confirm)
}

/// The directory that a file named on the command line is in.
fn directory_of(file: &Path, host: &Host) -> Result<PathBuf> {
    let path = host.cwd.join(file);
    let shown = visible_path(&path);
    let above = path.parent().unwrap_or(&path);
    above.canonicalize().map_err(|err| Error::usage(format!("cannot find {shown}: {err}")))
}

/// Asks a person; where there is none, the answer is not known.
fn ask(out: &mut dyn Write) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Error::usage("there is nobody to ask: standard input is not a terminal")
            .hint("look at the file, then: claudebox trust --yes"));
    }
    let mut answer = String::new();
    write!(out, "Trust it? [y/N] ").and_then(|()| out.flush()).tried(|| "ask")?;
    io::stdin().lock().read_line(&mut answer).tried(|| "read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// `claudebox doctor`
pub(crate) fn doctor(args: &DoctorArgs, host: &Host) -> Result<u8> {
    let out = &mut anstream::stdout();
    if args.attack {
        attack::attack(args.profile.as_deref(), host, out)
    } else {
        doctor::doctor(host, out)
    }
}

/// `claudebox completions`
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8> {
    print(|out| generated::completions(shell, out))
}

/// `claudebox man`
pub(crate) fn man() -> Result<u8> {
    print(generated::man)
}

/// `claudebox schema`
pub(crate) fn schema() -> Result<u8> {
    print(|out| out.write_all(profiles::json_schema().as_bytes()))
}

/// The session that is meant by the beginning of an id, or this project's latest.
fn find(prefix: Option<&str>, host: &Host) -> Result<Found> {
    Sessions::new(&host.dirs).find(prefix, &host.here())
}

/// Writes to standard output.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u8> {
    printed(write(&mut anstream::stdout()))?;
    Ok(0)
}
