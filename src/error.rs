//! What claudebox says when it cannot go on: one error with its hints, the table of exit codes,
//! and the only place that prints an error or a remark. It must never hide the agent's own exit code behind
//! one of claudebox's, nor print a byte of foreign text unescaped.
#![forbid(unsafe_code)]

use std::{fmt, io};

/// Exit codes of claudebox itself. Any other code is the agent's own; a signal is 128 + its number.
/// 125 to 127 follow env(1), timeout(1) and docker run.
pub mod exit {
    /// The command line or a profile is wrong.
    pub const USAGE: u8 = 2;
    /// The launcher failed: the machine lacks something, or a file could not be used.
    pub const LAUNCHER: u8 = 125;
    /// The agent was found and cannot be executed.
    pub const CANNOT_EXECUTE: u8 = 126;
    /// The agent was not found.
    pub const NOT_FOUND: u8 = 127;
    /// Added to the number of the signal that ended the agent.
    pub const SIGNAL_BASE: u8 = 128;
}

/// Which exit code an error ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`exit::USAGE`]
    Usage,
    /// [`exit::LAUNCHER`]
    Launcher,
    /// [`exit::CANNOT_EXECUTE`]
    CannotExecute,
    /// [`exit::NOT_FOUND`]
    NotFound,
}

impl Kind {
    /// The exit code of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => exit::USAGE,
            Self::Launcher => exit::LAUNCHER,
            Self::CannotExecute => exit::CANNOT_EXECUTE,
            Self::NotFound => exit::NOT_FOUND,
        }
    }
}

/// A failure of claudebox: what was tried, on what, why it failed; and hints: what to do next.
///
/// `message` is one or more lines that are ready for a terminal (foreign text in it goes through
/// [`crate::visible`]); a snippet with a caret is part of the message.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    brief: Option<String>,
    hints: Vec<String>,
}

/// The result of nearly everything at the edge.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), brief: None, hints: Vec::new() }
    }

    /// A wrong command line or profile (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A failure of the launcher (exit code 125).
    pub fn launcher(message: impl Into<String>) -> Self {
        Self::new(Kind::Launcher, message)
    }

    /// Adds what the user can do next. Hints are printed in the order they were added.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says the same in one line, for a message of several.
    #[must_use]
    pub(crate) fn in_brief(mut self, line: String) -> Self {
        self.brief = Some(line);
        self
    }

    /// The message in one line, to be mentioned in another.
    pub fn brief(&self) -> &str {
        self.brief.as_deref().or_else(|| self.message.lines().next()).unwrap_or_default()
    }

    /// Which kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The hints, in order.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Attaches what was tried to an operating-system error: `result.tried(|| "open ...")`.
pub trait Tried<T> {
    /// Turns the failure into a launcher error "cannot WHAT: WHY".
    fn tried<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: fmt::Display> Tried<T> for std::result::Result<T, E> {
    fn tried<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|err| Error::launcher(format!("cannot {}: {err}", what())))
    }
}

/// What came of an answer to the user. A reader that has gone away (`| head`) has what it wanted, and whoever
/// reads no further still wants the exit code.
///
/// # Errors
/// Any other failure to write.
pub fn printed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.tried(|| "write the output"),
    }
}

/// Prints an error and its hints to standard error. A closed standard error is not a failure.
pub fn report(error: &Error) {
    use std::io::Write as _;
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
    let mut out = anstream::stderr().lock();
    let _ = writeln!(out, "{red}claudebox:{red:#} {error}");
    for hint in error.hints() {
        let _ = writeln!(out, "{cyan}hint:{cyan:#} {hint}");
    }
}

/// Tells the user something that is no error. `text` is ready for a terminal.
pub fn say(text: impl fmt::Display) {
    use std::io::Write as _;
    let bold = anstyle::Style::new().bold();
    let _ = writeln!(anstream::stderr().lock(), "{bold}claudebox:{bold:#} {text}");
}
