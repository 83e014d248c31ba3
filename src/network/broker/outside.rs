//! The world outside: how a name is looked up there, and which addresses are dialled. This
//! machine's is the only one that the program knows. It must never answer for another.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use super::super::guard::{self, Never};
use super::super::own;

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// See the top of this file.
#[derive(Clone)]
pub struct Outside {
    /// Looks a name up; may take long.
    pub lookup: Arc<Lookup>,
    /// Whether an address may be dialled; `true` where the rule allows private ones.
    pub guard: fn(IpAddr, bool) -> Result<(), Never>,
    /// Whether an address is this machine's own.
    pub own: fn(IpAddr) -> bool,
}

impl Outside {
    /// This machine: getaddrinfo(3), and so its hosts file, its VPN and its idea of names; and the
    /// guard.
    pub fn host() -> Self {
        Self {
            lookup: Arc::new(|name, port| Ok((name, port).to_socket_addrs()?.collect())),
            guard: guard::judge,
            own: is_own,
        }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// Whether an address is this machine's own, in any network: what listens there need not be meant
/// for anybody else. Where the kernel cannot be asked for the way, it is by where it would speak from.
fn is_own(address: IpAddr) -> bool {
    own::is_local(address).unwrap_or_else(|_| speaks_from(address))
}

/// To itself a machine speaks from the same address.
fn speaks_from(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Nothing is sent. Where there is no way to the address, there is no danger either.
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_its_own_addresses() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()) && speaks_from(Ipv4Addr::LOCALHOST.into()));
        // Spoken to from 127.0.0.1, as a second address of any interface is from its first.
        assert!(is_own(Ipv4Addr::new(127, 0, 0, 2).into()));
        // Documentation's; nobody's.
        assert!(!is_own(Ipv4Addr::new(192, 0, 2, 1).into()));
    }

    #[test]
    fn the_host_refuses_its_loopback_whatever_a_rule_says() {
        let host = Outside::host();
        assert_eq!((host.guard)(Ipv4Addr::LOCALHOST.into(), true), Err(Never::Loopback));
        let found = (host.lookup)("localhost", 80).unwrap();
        assert!(found.iter().all(|at| at.ip().is_loopback() && at.port() == 80));
    }
}
