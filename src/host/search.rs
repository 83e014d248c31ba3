//! Finds the programs that run outside of every sandbox. It must never take one that the author of
//! a repository, or an agent that worked there, could have put on `PATH`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The program along `PATH`, canonical; entries that are relative, or inside the repository around
/// `cwd` or a project that was `named`, are left out, and so is a link that leads there.
pub(crate) fn outside_of_project(
    name: &str,
    path: &OsStr,
    cwd: &Path,
    named: Option<&Path>,
) -> Option<PathBuf> {
    let cwd = fs::canonicalize(cwd).ok()?;
    let repository = cwd.ancestors().find(|dir| dir.join(".git").symlink_metadata().is_ok());
    let named = named.and_then(|dir| fs::canonicalize(cwd.join(dir)).ok());
    let projects = [repository.filter(|dir| dir.parent().is_some()), named.as_deref()];
    let outside = |real: &Path| !projects.iter().flatten().any(|project| real.starts_with(project));
    let trusted = std::env::split_paths(path).filter(|entry| {
        entry.is_absolute() && outside(&fs::canonicalize(entry).unwrap_or_default())
    });
    let trusted = std::env::join_paths(trusted).ok()?;
    let found = which::which_in(name, Some(trusted), &cwd).ok()?;
    fs::canonicalize(&found).ok().filter(|real| outside(real))
}
