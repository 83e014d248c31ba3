//! Paths by their names alone. What a link would make of them is not asked, so a path that a stranger may
//! have put a link into must never be opened for what this says of it.
#![forbid(unsafe_code)]

use std::path::{Component, Path, PathBuf};

/// The path without `.`, and with `..` taken back (by name: for a path that was canonical, or that
/// is compared only).
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}
