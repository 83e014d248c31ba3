//! Hears from bwrap which sandbox it made (`--info-fd`), and opens the network namespace that it
//! speaks of. It must never take another namespace for it: a number of a process can be another's by now.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use crate::bwrap_info::{Heard, Info, Said};

/// Waits until bwrap has said it.
///
/// # Errors
/// `UnexpectedEof`: bwrap ended before.
pub(super) fn read(from: &OwnedFd) -> io::Result<Info> {
    let mut said = Said::default();
    let mut part = [0; 512];
    loop {
        let taken = match rustix::io::read(from, &mut part) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        match said.hear(&part[..taken]) {
            Heard::Info(info) => return Ok(info),
            Heard::Part => {}
            Heard::Ended => return Err(io::ErrorKind::UnexpectedEof.into()),
            Heard::TooMuch => return Err(io::Error::other("it says too much")),
        }
    }
}

/// Opens the sandbox's network namespace.
///
/// # Errors
/// When the sandbox is gone, or has none of its own.
pub(super) fn network(info: &Info) -> io::Result<OwnedFd> {
    let open = |path: String| openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let inside = open(format!("/proc/{}/ns/net", info.child_pid))?;
    let inode = fstat(&inside)?.st_ino;
    if info.net_namespace.is_some_and(|said| said != inode) {
        return Err(io::Error::other("another process has its number"));
    }
    if fstat(&open("/proc/self/ns/net".to_owned())?)?.st_ino == inode {
        return Err(io::Error::other("it is in the host's network"));
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(parts: &[&str]) -> io::Result<Info> {
        let (from, to) = rustix::pipe::pipe().unwrap();
        for part in parts {
            rustix::io::write(&to, part.as_bytes()).unwrap();
        }
        drop(to);
        read(&from)
    }

    #[test]
    fn what_bwrap_says_is_read_in_parts() {
        let said = ["{\n    \"child-pid\": 4", "2,\n    \"net-namespace\": 4026532", "001\n}\n"];
        let info = Info { child_pid: 42, net_namespace: Some(4_026_532_001) };
        assert_eq!(heard(&said).unwrap(), info);
        let older = Info { child_pid: 42, net_namespace: None };
        assert_eq!(heard(&["{\"child-pid\": 42}"]).unwrap(), older);
    }

    #[test]
    fn a_bwrap_that_ends_early_is_an_error() {
        assert_eq!(heard(&["{\"child"]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(heard(&["[".repeat(2 * 4096).as_str()]).is_err());
    }

    #[test]
    fn the_hosts_network_and_a_process_that_is_gone_are_refused() {
        let own = i32::try_from(std::process::id()).unwrap();
        let refused = |child_pid, net_namespace| network(&Info { child_pid, net_namespace });
        assert!(refused(own, None).unwrap_err().to_string().contains("host's network"));
        assert!(refused(own, Some(1)).unwrap_err().to_string().contains("another process"));
        assert!(refused(i32::MAX, None).is_err());
    }
}
