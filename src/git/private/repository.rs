//! A repository of the host as it stands before a session: what the look at it found, as data. It
//! must never do I/O.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use super::setting::Setting;
use crate::bytes::Bytes;
use crate::git::version::Version;

/// The project's repository.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    /// The git that looked, absolute; not the project's.
    pub program: PathBuf,
    /// Its version.
    pub version: Version,
    /// The repository itself.
    pub main: One,
    /// The repositories of its submodules, those of their submodules included.
    pub modules: Vec<Module>,
    /// The submodules that an index names, in the order of their paths.
    pub gitlinks: Vec<Gitlink>,
}

/// One git directory.
#[derive(Clone, Debug, Default)]
pub struct One {
    /// Absolute.
    pub directory: PathBuf,
    /// Where its refs and objects are, if it is that of a linked worktree.
    pub common: Option<PathBuf>,
    /// Its configuration with the user's and the machine's, as git obeys it there.
    pub settings: Vec<Setting>,
    /// Its object directories, its own first, then what its `info/alternates` name, and so on.
    pub objects: Vec<Objects>,
    /// Names in it that say that something is going on (`index.lock`, `MERGE_HEAD`, ...).
    pub busy: Vec<String>,
    /// What is not as git makes it, in words.
    pub odd: Vec<String>,
}

/// A directory of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects {
    /// Absolute and canonical.
    pub path: PathBuf,
    /// It has an `info/alternates` of its own.
    pub alternates: bool,
    /// Beside it lies `lfs`, the store of git-lfs.
    pub lfs: bool,
}

/// A submodule with its git directory below `.git/modules`.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// Its git directory, relative to the project's own.
    pub path: Bytes,
    /// Its work tree, relative to the project.
    pub work_tree: Bytes,
    /// The git directory.
    pub one: One,
}

/// A submodule in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gitlink {
    /// Relative to the project.
    pub path: Bytes,
    /// What stands there.
    pub state: GitlinkState,
}

/// What stands at the path of a submodule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitlinkState {
    /// A directory whose `.git` is a file: it points to a git directory elsewhere.
    Pointer,
    /// A directory that holds its own repository, as git made them before 1.7.8.
    Embedded,
    /// A directory without a `.git`.
    Empty,
    /// Nothing.
    Missing,
    /// A file, or a directory whose `.git` is neither.
    Other,
}
