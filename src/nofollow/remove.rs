//! Removes a tree that an agent made, however deep it is and whatever its permissions.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, renameat, unlinkat};
use rustix::io::Errno;

use super::{entries, kind, open_directory};

/// Removes whatever stands there, with everything below it.
pub(crate) fn remove(at: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    if unlink(at, name)? {
        return Ok(());
    }
    empty(&open_directory(at, name)?)?;
    unlinkat(at, name, AtFlags::REMOVEDIR)
}

/// Empties a directory. A directory in it is not entered but first loses its own directories to
/// `top`, so that a tree a million levels deep costs neither stack nor descriptors.
fn empty(top: &OwnedFd) -> Result<(), Errno> {
    let mut moved = 0_u64;
    loop {
        let names = entries(top)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if unlink(top, &name)? {
                continue;
            }
            let directory = match open_directory(top, &name) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                other => other?,
            };
            for below in entries(&directory)? {
                if !unlink(&directory, &below)? {
                    moved += 1;
                    raise(&directory, &below, top, moved)?;
                }
            }
            match unlinkat(top, &name, AtFlags::REMOVEDIR) {
                // Somebody writes to it still: the next round takes that too.
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Moves a directory up to `top` under a name that is free there.
fn raise(from: &OwnedFd, name: &CStr, top: &OwnedFd, number: u64) -> Result<(), Errno> {
    // A directory can only be moved by who may write to it: it has to change its `..`.
    drop(open_directory(from, name)?);
    let free = CString::new(format!(".removed-{}-{number}", std::process::id()))
        .map_err(|_| Errno::INVAL)?;
    match renameat(from, name, top, &free) {
        // Somebody has put a file or a directory of that name there: it goes first.
        Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
        other => other,
    }
}

/// Removes what is not a directory; answers whether it is gone.
fn unlink(at: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    match unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR | Errno::PERM) if kind(at, name)? == Some(FileType::Directory) => {
            Ok(false)
        }
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use rustix::fs::{Mode, OFlags, fchmod, mkdirat, openat};

    use super::*;
    use crate::nofollow::DIRECTORY;

    #[test]
    fn a_tree_without_permissions_and_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top: OwnedFd = File::open(dir.path()).unwrap().into();
        let mut at = top.try_clone().unwrap();
        for level in 0..3_000 {
            mkdirat(&at, c"d", Mode::RWXU).unwrap();
            openat(&at, c"f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
            let next: OwnedFd = openat(&at, c"d", DIRECTORY, Mode::empty()).unwrap();
            match level % 7 {
                3 => fchmod(&at, Mode::empty()).unwrap(),
                5 => fchmod(&at, Mode::RUSR | Mode::XUSR).unwrap(),
                _ => {}
            }
            at = next;
        }
        remove(&top, c"d").unwrap();
        assert!(!dir.path().join("d").exists());
        remove(&top, c"d").unwrap();
    }

    #[test]
    fn names_that_are_used_for_removing_may_be_taken() {
        let dir = tempfile::tempdir().unwrap();
        let top: OwnedFd = File::open(dir.path()).unwrap().into();
        for number in 1..4 {
            let taken = format!("d/.removed-{}-{number}", std::process::id());
            fs::create_dir_all(dir.path().join(format!("d/a{number}/b/c"))).unwrap();
            if number == 2 {
                fs::create_dir_all(dir.path().join(taken).join("x")).unwrap();
            } else {
                fs::write(dir.path().join(taken), "").unwrap();
            }
        }
        remove(&top, c"d").unwrap();
        assert!(!dir.path().join("d").exists());
    }
}
