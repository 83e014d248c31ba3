//! Variables that lead an agent to a host that is not reached inside: `ANTHROPIC_BASE_URL` of a gateway
//! on this machine was no trouble with the host's network, and is a silent failure with one of names.
//! It must never show the value of a variable, which may hold a key.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;

use super::environment::{From as Comes, Variable};
use crate::network::plan::{Allow, Network};
use crate::network::rule::{Decision, Host};
use crate::visible::visible;

/// A remark for each variable that names a host which is not reached.
pub(super) fn nowhere(network: &Network, environment: &[Variable]) -> Vec<String> {
    let Network::Allow(allow) = network else { return Vec::new() };
    let theirs = environment.iter().filter(|variable| variable.from != Comes::Sandbox);
    theirs.filter_map(|variable| remark(allow, variable)).collect()
}

fn remark(allow: &Allow, variable: &Variable) -> Option<String> {
    let ends = [&b"_BASE_URL"[..], b"_API_BASE", b"_ENDPOINT"];
    let name = variable.name.as_bytes();
    if !ends.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    let (host, port) = place(variable.value.to_str()?)?;
    let name = visible(name);
    match is_own(&host) {
        true if allow.host_ports.contains(&port) => None,
        true => Some(format!(
            "{name} leads to port {port} of this machine, which is not there inside; \
             --host-port {port} makes it so"
        )),
        false if matches!(allow.rules.decide(&host, port), Decision::Allowed(_)) => None,
        false => Some(format!(
            "{name} leads to a host that no rule allows; name it with --allow HOST:{port}, or in \
             `network.allow` of a profile"
        )),
    }
}

/// Where an `http://` or `https://` URL leads.
fn place(url: &str) -> Option<(Host, u16)> {
    let (rest, otherwise) = match url.split_once("://")? {
        (scheme, rest) if scheme.eq_ignore_ascii_case("https") => (rest, 443),
        (scheme, rest) if scheme.eq_ignore_ascii_case("http") => (rest, 80),
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(six) => six.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(otherwise), |port| port.parse().ok())?;
    let host = match host.parse::<IpAddr>() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(host.parse().ok()?),
    };
    Some((host, port))
}

/// Whether a host is whoever asks.
fn is_own(host: &Host) -> bool {
    match host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => name.as_str().rsplit('.').next() == Some("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::fixture::{Case, at, list};

    fn remarks(value: &str) -> Vec<String> {
        let case = Case::debian().with(|case| {
            case.host.environment.insert("ANTHROPIC_BASE_URL".into(), value.into());
            case.settings.pass = list(1, &["ANTHROPIC_*"]);
            case.settings.network.allow = list(2, &["gateway.example:8443", "10.0.0.1:80"]);
            case.settings.network.host_ports = vec![at(3, 3456)];
        });
        case.policy().unwrap().remarks
    }

    #[test]
    fn what_is_not_reached_is_said() {
        insta::assert_snapshot!(remarks("http://user:s3cret@localhost:4000/v1").join("\n"), @"ANTHROPIC_BASE_URL leads to port 4000 of this machine, which is not there inside; --host-port 4000 makes it so");
        insta::assert_snapshot!(remarks("https://api.example").join("\n"), @"ANTHROPIC_BASE_URL leads to a host that no rule allows; name it with --allow HOST:443, or in `network.allow` of a profile");
        for elsewhere in
            ["http://127.0.0.1", "http://[::1]:1", "https://gateway.example", "http://10.0.0.2"]
        {
            assert_eq!(remarks(elsewhere).len(), 1, "{elsewhere}");
        }
    }

    #[test]
    fn what_is_reached_or_no_address_is_not() {
        for there in [
            "http://localhost:3456",
            "https://gateway.example:8443/x",
            "http://10.0.0.1/",
            "",
            "x",
            "ftp://a.example",
            "http://",
            "http://a b",
        ] {
            assert_eq!(remarks(there), [""; 0], "{there}");
        }
        let host = Case::debian().with(|case| {
            case.host.environment.insert("X_BASE_URL".into(), "http://localhost:1".into());
            case.settings.pass = list(1, &["X_*"]);
            case.invocation.network = Some(crate::profile::schema::NetworkMode::Host);
        });
        assert!(host.policy().unwrap().remarks.is_empty());
    }
}
