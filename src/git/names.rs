//! Names of branches, tags and notes that an agent made: which of them may become a name on the
//! host. Git itself takes nearly anything, `a$(id)` too; what is taken here can be typed after a
//! command without becoming an option, a revision of another kind, or words for a shell.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use crate::bytes::Bytes;

/// Where branches are.
pub const HEADS: &str = "refs/heads/";
/// Where tags are.
pub const TAGS: &str = "refs/tags/";
/// Where notes are.
pub const NOTES: &str = "refs/notes/";
/// Where branches of other repositories are.
pub const REMOTES: &str = "refs/remotes/";
/// Where what claudebox imports is.
pub const OWN: &str = "refs/claudebox/";
/// The stashes.
pub const STASH: &str = "refs/stash";

/// The longest name, bytes: a file name (255) less what git and a backup put behind it.
const LONGEST: usize = 200;

/// Why a name is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no name that git would make, or holds other than letters, digits and `._/+@=#,-`.
    Characters,
    /// It is longer than a file name may be.
    Long,
    /// Git would take it for something else: `HEAD`, an object id, `refs/heads/x`.
    Ambiguous,
}

impl Refused {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Characters => "the name holds what claudebox takes in no name",
            Self::Long => "the name is too long",
            Self::Ambiguous => "git takes the name for something else",
        }
    }
}

/// Checks what stands behind `refs/heads/` or its like.
///
/// # Errors
/// Why it is not taken.
pub fn check(name: &[u8]) -> Result<(), Refused> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._/+@=#,-".contains(byte);
    let begins = name.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if !begins || !name.iter().all(|byte| plain(byte) || *byte == b'_') || !is_well_formed(name) {
        return Err(Refused::Characters);
    }
    if name.len() > LONGEST {
        return Err(Refused::Long);
    }
    if means_something_else(name) { Err(Refused::Ambiguous) } else { Ok(()) }
}

/// The rules of git-check-ref-format(1) that the characters leave open.
fn is_well_formed(name: &[u8]) -> bool {
    let component =
        |part: &[u8]| !part.is_empty() && !part.starts_with(b".") && !part.ends_with(b".lock");
    name.split(|byte| *byte == b'/').all(component)
        && !name.ends_with(b".")
        && !name.windows(2).any(|pair| pair == b"..")
}

/// Whether gitrevisions(7) reads it in another way first: a file of the git directory (`HEAD`,
/// `FETCH_HEAD`, `stash`), a ref by a longer name, an object id, or the like with `git describe`.
fn means_something_else(name: &[u8]) -> bool {
    let all = |test: fn(&u8) -> bool| name.iter().all(test);
    let capitals = all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    let id = matches!(name.len(), 40 | 64) && all(u8::is_ascii_hexdigit);
    let longer: [&[u8]; 4] = [b"refs/", b"heads/", b"tags/", b"remotes/"];
    (capitals && name.ends_with(b"HEAD"))
        || id
        || name == b"@"
        || name == b"stash"
        || longer.iter().any(|prefix| name.starts_with(prefix))
}

/// The part of a ref's name behind a prefix.
pub fn behind<'n>(name: &'n Bytes, prefix: &str) -> Option<&'n [u8]> {
    name.0.strip_prefix(prefix.as_bytes())
}

/// The names of a repository, to see what a new one would be in the way of.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    names: BTreeSet<Vec<u8>>,
    lower: BTreeSet<Vec<u8>>,
}

impl Taken {
    /// Of these full names.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n Bytes>) -> Self {
        let names: BTreeSet<Vec<u8>> = names.into_iter().map(|name| name.0.clone()).collect();
        let lower = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { names, lower }
    }

    /// This one is taken, too.
    pub fn insert(&mut self, name: &Bytes) {
        self.names.insert(name.0.clone());
        self.lower.insert(name.0.to_ascii_lowercase());
    }

    /// What a new ref of this full name would stand in the way of: a ref whose name is the beginning
    /// of it, or begins with it; one that differs in case only, which is the same file on some disks;
    /// or one that its short name means too (gitrevisions(7): `refs/x`, a tag, a branch, a remote's).
    pub fn in_the_way(&self, name: &[u8]) -> bool {
        let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let above = slashes.map(|(at, _)| &name[..at]).any(|above| self.names.contains(above));
        let mut prefix = name.to_vec();
        prefix.push(b'/');
        let below = self.names.range(prefix.clone()..).next();
        above
            || below.is_some_and(|below| below.starts_with(&prefix))
            || (!self.names.contains(name) && self.lower.contains(&name.to_ascii_lowercase()))
            || self.shadows(name)
    }

    fn shadows(&self, name: &[u8]) -> bool {
        let short = |prefix: &str| name.strip_prefix(prefix.as_bytes());
        let has = |prefix: &str, short: &[u8]| {
            self.names.contains([prefix.as_bytes(), short].concat().as_slice())
        };
        match (short(TAGS), short(HEADS)) {
            (Some(short), _) => has("refs/", short) || has(HEADS, short) || has(REMOTES, short),
            (_, Some(short)) => has("refs/", short) || has(REMOTES, short) || has(TAGS, short),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_names_are_taken_and_odd_ones_are_not() {
        for good in ["main", "fix/it-2", "a.b", "v1.0+x", "user@host", "_x", "x=y,z#1", "a/-b"] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "",
            "-x",
            "a$(id)",
            "a b",
            "a\nb",
            "é",
            "a..b",
            ".a",
            "a/.b",
            "a.lock",
            "a/b.lock/c",
            "a/",
            "/a",
            "a//b",
            "a.",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a{b",
            "@{u}",
        ] {
            assert_eq!(check(bad.as_bytes()), Err(Refused::Characters), "{bad}");
        }
        let (sha1, sha256) = ("a".repeat(40), "0".repeat(64));
        for bad in ["HEAD", "FETCH_HEAD", "refs/heads/main", "heads/x", "stash", &sha1, &sha256] {
            assert_eq!(check(bad.as_bytes()), Err(Refused::Ambiguous), "{bad}");
        }
        assert_eq!(check("a".repeat(201).as_bytes()), Err(Refused::Long));
    }

    #[test]
    fn what_would_stand_in_the_way_of_another_is_seen() {
        let names = ["refs/heads/a/b", "refs/heads/c", "refs/remotes/origin/main"];
        let names = names.map(Bytes::from);
        let taken = Taken::new(&names);
        for bad in [
            "refs/heads/a",
            "refs/heads/c/d",
            "refs/heads/C",
            "refs/heads/origin/main",
            "refs/tags/c",
        ] {
            assert!(taken.in_the_way(bad.as_bytes()), "{bad}");
        }
        for good in ["refs/heads/a/c", "refs/heads/c", "refs/heads/ab", "refs/tags/d"] {
            assert!(!taken.in_the_way(good.as_bytes()), "{good}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Git is asked.
        #[test]
        fn what_is_taken_git_takes(name in "[a-zA-Z_.@/#,=+-]{1,12}") {
            if check(name.as_bytes()).is_ok() {
                let git = Command::new("git").args(["check-ref-format", "--branch", &name]).output();
                prop_assert!(git.unwrap().status.success(), "{}", name);
            }
        }

        #[test]
        fn any_bytes_can_be_asked_about(name: Vec<u8>) {
            let _ = check(&name);
            let _ = Taken::default().in_the_way(&name);
        }
    }
}
