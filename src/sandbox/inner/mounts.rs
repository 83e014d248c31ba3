//! Whether what the supervisor opened is what is mounted, where it was to be mounted. bwrap finds
//! its mount points by their paths: a link that somebody put on the way leads it elsewhere
//! (CVE-2026-87766), and then what was to be read-only is not. Who is in another mount namespace can
//! also rename a directory that is a mount here, and the mount goes with it: then what stands there
//! may be the right one, and can be renamed from inside, too. It must run before anything foreign.
#![forbid(unsafe_code)]

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags, StatxAttributes, StatxFlags,
    fstat, fstatvfs, openat2, statx,
};
use rustix::io::Errno;

use super::handshake::Mounted;
use crate::error::{Error, Result, Tried as _};
use crate::visible::visible;

const LIST: &str = "/proc/self/mountinfo";

/// Looks at each; the first that is not as it was to be is the error.
pub(super) fn check(mounts: &[Mounted]) -> Result<()> {
    mounts.iter().try_for_each(|mounted| match look(mounted) {
        Ok(Found::Mounted) => Ok(()),
        Ok(Found::Other) => Err(not_there(mounted, "something else is there")),
        Ok(Found::NoMount) => Err(not_there(mounted, "nothing is mounted there")),
        Ok(Found::Unknown) | Err(Errno::ACCESS) => {
            let list = std::fs::read(LIST).tried(|| format!("read {LIST}"))?;
            let listed = is_listed(mounted, &list);
            listed.then_some(()).ok_or_else(|| not_there(mounted, "nothing is mounted there"))
        }
        Err(errno) => Err(not_there(mounted, &errno.to_string())),
    })
}

/// What stands at a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// What was to be mounted, mounted.
    Mounted,
    /// The same, but not as a mount.
    NoMount,
    /// The same. The kernel does not say whether it is a mount (before 5.8).
    Unknown,
    Other,
}

/// `EACCES`: an agent closed a directory on the way (chmod 0), and can open it again.
fn look(mounted: &Mounted) -> Result<Found, Errno> {
    let path = mounted.destination.as_path();
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let stat = fstat(&fd)?;
    let same = (stat.st_dev, stat.st_ino) == (mounted.device, mounted.inode);
    let read_only = || Ok(fstatvfs(&fd)?.f_flag.contains(StatVfsMountFlags::RDONLY));
    if !same || (mounted.read_only && !read_only()?) {
        return Ok(Found::Other);
    }
    let stat = statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::empty())?;
    let is_root = StatxAttributes::MOUNT_ROOT;
    Ok(match (stat.stx_attributes_mask.contains(is_root), stat.stx_attributes.contains(is_root)) {
        (true, true) => Found::Mounted,
        (true, false) => Found::NoMount,
        (false, _) => Found::Unknown,
    })
}

/// Whether the kernel's list (`/proc/PID/mountinfo`) has a mount at this very path. It names mount
/// points by where they are, not by the way that somebody took.
fn is_listed(mounted: &Mounted, list: &[u8]) -> bool {
    let escape = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        _ => vec![*byte],
    };
    let path: Vec<u8> = mounted.destination.as_ref().iter().flat_map(escape).collect();
    list.split(|byte| *byte == b'\n').any(|line| {
        let mut fields = line.split(|byte| *byte == b' ').skip(4);
        let here = fields.next() == Some(&*path);
        let options = fields.next().unwrap_or_default();
        here && (!mounted.read_only
            || options.split(|byte| *byte == b',').any(|word| word == b"ro"))
    })
}

fn not_there(mounted: &Mounted, why: &str) -> Error {
    let shown = visible(&mounted.destination);
    Error::launcher(format!("{shown} is not mounted as it was to be: {why}"))
        .hint("did another program change the project in this moment? Start again")
        .hint("a symbolic link on the way to it is not followed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Bytes;

    /// As when somebody renamed the mount, and put back a copy of its name.
    #[test]
    fn the_right_directory_that_is_no_mount_is_not_enough() {
        let directory = tempfile::tempdir().unwrap();
        let expected = |path: &std::path::Path, read_only| {
            let stat = rustix::fs::stat(path).unwrap();
            let (device, inode) = (stat.st_dev, stat.st_ino);
            Mounted { destination: path.into(), device, inode, read_only }
        };
        let looked = |path, read_only| look(&expected(path, read_only)).unwrap();
        assert_eq!(looked(directory.path(), false), Found::NoMount);
        assert_eq!(looked(directory.path(), true), Found::Other);
        assert_eq!(looked("/proc".as_ref(), false), Found::Mounted);
        let elsewhere = Mounted { destination: "/".into(), ..expected("/proc".as_ref(), false) };
        assert_eq!(look(&elsewhere), Ok(Found::Other));
    }

    #[test]
    fn a_mount_is_known_by_its_place_and_its_options() {
        let list =
            b"1 2 8:1 / / rw - ext4 x rw\n3 1 8:1 /p /a\\040b\\012/c ro,nosuid - ext4 x rw\n\
                     4 1 8:1 /q /d rw,nodev - ext4 /ro ro\n";
        let listed = |path: &str, read_only| {
            let destination = Bytes::from(path);
            is_listed(&Mounted { destination, device: 0, inode: 0, read_only }, list)
        };
        assert!(listed("/a b\n/c", true) && listed("/a b\n/c", false));
        assert!(listed("/d", false) && !listed("/d", true));
        assert!(!listed("/a", false) && !listed("/p", false));
    }
}
