//! Which addresses a name may lead to. A name is the allow-list's word, its addresses are whatever
//! its owner says today: without this a name server of a stranger would open the host's loopback,
//! the cloud's metadata service and the local network (SSRF, DNS rebinding). It must never let an
//! address through because it is written in another way.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {
    /// `0.0.0.0/8`, `::`: the host itself, to connect(2).
    Unspecified,
    /// `127.0.0.0/8`, `::1`: the host itself.
    Loopback,
    /// `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// A cloud's metadata service, wherever it is: credentials for the asking.
    Metadata,
    /// More than one receiver.
    Multicast,
    /// Nobody's, or for a special use (RFC 6890).
    Reserved,
    /// An address of this machine, judged at the edge.
    Own,
    /// A local network's; a rule may allow it.
    Private,
}

impl Never {
    /// For a person: "it resolves to ...".
    pub fn words(self) -> &'static str {
        match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata service",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
            Self::Own => "an address of this machine",
            Self::Private => "a private address",
        }
    }
}

impl fmt::Display for Never {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.words())
    }
}

/// Metadata services outside of the link-local networks: Azure, Oracle, Alibaba.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(100, 100, 100, 200),
];

/// Of AWS and Google, in the private networks.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Whether an address may be dialled; `private` where the rule allows private ones.
///
/// 198.18.0.0/15 may: proxies of the fake-ip kind on the host resolve every name to it.
///
/// # Errors
/// Why not.
pub fn judge(address: IpAddr, private: bool) -> Result<(), Never> {
    let never = match address {
        IpAddr::V4(v4) => never_v4(v4),
        IpAddr::V6(v6) => never_v6(v6),
    };
    match never {
        Some(Never::Private) if private => Ok(()),
        Some(never) => Err(never),
        None => Ok(()),
    }
}

fn never_v4(address: Ipv4Addr) -> Option<Never> {
    if METADATA_V4.contains(&address) {
        return Some(Never::Metadata);
    }
    match address.octets() {
        [0, ..] => Some(Never::Unspecified),
        [127, ..] => Some(Never::Loopback),
        [169, 254, ..] => Some(Never::LinkLocal),
        [224..=239, ..] => Some(Never::Multicast),
        [240..=255, ..] | [192, 0, 0, _] => Some(Never::Reserved),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Some(Never::Private)
        }
        _ => None,
    }
}

fn never_v6(address: Ipv6Addr) -> Option<Never> {
    if METADATA_V6.contains(&address) {
        return Some(Never::Metadata);
    }
    if address.is_unspecified() {
        return Some(Never::Unspecified);
    }
    if address.is_loopback() {
        return Some(Never::Loopback);
    }
    let mut worst = None;
    for v4 in embedded(address).into_iter().flatten() {
        match never_v4(v4) {
            Some(Never::Private) => worst = Some(Never::Private),
            Some(never) => return Some(never),
            None => {}
        }
    }
    if worst.is_some() {
        return worst;
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] => Some(Never::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Never::Multicast),
        // The last is a translator of the local network (RFC 8215).
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Some(Never::Private),
        // Global unicast, and what stands for an IPv4 address, which was judged.
        [0x2000..=0x3fff, ..]
        | [0x64, 0xff9b, 0, ..]
        | [0, 0, 0, 0, 0, 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..] => None,
        _ => Some(Never::Reserved),
    }
}

/// The IPv4 addresses that an IPv6 address stands for, where it does.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match s {
        // Mapped, compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052, RFC 8215).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..] => [v4(s[6], s[7]), None],
        // 6to4 (RFC 3056).
        [0x2002, ..] => [v4(s[1], s[2]), None],
        // Teredo (RFC 4380): the server, and the client, inverted.
        [0x2001, 0, ..] => [v4(s[2], s[3]), v4(!s[6], !s[7])],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str, private: bool) -> Result<(), Never> {
        judge(text.parse().unwrap(), private)
    }

    #[test]
    fn what_is_never_dialled() {
        let table = [
            ("0.0.0.0", Never::Unspecified),
            ("0.1.2.3", Never::Unspecified),
            ("127.0.0.1", Never::Loopback),
            ("127.255.255.254", Never::Loopback),
            ("169.254.169.254", Never::LinkLocal),
            ("169.254.170.2", Never::LinkLocal),
            ("168.63.129.16", Never::Metadata),
            ("192.0.0.192", Never::Metadata),
            ("100.100.100.200", Never::Metadata),
            ("224.0.0.251", Never::Multicast),
            ("239.255.255.250", Never::Multicast),
            ("240.0.0.1", Never::Reserved),
            ("255.255.255.255", Never::Reserved),
            ("192.0.0.8", Never::Reserved),
            ("::", Never::Unspecified),
            ("::1", Never::Loopback),
            ("fe80::1", Never::LinkLocal),
            ("febf::1", Never::LinkLocal),
            ("ff02::fb", Never::Multicast),
            ("fd00:ec2::254", Never::Metadata),
            ("fd20:ce::254", Never::Metadata),
            ("100::1", Never::Reserved),
            ("4000::1", Never::Reserved),
            // The same in other words.
            ("::ffff:127.0.0.1", Never::Loopback),
            ("::ffff:169.254.169.254", Never::LinkLocal),
            ("::127.0.0.1", Never::Loopback),
            ("::ffff:0:127.0.0.1", Never::Loopback),
            ("64:ff9b::127.0.0.1", Never::Loopback),
            ("64:ff9b::168.63.129.16", Never::Metadata),
            ("64:ff9b:1::169.254.169.254", Never::LinkLocal),
            ("2002:7f00:1::", Never::Loopback),
            ("2002:a9fe:a9fe::1", Never::LinkLocal),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", Never::Loopback),
            ("2001:0:7f00:1::", Never::Loopback),
        ];
        for (text, never) in table {
            // No rule allows them.
            assert_eq!(said(text, true), Err(never), "{text}");
            assert_eq!(said(text, false), Err(never), "{text}");
        }
    }

    #[test]
    fn what_only_a_rule_with_private_allows() {
        let table = [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::192.168.0.1",
            "64:ff9b:1::1.1.1.1",
            "2002:a00:1::",
        ];
        for text in table {
            assert_eq!(said(text, false), Err(Never::Private), "{text}");
            assert_eq!(said(text, true), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_dialled() {
        let table = [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "192.0.2.1",
            "2606:4700::1",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
            "2002:101:101::1",
        ];
        for text in table {
            assert_eq!(said(text, false), Ok(()), "{text}");
        }
    }

    proptest! {
        /// However an IPv4 address is wrapped, it is what it is.
        #[test]
        fn a_wrapped_address_is_judged_as_itself(bits: u32, private: bool) {
            let v4 = Ipv4Addr::from(bits);
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let wrapped = [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ];
            for v6 in wrapped {
                prop_assert_eq!(judge(v6.into(), private), judge(v4.into(), private));
            }
        }
    }
}
