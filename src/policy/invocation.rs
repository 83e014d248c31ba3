//! What was typed (and what `config.toml` adds to it), before anything is known of the machine.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::SplitDirection;
use crate::profile::schema::NetworkMode;

/// Which profile was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProfileChoice {
    /// Bare `claudebox`: the default profile of `config.toml`, else `claude`.
    #[default]
    Default,
    /// `claudebox run AGENT`: a profile that names an agent.
    Agent(String),
    /// `claudebox run --profile NAME|FILE -- CMD`.
    Named(PathBuf),
    /// `claudebox run -- CMD`: the profile whose `programs` hold CMD's name, else `default`.
    ForCommand,
}

/// One `--bind` or `--ro-bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindArgument {
    /// As typed.
    pub source: PathBuf,
    /// Where it appears inside; the source if absent.
    pub destination: Option<PathBuf>,
    /// `--bind`, not `--ro-bind`.
    pub writable: bool,
}

/// One run, as asked for. Command line over `config.toml`; both over the profile.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// Which profile.
    pub profile: ProfileChoice,
    /// Appended to the agent's command; or the command itself (`Named`, `ForCommand`).
    pub argv: Vec<OsString>,
    /// `--project`
    pub project: Option<PathBuf>,
    /// `--network`
    pub network: Option<NetworkMode>,
    /// `--bind` and `--ro-bind`, in order.
    pub binds: Vec<BindArgument>,
    /// `--env`, as typed.
    pub env: Vec<OsString>,
    /// `--allow-ssh-agent`
    pub allow_ssh_agent: bool,
    /// `--allow-gpg-agent`
    pub allow_gpg_agent: bool,
    /// `--allow-xdg-runtime`
    pub allow_xdg_runtime: bool,
    /// `--no-exec-log`
    pub no_exec_log: bool,
    /// Use tmux and the log pane.
    pub monitor: bool,
    /// `--split-direction`
    pub split_direction: SplitDirection,
    /// Load the user's tmux configuration.
    pub tmux_config: bool,
}
