//! Which git the host has. What claudebox says to git in its environment, or asks of it, an older one does not
//! know: it would run what it was told not to run, or fail in words that help nobody. It must never change
//! anything.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::Path;

use super::call::Call;
use crate::error::{Error, Result};
use crate::visible::visible_path;

/// The first two numbers of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

/// The first that obeys `GIT_CONFIG_COUNT`, by which filters and drivers are switched off in each call. One
/// that does not would run them over what an agent wrote.
pub const PRIVATE: Version = Version(2, 31);

/// The first that merges among objects: `git merge-tree --write-tree`.
pub const MERGE: Version = Version(2, 38);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// That of this program.
    ///
    /// # Errors
    /// When it does not say, or not so that it is understood.
    pub fn of(program: &Path) -> Result<Self> {
        let what = format!("ask {} for its version", visible_path(program));
        let said = Call::new(program, &*what).arg("--version").run()?;
        Self::read(&said)
            .ok_or_else(|| Error::launcher(format!("cannot {what}: its answer is not understood")))
    }

    /// Reads `git version 2.39.5 (...)`.
    fn read(said: &[u8]) -> Option<Self> {
        let said = std::str::from_utf8(said).ok()?.strip_prefix("git version ")?;
        let mut numbers = said.split(|byte: char| !byte.is_ascii_digit()).map(str::parse);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// The error, if this is older than what is needed for `what`.
    ///
    /// # Errors
    /// That one: a usage error.
    pub fn must_be(self, needed: Self, what: &str) -> Result<()> {
        if self >= needed {
            return Ok(());
        }
        Err(Error::usage(format!("{what} needs git {needed} or newer, and this is git {self}"))
            .hint(format!("install a git that is {needed} or newer, first on your PATH")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        for (said, expected) in [
            ("git version 2.30.2\n", Some(Version(2, 30))),
            ("git version 2.39.3 (Apple Git-146)\n", Some(Version(2, 39))),
            ("git version 2.47.GIT\n", Some(Version(2, 47))),
            ("git version 3.0-rc1\n", Some(Version(3, 0))),
            ("git version x\n", None),
            ("2.40\n", None),
            ("", None),
        ] {
            assert_eq!(Version::read(said.as_bytes()), expected, "{said}");
        }
        assert!(Version(2, 9) < MERGE && Version(3, 0) > MERGE);
        assert!(MERGE.must_be(MERGE, "x").is_ok());
        let said = Version(2, 30).must_be(PRIVATE, "it").unwrap_err().to_string();
        assert_eq!(said, "it needs git 2.31 or newer, and this is git 2.30");
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(said: Vec<u8>) {
            let _ = Version::read(&said);
        }
    }
}
