//! What was found out a moment ago: programs open many connections to one host at once, and to find
//! out each time where its name leads costs two changes of thread and often a question to a server, and
//! whether an address is this machine's four system calls. It must never answer for more than a moment.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long an answer counts: what DNS knows is rarely good for less.
const FRESH: Duration = Duration::from_secs(1);
/// How many are kept.
const MOST: usize = 64;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Recent<K, V>(RefCell<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// What was kept just now.
    pub(super) fn find(&self, key: &K, now: Instant) -> Option<V> {
        let known = self.0.borrow();
        let (since, found) = known.get(key)?;
        is_fresh(*since, now).then(|| found.clone())
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, key: K, found: V, now: Instant) {
        let mut known = self.0.borrow_mut();
        known.retain(|_, (since, _)| is_fresh(*since, now));
        if known.len() < MOST {
            known.insert(key, (now, found));
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
    fn an_answer_counts_for_a_moment_and_for_what_was_asked() {
        let (recent, start) = (Recent::default(), Instant::now());
        recent.keep(("a.test", 443), 1, start);
        assert_eq!(recent.find(&("a.test", 443), start), Some(1));
        assert_eq!(recent.find(&("a.test", 80), start), None);
        assert_eq!(recent.find(&("a.test", 443), start + FRESH), None);
    }

    #[test]
    fn few_are_kept() {
        let (recent, start) = (Recent::default(), Instant::now());
        for number in 0..2 * MOST {
            recent.keep(number, (), start);
        }
        assert_eq!(recent.0.borrow().len(), MOST);
        recent.keep(2 * MOST, (), start + FRESH);
        assert_eq!(recent.0.borrow().len(), 1);
    }
}
