//! Makes the sockets that the broker asks for, in the namespace it asks for. It must never make one
//! in the host's, nor wait for anything.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use nix::sys::socket::{setsockopt, sockopt as options};
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::attempts;
use super::namespaces::{Namespaces, Place};
use super::netlink::LOOPBACK;
use super::talk::Wanted;
use crate::sys::packet;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Makes sockets in the two namespaces.
#[derive(Debug)]
pub(super) struct Factory {
    namespaces: Namespaces,
    /// Where the sandbox's packets come in.
    link: u32,
}

impl Factory {
    pub(super) fn new(namespaces: Namespaces, link: u32) -> Self {
        Self { namespaces, link }
    }

    pub(super) fn make(&self, wanted: Wanted) -> io::Result<OwnedFd> {
        let place = match wanted {
            Wanted::Listen(_) | Wanted::Datagrams(_) | Wanted::Attempts => Place::Gateway,
            Wanted::ListenInside(_) | Wanted::SockDiag | Wanted::ConnectInside { .. } => {
                Place::Inside
            }
        };
        self.namespaces.go(place)?;
        match wanted {
            Wanted::Listen(at) => {
                let socket = free(at, SocketType::STREAM)?;
                // Beside a listener for every address one for a single address comes first.
                sockopt::set_socket_reuseport(&socket, true)?;
                listening(socket, at)
            }
            Wanted::Datagrams(at) => datagrams(at),
            Wanted::Attempts => packet::socket(self.link, &attempts::filter(self.link == LOOPBACK)),
            Wanted::ListenInside(at) => listening(of(at, SocketType::STREAM)?, at),
            Wanted::SockDiag => sock_diag(),
            Wanted::ConnectInside { v6 } => socket(v6, SocketType::STREAM),
        }
    }
}

fn socket(v6: bool, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

fn sock_diag() -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(SOCK_DIAG))?)
}

/// A socket of an address's family. One of IPv6 is that alone: IPv4 has its own.
fn of(at: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let socket = socket(at.is_ipv6(), kind)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

/// The same for any address, also one that no interface has.
fn free(at: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let socket = of(at, kind)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_freebind(&socket, true)?;
    } else {
        sockopt::set_ip_freebind(&socket, true)?;
    }
    Ok(socket)
}

fn listening(socket: OwnedFd, at: SocketAddr) -> io::Result<OwnedFd> {
    bind(&socket, &at)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn datagrams(at: SocketAddr) -> io::Result<OwnedFd> {
    let socket = free(at, SocketType::DGRAM)?;
    if at.is_ipv6() {
        setsockopt(&socket, options::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&socket, options::Ipv4PacketInfo, &true)?;
    }
    bind(&socket, &at)?;
    Ok(socket)
}
