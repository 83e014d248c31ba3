//! SOCKS 5 (RFC 1928): CONNECT only, without authentication. It must never read past the message
//! that it was given.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::rule::Host;

/// The first byte of each message.
pub const VERSION: u8 = 5;

/// What so many bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read<T> {
    /// Not enough yet.
    More,
    /// The message, and its length.
    Message(T, usize),
    /// None, or none that is answered: with this code.
    Refused(Code),
}

/// The second byte of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It is connected.
    Succeeded = 0,
    /// It could not be tried.
    Failure = 1,
    /// The rules do not allow it.
    NotAllowed = 2,
    /// It does not answer.
    Unreachable = 4,
    /// BIND and UDP ASSOCIATE are not there.
    NoSuchCommand = 7,
    /// An address of another kind.
    NoSuchAddress = 8,
}

/// The client's greeting: whether it does without authentication.
pub fn greeting(bytes: &[u8]) -> Read<bool> {
    let Some(count) = bytes.get(1) else { return Read::More };
    let length = 2 + usize::from(*count);
    match bytes.get(2..length) {
        Some(methods) => Read::Message(methods.contains(&0), length),
        None => Read::More,
    }
}

/// The answer to it.
pub fn method(without: bool) -> [u8; 2] {
    [VERSION, if without { 0 } else { 0xff }]
}

/// The client's request: where to connect to.
pub fn request(bytes: &[u8]) -> Read<(Host, u16)> {
    let Some([version, command, _, kind]) = bytes.get(..4) else { return Read::More };
    if *version != VERSION {
        return Read::Refused(Code::Failure);
    }
    if *command != 1 {
        return Read::Refused(Code::NoSuchCommand);
    }
    let (start, length) = match (kind, bytes.get(4)) {
        (1, _) => (4, 4),
        (4, _) => (4, 16),
        (3, Some(length)) => (5, usize::from(*length)),
        (3, None) => return Read::More,
        _ => return Read::Refused(Code::NoSuchAddress),
    };
    let end = start + length;
    let (Some(address), Some(port)) = (bytes.get(start..end), bytes.get(end..end + 2)) else {
        return Read::More;
    };
    let port = u16::from_be_bytes([port[0], port[1]]);
    match host(*kind, address) {
        Some(host) if port != 0 => Read::Message((host, port), end + 2),
        _ => Read::Refused(Code::Failure),
    }
}

fn host(kind: u8, address: &[u8]) -> Option<Host> {
    if kind == 3 {
        return super::host(std::str::from_utf8(address).ok()?);
    }
    let address = match address.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?)),
        _ => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
    };
    Some(Host::Address(address.to_canonical()))
}

/// The answer to a request. The address in it is of no use to anybody.
pub fn reply(code: Code) -> [u8; 10] {
    [VERSION, code as u8, 0, 1, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_greeting_is_read() {
        assert_eq!(greeting(&[5]), Read::More);
        assert_eq!(greeting(&[5, 2, 0]), Read::More);
        assert_eq!(greeting(&[5, 2, 2, 0, 9]), Read::Message(true, 4));
        assert_eq!(greeting(&[5, 1, 2]), Read::Message(false, 3));
        assert_eq!(greeting(&[5, 0]), Read::Message(false, 2));
    }

    #[test]
    fn a_request_is_read() {
        let name = [&[5, 1, 0, 3, 6][..], b"A.test", &[1, 0xbb], b"rest"].concat();
        let host = Host::Name("a.test".parse().unwrap());
        assert_eq!(request(&name), Read::Message((host, 443), 13));
        for length in 0..13 {
            assert_eq!(request(&name[..length]), Read::More, "{length}");
        }
        let host = Host::Address("1.2.3.4".parse().unwrap());
        assert_eq!(
            request(&[5, 1, 0, 1, 1, 2, 3, 4, 0, 22]),
            Read::Message((host.clone(), 22), 10)
        );
        let mut mapped = vec![5, 1, 0, 4];
        mapped.extend("::ffff:1.2.3.4".parse::<Ipv6Addr>().unwrap().octets());
        mapped.extend([0, 22]);
        assert_eq!(request(&mapped), Read::Message((host, 22), 22));
    }

    #[test]
    fn what_is_not_served_is_said() {
        for (bytes, code) in [
            (&[4, 1, 0, 80][..], Code::Failure),
            (&[5, 2, 0, 1], Code::NoSuchCommand),
            (&[5, 3, 0, 1], Code::NoSuchCommand),
            (&[5, 1, 0, 2], Code::NoSuchAddress),
            (&[5, 1, 0, 1, 1, 2, 3, 4, 0, 0], Code::Failure),
            (b"\x05\x01\x00\x03\x03a@b\x00\x50", Code::Failure),
            (b"\x05\x01\x00\x03\x02\xff\xff\x00\x50", Code::Failure),
            // Another's, to whoever reads to the NUL; ours, to whoever looks at the end.
            (b"\x05\x01\x00\x03\x08e.t\0.a.t\x00\x50", Code::Failure),
            (b"\x05\x01\x00\x03\x00\x00\x50", Code::Failure),
        ] {
            assert_eq!(request(bytes), Read::Refused(code), "{bytes:?}");
        }
        assert_eq!(reply(Code::NotAllowed)[..2], [5, 2]);
        assert_eq!(method(false), [5, 0xff]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = greeting(&bytes);
            if let Read::Message(_, length) = request(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
