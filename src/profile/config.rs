//! The user's `config.toml`: what holds for every run unless the command line says otherwise.
//! What a profile could say too becomes a layer above all profiles; the rest is for the
//! invocation. It must never hold what only the command line can mean (a project, an agent's
//! arguments).

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::bind::{BindArgument, parse_bind};
use super::library;
use super::merge::Layer;
use super::origin::{LayerKind, Settled};
use super::schema::{ExecLog, Git, HostFiles, Network, NetworkMode, Profile, Sockets};
use super::source::Source;
use super::values::{AllowRule, Assignment, Port, ProfileName, PublishedPort};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::visible::visible_path;

/// How the window is split.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
    serde::Serialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum SplitDirection {
    /// Side by side when the terminal has at least 115 columns and is three times as wide as high.
    #[default]
    Auto,
    /// Side by side.
    Horizontal,
    /// One above the other.
    Vertical,
}

/// The keys of `config.toml`: those of the run options, without their dashes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    /// The profile of the bare `claudebox`.
    #[schemars(with = "Option<String>")]
    default_profile: Option<Spanned<ProfileName>>,
    /// Whether to use tmux and the log pane.
    monitor: Option<bool>,
    split_direction: Option<SplitDirection>,
    /// Whether to load the user's tmux configuration.
    tmux_config: Option<bool>,
    #[schemars(with = "Option<NetworkMode>")]
    network: Option<Spanned<NetworkMode>>,
    #[schemars(with = "Option<Vec<String>>")]
    allow: Option<Vec<Spanned<AllowRule>>>,
    #[schemars(with = "Option<Vec<Port>>")]
    host_port: Option<Vec<Spanned<Port>>>,
    #[schemars(with = "Option<Vec<String>>")]
    publish: Option<Vec<Spanned<PublishedPort>>>,
    #[schemars(with = "Option<Vec<String>>")]
    bind: Option<Vec<Spanned<String>>>,
    #[schemars(with = "Option<Vec<String>>")]
    ro_bind: Option<Vec<Spanned<String>>>,
    #[schemars(with = "Option<Vec<String>>")]
    env: Option<Vec<Spanned<Assignment>>>,
    #[schemars(with = "Option<bool>")]
    allow_ssh_agent: Option<Spanned<bool>>,
    #[schemars(with = "Option<bool>")]
    allow_gpg_agent: Option<Spanned<bool>>,
    #[schemars(with = "Option<bool>")]
    allow_xdg_runtime: Option<Spanned<bool>>,
    #[schemars(with = "Option<ExecLog>")]
    exec_log: Option<Spanned<ExecLog>>,
    #[schemars(with = "Option<HostFiles>")]
    host_files: Option<Spanned<HostFiles>>,
    #[schemars(with = "Option<Git>")]
    git: Option<Spanned<Git>>,
    /// How often `--verbose` is given.
    verbose: Option<Verbosity>,
}

/// How often `--verbose` is given: once, or twice for everything.
#[derive(Clone, Copy, Debug, JsonSchema)]
struct Verbosity(u8);

impl<'de> Deserialize<'de> for Verbosity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Times)
    }
}

struct Times;

impl Visitor<'_> for Times {
    type Value = Verbosity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0, 1 or 2")
    }

    fn visit_i64<E: de::Error>(self, times: i64) -> Result<Verbosity, E> {
        match u8::try_from(times) {
            Ok(times @ 0..=2) => Ok(Verbosity(times)),
            _ => Err(E::invalid_value(Unexpected::Signed(times), &self)),
        }
    }
}

/// A `config.toml`, read and checked; the default is an empty one.
#[derive(Clone, Debug, Default)]
pub struct Config {
    keys: Keys,
    source: Option<Source>,
    binds: Vec<Settled<BindArgument>>,
    env: Vec<Settled<OsString>>,
}

impl Config {
    /// The user's configuration; an empty one where there is no file.
    pub fn load(host: &Host) -> Result<Self> {
        Self::read(&host.dirs.config.join("config.toml"), &host.home)
    }

    /// The configuration in this file. `home` is what `~` means.
    pub fn read(path: &Path, home: &Path) -> Result<Self> {
        match library::read(path)? {
            Some(bytes) => {
                Self::parse(Source::new(LayerKind::Config, visible_path(path), bytes)?, home)
            }
            None => Ok(Self::default()),
        }
    }

    fn parse(source: Source, home: &Path) -> Result<Self> {
        let keys: Keys = source.parse()?;
        let mut binds = Vec::new();
        for (said, writable) in [(&keys.bind, true), (&keys.ro_bind, false)] {
            for bind in said.iter().flatten() {
                let parsed = config_bind(bind.get_ref(), writable, home);
                let value = parsed.map_err(|what| source.error(bind.span(), &what))?;
                binds.push(Settled { value, origin: source.origin(&bind.span()) });
            }
        }
        let assigned = |said: &Spanned<Assignment>| Settled {
            value: said.get_ref().as_str().into(),
            origin: source.origin(&said.span()),
        };
        let env = keys.env.iter().flatten().map(assigned).collect();
        Ok(Self { keys, source: Some(source), binds, env })
    }

    /// `default-profile`
    pub fn default_profile(&self) -> Option<&str> {
        self.keys.default_profile.as_ref().map(|name| name.get_ref().as_str())
    }

    /// The error that `default-profile` is wrong, at its line.
    pub(super) fn wrong_default(&self, what: &str) -> Error {
        match (&self.source, &self.keys.default_profile) {
            (Some(source), Some(name)) => source.error(name.span(), what),
            _ => Error::usage(what),
        }
    }

    /// `bind`, then `ro-bind`.
    pub fn binds(&self) -> &[Settled<BindArgument>] {
        &self.binds
    }

    /// `env`
    pub fn env(&self) -> &[Settled<OsString>] {
        &self.env
    }

    /// `monitor`; true where nothing is said.
    pub fn monitor(&self) -> bool {
        self.keys.monitor.unwrap_or(true)
    }

    /// `split-direction`
    pub fn split_direction(&self) -> Option<SplitDirection> {
        self.keys.split_direction
    }

    /// `tmux-config`; true where nothing is said.
    pub fn tmux_config(&self) -> bool {
        self.keys.tmux_config.unwrap_or(true)
    }

    /// `verbose`; 0 where nothing is said.
    pub fn verbose(&self) -> u8 {
        self.keys.verbose.map_or(0, |verbosity| verbosity.0)
    }

    /// What a profile could have said: a layer above all profiles, so that `explain` knows the line
    /// of it.
    pub(super) fn layer(&self) -> Option<Layer> {
        let source = self.source.clone()?;
        let Keys {
            network,
            allow,
            host_port,
            publish,
            exec_log,
            host_files,
            git,
            allow_ssh_agent,
            allow_gpg_agent,
            allow_xdg_runtime,
            ..
        } = self.keys.clone();
        let sockets = Sockets {
            ssh_agent: allow_ssh_agent,
            gpg_agent: allow_gpg_agent,
            xdg_runtime: allow_xdg_runtime,
            ..Sockets::default()
        };
        let profile = Profile {
            network: Some(Network {
                mode: network,
                allow,
                host_ports: host_port,
                publish,
                ..Network::default()
            }),
            exec_log,
            host_files,
            git,
            sockets: Some(sockets),
            ..Profile::default()
        };
        Some(Layer { source, profile, file: None })
    }
}

/// A bind of the configuration: unlike on the command line there is no current directory, and no
/// shell that knows `~`.
fn config_bind(text: &str, writable: bool, home: &Path) -> Result<BindArgument, String> {
    let bind = parse_bind(text.as_bytes(), writable)?;
    let absolute = |path: PathBuf| match path.strip_prefix("~") {
        Ok(rest) => Ok(home.join(rest)),
        Err(_) if path.is_absolute() => Ok(path),
        Err(_) => {
            Err(format!("`{}` is a relative path\nstart it with `/` or `~/`", visible_path(&path)))
        }
    };
    let destination = bind.destination.map(absolute).transpose()?;
    Ok(BindArgument { source: absolute(bind.source)?, destination, writable })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::profile::origin::Origin;

    fn config(text: &str) -> Result<Config> {
        let source = Source::new(LayerKind::Config, "config.toml", text.into())?;
        Config::parse(source, Path::new("/home/a"))
    }

    #[test]
    fn binds_start_at_the_root_or_the_home() {
        let config = config("ro-bind = [\"/r:~/x\"]\nbind = [\"~/w\"]\n").unwrap();
        let bind = |source: &str, destination: Option<&str>, writable, line| Settled {
            value: BindArgument {
                source: source.into(),
                destination: destination.map(Into::into),
                writable,
            },
            origin: Origin { layer: LayerKind::Config, source: "config.toml".into(), line },
        };
        let expected = [bind("/home/a/w", None, true, 2), bind("/r", Some("/home/a/x"), false, 1)];
        assert_eq!(config.binds(), expected);
    }

    #[test]
    fn mistakes_point_into_the_file() {
        assert_snapshot!(config("bind = [\"/a\", \"b:/c\"]\n").unwrap_err(), @r#"
        `b` is a relative path
         --> config.toml:1:15
          |
        1 | bind = ["/a", "b:/c"]
          |               ^^^^^^
        "#);
        assert_snapshot!(config("networ = \"none\"\n").unwrap_err(), @r#"
        unknown key `networ`
         --> config.toml:1:1
          |
        1 | networ = "none"
          | ^^^^^^
        "#);
        assert_snapshot!(config("env = [\"A=1\", \"=2\"]\n").unwrap_err(), @r#"
        `` is not the name of an environment variable
         --> config.toml:1:15
          |
        1 | env = ["A=1", "=2"]
          |               ^^^^
        "#);
        assert_snapshot!(config("split-direction = \"diagonal\"\n").unwrap_err(), @r#"
        unknown value `diagonal`
         --> config.toml:1:19
          |
        1 | split-direction = "diagonal"
          |                   ^^^^^^^^^^
        "#);
    }

    #[test]
    fn what_is_allowed_is_said_in_words_of_the_file() {
        for (text, expected) in [
            ("verbose = true", "invalid type: boolean `true`, expected 0, 1 or 2"),
            ("verbose = 3", "invalid value: integer `3`, expected 0, 1 or 2"),
            ("exec-log = false", r#"expected one of "off", "best-effort", "required""#),
            ("split-direction = 1", r#"expected one of "auto", "horizontal", "vertical""#),
        ] {
            let said = config(text).unwrap_err().to_string();
            assert!(said.starts_with(expected), "{text}: {said}");
        }
        assert_eq!(config("verbose = 2").unwrap().verbose(), 2);
    }

    #[test]
    fn every_run_option_has_its_key_and_every_switch_its_opposite() {
        use clap::CommandFactory as _;
        let schema = schemars::schema_for!(Keys).to_value();
        let keys = schema["properties"].as_object().unwrap();
        let cli = crate::cli::Cli::command();
        let options: Vec<&clap::Arg> =
            cli.get_arguments().filter(|argument| argument.get_long().is_some()).collect();
        for option in &options {
            let long = option.get_long().unwrap();
            let key = long.strip_prefix("no-").unwrap_or(long);
            if ["project", "worktree", "base", "help", "version"].contains(&key) {
                continue;
            }
            assert!(keys.contains_key(key), "--{long} has no key");
            if option.get_action().takes_values() {
                continue;
            }
            let opposite = if key == long { format!("no-{long}") } else { key.to_owned() };
            let other = options.iter().find(|other| other.get_long() == Some(&opposite)).unwrap();
            // One of the two is in the help, and names the other.
            let (shown, hidden) =
                if option.is_hide_set() { (other, long) } else { (option, opposite.as_str()) };
            let help = shown.get_help().unwrap().to_string();
            assert!(help.contains(&format!("[opposite: --{hidden}]")), "{help}");
        }
    }
}
