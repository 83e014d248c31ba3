//! Packets that the gateway sees, read for the log: who tried to reach what. What becomes of them is
//! the kernel's business. It must never believe a length that a packet gives.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The numbers that IANA gave to protocols.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMP6: u8 = 58;
}

/// Somebody wanted to reach something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where it comes from.
    pub from: IpAddr,
    /// Where it goes.
    pub to: IpAddr,
    /// Its protocol's number, see [`protocol`].
    pub protocol: u8,
    /// The port, where the protocol has ports.
    pub port: Option<u16>,
}

/// Reads one packet, from the network header on. `None` for what is no attempt: the rest of a TCP
/// connection, housekeeping of IP itself, or nonsense.
pub fn read(packet: &[u8]) -> Option<Attempt> {
    let (from, to, protocol, payload) = match packet.first()? >> 4 {
        4 => v4(packet)?,
        6 => v6(packet)?,
        _ => return None,
    };
    let port = match protocol {
        protocol::TCP => {
            // SYN without ACK.
            if payload.get(13)? & 0x12 != 0x02 {
                return None;
            }
            Some(word(payload, 2)?)
        }
        protocol::UDP => Some(word(payload, 2)?),
        // Echo only: the rest are answers and errors.
        protocol::ICMP if payload.first()? != &8 => return None,
        // Neighbours and multicast groups are how IPv6 finds its way.
        protocol::ICMP6 if payload.first()? != &128 => return None,
        _ => None,
    };
    Some(Attempt { from, to, protocol, port })
}

type Parts<'a> = (IpAddr, IpAddr, u8, &'a [u8]);

fn v4(packet: &[u8]) -> Option<Parts<'_>> {
    let header = usize::from(packet.first()? & 15) * 4;
    // What is behind the first fragment has no ports.
    if header < 20 || word(packet, 6)? & 0x1fff != 0 {
        return None;
    }
    let address = |at: usize| {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::from(Ipv4Addr::from(bytes)))
    };
    Some((address(12)?, address(16)?, *packet.get(9)?, packet.get(header..)?))
}

fn v6(packet: &[u8]) -> Option<Parts<'_>> {
    let address = |at: usize| {
        let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::from(Ipv6Addr::from(bytes)))
    };
    let (mut next, mut rest) = (*packet.get(6)?, packet.get(40..)?);
    // Extension headers (RFC 8200, 4): hop by hop, routing, destination.
    for _ in 0..8 {
        if !matches!(next, 0 | 43 | 60) {
            break;
        }
        let length = (usize::from(*rest.get(1)?) + 1) * 8;
        next = *rest.first()?;
        rest = rest.get(length..)?;
    }
    Some((address(8)?, address(24)?, next, rest))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet_v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        packet.extend([25, 64, 0, 2, 8, 8, 8, 8]);
        packet.extend(payload);
        packet
    }

    fn tcp(flags: u8) -> Vec<u8> {
        let mut segment = vec![0; 20];
        segment[2..4].copy_from_slice(&22_u16.to_be_bytes());
        segment[13] = flags;
        segment
    }

    #[test]
    fn an_attempt_is_read() {
        let attempt = read(&packet_v4(protocol::TCP, &tcp(0x02))).unwrap();
        assert_eq!(attempt.from.to_string(), "25.64.0.2");
        assert_eq!(attempt.to.to_string(), "8.8.8.8");
        assert_eq!((attempt.protocol, attempt.port), (protocol::TCP, Some(22)));
        let attempt = read(&packet_v4(protocol::UDP, &[0, 1, 1, 0xbb, 0, 8, 0, 0])).unwrap();
        assert_eq!((attempt.protocol, attempt.port), (protocol::UDP, Some(443)));
        assert_eq!(read(&packet_v4(protocol::ICMP, &[8, 0])).unwrap().port, None);
        assert_eq!(read(&packet_v4(132, &[])).unwrap().protocol, 132);
    }

    #[test]
    fn the_rest_of_a_connection_is_none() {
        for flags in [0x12, 0x10, 0x04, 0x14, 0x11, 0] {
            assert_eq!(read(&packet_v4(protocol::TCP, &tcp(flags))), None);
        }
        assert_eq!(read(&packet_v4(protocol::ICMP, &[3, 3])), None);
        let mut fragment = packet_v4(protocol::UDP, &[0; 8]);
        fragment[7] = 1;
        assert_eq!(read(&fragment), None);
    }

    #[test]
    fn ipv6_is_read_behind_its_extensions() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 0, 64];
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend("2001:4860:4860::8888".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend([60, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([protocol::TCP, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(tcp(0x02));
        let attempt = read(&packet).unwrap();
        assert_eq!(attempt.to.to_string(), "2001:4860:4860::8888");
        assert_eq!((attempt.protocol, attempt.port), (protocol::TCP, Some(22)));
        // A router is looked for.
        packet[6] = protocol::ICMP6;
        packet[40] = 133;
        assert_eq!(read(&packet), None);
    }

    proptest! {
        #[test]
        fn no_packet_is_a_panic(
            version in prop::sample::select(vec![0x45_u8, 0x4f, 0x60, 0x00, 0xff]),
            mut packet in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            if let Some(first) = packet.first_mut() {
                *first = version;
            }
            let _ = read(&packet);
        }
    }
}
