//! What tmux may know of the caller's environment. A server keeps it for its lifetime and hands it
//! to everything it starts, so nothing goes in that could be a secret: names are listed, and the
//! rest stays out. The agent's own environment never passes through tmux.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// Terminal, language, where files are; the keys tmux chooses by the editor's name; the display
/// that a user's own clipboard bindings need. `TMUX` and `TMUX_TMPDIR` belong to another server.
const NAMES: &[&str] = &[
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "DISPLAY",
    "EDITOR",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "SHELL",
    "TERM",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TZ",
    "USER",
    "VISUAL",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
];

const PREFIXES: &[&str] = &["LC_", "XDG_"];

/// The part of an environment that tmux gets.
pub fn for_tmux(environment: &BTreeMap<OsString, OsString>) -> Vec<(OsString, OsString)> {
    let kept = environment.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_kept(name: &OsStr) -> bool {
    NAMES.iter().any(|kept| name == *kept)
        || PREFIXES.iter().any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_names_reach_tmux() {
        let names = [
            "ANTHROPIC_API_KEY",
            "LC_ALL",
            "PATH",
            "SSH_AUTH_SOCK",
            "TMUX",
            "TMUX_TMPDIR",
            "XDG_RUNTIME_DIR",
        ];
        let environment = names.map(|name| (name.into(), "x".into())).into_iter().collect();
        let kept: Vec<_> = for_tmux(&environment).into_iter().map(|(name, _)| name).collect();
        assert_eq!(kept, ["LC_ALL", "PATH", "XDG_RUNTIME_DIR"]);
    }
}
