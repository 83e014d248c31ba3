//! From commands to rows: one that starts to be shown, or has ended, with everything below it. It
//! must never leave a failure out.
#![forbid(unsafe_code)]

use super::{NEXT_PLACE, PATIENCE, Tree};
use crate::log::event::ExecId;
use crate::log::node::{Node, draw};
use crate::log::row::{Row, State};

impl Tree {
    /// Shows that a command runs; what it started no longer waits for it.
    pub(super) fn start(&mut self, key: ExecId) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        node.started = true;
        let children = std::mem::take(&mut node.children);
        if node.is_shown() && node.helper.is_none() {
            self.rows.push(Row { t: node.t, ..node.row(self.rules.verifies) });
        }
        self.places.learn(&node.exec);
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
        self.collect(key, None, &mut rows);
        if answers == Some(true)
            && rows.first().is_some_and(|row| row.state.is_bad())
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

    /// Moves an ended node and everything below it into rows.
    fn collect(&mut self, key: ExecId, above: Option<&Node>, rows: &mut Vec<Row>) {
        let Some(mut node) = self.remove(key) else { return };
        if !node.state.is_bad() {
            rows.extend(node.owed.take().map(|row| *row));
        }
        let told = node.said
            && above.is_some_and(|above| above.state == node.state && above.is_answer_for(&node));
        let shown = node.is_shown() && !told;
        if shown {
            rows.push(node.row(self.rules.verifies));
        }
        if !matches!(node.state, State::NotExecuted(_) | State::Checked | State::Superseded) {
            self.places.learn(&node.exec);
        }
        for child in std::mem::take(&mut node.children) {
            let Some(below) = self.nodes.get_mut(&child) else { continue };
            below.depth = node.depth + usize::from(shown && node.exec.depth > 0);
            if below.state == State::Running {
                below.parent = None;
                let deadline = (below.deadline, child);
                self.deadlines.insert(deadline);
            } else {
                self.collect(child, Some(&node), rows);
            }
        }
    }
}
