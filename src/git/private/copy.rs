//! Copies the state of a git directory: directories, regular files with the time of their last change
//! (git compares it with that of the index), and links as links. No link is followed, on either side;
//! FIFOs, sockets and devices are passed over; and there is an end to it.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    FileType, Mode, OFlags, Timespec, Timestamps, fstat, futimens, mkdirat, openat, readlinkat,
    symlinkat,
};
use rustix::io::Errno;

use crate::nofollow::{DIRECTORY, entries};

/// What may be copied altogether.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Files, directories and links.
    pub(super) entries: u64,
    /// Bytes.
    pub(super) bytes: u64,
    /// Directories in one another.
    pub(super) depth: usize,
}

impl Bounds {
    /// More than any repository's state that can be worked with.
    pub(super) const USUAL: Self = Self { entries: 1_000_000, bytes: 8 << 30, depth: 64 };
}

/// Why a copy was given up.
#[derive(Debug)]
pub(super) enum Failed {
    /// There is more than the bounds let.
    TooMuch,
    /// The path, relative, and what the kernel said of it.
    At(PathBuf, Errno),
}

/// Copies what is `wanted` of `from` into the directory `to`.
pub(super) fn copy(
    from: &OwnedFd,
    to: &OwnedFd,
    wanted: &dyn Fn(&Path) -> bool,
    bounds: &mut Bounds,
) -> Result<(), Failed> {
    directory(from, to, Path::new(""), wanted, bounds)
}

fn directory(
    from: &OwnedFd,
    to: &OwnedFd,
    at: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    bounds: &mut Bounds,
) -> Result<(), Failed> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |errno| Failed::At(path, errno)
    };
    for name in entries(from).map_err(failed(at))? {
        let path = at.join(OsStr::from_bytes(name.to_bytes()));
        if !wanted(&path) {
            continue;
        }
        bounds.entries = bounds.entries.checked_sub(1).ok_or(Failed::TooMuch)?;
        match crate::nofollow::kind(from, &name).map_err(failed(&path))? {
            Some(FileType::Directory) => {
                bounds.depth = bounds.depth.checked_sub(1).ok_or(Failed::TooMuch)?;
                let below = openat(from, &name, DIRECTORY, Mode::empty()).map_err(failed(&path))?;
                let made = make(to, &name).map_err(failed(&path))?;
                directory(&below, &made, &path, wanted, bounds)?;
                bounds.depth += 1;
            }
            Some(FileType::Symlink) => {
                link(from, to, &name).map_err(failed(&path))?;
            }
            Some(FileType::RegularFile) => match file(from, to, &name, bounds) {
                // Somebody's git removed it in this moment; the refs are compared afterwards.
                Err(Errno::NOENT) => {}
                Err(Errno::FBIG) => return Err(Failed::TooMuch),
                other => other.map_err(failed(&path))?,
            },
            _ => {}
        }
    }
    Ok(())
}

/// A directory, which may be there.
pub(super) fn make(to: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match mkdirat(to, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    openat(to, name, DIRECTORY, Mode::empty())
}

fn link(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let target: CString = readlinkat(from, name, Vec::new())?;
    symlinkat(&target, to, name)
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &CStr, bounds: &mut Bounds) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let from = openat(from, name, flags, Mode::empty())?;
    let stat = fstat(&from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    bounds.bytes = bounds.bytes.checked_sub(size).ok_or(Errno::FBIG)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Its owner writes it inside, also where root has prepared it.
    let mode = Mode::from_raw_mode(stat.st_mode & 0o755 | 0o600);
    let to = File::from(openat(to, name, flags, mode)?);
    io::copy(&mut io::Read::take(File::from(from), size), &mut &to)
        .map_err(|err| Errno::from_io_error(&err).unwrap_or(Errno::IO))?;
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.cast_signed() };
    futimens(&to, &Timestamps { last_access: time, last_modification: time })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::super::layout::is_copied;
    use super::*;

    fn opened(path: &Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    fn source() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("HEAD", "ref"),
            ("config", "secret"),
            ("refs/heads/a", "1"),
            ("hooks/x", "#!/bin/sh"),
            ("refs/heads/a.lock", ""),
            ("objects/00/1", "o"),
        ] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), text).unwrap();
        }
        fs::set_permissions(dir.path().join("hooks/x"), fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn state_is_copied_with_its_times_and_nothing_is_followed() {
        let (from, to) = (source(), tempfile::tempdir().unwrap());
        symlink("/etc/passwd", from.path().join("info")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, from.path().join("fifo"), Mode::RUSR).unwrap();
        let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        File::open(from.path().join("HEAD")).unwrap().set_times(old).unwrap();
        copy(&opened(from.path()), &opened(to.path()), &is_copied, &mut { Bounds::USUAL }).unwrap();
        let there = |path: &str| to.path().join(path).symlink_metadata().is_ok();
        assert!(there("refs/heads/a") && there("hooks/x"));
        for path in ["config", "objects", "refs/heads/a.lock", "fifo"] {
            assert!(!there(path), "{path}");
        }
        assert_eq!(fs::read_link(to.path().join("info")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(fs::metadata(to.path().join("HEAD")).unwrap().mtime(), 0);
        assert_eq!(fs::metadata(to.path().join("hooks/x")).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn there_is_an_end_to_it() {
        for bounds in [
            Bounds { entries: 3, ..Bounds::USUAL },
            Bounds { bytes: 10, ..Bounds::USUAL },
            Bounds { depth: 1, ..Bounds::USUAL },
        ] {
            let (from, to) = (source(), tempfile::tempdir().unwrap());
            let mut bounds = bounds;
            let done = copy(&opened(from.path()), &opened(to.path()), &is_copied, &mut bounds);
            assert!(matches!(done, Err(Failed::TooMuch)), "{done:?}");
        }
    }

    #[test]
    fn what_stands_there_is_not_written_through() {
        let (from, to) = (source(), tempfile::tempdir().unwrap());
        let victim = to.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, to.path().join("HEAD")).unwrap();
        let done =
            copy(&opened(from.path()), &opened(to.path()), &is_copied, &mut { Bounds::USUAL });
        assert!(matches!(done, Err(Failed::At(path, Errno::EXIST)) if path == Path::new("HEAD")));
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
    }
}
