//! The settings of a git configuration, as `git config --list` tells them: includes expanded, scopes
//! and files named. It must never do I/O, and never print a value: some are secrets.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What git is asked, after its own options; [`listing`] reads the answer.
pub const LIST: [&str; 6] =
    ["config", "--list", "-z", "--show-scope", "--show-origin", "--includes"];

/// One line of a configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// `system`, `global`, `local`, `worktree` or `command`.
    pub scope: Vec<u8>,
    /// Where it stands: `file:PATH`, or another word of git's.
    pub origin: Vec<u8>,
    /// The section, in lower case.
    pub section: Vec<u8>,
    /// The subsection, as written.
    pub subsection: Option<Vec<u8>>,
    /// The name, in lower case.
    pub name: Vec<u8>,
    /// The value; `None` for a name alone, which means true.
    pub value: Option<Vec<u8>>,
}

/// Values may be secrets (`http.extraHeader`), so they are not shown.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key().escape_ascii())
    }
}

impl Setting {
    /// One of this key; `None` where that is none.
    pub fn new(scope: &[u8], origin: &[u8], key: &[u8], value: Option<&[u8]>) -> Option<Self> {
        let first = key.iter().position(|byte| *byte == b'.')?;
        let last = key.iter().rposition(|byte| *byte == b'.')?;
        Some(Self {
            scope: scope.to_vec(),
            origin: origin.to_vec(),
            section: key[..first].to_ascii_lowercase(),
            subsection: (first < last).then(|| key[first + 1..last].to_vec()),
            name: key[last + 1..].to_ascii_lowercase(),
            value: value.map(<[u8]>::to_vec),
        })
    }

    /// The whole key.
    pub fn key(&self) -> Vec<u8> {
        let mut key = self.section.clone();
        for part in self.subsection.iter().chain([&self.name]) {
            key.push(b'.');
            key.extend_from_slice(part);
        }
        key
    }

    /// Whether it is this key, of a section without subsections.
    pub fn is(&self, section: &str, name: &str) -> bool {
        self.subsection.is_none()
            && self.section == section.as_bytes()
            && self.name == name.as_bytes()
    }

    /// Whether it belongs to this repository and not to the user or the machine.
    pub fn is_local(&self) -> bool {
        matches!(self.scope.as_slice(), b"local" | b"worktree")
    }

    /// The value as git reads a boolean's; `None` where it is none.
    pub fn truth(&self) -> Option<bool> {
        let Some(value) = &self.value else { return Some(true) };
        match value.to_ascii_lowercase().as_slice() {
            b"true" | b"yes" | b"on" | b"1" => Some(true),
            b"false" | b"no" | b"off" | b"0" | b"" => Some(false),
            _ => None,
        }
    }

    /// The file it stands in.
    pub fn file(&self) -> Option<&Path> {
        self.origin.strip_prefix(b"file:").map(|path| Path::new(OsStr::from_bytes(path)))
    }
}

/// Reads what [`LIST`] answers; `None` where that is not in git's format.
pub fn listing(answer: &[u8]) -> Option<Vec<Setting>> {
    let mut fields = answer.split(|byte| *byte == 0);
    let mut found = Vec::new();
    loop {
        let scope = fields.next()?;
        if scope.is_empty() {
            // What is behind the last NUL.
            return fields.next().is_none().then_some(found);
        }
        let (origin, text) = (fields.next()?, fields.next()?);
        let (key, value) = match text.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        found.push(Setting::new(scope, origin, key, value)?);
    }
}

/// A value as it stands in a configuration file, quoted so that any comes out of git as it went in;
/// other control characters are left out.
pub(crate) fn quoted(value: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in value {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            byte if byte.is_ascii_control() => {}
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A setting of the repository's own configuration, `section.name` or `section.subsection.name`.
    pub(crate) fn local(key: &str, value: &str) -> Setting {
        let answer = format!("local\0file:/p/.git/config\0{key}\n{value}\0");
        listing(answer.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_listing_is_read() {
        let answer = b"global\0file:/home/u/.gitconfig\0user.name\nA\nB\0local\0file:.git/config\0\
                       remote.a.b.url\nhttps://x\0worktree\0file:w\0core.bare\0";
        let settings = listing(answer).unwrap();
        assert_eq!(settings[0].value.as_deref(), Some(&b"A\nB"[..]));
        assert!(settings[0].is("user", "name") && !settings[0].is_local());
        assert_eq!(settings[1].subsection.as_deref(), Some(&b"a.b"[..]));
        assert_eq!(settings[1].key(), b"remote.a.b.url");
        assert_eq!((settings[2].truth(), settings[2].is_local()), (Some(true), true));
        assert_eq!(settings[0].file(), Some(Path::new("/home/u/.gitconfig")));
        assert_eq!(listing(b""), Some(vec![]));
        for broken in [&b"local"[..], b"local\0file:x\0nodot\n1\0", b"local\0file:x\0", b"\0\0"] {
            assert_eq!(listing(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_value_is_never_shown() {
        let shown = format!("{:?}", local("http.extraheader", "Authorization: secret"));
        assert_eq!(shown, "http.extraheader");
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_fail_otherwise(answer: Vec<u8>) {
            let _ = listing(&answer);
        }
    }
}
