//! What became of the findings of a session, in its directory. All of it is written before the first
//! is moved, and then from time to time: to write it after each would take an agent that makes 20,000
//! files as long as it likes. What a kill leaves unwritten is told by the numbers of what is aside.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::compare::{Finding, Findings};
use super::record::VERSION;
use crate::bytes::Bytes;
use crate::json_file;
use crate::visible::visible_path;

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Nothing was to be done: it was only told of.
    Reported,
    /// A person wanted it where it is, or brought it back.
    Kept,
    /// It is in the session's directory `aside`.
    Aside {
        /// Under this number.
        number: u32,
        /// Only this part of it, relative to the project: without it the rest is dead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<Bytes>,
    },
    /// It could not be moved, and is where it was.
    Stays {
        /// Why; ready for a terminal.
        why: String,
    },
    /// It was not there any more.
    Vanished,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What it is.
    pub finding: Finding,
    /// What became of it; `None` as long as that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
}

/// All of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// [`VERSION`]
    pub v: u32,
    /// In their order.
    pub cases: Vec<Case>,
    /// See [`Findings::unseen`].
    pub unseen: u64,
    /// See [`Findings::in_packages`].
    pub in_packages: u64,
    /// Something may have been moved already: what is aside under a case's own number is of that case,
    /// whether its fate says so or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
}

impl Found {
    /// Nothing has become of any yet.
    pub fn new(findings: Findings) -> Self {
        let Findings { list, unseen, in_packages } = findings;
        let cases = list.into_iter().map(|finding| Case { finding, fate: None }).collect();
        Self { v: VERSION, cases, unseen, in_packages, moving: false }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty() && self.unseen == 0 && self.in_packages == 0
    }

    /// How many are in the session's directory.
    pub fn aside(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.fate, Some(Fate::Aside { .. }))).count()
    }

    /// Writes it into a session's directory, before anything else happens: after a power cut, too, it
    /// must be known what has been set aside under which number.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        if self.cases.is_empty() {
            // There is no number to forget, and no reason to wait for the disk.
            return json_file::write(&path(directory), self);
        }
        json_file::write_synced(&path(directory), self)
    }

    /// Reads it back; `None` where nobody has looked yet.
    ///
    /// # Errors
    /// When there is one that cannot be read: whoever took that for none would look and number anew, and
    /// take what was set aside then for what stands in the project now.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let path = path(directory);
        let why = |err: &dyn Display| {
            io::Error::other(format!("{} cannot be read: {err}", visible_path(&path)))
        };
        let found: Option<Self> = json_file::read_if_there(&path).map_err(|err| why(&err))?;
        match found {
            Some(found) if found.v != VERSION => Err(why(&"it is of another version of claudebox")),
            found => Ok(found),
        }
    }
}

/// How long what has been done may be unwritten.
const OFTEN: Duration = Duration::from_secs(1);

/// When it was written last.
#[derive(Debug)]
pub(super) struct Writing {
    last: Instant,
    /// Something was done since.
    open: bool,
}

impl Default for Writing {
    fn default() -> Self {
        Self { last: Instant::now(), open: false }
    }
}

impl Writing {
    /// Something was done: that is written down if it is time for it.
    pub(super) fn sometimes(&mut self, found: &Found, directory: &Path) -> io::Result<()> {
        self.open = true;
        if self.last.elapsed() < OFTEN { Ok(()) } else { self.rest(found, directory) }
    }

    /// Writes down what is not yet.
    pub(super) fn rest(&mut self, found: &Found, directory: &Path) -> io::Result<()> {
        if !self.open {
            return Ok(());
        }
        found.write(directory)?;
        *self = Self::default();
        Ok(())
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("host-files-found.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Found::read(dir.path()).unwrap(), None);
        let found = Found::new(Findings::default());
        found.write(dir.path()).unwrap();
        assert_eq!(Found::read(dir.path()).unwrap().as_ref(), Some(&found));
        Found { v: VERSION + 1, ..found }.write(dir.path()).unwrap();
        let why = Found::read(dir.path()).unwrap_err().to_string();
        assert!(why.contains("another version"), "{why}");
        for broken in ["", "{\"v\":1,\"ca"] {
            std::fs::write(path(dir.path()), broken).unwrap();
            let why = Found::read(dir.path()).unwrap_err().to_string();
            assert!(why.contains("host-files-found.json cannot be read"), "{why}");
        }
    }
}
