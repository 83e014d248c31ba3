//! The network part of the plan: data only, made once by the front end.
#![forbid(unsafe_code)]

use std::fmt;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::name::Name;
use super::rule::Rules;
use crate::plan::Demand;

/// Which network there is inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Only a loopback of its own.
    #[default]
    None,
    /// The host's.
    Host,
    /// What the rules allow.
    Allow(Box<Allow>),
}

/// See [`Network::Allow`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// What may be reached at the start; `claudebox allow` adds to it.
    pub rules: Rules,
    /// The addresses that names get inside.
    pub pool: Ipv4Net,
    /// Ports of the host's loopback that are there inside, at the same number.
    pub host_ports: Vec<u16>,
    /// Ports inside that are there on the host's loopback.
    pub publish: Vec<Publish>,
    /// The port of the compatibility proxy, at the gateway's address; `None` for no proxy: then the
    /// environment inside names none, and [`super::sockets::Way::ProxyOnly`] would lead nowhere.
    pub proxy: Option<u16>,
    /// The proxy that the host itself has to use.
    pub upstream: Option<Upstream>,
    /// Whether less than a gateway of its own will do (see [`super::sockets::Way`]).
    pub transparent: Demand,
}

/// A port inside on the host's loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The port inside.
    pub inside: u16,
    /// The port of the host; 0 for any that is free.
    pub outside: u16,
}

/// How the host's proxy is spoken to, as a URL has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// CONNECT, with the name.
    Http,
    /// SOCKS 5; names are looked up here, and it is told addresses.
    Socks5,
    /// SOCKS 5; it is told the name.
    Socks5h,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http, Self::Socks5, Self::Socks5h];

    /// As a URL begins.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// Whether such a proxy finds out by itself what a name leads to.
    pub fn looks_names_up(self) -> bool {
        self != Self::Socks5
    }
}

/// A proxy of the host, through which the dialler goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `user:password` as the environment has it, percent-decoded. A secret: never shown.
    pub credentials: Option<String>,
    /// Hosts that are dialled directly (`NO_PROXY`), lower case; a leading dot means: and below.
    pub except: Vec<String>,
}

/// Without the credentials.
impl fmt::Debug for Upstream {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, credentials, except } = self;
        to.debug_struct("Upstream")
            .field("scheme", scheme)
            .field("host", host)
            .field("port", port)
            .field("credentials", &credentials.as_ref().map(|_| "..."))
            .field("except", except)
            .finish()
    }
}

impl Network {
    /// As a profile and the header write it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
            Self::Allow(_) => "allow",
        }
    }
}

impl Upstream {
    /// Whether this name is dialled directly.
    pub fn excepts(&self, name: &Name) -> bool {
        let name = name.as_str();
        self.except.iter().any(|except| {
            let bare = except.trim_start_matches("*.").trim_start_matches('.');
            except == "*"
                || name == bare
                || name.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.'))
        })
    }
}
