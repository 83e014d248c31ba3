//! What became of the findings of a session, in its directory: written after each step, so that a
//! step that was interrupted is taken up again and none is taken twice.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::compare::{Finding, Findings};
use super::record::VERSION;
use crate::bytes::Bytes;
use crate::json_file;

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
}

impl Found {
    /// Nothing has become of any yet.
    pub fn new(findings: Findings) -> Self {
        let Findings { list, unseen, in_packages } = findings;
        let cases = list.into_iter().map(|finding| Case { finding, fate: None }).collect();
        Self { v: VERSION, cases, unseen, in_packages }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty() && self.unseen == 0 && self.in_packages == 0
    }

    /// How many are in the session's directory.
    pub fn aside(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.fate, Some(Fate::Aside { .. }))).count()
    }

    /// Writes it into a session's directory.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        json_file::write(&path(directory), self)
    }

    /// Reads it back; `None` where nobody has looked yet.
    pub fn read(directory: &Path) -> Option<Self> {
        let found: Self = json_file::read(&path(directory))?;
        (found.v == VERSION).then_some(found)
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("host-files-found.json")
}
