//! The addresses that names get inside: one name, one address, so that whoever connects to it has
//! said which name is meant, whatever the protocol. It must never give an address to two names.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use sha2::{Digest as _, Sha256};

use super::name::Name;

/// The addresses of a session whose profile says nothing of it.
///
/// They have to look like any address of the internet: guards against SSRF in the agents' own tools
/// refuse what is set apart for special use, 198.18.0.0/15 too, which is made for the purpose (seen of
/// Gemini CLI's `web_fetch`; Python's `is_private`, `ipaddr.js`; openclaw#25215, hermes-agent#87106,
/// picoclaw#3085). These belong to a ministry that announces them to nobody. They are seen inside and
/// go nowhere else.
pub const DEFAULT: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(25, 64, 0, 0), 15);

/// Of the first addresses: the network's own, the gateway's, the sandbox's.
const RESERVED: u32 = 3;

/// The gateway's address: the first of the pool.
pub fn gateway(pool: Ipv4Net) -> Ipv4Addr {
    at(pool, 1)
}

/// The sandbox's own address: the second.
pub fn sandbox(pool: Ipv4Net) -> Ipv4Addr {
    at(pool, 2)
}

fn at(pool: Ipv4Net, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(pool.network()).saturating_add(offset))
}

/// Which name has which address.
#[derive(Debug)]
pub struct Pool {
    net: Ipv4Net,
    most: usize,
    addresses: HashMap<Name, Ipv4Addr>,
    names: HashMap<Ipv4Addr, Name>,
}

impl Pool {
    /// An empty one, for at most so many names.
    pub fn new(net: Ipv4Net, most: usize) -> Self {
        Self { net, most, addresses: HashMap::new(), names: HashMap::new() }
    }

    /// The name's address, now and for the rest of the session. Another session gives the same one,
    /// as far as it is free there: `known_hosts` and caches hold addresses. `None` once there are
    /// as many names as there may be. `taken` says which addresses mean themselves.
    pub fn address(&mut self, name: &Name, taken: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        if let Some(address) = self.addresses.get(name) {
            return Some(*address);
        }
        if self.addresses.len() >= self.most {
            return None;
        }
        let address = self.candidates(name).find(|address| {
            // Some take the last byte for a network's own address or its broadcast.
            !matches!(address.octets()[3], 0 | 255)
                && !self.names.contains_key(address)
                && !taken(*address)
        })?;
        self.addresses.insert(name.clone(), address);
        self.names.insert(address, name.clone());
        Some(address)
    }

    /// Every address that a name may have, beginning where its hash leads.
    fn candidates(&self, name: &Name) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let net = self.net;
        let size = u32::from(net.broadcast()) - u32::from(net.network());
        let usable = size.saturating_sub(RESERVED);
        let hash = Sha256::digest(name.as_str());
        let start = hash.iter().take(8).fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let start = u32::try_from(start % u64::from(usable.max(1))).unwrap_or(0);
        (0..usable).map(move |step| {
            let offset = (u64::from(start) + u64::from(step)) % u64::from(usable);
            at(net, RESERVED + u32::try_from(offset).unwrap_or(0))
        })
    }

    /// Whose address this is.
    pub fn name(&self, address: Ipv4Addr) -> Option<&Name> {
        self.names.get(&address)
    }

    /// Every name with its address.
    pub fn names(&self) -> impl Iterator<Item = (&Name, Ipv4Addr)> {
        self.addresses.iter().map(|(name, address)| (name, *address))
    }

    /// How many names have one.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether no name has one.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Whether this address belongs to the pool, somebody's or not.
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        self.net.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_has_one_address_in_every_session() {
        let (mut one, mut other) = (Pool::new(DEFAULT, 9), Pool::new(DEFAULT, 9));
        let address = one.address(&name("github.com"), |_| false).unwrap();
        other.address(&name("example.com"), |_| false).unwrap();
        assert_eq!(other.address(&name("github.com"), |_| false), Some(address));
        assert_eq!(one.address(&name("GitHub.com."), |_| false), Some(address));
        assert_eq!(one.name(address), Some(&name("github.com")));
        assert!(DEFAULT.contains(&address));
    }

    #[test]
    fn the_first_two_are_the_gateway_and_the_sandbox() {
        assert_eq!(gateway(DEFAULT), Ipv4Addr::new(25, 64, 0, 1));
        assert_eq!(sandbox(DEFAULT), Ipv4Addr::new(25, 64, 0, 2));
    }

    #[test]
    fn a_small_pool_is_used_up_and_gives_nothing_twice() {
        let net: Ipv4Net = "10.9.8.0/28".parse().unwrap();
        let mut pool = Pool::new(net, 100);
        let taken = Ipv4Addr::new(10, 9, 8, 7);
        let given: Vec<Ipv4Addr> = (0..40)
            .filter_map(|number| pool.address(&name(&format!("n{number}.test")), |a| a == taken))
            .collect();
        // 16 less the network, the gateway, the sandbox, the broadcast, and the one that is taken.
        assert_eq!(given.len(), 11);
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len());
        assert!(!given.contains(&gateway(net)) && !given.contains(&sandbox(net)));
        assert!(!given.contains(&taken));
    }

    #[test]
    fn a_full_table_gives_no_address_to_a_new_name() {
        let mut pool = Pool::new(DEFAULT, 1);
        assert!(pool.address(&name("a.test"), |_| false).is_some());
        assert_eq!(pool.address(&name("b.test"), |_| false), None);
        assert!(pool.address(&name("a.test"), |_| false).is_some());
    }

    #[test]
    fn a_pool_without_room_is_no_panic() {
        for prefix in 29..=32 {
            let net = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), prefix).unwrap();
            let _ = Pool::new(net, 9).address(&name("a.test"), |_| false);
        }
        let top = Ipv4Net::new(Ipv4Addr::BROADCAST, 32).unwrap();
        let _ = (gateway(top), sandbox(top));
    }
}
