//! The network's part of `explain`: every rule with who says it, a group's hosts together. It must
//! leave no rule out.
#![forbid(unsafe_code)]

use serde_json::{Value, json};

use super::{place, with_place};
use crate::network::plan::Network;
use crate::network::rule::{HTTPS, Rule};
use crate::policy::Policy;
use crate::visible::visible;

/// Columns of a group's hosts.
const WIDTH: usize = 76;

/// What can be reached and who says so, then what cannot, then the rest.
pub(super) fn lines(policy: &Policy) -> impl Iterator<Item = String> {
    let (allow, deny) = match &policy.network.value {
        Network::Allow(allow) => {
            (rules("allow", &allow.rules.allow), rules("deny", &allow.rules.deny))
        }
        Network::None | Network::Host => (Vec::new(), Vec::new()),
    };
    let rest = policy
        .network_shown
        .iter()
        .map(|(name, value, origin)| format!("{name:<14} {}", with_place(value, Some(origin))));
    allow.into_iter().chain(deny).chain(rest)
}

fn rules(word: &str, rules: &[Rule]) -> Vec<String> {
    let together = |one: &Rule, next: &Rule| {
        one.text.starts_with('@') && one.text == next.text && one.origin == next.origin
    };
    let mut lines = Vec::new();
    for rules in rules.chunk_by(together) {
        let Some(first) = rules.first() else { continue };
        let origin = visible(&first.origin);
        if first.text.starts_with('@') {
            lines.push(format!("{word:<14} {:<40} [{origin}]", visible(&first.text)));
            lines.extend(hosts(rules).into_iter().map(|line| format!("{:<17}{line}", "")));
        } else {
            lines.push(format!("{word:<14} {:<40} [{origin}]", first.to_string()));
        }
    }
    lines
}

/// The hosts of a group, several on a line, and without the port that goes without saying.
fn hosts(rules: &[Rule]) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (at, rule) in rules.iter().enumerate() {
        let shown = rule.to_string();
        let brief = match rule.port {
            Some(HTTPS) if !rule.raw => shown.replacen(&format!(":{HTTPS}"), "", 1),
            _ => shown,
        };
        let end = if at + 1 < rules.len() { "," } else { "" };
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line = format!("{brief}{end}"),
            Some(line) if line.len() + 1 + brief.len() < WIDTH => {
                line.push(' ');
                line.push_str(&brief);
                line.push_str(end);
            }
            _ => lines.push(format!("{brief}{end}")),
        }
    }
    lines
}

pub(super) fn json(policy: &Policy) -> Value {
    let rules = |rules: &[Rule]| -> Vec<Value> {
        let object = |rule: &Rule| json!({ "rule": rule.to_string(), "text": rule.text, "origin": rule.origin });
        rules.iter().map(object).collect()
    };
    let shown: Vec<Value> = policy
        .network_shown
        .iter()
        .map(|(name, value, origin)| {
            json!({ "name": name, "value": value, "origin": place(origin) })
        })
        .collect();
    match &policy.network.value {
        Network::Allow(allow) => json!({
            "allow": rules(&allow.rules.allow),
            "deny": rules(&allow.rules.deny),
            "shown": shown,
        }),
        Network::None | Network::Host => Value::Null,
    }
}
