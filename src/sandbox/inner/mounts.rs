//! Whether what the supervisor opened is what is mounted, where it was to be mounted. bwrap finds
//! its mount points by their paths: a link that somebody put on the way leads it elsewhere
//! (CVE-2026-87766), and then what was to be read-only is not. It must run before anything foreign.
#![forbid(unsafe_code)]

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat2};
use rustix::io::Errno;

use super::handshake::Mounted;
use crate::error::{Error, Result, Tried as _};
use crate::visible::visible;

const LIST: &str = "/proc/self/mountinfo";

/// Looks at each; the first that is not as it was to be is the error.
pub(super) fn check(mounts: &[Mounted]) -> Result<()> {
    mounts.iter().try_for_each(|mounted| match is_there(mounted) {
        Ok(true) => Ok(()),
        // An agent closed a directory on the way (chmod 0), and can open it again.
        Err(Errno::ACCESS) => {
            let list = std::fs::read(LIST).tried(|| format!("read {LIST}"))?;
            let listed = is_listed(mounted, &list);
            listed.then_some(()).ok_or_else(|| not_there(mounted, "nothing is mounted there"))
        }
        Ok(false) => Err(not_there(mounted, "something else is there")),
        Err(errno) => Err(not_there(mounted, &errno.to_string())),
    })
}

fn is_there(mounted: &Mounted) -> Result<bool, Errno> {
    let path = mounted.destination.as_path();
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let stat = fstat(&fd)?;
    let same = (stat.st_dev, stat.st_ino) == (mounted.device, mounted.inode);
    let read_only = || Ok(fstatvfs(&fd)?.f_flag.contains(StatVfsMountFlags::RDONLY));
    Ok(same && (!mounted.read_only || read_only()?))
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
