//! The git configuration inside: who commits, and how the caller likes git to behave. Taken from
//! the caller's own configuration without running git, key by key from a list: the rest can name
//! programs, credentials and paths that mean nothing inside. It must never pass a secret.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use crate::git::private::setting::{Setting, quoted};

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

/// Nobody's configuration is in more files.
const MOST_FILES: usize = 100;

/// The caller's configuration files, the last to be obeyed last.
pub(super) fn files(draft: &Draft<'_>) -> [PathBuf; 2] {
    let xdg = draft.host.environment.get(OsStr::new("XDG_CONFIG_HOME")).map(PathBuf::from);
    let config =
        xdg.filter(|dir| dir.is_absolute()).unwrap_or_else(|| draft.host.home.join(".config"));
    [config.join("git/config"), draft.host.home.join(".gitconfig")]
}

/// What the caller's configuration files say.
pub(super) fn of_caller(draft: &Draft<'_>) -> Vec<Setting> {
    files(draft).iter().flat_map(|file| read(draft, file, b"global")).collect()
}

/// What a configuration file says; nothing where there is none. Includes are not followed.
pub(super) fn read(draft: &Draft<'_>, file: &Path, scope: &[u8]) -> Vec<Setting> {
    let text = draft.facts.read_head(file, MAX_CONFIG).unwrap_or_default();
    let origin = [b"file:", file.as_os_str().as_bytes()].concat();
    let mut settings = parse(&text);
    for setting in &mut settings {
        (setting.scope, setting.origin) = (scope.to_vec(), origin.clone());
    }
    settings
}

/// A path as a configuration has it: `~`, `~USER`, or relative to `base`. `..` stays, since it may stand behind a
/// link.
pub(super) fn expand(draft: &Draft<'_>, path: &Path, base: &Path) -> PathBuf {
    let mut named = OsString::from("~");
    named.push(&draft.host.user);
    let rest = path.strip_prefix("~").or_else(|_| path.strip_prefix(&named)).ok();
    rest.map_or_else(|| base.join(path), |rest| draft.host.home.join(rest))
}

/// What a configuration file says, and all that it includes, whatever the condition: which of them will hold
/// is not known. The files, the first one first, whether they are there or not, and what they say.
pub(super) fn whole(draft: &Draft<'_>, file: &Path, scope: &[u8]) -> (Vec<PathBuf>, Vec<Setting>) {
    let (mut settings, mut files) = (Vec::new(), vec![file.to_owned()]);
    let mut at = 0;
    while let Some(file) = files.get(at).filter(|_| at < MOST_FILES).cloned() {
        at += 1;
        let said = read(draft, &file, scope);
        for path in said.iter().filter_map(included) {
            let path = expand(draft, path, file.parent().unwrap_or(&file));
            if !files.contains(&path) {
                files.push(path);
            }
        }
        settings.extend(said);
    }
    (files, settings)
}

/// What a setting includes.
pub(super) fn included(setting: &Setting) -> Option<&Path> {
    let includes = matches!(setting.section.as_slice(), b"include" | b"includeif");
    let path = setting.value.as_deref().filter(|_| includes && setting.name == b"path")?;
    Some(Path::new(OsStr::from_bytes(path)))
}

/// The text of `~/.gitconfig` inside. Includes are not followed: what they lead to is often there
/// because it differs from the rest.
pub(super) fn for_inside(draft: &Draft<'_>) -> Vec<u8> {
    let mut kept = BTreeMap::new();
    for setting in of_caller(draft).into_iter().filter(|setting| setting.subsection.is_none()) {
        let key = setting.key();
        if let Some(key) = SAFE_KEYS.iter().find(|safe| safe.as_bytes() == key) {
            kept.insert(*key, setting.value.unwrap_or_else(|| b"true".to_vec()));
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

/// What a configuration file says, in order; the syntax of git-config(1). Scope and origin are the
/// caller's to add.
fn parse(text: &[u8]) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut section = None;
    // git passes over the mark of UTF-8, too.
    let mut lines = Lines { rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) };
    while let Some(line) = lines.next_line() {
        let mut line = line.trim_ascii();
        if line.starts_with(b"[") {
            let (named, rest) = header(line).unzip();
            (section, line) = (named, rest.unwrap_or_default());
        }
        let (Some(section), Some((name, value))) = (&section, key_value(line)) else { continue };
        found.push(section.says(name, value));
    }
    found
}

/// What a header names.
struct Section {
    /// In lower case.
    name: Vec<u8>,
    subsection: Option<Vec<u8>>,
}

impl Section {
    fn says(&self, name: Vec<u8>, value: Option<Vec<u8>>) -> Setting {
        let (section, subsection) = (self.name.clone(), self.subsection.clone());
        Setting { scope: Vec::new(), origin: Vec::new(), section, subsection, name, value }
    }
}

/// Reads `[section "subsection"]` or `[section.subsection]`; answers with what stands behind it, too.
fn header(line: &[u8]) -> Option<(Section, &[u8])> {
    let text = line.strip_prefix(b"[")?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let (name, rest) = text.split_at(text.iter().position(|byte| !is_name(byte))?);
    let (name, rest) = (name.to_ascii_lowercase(), rest.trim_ascii_start());
    let (section, rest) = if let Some(rest) = rest.strip_prefix(b"\"") {
        let (subsection, rest) = until_quote(rest)?;
        (Section { name, subsection: Some(subsection) }, rest)
    } else if let Some(dot) = name.iter().position(|byte| *byte == b'.') {
        let subsection = Some(name[dot + 1..].to_vec());
        (Section { name: name[..dot].to_vec(), subsection }, rest)
    } else {
        (Section { name, subsection: None }, rest)
    };
    Some((section, rest.strip_prefix(b"]")?.trim_ascii()))
}

/// What stands before the closing quote, with backslashes resolved, and what stands behind it.
fn until_quote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut out, mut at) = (Vec::new(), 0);
    loop {
        match *text.get(at)? {
            b'"' => return Some((out, &text[at + 1..])),
            b'\\' => {
                out.push(*text.get(at + 1)?);
                at += 2;
            }
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// `name = value`, or a name alone.
fn key_value(line: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    if line.is_empty() || line.starts_with(b"#") || line.starts_with(b";") {
        return None;
    }
    let (name, value) = match line.iter().position(|byte| *byte == b'=') {
        Some(at) => (&line[..at], Some(value(&line[at + 1..]))),
        None => (line, None),
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

    fn text(parsed: &[Setting]) -> Vec<String> {
        let line = |setting: &Setting| {
            let value = setting.value.as_deref().map(|value| format!("={}", value.escape_ascii()));
            format!("{}{}", setting.key().escape_ascii(), value.unwrap_or_default())
        };
        parsed.iter().map(line).collect()
    }

    #[test]
    fn the_syntax_of_git_is_understood() {
        let parsed = parse(
            b"# c\n[User]\n\tName = \"A \\\"B\\\" C\" ; c\n\temail=a@b # c\n[pull] rebase\n\
              [url \"x\"]\n\tinsteadOf = y\n[core]\n\tautocrlf = in\\\nput  \n\
              [credential]\n helper = !cat /secret\n[Filter \"A]\\\"b\"] Clean = x\n\
              [diff.Old]\n textconv = y\n[broken\n key = lost\n[ok]\n key\n",
        );
        assert_eq!(
            text(&parsed),
            [
                "user.name=A \\\"B\\\" C",
                "user.email=a@b",
                "pull.rebase",
                "url.x.insteadof=y",
                "core.autocrlf=input",
                "credential.helper=!cat /secret",
                "filter.A]\\\"b.clean=x",
                "diff.old.textconv=y",
                "ok.key",
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
            let parsed = parse(&file).into_iter().map(|it| (it.key(), it.value)).collect::<Vec<_>>();
            prop_assert_eq!(parsed, vec![(b"user.name".to_vec(), Some(value))]);
        }

        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
