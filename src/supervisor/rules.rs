//! What the supervisor answers when the user asks about the network of a running session, or allows
//! more of it. It must never take half of what was asked for, and never a rule that a denial covers.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use super::control::{Allowed, Answer};
use crate::error::{Error, Result, Tried as _};
use crate::network::live::{Live, Meets, meets};
use crate::network::parse;
use crate::network::plan;
use crate::network::rule::{Rule, Rules};
use crate::sys::fds;
use crate::visible::visible;

/// What is to be allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// What was asked for: a rule, or a group.
    pub(super) said: &'a str,
    /// The rules that it stands for.
    pub(super) rules: &'a [String],
    /// Who says so.
    pub(super) origin: &'a str,
}

/// Puts rules into force.
pub(super) fn allow(
    live: Option<&dyn Live>,
    planned: &plan::Network,
    wanted: Wanted<'_>,
) -> Answer {
    let Some(live) = live else { return no_rules(planned) };
    let done = || -> Result<Allowed> {
        let (allowed, fresh) = settle(&live.status()?.rules, wanted)?;
        if !fresh.is_empty() {
            live.allow(fresh)?;
        }
        Ok(allowed)
    };
    done().map_or_else(|error| refused(&error), Answer::Allowed)
}

/// What there is, in a memory file.
pub(super) fn tell(live: Option<&dyn Live>, planned: &plan::Network) -> (Answer, Option<OwnedFd>) {
    let Some(live) = live else { return (no_rules(planned), None) };
    let file = live.status().and_then(|status| {
        let bytes = serde_json::to_vec(&status).tried(|| "encode the network's rules")?;
        fds::sealed("network", &bytes).tried(|| "make a memory file")
    });
    match file {
        Ok(file) => (Answer::Network, Some(file)),
        Err(error) => (refused(&error), None),
    }
}

/// Which of the rules are new. None is taken if one cannot be.
fn settle(known: &Rules, wanted: Wanted<'_>) -> Result<(Allowed, Vec<Rule>)> {
    let (mut allowed, mut fresh) = (Allowed::default(), Vec::new());
    for text in wanted.rules {
        let rule = parse::allow(text, wanted.origin).map_err(|mistake| {
            mistake.hint.into_iter().fold(Error::usage(mistake.what), Error::hint)
        })?;
        let rule = Rule { text: wanted.said.to_owned(), ..rule };
        match meets(known, &rule) {
            Meets::Denial(by) => {
                let by = said(by);
                let what = format!("{rule} stays denied: {by} does, and a denial wins");
                return Err(
                    Error::usage(what).hint("take that line away, and start the session again")
                );
            }
            Meets::Allowance(by) => allowed.already.push((rule.to_string(), said(by))),
            Meets::Nothing => {
                allowed.added.push(rule.to_string());
                fresh.push(rule);
            }
        }
    }
    Ok((allowed, fresh))
}

fn said(rule: &Rule) -> String {
    format!("`{}` ({})", visible(&rule.text), visible(&rule.origin))
}

fn refused(error: &Error) -> Answer {
    Answer::Refused { message: error.to_string(), hints: error.hints().to_vec() }
}

fn no_rules(planned: &plan::Network) -> Answer {
    let mode = match planned {
        plan::Network::Host => "host",
        plan::Network::None => "none",
        plan::Network::Allow(_) => "allow",
    };
    Answer::NoRules { mode: mode.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::net::Ipv4Addr;

    use super::*;
    use crate::network::live::Status;
    use crate::network::sockets::{Gateway, Way};

    /// A broker that only keeps its rules, and cannot take more than so many at a time.
    struct Kept(RefCell<Rules>, Cell<usize>);

    impl Live for Kept {
        fn status(&self) -> Result<Status> {
            let gateway = Gateway { way: Way::Veth, v4: Ipv4Addr::new(198, 18, 0, 1), v6: None };
            let rules = self.0.borrow().clone();
            Ok(Status { gateway, rules, names: 0, open: Vec::new(), published: Vec::new() })
        }

        fn allow(&self, rules: Vec<Rule>) -> Result<()> {
            if rules.len() > self.1.get() {
                return Err(Error::launcher("cannot listen"));
            }
            self.0.borrow_mut().allow.extend(rules);
            Ok(())
        }
    }

    fn kept() -> Kept {
        let allow = vec![parse::allow("*.example.com", "p.toml:1").unwrap()];
        let deny = vec![parse::deny("evil.test", "p.toml:2").unwrap()];
        Kept(RefCell::new(Rules { allow, deny }), Cell::new(usize::MAX))
    }

    fn asked(kept: &Kept, rules: &[&str]) -> Answer {
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let wanted = Wanted { said: "@some", rules: &rules, origin: "claudebox allow" };
        allow(Some(kept), &plan::Network::None, wanted)
    }

    #[test]
    fn what_is_new_is_added_once() {
        let kept = kept();
        let allowed = Allowed {
            added: vec!["pypi.org:443".into()],
            already: vec![("a.example.com:443".into(), "`*.example.com` (p.toml:1)".into())],
        };
        assert_eq!(asked(&kept, &["pypi.org", "a.example.com"]), Answer::Allowed(allowed));
        let rule = kept.0.borrow().allow[1].clone();
        assert_eq!((rule.text.as_str(), rule.origin.as_str()), ("@some", "claudebox allow"));
        assert!(matches!(asked(&kept, &["pypi.org"]), Answer::Allowed(it) if it.added.is_empty()));
        assert_eq!(kept.0.borrow().allow.len(), 2);
    }

    #[test]
    fn a_denial_or_a_mistake_leaves_everything_as_it_was() {
        let kept = kept();
        for rules in [["pypi.org", "evil.test:22"], ["pypi.org", "a b c"]] {
            let answer = asked(&kept, &rules);
            assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
            assert_eq!(kept.0.borrow().allow.len(), 1);
        }
    }

    #[test]
    fn what_cannot_all_be_taken_is_not_taken_in_part() {
        let kept = kept();
        kept.1.set(1);
        let answer = asked(&kept, &["pypi.org", "files.pythonhosted.org"]);
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
        assert_eq!(kept.0.borrow().allow.len(), 1);
    }

    #[test]
    fn the_rules_travel_in_a_memory_file_however_many() {
        let kept = kept();
        let rules = (0..2000).map(|at| parse::allow(&format!("h{at}.test"), "x").unwrap());
        kept.allow(rules.collect()).unwrap();
        let (answer, file) = tell(Some(&kept), &plan::Network::None);
        assert_eq!(answer, Answer::Network);
        let bytes = fds::read_sealed(file.unwrap()).unwrap();
        let status: Status = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(status, kept.status().unwrap());
    }

    #[test]
    fn without_rules_the_mode_is_told() {
        let answer = Answer::NoRules { mode: "host".into() };
        assert_eq!(tell(None, &plan::Network::Host).0, answer);
        let wanted = Wanted { said: "", rules: &[], origin: "" };
        assert_eq!(allow(None, &plan::Network::Host, wanted), answer);
    }
}
