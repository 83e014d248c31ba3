//! The network settled: rules from profiles and command line with their groups taken apart, each with
//! the place that asks for it; ports; the proxy that the host itself needs. It must never resolve a
//! name, and never show what stands before the `@` of a proxy's address.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use ipnet::Ipv4Net;

use super::Choices;
use super::draft::Draft;
use super::environment::matches;
use super::paths::place;
use super::upstream;
use crate::error::{Error, Result};
use crate::network::parse::{self, Mistake};
use crate::network::plan::{Allow, Network, Publish};
use crate::network::rule::{Rule, Rules, To};
use crate::network::{pool, suffix};
use crate::profile::groups::Groups;
use crate::profile::origin::{LayerKind, Origin, Settled};
use crate::profile::schema::{Demand, NetworkMode};
use crate::visible::visible;

/// The port of the compatibility proxy; what squid made the custom.
const PROXY_PORT: u16 = 3128;

/// The network of a session.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    /// What the supervisor gets.
    pub(super) network: Settled<Network>,
    /// The rest of what is decided about it, for a person: name, value, who said so.
    pub(super) shown: Vec<(&'static str, String, Origin)>,
}

/// Settles it.
///
/// # Errors
/// When a rule is wrong, or something was typed that this network cannot have.
pub(super) fn settle(draft: &mut Draft<'_>, choices: &Choices) -> Result<Reach> {
    let mode = &choices.network;
    let network = match mode.value {
        NetworkMode::None => Network::None,
        NetworkMode::Host => Network::Host,
        NetworkMode::Allow => {
            draft.own_names = true;
            let mut settling = Settling { draft, shown: Vec::new() };
            let allow = settling.allow()?;
            let shown = settling.shown;
            draft.weakened.extend(everybodys(&allow.rules));
            let network = Network::Allow(Box::new(allow));
            return Ok(Reach {
                network: Settled { value: network, origin: mode.origin.clone() },
                shown,
            });
        }
    };
    refuse_typed(draft, mode)?;
    leave_out(draft, mode);
    let network = Settled { value: network, origin: mode.origin.clone() };
    Ok(Reach { network, shown: Vec::new() })
}

/// What was typed for an allow-list and has no meaning without one. (What a profile says has its
/// meaning when another mode is chosen.)
fn refuse_typed(draft: &Draft<'_>, mode: &Settled<NetworkMode>) -> Result<()> {
    let typed = draft.invocation;
    let options = [
        ("--allow", typed.allow.is_empty()),
        ("--host-port", typed.host_ports.is_empty()),
        ("--publish", typed.publish.is_empty()),
    ];
    match options.iter().find(|(_, absent)| !absent) {
        None => Ok(()),
        Some((option, _)) => Err(Error::usage(format!(
            "{option} is for the network `allow`, and it is `{}` ({})",
            mode.value.word(),
            place(&mode.origin)
        ))
        .hint("add --network allow, or leave one of the two out")),
    }
}

/// What a profile asks for, and this network does not have.
fn leave_out(draft: &mut Draft<'_>, mode: &Settled<NetworkMode>) {
    let said = &draft.settings.network;
    let keys = [
        ("network.host-ports", said.host_ports.is_empty()),
        ("network.publish", said.publish.is_empty()),
    ];
    let keys: Vec<&str> = keys.iter().filter(|(_, none)| !none).map(|(key, _)| *key).collect();
    // With the host's network every port is there, at its own number.
    if mode.value == NetworkMode::None && !keys.is_empty() {
        draft.left_out.push(format!("{}: the network is `none`", keys.join(", ")));
    }
}

/// Wildcards below which anybody can have a name: whoever is inside can reach a host of his own.
fn everybodys(rules: &Rules) -> Vec<String> {
    let public = |rule: &&Rule| matches!(&rule.to, To::Below(name) if suffix::is_public(name));
    let rules = rules.allow.iter().filter(public);
    rules
        .map(|rule| {
            format!("network: anybody can have a name of `{rule}` ({})", visible(&rule.origin))
        })
        .collect()
}

struct Settling<'s, 'a> {
    draft: &'s mut Draft<'a>,
    shown: Vec<(&'static str, String, Origin)>,
}

impl Settling<'_, '_> {
    fn allow(&mut self) -> Result<Allow> {
        let settings = &self.draft.settings.network;
        let typed = self.draft.invocation.allow.iter().map(|rule| typed("--allow", rule.clone()));
        let allow: Vec<Settled<String>> = settings.allow.iter().cloned().chain(typed).collect();
        let rules = Rules {
            allow: rules(&allow, &settings.groups, parse::allow)?,
            deny: rules(&settings.deny, &settings.groups, parse_denied)?,
        };
        let pool = settings.pool.clone().unwrap_or_else(|| super::default(pool::DEFAULT));
        let transparent =
            settings.transparent.clone().unwrap_or_else(|| super::default(Demand::BestEffort));
        self.show("pool", pool.value.to_string(), &pool.origin);
        self.show("transparent", demand(transparent.value).to_owned(), &transparent.origin);
        Ok(Allow {
            rules,
            host_ports: self.host_ports(),
            publish: self.publish()?,
            proxy: self.proxy(pool.value, &transparent)?,
            upstream: self.upstream(),
            pool: pool.value,
            transparent: transparent.value,
        })
    }

    fn show(&mut self, name: &'static str, value: String, origin: &Origin) {
        self.shown.push((name, value, origin.clone()));
    }

    fn host_ports(&mut self) -> Vec<u16> {
        let said = self.draft.settings.network.host_ports.iter().cloned();
        let more = self.draft.invocation.host_ports.iter().map(|port| typed("--host-port", *port));
        let ports = once(said.chain(more), |port| *port);
        for port in &ports {
            self.show("host port", port.value.to_string(), &port.origin);
        }
        ports.into_iter().map(|port| port.value).collect()
    }

    fn publish(&mut self) -> Result<Vec<Publish>> {
        let said = self.draft.settings.network.publish.iter().cloned();
        let more = self.draft.invocation.publish.iter().map(|port| typed("--publish", *port));
        let ports = once(said.chain(more), |publish| *publish);
        for (index, port) in ports.iter().enumerate() {
            let Publish { inside, outside } = port.value;
            let taken = |other: &&Settled<Publish>| outside != 0 && other.value.outside == outside;
            if let Some(other) = ports[..index].iter().find(taken) {
                return Err(Error::usage(format!(
                    "{}: port {outside} of this machine is published twice: for {} ({}) and for {inside}",
                    place(&port.origin),
                    other.value.inside,
                    place(&other.origin)
                ))
                .hint("give another: PORT:HOST-PORT, or PORT:0 for any that is free"));
            }
            let at = if outside == 0 { "any port".to_owned() } else { format!("port {outside}") };
            self.show("publish", format!("{inside} at {at} of this machine"), &port.origin);
        }
        Ok(ports.into_iter().map(|port| port.value).collect())
    }

    /// Where the machine has no other way than the proxy, programs must be told of it.
    fn proxy(&mut self, pool: Ipv4Net, transparent: &Settled<Demand>) -> Result<Option<u16>> {
        let only = transparent.value == Demand::Off;
        let said = self.draft.settings.network.proxy.clone();
        if only && let Some(Settled { value: false, origin }) = &said {
            return Err(Error::usage(format!(
                "{}: the proxy is switched off, and so is every other way to a host ({})",
                place(origin),
                place(&transparent.origin)
            ))
            .hint("take `network.proxy = false` away, or `network.transparent = \"off\"`"));
        }
        let said = said.unwrap_or_else(|| super::default(only));
        if !said.value {
            return Ok(None);
        }
        let url = format!("http://{}:{PROXY_PORT}", pool::gateway(pool));
        self.show("proxy", url.clone(), &said.origin);
        let environment = &mut self.draft.extra_environment;
        for name in upstream::TO_PROXY {
            environment.push((name, (&url).into()));
        }
        for name in upstream::PAST_PROXY {
            environment.push((name, "localhost,127.0.0.1,::1".into()));
        }
        // Node.js looks at the variables from version 24 on, and only if it is told so.
        environment.push(("NODE_USE_ENV_PROXY", "1".into()));
        Ok(Some(PROXY_PORT))
    }

    /// The host's own proxy. Inside there is no way to it, so its variables are not passed.
    fn upstream(&mut self) -> Option<crate::network::plan::Upstream> {
        let (host, pass) = (self.draft.host, &self.draft.settings.pass);
        let passed = |name: &OsStr| pass.iter().any(|pass| matches(&pass.value, name));
        let names = host.environment.keys().map(OsString::as_os_str);
        let names = names.filter(|name| upstream::is_about_proxies(name) && passed(name));
        let names: Vec<String> = names.map(|name| visible(name.as_bytes())).collect();
        if !names.is_empty() {
            self.draft.left_out.push(format!(
                "environment.pass, {}: claudebox goes through your proxy for what is inside",
                names.join(" ")
            ));
        }
        match upstream::of(&self.draft.host.environment) {
            Ok(None) => None,
            Ok(Some((upstream, variable))) => {
                let host = visible(&upstream.host);
                let host = if host.contains(':') { format!("[{host}]") } else { host };
                let shown = format!("{}://{host}:{}", upstream.scheme.word(), upstream.port);
                self.show("your proxy", shown, &typed(&format!("${variable}"), ()).origin);
                Some(upstream)
            }
            Err(why) => {
                self.draft.left_out.push(why);
                None
            }
        }
    }
}

fn demand(demand: Demand) -> &'static str {
    match demand {
        Demand::Off => "off",
        Demand::BestEffort => "best-effort",
        Demand::Required => "required",
    }
}

fn typed<T>(option: &str, value: T) -> Settled<T> {
    let origin = Origin { layer: LayerKind::CommandLine, source: option.to_owned(), line: 0 };
    Settled { value, origin }
}

/// Each value once, with its last origin.
fn once<T, K: PartialEq>(
    all: impl Iterator<Item = Settled<T>>,
    key: impl Fn(&T) -> K,
) -> Vec<Settled<T>> {
    let mut list: Vec<Settled<T>> = Vec::new();
    for settled in all {
        match list.iter_mut().find(|known| key(&known.value) == key(&settled.value)) {
            Some(known) => *known = settled,
            None => list.push(settled),
        }
    }
    list
}

type Parse = fn(&str, &str) -> Result<Rule, Mistake>;

/// What there is to say of names typed for `--allow` that are a host's, and a group's as well.
pub(super) fn named_like_groups(typed: &[String], groups: &Groups) -> Vec<String> {
    let hosts = typed.iter().filter(|text| groups.rules(text).is_some());
    hosts.map(|name| Groups::taken_for_host(name, "--allow")).collect()
}

/// A rule of a group says what is allowed. Where a group is denied, its words mean nothing.
fn parse_denied(text: &str, origin: &str) -> Result<Rule, Mistake> {
    parse::deny(text.split(' ').find(|word| !word.is_empty()).unwrap_or_default(), origin)
}

/// The rules that are meant; two of one meaning are one.
fn rules(said: &[Settled<String>], groups: &Groups, parse: Parse) -> Result<Vec<Rule>> {
    let mut rules: Vec<Rule> = Vec::new();
    for entry in said {
        for rule in meant(entry, groups, parse)? {
            let same = |known: &&mut Rule| {
                (&known.to, known.port, known.raw, known.private)
                    == (&rule.to, rule.port, rule.raw, rule.private)
            };
            match rules.iter_mut().find(same) {
                Some(known) => *known = rule,
                None => rules.push(rule),
            }
        }
    }
    Ok(rules)
}

fn meant(entry: &Settled<String>, groups: &Groups, parse: Parse) -> Result<Vec<Rule>> {
    let by = place(&entry.origin);
    let wrong = |Mistake { what, hint }: Mistake| {
        let error = Error::usage(format!("{by}: {what}"));
        hint.into_iter().fold(error, Error::hint)
    };
    let Some(group) = parse::group(&entry.value).map_err(wrong)? else {
        return Ok(vec![parse(&entry.value, &by).map_err(wrong)?]);
    };
    let Some(members) = groups.rules(group) else {
        return Err(
            Error::usage(format!("{by}: there is no group `@{group}`")).hint(groups.near(group))
        );
    };
    let rule = |member: &Settled<String>| {
        // Who added a host to a group is asked for by its file.
        let origin = match member.origin.layer {
            LayerKind::BuiltIn => by.clone(),
            _ => format!("{by}, {}", place(&member.origin)),
        };
        Ok(Rule { text: entry.value.clone(), ..parse(&member.value, &origin).map_err(wrong)? })
    };
    members.into_iter().map(rule).collect()
}
