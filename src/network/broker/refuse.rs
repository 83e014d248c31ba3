//! Refusals as the log has them, with the words that would lift them. It must never offer to allow
//! what no rule allows.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use crate::log::clock::now;
use crate::log::event::{Refused, RuleSaid};
use crate::network::guard::{self, Never};
use crate::network::proxy::written;
use crate::network::rule::{HTTPS, Host};

/// A host as the log shows it.
pub(super) fn shown(host: &Host) -> String {
    match host {
        Host::Name(name) => name.to_string(),
        Host::Address(address) => address.to_string(),
    }
}

/// The rule that would allow a target; the guard lets no rule speak of some addresses.
fn allowed_by(host: &Host, port: u16) -> Option<String> {
    let guarded = matches!(host, Host::Address(address) if guard::judge(*address, true).is_err());
    (!guarded).then(|| as_rule(host, port))
}

/// A target as `claudebox allow` takes it.
pub(super) fn as_rule(host: &Host, port: u16) -> String {
    match (host, port) {
        (Host::Name(name), HTTPS) => name.to_string(),
        _ => written(host, port),
    }
}

fn tcp(host: &Host, port: u16, why: &str) -> Refused {
    Refused {
        t: now(),
        host: shown(host),
        port: Some(port),
        protocol: "tcp".to_owned(),
        why: why.to_owned(),
        times: 1,
        ..Refused::default()
    }
}

/// No rule allows it, or this one forbids it.
pub(super) fn not_allowed(host: &Host, port: u16, denial: Option<RuleSaid>) -> Refused {
    match denial {
        Some(rule) => Refused { rule: Some(rule), ..tcp(host, port, "denied") },
        None => Refused { allow: allowed_by(host, port), ..tcp(host, port, "not-listed") },
    }
}

/// The same of a name that was looked up; `host` is `None` where it is no host's name.
pub(super) fn name(shown: String, host: Option<&Host>, denial: Option<RuleSaid>) -> Refused {
    let why = if denial.is_some() { "denied" } else { "not-listed" };
    let allow = host.filter(|_| denial.is_none()).map(|host| as_rule(host, HTTPS));
    Refused {
        t: now(),
        host: shown,
        protocol: "dns".to_owned(),
        why: why.to_owned(),
        rule: denial,
        times: 1,
        allow,
        ..Refused::default()
    }
}

/// It does not begin with a TLS hello; `detail` says what it was.
pub(super) fn no_tls(host: &Host, port: u16, detail: &str) -> Refused {
    let allow = Some(format!("{} raw", written(host, port)));
    Refused { allow, detail: Some(detail.to_owned()), ..tcp(host, port, "no-tls") }
}

/// Its hello is for another.
pub(super) fn other_name(host: &Host, port: u16, other: String) -> Refused {
    let allow = Some(format!("{} raw", written(host, port)));
    Refused { allow, detail: Some(other), ..tcp(host, port, "other-name") }
}

/// Its name leads to an address that is not dialled.
pub(super) fn guarded(host: &Host, port: u16, address: IpAddr, never: Never) -> Refused {
    let allow = matches!((never, host), (Never::Private, Host::Name(_)));
    Refused {
        detail: Some(format!("{address}, {never}")),
        allow: allow.then(|| format!("{} private", as_rule(host, port))),
        ..tcp(host, port, "private")
    }
}

/// There are too many of them.
pub(super) fn too_many(host: &Host, port: u16) -> Refused {
    tcp(host, port, "too-many")
}

/// There are too many names.
pub(super) fn too_many_names(shown: String) -> Refused {
    Refused { why: "too-many".to_owned(), ..name(shown, None, None) }
}

/// The compatibility proxy was asked nonsense.
pub(super) fn nonsense(detail: &str) -> Refused {
    Refused {
        t: now(),
        host: "proxy".to_owned(),
        protocol: "tcp".to_owned(),
        why: "proxy".to_owned(),
        times: 1,
        detail: Some(detail.to_owned()),
        ..Refused::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        crate::network::proxy::host(text).unwrap()
    }

    #[test]
    fn a_refusal_says_what_would_allow_it() {
        let allow = |refused: Refused| refused.allow.unwrap_or_default();
        assert_eq!(allow(not_allowed(&host("a.test"), 443, None)), "a.test");
        assert_eq!(allow(not_allowed(&host("a.test"), 22, None)), "a.test:22");
        assert_eq!(allow(not_allowed(&host("1.2.3.4"), 443, None)), "1.2.3.4:443");
        assert_eq!(allow(not_allowed(&host("2001:db8::1"), 22, None)), "[2001:db8::1]:22");
        assert_eq!(allow(no_tls(&host("a.test"), 443, "")), "a.test:443 raw");
        let address = "10.0.0.1".parse().unwrap();
        assert_eq!(
            allow(guarded(&host("a.test"), 22, address, Never::Private)),
            "a.test:22 private"
        );
    }

    #[test]
    fn what_nothing_allows_offers_nothing() {
        let address = "127.0.0.1".parse().unwrap();
        let loopback = guarded(&host("a.test"), 443, address, Never::Loopback);
        let denied = not_allowed(&host("a.test"), 443, Some(RuleSaid::default()));
        let itself = not_allowed(&host("127.0.0.1"), 443, None);
        for refused in [loopback, itself, denied, too_many(&host("a.test"), 443), nonsense("")] {
            assert_eq!(refused.allow, None, "{refused:?}");
        }
    }
}
