//! The nodes of `/dev` that bwrap shows are the host's own, and to the kernel they are root's: an agent of
//! root's could `chmod 600 /dev/null` for the whole machine. Through a read-only mount a device can be read
//! and written, and its inode cannot be changed. bwrap's own `--remount-ro` would not do: it adds
//! nodev. It must be done before anything foreign runs.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::sys::pidfd;

/// What `bwrap --dev` binds; `console` is the terminal, where there is one.
const NODES: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "console"];

/// A thread that protects them in the mount namespace of the sandbox's pid 1, while the log begins.
#[derive(Debug)]
pub(super) struct Protecting(io::Result<JoinHandle<io::Result<()>>>);

impl Protecting {
    pub(super) fn begin(init: i32, alive: BorrowedFd<'_>) -> Self {
        Self(begin(init, alive))
    }

    /// Waits for it.
    ///
    /// # Errors
    /// EPERM where root may not enter the namespace: a container's root without `CAP_SYS_ADMIN`.
    pub(super) fn end(self) -> io::Result<()> {
        self.0?.join().map_err(|_| io::Error::other("the thread panicked"))?
    }
}

fn begin(init: i32, alive: BorrowedFd<'_>) -> io::Result<JoinHandle<io::Result<()>>> {
    let namespace = File::open(format!("/proc/{init}/ns/mnt"))?;
    // The number may be another process's by now.
    if pidfd::ends_within(alive, Duration::ZERO)? {
        return Err(Errno::ESRCH.into());
    }
    // A namespace of mounts is a thread's own once it shares its root directory with none, setns(2).
    thread::Builder::new().spawn(move || protect_in(&namespace))
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
