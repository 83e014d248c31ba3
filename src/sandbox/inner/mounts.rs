//! Whether what the supervisor opened is what is mounted, where it was to be mounted. bwrap finds
//! its mount points by their paths: a link that somebody put on the way leads it elsewhere
//! (CVE-2026-87766), and then what was to be read-only is not. It must run before anything foreign.
#![forbid(unsafe_code)]

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat2};
use rustix::io::Errno;

use super::handshake::Mounted;
use crate::error::{Error, Result};
use crate::visible::visible;

/// Looks at each; the first that is not as it was to be is the error.
pub(super) fn check(mounts: &[Mounted]) -> Result<()> {
    mounts.iter().try_for_each(|mounted| match is_there(mounted) {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_there(mounted, "something else is there")),
        Err(errno) => Err(not_there(mounted, &errno.to_string())),
    })
}

fn is_there(mounted: &Mounted) -> Result<bool, Errno> {
    let path = mounted.destination.as_path();
    // Inside of the sandbox a process that is no more privileged could not open it otherwise, either.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let stat = fstat(&fd)?;
    let same = (stat.st_dev, stat.st_ino) == (mounted.device, mounted.inode);
    let read_only = || Ok(fstatvfs(&fd)?.f_flag.contains(StatVfsMountFlags::RDONLY));
    Ok(same && (!mounted.read_only || read_only()?))
}

fn not_there(mounted: &Mounted, why: &str) -> Error {
    let shown = visible(&mounted.destination);
    Error::launcher(format!("{shown} is not mounted as it was to be: {why}"))
        .hint("did another program change the project in this moment? Start again")
        .hint("a symbolic link on the way to it is not followed")
}
