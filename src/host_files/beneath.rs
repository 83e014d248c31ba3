//! Directories and files below a project, by descriptor: an agent wrote every name in it, and may have
//! put links and closed directories there. No component is ever followed out of the project, or
//! through a link; a directory that its owner may not enter is opened for as long as we look.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use super::path::{parent, ways};
use super::table::What;
use crate::nofollow::{self, change_mode};

/// The most directories that are kept open-able at one time: each costs a descriptor. Where an agent closed
/// more they are closed again, and those on the way opened anew. So this bounds only how deep they are nested.
const MOST_UNLOCKED: usize = 256;

/// A directory and what is below it.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
    /// Directories whose permissions were changed, and what they were.
    unlocked: Vec<(OwnedFd, Mode)>,
}

impl Beneath {
    /// Opens the directory (links up to and including it are the user's own).
    pub(crate) fn open(root: &Path) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: openat(CWD, root, flags, Mode::empty())?, unlocked: Vec::new() })
    }

    /// fstat(2) of the directory itself.
    pub(super) fn stat(&self) -> Result<Stat, Errno> {
        fstat(&self.root)
    }

    /// Opens a directory to read it and to change what is in it.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.unlocking(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens a regular file to read it, and nothing else: a FIFO would wait, a device might act.
    pub(super) fn file(&mut self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let fd = self.unlocking(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
            FileType::RegularFile => Ok(fd),
            _ => Err(Errno::INVAL),
        }
    }

    /// Tries again once every closed directory on the way is open.
    fn unlocking(&mut self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.at(path, flags) {
            Err(Errno::ACCESS) => {
                let of = if flags.contains(OFlags::DIRECTORY) { path } else { parent(path) };
                for way in Self::ways(of) {
                    self.unlock(way)?;
                }
                self.at(path, flags)
            }
            other => other,
        }
    }

    /// The directory itself, those on the way to a path, and the path.
    fn ways(path: &[u8]) -> Vec<&[u8]> {
        let mut all: Vec<&[u8]> = [&b""[..]].into_iter().chain(ways(path)).collect();
        all.extend(Some(path).filter(|path| !path.is_empty()));
        all
    }

    /// Gives its owner every right to a directory, until another needs the room or this is dropped.
    pub(super) fn unlock(&mut self, path: &[u8]) -> Result<(), Errno> {
        if self.unlocked.len() < MOST_UNLOCKED {
            return self.unlock_one(path);
        }
        self.lock_again();
        Self::ways(path).into_iter().try_for_each(|way| self.unlock_one(way))
    }

    fn unlock_one(&mut self, path: &[u8]) -> Result<(), Errno> {
        // What is closed cannot be opened by a path that begins in it.
        let fd = match path {
            b"" => fcntl_dupfd_cloexec(&self.root, 0)?,
            _ => self.at(path, OFlags::PATH | OFlags::DIRECTORY)?,
        };
        let before = Mode::from_raw_mode(fstat(&fd)?.st_mode & 0o7777);
        if before.contains(Mode::RWXU) {
            return Ok(());
        }
        if self.unlocked.len() >= MOST_UNLOCKED {
            return Err(Errno::MFILE);
        }
        change_mode(&fd, before | Mode::RWXU)?;
        self.unlocked.push((fd, before));
        Ok(())
    }

    /// Opens a directory to read it, and changes nothing where it is closed.
    pub(crate) fn directory_as_it_is(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// The names in a directory, some thousands at the most, and what stands there.
    pub(crate) fn names(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, What)>, Errno> {
        let directory = self.directory_as_it_is(path)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)?.take(4096) {
            let entry = entry?;
            let what = match entry.file_type() {
                FileType::Directory => What::Directory,
                FileType::Symlink => What::Link,
                _ => What::File,
            };
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push((entry.file_name().to_bytes().to_vec(), what));
            }
        }
        Ok(names)
    }

    /// Whether there is a symbolic link.
    pub(crate) fn is_link(&self, path: &[u8]) -> bool {
        // A link that may not be followed is told by ELOOP.
        self.at(path, OFlags::PATH).is_err_and(|errno| errno == Errno::LOOP)
    }

    /// Where a symbolic link leads, as it is written.
    pub(super) fn read_link(&mut self, path: &[u8]) -> Option<PathBuf> {
        let (directory, name) = self.place(path).ok()?;
        let target = readlinkat(directory, name, Vec::new()).ok()?;
        Some(OsString::from_vec(target.into_bytes()).into())
    }

    /// The directory that holds a path, and the name in it.
    pub(super) fn place<'p>(&mut self, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8]), Errno> {
        let directory = parent(path);
        let name = if directory.is_empty() { path } else { &path[directory.len() + 1..] };
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno::INVAL);
        }
        let opened = self.directory(directory)?;
        // One that can only be read tells names, and nothing of what they are. (Another user's stays so.)
        if !Mode::from_raw_mode(fstat(&opened)?.st_mode & 0o7777).contains(Mode::XUSR) {
            let _ = self.unlock(directory);
        }
        Ok((opened, name))
    }

    fn at(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        nofollow::beneath(&self.root, Path::new(OsStr::from_bytes(path)), flags)
    }
}

impl Beneath {
    fn lock_again(&mut self) {
        for (fd, before) in self.unlocked.drain(..).rev() {
            let _ = change_mode(&fd, before);
        }
    }
}

impl Drop for Beneath {
    fn drop(&mut self) {
        self.lock_again();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn nothing_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("p/a")).unwrap();
        fs::write(dir.path().join("secret"), "").unwrap();
        symlink("../..", dir.path().join("p/a/up")).unwrap();
        symlink("../../secret", dir.path().join("p/a/link")).unwrap();
        let mut beneath = Beneath::open(&dir.path().join("p")).unwrap();
        assert!(beneath.directory(b"a").is_ok() && beneath.directory(b"").is_ok());
        for path in [&b"a/up"[..], b"a/up/p", b"..", b"/", b"/etc", b"a/../.."] {
            assert!(beneath.directory(path).is_err(), "{}", path.escape_ascii());
        }
        for path in [&b"a/link"[..], b"a/up/secret", b"../secret", b"a"] {
            assert!(beneath.file(path).is_err(), "{}", path.escape_ascii());
        }
        assert!(beneath.place(b"a/..").is_err() && beneath.place(b"").is_err());
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        rustix::fs::mkfifoat(CWD, dir.path().join("fifo"), Mode::RUSR).unwrap();
        assert_eq!(Beneath::open(dir.path()).unwrap().file(b"fifo").unwrap_err(), Errno::INVAL);
    }

    /// As root nothing is closed; as a user this is what an agent leaves.
    #[test]
    fn attack_no_number_of_closed_directories_keeps_one_closed() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<String> = (0..MOST_UNLOCKED + 44).map(|at| format!("a/{at}/b")).collect();
        let close = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        for path in &paths {
            fs::create_dir_all(dir.path().join(path)).unwrap();
            close(&dir.path().join(path), 0o000).unwrap();
            close(dir.path().join(path).parent().unwrap(), 0o010).unwrap();
        }
        let mut beneath = Beneath::open(dir.path()).unwrap();
        for path in paths.iter().chain(&paths) {
            assert!(beneath.directory(path.as_bytes()).is_ok(), "{path}");
            beneath.unlock(path.as_bytes()).unwrap();
            assert!(beneath.unlocked.len() <= MOST_UNLOCKED);
        }
        drop(beneath);
        for path in &paths {
            let above = dir.path().join(path).parent().unwrap().to_owned();
            assert_eq!(fs::metadata(&above).unwrap().permissions().mode() & 0o777, 0o010, "{path}");
            close(&above, 0o700).unwrap();
            close(&dir.path().join(path), 0o700).unwrap();
        }
    }

    #[test]
    fn a_closed_directory_is_opened_and_closed_again() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "").unwrap();
        let closed = [&deep, &dir.path().join("a/b"), &dir.path().join("a"), dir.path()];
        for path in closed {
            fs::set_permissions(path, Permissions::from_mode(0o010)).unwrap();
        }
        {
            let mut beneath = Beneath::open(dir.path()).unwrap();
            assert!(beneath.directory(b"a/b/c").is_ok());
            assert!(beneath.file(b"a/b/c/file").is_ok());
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o010);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(mode(&dir.path().join("a")), 0o010);
        fs::set_permissions(dir.path().join("a"), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(mode(&dir.path().join("a/b")), 0o010);
        fs::set_permissions(dir.path().join("a/b"), Permissions::from_mode(0o700)).unwrap();
    }
}
