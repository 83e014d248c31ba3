//! What was typed (and what `config.toml` adds to it), before anything is known of the machine.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::cli::{RunArgs, RunOptions};
use crate::error::{Error, Result};
use crate::network::parse::{self, Mistake};
use crate::network::plan::Publish;
pub use crate::profile::ProfileChoice;
pub use crate::profile::bind::BindArgument;
use crate::profile::bind::parse_bind;
use crate::profile::config::{Config, SplitDirection};
use crate::profile::origin::Settled;
use crate::profile::schema::{Git, HostFiles, NetworkMode};
use crate::profile::values::parse_publish;
use crate::visible::visible;

/// One run, as asked for. Command line over `config.toml`; both over the profile.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// Which profile.
    pub profile: ProfileChoice,
    /// Appended to the agent's command; or the command itself (`Named`, `ForCommand`).
    pub argv: Vec<OsString>,
    /// `--project`
    pub project: Option<PathBuf>,
    /// `--worktree`
    pub worktree: Option<String>,
    /// `--base`
    pub base: Option<String>,
    /// `--network`
    pub network: Option<NetworkMode>,
    /// `--allow`, as typed.
    pub allow: Vec<String>,
    /// `--host-port`
    pub host_ports: Vec<u16>,
    /// `--publish`
    pub publish: Vec<Publish>,
    /// `bind` and `ro-bind` of the configuration.
    pub config_binds: Vec<Settled<BindArgument>>,
    /// `--bind` and `--ro-bind`, in order.
    pub binds: Vec<BindArgument>,
    /// `env` of the configuration.
    pub config_env: Vec<Settled<OsString>>,
    /// `--env`, as typed.
    pub env: Vec<OsString>,
    /// `--allow-ssh-agent`; `None` where nothing was typed, here and below.
    pub allow_ssh_agent: Option<bool>,
    /// `--allow-gpg-agent`
    pub allow_gpg_agent: Option<bool>,
    /// `--allow-xdg-runtime`
    pub allow_xdg_runtime: Option<bool>,
    /// `--exec-log`
    pub exec_log: Option<bool>,
    /// `--host-files`
    pub host_files: Option<HostFiles>,
    /// `--git`
    pub git: Option<Git>,
    /// Use tmux and the log pane.
    pub monitor: bool,
    /// `--split-direction`
    pub split_direction: SplitDirection,
    /// Load the user's tmux configuration.
    pub tmux_config: bool,
}

impl Invocation {
    /// Whether it shares anything of the host beside what the profile does.
    pub fn has_binds(&self) -> bool {
        !self.binds.is_empty() || !self.config_binds.is_empty()
    }

    /// What `claudebox run` means with these arguments.
    pub fn of_run(run: &RunArgs, config: &Config) -> Result<Self> {
        let profile = match (&run.agent, &run.profile) {
            (Some(agent), _) => ProfileChoice::Agent(agent.clone()),
            (None, Some(profile)) => ProfileChoice::Named(profile.clone()),
            (None, None) if run.argv.is_empty() => ProfileChoice::Default,
            (None, None) => ProfileChoice::ForCommand,
        };
        Self::of(profile, &run.argv, &run.options, config)
    }

    /// What the bare `claudebox` means with these arguments for the agent.
    pub fn of_bare(options: &RunOptions, argv: &[OsString], config: &Config) -> Result<Self> {
        Self::of(ProfileChoice::Default, argv, options, config)
    }

    /// Lists of the command line are added to those of the configuration; for the rest the command
    /// line wins. What a profile could say too (network, sockets, exec log) is not taken from the
    /// configuration here: it reaches the settings as a layer, where its line is remembered.
    fn of(
        profile: ProfileChoice,
        argv: &[OsString],
        options: &RunOptions,
        config: &Config,
    ) -> Result<Self> {
        let mut binds = Vec::new();
        for (option, said, writable) in
            [("--bind", &options.bind, true), ("--ro-bind", &options.ro_bind, false)]
        {
            for text in said {
                let bind = parse_bind(text.as_bytes(), writable);
                binds.push(bind.map_err(|what| bad_argument(option, text, &what))?);
            }
        }
        for text in &options.env {
            check_env(text.as_bytes()).map_err(|what| bad_argument("--env", text, what))?;
        }
        for text in &options.allow {
            check_allow(text).map_err(|what| bad_argument("--allow", text, &what.to_string()))?;
        }
        let publish: Result<Vec<Publish>> = options
            .publish
            .iter()
            .map(|text| parse_publish(text).map_err(|what| bad_argument("--publish", text, &what)))
            .collect();
        let publish = publish?;
        Ok(Self {
            profile,
            argv: argv.to_vec(),
            project: options.project.clone(),
            worktree: options.worktree.clone(),
            base: options.base.clone(),
            network: options.network,
            allow: options.allow.clone(),
            host_ports: options.host_port.clone(),
            publish,
            config_binds: config.binds().to_vec(),
            binds,
            config_env: config.env().to_vec(),
            env: options.env.clone(),
            allow_ssh_agent: options.allow_ssh_agent(),
            allow_gpg_agent: options.allow_gpg_agent(),
            allow_xdg_runtime: options.allow_xdg_runtime(),
            exec_log: options.exec_log(),
            host_files: options.host_files,
            git: options.git,
            monitor: options.monitor().unwrap_or(config.monitor()),
            split_direction: options
                .split_direction
                .or(config.split_direction())
                .unwrap_or_default(),
            tmux_config: options.tmux_config().unwrap_or(config.tmux_config()),
        })
    }
}

fn bad_argument(option: &str, text: impl AsRef<OsStr>, what: &str) -> Error {
    let mut lines = what.lines();
    let title = lines.next().unwrap_or_default();
    let error = Error::usage(format!("{option} {}: {title}", visible(text.as_ref().as_bytes())));
    lines.fold(error, Error::hint)
}

/// A rule or a group; which groups there are is known later.
fn check_allow(text: &str) -> Result<(), Mistake> {
    match parse::group(text)? {
        Some(_) => Ok(()),
        None => parse::allow(text, "--allow").map(|_| ()),
    }
}

/// environ(7) allows any name without `=`; an empty one means nothing.
fn check_env(text: &[u8]) -> Result<(), &'static str> {
    if text.first().is_none_or(|byte| *byte == b'=') {
        return Err("the name is missing\nwrite it as NAME or NAME=VALUE");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::tests::typed;

    #[test]
    fn the_choice_follows_what_was_typed() {
        let run = |agent: Option<&str>, profile: Option<&str>, argv: &[&str]| {
            let run = RunArgs {
                agent: agent.map(Into::into),
                profile: profile.map(Into::into),
                argv: argv.iter().map(Into::into).collect(),
                ..RunArgs::default()
            };
            Invocation::of_run(&run, &Config::default()).unwrap().profile
        };
        assert_eq!(run(None, None, &[]), ProfileChoice::Default);
        assert_eq!(run(Some("demo"), None, &["x"]), ProfileChoice::Agent("demo".into()));
        assert_eq!(run(None, Some("p"), &["x"]), ProfileChoice::Named("p".into()));
        assert_eq!(run(None, None, &["make"]), ProfileChoice::ForCommand);
    }

    #[test]
    fn the_command_line_wins_over_the_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "monitor = false\ntmux-config = false\nsplit-direction = \"vertical\"\n";
        std::fs::write(file.path(), text).unwrap();
        let config = Config::read(file.path(), "/home/a".as_ref()).unwrap();
        let made = |words: &[&str], config: &Config| {
            let run = Invocation::of_bare(&typed(words), &[], config).unwrap();
            (run.monitor, run.tmux_config, run.split_direction)
        };
        let back = ["--monitor", "--tmux-config", "--split-direction", "auto"];
        assert_eq!(made(&[], &config), (false, false, SplitDirection::Vertical));
        assert_eq!(made(&back, &config), (true, true, SplitDirection::Auto));
        let off = ["--no-monitor", "--no-tmux-config"];
        assert_eq!(made(&off, &Config::default()), (false, false, SplitDirection::Auto));
        assert_eq!(made(&[], &Config::default()), (true, true, SplitDirection::Auto));
    }

    #[test]
    fn a_bad_argument_is_named() {
        let options = typed(&["--ro-bind", "/a:"]);
        let error = Invocation::of_bare(&options, &[], &Config::default()).unwrap_err();
        assert_eq!(error.to_string(), "--ro-bind /a:: a path is missing");
        let options = typed(&["--env", "=1"]);
        assert!(Invocation::of_bare(&options, &[], &Config::default()).is_err());
    }
}
