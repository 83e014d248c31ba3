//! What a private git directory is made of: which names of the host's are copied into it, where it
//! lies in a session's directory, and where the host's objects are mounted inside.
#![forbid(unsafe_code)]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The private git directory, relative to the session's directory.
pub const PRIVATE: &str = "git/private";

/// Where object directories of the host are mounted inside, each by its number.
const STORES: &str = "/run/claudebox-git";

/// Names that are not copied. Objects are borrowed, the configuration is written anew, submodules are
/// made one by one; linked worktrees are elsewhere; the rest are secrets of other programs, addresses
/// with what opens them, and what leads git away (`commondir`, `gitdir`).
const LEFT: [&str; 14] = [
    "objects",
    "borrowed",
    "config",
    "config.worktree",
    "worktrees",
    "modules",
    "lfs",
    "branches",
    "remotes",
    "commondir",
    "gitdir",
    "git-crypt",
    "annex",
    "svn",
];

/// Where the private git directory of a linked worktree is mounted inside: its `.git` is a file.
pub const BESIDE: &str = "/run/claudebox-git/private";

/// What a linked worktree shares with its main one and what has to be copied for it,
/// gitrepository-layout(5).
const SHARED: [&str; 8] =
    ["hooks", "info", "logs", "packed-refs", "refs", "reftable", "rr-cache", "shallow"];

/// What of these is nevertheless each worktree's own.
const EACH: [&str; 8] = [
    "info/sparse-checkout",
    "logs/HEAD",
    "logs/refs/bisect",
    "logs/refs/rewritten",
    "logs/refs/worktree",
    "refs/bisect",
    "refs/rewritten",
    "refs/worktree",
];

/// Whether a linked worktree has what stands at this path from the main repository.
pub fn is_shared(path: &Path) -> bool {
    let first = path.components().next();
    let shared = first.is_some_and(|first| SHARED.iter().any(|name| first.as_os_str() == *name));
    shared && !EACH.iter().any(|own| path == Path::new(own)) && is_copied(path)
}

/// Whether a linked worktree has it for itself. With a reftable it has a table of its own, which is none
/// of those that it shares, and a file in the place of `refs/heads`.
pub fn is_own(path: &Path) -> bool {
    let tables = [Path::new("reftable"), Path::new("refs/heads")];
    !tables.contains(&path) && is_copied(path)
}

/// Where the object directory with this number is mounted inside.
pub fn store(number: usize) -> PathBuf {
    // git-lfs looks for a store of its own beside a directory of objects that git borrows from.
    PathBuf::from(format!("{STORES}/{number}/objects"))
}

/// A directory of links in a private git directory, each to where a store is mounted.
pub const BORROWED: &CStr = c"borrowed";

/// What `info/alternates` names instead of a store, for the git directory that is at this path inside: the
/// way through a link in itself. go-git follows none that leads out of the git directory by its name, and
/// answers with an error.
pub fn alternate(git_dir: &Path, number: usize) -> PathBuf {
    git_dir.join(OsStr::from_bytes(BORROWED.to_bytes())).join(format!("{number}/objects"))
}

/// Where git-lfs looks for the store beside it.
pub fn lfs_beside(number: usize) -> PathBuf {
    PathBuf::from(format!("{STORES}/{number}/lfs"))
}

/// Whether what stands at this path in a git directory is copied, if all above it is.
pub fn is_copied(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let name = path.file_name().unwrap_or_default().as_bytes();
    let top = !bytes.contains(&b'/');
    let left = top
        && (LEFT.iter().any(|left| left.as_bytes() == bytes)
            || bytes.starts_with(b"gc.")
            || bytes.starts_with(b"fsmonitor--daemon"));
    let ours = matches!(bytes, b"refs/claudebox" | b"logs/refs/claudebox");
    !left && !ours && !name.ends_with(b".lock")
}

/// The way from the git directory of a submodule (relative to the project's `.git`) to its work tree
/// (relative to the project).
pub fn way_to(work_tree: &Path, git_dir: &Path) -> PathBuf {
    // One more, for `.git` itself.
    let up: PathBuf = git_dir.components().map(|_| "..").chain([".."]).collect();
    up.join(work_tree)
}

/// The hook that adds the session to a commit's message, and then lets the repository's own run, which
/// stands beside it. A message that has the trailer already stays as it is.
pub fn trailer_hook(session: &str) -> String {
    format!(
        "#!/bin/sh\n# claudebox put this here (git-trailer = true).\nif [ -x \"$0.own\" ]; then\n\t\
         \"$0.own\" \"$@\" || exit\nfi\nexec git interpret-trailers --in-place \
         --if-exists doNothing --trailer 'Claudebox-Session: {session}' \"$1\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_copied_and_secrets_are_not() {
        for path in [
            "HEAD",
            "index",
            "packed-refs",
            "refs",
            "refs/heads/a",
            "reftable/tables.list",
            "logs",
            "logs/refs/stash",
            "info/sparse-checkout",
            "shallow",
            "rr-cache/x",
            "hooks/pre-commit",
            "sharedindex.0",
            "refs/heads/objects",
            "refs/heads/config",
            "ORIG_HEAD",
        ] {
            assert!(is_copied(Path::new(path)), "{path}");
        }
        for path in [
            "objects",
            "config",
            "config.worktree",
            "worktrees",
            "modules",
            "lfs",
            "commondir",
            "gitdir",
            "gc.pid",
            "gc.log",
            "packed-refs.lock",
            "refs/heads/a.lock",
            "git-crypt",
            "fsmonitor--daemon.ipc",
            "refs/claudebox",
            "logs/refs/claudebox",
        ] {
            assert!(!is_copied(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_linked_worktree_has_state_of_its_own() {
        for path in ["refs/heads/a", "packed-refs", "hooks/x", "logs/refs/heads/a", "info/exclude"]
        {
            assert!(is_shared(Path::new(path)), "{path}");
        }
        for path in
            ["HEAD", "index", "logs/HEAD", "refs/bisect", "MERGE_HEAD", "config", "ORIG_HEAD"]
        {
            assert!(!is_shared(Path::new(path)), "{path}");
        }
        for path in ["reftable", "refs/heads", "config"] {
            assert!(!is_own(Path::new(path)), "{path}");
        }
        assert!(is_own(Path::new("HEAD")) && is_own(Path::new("refs/bisect")));
    }

    #[test]
    fn a_submodule_finds_its_work_tree() {
        let way = |tree: &str, dir: &str| way_to(Path::new(tree), Path::new(dir));
        assert_eq!(way("a/sub", "modules/a/sub"), Path::new("../../../../a/sub"));
        assert_eq!(way("s", "modules/s"), Path::new("../../../s"));
    }
}
