//! `git.json`: what the private git directory of a session was made from, and the base: how the
//! host's repository stood when it and the private directory last agreed. The sync compares both
//! against it. It must never hold anything that was read out of the private directory but names and
//! object ids that were imported.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::oid::Oid;
use crate::bytes::Bytes;
use crate::json_file;

/// The version of the file.
pub const VERSION: u32 = 1;

/// The file's name in a session's directory.
pub const NAME: &str = "git.json";

/// One repository and its private directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`]
    pub version: u32,
    /// The root of the work tree: the project's, or a submodule's.
    pub work_tree: Bytes,
    /// The host's git directory, a real one: the project's `.git`, or one below `.git/modules`.
    pub git_dir: Bytes,
    /// The private git directory, absolute: inside the session's directory.
    pub private: Bytes,
    /// The object directories that the private one borrows from. Its own alternates name them by
    /// [`Store::inside`], and so they are mounted there in the sandbox and in every box.
    pub objects: Vec<Store>,
    /// `sha1` or `sha256` (`extensions.objectFormat`).
    pub object_format: String,
    /// `files` or `reftable` (`extensions.refStorage`).
    pub ref_format: String,
    /// The host's git, absolute and canonical; the same runs in the boxes.
    pub program: Bytes,
    /// The bwrap that makes the boxes, absolute.
    pub bwrap: Bytes,
    /// How host and private directory stood when they last agreed.
    pub base: Base,
    /// The branches as they were when the session began, by their full names: what they lead to, the
    /// session did not make. Absent in a record of an older claudebox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<BTreeMap<Bytes, Oid>>,
    /// What the branches got when the session's commits were signed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signed: BTreeMap<Bytes, Oid>,
    /// The submodules' repositories below `.git/modules`, each like this one, the inner before the
    /// outer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submodules: Vec<Record>,
}

/// An object directory of the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// The directory, absolute (`.../.git/objects`).
    pub host: Bytes,
    /// Where it is mounted inside, read-only.
    pub inside: Bytes,
}

/// How a repository stands: what `HEAD` says, the refs, the index, the stashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// What `HEAD` says.
    pub head: Head,
    /// Every ref below `refs/`, by its full name; symbolic refs and `refs/claudebox` left out.
    pub refs: BTreeMap<Bytes, Oid>,
    /// SHA-256, hexadecimal, of what `git ls-files --stage -z` prints: of the entries without what
    /// `stat(2)` said of the files. Absent where it is not known, which counts as changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The stashes' commits, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stashes: Vec<Oid>,
}

/// What `HEAD` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The full name of the branch it names, which need not exist yet.
    Branch(Bytes),
    /// No branch is checked out, but this commit.
    Detached(Oid),
}

impl Default for Head {
    /// What a repository without a word has.
    fn default() -> Self {
        Self::Branch("refs/heads/main".into())
    }
}

impl Record {
    /// What is written down about the session of this directory; `None` where its git is not
    /// private, or the file is of another version.
    pub fn read(session: &Path) -> Option<Self> {
        json_file::read(&path(session)).filter(|record: &Self| record.version == VERSION)
    }

    /// Writes it, so that a power cut leaves all of it or the one before.
    pub fn write(&self, session: &Path) -> io::Result<()> {
        json_file::write_synced(&path(session), self)
    }
}

/// Where it is.
pub fn path(session: &Path) -> PathBuf {
    session.join(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_with_every_byte() {
        let directory = tempfile::tempdir().unwrap();
        let odd = Bytes(b"/p/caf\xe9\n".to_vec());
        let oid = Oid::parse("1".repeat(40).as_bytes()).unwrap();
        let record = Record {
            version: VERSION,
            work_tree: odd.clone(),
            objects: vec![Store { host: odd.clone(), inside: "/o".into() }],
            base: Base {
                head: Head::Detached(oid.clone()),
                refs: BTreeMap::from([("refs/heads/a".into(), oid)]),
                ..Base::default()
            },
            submodules: vec![Record { version: VERSION, git_dir: odd, ..Record::default() }],
            ..Record::default()
        };
        record.write(directory.path()).unwrap();
        assert_eq!(Record::read(directory.path()), Some(record.clone()));
        Record { version: VERSION + 1, ..record }.write(directory.path()).unwrap();
        assert_eq!(Record::read(directory.path()), None);
    }
}
