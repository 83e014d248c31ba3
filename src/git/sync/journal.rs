//! What is about to be done to the host's repository, written down before any of it is done: a sync
//! that is killed is gone on with, or taken back, by the next claudebox. It must never hold anything
//! that is not certain to be right when it is done later: each ref has the value that it must have then.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::git::oid::Oid;
use crate::git::record::{Base, Head};
use crate::json_file;

/// The file's name in a session's directory.
const NAME: &str = "git-journal.json";

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The index may be locked, and nothing is changed: it is taken back.
    Prepared,
    /// It is decided: it is gone on with.
    Decided,
}

/// A ref that gets another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its full name.
    pub name: Bytes,
    /// What it must have; `None`: it must not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Oid>,
    /// What it gets; `None`: it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Oid>,
    /// The ref that keeps what it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Bytes>,
}

/// What is about to be done to one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The repository, as in the record.
    pub git_dir: Bytes,
    /// How far it is.
    pub phase: Phase,
    /// Which branch moves with the index, if one does: the one that is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Move>,
    /// What `HEAD` says, and what it is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<(Head, Head)>,
    /// The new index is ready beside the old one, in [`prepared_index`].
    pub index: bool,
    /// The other refs that are made or moved.
    pub moves: Vec<Move>,
    /// Those that are deleted; when `HEAD` has left them.
    pub deletes: Vec<Move>,
    /// The stashes that are added, the oldest first, with their messages.
    pub stashes: Vec<(Oid, Bytes)>,
    /// How host and private directory stand when all of it is done.
    pub after: Base,
    /// How they stood before, for what cannot be done.
    pub before: Base,
}

impl Journal {
    /// The one that a killed sync left in this session's directory.
    pub fn left(session: &Path) -> Option<Self> {
        json_file::read(&path(session))
    }

    /// Writes it, so that a power cut leaves all of it or the one before.
    pub fn write(&self, session: &Path) -> io::Result<()> {
        json_file::write_synced(&path(session), self)
    }

    /// It is done.
    pub fn remove(session: &Path) -> io::Result<()> {
        match fs::remove_file(path(session)) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        }
    }

    /// Takes a ref that could not be moved out of what is agreed on.
    pub fn take_out(&mut self, name: &Bytes) {
        let put_back = |of: &mut BTreeMap<Bytes, Oid>, before: &BTreeMap<Bytes, Oid>| {
            match before.get(name) {
                Some(oid) => of.insert(name.clone(), oid.clone()),
                None => of.remove(name),
            };
        };
        put_back(&mut self.after.refs, &self.before.refs);
    }
}

fn path(session: &Path) -> PathBuf {
    session.join(NAME)
}

/// Where the new index is made ready, beside the one that it replaces: it is linked and renamed from
/// there.
pub fn prepared_index(git_dir: &Path, session: &str) -> PathBuf {
    git_dir.join(format!("claudebox-{session}.index"))
}
