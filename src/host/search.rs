//! Finds the programs that run outside of every sandbox. It must never take one that the author of
//! a repository, or an agent that worked there, could have put on `PATH`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The program along `PATH`, canonical; entries that are relative, or inside the repository around
/// `cwd`, are left out, and so is a link that leads there.
pub(crate) fn outside_of_project(name: &str, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
    let cwd = fs::canonicalize(cwd).ok()?;
    let repository = cwd.ancestors().find(|dir| dir.join(".git").symlink_metadata().is_ok());
    let root = repository.filter(|dir| dir.parent().is_some());
    let trusted = std::env::split_paths(path).filter(|entry| {
        let real = fs::canonicalize(entry).unwrap_or_default();
        entry.is_absolute() && root.is_none_or(|root| !real.starts_with(root))
    });
    let trusted = std::env::join_paths(trusted).ok()?;
    let found = which::which_in(name, Some(trusted), &cwd).ok()?;
    let real = fs::canonicalize(&found).ok()?;
    root.is_none_or(|root| !real.starts_with(root)).then_some(real)
}
