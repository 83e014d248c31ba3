//! Files where an agent, or the author of a repository, can write: by descriptor and name, and with no
//! symbolic link followed, so that nothing leads out of the directory that is meant (CVE-2026-34078 is
//! that mistake). It must never do anything by a path.
#![forbid(unsafe_code)]

mod remove;

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, chmodat, fstat, openat, openat2,
    statat,
};
use rustix::io::Errno;

pub(crate) use self::remove::remove;
use crate::sys::fds::proc_path;

/// How a directory is opened, to read it and to change what is in it.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often the kernel is asked again when something is being renamed meanwhile, openat2(2).
const PATIENCE: usize = 64;

/// Opens what is at a path below a directory, or the directory itself where the path is empty; no
/// component may be a link (ELOOP) or lead out (openat2(2), Linux 5.6). Not to be used with
/// `O_NOFOLLOW`: with `O_PATH` that opens a link at the end instead of refusing it.
pub(crate) fn beneath(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..PATIENCE {
        match openat2(root.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens a directory to read and change it, also where an agent took our right to.
pub(crate) fn open_directory(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let opened = match openat(at, name, DIRECTORY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            change_mode(&openat(at, name, flags, Mode::empty())?, Mode::RWXU)?;
            openat(at, name, DIRECTORY, Mode::empty())?
        }
        other => other?,
    };
    // One that can be read may still not be changed. (One that is not ours cannot be helped.)
    let mode = Mode::from_raw_mode(fstat(&opened)?.st_mode & 0o7777);
    if !mode.contains(Mode::RWXU) {
        match change_mode(&opened, mode | Mode::RWXU) {
            Ok(()) | Err(Errno::PERM | Errno::ROFS) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(opened)
}

/// chmod(2) of what is open, also with `O_PATH`, of which fchmod(2) knows nothing.
pub(crate) fn change_mode(fd: &impl AsFd, mode: Mode) -> Result<(), Errno> {
    chmodat(CWD, proc_path(fd), mode, AtFlags::empty())
}

/// What stands there.
pub(crate) fn kind(at: &OwnedFd, name: &CStr) -> Result<Option<FileType>, Errno> {
    match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The names in a directory.
pub(crate) fn entries(at: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(at)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}
