//! Locks that tell whether a session lives. Each is a flock(2) on an open file that the supervisor
//! keeps: the kernel lets go of it when the supervisor is gone, whatever killed it, so nothing is
//! ever guessed from a process id. It must never be unlocked by hand: a copy of the descriptor
//! that was handed over would be unlocked with it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// Takes a lock that nobody else is meant to hold; waits out a reader's short look at it.
pub fn take(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
    Ok(file)
}

/// Takes a lock if nobody holds it.
pub fn try_take(path: &Path) -> io::Result<Option<File>> {
    let file = open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(err) => Err(err.into()),
    }
}

/// Takes a lock that several may hold together.
pub fn share(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockShared))?;
    Ok(file)
}

/// Whether anybody holds such a lock.
pub fn is_shared(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
}

/// Whether somebody holds a lock. A lock that is not there is held by nobody.
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

/// Replaces what a lock's file says about its holder.
pub fn note(mut lock: &File, text: &str) -> io::Result<()> {
    lock.rewind()?;
    lock.write_all(text.as_bytes())?;
    // To make a file shorter takes the kernel longer than all the rest.
    let len = text.len() as u64;
    if lock.metadata()?.len() > len { lock.set_len(len) } else { Ok(()) }
}

/// What a lock's file says about its holder (a few words at most).
pub fn noted(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(64).read_to_string(&mut text);
    }
    text.trim().to_owned()
}

/// `O_CLOEXEC` is std's default: what claudebox starts must not keep the lock alive.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_descriptor_keeps_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = take(&path).unwrap();
        let copy = first.try_clone().unwrap();
        drop(first);
        assert!(is_held(&path));
        assert!(try_take(&path).unwrap().is_none());
        drop(copy);
        assert!(!is_held(&path));
        assert!(try_take(&path).unwrap().is_some());
    }

    #[test]
    fn a_shared_lock_is_held_until_the_last_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("viewed");
        assert!(!is_shared(&path));
        let (first, second) = (share(&path).unwrap(), share(&path).unwrap());
        drop(first);
        assert!(is_shared(&path));
        drop(second);
        assert!(!is_shared(&path));
    }

    #[test]
    fn a_note_replaces_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = take(&path).unwrap();
        note(&lock, "a long first note").unwrap();
        note(&lock, "second").unwrap();
        assert_eq!(noted(&path), "second");
    }
}
