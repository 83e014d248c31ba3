//! One row of the pane about the network, in so many columns. Unlike a command it is never cut in the
//! middle of what a person has to read or to type: it takes more lines instead.
#![forbid(unsafe_code)]

use anstyle::{AnsiColor, Style};

use crate::log::event::Micros;
use crate::log::layout::{DIM, Layout, Line};
use crate::log::text;

/// What a row tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Something inside was connected.
    Reached,
    /// The connection could not be made, or broke.
    Failed,
    /// It may not be reached.
    Refused,
    /// A rule came while the session ran.
    Allowed,
    /// Something inside listens.
    Listening,
}

impl What {
    /// Whether a person wants to know.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Refused)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Reached => "net",
            Self::Failed => "fail",
            Self::Refused => "deny",
            Self::Allowed => "rule",
            Self::Listening => "open",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Reached | Self::Listening => AnsiColor::Blue.on_default(),
            Self::Failed => AnsiColor::Red.on_default(),
            Self::Refused => AnsiColor::Yellow.on_default(),
            Self::Allowed => AnsiColor::Green.on_default(),
        }
    }
}

/// What happened, as it is shown. All text is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When.
    pub t: Micros,
    /// What it tells.
    pub what: What,
    /// How many times; 1 goes without saying.
    pub times: u64,
    /// How long it took, in microseconds.
    pub duration: Option<u64>,
    /// The host and port, or the rule.
    pub target: String,
    /// What there is to say about it.
    pub note: String,
    /// The line to type that would change it.
    pub remedy: Option<String>,
}

impl Row {
    /// What a search looks at.
    pub fn text(&self) -> String {
        format!("{} {}", self.target, self.note)
    }
}

impl Layout {
    /// The row as lines, coloured. `time`: the time of day, as [`Layout::clock`] asks for it.
    pub fn net(self, row: &Row, time: &str, out: &mut String) {
        let count = match (row.times, row.duration) {
            (2.., _) => format!("x{}", row.times),
            (_, Some(duration)) => text::duration(duration),
            _ => String::new(),
        };
        let (style, mut line) = (row.what.style(), Line::new(out));
        line.put(DIM, time);
        line.put(Style::new(), " ");
        line.put(style, &text::right(row.what.word(), if self.is_narrow() { 3 } else { 4 }));
        if !self.is_narrow() {
            line.put(DIM, &format!(" {}", text::right(&count, 5)));
        }
        line.put(Style::new(), if self.is_narrow() { "  " } else { "   " });
        let indent = line.used();
        let room = self.room(indent);
        let mut lines = vec![vec![(style, text::fit_end(&row.target, room))]];
        append(&mut lines, (DIM, &row.note), "", room);
        append(&mut lines, (DIM, if self.is_narrow() { &count } else { "" }), "", room);
        let remedy = row.remedy.as_deref().unwrap_or_default();
        append(&mut lines, (Style::new().bold(), remedy), "· ", room);
        for (at, pieces) in lines.into_iter().enumerate() {
            if at > 0 {
                line.put(Style::new(), &" ".repeat(indent));
            }
            for (at, (style, piece)) in pieces.into_iter().enumerate() {
                line.put(Style::new(), if at == 0 { "" } else { " " });
                line.put(style, &piece);
            }
            line.end();
        }
    }
}

/// Puts a piece behind what is there, after `joint`, where it fits whole; or else on lines of its own.
fn append(
    lines: &mut Vec<Vec<(Style, String)>>,
    (style, piece): (Style, &str),
    joint: &str,
    room: usize,
) {
    if piece.is_empty() {
        return;
    }
    if let Some(last) = lines.last_mut() {
        let used: usize = last.iter().map(|(_, piece)| text::width(piece) + 1).sum();
        let wanted = text::width(joint) + text::width(piece);
        if used.saturating_add(wanted) <= room {
            last.push((style, format!("{joint}{piece}")));
            return;
        }
    }
    lines.extend(text::wrap(piece, room).into_iter().map(|line| vec![(style, line)]));
}
