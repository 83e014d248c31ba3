//! One thing that is tried, and when the sandbox has held against it.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::act::Act;

/// One thing that is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The letter of the promise (`docs/threat-model.md`), or `assert`.
    pub(super) promise: &'static str,
    /// In words.
    pub(super) what: String,
    pub(super) act: Act,
    pub(super) holds: Holds,
}

impl Attempt {
    /// The file that must not be on the host, of a name that nothing else has.
    pub(super) fn planted(&self) -> Option<&Path> {
        match &self.holds {
            Holds::NotThere(path) => Some(path),
            _ => None,
        }
    }
}

/// When the sandbox has held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// The attacker was refused.
    Refused,
    /// The same, and the log says so of this host.
    Told(String),
    /// This is not on the host afterwards, whatever the attacker says.
    NotThere(PathBuf),
    /// The attacker was not refused, and it was the host's own file.
    SameFile(PathBuf),
    /// The attacker was not refused.
    Done,
    /// This `sleep` is in the log.
    Logged(u32),
    /// This `sleep` is dead.
    Dead(u32),
    /// The profile does not promise it.
    NotPromised(&'static str),
}

/// Attempts, in order.
#[derive(Debug, Default)]
pub(super) struct List(pub(super) Vec<Attempt>);

impl List {
    pub(super) fn add(
        &mut self,
        promise: &'static str,
        what: impl Into<String>,
        act: Act,
        holds: Holds,
    ) {
        self.0.push(Attempt { promise, what: what.into(), act, holds });
    }
}
