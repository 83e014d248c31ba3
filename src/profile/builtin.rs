//! The profiles that ship with claudebox: the files of `profiles/`, comments and all, so that each
//! is its own documentation. Nothing of them exists in code.
#![forbid(unsafe_code)]

use std::ffi::OsStr;

use super::schema::Profile;

/// Name and text, in the order in which `profile list` shows them.
const ALL: [(&str, &str); 13] = [
    ("amp", include_str!("../../profiles/amp.toml")),
    ("backlog", include_str!("../../profiles/backlog.toml")),
    ("base", include_str!("../../profiles/base.toml")),
    ("claude", include_str!("../../profiles/claude.toml")),
    ("claude-code-router", include_str!("../../profiles/claude-code-router.toml")),
    ("codex", include_str!("../../profiles/codex.toml")),
    ("copilot", include_str!("../../profiles/copilot.toml")),
    ("default", include_str!("../../profiles/default.toml")),
    ("demo", include_str!("../../profiles/demo.toml")),
    ("gemini", include_str!("../../profiles/gemini.toml")),
    ("opencode", include_str!("../../profiles/opencode.toml")),
    ("qwen", include_str!("../../profiles/qwen.toml")),
    ("shell", include_str!("../../profiles/shell.toml")),
];

/// The groups that ship; see [`super::groups`].
pub(super) const GROUPS: &str = include_str!("../../profiles/groups.toml");

/// The text of the built-in profile of this name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all built-in profiles.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// Whether the text of a built-in profile has this word in quotes, as each names its programs.
pub(super) fn quotes(text: &[u8], word: &OsStr) -> bool {
    // Each start asks all of them. With windows of bytes that was a third of all instructions of
    // `claudebox explain`.
    let (Ok(text), Some(word)) = (std::str::from_utf8(text), word.to_str()) else { return false };
    text.contains(&format!("\"{word}\""))
}

/// Whether a built-in profile of this name names an agent.
pub fn is_built_in_agent(name: &OsStr) -> bool {
    let profile = name.to_str().and_then(text).and_then(|text| toml::from_str(text).ok());
    profile.and_then(|profile: Profile| profile.agent).is_some_and(|agent| agent.command.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no profile of an agent says: each opens the sandbox, or is for the user to say.
    const NEVER: [&str; 12] = [
        "exec-log",
        "landlock",
        "nested-userns",
        "git",
        "host-files",
        "sockets",
        "limits",
        "assert",
        "files.read-write",
        "network.mode",
        "network.deny",
        "environment.deny",
    ];

    /// What one profile does otherwise than all others, and why.
    const EXCEPTIONS: [(&str, &str, &str); 7] = [
        ("claude", "state", "conversations go on inside and outside; nothing of them is executed"),
        ("amp", "agent.tool-marker", "it could not be seen whether there is one"),
        ("backlog", "agent.tool-marker", "it runs nothing that it was asked to run"),
        ("opencode", "agent.tool-marker", "it marks its own processes the same way"),
        ("amp", "agent.helpers", "it could not be seen what it runs for itself"),
        ("backlog", "agent.programs", "each command of its would want the port of its page"),
        ("backlog", "network.publish", "the page is what it is run for"),
    ];

    /// The profiles that name an agent of somebody else's, with what each itself says.
    fn agents() -> impl Iterator<Item = (&'static str, &'static str, toml::Table)> {
        let own = ["demo", "shell"];
        ALL.into_iter()
            .map(|(name, text)| (name, text, text.parse::<toml::Table>().unwrap()))
            .filter(move |(name, _, profile)| {
                !own.contains(name) && says(profile, "agent.command").is_some()
            })
    }

    /// The value of a key such as `network.allow`.
    fn says<'p>(profile: &'p toml::Table, key: &str) -> Option<&'p toml::Value> {
        let (table, key) = match key.split_once('.') {
            Some((table, key)) => (profile.get(table)?.as_table()?, key),
            None => (profile, key),
        };
        table.get(key)
    }

    fn is_excepted(name: &str, key: &str) -> bool {
        EXCEPTIONS.iter().any(|(who, what, _)| (*who, *what) == (name, key))
    }

    /// Else a profile could not be found by its program.
    #[test]
    fn programs_are_written_as_they_are() {
        for (name, text, profile) in agents() {
            let programs = says(&profile, "agent.programs").and_then(toml::Value::as_array);
            for program in programs.into_iter().flatten() {
                let program = OsStr::new(program.as_str().unwrap());
                assert!(quotes(text.as_bytes(), program), "{name}: {}", program.display());
            }
        }
        assert!(!quotes(b"programs = [\"claude\"]", OsStr::new("claud")));
    }

    #[test]
    fn profiles_of_agents_keep_one_set_of_rules() {
        for (name, text, profile) in agents() {
            let first = text.lines().next().unwrap();
            assert!(first.starts_with("# ") && first.contains("`claudebox"), "{name}: {first}");
            for key in ["description", "extends", "agent.helpers", "agent.programs"] {
                assert_ne!(says(&profile, key).is_some(), is_excepted(name, key), "{name}: {key}");
            }
            let router = "claude-code-router";
            for key in ["agent.tool-marker", "network.allow"] {
                // What `claude` says, the router has of it.
                let said = says(&profile, key).is_some() || name == router;
                assert_ne!(said, is_excepted(name, key), "{name}: {key}");
            }
            for key in NEVER.into_iter().chain(["state", "network.publish", "network.host-ports"]) {
                assert_eq!(says(&profile, key).is_some(), is_excepted(name, key), "{name}: {key}");
            }
            let based = says(&profile, "extends").unwrap().as_array().unwrap();
            let on = if name == router { "claude" } else { "base" };
            assert_eq!(based, &[toml::Value::from(on)], "{name}");
        }
    }

    /// A directory of which something is read-only, copied or passed is emptied at each start, but for
    /// names that are listed: a name that a later version obeys is not kept by accident.
    #[test]
    fn what_an_agent_keeps_is_listed() {
        for (name, _, profile) in agents() {
            let emptied = keys(&profile, "state-emptied");
            let below = |path: &str| {
                let path = path.trim_end_matches('/');
                emptied.iter().any(|dir| path == dir || path.starts_with(&format!("{dir}/")))
            };
            for key in ["state-readonly", "state-sync", "state-copy"] {
                for path in keys(&profile, key) {
                    let in_the_home_itself = path.matches('/').count() == 1;
                    assert!(below(&path) || in_the_home_itself, "{name}: {key}: {path}");
                }
            }
        }
    }

    /// The words of a list, or the keys of a table.
    fn keys(profile: &toml::Table, key: &str) -> Vec<String> {
        match profile.get(key) {
            Some(toml::Value::Array(words)) => {
                words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
            }
            Some(toml::Value::Table(table)) => table.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }
}
