//! The schema of a profile: what a TOML file may say. Plain structs with `deny_unknown_fields`,
//! so that a mistake is reported at its own line and column (`flatten` and `untagged` lose it).
//! `None` means "this layer does not say"; merging settles it. It must never do I/O.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::amounts::{Cpu, FileSize, MemorySize, OpenFiles, Processes};
use super::values::{
    AllowRule, Argv, DenyRule, Endpoint, EntryName, HiddenPath, HomePath, HostPath, JsonKey, Pool,
    Port, ProfileRef, ProgramName, PublishedPort, Size, VariableName, VariablePattern,
};
pub use crate::plan::{Demand, ExecLog, HostFiles};

/// One profile file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// One line that says what the profile is for.
    #[schemars(with = "Option<String>")]
    pub description: Option<Spanned<String>>,
    /// The profiles this one builds on, weakest first. A name, or a path that starts with `./`,
    /// `../`, `~/` or `/`.
    #[schemars(with = "Option<Vec<String>>")]
    pub extends: Option<Vec<Spanned<ProfileRef>>>,
    /// How execs are logged: `required` ends the session when the log cannot be had or written.
    #[schemars(with = "Option<ExecLog>")]
    pub exec_log: Option<Spanned<ExecLog>>,
    /// How hard the second layer, Landlock, is demanded.
    #[schemars(with = "Option<Demand>")]
    pub landlock: Option<Spanned<Demand>>,
    /// Lets programs inside create user namespaces (their own sandboxes). Weakens the sandbox.
    #[schemars(with = "Option<bool>")]
    pub nested_userns: Option<Spanned<bool>>,
    /// What of git works inside.
    #[schemars(with = "Option<Git>")]
    pub git: Option<Spanned<Git>>,
    /// Each commit that is made inside names its session, as a trailer `Claudebox-Session`; with a
    /// private git directory only.
    #[schemars(with = "Option<bool>")]
    pub git_trailer: Option<Spanned<bool>>,
    /// What of Nix there is inside.
    #[schemars(with = "Option<Nix>")]
    pub nix: Option<Spanned<Nix>>,
    /// What `nix = "daemon"` opens, and is accepted.
    #[schemars(with = "Option<Vec<NixHole>>")]
    pub nix_accept: Option<Vec<Spanned<NixHole>>>,
    /// What happens at the end to files that programs of the host execute by themselves.
    #[schemars(with = "Option<HostFiles>")]
    pub host_files: Option<Spanned<HostFiles>>,
    /// Directories with programs, bound read-only where they exist (`~` is the home).
    #[schemars(with = "Option<Vec<String>>")]
    pub tools: Option<Vec<Spanned<HostPath>>>,
    /// A file that lists paths of a Nix store, one a line: nothing else of that store is visible.
    #[schemars(with = "Option<String>")]
    pub nix_closure: Option<Spanned<HostPath>>,
    /// Directories of the home that the agent shares with the host, so that its login survives.
    #[schemars(with = "Option<Vec<String>>")]
    pub state: Option<Vec<Spanned<HomePath>>>,
    /// Paths of the home that the agent may only read: what the host's agent executes or obeys.
    #[schemars(with = "Option<Vec<String>>")]
    pub state_readonly: Option<Vec<Spanned<HomePath>>>,
    /// Directories of the home that are fresh in every session.
    #[schemars(with = "Option<Vec<String>>")]
    pub state_private: Option<Vec<Spanned<HomePath>>>,
    /// Directories below `state` that are the project's own: kept from session to session in its
    /// private home, and unknown to the host.
    #[schemars(with = "Option<Vec<String>>")]
    pub state_own: Option<Vec<Spanned<HomePath>>>,
    /// Directories of the private home that are emptied when a session begins, and the names in
    /// them that stay.
    #[schemars(with = "Option<BTreeMap<String, Vec<String>>>")]
    pub state_emptied: Option<BTreeMap<Spanned<HomePath>, Vec<Spanned<EntryName>>>>,
    /// JSON files of the home of which the agent gets a copy of its own, and the top-level keys
    /// that are taken over from the host's file at each start. All else in the copy is the agent's.
    #[schemars(with = "Option<BTreeMap<String, Vec<String>>>")]
    pub state_copy: Option<BTreeMap<Spanned<HomePath>, Vec<Spanned<JsonKey>>>>,
    /// JSON files of the home, and the top-level keys that the host's file is given from the
    /// agent's copy where it has none of its own.
    #[schemars(with = "Option<BTreeMap<String, Vec<String>>>")]
    pub state_return: Option<BTreeMap<Spanned<HomePath>, Vec<Spanned<JsonKey>>>>,
    /// JSON files of the home, and the top-level keys that are kept the same in the host's file and
    /// in the agent's copy while a session runs.
    #[schemars(with = "Option<BTreeMap<String, Vec<String>>>")]
    pub state_sync: Option<BTreeMap<Spanned<HomePath>, Vec<Spanned<JsonKey>>>>,
    /// The agent.
    pub agent: Option<Agent>,
    /// Files beyond the project.
    pub files: Option<Files>,
    /// The environment inside.
    pub environment: Option<Environment>,
    /// The network.
    pub network: Option<Network>,
    /// Sockets of the host, each turned on by itself.
    pub sockets: Option<Sockets>,
    /// Limits.
    pub limits: Option<Limits>,
    /// What must hold, tried by `claudebox doctor --attack`.
    pub assert: Option<Assert>,
}

/// The agent of a profile.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Agent {
    /// The command, argv form. A profile with a command names an agent: `claudebox run NAME`.
    /// `$SHELL` as the first word is the user's shell where it is visible inside, else bash or sh.
    /// In any word `${PROJECT}` and `${NOTE}` stand for the project's directory and for `note`,
    /// `${NOTE-FILE}` and `${NOTE-DIRECTORY}` for where `note` can be read inside.
    #[schemars(with = "Option<Vec<String>>")]
    pub command: Option<Spanned<Argv>>,
    /// What the agent is told about the sandbox, where its command or a variable says how.
    #[schemars(with = "Option<String>")]
    pub note: Option<Spanned<String>>,
    /// Program names for which this profile is taken in `claudebox run -- PROGRAM ...`.
    #[schemars(with = "Option<Vec<String>>")]
    pub programs: Option<Vec<Spanned<ProgramName>>>,
    /// An environment variable the agent sets for the commands it was asked to run.
    #[schemars(with = "Option<String>")]
    pub tool_marker: Option<Spanned<VariableName>>,
    /// Programs the agent runs for itself; the log pane folds them, with a count.
    #[schemars(with = "Option<Vec<String>>")]
    pub helpers: Option<Vec<Spanned<ProgramName>>>,
    /// The shell a new pane opens, argv form; the user's own if absent.
    #[schemars(with = "Option<Vec<String>>")]
    pub shell: Option<Spanned<Argv>>,
}

/// Files beyond the project. `~` is the home, `${PROJECT}` the project.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Files {
    /// Parts of the system, read-only, where they exist.
    #[schemars(with = "Option<Vec<String>>")]
    pub system: Option<Vec<Spanned<HostPath>>>,
    /// Read-only; an error where it does not exist.
    #[schemars(with = "Option<Vec<String>>")]
    pub read_only: Option<Vec<Spanned<HostPath>>>,
    /// Writable; an error where it does not exist.
    #[schemars(with = "Option<Vec<String>>")]
    pub read_write: Option<Vec<Spanned<HostPath>>>,
    /// Not there inside, whatever else says; wins over every other rule. In a project's own file:
    /// relative to the project.
    #[schemars(with = "Option<Vec<String>>")]
    pub hide: Option<Vec<Spanned<HiddenPath>>>,
}

/// The environment inside; nothing else of the caller's is passed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Environment {
    /// Names passed on where they are set; a trailing `*` matches any ending.
    #[schemars(with = "Option<Vec<String>>")]
    pub pass: Option<Vec<Spanned<VariablePattern>>>,
    /// Names and values set inside; they win over `pass`.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub set: Option<BTreeMap<Spanned<VariableName>, Spanned<String>>>,
    /// Names neither passed nor set, whatever other profiles say.
    #[schemars(with = "Option<Vec<String>>")]
    pub deny: Option<Vec<Spanned<VariablePattern>>>,
}

/// The network.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// Which network there is inside.
    #[schemars(with = "Option<NetworkMode>")]
    pub mode: Option<Spanned<NetworkMode>>,
    /// What may be reached: `HOST`, `HOST:PORT`, `*.HOST`, addresses and nets (IPv6 in brackets),
    /// `@GROUP`. Without a port: 443. Behind it may stand `raw` (no TLS is demanded at port 443)
    /// and `private` (the name may resolve to private addresses).
    #[schemars(with = "Option<Vec<String>>")]
    pub allow: Option<Vec<Spanned<AllowRule>>>,
    /// What may not be reached, whatever allows it; without a port: at any. `*` is everything.
    #[schemars(with = "Option<Vec<String>>")]
    pub deny: Option<Vec<Spanned<DenyRule>>>,
    /// Ports of the host's loopback that are there inside, at the same number.
    #[schemars(with = "Option<Vec<Port>>")]
    pub host_ports: Option<Vec<Spanned<Port>>>,
    /// Ports inside that are there on the host's loopback: `PORT`, or `PORT:HOST-PORT`.
    #[schemars(with = "Option<Vec<String>>")]
    pub publish: Option<Vec<Spanned<PublishedPort>>>,
    /// Sets the variables of a proxy (`HTTPS_PROXY`, ...), which answers refusals in words.
    #[schemars(with = "Option<bool>")]
    pub proxy: Option<Spanned<bool>>,
    /// The IPv4 addresses that names get inside.
    #[schemars(with = "Option<String>")]
    pub pool: Option<Spanned<Pool>>,
    /// How hard it is demanded that programs need not know of a proxy. `required`: with a gateway
    /// of its own; `best-effort`: as far as the machine can; `off`: there is only the proxy.
    #[schemars(with = "Option<Demand>")]
    pub transparent: Option<Spanned<Demand>>,
}

/// Which network there is inside.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// What rules allow, by name and port.
    Allow,
    /// Only a loopback of its own.
    None,
    /// The host's, all of it. Shown as weakened.
    Host,
}

impl NetworkMode {
    /// As a profile writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::None => "none",
            Self::Host => "host",
        }
    }
}

/// What of git works inside.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Git {
    /// A private copy of `.git`, from which only commits come back.
    Private,
    /// The project's own `.git`, pinned; hooks, config and info read-only.
    Shared,
    /// The whole of `.git` read-only: no commits.
    ReadOnly,
    /// `.git` is hidden.
    None,
}

/// What of Nix there is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nix {
    /// Nothing: no path of the store is visible.
    None,
    /// The store, read-only, where there is one. The daemon cannot be reached.
    Store,
    /// A store of the project's own, in its private home, for a Nix without a daemon; of the host's
    /// store what the programs inside need.
    Private,
    /// The store, and the host's daemon. See [`NixHole`].
    Daemon,
}

impl Nix {
    /// As a profile writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Store => "store",
            Self::Private => "private",
            Self::Daemon => "daemon",
        }
    }
}

/// What the daemon of Nix does for whoever reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NixHole {
    /// It fetches from anywhere, whatever the rules of the network are.
    Network,
    /// It lets users whom it trusts, as root is, run what they like outside, as root.
    Trust,
}

impl NixHole {
    /// As a profile writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Trust => "trust",
        }
    }
}

/// Sockets of the host. Each lets what is inside reach a program outside.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sockets {
    /// `$SSH_AUTH_SOCK`: signs with your keys.
    #[schemars(with = "Option<bool>")]
    pub ssh_agent: Option<Spanned<bool>>,
    /// gpg-agent's socket: signs and decrypts with your keys.
    #[schemars(with = "Option<bool>")]
    pub gpg_agent: Option<Spanned<bool>>,
    /// All of `$XDG_RUNTIME_DIR` but claudebox's own directory: D-Bus, keyring, everything.
    #[schemars(with = "Option<bool>")]
    pub xdg_runtime: Option<Spanned<bool>>,
    /// Docker's socket: root on the host.
    #[schemars(with = "Option<bool>")]
    pub docker: Option<Spanned<bool>>,
    /// The Wayland compositor.
    #[schemars(with = "Option<bool>")]
    pub wayland: Option<Spanned<bool>>,
    /// The X server: reads every keystroke.
    #[schemars(with = "Option<bool>")]
    pub x11: Option<Spanned<bool>>,
    /// The session D-Bus.
    #[schemars(with = "Option<bool>")]
    pub dbus: Option<Spanned<bool>>,
    /// PipeWire: microphone and screen.
    #[schemars(with = "Option<bool>")]
    pub pipewire: Option<Spanned<bool>>,
}

impl Sockets {
    /// Each socket by the name of its key.
    pub fn named(&self) -> [(&'static str, Option<&Spanned<bool>>); 8] {
        let Self { ssh_agent, gpg_agent, xdg_runtime, docker, wayland, x11, dbus, pipewire } = self;
        [
            ("ssh-agent", ssh_agent.as_ref()),
            ("gpg-agent", gpg_agent.as_ref()),
            ("xdg-runtime", xdg_runtime.as_ref()),
            ("docker", docker.as_ref()),
            ("wayland", wayland.as_ref()),
            ("x11", x11.as_ref()),
            ("dbus", dbus.as_ref()),
            ("pipewire", pipewire.as_ref()),
        ]
    }
}

/// Limits. Sizes are written like `"512MiB"` or `"2GiB"`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// The size of /tmp, and of /var/tmp (memory).
    #[schemars(with = "Option<String>")]
    pub tmp_size: Option<Spanned<Size>>,
    /// The size of each other tmpfs (memory).
    #[schemars(with = "Option<String>")]
    pub run_size: Option<Spanned<Size>>,
    /// What happens where this machine cannot enforce a limit below. `required`: no session.
    #[schemars(with = "Option<Demand>")]
    pub enforce: Option<Spanned<Demand>>,
    /// How many processes and threads everything inside may have together, or `"unlimited"`.
    #[schemars(with = "Option<Processes>")]
    pub processes: Option<Spanned<Processes>>,
    /// How many files each process may have open, or `"unlimited"`.
    #[schemars(with = "Option<OpenFiles>")]
    pub open_files: Option<Spanned<OpenFiles>>,
    /// How large each file may become, or `"unlimited"`.
    #[schemars(with = "Option<FileSize>")]
    pub file_size: Option<Spanned<FileSize>>,
    /// The memory of everything inside together, its files in memory and swap included: a size,
    /// a part of the machine's (`"50%"`), or `"unlimited"`.
    #[schemars(with = "Option<MemorySize>")]
    pub memory: Option<Spanned<MemorySize>>,
    /// How many processors everything inside may keep busy (`1.5`), or `"unlimited"`.
    #[schemars(with = "Option<Cpu>")]
    pub cpu: Option<Spanned<Cpu>>,
}

/// What must hold of a sandbox of this profile. It grants and denies nothing: `claudebox doctor
/// --attack` tries it and says whether it holds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Assert {
    /// Files and directories of which nothing can be read inside.
    #[schemars(with = "Option<Vec<String>>")]
    pub must_not_read: Option<Vec<Spanned<HostPath>>>,
    /// Files and directories of the host that can be written inside.
    #[schemars(with = "Option<Vec<String>>")]
    pub must_write: Option<Vec<Spanned<HostPath>>>,
    /// `HOST:PORT` to which nothing inside can connect.
    #[schemars(with = "Option<Vec<String>>")]
    pub must_not_reach: Option<Vec<Spanned<Endpoint>>>,
}
