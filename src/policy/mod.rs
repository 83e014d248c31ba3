//! The policy: profile settings, invocation and host settled into what is done. Nothing after it
//! interprets an `Option` or looks at the machine again. It must never do I/O: what it has to know
//! of single files it asks of [`Facts`].
#![forbid(unsafe_code)]

mod around;
mod binds;
mod caller;
mod closure;
mod copies;
mod draft;
mod environment;
pub mod explain;
mod git;
mod gitconfig;
mod guard;
mod hides;
pub(crate) mod home;
mod host_files;
pub mod invocation;
mod layout;
mod leads;
pub mod limits;
mod links;
pub mod mount;
mod network;
mod nix;
mod nix_trust;
mod note;
mod obeyed;
pub mod outside;
mod parts;
pub mod paths;
mod private_git;
mod private_hides;
mod proc;
mod program;
pub mod project;
mod resolving;
mod sockets;
mod state;
mod state_files;
mod store;
mod system;
mod upstream;
mod weakened;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::bytes::Bytes;
use crate::error::{Error, Kind, Result};
use crate::host::{Facts, FileKind, Host};
use crate::host_files::known::Known;
use crate::network::plan::Network;
use crate::network::pool;
use crate::plan::git::PrivateGit;
use crate::plan::{Landlock, Mirror, Prepare};
use crate::profile::origin::{LayerKind, Origin, Settled};
use crate::profile::schema::{Demand, ExecLog, Git, HostFiles, NetworkMode, Nix};
use crate::profile::settings::{Settings, shows_no_program};
use crate::visible::visible;

use draft::Draft;
pub use environment::Variable;
use invocation::Invocation;
pub use limits::Limits;
use mount::{Access, Class, Mount, Step, View};
use network::Reach;
use project::Project;

/// Everything that is decided about one session.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The profile's name.
    pub profile: String,
    /// What it is for; empty where it does not say.
    pub description: String,
    /// The project.
    pub project: Project,
    /// `$HOME`, inside as on the host.
    pub home: PathBuf,
    /// What stands there inside: a directory of claudebox, for this profile in this project.
    pub private_home: PathBuf,
    /// The program, as seen inside.
    pub program: PathBuf,
    /// The whole command, `argv[0]` included.
    pub argv: Vec<OsString>,
    /// The starting directory, as seen inside.
    pub cwd: PathBuf,
    /// The shell of a new pane, argv form.
    pub shell: Vec<OsString>,
    /// The mounts, in order.
    pub mounts: Vec<Step>,
    /// What is made ready on the host first.
    pub prepare: Vec<Prepare>,
    /// What passes between files of the home and the agent's copies of them.
    pub mirrors: Vec<Mirror>,
    /// The whole environment inside.
    pub environment: Vec<Variable>,
    /// The network.
    pub network: Settled<Network>,
    /// What a person is told of it beyond its rules: name, value, who said so.
    pub network_shown: Vec<(&'static str, String, Origin)>,
    /// What of git works.
    pub git: Settled<Git>,
    /// What of Nix there is.
    pub nix: Settled<Nix>,
    /// The private git directory that is built, if there is to be one.
    pub private_git: Option<PrivateGit>,
    /// How execs are logged.
    pub exec_log: Settled<ExecLog>,
    /// What happens to host-executable files that came or changed.
    pub host_files: Settled<HostFiles>,
    /// The host-executable files there are.
    pub known: Known,
    /// The second layer.
    pub landlock: Landlock,
    /// Who asked for it.
    pub landlock_origin: Origin,
    /// How much of the machine is granted.
    pub limits: Limits,
    /// Programs inside may make user namespaces.
    pub nested_userns: Settled<bool>,
    /// See [`crate::profile::schema::Agent::tool_marker`].
    pub tool_marker: Option<String>,
    /// See [`crate::profile::schema::Agent::helpers`].
    pub helpers: Vec<String>,
    /// What is weaker than it could be, one phrase each.
    pub weakened: Vec<String>,
    /// What was asked for and is not there, one phrase each.
    pub left_out: Vec<String>,
    /// What the user should hear before the session starts, a line each.
    pub remarks: Vec<String>,
}

impl Policy {
    /// Whether something inside could put another program in the place of one of the host's
    /// (canonical), which is then not to be executed outside.
    pub fn lets_replace(&self, program: &Path) -> bool {
        outside::lets_replace(&self.mounts, program)
    }

    /// Places of the host's that the user lets the sandbox write besides the project (canonical).
    pub fn writable_places(&self) -> impl Iterator<Item = PathBuf> {
        self.mounts.iter().filter_map(|step| match &step.mount {
            Mount::Bind { source, access: Access::Write, .. }
                if matches!(step.class, Class::Files | Class::CommandLine) =>
            {
                Some(source.path())
            }
            _ => None,
        })
    }
}

/// Settles everything.
///
/// # Errors
/// When something was asked for that is wrong, missing or cannot be enforced here.
pub fn resolve(
    settings: &Settings,
    invocation: &Invocation,
    host: &Host,
    project: &Project,
    facts: &dyn Facts,
) -> Result<Policy> {
    if settings.shows_no_program() && !invocation.has_binds() {
        return Err(shows_no_program(&format!("the profile `{}`", visible(&settings.name))));
    }
    let choices = Choices::of(settings, invocation, host)?;
    let limits = limits::settle(settings, host)?;
    let mut draft = Draft::new(settings, invocation, host, project, facts);
    system::mounts(&mut draft)?;
    let Reach { network, shown: network_shown } = network::settle(&mut draft, &choices)?;
    home::mounts(&mut draft)?;
    state::mounts(&mut draft)?;
    home::tools(&mut draft)?;
    sockets::mounts(&mut draft)?;
    nix::mounts(&mut draft, choices.network.value)?;
    binds::of_profile(&mut draft)?;
    let private_git = git::mounts(&mut draft, choices.git.value)?;
    binds::of_command_line(&mut draft)?;
    let caller = caller::read(&draft);
    let named = around::of_project(&draft, &caller);
    let obeyed = obeyed::mounts(&mut draft, choices.git.value, &named)?;
    let mut known = host_files::mounts(&mut draft, obeyed, &caller, named)?;
    environment::terminal_descriptions(&mut draft)?;
    note::files(&mut draft)?;
    if let Network::Allow(allow) = &network.value {
        resolving::files(&mut draft, pool::gateway(allow.pool), &network.origin)?;
    }

    let argv = argv(&draft)?;
    let path = environment::host_path(host);
    let program = find_program(&mut draft, &argv, &path)?;
    nix::store_paths(&mut draft)?;
    layout::settle(&mut draft)?;
    copies::instead_of_mounts(&mut draft);
    host_files::confirm(&draft, &mut known);
    check_program(&draft, &program)?;

    let environment = environment::settle(&mut draft, &path)?;
    let mut remarks = std::mem::take(&mut draft.remarks);
    remarks.extend(leads::nowhere(&network.value, &environment));
    remarks.extend(network::named_like_groups(&invocation.allow, &settings.network.groups));
    let shell = environment::shell(&draft, &environment);
    let landlock = landlock(&draft, &choices);
    nix::exposed(&mut draft);
    let weakened = weakened::list(&draft, &choices, &landlock, &limits);
    Ok(Policy {
        profile: settings.name.clone(),
        description: settings.description.as_ref().map(|d| d.value.clone()).unwrap_or_default(),
        project: project.clone(),
        home: host.home.clone(),
        private_home: draft.private_home,
        program,
        argv,
        cwd: project.start_directory(),
        shell,
        mounts: draft.steps,
        prepare: draft.prepare,
        mirrors: draft.mirrors,
        environment,
        network,
        network_shown,
        git: choices.git,
        nix: draft.nix,
        private_git,
        exec_log: choices.exec_log,
        host_files: choices.host_files,
        known,
        landlock,
        landlock_origin: choices.landlock.origin,
        limits,
        nested_userns: choices.nested_userns,
        tool_marker: settings.tool_marker.as_ref().map(|marker| marker.value.clone()),
        helpers: settings.helpers.iter().map(|helper| helper.value.clone()).collect(),
        weakened,
        left_out: draft.left_out,
        remarks,
    })
}

/// The scalars: command line over profile over claudebox's own default.
pub(crate) struct Choices {
    pub(crate) network: Settled<NetworkMode>,
    pub(crate) git: Settled<Git>,
    pub(crate) exec_log: Settled<ExecLog>,
    pub(crate) host_files: Settled<HostFiles>,
    pub(crate) landlock: Settled<Demand>,
    pub(crate) nested_userns: Settled<bool>,
}

impl Choices {
    fn of(settings: &Settings, invocation: &Invocation, host: &Host) -> Result<Self> {
        let typed = |option: &str| Origin {
            layer: LayerKind::CommandLine,
            source: option.to_owned(),
            line: 0,
        };
        let network = invocation.network.map(|value| Settled { value, origin: typed("--network") });
        let exec_log = invocation.exec_log.map(|on| {
            let (value, option) = if on {
                (ExecLog::Required, "--exec-log")
            } else {
                (ExecLog::Off, "--no-exec-log")
            };
            Settled { value, origin: typed(option) }
        });
        let host_files =
            invocation.host_files.map(|value| Settled { value, origin: typed("--host-files") });
        let git = invocation.git.map(|value| Settled { value, origin: typed("--git") });
        let choices = Self {
            network: network
                .or_else(|| settings.network.mode.clone())
                .unwrap_or_else(|| default(NetworkMode::Allow)),
            git: git.or_else(|| settings.git.clone()).unwrap_or_else(|| default(Git::Shared)),
            exec_log: exec_log
                .or_else(|| settings.exec_log.clone())
                .unwrap_or_else(|| default(ExecLog::Required)),
            host_files: host_files
                .or_else(|| settings.host_files.clone())
                .unwrap_or_else(|| default(HostFiles::Ask)),
            landlock: settings.landlock.clone().unwrap_or_else(|| default(Demand::BestEffort)),
            nested_userns: settings.nested_userns.clone().unwrap_or_else(|| default(false)),
        };
        choices.check(host)?;
        Ok(choices)
    }

    /// What is demanded and cannot be had on this machine is an error, never a quiet downgrade.
    fn check(&self, host: &Host) -> Result<()> {
        let required = self.landlock.value == Demand::Required;
        if required && host.landlock_abi == 0 {
            return Err(Error::launcher(format!(
                "{}: landlock is required, and this kernel ({}) has none",
                paths::place(&self.landlock.origin),
                visible(&host.kernel)
            ))
            .hint("boot a kernel with Landlock (5.13 or newer, `landlock` in its `lsm=` list)")
            .hint("or use a profile with `landlock = \"best-effort\"`"));
        }
        if required && host.landlock_abi < weakened::ABI_ALL {
            return Err(Error::launcher(format!(
                "{}: landlock is required, and this kernel ({}) has only a part of it (ABI {} of {})",
                paths::place(&self.landlock.origin),
                visible(&host.kernel),
                host.landlock_abi,
                weakened::ABI_ALL
            ))
            .hint("boot Linux 6.12 or newer")
            .hint("or use a profile with `landlock = \"best-effort\"`"));
        }
        if self.nested_userns.value && host.uid == 0 {
            return Err(Error::usage(format!(
                "{}: nested-userns is not given to root",
                paths::place(&self.nested_userns.origin)
            ))
            .hint("run claudebox as an ordinary user"));
        }
        if self.nested_userns.value && required {
            return Err(Error::usage(format!(
                "{}: nested-userns cannot be had with `landlock = \"required\"` ({}): Landlock \
                 forbids the mounts that a nested sandbox makes",
                paths::place(&self.nested_userns.origin),
                paths::place(&self.landlock.origin)
            ))
            .hint("give up one of them"));
        }
        Ok(())
    }
}

/// A value that nobody said.
fn default<T>(value: T) -> Settled<T> {
    let origin = Origin { layer: LayerKind::BuiltIn, source: "default".to_owned(), line: 0 };
    Settled { value, origin }
}

/// What a profile writes for the user's own shell, as the first word of a command.
const SHELL: &str = "$SHELL";

/// The agent's command with what was typed behind it; or what was typed.
fn argv(draft: &Draft<'_>) -> Result<Vec<OsString>> {
    let (settings, invocation) = (draft.settings, draft.invocation);
    let words = settings.command.iter().flat_map(|command| &command.value);
    let mut command: Vec<OsString> = words.map(|word| note::filled(word, draft)).collect();
    if let Some(first) = command.first_mut().filter(|first| *first == SHELL) {
        *first = environment::login_shell(draft);
    }
    let argv: Vec<OsString> = command.into_iter().chain(invocation.argv.iter().cloned()).collect();
    if argv.first().is_none_or(|program| program.is_empty()) {
        return Err(Error::usage(format!(
            "the profile `{}` names no agent, and no command was given",
            visible(&settings.name)
        ))
        .hint("give the command after `--`: claudebox run -- COMMAND")
        .hint("or name an agent: claudebox run claude (`claudebox profile list` lists them)"));
    }
    Ok(argv)
}

/// Finds the agent's program and makes visible what it needs.
fn find_program(draft: &mut Draft<'_>, argv: &[OsString], path: &[PathBuf]) -> Result<PathBuf> {
    let cwd = draft.project.start_directory();
    let search = program::Search {
        path,
        cwd: &cwd,
        view: View::of(&draft.steps, draft.facts),
        private_home: &draft.private_home,
        host: draft.host,
        facts: draft.facts,
    };
    let program = program::find(argv.first().map_or("".as_ref(), |name| name), &search)?;
    for need in program.needs {
        closure::refuse(draft, &need, &program.path)?;
        if !nix::takes(draft, &need)? {
            draft.add_program_part(need)?;
        }
    }
    Ok(program.path)
}

/// With everything in its place, the program must still be there.
fn check_program(draft: &Draft<'_>, program: &Path) -> Result<()> {
    let found = View::of(&draft.steps, draft.facts).resolve(program);
    if found.is_some_and(|found| found.kind == FileKind::File) {
        return Ok(());
    }
    let shown = crate::visible::visible_path(program);
    Err(Error::new(
        Kind::NotFound,
        format!("{shown} is on this machine, but is not visible inside the sandbox"),
    )
    .hint("something hides it (`files.hide`), or a link on the way to it leads out of sight")
    .hint("make its directory visible: --ro-bind DIR, or `tools` in a profile"))
}

/// The file rules of the second layer. What may be read and what may be written is named one by one:
/// something of the host that a mount shows by mistake, or that a path or descriptor leads out to,
/// is refused. Landlock's rules only ever allow, with all that is below: what is read-only or hidden
/// within a place that is not (`.git/hooks` in the project) is the mounts' alone.
fn landlock(draft: &Draft<'_>, choices: &Choices) -> Landlock {
    let write = layout::writable(&draft.steps);
    let read = layout::readable(&draft.steps, &write);
    Landlock {
        demand: choices.landlock.value,
        files: !choices.nested_userns.value && choices.landlock.value != Demand::Off,
        read: read.into_iter().map(Bytes::from).collect(),
        write: write.into_iter().map(Bytes::from).collect(),
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
