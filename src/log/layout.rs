//! How a row of the log pane reads in so many columns. Colours are added to text that is already
//! visible and already cut, so no escape sequence but these ever reaches a terminal, and none is ever
//! broken.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::fold::Helpers;
use super::row::Row;
use super::text;

/// What is shown with a row beside the row itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The time of day, as [`Layout::clock`] asks for it.
    pub time: &'a str,
    /// The directory, visible, where it is another than in the row above.
    pub cwd: Option<&'a str>,
    /// How many times more it happened.
    pub again: Option<u64>,
}

/// The columns of the pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The terminal's columns; nothing where lines are as long as they are.
    pub width: Option<usize>,
}

impl Layout {
    pub(super) fn is_narrow(self) -> bool {
        self.width.is_some_and(|width| width < 60)
    }

    /// How much of a time of day there is room for.
    pub fn clock(self) -> &'static str {
        if self.is_narrow() { "%H:%M" } else { "%H:%M:%S" }
    }

    fn indent(self, depth: usize) -> usize {
        if self.is_narrow() { depth.min(4) } else { 2 * depth.min(10) }
    }

    /// Columns before the command itself.
    fn before(self) -> usize {
        if self.is_narrow() { 5 + 1 + 3 + 1 + 1 } else { 8 + 1 + 4 + 1 + 5 + 1 + 1 + 1 }
    }

    /// Whether a row is shown to the last character of its command, with all that stands around it.
    pub fn shows_all_of(self, row: &Row, cwd: Option<&str>) -> bool {
        if self.width.is_none() {
            return true;
        }
        let mut scratch = String::new();
        let time = if self.is_narrow() { "00:00" } else { "00:00:00" };
        self.row(row, Beside { time, cwd, again: None }, &mut scratch) == text::width(&row.text)
    }

    /// The row as lines, coloured. Gives how many columns of the command are in sight.
    pub fn row(self, row: &Row, beside: Beside<'_>, out: &mut String) -> usize {
        let Beside { time, cwd, again } = beside;
        let mut line = Line::new(out);
        let duration = match again {
            Some(count) => format!("x{count}"),
            None => row.duration.map(text::duration).unwrap_or_default(),
        };
        line.put(DIM, time);
        line.put(Style::new(), " ");
        let style = row.state.style();
        line.put(style, &text::right(&row.state.word(), if self.is_narrow() { 3 } else { 4 }));
        if !self.is_narrow() {
            line.put(DIM, &format!(" {} ", text::right(&duration, 5)));
        }
        let (sign, sign_style) = row.mark.sign();
        line.put(sign_style, sign);
        line.put(Style::new(), " ");
        if row.branch.is_empty() {
            line.put(Style::new(), &" ".repeat(self.indent(row.depth)));
        } else {
            line.put(DIM, &row.branch);
        }

        let mut tail = row.state.note().map(|note| format!(" {note}")).unwrap_or_default();
        let long = again.is_some() || row.duration.is_some_and(|micros| micros >= 1_000_000);
        if self.is_narrow() && long {
            let _ = write!(tail, " {duration}");
        }
        let tail = text::fit(&tail, self.room(line.used) / 2);
        let room = self.room(line.used + text::width(&tail));
        if let Some(cwd) = cwd {
            line.put(DIM, &format!("{}$ ", text::fit(cwd, room / 3)));
        }
        let room = self.room(line.used + text::width(&tail));
        let (command, shown) = text::fit_counted(&row.text, room);
        line.put(style, &command);
        line.put(DIM, &tail);
        line.end();
        if let Some(claimed) = &row.claimed {
            line.put(Style::new(), &" ".repeat(self.before()));
            let room = self.room(line.used);
            line.put(ALARM, &text::fit(&format!("claimed: {claimed}"), room));
            line.end();
        }
        shown
    }

    /// The agent's own commands, in one line.
    pub fn helpers(self, time: &str, helpers: &Helpers, out: &mut String) {
        let mut line = Line::new(out);
        let count = format!("+{}", helpers.count);
        let columns = if self.is_narrow() { 3 } else { 4 + 1 + 5 };
        line.put(DIM, &format!("{time} {}", text::right(&count, columns)));
        line.put(DIM, if self.is_narrow() { "  " } else { "   " });
        let failures = match (helpers.failed, helpers.signaled) {
            (0, 0) => String::new(),
            (failed, 0) => format!(" ({failed} failed)"),
            (0, signaled) => format!(" ({signaled} killed)"),
            (failed, signaled) => format!(" ({failed} failed, {signaled} killed)"),
        };
        let room = self.room(line.used + text::width(&failures));
        line.put(DIM, &text::fit(&helpers.names.join(", "), room));
        // Where both do not fit, they are not known apart.
        let room = self.room(line.used);
        line.put(AnsiColor::Red.on_default(), &text::fit(&failures, room));
        line.end();
    }

    /// Words under a label, broken into lines as wide as the terminal.
    pub fn words(self, label: &str, words: &str, style: Style, out: &mut String) {
        let mut line = Line::new(out);
        let indent = text::width(label) + 1;
        let lines = text::wrap(words, self.room(indent));
        for (at, words) in lines.iter().enumerate() {
            if at == 0 {
                line.put(DIM, label);
                line.put(Style::new(), " ");
            } else {
                line.put(Style::new(), &" ".repeat(indent));
            }
            line.put(style, words);
            line.end();
        }
    }

    /// Columns that are left after so many.
    pub(super) fn room(self, used: usize) -> usize {
        self.width.map_or(usize::MAX, |width| width.saturating_sub(used).max(1))
    }
}

pub(super) const DIM: Style = Style::new().dimmed();
const ALARM: Style = AnsiColor::BrightRed.on_default();

/// A line in the making.
pub(super) struct Line<'a> {
    out: &'a mut String,
    /// Columns so far.
    used: usize,
}

impl<'a> Line<'a> {
    pub(super) fn new(out: &'a mut String) -> Self {
        Self { out, used: 0 }
    }

    /// Columns so far.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn put(&mut self, style: Style, text: &str) {
        if !text.is_empty() {
            let _ = write!(self.out, "{style}{text}{style:#}");
            self.used += text::width(text);
        }
    }

    pub(super) fn end(&mut self) {
        self.out.push('\n');
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::{Mark, State};
    use super::*;
    use crate::bytes::Bytes;
    use proptest::prelude::*;

    fn plain(width: Option<usize>, row: &Row) -> String {
        let time = if width.is_some_and(|width| width < 60) { "12:00" } else { "12:00:01" };
        let cwd = row.cwd.as_ref().map(crate::visible::visible);
        let mut out = String::new();
        Layout { width }.row(row, Beside { time, cwd: cwd.as_deref(), again: None }, &mut out);
        anstream::adapter::strip_str(&out).to_string()
    }

    fn row(state: State, text: &str) -> Row {
        Row { state, text: text.into(), duration: Some(1_250_000), ..Row::default() }
    }

    #[test]
    fn rows_read_well_at_any_width() {
        let rows = [
            row(State::Exited(0), "cargo test --workspace --all-features --no-fail-fast"),
            Row { depth: 1, ..row(State::Exited(101), "rustc --crate-name x") },
            row(State::Signaled(9, false), "sleep 100"),
            row(State::NotExecuted("ENOENT".into()), "nosuch"),
            Row { duration: None, ..row(State::Running, "npm test") },
            Row {
                mark: Mark::Changed,
                claimed: Some("ls".into()),
                ..row(State::Exited(0), "rm x")
            },
            Row { cwd: Some("src".into()), ..row(State::Exited(0), "ls") },
        ];
        let at = |width| rows.iter().map(|row| plain(width, row)).collect::<String>();
        insta::assert_snapshot!(at(Some(80)), @r"
12:00:01    0  1.2s   cargo test --workspace --all-features --no-fail-fast
12:00:01  101  1.2s     rustc --crate-name x
12:00:01 KILL  1.2s   sleep 100
12:00:01 fail  1.2s   nosuch ENOENT
12:00:01    …         npm test
12:00:01    0  1.2s ! rm x
                      claimed: ls
12:00:01    0  1.2s   src$ ls
");
        insta::assert_snapshot!(at(Some(40)), @r"
12:00   0  cargo test --works…(+34) 1.2s
12:00 101   rustc --crate-name x 1.2s
12:00 KILL  sleep 100 1.2s
12:00 fail  nosuch ENOENT 1.2s
12:00   …  npm test
12:00   0! rm x 1.2s
           claimed: ls
12:00   0  src$ ls 1.2s
");
        insta::assert_snapshot!(at(None), @r"
12:00:01    0  1.2s   cargo test --workspace --all-features --no-fail-fast
12:00:01  101  1.2s     rustc --crate-name x
12:00:01 KILL  1.2s   sleep 100
12:00:01 fail  1.2s   nosuch ENOENT
12:00:01    …         npm test
12:00:01    0  1.2s ! rm x
                      claimed: ls
12:00:01    0  1.2s   src$ ls
");
    }

    #[test]
    fn colours_are_whole() {
        let mut out = String::new();
        let row = row(State::Exited(1), &"x".repeat(90));
        let beside = Beside { time: "12:00", ..Beside::default() };
        Layout { width: Some(30) }.row(&row, beside, &mut out);
        insta::assert_snapshot!(out.escape_debug(), @r"\u{1b}[2m12:00\u{1b}[0m \u{1b}[31m  1\u{1b}[0m  \u{1b}[31mxxxxxxxx…(+82)\u{1b}[0m\u{1b}[2m 1.2s\u{1b}[0m\n");
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_the_terminal(
            text in "\\PC{0,90}",
            width in 30_usize..200,
            depth in 0_usize..20,
            cwd in proptest::option::of("\\PC{0,40}"),
        ) {
            let cwd = cwd.map(|cwd| Bytes::from(cwd.as_str()));
            let row = Row { depth, cwd, ..row(State::Exited(3), &text) };
            let shown = plain(Some(width), &row);
            prop_assert!(text::width(shown.trim_end_matches('\n')) <= width, "{}", shown);
        }
    }
}
