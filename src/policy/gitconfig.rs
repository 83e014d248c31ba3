//! The git configuration inside: who commits, and how the caller likes git to behave. Taken from
//! the caller's own configuration without running git, key by key from a list: the rest can name
//! programs, credentials and paths that mean nothing inside. It must never pass a secret.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, PathBuf};

use super::draft::Draft;
use crate::git::private::setting::quoted;

/// What is taken over: no key here names a program, a path, a host or a credential.
const SAFE_KEYS: [&str; 27] = [
    "user.name",
    "user.email",
    "author.name",
    "author.email",
    "committer.name",
    "committer.email",
    "init.defaultbranch",
    "pull.rebase",
    "pull.ff",
    "push.default",
    "push.autosetupremote",
    "fetch.prune",
    "rebase.autosquash",
    "rebase.autostash",
    "rebase.updaterefs",
    "merge.conflictstyle",
    "merge.ff",
    "diff.algorithm",
    "diff.renames",
    "diff.colormoved",
    "core.autocrlf",
    "core.quotepath",
    "core.ignorecase",
    "core.precomposeunicode",
    "color.ui",
    "commit.verbose",
    "rerere.enabled",
];

/// A configuration that is larger is not one.
const MAX_CONFIG: usize = 1 << 20;

/// The caller's configuration files, the last to be obeyed last.
fn files(draft: &Draft<'_>) -> [PathBuf; 2] {
    let xdg = draft.host.environment.get(OsStr::new("XDG_CONFIG_HOME")).map(PathBuf::from);
    let config =
        xdg.filter(|dir| dir.is_absolute()).unwrap_or_else(|| draft.host.home.join(".config"));
    [config.join("git/config"), draft.host.home.join(".gitconfig")]
}

/// The directory in the project from which git outside takes its hooks, `core.hooksPath`, as far as
/// the caller's and the project's own configuration say it without includes.
pub(super) fn hooks_path(draft: &Draft<'_>) -> Option<PathBuf> {
    let root = &draft.project.root;
    let mut path = None;
    for file in files(draft).into_iter().chain([root.join(".git/config")]) {
        let text = draft.facts.read_head(&file, MAX_CONFIG).unwrap_or_default();
        let said = parse(&text).into_iter().filter(|(key, _)| key == b"core.hookspath");
        path = said.map(|(_, value)| value).next_back().or(path);
    }
    let path = PathBuf::from(OsString::from_vec(path?));
    let inside = root.join(path).strip_prefix(root).ok()?.components().collect::<PathBuf>();
    let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !inside.as_os_str().is_empty()).then_some(inside)
}

/// The text of `~/.gitconfig` inside. Includes are not followed: what they lead to is often there
/// because it differs from the rest.
pub(super) fn for_inside(draft: &Draft<'_>) -> Vec<u8> {
    let mut kept = BTreeMap::new();
    for file in files(draft) {
        let text = draft.facts.read_head(&file, MAX_CONFIG).unwrap_or_default();
        for (key, value) in parse(&text) {
            if let Some(key) = SAFE_KEYS.iter().find(|safe| safe.as_bytes() == key) {
                kept.insert(*key, value);
            }
        }
    }
    render(&kept)
}

/// The file, quoted so that any value comes out of git as it went in.
fn render(kept: &BTreeMap<&str, Vec<u8>>) -> Vec<u8> {
    let mut out = b"# claudebox writes this file anew for each session, from your own.\n".to_vec();
    for (key, value) in kept {
        let Some((section, name)) = key.split_once('.') else { continue };
        out.extend_from_slice(format!("[{section}]\n\t{name} = ").as_bytes());
        out.extend_from_slice(&quoted(value));
        out.push(b'\n');
    }
    out
}

/// The keys (lower case, `section.name`) and values of a configuration file, in order; the syntax
/// of git-config(1). Keys in a subsection are left out: none of them is wanted.
fn parse(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut section: Option<Vec<u8>> = None;
    let mut lines = Lines { rest: text };
    while let Some(line) = lines.next_line() {
        let mut line = line.trim_ascii();
        if let Some(header) = line.strip_prefix(b"[") {
            let Some(end) = header.iter().position(|byte| *byte == b']') else { continue };
            let name = &header[..end];
            let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            section = plain.then(|| name.to_ascii_lowercase());
            line = header[end + 1..].trim_ascii();
        }
        let (Some(section), Some((name, value))) = (&section, key_value(line)) else { continue };
        found.push(([section, name.as_slice()].join(&b'.'), value));
    }
    found
}

/// `name = value`; a name alone is `true`.
fn key_value(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if line.is_empty() || line.starts_with(b"#") || line.starts_with(b";") {
        return None;
    }
    let (name, value) = match line.iter().position(|byte| *byte == b'=') {
        Some(at) => (&line[..at], value(&line[at + 1..])),
        None => (line, b"true".to_vec()),
    };
    Some((name.trim_ascii().to_ascii_lowercase(), value))
}

/// A value: blanks around it taken off, quotes and escapes resolved, a comment cut.
fn value(raw: &[u8]) -> Vec<u8> {
    let (mut out, mut quoted, mut kept) = (Vec::new(), false, 0);
    let mut bytes = raw.trim_ascii().iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                kept = out.len();
            }
            b'#' | b';' if !quoted => break,
            b'\\' => {
                out.push(match bytes.next() {
                    Some(b'n') => b'\n',
                    Some(b't') => b'\t',
                    Some(other) => *other,
                    None => break,
                });
                kept = out.len();
            }
            byte => {
                out.push(*byte);
                if quoted || !byte.is_ascii_whitespace() {
                    kept = out.len();
                }
            }
        }
    }
    out.truncate(kept);
    out
}

/// Lines, those that end in a backslash joined with the next.
struct Lines<'a> {
    rest: &'a [u8],
}

impl Lines<'_> {
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|byte| *byte == b'\n');
            let (part, rest) = match end {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            let backslashes = part.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 0 {
                line.extend_from_slice(part);
                return Some(line);
            }
            line.extend_from_slice(&part[..part.len() - 1]);
        }
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(parsed: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
        let line = |(key, value): &(Vec<u8>, Vec<u8>)| {
            format!("{}={}", key.escape_ascii(), value.escape_ascii())
        };
        parsed.iter().map(line).collect()
    }

    #[test]
    fn the_syntax_of_git_is_understood() {
        let parsed = parse(
            b"# c\n[User]\n\tName = \"A \\\"B\\\" C\" ; c\n\temail=a@b # c\n[pull] rebase\n\
              [url \"x\"]\n\tinsteadOf = y\n[core]\n\tautocrlf = in\\\nput  \n\
              [credential]\n helper = !cat /secret\n",
        );
        assert_eq!(
            text(&parsed),
            [
                "user.name=A \\\"B\\\" C",
                "user.email=a@b",
                "pull.rebase=true",
                "core.autocrlf=input",
                "credential.helper=!cat /secret",
            ]
        );
    }

    #[test]
    fn no_safe_key_names_a_program_or_a_secret() {
        for key in SAFE_KEYS {
            assert_eq!(key, key.to_ascii_lowercase());
            for risky in [
                "helper",
                "command",
                "path",
                "proxy",
                "header",
                "editor",
                "pager",
                "hook",
                "program",
                "sign",
                "include",
                "url",
                "fsmonitor",
                "driver",
                "textconv",
                "attributes",
            ] {
                assert!(!key.contains(risky) || key == "core.quotepath", "{key}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_value_survives(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let value: Vec<u8> = value.into_iter()
                .filter(|byte| !byte.is_ascii_control() || matches!(byte, b'\n' | b'\t'))
                .collect();
            let file = render(&BTreeMap::from([("user.name", value.clone())]));
            prop_assert_eq!(parse(&file), vec![(b"user.name".to_vec(), value)]);
        }

        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
