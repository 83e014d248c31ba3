//! Makes sockets for 32-bit x86 programs. socketcall(2), which glibc uses there, hands the family
//! over in memory: a filter cannot look, and what the supervisor reads, another thread can change
//! before the kernel reads it again (which opened `AF_ALG` and `AF_VSOCK` to every sandbox that let
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
        // That it cannot be sent is an answer too: what runs inside may have as many descriptors on
        // their way as its user is granted (ETOOMANYREFS), and then not have them any more.
        let sent = make(wanted.message).and_then(|sockets| {
            let fds: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
            let sent = self.0.send(&Made(Ok(())), &fds);
            sent.map_err(|err| Errno::from_io_error(&err).unwrap_or(Errno::IO))
        });
        if let Err(errno) = sent {
            self.0.send(&Made(Err(errno.raw_os_error())), &[])?;
        }
        Ok(true)
    }
}

fn make(wanted: Wanted) -> Result<Vec<OwnedFd>, Errno> {
    let family = u16::try_from(wanted.family).map_err(|_| Errno::AFNOSUPPORT)?;
    let kind = SocketType::from_raw(wanted.kind & KIND);
    without_a_module(family, kind, wanted.protocol)?;
    let family = AddressFamily::from_raw(family);
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

/// Refuses what the kernel might look for a module for, as it would be refused where there is none.
/// Who asks for many keeps it busy for seconds, and pid 1 with it. It looks for a family that is not
/// there, `AF_UNSPEC` too, for a protocol, and for a kind of socket that a protocol does not have.
fn without_a_module(family: u16, kind: SocketType, protocol: u32) -> Result<(), Errno> {
    // ICMP and ICMPv6 have one family each.
    let icmp = match i32::from(family) {
        libc::AF_INET => 1,
        libc::AF_INET6 => 58,
        libc::AF_UNSPEC => return Err(Errno::AFNOSUPPORT),
        // NETLINK_ROUTE, _SOCK_DIAG, _KOBJECT_UEVENT, _GENERIC
        libc::AF_NETLINK if [0, 4, 15, 16].contains(&protocol) => return Ok(()),
        libc::AF_NETLINK => return Err(Errno::PROTONOSUPPORT),
        // AF_UNIX, and what the errno filter refuses before the kernel looks for anything.
        _ => return Ok(()),
    };
    match (kind, protocol) {
        // The default of each, TCP, UDP. Any protocol is a raw one, for who has the capability, and so
        // for nobody.
        (SocketType::STREAM, 0 | 6) | (SocketType::DGRAM, 0 | 17) | (SocketType::RAW, _) => Ok(()),
        (SocketType::DGRAM, protocol) if protocol == icmp => Ok(()),
        (SocketType::STREAM | SocketType::DGRAM, _) => Err(Errno::PROTONOSUPPORT),
        _ => Err(Errno::SOCKTNOSUPPORT),
    }
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

    #[test]
    fn the_kernel_is_asked_for_nothing_that_it_has_to_look_for() {
        use libc::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_UNSPEC};
        let asked = |family: i32, kind, protocol| {
            without_a_module(u16::try_from(family).unwrap(), kind, protocol).err()
        };
        let (stream, datagram) = (SocketType::STREAM, SocketType::DGRAM);
        let (no_family, no_kind) = (Some(Errno::AFNOSUPPORT), Some(Errno::SOCKTNOSUPPORT));
        let no_protocol = Some(Errno::PROTONOSUPPORT);
        for (family, kind, protocol, answer) in [
            (AF_INET, stream, 6, None),
            (AF_INET, datagram, 1, None),
            (AF_INET6, datagram, 58, None),
            (AF_INET, SocketType::RAW, 132, None),
            (AF_UNIX, SocketType::SEQPACKET, 0, None),
            (AF_NETLINK, datagram, 16, None),
            (AF_UNSPEC, stream, 0, no_family),
            (AF_INET, SocketType::SEQPACKET, 0, no_kind),
            (AF_INET6, SocketType::RDM, 6, no_kind),
            (AF_INET, datagram, 6, no_protocol),
            (AF_INET, stream, 17, no_protocol),
            (AF_INET, datagram, 58, no_protocol),
            (AF_NETLINK, datagram, 12, no_protocol),
        ] {
            assert_eq!(asked(family, kind, protocol), answer, "{family} {kind:?} {protocol}");
        }
    }
}
