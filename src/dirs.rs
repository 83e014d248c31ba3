//! The directories that are claudebox's own. It must never make one, or look at what is in it.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::hex::hexadecimal;

/// Where claudebox keeps things (XDG base directories).
#[derive(Clone, Debug, Default)]
pub struct Dirs {
    /// `$XDG_CONFIG_HOME/claudebox`
    pub config: PathBuf,
    /// `$XDG_STATE_HOME/claudebox`
    pub state: PathBuf,
    /// `$XDG_CACHE_HOME/claudebox`
    pub cache: PathBuf,
    /// `$XDG_RUNTIME_DIR/claudebox`, or an owner-checked 0700 directory below `state`.
    pub runtime: PathBuf,
}

impl Dirs {
    /// All of them. Nothing inside may see any: logs, sockets and trust are there.
    pub fn all(&self) -> [&Path; 4] {
        [&self.config, &self.state, &self.cache, &self.runtime]
    }

    /// Where the worktrees are that are made of the repository whose main work tree this is: beside the
    /// state, as an agent works in them; by its name, for the eye, and its path.
    pub fn worktrees_of(&self, root: &Path) -> PathBuf {
        let hash = hexadecimal(&Sha256::digest(root.as_os_str().as_bytes())[..4]);
        let mut repository = root.file_name().unwrap_or_default().to_owned();
        repository.push("-");
        repository.push(hash);
        let beside = self.state.parent().unwrap_or(&self.state);
        beside.join("claudebox-worktrees").join(repository)
    }

    /// The one of them that is inside `path`, or that `path` is inside of.
    pub fn overlapping(&self, path: &Path) -> Option<&Path> {
        self.all().into_iter().find(|own| own.starts_with(path) || path.starts_with(own))
    }
}
