//! What is written down of a worktree, beside it, where nothing inside can write: the commit it began
//! at, and where its work went when that cannot be told from the commits (a squash, a rebase,
//! what was staged). It must never be the only reason to delete something.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::error::{Result, Tried as _};
use crate::git::oid::Oid;
use crate::json_file;
use crate::log::event::Micros;
use crate::session::directory::make_private;
use crate::visible::visible_path;

/// The version of the file.
const VERSION: u32 = 1;
/// Where they are, in the directory of a repository's worktrees.
const DIRECTORY: &str = ".records";

/// One worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`]
    v: u32,
    /// When it was made. Sessions before that were in another of the same name. 0 where it is not known.
    #[serde(default)]
    pub made: Micros,
    /// The commit that its branch began at.
    pub base: Oid,
    /// The branch that had that commit, by its full name, if it was named by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Bytes>,
    /// Where the work went last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<Landed>,
}

/// Work that went elsewhere, as other commits or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub enum Landed {
    /// What the branch had then is in this commit.
    Commit {
        /// What the branch had.
        tip: Oid,
        /// The commit.
        commit: Oid,
    },
    /// What the branch had then, and the files of this tree, were staged in the main work tree.
    Staged {
        /// What the branch had.
        tip: Oid,
        /// The files.
        tree: Oid,
    },
}

impl Record {
    /// Of a worktree that begins now.
    pub fn new(base: Oid, from: Option<Bytes>) -> Self {
        Self { v: VERSION, made: 0, base, from, landed: None }
    }

    /// The same, made then.
    #[must_use]
    pub fn made_at(self, made: Micros) -> Self {
        Self { made, ..self }
    }

    /// The same, its work having gone there.
    #[must_use]
    pub fn with(self, landed: Landed) -> Self {
        Self { landed: Some(landed), ..self }
    }

    /// What is written down of this worktree.
    pub fn read(directory: &Path, name: &str) -> Option<Self> {
        json_file::read(&path(directory, name)).filter(|record: &Self| record.v == VERSION)
    }

    /// Writes it down.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, directory: &Path, name: &str) -> Result<()> {
        let path = path(directory, name);
        make_private(path.parent().unwrap_or(directory))?;
        json_file::write_synced(&path, self).tried(|| format!("write {}", visible_path(&path)))
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When that fails.
    pub fn remove(directory: &Path, name: &str) -> Result<()> {
        let path = path(directory, name);
        match fs::remove_file(&path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => {
                Err(err).tried(|| format!("remove {}", visible_path(&path)))
            }
            _ => Ok(()),
        }
    }
}

fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(DIRECTORY).join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_another_version_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let oid = Oid::parse("1".repeat(40).as_bytes()).unwrap();
        let record = Record::new(oid.clone(), Some("refs/heads/main".into()));
        let record = record.with(Landed::Staged { tip: oid.clone(), tree: oid });
        record.write(directory.path(), "a").unwrap();
        assert_eq!(Record::read(directory.path(), "a"), Some(record.clone()));
        assert_eq!(Record::read(directory.path(), "b"), None);
        Record { v: VERSION + 1, ..record }.write(directory.path(), "a").unwrap();
        assert_eq!(Record::read(directory.path(), "a"), None);
        Record::remove(directory.path(), "a").unwrap();
        Record::remove(directory.path(), "a").unwrap();
    }
}
