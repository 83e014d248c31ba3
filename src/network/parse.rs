//! Rules from their text: `example.com`, `*.example.com:8080`, `[2001:db8::1]:443`,
//! `ssh.example.com:443 raw`, and in a denial `*` too. It must never guess: a text that two readers
//! could read as two rules is a mistake, with the line that was probably meant.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::guard::{self, Never};
use super::name::{Name, NotAName};
use super::rule::{HTTPS, Rule, To};
use super::suffix;
use crate::visible::visible;

/// What is wrong with a rule, and what to write instead. Safe for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub what: String,
    /// What to do, if that is known.
    pub hint: Option<String>,
}

/// The first line says what is wrong, a second one is the hint.
impl fmt::Display for Mistake {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.what)?;
        self.hint.iter().try_for_each(|hint| write!(to, "\n{hint}"))
    }
}

impl std::error::Error for Mistake {}

/// Nothing to advise.
fn wrong(what: impl Into<String>) -> Mistake {
    Mistake { what: what.into(), hint: None }
}

fn mistake(what: impl Into<String>, hint: impl Into<String>) -> Mistake {
    Mistake { what: what.into(), hint: Some(hint.into()) }
}

/// A rule that allows. Without a port it is one for port 443.
///
/// # Errors
/// When the text is no rule, or one that would allow nothing, or everything.
pub fn allow(text: &str, origin: &str) -> Result<Rule, Mistake> {
    let Written { to, port, raw, private } = written(text)?;
    check_allowed(&to, text)?;
    // An address that is written down is meant, wherever it is.
    let private = private || matches!(to, To::Net(_));
    let port = Some(port.unwrap_or(HTTPS));
    Ok(Rule { to, port, raw, private, text: text.to_owned(), origin: origin.to_owned() })
}

/// A rule that denies. Without a port it denies every port.
///
/// # Errors
/// When the text is no rule, or has words that only mean something in a rule that allows.
pub fn deny(text: &str, origin: &str) -> Result<Rule, Mistake> {
    let Written { to, port, raw, private } = written(text)?;
    if raw || private {
        return Err(mistake(
            format!("{} allows something, and stands in a denial", quote(text)),
            "leave the words behind the host out",
        ));
    }
    Ok(Rule { to, port, raw, private, text: text.to_owned(), origin: origin.to_owned() })
}

/// The group that a text names: `npm` for `@npm`.
///
/// # Errors
/// When what stands behind the `@` is not a group's name.
pub fn group(text: &str) -> Result<Option<&str>, Mistake> {
    let Some(name) = text.strip_prefix('@') else { return Ok(None) };
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(letter) {
        return Ok(Some(name));
    }
    Err(mistake(
        format!("{} is not the name of a group", quote(text)),
        "a group is `@` and a name of small letters, digits and `-`; it takes no port and no words",
    ))
}

/// A rule's text taken apart.
struct Written {
    to: To,
    port: Option<u16>,
    raw: bool,
    private: bool,
}

fn written(text: &str) -> Result<Written, Mistake> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let Some(target) = words.next() else {
        return Err(mistake("a rule cannot be empty", "write a host: \"example.com\""));
    };
    if target.starts_with('@') {
        return Err(mistake(
            format!("{} is a group, and no host", quote(target)),
            "groups are taken apart when a session starts: in a profile, or with --allow @GROUP",
        ));
    }
    let (host, port) = split(target)?;
    let mut written = Written { to: to(host)?, port, raw: false, private: false };
    for word in words {
        match word {
            "raw" => written.raw = true,
            "private" => written.private = true,
            _ => {
                return Err(mistake(
                    format!("{} is no word of a rule", quote(word)),
                    "behind the host may stand `raw` and `private`; each host is a rule of its own",
                ));
            }
        }
    }
    Ok(written)
}

/// Host and port. An IPv6 address stands in brackets, so that its last part is no port.
fn split(target: &str) -> Result<(&str, Option<u16>), Mistake> {
    if let Some((_, rest)) = target.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        return Err(mistake(
            format!("{} is the address of a page, and a rule is about a host", quote(target)),
            format!("write \"{}\"", visible(host)),
        ));
    }
    if let Some(rest) = target.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else {
            return Err(mistake(
                format!("{} has no closing bracket", quote(target)),
                "write an IPv6 address as \"[2001:db8::1]:443\"",
            ));
        };
        if address.split('/').next().is_none_or(|ip| ip.parse::<Ipv6Addr>().is_err()) {
            return Err(mistake(
                format!("{} is not an IPv6 address", quote(address)),
                "only IPv6 addresses and nets stand in brackets: \"[2001:db8::/32]:443\"",
            ));
        }
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((address, None)),
            (_, Some(port)) => Ok((address, Some(number(port, target)?))),
            _ => Err(mistake(
                format!("{} cannot stand behind the bracket", quote(rest)),
                "a net has its length within: \"[2001:db8::/32]:443\"",
            )),
        };
    }
    match target.split_once(':') {
        None => Ok((target, None)),
        Some((_, port)) if port.contains(':') => {
            let six = target.split('/').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
            Err(if six {
                let shown = visible(target);
                mistake(
                    format!("{} has no brackets", quote(target)),
                    format!("write \"[{shown}]\""),
                )
            } else {
                wrong(format!("{} has two ports", quote(target)))
            })
        }
        Some((host, port)) => Ok((host, Some(number(port, target)?))),
    }
}

fn number(port: &str, target: &str) -> Result<u16, Mistake> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(mistake(
            format!("{}: {} is not a port", quote(target), quote(port)),
            "a port is a number from 1 to 65535; a rule is about one, several ports are several rules",
        )),
    }
}

fn to(host: &str) -> Result<To, Mistake> {
    if host == "*" {
        return Ok(To::All);
    }
    let below = host.strip_prefix("*.");
    if below.unwrap_or(host).contains('*') {
        return Err(mistake(
            format!("{} has a `*` where none can be", quote(host)),
            "`*.example.com` is every name below example.com",
        ));
    }
    if let Some(below) = below {
        return name(below, host).map(To::Below);
    }
    if let Some((address, _)) = host.split_once('/') {
        return match (host.parse::<IpNet>(), address.parse::<IpAddr>()) {
            (Ok(parsed), _) => net(parsed, host).map(To::Net),
            (Err(_), Ok(_)) => Err(mistake(
                format!("{} is not a net", quote(host)),
                "write it like \"10.1.0.0/16\"",
            )),
            _ => Err(mistake(
                format!("{} has a path, and a rule is about a host", quote(host)),
                format!("write \"{}\": all of the host, or nothing of it", visible(address)),
            )),
        };
    }
    match host.parse::<IpAddr>() {
        Ok(address) => net(address.into(), host).map(To::Net),
        Err(_) => name(host, host).map(To::Name),
    }
}

/// An address of another spelling must not be another address.
fn net(net: IpNet, host: &str) -> Result<IpNet, Mistake> {
    if let IpNet::V6(six) = net
        && let Some(four) = six.addr().to_ipv4_mapped()
    {
        return Err(mistake(
            format!("{} is an IPv4 address in disguise", quote(host)),
            format!("write \"{four}\""),
        ));
    }
    if net.trunc() != net {
        return Err(mistake(
            format!("{} has bits behind its length", quote(host)),
            format!("write \"{}\" for the net, \"{}\" for the address", net.trunc(), net.addr()),
        ));
    }
    Ok(net)
}

fn name(text: &str, host: &str) -> Result<Name, Mistake> {
    text.parse().map_err(|why| {
        let what = format!("{} is not a host: {why}", quote(host));
        match why {
            NotAName::Byte(_) if !host.is_ascii() => {
                mistake(what, "write the name in its ASCII form (`xn--...`), as a browser sends it")
            }
            NotAName::Address => {
                mistake(what, "write an address in full, as four decimal numbers: \"10.1.2.3\"")
            }
            NotAName::Byte(_) | NotAName::Empty | NotAName::TooLong => {
                mistake(what, "write it like \"example.com\" or \"example.com:8080\"")
            }
        }
    })
}

/// What no profile can allow: everything, everybody's names, what is the sandbox's own, and where
/// claudebox never connects to.
fn check_allowed(to: &To, text: &str) -> Result<(), Mistake> {
    let everything = || {
        mistake(
            format!("{} allows everything", quote(text)),
            "name the hosts; `network.mode = \"host\"` (--network host) is all of the host's network",
        )
    };
    match to {
        To::All => Err(everything()),
        To::Net(net) if net.prefix_len() == 0 => Err(everything()),
        To::Net(net) => {
            match (guard::judge(net.network(), true), guard::judge(net.broadcast(), true)) {
                (Err(Never::Loopback), Err(_)) => {
                    Err(mistake(format!("{} is the sandbox's own loopback", quote(text)), OWN_PORT))
                }
                (Err(never), Err(_)) => {
                    Err(wrong(format!("{} is {never}: no connection is made there", quote(text))))
                }
                _ => Ok(()),
            }
        }
        To::Below(name) if !name.as_str().contains('.') && suffix::is_public(name) => Err(mistake(
            format!("{} allows the names of everybody", quote(text)),
            "name the domains: \"*.example.com\"",
        )),
        To::Name(name) | To::Below(name) => {
            let last = name.as_str().rsplit('.').next();
            if last == Some("localhost") {
                return Err(mistake(
                    format!("{}: localhost is the sandbox itself", quote(text)),
                    OWN_PORT,
                ));
            }
            Ok(())
        }
    }
}

const OWN_PORT: &str = "a port of this machine's loopback is had with `network.host-ports` \
    (--host-port PORT)";

/// Foreign text within a message.
fn quote(text: &str) -> String {
    format!("`{}`", visible(text))
}

#[cfg(test)]
mod tests;
