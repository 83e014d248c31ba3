//! Takes together what a reader need not see one by one: connection after connection to one host,
//! refusal after refusal. The first of each is shown at once, later ones are counted and told after
//! a while that doubles each time, so that a busy host costs a handful of rows a day. It keeps a
//! bounded number of targets, however many a program inside makes up.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::row::{Row, What};
use super::words;
use crate::log::event::{
    Allow, Connect, ConnectionId, Disconnect, Event, Listen, Micros, Refused, RuleSaid,
};
use crate::log::text;
use crate::visible::visible;

/// After this long, in microseconds, a count is shown; the next time after twice as long.
const PATIENCE: Micros = 30_000_000;
/// But never after longer than this.
const LONGEST: Micros = 3_600_000_000;
/// The same where something went wrong.
const LONGEST_BAD: Micros = 600_000_000;
/// So many bytes are worth a row of their own.
const MUCH: u64 = 1 << 20;
/// How many targets are known at once.
const MOST: usize = 256;
/// How many open connections are known at once.
const MOST_OPEN: usize = 4096;

/// What makes two things one: what happened, to whom, and why.
type Key = (What, String, String);

/// Something that is counted.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// How many times since it was last shown.
    times: u64,
    sent: u64,
    received: u64,
    /// When it is to be shown.
    due: Option<Micros>,
    /// How long it may be counted before it is shown.
    patience: Micros,
    /// When it happened last.
    last: Micros,
}

/// Takes events of the network, and gives rows.
#[derive(Debug, Default)]
pub struct Fold {
    /// Nothing is taken together.
    all: bool,
    /// How many connections were let through.
    pub connections: u64,
    /// How many times something was refused.
    pub refused: u64,
    groups: BTreeMap<Key, Group>,
    open: BTreeMap<ConnectionId, (String, String)>,
    due: Option<Micros>,
    /// What was allowed last.
    allowed: Option<RuleSaid>,
    rows: Vec<Row>,
}

impl Fold {
    /// One that has seen nothing. `all`: it takes nothing together.
    pub fn new(all: bool) -> Self {
        Self { all, ..Self::default() }
    }

    /// The rows that are ready.
    pub fn take(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows)
    }

    /// How many targets are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// When [`Self::pass`] would show something although no event comes.
    pub fn deadline(&self) -> Option<Micros> {
        self.due
    }

    /// The next event; one of another kind is passed over.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Connect(it) => self.connect(it),
            Event::Disconnect(it) => self.disconnect(it),
            Event::Refused(it) => self.refuse(it),
            Event::Allow(it) => self.allow(it),
            Event::Listen(it) => self.listen(it),
            _ => {}
        }
    }

    /// Time has passed.
    pub fn pass(&mut self, now: Micros) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let due = |group: &Group| group.due.is_some_and(|due| due <= now);
        let keys: Vec<Key> = self
            .groups
            .iter()
            .filter(|(_, group)| due(group))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            self.flush(key);
        }
        self.due = self.groups.values().filter_map(|group| group.due).min();
    }

    /// Shows what was counted: nothing more comes, or nothing for now.
    pub fn finish(&mut self) {
        self.pass(Micros::MAX);
    }

    /// Adds to the words about the end what there was of the network, if anything.
    pub fn sum(&self, words: &mut String) {
        if self.connections > 0 {
            let _ = write!(words, ", {}", text::count(self.connections, "connection"));
        }
        if self.refused > 0 {
            let _ = write!(words, ", {} refused", self.refused);
        }
    }

    fn connect(&mut self, connect: &Connect) {
        self.connections += 1;
        let target = words::target(&connect.host, Some(connect.port));
        let note = words::via(connect).to_owned();
        self.open.insert(connect.id, (target.clone(), note.clone()));
        if self.open.len() > MOST_OPEN {
            self.open.pop_first();
        }
        self.add(row(connect.t, What::Reached, target, note));
    }

    fn disconnect(&mut self, end: &Disconnect) {
        let Some((target, note)) = self.open.remove(&end.id) else { return };
        let (sent, received) = (end.sent, end.received);
        if let Some(error) = &end.error {
            let row = row(end.t, What::Failed, target.clone(), visible(error));
            self.add(Row { duration: self.all.then_some(end.dur_us), ..row });
        } else if self.all {
            let row = row(end.t, What::Reached, target.clone(), with_bytes(&note, sent, received));
            self.add(Row { duration: Some(end.dur_us), ..row });
        }
        let Some(group) = self.groups.get_mut(&(What::Reached, target, note)) else { return };
        group.sent = group.sent.saturating_add(sent);
        group.received = group.received.saturating_add(received);
        if group.sent.saturating_add(group.received) >= MUCH {
            let due = group.await_from(end.t);
            self.due = self.due.into_iter().chain([due]).min();
        }
    }

    fn refuse(&mut self, refused: &Refused) {
        let times = refused.times.max(1);
        self.refused = self.refused.saturating_add(times);
        let row =
            row(refused.t, What::Refused, words::refused_target(refused), words::why(refused));
        self.add(Row { times, remedy: words::remedy(refused), ..row });
    }

    fn allow(&mut self, allow: &Allow) {
        let note = match allow.rule.origin.as_str() {
            "" => "is allowed from now on".to_owned(),
            origin => format!("is allowed from now on ({})", visible(origin)),
        };
        // A group is as many rules as it has hosts.
        if self.all || self.allowed.as_ref() != Some(&allow.rule) {
            self.rows.push(row(allow.t, What::Allowed, visible(&allow.rule.text), note));
        }
        self.allowed = Some(allow.rule.clone());
    }

    fn listen(&mut self, listen: &Listen) {
        let target = words::target(&listen.address, Some(listen.port));
        self.add(row(listen.t, What::Listening, target, words::listens(listen)));
    }

    /// Shows the first such row, and counts the others.
    fn add(&mut self, row: Row) {
        if self.all {
            self.rows.push(row);
            return;
        }
        let key = (row.what, row.target.clone(), row.note.clone());
        let Some(group) = self.groups.get_mut(&key) else {
            self.bound();
            self.groups.insert(key, Group::new(row.t));
            self.rows.push(row);
            return;
        };
        let quiet = row.t.saturating_sub(group.last);
        group.last = row.t;
        if group.due.is_none() && quiet >= group.patience {
            group.wait_longer(row.what);
            self.rows.push(row);
            return;
        }
        group.times = group.times.saturating_add(row.times);
        let due = group.await_from(row.t);
        self.due = self.due.into_iter().chain([due]).min();
    }

    /// Makes room for one more target: the one that was quiet for longest is forgotten.
    fn bound(&mut self) {
        if self.groups.len() < MOST {
            return;
        }
        let oldest = self.groups.iter().min_by_key(|(_, group)| group.last);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.flush(&key);
            self.groups.remove(&key);
        }
    }

    fn flush(&mut self, key: &Key) {
        let Some(group) = self.groups.get_mut(key) else { return };
        if group.due.take().is_none() {
            return;
        }
        let Group { times, sent, received, last, .. } = *group;
        (group.times, group.sent, group.received) = (0, 0, 0);
        group.wait_longer(key.0);
        let (what, target, note) = key.clone();
        let note = if sent > 0 || received > 0 { with_bytes(&note, sent, received) } else { note };
        self.rows.push(Row { times, ..row(last, what, target, note) });
    }
}

impl Group {
    fn new(now: Micros) -> Self {
        Self { times: 0, sent: 0, received: 0, due: None, patience: PATIENCE, last: now }
    }

    /// Sees to it that it is shown after a while, and says when.
    fn await_from(&mut self, now: Micros) -> Micros {
        *self.due.get_or_insert(now.saturating_add(self.patience))
    }

    /// It was shown: the next time it is counted for longer.
    fn wait_longer(&mut self, what: What) {
        let longest = if what.is_bad() { LONGEST_BAD } else { LONGEST };
        self.patience = (self.patience * 2).min(longest);
    }
}

fn row(t: Micros, what: What, target: String, note: String) -> Row {
    Row { t, what, times: 1, duration: None, target, note, remedy: None }
}

fn with_bytes(note: &str, sent: u64, received: u64) -> String {
    let bytes = words::bytes(sent, received);
    if note.is_empty() { bytes } else { format!("{note} {bytes}") }
}
