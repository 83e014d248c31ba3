//! The directories of a look that wait for their turn, and what the look may cost. It must never let go of
//! one without a word: what is not looked at is counted.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::table::Entry;

/// How much a look may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Directories that are opened.
    pub directories: u64,
    /// Entries that are read.
    pub entries: u64,
    /// Time.
    pub time: Duration,
}

impl Limits {
    /// While a person waits for the agent.
    pub const START: Self =
        Self { directories: 20_000, entries: 200_000, time: Duration::from_millis(330) };
    /// When the agent has ended.
    pub const END: Self =
        Self { directories: 1_000_000, entries: 5_000_000, time: Duration::from_secs(10) };
}

/// Bytes of the paths of directories that wait for their turn.
const MOST_WAITING: usize = 64 << 20;

/// A directory that waits for its turn.
pub(super) struct Waiting {
    pub(super) path: Vec<u8>,
    /// It is a directory of the table, or below one.
    pub(super) inside: Option<&'static Entry>,
    pub(super) git: InGit,
    pub(super) package: bool,
    pub(super) probe: Probe,
}

/// Whether packages in it are asked if they are repositories, where they are not looked at otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// It holds no packages, or they are looked at.
    No,
    /// They are, beside what is on the way.
    Too,
    /// Nothing else is looked at.
    Only,
}

/// Where in a git directory something is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InGit {
    /// In none.
    No,
    /// In one: only what the table names in it counts.
    Yes,
    /// In the project's own: a link counts as well.
    Own,
    /// Below that, where git writes: nothing but a link counts.
    Written,
}

/// What a look may cost is spent.
pub(super) struct Spent;

/// The queue of them.
pub(super) struct Queue {
    limits: Limits,
    until: Instant,
    /// The shallow ones first: there a tool looks first, and an agent cannot bury them.
    waiting: VecDeque<Waiting>,
    /// Come last.
    packages: VecDeque<Waiting>,
    /// Bytes of the paths in both.
    weight: usize,
    opened: u64,
    entries: u64,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        let (waiting, packages) = (VecDeque::new(), VecDeque::new());
        let until = Instant::now() + limits.time;
        Self { limits, until, waiting, packages, weight: 0, opened: 0, entries: 0 }
    }

    /// Has a directory wait, if there is room.
    pub(super) fn push(&mut self, directory: Waiting) -> Result<(), Spent> {
        let length = directory.path.len();
        if self.weight + length > MOST_WAITING {
            return Err(Spent);
        }
        self.weight += length;
        let queue = if directory.package { &mut self.packages } else { &mut self.waiting };
        queue.push_back(directory);
        Ok(())
    }

    /// The next one, if it may still be looked at.
    pub(super) fn next(&mut self) -> Option<Result<Waiting, Spent>> {
        let next = self.waiting.pop_front().or_else(|| self.packages.pop_front())?;
        self.weight -= next.path.len();
        let Limits { directories, entries, .. } = self.limits;
        let over = self.opened >= directories || self.entries >= entries;
        if over || Instant::now() >= self.until {
            return Some(Err(Spent));
        }
        self.opened += 1;
        Some(Ok(next))
    }

    /// An entry is read.
    pub(super) fn count_entry(&mut self) {
        self.entries += 1;
    }
}
