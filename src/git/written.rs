//! What git writes in the user's repository when the agent's work comes back: refs, their logs, objects.
//! Git follows links there: one in `logs` would have it write at the end of a file of the user's, with
//! words that the author of the repository chose; one in `refs`, make files where they are executed. It
//! must never take a repository for sound that it could not look at whole.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::visible::visible_path;

/// What git replaces, and what it copies into a new worktree: from a link, what is at its end.
const FILES: [&str; 5] = ["HEAD", "index", "info/sparse-checkout", "packed-refs", "shallow"];

/// The directories that are looked at with all that is below, and one whose own entries are: new objects
/// are new files, made beside what is there.
const ALL: [&str; 4] = ["refs", "logs", "reftable", "objects/info"];
const OBJECTS: &str = "objects";

/// No repository has more, and a stranger's should not hold up the start.
const MOST: usize = 1_000_000;

/// What there is against writing in this git directory, and in that which it shares with others if it is
/// a linked worktree's: what is neither a file nor a directory. `None` if nothing is.
pub(super) fn stands_against(git_dir: &Path, common: Option<&Path>) -> Option<String> {
    let directories = [Some(git_dir), common].into_iter().flatten();
    directories.map(look).find_map(Result::err)
}

fn look(git_dir: &Path) -> Result<(), String> {
    for path in FILES.map(|name| git_dir.join(name)) {
        if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return Err(format!("{} is no regular file", visible_path(&path)));
        }
    }
    directories_in(&git_dir.join(OBJECTS), &mut 0)?;
    let mut open: Vec<PathBuf> = ALL.iter().map(|name| git_dir.join(name)).collect();
    let mut count = 0;
    while let Some(directory) = open.pop() {
        open.extend(directories_in(&directory, &mut count)?);
    }
    Ok(())
}

/// The directories in one; that there is none is no mistake.
fn directories_in(directory: &Path, count: &mut usize) -> Result<Vec<PathBuf>, String> {
    let unseen = |err: io::Error| format!("cannot look into {}: {err}", visible_path(directory));
    if directory.is_symlink() {
        return Err(format!("{} is a link, and git would follow it", visible_path(directory)));
    }
    let entries = match fs::read_dir(directory) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(unseen)?,
    };
    let mut directories = Vec::new();
    for entry in entries {
        *count += 1;
        if *count > MOST {
            return Err(format!("what is in {} goes on and on", visible_path(directory)));
        }
        let entry = entry.map_err(unseen)?;
        let kind = entry.file_type().map_err(unseen)?;
        if kind.is_dir() {
            directories.push(entry.path());
        } else if !kind.is_file() {
            let path = visible_path(&entry.path());
            return Err(format!(
                "{path} is neither a file nor a directory, and git would follow it"
            ));
        }
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A git directory in which one link was planted.
    fn planted(at: &str) -> Option<String> {
        let place = tempfile::tempdir().unwrap();
        for directory in ["refs/heads/a", "logs/refs/heads", "objects/info", "objects/pack", "info"]
        {
            fs::create_dir_all(place.path().join(directory)).unwrap();
        }
        for file in ["HEAD", "refs/heads/a/b", "logs/HEAD", "objects/pack/p.pack"] {
            fs::write(place.path().join(file), "").unwrap();
        }
        if !at.is_empty() {
            let at = place.path().join(at);
            // In the place of what is there.
            let _ = fs::rename(&at, place.path().join("was"));
            symlink("/tmp", at).unwrap();
        }
        stands_against(place.path(), Some(&place.path().join("none")))
    }

    #[test]
    fn a_link_where_git_writes_stands_against_it() {
        assert_eq!(planted(""), None);
        for at in [
            "refs/x",
            "refs/heads/a/x",
            "logs/x",
            "logs/refs/heads/x",
            "objects/ab",
            "objects/info/commit-graphs",
            "refs",
            "logs",
            "objects",
            "objects/info",
            "objects/pack",
            "reftable",
            "HEAD",
            "index",
            "info/sparse-checkout",
            "packed-refs",
        ] {
            assert!(planted(at).is_some_and(|why| why.contains(at)), "{at}");
        }
        // These are read, and never written again.
        assert_eq!(planted("objects/pack/q.pack"), None);
    }

    #[test]
    fn what_cannot_be_looked_at_stands_against_it() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("refs"), "").unwrap();
        assert!(stands_against(place.path(), None).is_some());
    }
}
