//! What the compatibility proxy is asked, as bytes: for programs that want a proxy, and where there
//! is nothing but a proxy. It must never read a target otherwise than the client wrote it.
#![forbid(unsafe_code)]

pub mod http;
pub mod socks;

use std::net::{IpAddr, Ipv6Addr};

use super::rule::Host;

/// A host as a client writes it: an address in its usual spelling, or a name. An IPv4 address
/// that is written as an IPv6 address is the IPv4 address.
pub fn host(text: &str) -> Option<Host> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(Host::Address(address.to_canonical())),
        // Other spellings of an address are none of a name.
        Err(_) => text.parse().ok().map(Host::Name),
    }
}

/// `HOST:PORT`, `[IPV6]:PORT`, and without a port where there is one to take.
pub fn authority(text: &str, port: Option<u16>) -> Option<(Host, u16)> {
    let (name, rest) = if let Some(text) = text.strip_prefix('[') {
        let (address, rest) = text.split_once(']')?;
        (Host::Address(address.parse::<Ipv6Addr>().ok()?.to_canonical()), rest)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        (host(&text[..end])?, &text[end..])
    };
    let port = match rest.strip_prefix(':') {
        // No sign, no space: what `parse` takes for more than digits is none.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None if rest.is_empty() => port?,
        _ => return None,
    };
    (port != 0).then_some((name, port))
}

/// The other way round.
pub fn written(host: &Host, port: u16) -> String {
    match host {
        Host::Address(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Host::Address(address) => format!("{address}:{port}"),
        Host::Name(name) => format!("{name}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_or_an_address_with_a_port() {
        let table = [
            ("a.test:443", "a.test:443"),
            ("A.Test.:8443", "a.test:8443"),
            ("1.2.3.4:22", "1.2.3.4:22"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            // Another spelling of an address is the address.
            ("[::ffff:7f00:1]:80", "127.0.0.1:80"),
            ("a.test", "a.test:80"),
        ];
        for (text, same) in table {
            let (host, port) = authority(text, Some(80)).unwrap();
            assert_eq!(written(&host, port), same);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_none() {
        let table = [
            "",
            ":443",
            "a.test:",
            "a.test:0",
            "a.test:65536",
            "a.test:+80",
            "a.test:80:90",
            "user@a.test:80",
            "a.test@evil.net:80",
            "a.test#x:80",
            "a.test/x:80",
            "a test:80",
            "a..test:80",
            "a.test..:80",
            "127.1:80",
            "2130706433:80",
            "0x7f.1:80",
            "0177.0.0.1:80",
            "1.2.3.4%x.test:80",
            "2001:db8::1:443",
            "[2001:db8::1",
            "[1.2.3.4]:80",
            "[a.test]:80",
            "[fe80::1%eth0]:80",
            "a\0.test:80",
            "a%00.test:80",
            "g\u{131}t.test:80",
        ];
        for text in table {
            assert_eq!(authority(text, Some(80)), None, "{text:?}");
        }
        assert_eq!(authority("a.test", None), None);
    }
}
