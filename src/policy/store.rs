//! Paths in a Nix store, by their names alone.
#![forbid(unsafe_code)]

use std::path::{Component, Path, PathBuf};

use crate::lexical::is_below;

/// The store, all that a program of Nix needs to run.
pub(super) const STORE: &str = "/nix/store";

/// `/nix/store/NAME` of a path in it.
pub(super) fn store_path(path: &Path) -> Option<PathBuf> {
    // Most paths are none, and each of some hundred is asked.
    if !is_below(path, Path::new(STORE)) {
        return None;
    }
    let mut parts = path.strip_prefix(STORE).ok()?.components();
    match parts.next()? {
        Component::Normal(name) => Some(Path::new(STORE).join(name)),
        _ => None,
    }
}
