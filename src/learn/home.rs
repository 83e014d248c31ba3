//! What a run left in its private home: looked at before and after, when nothing inside runs. No link
//! is followed, and no content read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How many entries are looked at. An agent that writes more has filled a cache.
const MOST: usize = 100_000;
/// How deep.
const DEEPEST: usize = 12;

/// A private home as it is at one moment: its files, relative to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    files: BTreeMap<PathBuf, Stamp>,
    /// There is more than was looked at.
    pub(crate) cut: bool,
}

/// What changes when a file is written or replaced; nobody can set the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
}

impl Look {
    /// Looks at the directory; one that is not there is empty.
    ///
    /// # Errors
    /// When a directory in it cannot be read.
    pub(crate) fn at(root: &Path) -> io::Result<Self> {
        let mut look = Self::default();
        let mut left = vec![(root.to_owned(), 0)];
        while let Some((directory, depth)) = left.pop() {
            let entries = match fs::read_dir(&directory) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                // The agent closed it to itself, and to us.
                Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                    look.cut = true;
                    continue;
                }
                other => other?,
            };
            for entry in entries {
                let entry = entry?;
                let facts = entry.metadata()?;
                if look.files.len() + left.len() >= MOST || depth >= DEEPEST {
                    look.cut = true;
                    break;
                }
                if facts.is_dir() {
                    left.push((entry.path(), depth + 1));
                    continue;
                }
                let path = entry.path();
                let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
                let changed = (facts.ctime(), facts.ctime_nsec());
                look.files.insert(relative, Stamp { inode: facts.ino(), changed });
            }
        }
        Ok(look)
    }

    /// The files that are new or another, but for those that claudebox itself makes.
    pub(crate) fn since(&self, before: &Self, own: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let is_new = |(path, stamp): &(&PathBuf, &Stamp)| before.files.get(*path) != Some(*stamp);
        let files = self.files.iter().filter(is_new).map(|(path, _)| path);
        files.filter(|path| !own.contains(*path)).cloned().collect()
    }
}

/// The directories of the home that files are in, as a profile would name them, and with how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Directories of programs (`.aider`, `.config/aider`), which a profile can share with the host.
    pub(crate) directories: BTreeMap<PathBuf, usize>,
    /// Files that lie in the home itself, or beside such directories.
    pub(crate) files: BTreeSet<PathBuf>,
    /// What can be made again.
    pub(crate) caches: BTreeSet<PathBuf>,
    /// What shells and others execute by themselves, and what is removed at each start.
    pub(crate) startup: BTreeSet<PathBuf>,
}

impl Written {
    /// Sorts files, relative to the home; `startup` are the names that are fresh in each session.
    pub(crate) fn of(files: &[PathBuf], startup: &[&str]) -> Self {
        let mut written = Self::default();
        for file in files {
            let parts: Vec<_> = file.components().collect();
            let shared = match parts.first().and_then(|first| first.as_os_str().to_str()) {
                Some(".config" | ".cache") => 2,
                Some(".local") => 3,
                _ => 1,
            };
            let directory: PathBuf = parts.iter().take(shared).collect();
            if let Some(name) = startup.iter().find(|name| file.starts_with(name)) {
                written.startup.insert((*name).into());
            } else if file.starts_with(".cache") {
                written.caches.insert(directory);
            } else if parts.len() > shared {
                *written.directories.entry(directory).or_default() += 1;
            } else {
                written.files.insert(file.clone());
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_or_changed_is_seen_and_no_link_followed() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at(".a/b")).unwrap();
        fs::write(at(".a/b/old"), "x").unwrap();
        fs::write(at(".a/same"), "x").unwrap();
        fs::write(at(".a/replaced"), "x").unwrap();
        let before = Look::at(home.path()).unwrap();
        fs::write(at(".a/b/new"), "x").unwrap();
        fs::write(at(".zshrc"), "own").unwrap();
        fs::write(at("other"), "x").unwrap();
        fs::rename(at("other"), at(".a/replaced")).unwrap();
        std::os::unix::fs::symlink("/etc", at("link")).unwrap();
        let after = Look::at(home.path()).unwrap();
        let own = [PathBuf::from(".zshrc")].into();
        let names = [".a/b/new", ".a/replaced", "link"].map(PathBuf::from);
        assert_eq!(after.since(&before, &own), names);
        assert!(!after.cut);
        assert!(after.since(&after, &own).is_empty());
        assert!(Look::at(&at("nothing")).unwrap().files.is_empty());
    }

    #[test]
    fn files_stand_for_the_directory_of_their_program() {
        let files = [
            ".aider/a",
            ".aider/b/c",
            ".aider.json",
            ".config/aider/x",
            ".config/one",
            ".cache/pip/x/y",
            ".local/share/aider/x",
            ".local/state/y",
            ".bashrc",
            ".config/git/config",
        ];
        let files = files.map(PathBuf::from);
        let written = Written::of(&files, &[".bashrc", ".config/git"]);
        let names = |paths: &BTreeSet<PathBuf>| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        let directories = [(".aider", 2), (".config/aider", 1), (".local/share/aider", 1)];
        assert_eq!(
            written.directories,
            directories.map(|(name, count)| (PathBuf::from(name), count)).into()
        );
        assert_eq!(names(&written.files), ".aider.json .config/one .local/state/y");
        assert_eq!(names(&written.caches), ".cache/pip");
        assert_eq!(names(&written.startup), ".bashrc .config/git");
    }
}
