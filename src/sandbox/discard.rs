//! What an earlier session's agent left where the next begins anew. It may be a million files, or a tree
//! of 30,000 levels, and the start waited for its removal: so it is moved to the private homes, where
//! nothing inside reaches, and removed while the agent runs, or where that is killed, by the next
//! session. No link is followed. It must never remove anything that was not moved there.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::thread;

use rustix::fs::{FileType, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::nofollow::{entries, kind, open_directory, remove};
use crate::session::homes::BEGUN;

/// How many names are tried that earlier sessions may have left.
const PATIENCE: u32 = 1000;

/// Where what is discarded goes.
#[derive(Debug, Default)]
pub(super) struct Discard {
    homes: Option<OwnedFd>,
    number: Cell<u32>,
}

impl Discard {
    /// From now on it goes there. Without that it is removed at once.
    pub(super) fn send_to(&mut self, homes: OwnedFd) {
        self.homes = Some(homes);
    }

    /// Takes away whatever stands there.
    pub(super) fn take(&self, at: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        let homes = self.homes.as_ref();
        match homes.filter(|_| kind(at, name).ok().flatten() == Some(FileType::Directory)) {
            Some(homes) if self.bring(at, name, homes).is_ok() => Ok(()),
            _ => remove(at, name),
        }
    }

    fn bring(&self, at: &OwnedFd, name: &CStr, homes: &OwnedFd) -> Result<(), Errno> {
        // A directory can only be moved by who may write to it: it has to change its `..`.
        drop(open_directory(at, name)?);
        let process = std::process::id();
        for _ in 0..PATIENCE {
            let number = self.number.replace(self.number.get() + 1);
            let free = CString::new(format!("{BEGUN}{process}-{number}"));
            let free = free.map_err(|_| Errno::INVAL)?;
            match renameat_with(at, name, homes, &free, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                other => return other,
            }
        }
        Err(Errno::EXIST)
    }

    /// What is to be removed.
    pub(super) fn done(self) -> Discarded {
        Discarded(self.homes)
    }
}

/// What was discarded, by this session or by one that was killed.
#[derive(Debug, Default)]
pub struct Discarded(Option<OwnedFd>);

impl Discarded {
    /// Removes it, while others go on. What is left at the end of this process, the next one removes.
    pub fn remove_beside(self) {
        let Some(homes) = self.0 else { return };
        let work = move || remove_begun(&homes);
        let _ = thread::Builder::new().name("removal".to_owned()).spawn(work);
    }
}

fn remove_begun(homes: &OwnedFd) {
    let names = entries(homes).unwrap_or_default();
    for name in names.iter().filter(|name| name.to_bytes().starts_with(BEGUN.as_bytes())) {
        // Another session's may remove it, too.
        let _ = remove(homes, name);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        fs::File::open(path).unwrap().into()
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_directory_is_moved_whole_and_removed_later() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("h");
        fs::create_dir_all(home.join("closed/a/b")).unwrap();
        fs::write(home.join("closed/a/f"), "").unwrap();
        fs::write(home.join("file"), "").unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("x"), "").unwrap();
        symlink(outside.path(), home.join("link")).unwrap();
        symlink(outside.path(), home.join("closed/a/link")).unwrap();
        fs::set_permissions(home.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        // A session that was killed left this.
        fs::create_dir(dir.path().join(format!("{BEGUN}{}-0", std::process::id()))).unwrap();

        let mut discard = Discard::default();
        discard.send_to(open(dir.path()));
        for name in [c"closed", c"file", c"link", c"none"] {
            discard.take(&open(&home), name).unwrap();
        }
        assert!(names(&home).is_empty());
        assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
        remove_begun(&discard.done().0.unwrap());
        assert_eq!(names(dir.path()), ["h"]);
        assert!(outside.path().join("x").exists());
    }

    #[test]
    fn without_a_place_it_is_removed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        Discard::default().take(&open(dir.path()), c"a").unwrap();
        assert!(names(dir.path()).is_empty());
    }
}
