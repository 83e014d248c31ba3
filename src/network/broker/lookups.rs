//! What names led to a moment ago: programs open many connections to one host at once, and to ask
//! each time costs two changes of thread, and often a question to a server. It must never answer
//! for more than a moment, nor spare an address its judgement.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long an answer counts: what DNS knows is rarely good for less.
const FRESH: Duration = Duration::from_secs(1);
/// How many are kept.
const MOST: usize = 64;

/// When, and what.
type Answer = (Instant, Vec<SocketAddr>);

/// See the top of this file.
#[derive(Debug, Default)]
pub(super) struct Lookups(RefCell<HashMap<(String, u16), Answer>>);

impl Lookups {
    /// The addresses of a name that was looked up just now.
    pub(super) fn find(&self, name: &str, port: u16, now: Instant) -> Option<Vec<SocketAddr>> {
        let known = self.0.borrow();
        let (since, found) = known.get(&(name.to_owned(), port))?;
        is_fresh(*since, now).then(|| found.clone())
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, name: String, port: u16, found: &[SocketAddr], now: Instant) {
        let mut known = self.0.borrow_mut();
        known.retain(|_, (since, _)| is_fresh(*since, now));
        if known.len() < MOST {
            known.insert((name, port), (now, found.to_vec()));
        }
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < FRESH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_a_moment_and_for_its_port() {
        let (lookups, start) = (Lookups::default(), Instant::now());
        let at: SocketAddr = "192.0.2.1:443".parse().unwrap();
        lookups.keep("a.test".to_owned(), 443, &[at], start);
        assert_eq!(lookups.find("a.test", 443, start), Some(vec![at]));
        assert_eq!(lookups.find("a.test", 80, start), None);
        assert_eq!(lookups.find("a.test", 443, start + FRESH), None);
    }

    #[test]
    fn few_are_kept() {
        let (lookups, start) = (Lookups::default(), Instant::now());
        for number in 0..2 * MOST {
            lookups.keep(number.to_string(), 443, &[], start);
        }
        assert_eq!(lookups.0.borrow().len(), MOST);
        lookups.keep("late".to_owned(), 443, &[], start + FRESH);
        assert_eq!(lookups.0.borrow().len(), 1);
    }
}
