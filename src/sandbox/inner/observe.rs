//! Gets the filter that reports every exec into force, and its listener to the supervisor. A
//! filter cannot be taken off again, so a child that can be thrown away tries it first: where
//! notifications are accepted and never delivered, only that child is lost. After the real one
//! is in force nothing here may exec: only the supervisor's answer lets an exec return.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use rustix::process::WaitOptions;

use super::handshake::{Observed, Report};
use crate::filters::notify::{self, Stops};
use crate::sys::channel::Channel;
use crate::sys::process::SingleThreaded;
use crate::sys::seccomp::{self, Listener};

/// Tries it in a child. `Err` is the errno of whatever failed.
pub(super) fn probe(
    single: &SingleThreaded,
    supervisor: &Channel,
    stops: Stops,
) -> io::Result<Result<(), i32>> {
    let child = single.child(|| in_child(supervisor, stops))?;
    let pid = rustix::process::Pid::from_raw(child.as_raw());
    let status = loop {
        match rustix::process::waitpid(pid, WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    Ok(match status.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(errno) => Err(errno),
        None => Err(libc::ENOSYS),
    })
}

/// Answers 0 if the exec of a missing file failed as it should, else an errno.
fn in_child(supervisor: &Channel, stops: Stops) -> u8 {
    let handed = seccomp::install(&notify::program(stops))
        .and_then(|listener| supervisor.send(&Report::Probe, &[listener.fd.as_fd()]));
    let errno = match handed {
        Ok(()) => match nix::unistd::execve(c"/nonexistent", &[c"probe"], &[c""; 0]) {
            Err(Errno::ENOENT) => return 0,
            Err(errno) => errno as i32,
            Ok(never) => match never {},
        },
        Err(err) => err.raw_os_error().unwrap_or(libc::EIO),
    };
    u8::try_from(errno).unwrap_or(u8::MAX)
}

/// Installs the real one. Also answers what the supervisor is to be told.
pub(super) fn install(stops: Stops) -> (Option<Listener>, Observed) {
    match seccomp::install(&notify::program(stops)) {
        Ok(listener) => {
            let killable = listener.killable;
            (Some(listener), Observed::On { killable })
        }
        Err(err) => {
            let errno = err.raw_os_error().unwrap_or(libc::EIO);
            (None, Observed::Unavailable { errno })
        }
    }
}
