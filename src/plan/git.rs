//! The private git directory, as data: what it is built from. Which parts of it are mounted where
//! stands among bwrap's arguments.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// What the supervisor builds before bwrap starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateGit {
    /// The host's git, absolute.
    pub program: Bytes,
    /// The project's repository first, then those of its submodules.
    pub repositories: Vec<PrivateRepository>,
    /// Each commit's message names the session.
    pub trailer: bool,
}

/// One of its repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateRepository {
    /// Where it is in the private git directory; empty for the project's own.
    pub path: Bytes,
    /// Where it is mounted inside, absolute.
    pub inside: Bytes,
    /// The host's git directory, absolute.
    pub git_dir: Bytes,
    /// Where its refs are, if it is that of a linked worktree.
    pub common: Option<Bytes>,
    /// Its work tree, absolute.
    pub work_tree: Bytes,
    /// The text of the private configuration.
    pub config: Bytes,
    /// `sha1` or `sha256`.
    pub object_format: String,
    /// `files` or `reftable`.
    pub ref_format: String,
    /// The object directories that it borrows from: on the host, and inside.
    pub objects: Vec<(Bytes, Bytes)>,
    /// What is not copied since a profile hides it, relative to the git directory or to the common one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<Bytes>,
}
