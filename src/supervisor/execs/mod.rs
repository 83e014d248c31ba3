//! Watches every exec of a session and writes the session's log. The kernel stops each execve(2)
//! inside and tells us; we look and let it go on. Observed, never enforced: what is read here
//! comes from the memory of the one who is watched. It must never keep a process waiting for a
//! disk, and never lose an event.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::Result;
use crate::log::event::{End, Event};
use crate::log::sink::Sink;
use crate::sys::pidfd::ExitSource;

pub mod calls;
pub mod filter;

/// What the watcher must know besides its listener.
#[derive(Clone, Debug)]
pub struct Options {
    /// What this kernel can tell; see [`probe`]. The filter must be made from the same.
    pub kernel: Kernel,
    /// Confirm the argv that ran. The filter must stop the starts of programs
    /// ([`filter::Stops::starts`]).
    pub verify: bool,
    /// How much of an exec is kept.
    pub limits: Limits,
    /// An environment variable whose presence marks a tool call of the agent.
    pub tool_marker: Option<String>,
    /// The sandbox's pid 1 as seen from outside: its direct children are agents and shells.
    pub init_pid: i32,
}

/// What this kernel can tell about processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Where exit statuses come from.
    pub exits: ExitSource,
    /// Whether a successful exec can be told from a failed one, and so argv be confirmed.
    pub verifies: bool,
}

/// How much of an exec is kept in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the path.
    pub path: usize,
    /// Bytes of one argument.
    pub argument: usize,
    /// Bytes of all arguments.
    pub arguments: usize,
    /// Number of arguments.
    pub count: usize,
    /// How far arguments are counted that are not kept.
    pub counted: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { path: 4096, argument: 4096, arguments: 16 * 1024, count: 512, counted: 65_536 }
    }
}

/// What came of a session's execs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many execs were logged.
    pub execs: u64,
}

/// The running watcher of one session.
#[derive(Debug)]
pub struct Execs {
    failure: OwnedFd,
}

/// Asks the kernel, with one child that is forked and killed, what it can tell. Call it while no
/// thread of this process waits for any child.
pub fn probe() -> Result<Kernel> {
    Err(crate::error::Error::launcher("not built yet"))
}

/// Starts watching. `sandbox_root` is an `O_PATH` descriptor of the sandbox's `/`.
pub fn start(
    listener: OwnedFd,
    sandbox_root: OwnedFd,
    options: Options,
    sink: Box<dyn Sink>,
) -> Result<Execs> {
    let _ = (listener, sandbox_root, options, sink);
    Err(crate::error::Error::launcher("not built yet"))
}

/// Only keeps the session's log, where execs are not observed.
pub fn start_unobserved(sink: Box<dyn Sink>) -> Result<Execs> {
    let _ = sink;
    Err(crate::error::Error::launcher("not built yet"))
}

impl Execs {
    /// Writes another event of the session into the log, after all that was seen before.
    pub fn note(&self, event: Event) {
        let _ = event;
    }

    /// Whether execs can no longer be logged: the log could not be written, or the watcher broke.
    /// Execs inside go on; whose log is required ends the session.
    pub fn failed(&self) -> bool {
        false
    }

    /// An eventfd that polls readable once [`Execs::failed`].
    pub fn failure(&self) -> BorrowedFd<'_> {
        self.failure.as_fd()
    }

    /// Takes in what is left, writes the event that `end` makes of the number of execs, and
    /// flushes. The sandbox must be dead.
    pub fn finish(self, end: impl FnOnce(u64) -> End) -> Result<Summary> {
        let _ = end(0);
        Err(crate::error::Error::launcher("not built yet"))
    }
}
