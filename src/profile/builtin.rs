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

/// Whether a built-in profile of this name names an agent.
pub fn is_built_in_agent(name: &OsStr) -> bool {
    let profile = name.to_str().and_then(text).and_then(|text| toml::from_str(text).ok());
    profile.and_then(|profile: Profile| profile.agent).is_some_and(|agent| agent.command.is_some())
}
