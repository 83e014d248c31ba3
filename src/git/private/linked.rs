//! The two directories in which a linked worktree has its git data. [`super::find_linked`] finds them.
#![forbid(unsafe_code)]

use std::path::PathBuf;

/// Where the git data of a linked worktree is; both absolute, without a link on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// Its own git directory: `HEAD`, index, what is under way.
    pub git_dir: PathBuf,
    /// What it shares: configuration, refs, objects.
    pub common: PathBuf,
}
