//! Whether the branches of a private git directory may have changed, told by lstat(2) alone: no file of
//! the agent's is opened, and no link followed. The time of the last change (`st_ctime`) cannot be set.
#![forbid(unsafe_code)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

use crate::nofollow::{self, DIRECTORY};

/// Where refs are, packed, loose and in a reftable.
const PLACES: [&str; 3] = ["packed-refs", "refs/heads", "reftable"];

/// The most files that are looked at. Beyond that everything counts as changed.
const MOST: usize = 50_000;

/// What it looks like now; `None` where that cannot be said, which counts as changed.
pub fn of(private: &Path) -> Option<u64> {
    let root = openat(CWD, private, OFlags::PATH | DIRECTORY, Mode::empty()).ok()?;
    let mut look = Look { hasher: DefaultHasher::new(), seen: 0 };
    for place in PLACES {
        place.hash(&mut look.hasher);
        look.at(&root, Path::new(place))?;
    }
    Some(look.hasher.finish())
}

struct Look {
    hasher: DefaultHasher,
    seen: usize,
}

impl Look {
    fn at(&mut self, root: &OwnedFd, path: &Path) -> Option<()> {
        let parent = nofollow::beneath(root, path.parent()?, OFlags::PATH).ok();
        let (Some(parent), Some(name)) = (parent, path.file_name()) else { return Some(()) };
        let Ok(stat) = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return Some(()) };
        (stat.st_ino, stat.st_size, stat.st_ctime, stat.st_ctime_nsec).hash(&mut self.hasher);
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Some(());
        }
        let directory = nofollow::beneath(&parent, Path::new(name), OFlags::RDONLY).ok()?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory).ok()? {
            let name = entry.ok()?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
            self.seen += 1;
            if self.seen > MOST {
                return None;
            }
        }
        names.sort();
        for name in names {
            name.hash(&mut self.hasher);
            let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes());
            self.at(root, &path.join(name))?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_change_is_seen_and_no_link_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (git, other) = (dir.path().join("g"), dir.path().join("o"));
        fs::create_dir_all(git.join("refs/heads/a")).unwrap();
        fs::create_dir(&other).unwrap();
        let mut last = of(&git).unwrap();
        assert_eq!(of(&git), Some(last));
        let mut changes = |what: &dyn Fn()| {
            what();
            let now = of(&git).unwrap();
            std::mem::replace(&mut last, now) != now
        };
        assert!(changes(&|| fs::write(git.join("refs/heads/a/b"), "1").unwrap()));
        assert!(changes(&|| fs::write(git.join("packed-refs"), "1").unwrap()));
        assert!(!changes(&|| fs::write(git.join("index"), "1").unwrap()));
        assert!(changes(&|| symlink(&other, git.join("refs/heads/l")).unwrap()));
        assert!(!changes(&|| fs::write(other.join("x"), "1").unwrap()));
        assert!(changes(&|| {
            fs::remove_dir_all(git.join("refs")).unwrap();
            symlink(&other, git.join("refs")).unwrap();
        }));
        assert_eq!(of(&dir.path().join("none")), None);
    }
}
