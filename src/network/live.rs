//! What a running session's network can be asked and told from outside: which rules are in force,
//! and to take more. It must never let a rule undo a denial, nor take one from inside.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::plan::Publish;
use super::rule::{Rule, Rules, To};
use super::sockets::Gateway;
use crate::error::Result;

/// The broker, as the supervisor's loop knows it.
pub trait Live {
    /// What there is.
    ///
    /// # Errors
    /// When the broker does not answer.
    fn status(&self) -> Result<Status>;

    /// Adds rules that allow, all of them or none. They count from the next connection on, and stand
    /// in the log.
    ///
    /// # Errors
    /// When a denial leaves nothing of one, or the broker does not answer.
    fn allow(&self, rules: Vec<Rule>) -> Result<()>;
}

/// What a person may want to know of the network of a running session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How the sandbox's traffic comes to the broker, and where.
    pub gateway: Gateway,
    /// The rules that are in force.
    pub rules: Rules,
    /// How many names have an address.
    pub names: usize,
    /// The connections that are open.
    pub open: Vec<Connected>,
    /// Ports inside that are there on the host's loopback, at which port.
    pub published: Vec<Publish>,
}

/// An open connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// See [`crate::log::event::Connect::host`].
    pub host: String,
    /// The port.
    pub port: u16,
    /// Bytes that went out of the sandbox.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
}

/// What a rule that is to be added meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meets<'a> {
    /// Nothing says the same.
    Nothing,
    /// This rule allows all of it already.
    Allowance(&'a Rule),
    /// This rule denies all of it, and wins.
    Denial(&'a Rule),
}

/// What a rule that allows meets among these.
pub fn meets<'a>(rules: &'a Rules, rule: &Rule) -> Meets<'a> {
    if let Some(denial) = rules.deny.iter().find(|denial| covers(denial, rule)) {
        return Meets::Denial(denial);
    }
    let as_lax = |other: &&Rule| (other.raw || !rule.raw) && (other.private || !rule.private);
    let same = rules.allow.iter().filter(as_lax).find(|other| covers(other, rule));
    same.map_or(Meets::Nothing, Meets::Allowance)
}

/// Whether a rule is about everything that another is about.
fn covers(outer: &Rule, inner: &Rule) -> bool {
    let port = outer.port.is_none() || outer.port == inner.port;
    port && match (&outer.to, &inner.to) {
        (To::All, _) => true,
        (To::Name(outer), To::Name(inner)) => outer == inner,
        (To::Below(outer), To::Name(inner)) => inner.is_below(outer),
        (To::Below(outer), To::Below(inner)) => inner == outer || inner.is_below(outer),
        (To::Net(outer), To::Net(inner)) => outer.contains(inner),
        (To::Name(_) | To::Below(_) | To::Net(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::parse;

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        Rules {
            allow: allow.iter().map(|text| parse::allow(text, "a").unwrap()).collect(),
            deny: deny.iter().map(|text| parse::deny(text, "d").unwrap()).collect(),
        }
    }

    fn met(rules: &Rules, text: &str) -> String {
        let rule = parse::allow(text, "now").unwrap();
        match meets(rules, &rule) {
            Meets::Nothing => "nothing".to_owned(),
            Meets::Allowance(rule) => format!("allowed by {}", rule.text),
            Meets::Denial(rule) => format!("denied by {}", rule.text),
        }
    }

    #[test]
    fn a_rule_that_changes_nothing_is_known() {
        let rules = rules(&["*.example.com", "a.test:80", "10.0.0.0/8:22"], &[]);
        for text in ["x.example.com", "*.example.com", "*.y.example.com", "a.test:80"] {
            assert!(met(&rules, text).starts_with("allowed"), "{text}");
        }
        for text in ["example.com", "x.example.com:80", "a.test", "*.a.test:80", "10.0.0.1"] {
            assert_eq!(met(&rules, text), "nothing", "{text}");
        }
        assert_eq!(met(&rules, "10.1.0.0/16:22"), "allowed by 10.0.0.0/8:22");
    }

    #[test]
    fn a_laxer_rule_is_another() {
        let rules = rules(&["a.test", "b.test raw private"], &[]);
        for text in ["a.test raw", "a.test private"] {
            assert_eq!(met(&rules, text), "nothing", "{text}");
        }
        assert_eq!(met(&rules, "b.test raw"), "allowed by b.test raw private");
    }

    #[test]
    fn a_denial_wins() {
        let rules = rules(&["*.example.com"], &["evil.example.com", "*.bad.test", "x.test:22"]);
        assert_eq!(met(&rules, "evil.example.com"), "denied by evil.example.com");
        assert_eq!(met(&rules, "evil.example.com:22"), "denied by evil.example.com");
        assert_eq!(met(&rules, "*.a.bad.test"), "denied by *.bad.test");
        assert_eq!(met(&rules, "x.test:22"), "denied by x.test:22");
        assert_eq!(met(&rules, "x.test"), "nothing");
    }
}
