//! Takes together what a reader need not see one by one: the same command again and again, and the
//! agent's own housekeeping. It must never take a failure out of sight: it is counted in the line
//! that stands for it.
#![forbid(unsafe_code)]

use super::event::Micros;
use super::row::{Row, State};

/// After this long, in microseconds, a count is shown although it might still grow.
const PATIENCE: Micros = 30_000_000;

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A command.
    Row(Row),
    /// The command of the last such row, so many times more.
    Again(Row, u64),
    /// Housekeeping.
    Helpers(Helpers),
}

/// Commands of the agent's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Helpers {
    /// When the first began.
    pub t: Micros,
    /// How many.
    pub count: u64,
    /// Which programs, in the order of their appearance; at most [`Helpers::NAMES`].
    pub names: Vec<String>,
    /// How many of them exited with another status than 0, or were not executed.
    pub failed: u64,
    /// How many of them a signal ended.
    pub signaled: u64,
}

impl Helpers {
    const NAMES: usize = 8;

    fn add(&mut self, name: String, state: &State) {
        self.count += 1;
        self.signaled += u64::from(matches!(state, State::Signaled(..)));
        self.failed += u64::from(matches!(state, State::Exited(1..) | State::NotExecuted(_)));
        if self.names.len() < Self::NAMES && !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

/// Takes rows together.
#[derive(Debug, Default)]
pub struct Fold {
    last: Option<Row>,
    /// How many times `last` came again, and the first time it did.
    again: Option<(u64, Row)>,
    helpers: Option<Helpers>,
}

impl Fold {
    /// Takes a row, and gives what is to be shown now.
    pub fn row(&mut self, mut row: Row, out: &mut Vec<Shown>) {
        if let Some(name) = row.helper.take() {
            let group =
                self.helpers.get_or_insert_with(|| Helpers { t: row.t, ..Helpers::default() });
            group.add(name, &row.state);
            return;
        }
        // A command that runs is one, however many of them run.
        let ended = row.state != State::Running;
        if ended && self.last.as_ref().is_some_and(|last| last.is_like(&row)) {
            self.again.get_or_insert((0, row)).0 += 1;
            return;
        }
        self.flush(out);
        self.last = Some(row.clone());
        out.push(Shown::Row(row));
    }

    /// Gives what has been counted.
    pub fn flush(&mut self, out: &mut Vec<Shown>) {
        match self.again.take() {
            Some((1, row)) => out.push(Shown::Row(row)),
            Some((count, row)) => out.push(Shown::Again(row, count)),
            None => {}
        }
        out.extend(self.helpers.take().map(Shown::Helpers));
    }

    /// Something else is shown: the next row is compared with no other.
    pub fn interrupt(&mut self, out: &mut Vec<Shown>) {
        self.flush(out);
        self.last = None;
    }

    /// When counts are to be shown although no row comes.
    pub fn deadline(&self) -> Option<Micros> {
        let again = self.again.as_ref().map(|(_, row)| row.t);
        let helpers = self.helpers.as_ref().map(|helpers| helpers.t);
        again.into_iter().chain(helpers).min().map(|t| t.saturating_add(PATIENCE))
    }

    /// Time has passed.
    pub fn pass(&mut self, now: Micros, out: &mut Vec<Shown>) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.flush(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(t: Micros, text: &str) -> Row {
        Row { t, text: text.into(), state: State::Exited(0), ..Row::default() }
    }

    fn helper(state: State) -> Row {
        Row { helper: Some("git".into()), state, ..row(0, "git status") }
    }

    fn folded(rows: Vec<Row>) -> Vec<String> {
        let mut out = Vec::new();
        let mut fold = Fold::default();
        for row in rows {
            fold.row(row, &mut out);
        }
        fold.flush(&mut out);
        out.into_iter()
            .map(|shown| match shown {
                Shown::Row(row) => row.text,
                Shown::Again(row, count) => format!("{} x{count}", row.text),
                Shown::Helpers(it) => {
                    format!("+{} {} {}/{}", it.count, it.names.join(","), it.failed, it.signaled)
                }
            })
            .collect()
    }

    #[test]
    fn repeats_are_counted() {
        let rows = ["a", "a", "a", "a", "b", "a", "a"].map(|text| row(0, text)).to_vec();
        assert_eq!(folded(rows), ["a", "a x3", "b", "a", "a"]);
    }

    #[test]
    fn another_end_is_no_repeat() {
        let mut rows = vec![row(0, "a"), row(1, "a")];
        rows[1].state = State::Exited(1);
        assert_eq!(folded(rows), ["a", "a"]);
    }

    #[test]
    fn housekeeping_is_one_line_and_tells_what_failed() {
        let rows = vec![
            helper(State::Exited(0)),
            helper(State::Exited(128)),
            helper(State::Signaled(9, false)),
            row(0, "ls"),
            helper(State::Exited(0)),
            row(0, "ls"),
        ];
        assert_eq!(folded(rows), ["+3 git 1/1", "ls", "ls", "+1 git 0/0"]);
    }

    #[test]
    fn a_count_does_not_wait_for_ever() {
        let (mut fold, mut out) = (Fold::default(), Vec::new());
        assert_eq!(fold.deadline(), None);
        fold.row(helper(State::Exited(0)), &mut out);
        let deadline = fold.deadline().unwrap();
        fold.pass(deadline - 1, &mut out);
        assert!(out.is_empty());
        fold.pass(deadline, &mut out);
        assert_eq!((out.len(), fold.deadline()), (1, None));
    }
}
