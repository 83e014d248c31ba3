//! Refusals taken together: the first of a kind is told at once, what follows is counted and told
//! once a second. Nothing inside can fill the log with them. It must never keep one back for good.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::log::event::Refused;

/// How often what was counted is told.
pub const PERIOD: Duration = Duration::from_secs(1);
/// How long a kind is remembered; later it is new.
const MEMORY: Duration = Duration::from_secs(60);
/// How many kinds are remembered.
const KINDS: usize = 256;
/// How many new kinds are told in a [`PERIOD`].
const NEW: u32 = 32;
/// A resolver asks for both kinds of address of a name at once. That is one question.
const TWIN: Duration = Duration::from_millis(250);
/// What stands for the name where there are too many.
const MANY: &str = "*";

/// What makes two refusals one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    port: Option<u16>,
    protocol: String,
    why: String,
}

#[derive(Debug)]
struct Kind {
    /// As it was told first.
    refused: Refused,
    /// How many have come since it was told.
    more: u64,
    /// When the last one came.
    last: Instant,
    /// The next one within [`TWIN`] is the same question.
    twin: bool,
}

/// Takes them together.
#[derive(Debug)]
pub struct Refusals {
    kinds: HashMap<Key, Kind>,
    /// Those that there was no room for.
    rest: Option<Refused>,
    /// When the current period began, and how many new kinds were told in it.
    period: (Instant, u32),
}

impl Refusals {
    /// None so far.
    pub fn new(now: Instant) -> Self {
        Self { kinds: HashMap::new(), rest: None, period: (now, 0) }
    }

    /// Takes one, and gives what is to be told at once.
    pub fn refused(&mut self, refused: Refused, now: Instant) -> Option<Refused> {
        let key = Key {
            host: refused.host.clone(),
            port: refused.port,
            protocol: refused.protocol.clone(),
            why: refused.why.clone(),
        };
        let dns = refused.protocol == "dns";
        if let Some(kind) = self.kinds.get_mut(&key) {
            let twin = kind.twin && now.saturating_duration_since(kind.last) < TWIN;
            kind.twin = dns && !twin;
            kind.last = now;
            kind.more += u64::from(!twin);
            return None;
        }
        if now.saturating_duration_since(self.period.0) >= PERIOD {
            self.period = (now, 0);
        }
        if self.kinds.len() >= KINDS || self.period.1 >= NEW {
            let rest = self.rest.get_or_insert_with(|| Refused {
                host: MANY.to_owned(),
                port: None,
                rule: None,
                times: 0,
                detail: Some("many different ones".to_owned()),
                allow: None,
                ..refused
            });
            rest.times += 1;
            return None;
        }
        self.period.1 += 1;
        let kind = Kind { refused: refused.clone(), more: 0, last: now, twin: dns };
        self.kinds.insert(key, kind);
        Some(Refused { times: 1, ..refused })
    }

    /// Whether something was counted that is to be told.
    pub fn pending(&self) -> bool {
        self.rest.is_some() || self.kinds.values().any(|kind| kind.more > 0)
    }

    /// Gives what was counted. To be called once in a [`PERIOD`].
    pub fn due(&mut self, now: Instant) -> Vec<Refused> {
        let mut due = Vec::new();
        for kind in self.kinds.values_mut().filter(|kind| kind.more > 0) {
            due.push(Refused { times: kind.more, ..kind.refused.clone() });
            kind.more = 0;
        }
        due.extend(self.rest.take());
        self.kinds.retain(|_, kind| now.saturating_duration_since(kind.last) < MEMORY);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(host: &str, protocol: &str) -> Refused {
        Refused {
            host: host.to_owned(),
            protocol: protocol.to_owned(),
            why: "not-listed".to_owned(),
            ..Refused::default()
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut refusals = Refusals::new(start);
        assert_eq!(refusals.refused(refused("a", "tcp"), start).unwrap().times, 1);
        assert!(!refusals.pending());
        for _ in 0..41 {
            assert_eq!(refusals.refused(refused("a", "tcp"), start), None);
        }
        assert!(refusals.refused(refused("b", "tcp"), start).is_some());
        assert!(refusals.pending());
        let due = refusals.due(start + PERIOD);
        assert_eq!(due.iter().map(|one| (&*one.host, one.times)).collect::<Vec<_>>(), [("a", 41)]);
        assert!(!refusals.pending() && refusals.due(start + PERIOD).is_empty());
    }

    #[test]
    fn two_kinds_of_address_are_one_question() {
        let start = Instant::now();
        let mut refusals = Refusals::new(start);
        assert!(refusals.refused(refused("a", "dns"), start).is_some());
        assert!(refusals.refused(refused("a", "dns"), start).is_none());
        assert!(!refusals.pending());
        // Asked again, twice.
        for _ in 0..4 {
            refusals.refused(refused("a", "dns"), start);
        }
        assert_eq!(refusals.due(start)[0].times, 2);
    }

    #[test]
    fn after_a_while_it_is_new() {
        let start = Instant::now();
        let mut refusals = Refusals::new(start);
        refusals.refused(refused("a", "tcp"), start);
        refusals.due(start + MEMORY);
        assert!(refusals.refused(refused("a", "tcp"), start + MEMORY).is_some());
    }

    #[test]
    fn a_flood_of_different_ones_is_few_lines_and_none_is_lost() {
        let start = Instant::now();
        let mut refusals = Refusals::new(start);
        let (mut lines, mut times) = (0_u64, 0);
        for number in 0..100_000_u64 {
            // Ten seconds long.
            let now = start + Duration::from_micros(number * 100);
            let told = refusals.refused(refused(&format!("h{number}"), "dns"), now);
            let due = if number % 10_000 == 9_999 { refusals.due(now) } else { Vec::new() };
            for one in told.into_iter().chain(due) {
                (lines, times) = (lines + 1, times + one.times);
            }
        }
        assert_eq!(times, 100_000);
        assert!(lines < 10 * u64::from(NEW) + 20, "{lines}");
        assert!(refusals.kinds.len() <= KINDS);
    }
}
