//! The supervisor: the parent of bwrap. It starts the sandbox, writes the log and answers for the
//! end of everything inside. It must never act on the word of something inside.

use std::path::Path;

use crate::error::{Error, Result};
use crate::log::sink::Sink;
use crate::sandbox::plan::Plan;

/// Whose terminal the agent runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// A pane that the supervisor has for itself: there is no shell behind it to return to.
    Own,
    /// The user's, with a shell that waits behind it (`--no-monitor`).
    Users,
}

/// Where a session keeps its things.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its directory below the state directory, mode 0700.
    pub directory: &'a Path,
    /// The directory for its sockets, mode 0700.
    pub runtime: &'a Path,
    /// Whose terminal the agent runs in.
    pub terminal: Terminal,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The code claudebox exits with.
    pub code: u8,
    /// See [`crate::log::event::End::reason`].
    pub reason: String,
    /// How many execs were logged.
    pub execs: u64,
}

/// Runs one session from its first to its last event. Must be called from the main thread, which
/// must outlive the session: the death signal of bwrap is bound to the thread that spawned it.
///
/// # Errors
/// When the session could not be started, or had to be ended because it could not be logged.
mod refusal;
mod signals;
mod spawn;
mod terminal;

pub fn run(plan: &Plan, session: &Session<'_>, sink: Box<dyn Sink>) -> Result<Ended> {
    let _ = (plan, session, sink);
    Err(Error::launcher("the supervisor is not built yet"))
}

/// Opens a shell in the sandbox of the running session whose sockets are in `runtime`, on the
/// terminal of standard input, and answers with the shell's exit code.
///
/// # Errors
/// When standard input is no terminal, or the session is not running.
pub fn shell(runtime: &Path) -> Result<u8> {
    let _ = runtime;
    Err(Error::launcher("the supervisor is not built yet"))
}
