//! Which of the set-aside files a person means. It must never look at the disk.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::path::is_at_or_below;
use crate::lexical::clean;
use crate::log::quote;
use crate::visible::visible;

/// Paths as they were typed.
#[derive(Debug)]
pub struct Wanted {
    /// Each in the ways it can be meant; empty: everything is wanted.
    paths: Vec<Vec<Vec<u8>>>,
}

impl Wanted {
    /// Each is meant as it was listed: relative to the project. One that begins with `/`, `./` or `../`
    /// is meant from the root, or from `here`.
    pub fn new(typed: &[OsString], project: &Path, here: &Path) -> Self {
        // Cleaned as written: nothing of it needs to exist any more.
        let below = |path: &Path| {
            let path = clean(path);
            path.strip_prefix(project).ok().map(|rest| rest.as_os_str().as_bytes().to_vec())
        };
        let ways = |typed: &OsString| {
            let path = Path::new(typed);
            let from_here =
                ["/", "./", "../"].map(|way| typed.as_bytes().starts_with(way.as_bytes()));
            let from = if from_here.contains(&true) { here } else { project };
            // A name that does not print is typed as it was printed, if no shell takes the quotes off.
            below(&from.join(path)).into_iter().chain([typed.as_bytes().to_vec()]).collect()
        };
        Self { paths: typed.iter().map(ways).collect() }
    }

    /// Whether a path relative to the project is meant.
    pub fn means(&self, path: &[u8]) -> bool {
        let (shown, quoted) = (visible(path), quote::word(path));
        let meant = |way: &Vec<u8>| {
            let printed = [shown.as_bytes(), quoted.as_bytes()];
            !way.is_empty() && (is_at_or_below(path, way) || printed.contains(&way.as_slice()))
        };
        self.paths.is_empty() || self.paths.iter().flatten().any(meant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(typed: &[&str], here: &str, path: &[u8]) -> bool {
        let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
        Wanted::new(&typed, Path::new("/p"), Path::new(here)).means(path)
    }

    #[test]
    fn a_path_is_meant_from_here_or_from_the_project() {
        assert!(means(&[], "/x", b".envrc"));
        assert!(means(&[".envrc"], "/p", b".envrc"));
        assert!(means(&["./.envrc"], "/p/a", b"a/.envrc"));
        assert!(means(&["a/.envrc"], "/elsewhere", b"a/.envrc"));
        assert!(means(&["a/"], "/p/x", b"a/.envrc"), "everything below");
        assert!(means(&["/p/a/.envrc"], "/", b"a/.envrc"));
        assert!(means(&["../.envrc"], "/p/a", b".envrc"));
        assert!(means(&["x", ".envrc"], "/p", b".envrc"));
        assert!(means(&["odd\\x1b/.envrc"], "/p", b"odd\x1b/.envrc"), "as it was printed");
        assert!(!means(&[".envrc"], "/p", b"b/.envrc"));
        assert!(!means(&["a/.env"], "/p", b"a/.envrc"));
        assert!(!means(&["./.envrc"], "/p/a", b".envrc"));
        assert!(!means(&[".envrc"], "/p/a", b"a/.envrc"));
        assert!(!means(&["/etc"], "/p", b".envrc"));
    }
}
