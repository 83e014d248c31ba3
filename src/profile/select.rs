//! From what was typed to the settings: which profile is meant, its layers, the project's own file
//! on top, the user's configuration above that.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::command::is_file;
use super::config::Config;
use super::extends;
use super::library::Library;
use super::merge::{Layer, merge};
use super::mistake;
use super::mistake::did_you_mean;
use super::origin::LayerKind;
use super::project;
use super::schema::Profile;
use super::settings::Settings;
use super::trust::Trust;
use super::values;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::visible::visible;

/// Which profile was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProfileChoice {
    /// Bare `claudebox`: the default profile of `config.toml`, else `claude`.
    #[default]
    Default,
    /// `claudebox run AGENT`: a profile that names an agent, by its name or its `.toml` file.
    Agent(String),
    /// `claudebox run --profile NAME|FILE -- CMD`.
    Named(PathBuf),
    /// `claudebox run -- CMD`: the profile whose `programs` hold CMD's name, else `default`.
    ForCommand,
}

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
    let Chosen { name, mut layers, argv_is_command, remarks } =
        Choosing { library, host, defaults }.choose(choice, argv)?;
    if let Some(project) = project {
        layers.extend(project::layers(library, &Trust::of(host), project, &layers, host.memory)?);
    }
    layers.extend(defaults.layer());
    let groups = library.named_groups()?;
    layers.iter().try_for_each(|layer| groups.check(&layer.source, &layer.profile))?;
    let mut settings = merge(layers);
    settings.network.groups = groups;
    if argv_is_command {
        settings.command = None;
    } else if settings.command.is_none() {
        return Err(Error::usage(format!("there is nothing to run: `{name}` names no agent"))
            .hint(format!(
                "write the command behind it: claudebox run --profile {name} -- COMMAND"
            )));
    }
    settings.name = name;
    settings.remarks = remarks;
    Ok(settings)
}

/// The profile that was meant.
struct Chosen {
    /// Safe for a terminal.
    name: String,
    layers: Vec<Layer>,
    argv_is_command: bool,
    /// See [`Settings::remarks`].
    remarks: Vec<String>,
}

impl Chosen {
    fn new(name: String, layers: Vec<Layer>, argv_is_command: bool) -> Self {
        Self { name, layers, argv_is_command, remarks: Vec::new() }
    }
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
            ProfileChoice::Agent(file) if Path::new(file).extension() == Some("toml".as_ref()) => {
                self.agent_of_file(file)
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
            return Ok(Chosen::new(name.to_owned(), layers, false));
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
        let error = match mistake::nearest(name, agents.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        };
        let error = error.hint(format!("the agents there are: {}", agents.join(", ")));
        if self.is_program(OsStr::new(name)) {
            return Err(error.hint(format!("to run the program: claudebox run -- {shown}")));
        }
        Err(error)
    }

    /// The same, in a file. Where it was wrapped as a package, that is the only way to it: it has no
    /// place in the library, and its command is to be settled as any other agent's.
    fn agent_of_file(&self, file: &str) -> Result<Chosen> {
        let chosen = self.named(Path::new(file), false)?;
        if merge(chosen.layers.clone()).command.is_some() {
            return Ok(chosen);
        }
        let shown = visible(file);
        Err(Error::usage(format!("the profile {shown} names no agent"))
            .hint(format!("to run a command under it: claudebox run --profile {shown} -- COMMAND")))
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
            return Ok(Chosen::new(visible(stem.as_bytes()), layers, argv_is_command));
        };
        let layers = extends::named(self.library, text)?;
        if layers.is_empty() {
            let known = self.library.names()?;
            return Err(Error::usage(format!("there is no profile `{text}`"))
                .hint(did_you_mean(text, known.iter().map(String::as_str)))
                .hint("a file is named with its directory: --profile ./FILE.toml"));
        }
        Ok(Chosen::new(text.to_owned(), layers, argv_is_command))
    }

    /// The profile that is made for this command: that itself names the program (what it extends
    /// does not count); one of the user before one of the system before a built-in.
    ///
    /// A broken profile that could be made for the command is an error: the one taken in its place
    /// may be weaker. One that cannot be is passed over, and named.
    fn for_command(&self, argv: &[OsString]) -> Result<Chosen> {
        let program = argv.first().and_then(|program| Path::new(program).file_name());
        let mut best: Option<(LayerKind, String)> = None;
        let mut remarks = Vec::new();
        for (name, files) in self.library.all()? {
            let files = files.map_err(|error| undecided(error, program))?;
            for file in files.into_iter().filter(|file| file.may_name(program)) {
                let (kind, bytes) = (file.kind, file.bytes.clone());
                let better = best.as_ref().is_none_or(|(best, _)| kind > *best);
                match file.found().and_then(|found| found.source.parse()) {
                    Ok(profile) if is_made_for(&profile, program) && better => {
                        best = Some((kind, name.clone()));
                    }
                    Ok(_) => {}
                    Err(error) if may_be_made_for(&name, &bytes, program) => {
                        return Err(undecided(error, program));
                    }
                    Err(error) => remarks.push(format!(
                        "passing over a broken profile: {}; `claudebox profile check {name}` \
                         shows it",
                        error.brief()
                    )),
                }
            }
        }
        let name = best.map_or_else(|| DEFAULT_PROFILE.to_owned(), |(_, name)| name);
        let usual = [Some(DEFAULT_PROFILE), self.defaults.default_profile()];
        if !usual.contains(&Some(&name)) {
            let program = visible(program.unwrap_or_default().as_bytes());
            remarks.push(format!(
                "the profile `{name}` is taken, as it is made for `{program}`; \
                 `--profile {DEFAULT_PROFILE}` takes the usual one"
            ));
        }
        let layers = extends::named(self.library, &name)?;
        Ok(Chosen { remarks, ..Chosen::new(name, layers, true) })
    }
}

/// Whether a profile that cannot be read could be made for the program: it bears its name, or has
/// it somewhere in its text. A list that names the program cannot do without.
fn may_be_made_for(name: &str, text: &[u8], program: Option<&OsStr>) -> bool {
    let Some(program) = program.map(OsStr::as_bytes).filter(|program| !program.is_empty()) else {
        return false;
    };
    let of_a_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(byte);
    let stands_alone = |at: usize| {
        let before = text[..at].last().is_some_and(of_a_word);
        let after = text.get(at + program.len()).is_some_and(of_a_word);
        !before && !after
    };
    let mut places = text.windows(program.len()).enumerate();
    name.as_bytes() == program || places.any(|(at, word)| word == program && stands_alone(at))
}

fn undecided(error: Error, program: Option<&OsStr>) -> Error {
    let program = visible(program.unwrap_or_default().as_bytes());
    error.hint(format!("it may be made for `{program}`, and stricter than another profile")).hint(
        format!("mend it, or choose one: claudebox run --profile {DEFAULT_PROFILE} -- {program}"),
    )
}

fn is_made_for(profile: &Profile, program: Option<&OsStr>) -> bool {
    let programs = profile.agent.as_ref().and_then(|agent| agent.programs.as_deref());
    programs
        .into_iter()
        .flatten()
        .any(|known| program.is_some_and(|program| program == known.get_ref().as_str()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use insta::assert_snapshot;

    use super::super::fixture::Fixture;
    use super::super::origin::LayerKind;
    use super::super::schema::NetworkMode;
    use super::ProfileChoice::{Agent, Default, ForCommand, Named};

    const BREW: &str = "extends = [\"base\"]\n[agent]\ncommand = [\"brewer\", \"--yes\"]\n\
        programs = [\"brewer\", \"brew\"]\n";

    #[test]
    fn the_default_is_claude_or_what_the_configuration_says() {
        let fixture = Fixture::new();
        assert_eq!(fixture.settle(&Default, &[]).unwrap().name, "claude");
        fixture.user("brew", BREW).write("user/config.toml", "default-profile = \"brew\"\n");
        let settings = fixture.settle(&Default, &["-p"]).unwrap();
        assert_eq!(settings.command.unwrap().value, ["brewer", "--yes"]);
        fixture.write("user/config.toml", "\ndefault-profile = \"brow\"\n");
        assert_snapshot!(fixture.shown(&fixture.settle(&Default, &[]).unwrap_err()), @r#"
        there is no agent `brow`
         --> /user/config.toml:2:19
          |
        2 | default-profile = "brow"
          |                   ^^^^^^
        hint: did you mean `brew`?
        hint: the agents there are: amp, backlog, brew, claude, claude-code-router, codex, copilot, demo, gemini, opencode, qwen, shell
        "#);
    }

    #[test]
    fn an_agent_is_a_profile_with_a_command() {
        let fixture = Fixture::new();
        fixture.user("brew", BREW).user("broken", "x").write("bin/npm", "");
        fs::set_permissions(fixture.path("bin/npm"), fs::Permissions::from_mode(0o755)).unwrap();
        let refused =
            |name: &str| fixture.shown(&fixture.settle(&Agent(name.to_owned()), &[]).unwrap_err());
        assert_snapshot!(refused("cluade"), @"
        there is no agent `cluade`
        hint: did you mean `claude`?
        hint: the agents there are: amp, backlog, brew, claude, claude-code-router, codex, copilot, demo, gemini, opencode, qwen, shell
        ");
        assert_snapshot!(refused("npm"), @"
        there is no agent `npm`
        hint: the agents there are: amp, backlog, brew, claude, claude-code-router, codex, copilot, demo, gemini, opencode, qwen, shell
        hint: to run the program: claudebox run -- npm
        ");
        assert_snapshot!(refused("base"), @"
        the profile `base` names no agent
        hint: to run a command under it: claudebox run --profile base -- COMMAND
        hint: the agents there are: amp, backlog, brew, claude, claude-code-router, codex, copilot, demo, gemini, opencode, qwen, shell
        ");
        assert_snapshot!(refused("a\x1b[2J"), @r"
        there is no agent `a\x1b[2J`
        hint: the agents there are: amp, backlog, brew, claude, claude-code-router, codex, copilot, demo, gemini, opencode, qwen, shell
        ");
        assert_eq!(fixture.settle(&Agent("brew".into()), &[]).unwrap().name, "brew");
    }

    #[test]
    fn an_agent_may_be_a_file() {
        let fixture = Fixture::new();
        fixture.write("box/brew.toml", BREW).write("box/none.toml", "git = \"none\"\n");
        let agent = |name: &str| Agent(fixture.path(name).display().to_string());
        let settings = fixture.settle(&agent("box/brew.toml"), &["-x"]).unwrap();
        assert_eq!(
            (settings.name.as_str(), settings.command.unwrap().value[0].as_str()),
            ("brew", "brewer")
        );
        let refused = fixture.settle(&agent("box/none.toml"), &["-x"]).unwrap_err();
        assert_snapshot!(fixture.shown(&refused), @"
        the profile /box/none.toml names no agent
        hint: to run a command under it: claudebox run --profile /box/none.toml -- COMMAND
        ");
        let missing = fixture.settle(&agent("box/no.toml"), &[]).unwrap_err();
        assert!(missing.to_string().contains("cannot read the profile"), "{missing}");
    }

    #[test]
    fn a_command_takes_the_profile_made_for_it() {
        let fixture = Fixture::new();
        fixture.user("mine", BREW);
        for (argv, name) in [
            (&["/opt/bin/brew", "x"][..], "mine"),
            (&["brewery"], "default"),
            (&["claude", "-p", "hi"], "claude"),
        ] {
            let settings = fixture.settle(&ForCommand, argv).unwrap();
            assert_eq!((settings.name.as_str(), settings.command), (name, None), "{argv:?}");
            // That it is another than usual is said.
            let said = settings.remarks.join("\n");
            assert_eq!(said.contains(&format!("the profile `{name}` is taken")), name != "default");
        }
        fixture.user("a", "extends = [\"claude\"]\n");
        assert_eq!(fixture.settle(&ForCommand, &["claude"]).unwrap().name, "claude");
        fixture.user("zz", "extends = [\"claude\"]\nagent.programs = [\"claude\"]\n");
        assert_eq!(fixture.settle(&ForCommand, &["claude"]).unwrap().name, "zz");
    }

    #[test]
    fn a_broken_profile_stops_only_the_commands_it_could_be_made_for() {
        let fixture = Fixture::new();
        fixture.user("mine", "[agent]\nprograms = [\"brew\", \"tea-pot\"]\nnetwork = 1\n");
        let settings = fixture.settle(&ForCommand, &["make", "brew"]).unwrap();
        assert_eq!(settings.name, "default");
        let said = settings.remarks.join("\n");
        assert_snapshot!(
            said.replace(&fixture.path("").display().to_string(), "/"),
            @"passing over a broken profile: /user/profiles/mine.toml:3:1: unknown key `network`; `claudebox profile check mine` shows it"
        );
        let refused =
            |program: &str| fixture.settle(&ForCommand, &[program]).map(|_| ()).unwrap_err();
        assert_snapshot!(fixture.shown(&refused("/opt/brew")), @r"
        unknown key `network`
         --> /user/profiles/mine.toml:3:1
          |
        3 | network = 1
          | ^^^^^^^
        hint: keys known here: command, note, programs, tool-marker, helpers, shell
        hint: it may be made for `brew`, and stricter than another profile
        hint: mend it, or choose one: claudebox run --profile default -- brew
        ");
        for meant in ["mine", "tea-pot"] {
            refused(meant);
        }
        for other in ["tea", "pot", "bre", "brewer", "..", ""] {
            fixture.settle(&ForCommand, &[other]).unwrap();
        }
        // The program's own quotes may be what is broken, or the encoding.
        fixture.user("mine", "programs = [brew]");
        refused("brew");
        fs::write(fixture.path("user/profiles/mine.toml"), b"# f\xfcr brew\n").unwrap();
        refused("brew");
        fixture.settle(&ForCommand, &["make"]).unwrap();
        // Of a file that cannot be read nothing is known.
        fs::remove_file(fixture.path("user/profiles/mine.toml")).unwrap();
        fs::create_dir(fixture.path("user/profiles/mine.toml")).unwrap();
        assert_snapshot!(fixture.shown(&refused("make")), @r"
        /user/profiles/mine.toml is not a regular file
        hint: it may be made for `make`, and stricter than another profile
        hint: mend it, or choose one: claudebox run --profile default -- make
        ");
    }

    #[test]
    fn the_profile_that_is_needed_must_be_right() {
        let fixture = Fixture::new();
        for needed in ["default", "base"] {
            fixture.user(needed, "git = 1\n");
            assert!(fixture.settle(&ForCommand, &["make"]).is_err(), "{needed}");
            fixture.user(needed, "");
        }
        fixture.user("broken", "git = 1\n");
        let all = [Default, Agent("shell".into()), Named("default".into())];
        for choice in all {
            let settings = fixture.settle(&choice, &["x"]).unwrap();
            assert!(settings.remarks.is_empty(), "it is not even looked at");
        }
    }

    #[test]
    fn a_profile_can_be_named_or_be_any_file() {
        let fixture = Fixture::new();
        fixture.write("project/x.toml", BREW);
        let settle = |name: &str, argv: &[&str]| fixture.settle(&Named(name.into()), argv);
        let settings = settle("x.toml", &[]).unwrap();
        assert_eq!((settings.name.as_str(), settings.command.is_some()), ("x", true));
        assert_eq!(settle("./x.toml", &["make"]).unwrap().command, None);
        assert_eq!(settle("default", &["make"]).unwrap().name, "default");
        let refused = |name| fixture.shown(&settle(name, &[]).unwrap_err());
        assert_snapshot!(refused("default"), @"
        there is nothing to run: `default` names no agent
        hint: write the command behind it: claudebox run --profile default -- COMMAND
        ");
        assert_snapshot!(refused("defautl"), @"
        there is no profile `defautl`
        hint: did you mean `default`?
        hint: a file is named with its directory: --profile ./FILE.toml
        ");
        assert_snapshot!(refused("./y.toml"), @"cannot read the profile /project/./y.toml: No such file or directory (os error 2)");
    }

    #[test]
    fn the_configuration_is_above_every_profile() {
        let fixture = Fixture::new();
        fixture
            .user("default", "network.mode = \"host\"\nsockets.ssh-agent = true\n")
            .write("user/config.toml", "network = \"none\"\n\nallow-ssh-agent = false\n");
        let settings = fixture.settle(&ForCommand, &["true"]).unwrap();
        let network = settings.network.mode.unwrap();
        assert_eq!((network.value, network.origin.layer), (NetworkMode::None, LayerKind::Config));
        let socket = &settings.sockets["ssh-agent"];
        assert_eq!((socket.value, socket.origin.line), (false, 3));
    }
}
