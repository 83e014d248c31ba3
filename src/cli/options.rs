//! The options of a run. Each can also stand in `config.toml` by the same name, and each that is
//! on or off has its opposite, so that the command line can always take back what is written
//! there; of an option and its opposite the last one counts. It must never know what they do.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::profile::config::SplitDirection;
use crate::profile::schema::{Git, HostFiles, NetworkMode};

/// The options of a run.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run options")]
pub struct RunOptions {
    /// Run in this terminal, without tmux and the log pane [opposite: --monitor].
    #[arg(long, overrides_with_all = ["no_monitor", "monitor"])]
    no_monitor: bool,
    /// The project directory, instead of the git root of the current directory.
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Work in a linked worktree NAME of its own, on the branch `claudebox/NAME`; made if it is not there.
    #[arg(short, long, value_name = "NAME")]
    pub worktree: Option<String>,
    /// Where the branch of a new worktree begins, instead of HEAD.
    #[arg(long, value_name = "REF", requires = "worktree")]
    pub base: Option<String>,
    /// How the window is split for the log pane.
    #[arg(long, value_name = "DIRECTION")]
    pub split_direction: Option<SplitDirection>,
    /// Do not load the user's tmux configuration [opposite: --tmux-config].
    #[arg(long, overrides_with_all = ["no_tmux_config", "tmux_config"])]
    no_tmux_config: bool,
    /// Which network there is inside.
    #[arg(long, value_name = "MODE")]
    pub network: Option<NetworkMode>,
    /// Let HOST be reached, at port 443 if no other is given; may be `*.HOST` or `@GROUP`.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub allow: Vec<String>,
    /// Make a port of this machine's loopback reachable inside, at the same number.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub host_port: Vec<u16>,
    /// Make a port inside reachable on this machine's loopback.
    #[arg(long, value_name = "PORT[:HOST_PORT]")]
    pub publish: Vec<String>,
    /// Make a path writable inside.
    #[arg(long, value_name = "SRC[:DEST]")]
    pub bind: Vec<OsString>,
    /// Make a path readable inside.
    #[arg(long, value_name = "SRC[:DEST]")]
    pub ro_bind: Vec<OsString>,
    /// Pass an environment variable, or set it.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env: Vec<OsString>,
    /// Let the agent use your ssh-agent [opposite: --no-allow-ssh-agent].
    #[arg(long, overrides_with_all = ["allow_ssh_agent", "no_allow_ssh_agent"])]
    allow_ssh_agent: bool,
    /// Let the agent use your gpg-agent [opposite: --no-allow-gpg-agent].
    #[arg(long, overrides_with_all = ["allow_gpg_agent", "no_allow_gpg_agent"])]
    allow_gpg_agent: bool,
    /// Bind all of `$XDG_RUNTIME_DIR` [opposite: --no-allow-xdg-runtime].
    #[arg(long, overrides_with_all = ["allow_xdg_runtime", "no_allow_xdg_runtime"])]
    allow_xdg_runtime: bool,
    /// Do not observe execs, for `strace --seccomp-bpf` and other programs that need the listener
    /// [opposite: --exec-log].
    #[arg(long, overrides_with_all = ["no_exec_log", "exec_log"])]
    no_exec_log: bool,
    /// What happens at the end to new files that programs of the host execute by themselves.
    #[arg(long, value_name = "MODE")]
    pub host_files: Option<HostFiles>,
    /// What of git works inside.
    #[arg(long, value_name = "MODE")]
    pub git: Option<Git>,
    /// Say more about what claudebox does; twice: everything [opposite: --no-verbose].
    #[arg(short, long, action = ArgAction::Count, overrides_with = "no_verbose")]
    verbose: u8,
    #[command(flatten)]
    opposites: Opposites,
}

/// What takes back a word of `config.toml`. Named in the help of what they are the opposite of.
#[derive(Clone, Debug, Default, Args)]
struct Opposites {
    #[arg(long, hide = true, overrides_with_all = ["monitor", "no_monitor"])]
    monitor: bool,
    #[arg(long, hide = true, overrides_with_all = ["tmux_config", "no_tmux_config"])]
    tmux_config: bool,
    #[arg(long, hide = true, overrides_with_all = ["no_allow_ssh_agent", "allow_ssh_agent"])]
    no_allow_ssh_agent: bool,
    #[arg(long, hide = true, overrides_with_all = ["no_allow_gpg_agent", "allow_gpg_agent"])]
    no_allow_gpg_agent: bool,
    #[arg(long, hide = true, overrides_with_all = ["no_allow_xdg_runtime", "allow_xdg_runtime"])]
    no_allow_xdg_runtime: bool,
    #[arg(long, hide = true, overrides_with_all = ["exec_log", "no_exec_log"])]
    exec_log: bool,
    #[arg(long, hide = true, overrides_with_all = ["no_verbose", "verbose"])]
    no_verbose: bool,
}

/// What was typed; `None` where nothing was.
impl RunOptions {
    /// `--monitor`, `--no-monitor`
    pub fn monitor(&self) -> Option<bool> {
        either(self.opposites.monitor, self.no_monitor)
    }

    /// `--tmux-config`, `--no-tmux-config`
    pub fn tmux_config(&self) -> Option<bool> {
        either(self.opposites.tmux_config, self.no_tmux_config)
    }

    /// `--allow-ssh-agent`, `--no-allow-ssh-agent`
    pub fn allow_ssh_agent(&self) -> Option<bool> {
        either(self.allow_ssh_agent, self.opposites.no_allow_ssh_agent)
    }

    /// `--allow-gpg-agent`, `--no-allow-gpg-agent`
    pub fn allow_gpg_agent(&self) -> Option<bool> {
        either(self.allow_gpg_agent, self.opposites.no_allow_gpg_agent)
    }

    /// `--allow-xdg-runtime`, `--no-allow-xdg-runtime`
    pub fn allow_xdg_runtime(&self) -> Option<bool> {
        either(self.allow_xdg_runtime, self.opposites.no_allow_xdg_runtime)
    }

    /// `--exec-log`, `--no-exec-log`
    pub fn exec_log(&self) -> Option<bool> {
        either(self.opposites.exec_log, self.no_exec_log)
    }

    /// How often `--verbose` was given; 0 for `--no-verbose`.
    pub fn verbose(&self) -> Option<u8> {
        (self.verbose > 0 || self.opposites.no_verbose).then_some(self.verbose)
    }
}

/// clap leaves set which of the two came last.
fn either(on: bool, off: bool) -> Option<bool> {
    (on || off).then_some(on)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use clap::Parser as _;

    /// What stands behind `claudebox`.
    pub(crate) fn typed(words: &[&str]) -> RunOptions {
        crate::cli::Cli::try_parse_from(["claudebox"].iter().chain(words)).unwrap().run
    }

    #[test]
    fn of_an_option_and_its_opposite_the_last_counts() {
        let monitor = |words: &[&str]| typed(words).monitor();
        assert_eq!(monitor(&[]), None);
        assert_eq!(monitor(&["--no-monitor"]), Some(false));
        assert_eq!(monitor(&["--no-monitor", "--monitor"]), Some(true));
        assert_eq!(monitor(&["--monitor", "--no-monitor", "--no-monitor"]), Some(false));
        let ssh = |words: &[&str]| typed(words).allow_ssh_agent();
        assert_eq!(ssh(&["--allow-ssh-agent", "--no-allow-ssh-agent"]), Some(false));
        assert_eq!(ssh(&["--no-allow-ssh-agent", "--allow-ssh-agent"]), Some(true));
        assert_eq!(typed(&["-vv"]).verbose(), Some(2));
        assert_eq!(typed(&["-vv", "--no-verbose"]).verbose(), Some(0));
        assert_eq!(typed(&["--no-verbose", "-v"]).verbose(), Some(1));
        assert_eq!(typed(&[]).verbose(), None);
    }
}
