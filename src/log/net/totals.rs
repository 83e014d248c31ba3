//! What a session reached and was refused, added up: for `claudebox net`. It keeps a bounded number
//! of targets, and counts what it does not keep.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::Serialize;

use super::words;
use crate::log::event::{Connect, ConnectionId, Disconnect, Event, Listen, Refused, RuleSaid};

/// How many targets are kept of each kind.
const MOST: usize = 10_000;
/// How many open connections are known at once.
const MOST_OPEN: usize = 65_536;

/// The network of a session. Fields may be added; none may change its meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// The network mode.
    pub mode: String,
    /// What was reached, in the order of the first time.
    pub reached: Vec<Reached>,
    /// What was refused, in the order of the first time.
    pub refused: Vec<Denied>,
    /// What was allowed while it ran.
    pub allowed: Vec<RuleSaid>,
    /// What listened inside.
    pub listening: Vec<Listen>,
    /// How many events are about targets that are not listed above, because there are too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_listed: u64,
    #[serde(skip)]
    places: BTreeMap<(Kind, String), usize>,
    #[serde(skip)]
    open: BTreeMap<ConnectionId, usize>,
}

/// See [`Totals::reached`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// The name that was asked for, or the address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How it came: see [`Connect::via`].
    pub via: String,
    /// How many connections were let through.
    pub connections: u64,
    /// How many of them are open.
    pub open: u64,
    /// How many of them could not be made, or broke.
    pub failed: u64,
    /// Bytes that went out of the sandbox.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
    /// The rule that allowed the latest.
    pub rule: RuleSaid,
    /// The address that was dialled the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Why the latest that failed did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// See [`Totals::refused`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// How many times.
    pub times: u64,
    /// The latest refusal.
    pub last: Refused,
}

/// What a target is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Reached,
    Refused,
    Listening,
}

impl Totals {
    /// The next event; one of another kind is passed over.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Start(start) => self.mode = start.network,
            Event::Connect(connect) => self.connect(connect),
            Event::Disconnect(end) => self.disconnect(end),
            Event::Refused(refused) => self.refuse(refused),
            Event::Allow(allow) => self.allow(allow.rule),
            Event::Listen(listen) => self.listen(listen),
            // The supervisor is gone, and everything inside with it.
            Event::End(_) => self.over(),
            _ => {}
        }
    }

    /// Nothing is open any more: the session is over.
    pub fn over(&mut self) {
        self.open.clear();
        self.reached.iter_mut().for_each(|reached| reached.open = 0);
    }

    /// Adds what has passed over a connection that is open.
    pub fn passing(&mut self, host: &str, port: u16, sent: u64, received: u64) {
        let mut reached = self.reached.iter_mut();
        if let Some(reached) = reached.find(|it| it.host == host && it.port == port) {
            reached.sent = reached.sent.saturating_add(sent);
            reached.received = reached.received.saturating_add(received);
        }
    }

    fn connect(&mut self, connect: Connect) {
        let Connect { id, host, port, rule, via, .. } = connect;
        let target = words::target(&host, Some(port)) + " " + &via;
        let fresh = Reached { host, port, via, ..Reached::default() };
        let Some(at) = place(&mut self.places, &mut self.reached, (Kind::Reached, target), fresh)
        else {
            self.not_listed += 1;
            return;
        };
        if let Some(reached) = self.reached.get_mut(at) {
            reached.connections += 1;
            reached.open += 1;
            reached.rule = rule;
        }
        self.open.insert(id, at);
        if self.open.len() > MOST_OPEN {
            self.open.pop_first();
        }
    }

    fn disconnect(&mut self, end: Disconnect) {
        let at = self.open.remove(&end.id);
        let Some(reached) = at.and_then(|at| self.reached.get_mut(at)) else { return };
        reached.open = reached.open.saturating_sub(1);
        reached.failed += u64::from(end.error.is_some());
        reached.sent = reached.sent.saturating_add(end.sent);
        reached.received = reached.received.saturating_add(end.received);
        reached.address = end.address.or(reached.address.take());
        reached.error = end.error.or(reached.error.take());
    }

    fn refuse(&mut self, refused: Refused) {
        let target = words::refused_target(&refused) + " " + &refused.why;
        let at =
            place(&mut self.places, &mut self.refused, (Kind::Refused, target), Denied::default());
        match at.and_then(|at| self.refused.get_mut(at)) {
            Some(denied) => {
                denied.times = denied.times.saturating_add(refused.times.max(1));
                denied.last = refused;
            }
            None => self.not_listed += 1,
        }
    }

    /// A group is as many rules as it has hosts.
    fn allow(&mut self, rule: RuleSaid) {
        if self.allowed.len() < MOST && !self.allowed.contains(&rule) {
            self.allowed.push(rule);
        }
    }

    fn listen(&mut self, listen: Listen) {
        let target = words::target(&listen.address, Some(listen.port));
        let key = (Kind::Listening, target);
        let at = place(&mut self.places, &mut self.listening, key, listen.clone());
        match at.and_then(|at| self.listening.get_mut(at)) {
            Some(entry) => *entry = listen,
            None => self.not_listed += 1,
        }
    }
}

/// Where the entry of this target is; a fresh one where there is none yet and still room.
fn place<T>(
    places: &mut BTreeMap<(Kind, String), usize>,
    entries: &mut Vec<T>,
    key: (Kind, String),
    fresh: T,
) -> Option<usize> {
    if let Some(at) = places.get(&key) {
        return Some(*at);
    }
    let at = entries.len();
    (at < MOST).then(|| {
        entries.push(fresh);
        places.insert(key, at);
        at
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
