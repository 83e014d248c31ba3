//! Whether an address is this machine's own: the kernel is asked which way a packet to it would go,
//! rtnetlink(7). That knows the second address of an interface and a whole network that is local
//! (`ip route add local`), which no list of addresses has. It must never send anything.
#![forbid(unsafe_code)]

use std::io;
use std::net::IpAddr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use super::netlink::{NLMSG_ERROR, errno, header, messages};

// linux/rtnetlink.h
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTN_LOCAL: u8 = 2;
/// Where the type of a route stands in `struct rtmsg`, and how long that is.
const TYPE: usize = 7;
const ROUTE_HEADER: usize = 12;

/// Whether what is sent to this address stays here. Where there is no way to it, it does not.
///
/// # Errors
/// When the kernel cannot be asked.
pub(super) fn is_local(address: IpAddr) -> io::Result<bool> {
    // No protocol means the first, NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    send(&socket, &question(address), SendFlags::empty())?;
    let mut buffer = [0; 4096];
    let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
    Ok(answer(buffer.get(..length).unwrap_or_default()))
}

fn question(address: IpAddr) -> Vec<u8> {
    // What is mapped into IPv6 goes the way of IPv4.
    let (family, bytes) = match address.to_canonical() {
        IpAddr::V4(address) => (AddressFamily::INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AddressFamily::INET6, address.octets().to_vec()),
    };
    let mut route = [0; ROUTE_HEADER];
    // Both numbers fit; so small is each family, and no address has more than 128 bits.
    route[0] = u8::try_from(family.as_raw()).unwrap_or_default();
    route[1] = u8::try_from(bytes.len() * 8).unwrap_or_default();
    let attribute = u16::try_from(bytes.len() + 4).unwrap_or_default();
    let body = [&route[..], &attribute.to_ne_bytes(), &RTA_DST.to_ne_bytes(), &bytes].concat();
    let length = u32::try_from(body.len() + 16).unwrap_or_default();
    [&header(length, RTM_GETROUTE, 0, 1)[..], &body].concat()
}

/// Whether the route in an answer is a local one.
fn answer(bytes: &[u8]) -> bool {
    let mut routes = messages(bytes)
        .filter(|message| message.kind != NLMSG_ERROR || errno(message.body) == Some(0));
    routes.any(|route| route.kind == RTM_NEWROUTE && route.body.get(TYPE) == Some(&RTN_LOCAL))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn the_kernel_knows_its_own_addresses() {
        assert!(is_local(Ipv4Addr::LOCALHOST.into()).unwrap());
        // The whole network is this machine, and no interface has this address.
        assert!(is_local(Ipv4Addr::new(127, 9, 8, 7).into()).unwrap());
        assert!(is_local(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()).unwrap());
        // Documentation's; nobody's.
        assert!(!is_local(Ipv4Addr::new(192, 0, 2, 1).into()).unwrap());
        assert!(!is_local(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()).unwrap());
    }

    #[test]
    fn an_answer_that_is_cut_is_none() {
        let mut route = [0; ROUTE_HEADER];
        route[TYPE] = RTN_LOCAL;
        let whole = [&header(28, RTM_NEWROUTE, 0, 1)[..], &route].concat();
        assert!(answer(&whole));
        assert!((0..whole.len()).all(|cut| !answer(&whole[..cut])));
        assert!(!answer(&[&header(20, NLMSG_ERROR, 0, 1)[..], &(-101_i32).to_ne_bytes()].concat()));
    }
}
