//! What all layers say together: the result of merging, every value with its origin.
//! It must never hold a value without the place it comes from.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::Ipv4Net;

use super::amounts::{Limit, Memory};
use super::groups::Groups;
use super::origin::Settled;
use super::schema::{Demand, ExecLog, Git, HostFiles, NetworkMode, Nix, NixHole};
use crate::error::Error;
use crate::network::plan::Publish;

/// Everything the profile layers say, merged. Scalars: the last layer wins. Lists: the union, in
/// order of the layers, each value once (its last origin). What a layer denies, no layer allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The name of the profile that was asked for.
    pub name: String,
    /// What there is to say of how it was chosen, a line for each: profiles that are broken and that this
    /// run does not need; that it is another one than usual.
    pub remarks: Vec<String>,
    /// The files of the system's and the user's that say it.
    pub files: Vec<PathBuf>,
    /// What it is for.
    pub description: Option<Settled<String>>,
    /// See [`super::schema::Profile::exec_log`].
    pub exec_log: Option<Settled<ExecLog>>,
    /// See [`super::schema::Profile::landlock`].
    pub landlock: Option<Settled<Demand>>,
    /// See [`super::schema::Profile::nested_userns`].
    pub nested_userns: Option<Settled<bool>>,
    /// See [`super::schema::Profile::git`].
    pub git: Option<Settled<Git>>,
    /// See [`super::schema::Profile::git_trailer`].
    pub git_trailer: Option<Settled<bool>>,
    /// See [`super::schema::Profile::nix`].
    pub nix: Option<Settled<Nix>>,
    /// See [`super::schema::Profile::nix_accept`].
    pub nix_accept: Vec<Settled<NixHole>>,
    /// See [`super::schema::Profile::host_files`].
    pub host_files: Option<Settled<HostFiles>>,
    /// See [`super::schema::Profile::tools`].
    pub tools: Vec<Settled<String>>,
    /// See [`super::schema::Profile::nix_closure`].
    pub nix_closure: Option<Settled<String>>,
    /// See [`super::schema::Profile::state`].
    pub state: Vec<Settled<String>>,
    /// See [`super::schema::Profile::state_readonly`].
    pub state_readonly: Vec<Settled<String>>,
    /// See [`super::schema::Profile::state_private`].
    pub state_private: Vec<Settled<String>>,
    /// See [`super::schema::Profile::state_own`].
    pub state_own: Vec<Settled<String>>,
    /// See [`super::schema::Profile::state_emptied`]: directory to names, and where it was said.
    pub state_emptied: BTreeMap<String, Settled<Vec<String>>>,
    /// See [`super::schema::Profile::state_copy`]: file to keys, never empty.
    pub state_copy: BTreeMap<String, Vec<Settled<String>>>,
    /// See [`super::schema::Profile::state_return`]: file to keys, never empty.
    pub state_return: BTreeMap<String, Vec<Settled<String>>>,
    /// See [`super::schema::Profile::state_sync`]: file to keys, never empty.
    pub state_sync: BTreeMap<String, Vec<Settled<String>>>,
    /// The command to which the invocation's argv is appended. `None` where argv is the command.
    pub command: Option<Settled<Vec<String>>>,
    /// See [`super::schema::Agent::note`].
    pub note: Option<Settled<String>>,
    /// See [`super::schema::Agent::programs`].
    pub programs: Vec<Settled<String>>,
    /// See [`super::schema::Agent::tool_marker`].
    pub tool_marker: Option<Settled<String>>,
    /// See [`super::schema::Agent::helpers`].
    pub helpers: Vec<Settled<String>>,
    /// See [`super::schema::Agent::shell`].
    pub shell: Option<Settled<Vec<String>>>,
    /// See [`super::schema::Files::system`].
    pub system: Vec<Settled<String>>,
    /// See [`super::schema::Files::read_only`].
    pub read_only: Vec<Settled<String>>,
    /// See [`super::schema::Files::read_write`].
    pub read_write: Vec<Settled<String>>,
    /// See [`super::schema::Files::hide`]. A value from the project layer is already joined to
    /// the project directory.
    pub hide: Vec<Settled<String>>,
    /// See [`super::schema::Environment::pass`], names in `deny` already taken out.
    pub pass: Vec<Settled<String>>,
    /// See [`super::schema::Environment::set`].
    pub set: BTreeMap<String, Settled<String>>,
    /// See [`super::schema::Environment::deny`].
    pub deny_env: Vec<Settled<String>>,
    /// The network.
    pub network: NetworkSettings,
    /// The names of the sockets that are on (`ssh-agent`, ...).
    pub sockets: BTreeMap<&'static str, Settled<bool>>,
    /// Bytes.
    pub tmp_size: Option<Settled<u64>>,
    /// Bytes.
    pub run_size: Option<Settled<u64>>,
    /// See [`super::schema::Assert::must_not_read`].
    pub must_not_read: Vec<Settled<String>>,
    /// See [`super::schema::Assert::must_write`].
    pub must_write: Vec<Settled<String>>,
    /// See [`super::schema::Assert::must_not_reach`].
    pub must_not_reach: Vec<Settled<String>>,
    /// All other limits.
    pub limits: LimitSettings,
}

impl Settings {
    /// Whether nothing is named in which a program could be: then not even claudebox's own could start.
    pub fn shows_no_program(&self) -> bool {
        let files = [&self.system, &self.read_only, &self.read_write];
        let nix = self.nix.as_ref().is_some_and(|nix| nix.value != Nix::None);
        files.iter().all(|paths| paths.is_empty()) && self.nix_closure.is_none() && !nix
    }
}

/// The error for a profile that [shows no program](Settings::shows_no_program).
pub fn shows_no_program(profile: &str) -> Error {
    Error::usage(format!("{profile}: nothing of the system is visible"))
        .hint("no program can run like that; write `extends = [\"base\"]`")
}

/// The network. See [`super::schema::Network`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Which network there is.
    pub mode: Option<Settled<NetworkMode>>,
    /// Rules and `@GROUP`s, as written.
    pub allow: Vec<Settled<String>>,
    /// Rules and `@GROUP`s, as written.
    pub deny: Vec<Settled<String>>,
    /// Ports of the host.
    pub host_ports: Vec<Settled<u16>>,
    /// Ports inside.
    pub publish: Vec<Settled<Publish>>,
    /// Whether the variables of a proxy are set.
    pub proxy: Option<Settled<bool>>,
    /// The addresses that names get.
    pub pool: Option<Settled<Ipv4Net>>,
    /// How hard transparency is demanded.
    pub transparent: Option<Settled<Demand>>,
    /// What the groups stand for. Not from a profile, but from the files for groups.
    pub groups: Groups,
}

/// Limits on what is inside as a whole, and on each process. See [`super::schema::Limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// How hard they are demanded.
    pub enforce: Option<Settled<Demand>>,
    /// Processes and threads.
    pub processes: Option<Settled<Limit<u64>>>,
    /// Files each process may have open.
    pub open_files: Option<Settled<Limit<u64>>>,
    /// Bytes of each file.
    pub file_size: Option<Settled<Limit<u64>>>,
    /// Memory.
    pub memory: Option<Settled<Limit<Memory>>>,
    /// Hundredths of one processor.
    pub cpu: Option<Settled<Limit<u32>>>,
}
