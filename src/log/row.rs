//! One row of the log pane: a command, what became of it, and how sure that is; each with its word
//! and its colour. It must never call sure what was not confirmed.
#![forbid(unsafe_code)]

use anstyle::{AnsiColor, Style};

use super::command::{Kept, Place};
use super::event::{Micros, Outcome};
use super::quote;
use crate::bytes::Bytes;

/// What became of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It runs.
    #[default]
    Running,
    /// It exited with this status.
    Exited(u8),
    /// This signal ended it, perhaps with a core dump.
    Signaled(u8, bool),
    /// It was not executed, for this error.
    NotExecuted(String),
    /// Its process executed something else.
    Replaced,
    /// Another thread of its process executed something else first.
    Superseded,
    /// Nothing was to be executed: `AT_EXECVE_CHECK`.
    Checked,
    /// It ended, and nothing tells how.
    Gone,
}

impl State {
    /// Whether a person wants to know.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Exited(1..) | Self::Signaled(..) | Self::NotExecuted(_))
    }

    pub(super) fn word(&self) -> String {
        match self {
            Self::Running => "…".to_owned(),
            Self::Exited(status) => status.to_string(),
            Self::Signaled(signal, _) => signal_name(*signal),
            Self::NotExecuted(_) => "fail".to_owned(),
            Self::Replaced => "exec".to_owned(),
            Self::Superseded => "lost".to_owned(),
            Self::Checked => "chk".to_owned(),
            Self::Gone => "?".to_owned(),
        }
    }

    pub(super) fn note(&self) -> Option<String> {
        match self {
            Self::NotExecuted(errno) if !errno.is_empty() => Some(errno.clone()),
            Self::Signaled(_, true) => Some("core dumped".to_owned()),
            _ => None,
        }
    }

    pub(super) fn style(&self) -> Style {
        match self {
            Self::Exited(1..) | Self::NotExecuted(_) => AnsiColor::Red.on_default(),
            Self::Signaled(..) => AnsiColor::Magenta.on_default(),
            Self::Running => AnsiColor::Cyan.on_default(),
            _ => Style::new(),
        }
    }
}

/// signal(7), without `SIG`.
fn signal_name(signal: u8) -> String {
    nix::sys::signal::Signal::try_from(i32::from(signal)).map_or_else(
        |_| format!("sig{signal}"),
        |known| known.as_str().trim_start_matches("SIG").to_owned(),
    )
}

/// How sure it is that the argv shown is the argv that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// As sure as this machine lets us be.
    #[default]
    None,
    /// `?`: it could not be confirmed, or not even whether it ran, although others can be.
    Unverified,
    /// `~`: the program's own start code could have changed it.
    OwnLoader,
    /// `!`: another argv ran than the one the kernel was shown at first: an attack.
    Changed,
}

impl Mark {
    /// The mark for an outcome. Where nothing can be confirmed on this machine the header says so
    /// once, and only what is wrong is marked.
    pub fn of(outcome: Option<Outcome>, verifies: bool) -> Self {
        match outcome {
            Some(Outcome::Changed) => Self::Changed,
            Some(Outcome::OwnLoader) => Self::OwnLoader,
            Some(outcome) if verifies && is_uncertain(outcome) => Self::Unverified,
            _ => Self::None,
        }
    }

    pub(super) fn sign(self) -> (&'static str, Style) {
        match self {
            Self::None => (" ", Style::new()),
            Self::Unverified => ("?", AnsiColor::Yellow.on_default()),
            Self::OwnLoader => ("~", AnsiColor::Yellow.on_default()),
            Self::Changed => ("!", AnsiColor::BrightRed.on_default().bold()),
        }
    }
}

/// Whether it is not certain that it ran, and with what.
pub(super) fn is_uncertain(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Unverified | Outcome::ProbablyFailed | Outcome::Unknown)
}

/// A command as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// When it began, or ended for the second row of one that took long.
    pub t: Micros,
    /// What became of it.
    pub state: State,
    /// How long it took, in microseconds.
    pub duration: Option<u64>,
    /// How deep below the agent's own commands it is shown.
    pub depth: usize,
    /// The lines to its ancestors, where these are drawn.
    pub branch: String,
    /// How sure the text is.
    pub mark: Mark,
    /// Where it ran.
    pub cwd: Option<Bytes>,
    /// The command.
    pub text: String,
    /// How much of the command that is.
    pub kept: Kept,
    /// Where its program is, if it is not named by what is known.
    pub place: Option<Place>,
    /// What the caller had shown to the kernel, where something else ran.
    pub claimed: Option<String>,
    /// The program's name, where it is the agent's own housekeeping.
    pub helper: Option<String>,
}

/// A directory, visible, as seen from the project.
pub(super) fn place(cwd: &Bytes, project: &Bytes) -> String {
    let project = project.0.as_slice();
    match cwd.0.strip_prefix(project).filter(|_| !project.is_empty()) {
        Some(b"") => ".".to_owned(),
        Some([b'/', below @ ..]) => quote::word(below),
        _ => quote::word(&cwd.0),
    }
}

impl Row {
    /// Whether it would read the same as another, but for the time. The same words in another directory
    /// do something else, and so may words of which the ends are missing.
    pub fn is_like(&self, other: &Self) -> bool {
        let timeless = |row: &Self| Self { t: 0, duration: None, ..row.clone() };
        self.kept != Kept::Unknown && timeless(self) == timeless(other)
    }
}
