//! What the broker asks of the network namespaces: sockets, made there by a process that can do
//! nothing else. It must never hand out a socket of the host's own namespace.
#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

/// How the sandbox's traffic comes to the broker, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Through a veth pair to a gateway namespace that answers for every address.
    Veth,
    /// The sandbox's own loopback answers for every address: no veth in this kernel.
    AnyIp,
    /// Only the compatibility proxy, on the sandbox's loopback.
    ProxyOnly,
}

impl Way {
    /// As the log says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::AnyIp => "anyip",
            Self::ProxyOnly => "proxy-only",
        }
    }
}

/// The gateway's addresses, as seen inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// How traffic comes to it.
    pub way: Way,
    /// Its IPv4 address: name server and proxy.
    pub v4: Ipv4Addr,
    /// Its IPv6 address, where the host has IPv6.
    pub v6: Option<Ipv6Addr>,
}

/// Makes sockets where the sandbox's traffic comes to. All of them close on exec and do not block.
pub trait Sockets: Send {
    /// The gateway.
    fn gateway(&self) -> Gateway;

    /// A TCP socket that listens at this address of the gateway, also where no interface has it
    /// (`IP_FREEBIND`, `IPV6_FREEBIND`). It may be every address of one family, beside which a
    /// listener at a single one comes first (`SO_REUSEPORT`, `IPV6_V6ONLY`).
    fn listen(&self, at: SocketAddr) -> io::Result<OwnedFd>;

    /// A UDP socket bound to this address, which tells where each datagram was sent to
    /// (`IP_PKTINFO`, `IPV6_RECVPKTINFO`).
    fn datagrams(&self, at: SocketAddr) -> io::Result<OwnedFd>;

    /// A packet socket that reports each attempt at a connection that no listener takes.
    fn attempts(&self) -> io::Result<OwnedFd>;

    /// A TCP socket that listens in the sandbox's own namespace, on its loopback.
    fn listen_inside(&self, address: IpAddr, port: u16) -> io::Result<OwnedFd>;

    /// A socket of `sock_diag(7)`, which is asked about the sockets of the sandbox's own namespace.
    fn sock_diag(&self) -> io::Result<OwnedFd>;

    /// A TCP socket of the sandbox's own namespace, not connected yet.
    fn connect_inside(&self, v6: bool) -> io::Result<OwnedFd>;
}
