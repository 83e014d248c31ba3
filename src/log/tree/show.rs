//! From commands to rows: one that starts to be shown, or has ended, with everything below it. It
//! must never leave a failure out.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::{NEXT_PLACE, PATIENCE, Tree};
use crate::log::event::ExecId;
use crate::log::node::{Node, draw};
use crate::log::row::{Row, State, place};

impl Tree {
    /// Shows that a command runs; what it started no longer waits for it.
    pub(super) fn start(&mut self, key: ExecId) {
        let line = self.nodes.get(&key).and_then(|node| node.said);
        let unsaid = line.is_some_and(|line| self.is_out_of_sight(line, &BTreeSet::new()));
        let Some(node) = self.nodes.get_mut(&key) else { return };
        node.started = true;
        node.said = node.said.filter(|_| !unsaid);
        let children = std::mem::take(&mut node.children);
        if node.is_shown() && node.helper.is_none() {
            let row = Row { t: node.t, ..node.row(self.rules.verifies) };
            let cut = !self.fits(&row);
            self.rows.push(row);
            if let Some(node) = self.nodes.get_mut(&key) {
                node.cut = cut;
            }
        }
        let Some(node) = self.nodes.get(&key) else { return };
        self.places.pass(&node.exec);
        for child in children {
            match self.nodes.get(&child).map(|child| &child.state) {
                Some(State::Running) => self.await_until(child, PATIENCE),
                Some(State::NotExecuted(_) | State::Gone) => self.await_until(child, NEXT_PLACE),
                Some(_) => self.flush(child),
                None => {}
            }
        }
    }

    /// Shows a command that ended, and what it started.
    pub(super) fn flush(&mut self, key: ExecId) {
        let parent = self.nodes.get(&key).and_then(|node| node.parent);
        let answers = parent.and_then(|parent| {
            let (parent, node) = (self.nodes.get(&parent)?, self.nodes.get(&key)?);
            Some(parent.state == State::Running && parent.is_answer_for(node))
        });
        let mut rows = Vec::new();
        let cwd = self.cwd.clone();
        self.collect(key, None, &mut BTreeSet::new(), &mut rows);
        if answers == Some(true)
            // The directory that was shown with it is not shown with the next row.
            && rows.first().is_some_and(|row| row.state.is_bad() && row.cwd == cwd)
            && let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(&parent))
        {
            // What a shell was asked to run has failed; the shell's own end will say so.
            parent.owed = Some(Box::new(rows.remove(0)));
        }
        if self.rules.whole {
            draw(&mut rows);
        }
        self.rows.append(&mut rows);
    }

    /// Whether the line that says a command is not in sight after all.
    fn is_out_of_sight(&self, line: ExecId, cut: &BTreeSet<ExecId>) -> bool {
        cut.contains(&line) || self.nodes.get(&line).is_some_and(|node| node.cut)
    }

    /// Whether the next row is shown to the last character of its command, with what stands beside it.
    fn fits(&mut self, row: &Row) -> bool {
        if row.helper.is_some() {
            return true;
        }
        // Which row is before it is not known where rows are left out.
        let moved = row.cwd.is_some() && (self.rules.selects || row.cwd != self.cwd);
        if row.cwd.is_some() {
            self.cwd.clone_from(&row.cwd);
        }
        let cwd = row.cwd.as_ref().filter(|_| moved).map(|cwd| place(cwd, &self.project));
        self.layout.shows_all_of(row, cwd.as_deref())
    }

    fn push(&mut self, key: ExecId, node: &Node, cut: &mut BTreeSet<ExecId>, rows: &mut Vec<Row>) {
        let row = node.row(self.rules.verifies);
        if !self.fits(&row) {
            cut.insert(key);
            // What the same process executed next does not wait for this row.
            let current = self.processes.get(&node.exec.pid).map(|process| process.current);
            if let Some(next) = current.and_then(|current| self.nodes.get_mut(&current)) {
                next.said = next.said.filter(|line| *line != key);
            }
        }
        rows.push(row);
    }

    /// Moves an ended node and everything below it into rows. What is said by a row that is `cut`,
    /// which is known only now, by how it ended, has a row of its own.
    fn collect(
        &mut self,
        key: ExecId,
        above: Option<&Node>,
        cut: &mut BTreeSet<ExecId>,
        rows: &mut Vec<Row>,
    ) {
        let Some(mut node) = self.remove(key) else { return };
        node.said = node.said.filter(|line| !self.is_out_of_sight(*line, cut));
        if !node.state.is_bad() {
            rows.extend(node.owed.take().map(|row| *row));
        }
        let told = node.said.is_some()
            && above.is_some_and(|above| above.state == node.state && above.is_answer_for(&node));
        let shown = node.is_shown() && !told;
        if shown {
            self.push(key, &node, cut, rows);
        }
        if !matches!(node.state, State::NotExecuted(_) | State::Checked | State::Superseded) {
            self.places.pass(&node.exec);
        }
        for child in std::mem::take(&mut node.children) {
            let Some(below) = self.nodes.get_mut(&child) else { continue };
            below.depth = node.depth + usize::from(shown && node.exec.depth > 0);
            if below.state == State::Running {
                below.parent = None;
                below.said = below.said.filter(|line| !cut.contains(line));
                let deadline = (below.deadline, child);
                self.deadlines.insert(deadline);
            } else {
                self.collect(child, Some(&node), cut, rows);
            }
        }
    }
}
