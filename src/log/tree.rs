//! Which command started which, and when each is ready to be shown. A command's row waits until it
//! has ended, or has run for [`PATIENCE`]; whatever it started waits for it, so that a reader sees
//! causes above effects. It must never drop a command that went wrong, and it keeps a bounded
//! number of commands, however long the log and whatever is in it.
#![forbid(unsafe_code)]

mod describe;
mod forgotten;
mod own;
mod show;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::describe::{is_doubtful, is_miss};
use self::forgotten::Forgotten;
use self::own::Agent;
use super::command::{Place, Places};
use super::event::{Exec, ExecId, Exit, Micros, Outcome, Ran};
use super::layout::Layout;
use super::node::Node;
use super::row::{Row, State};
use crate::bytes::Bytes;
use crate::visible::visible;

/// After this long, in microseconds, a command that still runs is shown as running.
pub(super) const PATIENCE: Micros = 2_000_000;
/// For this long, in microseconds, a failed exec may be followed by one at the next place of PATH.
const NEXT_PLACE: Micros = 300_000;
/// How many commands are kept at once.
const MOST: usize = 1024;

/// What the tree is asked for.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Every exec is a row, and nothing is taken off it.
    pub raw: bool,
    /// The agent's direct children are shown once they have ended, with every command below them, said
    /// by a line above or not, and lines are drawn between them.
    pub whole: bool,
    /// See [`super::event::Start::helpers`].
    pub helpers: Vec<String>,
    /// Whether argv can be confirmed on this machine.
    pub verifies: bool,
    /// Not every row is shown.
    pub selects: bool,
    /// What is shown is selected by its words.
    pub greps: bool,
    /// Where Claude Code keeps what its shells read first, if it is the agent.
    pub snapshots: Option<Vec<u8>>,
}

/// The commands that are not finished with.
#[derive(Debug, Default)]
pub struct Tree {
    /// What is asked for.
    pub rules: Rules,
    /// How wide the terminal is.
    pub layout: Layout,
    /// From where directories are named.
    project: Bytes,
    /// The directory of the latest row.
    cwd: Option<Bytes>,
    /// How many commands went wrong so far. It is counted by the events, and so the same however much is
    /// folded.
    pub failed: u64,
    /// The latest of these that certainly were not executed.
    missed: BTreeSet<ExecId>,
    nodes: BTreeMap<ExecId, Node>,
    /// The node of an exec; a search along PATH is one node with one id after the other.
    ids: HashMap<ExecId, ExecId>,
    processes: HashMap<i32, Process>,
    deadlines: BTreeSet<(Micros, ExecId)>,
    places: Places,
    agent: Option<Agent>,
    forgotten: Forgotten,
    rows: Vec<Row>,
}

/// A process and what it executed.
#[derive(Clone, Copy, Debug)]
struct Process {
    /// The first command: what its parent started.
    first: ExecId,
    /// The latest that ran.
    current: ExecId,
}

impl Tree {
    /// A tree without commands.
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Work begins in this directory.
    pub fn begin(&mut self, project: &Bytes) {
        self.project = project.clone();
        self.cwd = Some(project.clone());
    }

    /// A program's whole path is in sight: from now on it may go by its name.
    pub fn see(&mut self, place: &Place) {
        self.places.learn(place);
    }

    /// The rows that are ready.
    pub fn take(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows)
    }

    /// How many commands are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// When the first of the commands began that wait to be shown.
    pub fn waits(&self) -> Option<Micros> {
        self.nodes.values().find(|node| !node.started).map(|node| node.t)
    }

    /// When something is to be shown although no event comes.
    pub fn deadline(&self) -> Option<Micros> {
        self.deadlines.first().map(|(t, _)| *t)
    }

    /// Time has passed.
    pub fn pass(&mut self, now: Micros) {
        while let Some((t, key)) = self.deadlines.first().copied().filter(|(t, _)| *t <= now) {
            self.deadlines.remove(&(t, key));
            if !self.is_head(key) {
                continue;
            }
            match self.nodes.get(&key) {
                Some(node) if node.state != State::Running => self.flush(key),
                Some(node) if !node.started && (!self.rules.whole || node.exec.depth == 0) => {
                    self.start(key);
                }
                _ => {}
            }
        }
    }

    /// A process executes something.
    pub fn exec(&mut self, exec: Exec) {
        // The place before was only a miss of the search.
        if exec.retry_of.is_some_and(|before| self.missed.remove(&before)) {
            self.failed -= 1;
        }
        if self.next_place(&exec) {
            return;
        }
        let key = exec.id;
        let process = self.processes.get(&exec.pid).copied();
        let process = process.filter(|process| self.nodes.contains_key(&process.first));
        let parent = match process {
            Some(process) => Some(process.first),
            None => exec.parent.and_then(|id| self.ids.get(&id).copied()),
        };
        self.ids.insert(key, key);
        let first = Process { first: key, current: key };
        self.processes
            .entry(exec.pid)
            .and_modify(|old| *old = process.unwrap_or(first))
            .or_insert(first);
        self.nodes.insert(key, Node { t: exec.t, exec, parent, ..Node::default() });
        let above = parent.and_then(|parent| self.nodes.get_mut(&parent));
        if let Some(above) = above.filter(|above| !above.started) {
            above.children.push(key);
        }
        self.describe(key);
        self.place(key);
        self.await_until(key, PATIENCE);
        self.bound();
    }

    /// Goes on with a search along PATH, if this exec is part of one that has not been shown. What may have
    /// run is no part of one: a program that ran could hide so, behind the next that its process executes.
    fn next_place(&mut self, exec: &Exec) -> bool {
        let earlier = exec.retry_of.filter(|_| !self.rules.raw);
        let Some(key) = earlier.and_then(|id| self.ids.get(&id).copied()) else { return false };
        let verifies = self.rules.verifies;
        let is_part = |node: &&mut Node| {
            let missed = node.ran.as_ref().is_some_and(|ran| is_miss(ran, verifies));
            !node.started && missed && node.children.is_empty()
        };
        let Some(node) = self.nodes.get_mut(&key).filter(is_part) else { return false };
        self.ids.remove(&node.exec.id);
        self.ids.insert(exec.id, key);
        node.exec = exec.clone();
        node.ran = None;
        node.state = State::Running;
        node.searched = true;
        self.processes.entry(exec.pid).or_insert(Process { first: key, current: key });
        self.describe(key);
        self.await_until(key, PATIENCE);
        true
    }

    /// What became of an exec.
    pub fn ran(&mut self, ran: Ran) {
        self.count(&ran);
        let Some(key) = self.ids.get(&ran.id).copied() else { return };
        let Some(node) = self.nodes.get_mut(&key) else { return };
        if node.state != State::Running {
            return;
        }
        let (t, pid, outcome) = (ran.t, node.exec.pid, ran.outcome);
        let errno = ran.errno.as_ref().map(visible).unwrap_or_default();
        let doubtful = is_doubtful(&ran, self.rules.verifies);
        node.ran = Some(ran);
        if doubtful {
            self.describe(key);
        }
        let not_executed = match outcome {
            Outcome::Failed | Outcome::ProbablyFailed => State::NotExecuted(errno),
            Outcome::Superseded => State::Superseded,
            Outcome::Checked => State::Checked,
            Outcome::Unknown => State::Gone,
            Outcome::Verified | Outcome::OwnLoader | Outcome::Unverified | Outcome::Changed => {
                self.say_again(key);
                return self.runs(t, pid, key);
            }
        };
        if outcome != Outcome::Unknown && self.processes.get(&pid).is_some_and(|it| it.first == key)
        {
            self.processes.remove(&pid);
        }
        self.end(key, not_executed, t, None);
    }

    fn count(&mut self, ran: &Ran) {
        if !matches!(ran.outcome, Outcome::Failed | Outcome::ProbablyFailed) {
            return;
        }
        let miss = is_miss(ran, self.rules.verifies);
        if miss && !self.missed.insert(ran.id) {
            return;
        }
        self.failed += 1;
        if self.missed.len() > MOST {
            self.missed.pop_first();
        }
    }

    /// The process runs this now, since `t`.
    fn runs(&mut self, t: Micros, pid: i32, key: ExecId) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let before = std::mem::replace(&mut process.current, key);
        let first = process.first;
        if before != key && before != first {
            self.end(before, State::Replaced, t, None);
        }
        if first != key && self.is_step_to(first, key) {
            self.absorb(first, key);
        }
    }

    /// A step on the way to a command becomes that command.
    fn absorb(&mut self, first: ExecId, key: ExecId) {
        let Some(node) = self.remove(key) else { return };
        let Some(into) = self.nodes.get_mut(&first) else { return };
        into.children.retain(|child| *child != key);
        self.ids.remove(&into.exec.id);
        self.ids.insert(node.exec.id, first);
        if let Some(process) = self.processes.get_mut(&node.exec.pid) {
            process.current = first;
        }
        into.exec = node.exec;
        into.ran = node.ran;
        self.describe(first);
    }

    /// A process ended.
    pub fn exit(&mut self, exit: &Exit) {
        let state = match (exit.status, exit.signal) {
            (_, Some(signal)) => State::Signaled(signal, exit.core),
            (Some(status), None) => State::Exited(status),
            (None, None) => State::Gone,
        };
        self.failed += u64::from(state.is_bad());
        let process = self.processes.remove(&exit.pid);
        let latest = self.ids.get(&exit.id).copied();
        let began = latest.and_then(|key| self.nodes.get(&key)).map(|node| node.exec.t);
        let first = process.map(|process| process.first);
        if latest.is_none() {
            let row = self.forgotten.end(exit.id, state.clone(), exit.t, exit.dur_us);
            self.rows.extend(row);
        }
        // The first goes last: what it led to is shown below it.
        let all = [latest, process.map(|process| process.current), first];
        for (at, key) in all.into_iter().enumerate() {
            let Some(key) = key.filter(|key| !all[at + 1..].contains(&Some(*key))) else {
                continue;
            };
            let Some(node) = self.nodes.get_mut(&key) else { continue };
            if matches!(node.state, State::Running | State::Gone) {
                let before = began.map_or(0, |began| began.saturating_sub(node.t));
                let duration = exit.dur_us.saturating_add(before);
                self.end(key, state.clone(), exit.t, Some(duration));
            }
        }
    }

    /// No more events come; whatever still waits is shown as being in this state.
    pub fn finish(&mut self, state: &State) {
        while let Some(key) = self.nodes.keys().next().copied() {
            match self.nodes.get_mut(&key) {
                Some(node) if node.state == State::Running && node.started => {
                    self.remove(key);
                }
                Some(node) if node.state == State::Running => {
                    node.state = state.clone();
                    self.flush(key);
                }
                _ => self.flush(key),
            }
        }
    }

    /// Whatever ends has a time: a row that was shown as running is shown again with it.
    fn end(&mut self, key: ExecId, state: State, t: Micros, duration: Option<u64>) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        // A search may go on, or the exit status come.
        let may_go_on = matches!(state, State::NotExecuted(_) | State::Gone);
        node.state = state;
        (node.ended, node.duration) = (t, duration);
        if !self.is_head(key) {
            return;
        }
        if may_go_on && !self.rules.raw {
            self.await_until(key, NEXT_PLACE);
        } else {
            self.flush(key);
        }
    }

    /// Whether nothing above it is waiting to be shown first.
    fn is_head(&self, key: ExecId) -> bool {
        let Some(node) = self.nodes.get(&key) else { return false };
        let parent = node.parent.and_then(|parent| self.nodes.get(&parent));
        parent.is_none_or(|parent| parent.started)
    }

    fn await_until(&mut self, key: ExecId, wait: Micros) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        self.deadlines.remove(&(node.deadline, key));
        node.deadline = node.exec.t.saturating_add(wait);
        self.deadlines.insert((node.deadline, key));
    }

    /// Keeps the number of nodes bounded: shows the oldest that waits, forgets the oldest shown, but for
    /// what its end needs.
    fn bound(&mut self) {
        if self.nodes.len() <= MOST {
            return;
        }
        if let Some(key) = self.nodes.iter().find(|(_, node)| !node.started).map(|(key, _)| *key) {
            self.start(key);
        }
        if self.nodes.len() > 2 * MOST
            && let Some(key) = self.nodes.keys().next().copied()
        {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: ExecId) {
        if self.nodes.get(&key).is_some_and(|node| node.state != State::Running) {
            self.flush(key);
            return;
        }
        let Some(mut node) = self.remove(key) else { return };
        self.rows.extend(node.owed.take().map(|row| *row));
        self.forgotten.add(&node, self.rules.verifies);
    }

    fn remove(&mut self, key: ExecId) -> Option<Node> {
        let node = self.nodes.remove(&key)?;
        self.ids.remove(&node.exec.id);
        self.deadlines.remove(&(node.deadline, key));
        if self.processes.get(&node.exec.pid).is_some_and(|process| process.first == key) {
            self.processes.remove(&node.exec.pid);
        }
        Some(node)
    }
}
