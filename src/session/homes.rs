//! The private homes in claudebox's state directory, which outlive their sessions: whose each is, as it is
//! noted beside it, and the removal of one that nobody comes back to. An agent wrote everything in a home.
//! It must never remove one whose project is there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

pub use super::remove::BEGUN;
use super::remove::tree;
use crate::error::{Result, Tried as _};
use crate::visible::visible_path;

/// The directory of all, below claudebox's state directory.
pub const HOMES: &str = "homes";
/// What the notes beside a home are called, behind its name: the path of its project, and when the directory
/// that is there was made. A second home belonged to the directory that stood there before.
pub const PROJECT: &str = ".project";
/// See [`PROJECT`].
pub const BORN: &str = ".born";
/// See [`PROJECT`].
pub const OLD: &str = ".old";

/// The home of a project, or several for as many profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its directory.
    pub path: PathBuf,
    /// The project that it was made for.
    pub project: PathBuf,
}

/// All of which it is known whose they are, by the project.
pub fn all(state: &Path) -> Vec<Home> {
    let entries = fs::read_dir(state.join(HOMES)).into_iter().flatten().flatten();
    let notes = entries.map(|entry| entry.path());
    let mut homes: Vec<Home> = notes.filter_map(|note| of_note(&note)).collect();
    homes.sort_by(|a, b| (&a.project, &a.path).cmp(&(&b.project, &b.path)));
    homes
}

fn of_note(note: &Path) -> Option<Home> {
    let name = note.file_name()?.as_bytes().strip_suffix(PROJECT.as_bytes())?;
    let project = fs::read(note).ok()?;
    let project = PathBuf::from(OsStr::from_bytes(&project));
    let home = Home { path: note.with_file_name(OsStr::from_bytes(name)), project };
    home.project.is_absolute().then_some(home)
}

/// Removes what a killed removal left.
pub fn remove_begun(state: &Path) {
    super::remove::remove_begun(&state.join(HOMES));
}

impl Home {
    /// Whether its project is nowhere any more.
    pub fn is_left(&self) -> bool {
        let found = fs::symlink_metadata(&self.project);
        found.is_err_and(|err| {
            matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        })
    }

    /// Removes it, with what stands beside it; no session may live in its project.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        let shown = || format!("remove {}", visible_path(&self.path));
        for ending in ["", OLD] {
            let path = self.beside(ending);
            let begun = path.with_file_name(with(OsStr::new(BEGUN), &path));
            match fs::rename(&path, &begun) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                other => other.tried(shown)?,
            }
            tree(&begun).tried(shown)?;
        }
        // The note of whose it was goes last: by it the rest is found.
        for ending in [BORN, PROJECT] {
            match fs::remove_file(self.beside(ending)) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err).tried(shown)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        path.into()
    }
}

fn with(before: &OsStr, path: &Path) -> OsString {
    [before, path.file_name().unwrap_or_default()].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_is_left_goes_with_all_of_it_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let homes = state.path().join(HOMES);
        let there = state.path().join("there");
        let outside = state.path().join("outside");
        for directory in ["a/b", "a.old", "c"] {
            fs::create_dir_all(homes.join(directory)).unwrap();
        }
        fs::create_dir(&there).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("x"), "").unwrap();
        symlink(&outside, homes.join("a/b/link")).unwrap();
        fs::set_permissions(homes.join("a/b"), Permissions::from_mode(0o000)).unwrap();
        fs::write(homes.join("a.born"), "1").unwrap();
        fs::write(homes.join("a.project"), "/no such project\n").unwrap();
        fs::write(homes.join("c.project"), there.as_os_str().as_bytes()).unwrap();
        // Nobody says whose this is.
        fs::create_dir(homes.join("e")).unwrap();

        let all = all(state.path());
        let left: Vec<&Home> = all.iter().filter(|home| home.is_left()).collect();
        assert_eq!((all.len(), left.len()), (2, 1));
        assert_eq!(left[0].project, Path::new("/no such project\n"));
        left[0].remove().unwrap();
        let names = fs::read_dir(&homes).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<OsString> = names.collect();
        names.sort();
        assert_eq!(names, ["c", "c.project", "e"]);
        assert!(outside.join("x").exists());
    }
}
