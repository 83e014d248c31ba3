//! The nodes of `/dev` that bwrap shows are the host's own, and to the kernel they are root's: an agent of
//! root's could `chmod 600 /dev/null` for the whole machine. Through a read-only mount a device can be read
//! and written, and its inode cannot be changed. bwrap's own `--remount-ro` would not do: it adds
//! nodev. It must be done before anything foreign runs.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::sys::pidfd;

/// What `bwrap --dev` binds; `console` is the terminal, where there is one.
const NODES: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "console"];

/// Protects them in the mount namespace of the sandbox's pid 1.
///
/// # Errors
/// EPERM where root may not enter it: a container's root without `CAP_SYS_ADMIN`.
pub(super) fn protect(init: i32, alive: BorrowedFd<'_>) -> io::Result<()> {
    let namespace = File::open(format!("/proc/{init}/ns/mnt"))?;
    // The number may be another process's by now.
    if pidfd::ends_within(alive, Duration::ZERO)? {
        return Err(Errno::ESRCH.into());
    }
    // A namespace of mounts is a thread's own once it shares its root directory with none, setns(2).
    thread::scope(|scope| {
        let protect = thread::Builder::new().spawn_scoped(scope, || protect_in(&namespace))?;
        protect.join().map_err(|_| io::Error::other("the thread panicked"))?
    })
}

fn protect_in(namespace: &File) -> io::Result<()> {
    unshare(CloneFlags::CLONE_FS)?;
    setns(namespace, CloneFlags::CLONE_NEWNS)?;
    let flags = MsFlags::MS_REMOUNT
        | MsFlags::MS_BIND
        | MsFlags::MS_RDONLY
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NOEXEC;
    for node in NODES {
        let path = format!("/dev/{node}");
        match mount(None::<&str>, path.as_str(), None::<&str>, flags, None::<&str>) {
            Err(Errno::ENOENT) => {}
            other => other?,
        }
    }
    Ok(())
}
