//! Makes sockets for 32-bit x86 programs. socketcall(2), which glibc uses there, hands the family
//! over in memory: a filter cannot look, and what the supervisor reads, another thread can change
//! before the kernel reads it again (which opened AF_ALG and AF_VSOCK to every sandbox that let
//! the call pass). So the call never runs. The supervisor reads the arguments once and asks pid 1,
//! which makes the socket in the sandbox's namespaces and under the sandbox's own errno filter: a
//! family that is refused to everybody is refused here.
//! It must never wait: pid 1 has other duties.
#![forbid(unsafe_code)]

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with, socketpair};

use super::handshake::{Made, Wanted};
use crate::sys::channel::Channel;

/// `SOCK_TYPE_MASK` of linux/net.h; what is above are flags.
const KIND: u32 = 0xf;

/// The end at which pid 1 is asked.
#[derive(Debug)]
pub(super) struct Sockets(Channel);

impl From<Channel> for Sockets {
    fn from(channel: Channel) -> Self {
        Self(channel)
    }
}

impl AsFd for Sockets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Sockets {
    /// Answers one request; whether there may be another.
    pub(super) fn answer(&self) -> io::Result<bool> {
        let Some(wanted) = self.0.receive::<Wanted>()? else { return Ok(false) };
        match make(wanted.message) {
            Ok(sockets) => {
                let fds: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
                self.0.send(&Made(Ok(())), &fds)?;
            }
            Err(errno) => self.0.send(&Made(Err(errno.raw_os_error())), &[])?,
        }
        Ok(true)
    }
}

fn make(wanted: Wanted) -> Result<Vec<OwnedFd>, Errno> {
    let family = u16::try_from(wanted.family).map_err(|_| Errno::AFNOSUPPORT)?;
    if needs_a_module(family, wanted.protocol) {
        return Err(Errno::PROTONOSUPPORT);
    }
    let family = AddressFamily::from_raw(family);
    let kind = SocketType::from_raw(wanted.kind & KIND);
    let flags = SocketFlags::from_bits(wanted.kind & !KIND).ok_or(Errno::INVAL)?;
    // What it is to its new owner is the owner's affair.
    let flags = flags | SocketFlags::CLOEXEC;
    let protocol = NonZeroU32::new(wanted.protocol).map(Protocol::from_raw);
    Ok(if wanted.pair {
        let (one, other) = socketpair(family, kind, flags, protocol)?;
        vec![one, other]
    } else {
        vec![socket_with(family, kind, flags, protocol)?]
    })
}

/// Whether the kernel might look for a module, which takes it seconds if many are asked for: any
/// protocol but those that come with the family.
fn needs_a_module(family: u16, protocol: u32) -> bool {
    let usual: &[u32] = match i32::from(family) {
        // IP, ICMP, TCP, UDP, ICMPv6, UDP-Lite, raw, Multipath TCP
        libc::AF_INET | libc::AF_INET6 => &[0, 1, 6, 17, 58, 136, 255, 262],
        // NETLINK_ROUTE, _SOCK_DIAG, _AUDIT, _KOBJECT_UEVENT, _GENERIC
        libc::AF_NETLINK => &[0, 4, 9, 15, 16],
        _ => return false,
    };
    !usual.contains(&protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(family: i32, kind: i32, protocol: u32, pair: bool) -> Wanted {
        let (family, kind) = (family.cast_unsigned(), kind.cast_unsigned());
        Wanted { family, kind, protocol, pair }
    }

    #[test]
    fn usual_sockets_are_made() {
        for (wanted, count) in [
            (wanted(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 6, false), 1),
            (wanted(libc::AF_UNIX, libc::SOCK_DGRAM, 0, true), 2),
            (wanted(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0, false), 1),
        ] {
            assert_eq!(make(wanted).unwrap().len(), count, "{wanted:?}");
        }
    }

    #[test]
    fn what_is_odd_is_refused_without_asking_the_kernel() {
        for (wanted, errno) in [
            (wanted(0x1_0001, libc::SOCK_STREAM, 0, false), Errno::AFNOSUPPORT),
            (wanted(libc::AF_INET, 0x100 | libc::SOCK_STREAM, 0, false), Errno::INVAL),
            (wanted(libc::AF_INET, libc::SOCK_STREAM, 132, false), Errno::PROTONOSUPPORT),
        ] {
            assert_eq!(make(wanted).unwrap_err(), errno, "{wanted:?}");
        }
    }
}
