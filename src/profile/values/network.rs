//! What a profile may say of the network: rules, groups, ports, the pool. Checked where it is parsed,
//! like all other values.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Checked, quote};
use crate::network::parse;
use crate::network::plan::Publish;

/// Declares a text with a meaning: a newtype that keeps both, whose only way in is its parser.
macro_rules! parsed {
    ($(#[$doc:meta])* $name:ident, $meaning:ty, $is:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            text: String,
            meaning: $meaning,
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_string(Checked(|text: String| {
                    $parse(&text).map(|meaning| Self { text, meaning })
                }))
            }
        }

        impl $name {
            /// The text as written.
            pub fn as_str(&self) -> &str {
                &self.text
            }

            /// What it means.
            pub fn $is(&self) -> $meaning {
                self.meaning
            }
        }
    };
}

checked! {
    /// What may be reached: a rule ([`parse::allow`]), or `@GROUP`.
    AllowRule, check_allow
}
checked! {
    /// What may not be reached: a rule ([`parse::deny`]), or `@GROUP`.
    DenyRule, check_deny
}
checked! {
    /// The name of a group of rules, without its `@`.
    GroupName, check_group
}
parsed! {
    /// `PORT` or `PORT:HOST-PORT`, see [`parse_publish`].
    PublishedPort, Publish, ports, parse_publish
}
parsed! {
    /// A net of IPv4 addresses, see [`parse_pool`].
    Pool, Ipv4Net, net, parse_pool
}

/// The number of a TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Port;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, like 8080")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Port, E> {
                match u16::try_from(number) {
                    Ok(port) if port != 0 => Ok(Port(port)),
                    _ => Err(E::custom(format!("{number} is not a port\n{PORTS}"))),
                }
            }
        }
        deserializer.deserialize_i64(Number)
    }
}

impl JsonSchema for Port {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}

const PORTS: &str = "a port is a number from 1 to 65535";

fn check_allow(text: &str) -> Result<(), String> {
    let group = parse::group(text).map_err(|mistake| mistake.to_string())?;
    if group.is_none() {
        parse::allow(text, "").map_err(|mistake| mistake.to_string())?;
    }
    Ok(())
}

fn check_deny(text: &str) -> Result<(), String> {
    let group = parse::group(text).map_err(|mistake| mistake.to_string())?;
    if group.is_none() {
        parse::deny(text, "").map_err(|mistake| mistake.to_string())?;
    }
    Ok(())
}

fn check_group(text: &str) -> Result<(), String> {
    match parse::group(&format!("@{text}")) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{} is not the name of a group\na name has small letters, digits and `-`",
            quote(text)
        )),
    }
}

/// `PORT` inside is there at the same port of the host's loopback, `PORT:HOST-PORT` at another, and
/// `PORT:0` at any that is free.
pub fn parse_publish(text: &str) -> Result<Publish, String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let (inside, outside) = text.split_once(':').unwrap_or((text, text));
    match (number(inside), number(outside)) {
        (Some(inside), Some(outside)) if inside != 0 => Ok(Publish { inside, outside }),
        _ => Err(format!(
            "{} is no port to publish\nwrite \"3000\", or \"3000:8080\" for port 8080 outside",
            quote(text)
        )),
    }
}

/// Addresses that names get inside. At least 256 of them, and none that has a meaning of its own.
pub fn parse_pool(text: &str) -> Result<Ipv4Net, String> {
    const HINT: &str = "write a net between /8 and /24 that you reach nothing in: \"25.96.0.0/15\"";
    let net: Ipv4Net = text
        .parse()
        .map_err(|_| format!("{} is not a net of IPv4 addresses\n{HINT}", quote(text)))?;
    let first = net.addr().octets()[0];
    let meant = net.trunc() == net && (8..=24).contains(&net.prefix_len());
    let free = !matches!(first, 0 | 127 | 224..)
        && !net.contains(&LINK_LOCAL)
        && !LINK_LOCAL.contains(&net);
    if meant && free { Ok(net) } else { Err(format!("{} cannot be the pool\n{HINT}", quote(text))) }
}

/// RFC 3927.
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_say_both_sides() {
        let publish = |inside, outside| Ok(Publish { inside, outside });
        assert_eq!(parse_publish("3000"), publish(3000, 3000));
        assert_eq!(parse_publish("3000:80"), publish(3000, 80));
        assert_eq!(parse_publish("3000:0"), publish(3000, 0));
        for wrong in ["", "0", "0:80", ":", "80:", ":80", "+1", "65536", "1:2:3", "a"] {
            assert!(parse_publish(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pool_is_a_net_that_means_nothing_else() {
        for right in ["198.18.0.0/15", "25.64.0.0/10", "10.99.0.0/24"] {
            assert!(parse_pool(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "x",
            "198.18.0.0",
            "198.18.0.1/15",
            "10.0.0.0/7",
            "10.0.0.0/25",
            "127.0.0.0/8",
            "0.0.0.0/8",
            "169.254.0.0/16",
            "169.254.7.0/24",
            "169.0.0.0/8",
            "224.0.0.0/8",
            "::/10",
        ] {
            assert!(parse_pool(wrong).is_err(), "{wrong}");
        }
    }
}
