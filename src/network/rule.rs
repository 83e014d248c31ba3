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
