//! The addresses that names get inside.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The addresses of a session whose profile says nothing of it.
pub const DEFAULT: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(25, 64, 0, 0), 15);

/// The gateway's address: the first of the pool.
pub fn gateway(pool: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(pool.network()).saturating_add(1))
}
