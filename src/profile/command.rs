//! `claudebox profile list|show|check|path` and the JSON schema. They only read and print.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::extends;
use super::library::{Found, Library};
use super::merge::{Layer, merge};
use super::mistake::did_you_mean;
use super::origin::LayerKind;
use super::schema::Profile;
use super::settings::shows_no_program;
use crate::error::{Error, Result, printed};
use crate::visible::{visible, visible_path};

/// No profile, but shown like one: the groups of hosts.
const GROUPS: &str = "groups";

/// Each profile: its name, whether it names an agent, where it is from, what it is for. A broken
/// one is listed as such.
pub fn list(library: &Library, out: &mut dyn Write) -> Result<()> {
    let names = library.names()?;
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for name in &names {
        let from = library.named(name).map(|found| ranks(&found)).unwrap_or_default();
        let (agent, description) = match described(library, name) {
            Ok((true, about)) => ("agent", about),
            Ok((false, about)) => ("", about),
            Err(_) => ("?", format!("broken: see `claudebox profile check {name}`")),
        };
        let _ = writeln!(text, "{name:width$}  {agent:5}  {from:14}  {description}");
    }
    say(out, &text)
}

/// The file of a profile, comments and all; where several are laid over each other, all of them.
pub fn show(library: &Library, cwd: &Path, name: &Path, out: &mut dyn Write) -> Result<()> {
    let found = find(library, cwd, name)?;
    for (number, Found { source, .. }) in found.iter().enumerate() {
        if found.len() > 1 {
            let gap = if number > 0 { "\n" } else { "" };
            say(out, &format!("{gap}# ==== {} ====\n", source.name))?;
        }
        for line in source.text().lines() {
            let line = line.split('\t').map(visible).collect::<Vec<_>>().join("\t");
            say(out, &format!("{line}\n"))?;
        }
    }
    Ok(())
}

/// Reads profiles with everything they extend, and says which are right. Without names: all.
pub fn check(library: &Library, cwd: &Path, names: &[PathBuf], out: &mut dyn Write) -> Result<()> {
    let all: BTreeSet<PathBuf> = match names {
        [] => library.names()?.into_iter().map(PathBuf::from).collect(),
        names => names.iter().cloned().collect(),
    };
    let mut wrong = Vec::new();
    for name in &all {
        match checked(library, cwd, name) {
            Ok(()) => say(out, &format!("{}: ok\n", visible_path(name)))?,
            Err(error) => wrong.push(error),
        }
    }
    match wrong.len() {
        0 => Ok(()),
        1 => Err(wrong.remove(0)),
        count => {
            for error in wrong {
                let hints = error.hints().iter().map(|hint| format!("hint: {hint}\n"));
                say(out, &format!("{error}\n{}\n", hints.collect::<String>()))?;
            }
            Err(Error::usage(format!("{count} of {} profiles are wrong", all.len())))
        }
    }
}

fn checked(library: &Library, cwd: &Path, name: &Path) -> Result<()> {
    let groups = library.named_groups()?;
    if is_groups(library, name)? {
        return Ok(());
    }
    let layers = layers(library, cwd, name)?;
    layers.iter().try_for_each(|layer| groups.check(&layer.source, &layer.profile))?;
    if merge(layers).shows_no_program() {
        return Err(shows_no_program(&visible_path(name)));
    }
    Ok(())
}

/// The layers of a profile, by name or file; at least one.
pub(super) fn layers(library: &Library, cwd: &Path, name: &Path) -> Result<Vec<Layer>> {
    let found = find(library, cwd, name)?;
    if is_groups(library, name)? {
        return Err(Error::usage(format!("`{GROUPS}` is no profile"))
            .hint("it is what `claudebox profile show` calls the groups of hosts"));
    }
    match (found.first().and_then(|found| found.path.as_deref()), name.to_str()) {
        (Some(path), _) if is_file(name) => extends::file(library, path),
        (_, Some(name)) => extends::named(library, name),
        _ => Ok(Vec::new()),
    }
}

/// Whether the groups are meant, and no profile that somebody called so.
fn is_groups(library: &Library, name: &Path) -> Result<bool> {
    Ok(name == Path::new(GROUPS) && library.named(GROUPS)?.is_empty())
}

/// The files of a profile; without a name the directory of the user's profiles.
pub fn path(library: &Library, cwd: &Path, name: Option<&str>, out: &mut dyn Write) -> Result<()> {
    let Some(name) = name else {
        return say_path(out, &library.user);
    };
    let found = find(library, cwd, Path::new(name))?;
    let paths: Vec<_> = found.iter().filter_map(|found| found.path.as_deref()).collect();
    if paths.is_empty() {
        let [_, (_, groups)] = &library.groups;
        let file = if is_groups(library, Path::new(name))? {
            groups.clone()
        } else {
            library.user.join(format!("{name}.toml"))
        };
        let file = visible_path(&file);
        return Err(Error::usage(format!("`{name}` is built in; it has no file"))
            .hint(format!("see it with `claudebox profile show {name}`"))
            .hint(format!("{file} would be laid over it")));
    }
    paths.into_iter().try_for_each(|path| say_path(out, path))
}

/// The JSON schema of a profile (`docs/profile.schema.json`).
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Profile);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// A profile by name or file; at least one text.
fn find(library: &Library, cwd: &Path, name: &Path) -> Result<Vec<Found>> {
    if is_file(name) {
        let path = cwd.join(name);
        return match library.file(&path, LayerKind::User)? {
            Some(found) => Ok(vec![found]),
            None => Err(Error::usage(format!("there is no file {}", visible_path(&path)))),
        };
    }
    let shown = visible_path(name);
    let found = name.to_str().map_or(Ok(Vec::new()), |name| library.named(name))?;
    if is_groups(library, name)? {
        let found = library.groups()?.into_iter();
        return Ok(found.map(|(source, path)| Found { source, path }).collect());
    }
    if found.is_empty() {
        let known = library.names()?;
        return Err(Error::usage(format!("there is no profile `{shown}`"))
            .hint(did_you_mean(&shown, known.iter().map(String::as_str))));
    }
    Ok(found)
}

/// Whether this is a file and not a name.
pub(super) fn is_file(name: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = name.as_os_str().as_bytes();
    bytes.contains(&b'/') || bytes.ends_with(b".toml")
}

fn ranks(found: &[Found]) -> String {
    let word = |kind| match kind {
        LayerKind::BuiltIn => "built in",
        LayerKind::System => "system",
        _ => "user",
    };
    found.iter().map(|found| word(found.source.kind)).collect::<Vec<_>>().join(", ")
}

/// Whether a profile, with what it extends, names an agent, and what it says it is for.
///
/// # Errors
/// When it is broken.
pub fn described(library: &Library, name: &str) -> Result<(bool, String)> {
    let settings = merge(extends::named(library, name)?);
    let about = settings.description.as_ref().map(|text| visible(&text.value));
    Ok((settings.command.is_some(), about.unwrap_or_default()))
}

fn say_path(out: &mut dyn Write, path: &Path) -> Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    // Exact bytes: this line is for `$(claudebox profile path NAME)`.
    write(out, path.as_os_str().as_bytes())?;
    write(out, b"\n")
}

/// Prints.
pub(super) fn say(out: &mut dyn Write, text: &str) -> Result<()> {
    write(out, text.as_bytes())
}

fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    printed(out.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::config::Config;
    use super::super::fixture::Fixture;
    use super::*;
    use crate::profile::ProfileChoice;

    fn printed(run: impl FnOnce(&mut dyn Write) -> Result<()>) -> String {
        let mut out = Vec::new();
        run(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_built_in_profile_is_right() {
        let fixture = Fixture::new();
        let names: Vec<PathBuf> =
            ["claude", "default", "demo", "gemini", "shell"].iter().map(Into::into).collect();
        let out = printed(|out| check(&fixture.library, Path::new("/"), &names, out));
        assert_eq!(out, "claude: ok\ndefault: ok\ndemo: ok\ngemini: ok\nshell: ok\n");
        assert!(checked(&fixture.library, Path::new("/"), Path::new("base")).is_ok());
    }

    #[test]
    fn built_in_profiles_pass_no_secret_but_the_agents_own() {
        let fixture = Fixture::new();
        for name in fixture.library.names().unwrap() {
            for pass in fixture.settings(&name).pass {
                let secret = ["KEY", "TOKEN", "SECRET", "PASS", "AUTH", "PROXY", "AWS", "GH_"]
                    .iter()
                    .any(|word| pass.value.contains(word) && !pass.value.contains("MAX_"));
                let own: &[&str] = match &*name {
                    "amp" => &["AMP_API_KEY"],
                    "claude" => &["CLAUDE_CODE_OAUTH_TOKEN"],
                    "claude-code-router" => &[
                        "CLAUDE_CODE_OAUTH_TOKEN",
                        "DASHSCOPE_API_KEY",
                        "DEEPSEEK_API_KEY",
                        "GEMINI_API_KEY",
                        "OPENAI_API_KEY",
                        "OPENROUTER_API_KEY",
                    ],
                    "codex" => &["CODEX_API_KEY", "OPENAI_API_KEY"],
                    "copilot" => &["COPILOT_GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY"],
                    "gemini" => &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
                    "opencode" => &[
                        "ANTHROPIC_API_KEY",
                        "GEMINI_API_KEY",
                        "GOOGLE_GENERATIVE_AI_API_KEY",
                        "OPENAI_API_KEY",
                        "OPENCODE_API_KEY",
                        "OPENROUTER_API_KEY",
                    ],
                    "qwen" => {
                        &["BAILIAN_CODING_PLAN_API_KEY", "DASHSCOPE_API_KEY", "OPENAI_API_KEY"]
                    }
                    _ => &[],
                };
                assert!(!secret || own.contains(&&*pass.value), "{name} passes {}", pass.value);
            }
        }
    }

    #[test]
    fn claude_shares_the_conversations_of_the_project_and_nothing_else() {
        let settings = Fixture::new().settings("claude");
        for state in &settings.state {
            assert!(state.value.starts_with("~/.claude/projects/${"), "{}", state.value);
            let memory = format!("{}/memory", state.value);
            assert!(settings.state_own.iter().any(|own| own.value == memory));
        }
        let stays = &settings.state_emptied["~/.claude"].value;
        for path in settings.state_readonly.iter().chain(&settings.state_private) {
            let name = path.value.trim_start_matches("~/.claude/").trim_end_matches('/');
            assert!(!stays.iter().any(|stays| stays == name), "{name} would stay");
        }
    }

    #[test]
    fn list_says_where_a_profile_is_from() {
        let fixture = Fixture::new();
        fixture
            .user("aider", "description = \"a\\u001b\"\nagent.command = [\"aider\"]\n")
            .user("broken", "x\n")
            .user("default", "");
        assert_snapshot!(printed(|out| list(&fixture.library, out)), @r"
        aider               agent  user            a\x1b
        amp                 agent  built in        Amp, with a key or the host's login, without permission prompts
        backlog             agent  built in        Backlog.md, its page at port 6420 of this machine's loopback
        base                       built in        the system read-only, no home, git private: what every profile builds on
        broken              ?      user            broken: see `claudebox profile check broken`
        claude              agent  built in        Claude Code, logged in as on the host, without permission prompts
        claude-code-router  agent  built in        Claude Code with the models of other providers, by Claude Code Router
        codex               agent  built in        Codex CLI, logged in as on the host, without permission prompts
        copilot             agent  built in        GitHub Copilot CLI, without permission prompts
        default                    built in, user  any command: the project writable, all else hidden or read-only
        demo                agent  built in        a scripted agent that shows what claudebox is, in half a minute
        gemini              agent  built in        Gemini CLI, logged in as on the host, without permission prompts
        opencode            agent  built in        OpenCode, logged in as on the host, without permission prompts
        qwen                agent  built in        Qwen Code, logged in as on the host, without permission prompts
        shell               agent  built in        an interactive shell, to look around in the sandbox
        ");
    }

    #[test]
    fn show_prints_every_layer_and_no_control_byte() {
        let fixture = Fixture::new();
        fixture.user("shell", "# mine \u{1b}[2J\ngit = \"none\"\n");
        let out = printed(|out| show(&fixture.library, Path::new("/"), Path::new("shell"), out));
        let mine = format!(
            "\n# ==== {} ====\n# mine \\x1b[2J\ngit = \"none\"\n",
            fixture.path("user/profiles/shell.toml").display()
        );
        assert!(out.starts_with("# ==== shell.toml (built in) ====\n# A shell in the sandbox"));
        assert!(out.ends_with(&mine), "{out}");
        let alone = printed(|out| show(&fixture.library, Path::new("/"), Path::new("base"), out));
        assert_eq!(alone, super::super::builtin::text("base").unwrap());
    }

    #[test]
    fn path_is_for_a_shell() {
        let fixture = Fixture::new();
        fixture.user("mine", "");
        let out = printed(|out| path(&fixture.library, Path::new("/"), Some("mine"), out));
        assert_eq!(out, format!("{}\n", fixture.path("user/profiles/mine.toml").display()));
        let at = |name: &str, cwd: &Path| {
            path(&fixture.library, cwd, Some(name), &mut Vec::new()).map_err(|error| {
                [vec![error.to_string()], error.hints().to_vec()].concat().join("\n")
            })
        };
        assert!(at("base", Path::new("/")).is_err());
        // A file is looked for from where we are.
        let directory = fixture.path("user/profiles");
        assert_eq!(at("./mine.toml", &directory), Ok(()));
        assert!(at("./mine.toml", Path::new("/")).unwrap_err().contains("there is no file"));
        let groups = fixture.library.groups[1].1.display().to_string();
        assert!(at("groups", Path::new("/")).unwrap_err().contains(&groups));
    }

    #[test]
    fn check_reports_every_mistake() {
        let fixture = Fixture::new();
        fixture.user("one", "x = 1\n").user("two", "extends = [\"nix\"]\n").user("three", "");
        let mut out = Vec::new();
        let error = check(&fixture.library, Path::new("/"), &[], &mut out).unwrap_err();
        assert_eq!(error.to_string(), "3 of 16 profiles are wrong");
        let out = String::from_utf8(out).unwrap();
        for expected in ["shell: ok", "one.toml:1:1", "two.toml:1:12", "nothing of the system"] {
            assert!(out.contains(expected), "{expected} in {out}");
        }
    }

    /// The TOML blocks of the documentation, in order.
    fn blocks() -> Vec<&'static str> {
        let text = include_str!("../../docs/profiles.md");
        let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next());
        blocks.map(Option::unwrap).collect()
    }

    #[test]
    fn the_documented_profile_for_an_unknown_agent_is_one() {
        let fixture = Fixture::new();
        let text = blocks()[0];
        assert!(text.lines().filter(|line| !line.is_empty()).count() <= 10);
        fixture.user("aider", text);
        let settings = fixture.settle(&ProfileChoice::Agent("aider".into()), &["x"]).unwrap();
        assert_eq!(settings.command.unwrap().value, ["aider", "--yes-always"]);
        assert!(settings.system.iter().any(|path| path.value == "/usr"));
        assert!(settings.pass.iter().any(|name| name.value == "OPENAI_API_KEY"));
        let typed = fixture.settle(&ProfileChoice::ForCommand, &["/x/aider", "--help"]).unwrap();
        assert_eq!((typed.name.as_str(), typed.command), ("aider", None));
    }

    #[test]
    fn every_other_documented_block_is_right() {
        let fixture = Fixture::new();
        let blocks = blocks();
        let (config, profiles) = blocks.split_last().unwrap();
        for text in profiles {
            fixture.user("x", text);
            fixture.layers("x").unwrap();
        }
        fixture.write("user/config.toml", config);
        let config = Config::load(&fixture.host).unwrap();
        assert_eq!(config.binds().len(), 2);
    }

    #[test]
    fn every_key_is_documented() {
        let text = include_str!("../../docs/profiles.md");
        let schema = schemars::schema_for!(Profile).to_value();
        for key in schema["properties"].as_object().unwrap().keys() {
            assert!(text.contains(&format!("`{key}")), "{key} is not in docs/profiles.md");
        }
    }

    #[test]
    fn the_committed_schema_is_current() {
        let committed = include_str!("../../docs/profile.schema.json");
        assert!(
            committed == json_schema(),
            "run `claudebox schema > docs/profile.schema.json`, and look at the difference"
        );
    }
}
