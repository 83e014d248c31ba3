//! From what was typed to the settings: which profile is meant, its layers, the project's own file
//! on top, the user's configuration above that.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::command::is_file;
use super::config::Config;
use super::extends::{self, did_you_mean};
use super::library::Library;
use super::merge::{Layer, merge};
use super::project;
use super::settings::Settings;
use super::trust::Trust;
use super::values;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::policy::invocation::ProfileChoice;
use crate::visible::visible;

/// The profile of the bare `claudebox`, where the configuration names none.
const DEFAULT_AGENT: &str = "claude";
/// The profile of `claudebox run -- COMMAND`, where none is made for the command.
const DEFAULT_PROFILE: &str = "default";

/// The settings of a run. `argv` is what stands after `--`; `project` is the project's directory,
/// absolute. [`Settings::command`] is what `argv` is to be appended to, and `None` where `argv`
/// itself is the command.
pub fn settle(
    choice: &ProfileChoice,
    argv: &[OsString],
    host: &Host,
    project: Option<&Path>,
    defaults: &Config,
) -> Result<Settings> {
    settle_from(&Library::of(host), choice, argv, host, project, defaults)
}

/// The same, with profiles from these directories.
pub fn settle_from(
    library: &Library,
    choice: &ProfileChoice,
    argv: &[OsString],
    host: &Host,
    project: Option<&Path>,
    defaults: &Config,
) -> Result<Settings> {
    let Chosen { name, mut layers, argv_is_command } =
        Choosing { library, host, defaults }.choose(choice, argv)?;
    if let Some(project) = project {
        let below = merge(layers.clone());
        layers.extend(project::layers(library, &Trust::of(host), project, &below)?);
    }
    layers.extend(defaults.layer());
    let mut settings = merge(layers);
    if argv_is_command {
        settings.command = None;
    } else if settings.command.is_none() {
        return Err(Error::usage(format!("there is nothing to run: `{name}` names no agent"))
            .hint(format!(
                "write the command behind it: claudebox run --profile {name} -- COMMAND"
            )));
    }
    settings.name = name;
    Ok(settings)
}

/// The profile that was meant.
struct Chosen {
    /// Safe for a terminal.
    name: String,
    layers: Vec<Layer>,
    argv_is_command: bool,
}

struct Choosing<'a> {
    library: &'a Library,
    host: &'a Host,
    defaults: &'a Config,
}

impl Choosing<'_> {
    fn choose(&self, choice: &ProfileChoice, argv: &[OsString]) -> Result<Chosen> {
        match choice {
            ProfileChoice::Default => {
                let name = self.defaults.default_profile().unwrap_or(DEFAULT_AGENT);
                self.agent(name, |what: &str| self.defaults.wrong_default(what))
            }
            ProfileChoice::Agent(name) => self.agent(name, |what: &str| Error::usage(what)),
            ProfileChoice::Named(name) => self.named(name, !argv.is_empty()),
            ProfileChoice::ForCommand => self.for_command(argv),
        }
    }

    /// The profile of this name, which must name an agent.
    fn agent(&self, name: &str, error: impl Fn(&str) -> Error) -> Result<Chosen> {
        let layers = extends::named(self.library, name)?;
        if merge(layers.clone()).command.is_some() {
            return Ok(Chosen { name: name.to_owned(), layers, argv_is_command: false });
        }
        let shown = visible(name);
        let error = if layers.is_empty() {
            error(&format!("there is no agent `{shown}`"))
        } else {
            error(&format!("the profile `{shown}` names no agent")).hint(format!(
                "to run a command under it: claudebox run --profile {shown} -- COMMAND"
            ))
        };
        let agents = self.agents()?;
        let error = error.hint(did_you_mean(name, agents.iter().map(String::as_str)));
        Err(match self.is_program(OsStr::new(name)) {
            true => error.hint(format!("to run the program: claudebox run -- {shown}")),
            false => error,
        })
    }

    /// The profiles that name an agent. One that is broken names none: whoever means it is told
    /// what is wrong with it by its name.
    fn agents(&self) -> Result<Vec<String>> {
        let mut names: Vec<_> = self.library.names()?.into_iter().collect();
        names.retain(|name| {
            extends::named(self.library, name).is_ok_and(|layers| merge(layers).command.is_some())
        });
        Ok(names)
    }

    fn is_program(&self, name: &OsStr) -> bool {
        let path = self.host.environment.get(OsStr::new("PATH"));
        !name.is_empty() && which::which_in(name, path, &self.host.cwd).is_ok()
    }

    /// `--profile NAME|FILE`: a file where it has a slash or ends in `.toml`.
    fn named(&self, name: &Path, argv_is_command: bool) -> Result<Chosen> {
        let text = name.to_str().filter(|text| values::check_profile_name(text).is_ok());
        let (Some(text), false) = (text, is_file(name)) else {
            let layers = extends::file(self.library, &self.host.cwd.join(name))?;
            let stem = name.file_stem().unwrap_or_default();
            return Ok(Chosen { name: visible(stem.as_bytes()), layers, argv_is_command });
        };
        let layers = extends::named(self.library, text)?;
        if layers.is_empty() {
            let known = self.library.names()?;
            return Err(Error::usage(format!("there is no profile `{text}`"))
                .hint(did_you_mean(text, known.iter().map(String::as_str)))
                .hint("a file is named with its directory: --profile ./FILE.toml"));
        }
        Ok(Chosen { name: text.to_owned(), layers, argv_is_command })
    }

    /// The profile that is made for this command. A broken profile is an error: it could be the
    /// one that was meant, and stricter than the one taken in its place.
    fn for_command(&self, argv: &[OsString]) -> Result<Chosen> {
        let program = argv.first().and_then(|program| Path::new(program).file_name());
        for name in self.library.names()? {
            let layers = extends::named(self.library, &name)?;
            if layers.iter().any(|layer| is_made_for(layer, program)) {
                return Ok(Chosen { name, layers, argv_is_command: true });
            }
        }
        let layers = extends::named(self.library, DEFAULT_PROFILE)?;
        Ok(Chosen { name: DEFAULT_PROFILE.to_owned(), layers, argv_is_command: true })
    }
}

fn is_made_for(layer: &Layer, program: Option<&OsStr>) -> bool {
    let programs = layer.profile.agent.as_ref().and_then(|agent| agent.programs.as_deref());
    programs
        .into_iter()
        .flatten()
        .any(|known| program.is_some_and(|program| program == known.get_ref().as_str()))
}
