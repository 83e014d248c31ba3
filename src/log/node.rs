//! One command in the tree, and the row that it becomes. It must never call a command by another
//! argv than the one that ran, where that is known.
#![forbid(unsafe_code)]

use super::command::{self, Command, Place};
use super::event::{Exec, ExecId, Micros, Outcome, Ran};
use super::row::{Mark, Row, State};

/// One command: an exec, or a search along PATH, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) exec: Exec,
    pub(super) ran: Option<Ran>,
    /// When the first place along PATH was tried.
    pub(super) t: Micros,
    pub(super) command: Command,
    /// The command whose line says this one already.
    pub(super) said: Option<ExecId>,
    pub(super) helper: Option<String>,
    pub(super) parent: Option<ExecId>,
    /// What it started, as long as it has not been shown itself.
    pub(super) children: Vec<ExecId>,
    pub(super) state: State,
    pub(super) duration: Option<u64>,
    pub(super) ended: Micros,
    /// It is shown as running; what it starts need not wait.
    pub(super) started: bool,
    /// The row that showed it so was too long for the terminal.
    pub(super) cut: bool,
    /// More than one place along PATH was tried.
    pub(super) searched: bool,
    pub(super) depth: usize,
    pub(super) deadline: Micros,
    /// A child's failure that this command's own end will tell, if it fails too.
    pub(super) owed: Option<Box<Row>>,
}

impl Node {
    /// Whether it gets a row of its own.
    pub(super) fn is_shown(&self) -> bool {
        self.state != State::Checked && (self.said.is_none() || self.state.is_bad())
    }

    /// Whether its own exit status tells that of this child.
    pub(super) fn is_answer_for(&self, child: &Self) -> bool {
        let script = self.command.script.as_ref();
        child.said.is_some() && script.is_none_or(|script| script.is_only(&child.exec.argv))
    }

    /// How it is shown.
    pub(super) fn row(&self, verifies: bool) -> Row {
        let changed = self.ran.as_ref().filter(|ran| ran.outcome == Outcome::Changed);
        let claimed = changed.map(|_| command::command(&self.exec, None, (false, true), None).text);
        // A program that is nowhere is not named by the last place where it was looked for.
        let nowhere = self.searched && matches!(self.state, State::NotExecuted(_));
        let nowhere = nowhere.then(|| command::command(&self.exec, None, (true, false), None));
        let command = nowhere.as_ref().unwrap_or(&self.command);
        let is_news = nowhere.is_none() && changed.is_none() && !command.familiar;
        Row {
            t: if self.started { self.ended } else { self.t },
            state: self.state.clone(),
            duration: self.duration,
            depth: self.depth,
            mark: Mark::of(self.ran.as_ref().map(|ran| ran.outcome), verifies),
            cwd: self.exec.cwd.clone(),
            text: command.text.clone(),
            kept: command.kept.clone(),
            place: is_news.then(|| Place::of(&self.exec, command.columns)),
            claimed,
            helper: self.helper.clone(),
            branch: String::new(),
        }
    }
}

/// Draws the lines between the rows of one tree.
pub(super) fn draw(rows: &mut [Row]) {
    let Some(top) = rows.iter().map(|row| row.depth).min() else { return };
    for at in 0..rows.len() {
        let depth = rows[at].depth - top;
        let goes_on = |level: usize| {
            rows[at + 1..]
                .iter()
                .map(|row| row.depth - top)
                .take_while(|below| *below >= level)
                .any(|below| below == level)
        };
        let mut branch = String::new();
        for level in 1..=depth {
            branch.push_str(match (level == depth, goes_on(level)) {
                (true, true) => "├─",
                (true, false) => "└─",
                (false, true) => "│ ",
                (false, false) => "  ",
            });
        }
        rows[at].branch = branch;
    }
}
