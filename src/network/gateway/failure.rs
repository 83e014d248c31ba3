//! What the gateway could not do, why, and what helps. Pure: the reasons are an error number and
//! the step at which it came.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

use crate::network::sockets::Way;

/// A step that failed.
#[derive(Debug)]
pub(super) struct Failure {
    doing: &'static str,
    err: io::Error,
}

/// Says at which step an error came.
pub(super) trait Doing<T> {
    /// `doing` completes "cannot ...".
    fn doing(self, doing: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: &'static str) -> Result<T, Failure> {
        self.map_err(|err| Failure { doing, err: err.into() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, err } = self;
        // The kernel's words, without the number that the standard library adds.
        match err.raw_os_error() {
            Some(errno) => {
                write!(to, "cannot {doing}: {}", nix::errno::Errno::from_raw(errno).desc())
            }
            None => write!(to, "cannot {doing}: {err}"),
        }
    }
}

impl Failure {
    /// What helps, most likely first.
    pub(super) fn hints(&self) -> Vec<&'static str> {
        match self.err.raw_os_error() {
            Some(libc::ENOSPC | libc::EUSERS) => vec![
                "no more network namespaces are allowed: `sudo sysctl \
                 user.max_net_namespaces=15000`",
            ],
            Some(libc::EOPNOTSUPP) => {
                vec!["this kernel has no veth: `sudo modprobe veth` where it is a module"]
            }
            Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => vec![
                "a container or security module around claudebox forbids it (Docker: \
                 `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`)",
            ],
            _ => Vec::new(),
        }
    }
}

/// What a person is told of a way that is less than the best: what it lacks.
pub(super) fn lacks(way: Way) -> &'static str {
    match way {
        Way::Veth => "nothing",
        Way::AnyIp => {
            "the sandbox's own loopback answers for every address, and a server inside cannot take \
             an allowed port on all of its addresses"
        }
        Way::ProxyOnly => "only programs that use the proxy reach anything",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(errno: i32) -> Failure {
        let failed: Result<(), _> = Err(io::Error::from_raw_os_error(errno));
        failed.doing("make a veth pair").unwrap_err()
    }

    #[test]
    fn a_failure_says_what_was_tried_and_what_helps() {
        let failure = failed(libc::EOPNOTSUPP);
        assert_eq!(
            failure.to_string(),
            "cannot make a veth pair: Operation not supported on transport endpoint"
        );
        assert!(failure.hints()[0].contains("modprobe veth"));
        assert!(failed(libc::ENOSPC).hints()[0].contains("max_net_namespaces"));
        assert!(failed(libc::EPERM).hints()[0].contains("container"));
        assert!(failed(libc::EIO).hints().is_empty());
    }
}
