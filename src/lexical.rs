//! Paths by their names alone. What a link would make of them is not asked, so a path that a stranger may
//! have put a link into must never be opened for what this says of it.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStrExt as _;
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

/// Whether `path` is `root` or below it. Both must be absolute and clean: then bytes decide, and
/// [`Path::starts_with`], which splits both again, took a third of the time to settle a policy.
pub(crate) fn is_below(path: &Path, root: &Path) -> bool {
    let (path, root) = (path.as_os_str().as_bytes(), root.as_os_str().as_bytes());
    match path.strip_prefix(root) {
        Some(rest) => rest.is_empty() || rest[0] == b'/' || root == b"/",
        None => false,
    }
}

/// How many names an absolute, clean path has: what is above another has fewer.
pub(crate) fn depth(path: &Path) -> usize {
    let bytes = path.as_os_str().as_bytes();
    if bytes == b"/" { 0 } else { bytes.split(|byte| *byte == b'/').count() - 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths() -> impl Strategy<Value = PathBuf> {
        "(/[ab]{1,2}){0,4}".prop_map(|path| clean(Path::new(&format!("/{path}"))))
    }

    proptest! {
        #[test]
        fn below_means_what_path_says(path in paths(), root in paths()) {
            prop_assert_eq!(is_below(&path, &root), path.starts_with(&root));
        }

        #[test]
        fn depth_means_what_path_says(path in paths()) {
            prop_assert_eq!(depth(&path), path.components().count() - 1);
        }
    }
}
