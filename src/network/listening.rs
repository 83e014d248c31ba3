//! What listens inside, as the kernel tells of it through `sock_diag(7)`: it goes through the sockets
//! that listen and no others, where `/proc/PID/net/tcp` goes through every connection of every
//! namespace. Encoding and reading only. It must never take the kernel's word for more than it is:
//! the port may be gone by now.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use super::netlink::{NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR, errno, header, messages};

// linux/sock_diag.h, linux/inet_diag.h, linux/in.h, net/tcp_states.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
/// Bytes of the header and of `struct inet_diag_req_v2`.
const REQUEST: u8 = 16 + 56;

/// Which sockets are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn number(self) -> u8 {
        let number = if self == Self::V4 { libc::AF_INET } else { libc::AF_INET6 };
        u8::try_from(number).unwrap_or_default()
    }
}

/// What an answer consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Somebody listens there.
    At(SocketAddr),
    /// That was all.
    Done,
    /// The kernel does not answer: an errno(3).
    Failed(i32),
}

/// Asks for every TCP socket of this family that listens.
pub(super) fn request(family: Family, number: u32) -> Vec<u8> {
    let header = header(REQUEST.into(), SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, number);
    let states = 1_u32 << TCP_LISTEN;
    let mut bytes = header.to_vec();
    bytes.extend([family.number(), IPPROTO_TCP, 0, 0]);
    bytes.extend(states.to_ne_bytes());
    // Any address and port.
    bytes.resize(REQUEST.into(), 0);
    bytes
}

/// What a datagram tells in answer to the request of this number.
pub(super) fn told(datagram: &[u8], number: u32) -> impl Iterator<Item = Told> {
    messages(datagram).filter(move |message| message.number == number).filter_map(|message| {
        match message.kind {
            SOCK_DIAG_BY_FAMILY => address(message.body).map(Told::At),
            NLMSG_DONE => Some(match errno(message.body) {
                Some(errno) if errno != 0 => Told::Failed(errno),
                _ => Told::Done,
            }),
            NLMSG_ERROR => errno(message.body).map(Told::Failed),
            _ => None,
        }
    })
}

/// From `struct inet_diag_msg`: family and state, then the port and the address in the order of the
/// network.
fn address(message: &[u8]) -> Option<SocketAddr> {
    let (family, state) = (*message.first()?, *message.get(1)?);
    let port = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    let source = message.get(8..24)?;
    let ip = if family == Family::V4.number() {
        let octets: [u8; 4] = source[..4].try_into().ok()?;
        IpAddr::from(octets)
    } else if family == Family::V6.number() {
        let octets: [u8; 16] = source.try_into().ok()?;
        IpAddr::from(octets)
    } else {
        return None;
    };
    (state == TCP_LISTEN).then_some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::net::netlink::SOCK_DIAG;
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
    };

    use super::*;

    /// Everything that the kernel answers about this process's namespace.
    fn here(family: Family) -> Vec<Told> {
        let (netlink, raw) = (AddressFamily::NETLINK, SocketType::RAW);
        let socket = socket_with(netlink, raw, SocketFlags::CLOEXEC, Some(SOCK_DIAG)).unwrap();
        send(&socket, &request(family, 3), SendFlags::empty()).unwrap();
        let (mut all, mut bytes) = (Vec::new(), vec![0; 32 * 1024]);
        while !all.iter().any(|told| !matches!(told, Told::At(_))) {
            let length = recv(&socket, &mut bytes[..], RecvFlags::empty()).unwrap().0;
            all.extend(told(&bytes[..length], 3));
        }
        all
    }

    #[test]
    fn our_own_listeners_are_told_of_and_a_connection_is_not() {
        for (family, at) in [(Family::V4, "127.0.0.1:0"), (Family::V6, "[::1]:0")] {
            let listener = TcpListener::bind(at).unwrap();
            let at = listener.local_addr().unwrap();
            let connection = std::net::TcpStream::connect(at).unwrap();
            let told = here(family);
            assert!(told.contains(&Told::At(at)), "{told:?}");
            assert!(!told.contains(&Told::At(connection.local_addr().unwrap())), "{told:?}");
            assert_eq!(told.last(), Some(&Told::Done));
            drop(listener);
            assert!(!here(family).contains(&Told::At(at)));
        }
    }

    #[test]
    fn a_refusal_is_told_and_nonsense_is_passed_over() {
        let refused = [&header(20, NLMSG_ERROR, 0, 3)[..], &(-2_i32).to_ne_bytes()].concat();
        let all = |bytes: &[u8]| told(bytes, 3).collect::<Vec<_>>();
        assert_eq!(all(&refused), [Told::Failed(2)]);
        assert_eq!(all(&header(16, NLMSG_DONE, 0, 3)), [Told::Done]);
        assert_eq!(all(&header(16, NLMSG_DONE, 0, 2)), [], "the answer to another request");
        let mut socket = [&header(40, SOCK_DIAG_BY_FAMILY, 0, 3)[..], &[0; 24]].concat();
        assert_eq!(all(&socket), [], "of no family");
        socket[16] = Family::V4.number();
        assert_eq!(all(&socket), [], "in no state");
        socket[17] = TCP_LISTEN;
        assert_eq!(all(&socket), [Told::At("0.0.0.0:0".parse().unwrap())]);
        assert_eq!(all(&socket[..39]), []);
    }
}
