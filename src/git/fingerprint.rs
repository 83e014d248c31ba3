//! Whether the state of a git directory may have changed, told by lstat(2) alone: no file of it is
//! opened, and no link followed. git replaces what it changes by another file, and the time of the last
//! change (`st_ctime`) cannot be set.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};

use crate::nofollow::{self, DIRECTORY, entries};

/// Where branches are: packed, loose and in a reftable.
pub const BRANCHES: &[&str] = &["packed-refs", "refs/heads", "reftable"];

/// Where everything is that a private directory is made from, and that comes back from it.
pub const STATE: &[&str] =
    &["HEAD", "index", "packed-refs", "refs", "reftable", "shallow", "logs/refs/stash"];

/// The most files that are looked at in a directory of an agent's. Beyond that everything counts as
/// changed.
pub const MOST: usize = 50_000;

/// How deep it is looked.
const DEPTH: usize = 64;

/// The longest that the kernel's clock for the times of files stands still. Two changes within it may
/// show one time.
const TICK: Duration = Duration::from_millis(10);

/// How some files of a directory look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    hash: u64,
    /// When the latest of them was changed, since 1970.
    newest: Duration,
}

/// What these places look like now; `None` where that cannot be said, which counts as changed. What
/// git is about to write (`*.lock`), and refs of claudebox's own, do not count.
pub fn of(directory: &Path, places: &[&str], most: usize) -> Option<Fingerprint> {
    let root = openat(CWD, directory, OFlags::PATH | DIRECTORY, Mode::empty()).ok()?;
    let mut look = Look { hasher: DefaultHasher::new(), newest: Duration::ZERO, left: most };
    for place in places {
        place.hash(&mut look.hasher);
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
        let Ok(parent) = nofollow::beneath(&root, Path::new(parent), OFlags::PATH) else {
            continue;
        };
        look.at(&parent, &CString::new(name).ok()?, Path::new(place), DEPTH)?;
    }
    Some(Fingerprint { hash: look.hasher.finish(), newest: look.newest })
}

impl Fingerprint {
    /// Whether something was changed just now: what changes in the next moment could look the same.
    pub fn is_fresh(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(self.newest) <= TICK
    }

    /// Waits until nothing can hide behind its clock any more.
    pub fn settle() {
        std::thread::sleep(TICK + TICK / 10);
    }
}

struct Look {
    hasher: DefaultHasher,
    newest: Duration,
    left: usize,
}

impl Look {
    fn at(&mut self, parent: &OwnedFd, name: &CStr, path: &Path, depth: usize) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        let Ok(stat) = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return Some(()) };
        let kind = FileType::from_raw_mode(stat.st_mode);
        (stat.st_ino, stat.st_mode).hash(&mut self.hasher);
        if kind != FileType::Directory {
            (stat.st_size, stat.st_ctime, stat.st_ctime_nsec).hash(&mut self.hasher);
            let seconds = Duration::from_secs(u64::try_from(stat.st_ctime).unwrap_or_default());
            self.newest = self.newest.max(seconds + Duration::from_nanos(stat.st_ctime_nsec));
            return Some(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let name: &OsStr = OsStr::from_bytes(name.to_bytes());
        let directory = nofollow::beneath(parent, Path::new(name), flags).ok()?;
        let depth = depth.checked_sub(1)?;
        let mut names = entries(&directory).ok()?;
        names.sort();
        for name in names {
            let bytes = name.to_bytes();
            let path = path.join(OsStr::from_bytes(bytes));
            if bytes.ends_with(b".lock") || path == Path::new("refs/claudebox") {
                continue;
            }
            name.hash(&mut self.hasher);
            self.at(&directory, &name, &path, depth)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn look(directory: &Path, places: &[&str]) -> u64 {
        of(directory, places, MOST).unwrap().hash
    }

    #[test]
    fn a_change_is_seen_and_no_link_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (git, other) = (dir.path().join("g"), dir.path().join("o"));
        fs::create_dir_all(git.join("refs/heads/a")).unwrap();
        fs::create_dir(&other).unwrap();
        let mut last = look(&git, BRANCHES);
        assert_eq!(look(&git, BRANCHES), last);
        let mut changes = |what: &dyn Fn()| {
            what();
            let now = look(&git, BRANCHES);
            std::mem::replace(&mut last, now) != now
        };
        assert!(changes(&|| fs::write(git.join("refs/heads/a/b"), "1").unwrap()));
        assert!(changes(&|| fs::write(git.join("packed-refs"), "1").unwrap()));
        assert!(!changes(&|| fs::write(git.join("index"), "1").unwrap()));
        assert!(!changes(&|| fs::write(git.join("refs/heads/a/b.lock"), "1").unwrap()));
        assert!(changes(&|| symlink(&other, git.join("refs/heads/l")).unwrap()));
        assert!(!changes(&|| fs::write(other.join("x"), "1").unwrap()));
        assert!(changes(&|| {
            fs::remove_dir_all(git.join("refs")).unwrap();
            symlink(&other, git.join("refs")).unwrap();
        }));
        assert_eq!(of(&dir.path().join("none"), BRANCHES, MOST), None);
    }

    /// As git does it: beside, and renamed, which may be of the same size.
    #[test]
    fn every_part_of_the_state_counts_and_refs_of_our_own_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path();
        for directory in ["refs/heads", "refs/claudebox/x", "reftable", "logs/refs"] {
            fs::create_dir_all(git.join(directory)).unwrap();
        }
        let replace = |path: &str| {
            fs::write(git.join("new"), "same").unwrap();
            fs::rename(git.join("new"), git.join(path)).unwrap();
        };
        let all = [STATE, &["refs/heads/main", "refs/tags", "reftable/0x1-0x2.ref"]].concat();
        for path in all.into_iter().filter(|path| !git.join(path).is_dir()) {
            replace(path);
            let before = look(git, STATE);
            replace(path);
            assert_ne!(look(git, STATE), before, "{path}");
        }
        let before = look(git, STATE);
        replace("refs/claudebox/x/y");
        fs::create_dir(git.join("refs/claudebox/z")).unwrap();
        assert_eq!(look(git, STATE), before);
        fs::remove_dir_all(git.join("refs/claudebox")).unwrap();
        assert_eq!(look(git, STATE), before);
    }

    #[test]
    fn what_was_changed_just_now_is_fresh() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("HEAD"), "x").unwrap();
        assert!(of(dir.path(), STATE, MOST).unwrap().is_fresh());
        Fingerprint::settle();
        assert!(!of(dir.path(), STATE, MOST).unwrap().is_fresh());
    }

    #[test]
    fn more_than_can_be_looked_at_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("refs").join("d/".repeat(DEPTH + 1));
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(of(dir.path(), STATE, MOST), None);
        fs::remove_dir_all(dir.path().join("refs")).unwrap();
        fs::create_dir(dir.path().join("refs")).unwrap();
        for name in 0..10 {
            fs::write(dir.path().join("refs").join(name.to_string()), "").unwrap();
        }
        assert_eq!(of(dir.path(), STATE, 10), None);
        assert!(of(dir.path(), STATE, 20).is_some());
    }
}
