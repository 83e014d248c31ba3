//! What may be reached: rules of names, addresses and ports, and the decision they make of a
//! target. A denial wins over every allowance. It must never resolve a name.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::name::Name;

/// What something inside wants to reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Host {
    /// By name.
    Name(Name),
    /// By address, and without any name.
    Address(IpAddr),
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// `example.com`: this name.
    Name(Name),
    /// `*.example.com`: every name below it, however deep, and not itself.
    Below(Name),
    /// `10.1.0.0/16`, `10.1.2.3`: these addresses, reached by address.
    Net(IpNet),
    /// `*`: everything. Only in a denial.
    All,
}

/// One rule, as it stands after the profiles were merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What it is about.
    pub to: To,
    /// At which port; `None`, for a denial only: at all.
    pub port: Option<u16>,
    /// No TLS with the right name is demanded at this port (see [`Rule::demands_tls`]).
    pub raw: bool,
    /// Names may resolve to private addresses (RFC 1918, RFC 6598, RFC 4193).
    pub private: bool,
    /// As it was written: `*.github.com`, `@npm`.
    pub text: String,
    /// The file and line that say so, for a person: `claude.toml:12 (built in)`, `--allow`.
    pub origin: String,
}

/// All rules of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What may be reached.
    pub allow: Vec<Rule>,
    /// What may not, whatever allows it.
    pub deny: Vec<Rule>,
}

/// What the rules say of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// It may be reached.
    Allowed(&'a Rule),
    /// A rule forbids it.
    Denied(&'a Rule),
    /// No rule allows it.
    NotListed,
}

/// As a rule writes it, and always with a port that is one: `*.github.com:443`, `[::1]:80 raw`.
impl fmt::Display for Rule {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Name(name) => write!(to, "{name}")?,
            To::Below(name) => write!(to, "*.{name}")?,
            To::Net(net) => {
                let single = net.prefix_len() == net.max_prefix_len();
                let text = if single { net.addr().to_string() } else { net.to_string() };
                match net {
                    IpNet::V4(_) => to.write_str(&text)?,
                    IpNet::V6(_) => write!(to, "[{text}]")?,
                }
            }
            To::All => to.write_str("*")?,
        }
        self.port.iter().try_for_each(|port| write!(to, ":{port}"))?;
        let by_name = !matches!(self.to, To::Net(_));
        for (word, said) in [(" raw", self.raw), (" private", self.private && by_name)] {
            if said {
                to.write_str(word)?;
            }
        }
        Ok(())
    }
}

/// The port at which TLS is expected where nothing else is said.
pub const HTTPS: u16 = 443;

impl Rule {
    /// Whether it is about this target.
    pub fn matches(&self, host: &Host, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && self.is_about(host)
    }

    fn is_about(&self, host: &Host) -> bool {
        match (&self.to, host) {
            (To::All, _) => true,
            (To::Name(own), Host::Name(name)) => own == name,
            (To::Below(above), Host::Name(name)) => name.is_below(above),
            (To::Net(net), Host::Address(address)) => net.contains(address),
            (To::Name(_) | To::Below(_), Host::Address(_)) | (To::Net(_), Host::Name(_)) => false,
        }
    }

    /// Whether a connection must begin with a TLS hello for the very name it was opened to: without
    /// it an allowed name is a tunnel to any server that shares its address.
    pub fn demands_tls(&self) -> bool {
        !self.raw && self.port == Some(HTTPS) && !matches!(self.to, To::Net(_))
    }
}

impl Rules {
    /// What they say of a target.
    pub fn decide(&self, host: &Host, port: u16) -> Decision<'_> {
        if let Some(rule) = self.deny.iter().find(|rule| rule.matches(host, port)) {
            return Decision::Denied(rule);
        }
        // Of several that allow it the least strict one was meant.
        let mut allowing: Vec<&Rule> =
            self.allow.iter().filter(|rule| rule.matches(host, port)).collect();
        allowing.sort_by_key(|rule| (!rule.raw, !rule.private));
        allowing.first().map_or(Decision::NotListed, |rule| Decision::Allowed(rule))
    }

    /// The ports at which a host may be reached, ascending.
    pub fn ports(&self, host: &Host) -> Vec<u16> {
        let mut ports: Vec<u16> = self
            .allow
            .iter()
            .filter(|rule| rule.is_about(host))
            .filter_map(|rule| rule.port)
            .filter(|port| matches!(self.decide(host, *port), Decision::Allowed(_)))
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::parse;
    use proptest::prelude::*;
    use proptest::sample::select;

    const HOSTS: [&str; 8] =
        ["a", "x.a", "y.x.a", "b", "x.b", "10.0.0.1", "10.0.0.2", "2001:db8::1"];

    fn host(text: &str) -> Host {
        text.parse().map_or_else(|_| Host::Name(text.parse().unwrap()), Host::Address)
    }

    fn text() -> impl Strategy<Value = String> {
        let to = select(vec![
            "a",
            "*.a",
            "*.x.a",
            "b",
            "x.b",
            "10.0.0.1",
            "10.0.0.0/30",
            "[2001:db8::/32]",
        ]);
        (to, select(vec!["", ":22", ":443"])).prop_map(|(to, port)| format!("{to}{port}"))
    }

    fn rules() -> impl Strategy<Value = Rules> {
        let allow = (text(), select(vec!["", " raw", " private", " raw private"]))
            .prop_map(|(text, words)| parse::allow(&format!("{text}{words}"), "o").unwrap());
        let deny = prop_oneof![9 => text(), 1 => Just("*".to_owned())]
            .prop_map(|text| parse::deny(&text, "o").unwrap());
        (prop::collection::vec(allow, 0..5), prop::collection::vec(deny, 0..3))
            .prop_map(|(allow, deny)| Rules { allow, deny })
    }

    fn allowed(rules: &Rules, target: &Host, port: u16) -> bool {
        matches!(rules.decide(target, port), Decision::Allowed(_))
    }

    #[test]
    fn of_several_that_allow_the_least_strict_was_meant() {
        let allow = ["*.a", "x.a private", "x.a raw"].map(|text| parse::allow(text, "o").unwrap());
        let rules = Rules { allow: allow.to_vec(), deny: Vec::new() };
        match rules.decide(&host("x.a"), 443) {
            Decision::Allowed(rule) => assert_eq!(rule.text, "x.a raw"),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_denial_takes_away_and_an_allowance_adds(
            before in rules(), more in rules(), target in select(HOSTS.to_vec()), port in select(vec![22, 80, 443]),
        ) {
            let target = host(target);
            let was = allowed(&before, &target, port);
            let mut denied = before.clone();
            denied.deny.extend(more.deny.iter().cloned());
            prop_assert!(was || !allowed(&denied, &target, port));
            prop_assert!(!more.deny.iter().any(|rule| rule.matches(&target, port)) || !allowed(&denied, &target, port));
            let mut wider = before.clone();
            wider.allow.extend(more.allow);
            prop_assert!(!was || allowed(&wider, &target, port));
        }

        #[test]
        fn the_ports_are_those_that_are_allowed(rules in rules(), target in select(HOSTS.to_vec())) {
            let target = host(target);
            let ports = rules.ports(&target);
            prop_assert!(ports.is_sorted());
            for port in [1, 22, 80, 443, 65535] {
                prop_assert_eq!(ports.contains(&port), allowed(&rules, &target, port));
            }
        }

        #[test]
        fn the_plan_carries_the_rules_as_they_are(rules in rules()) {
            let json = serde_json::to_string(&rules).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rules>(&json).unwrap(), rules);
        }
    }
}
