//! What the inner stage and the supervisor say to each other. Both ends are one binary, so there
//! is no version here; the socket is closed before anything foreign runs.
//!
//! ```text
//! inner stage                                supervisor
//!                                  <-------  Observe
//!   Observed (+ listener, root,    ------->    begins to watch, and the log
//!             the sockets' channel)
//!   confines itself
//!   Ready                          ------->
//!                                  <-------  Proceed
//!   agent's process: Started       ------->    knows its pid
//!   Ended                          ------->    (the namespace is gone)
//! ```
//! Without the exec log Observe asks for nothing, and no descriptor comes with Observed. A closed socket means, on either
//! side, that the other is dead: the inner stage then exits, and everything inside with it.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::filters::notify::Stops;
use crate::plan::InnerPlan;

/// What the inner stage is started with, in its sealed memory file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// What to confine and to run.
    pub plan: InnerPlan,
    /// The descriptor that becomes standard error. Until then bwrap's words and ours go to a
    /// file that the supervisor reads if the start fails.
    pub stderr: RawFd,
    /// A descriptor to keep open: it lets the kernel kill bwrap, and with it us, when the
    /// supervisor dies.
    pub life: RawFd,
    /// Whether the agent's process group becomes the terminal's foreground group.
    pub foreground: bool,
    /// What must be mounted.
    pub mounts: Vec<Mounted>,
}

/// A file or directory that the supervisor opened, and where it must be inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounted {
    /// The path inside, with no link on the way.
    pub destination: Bytes,
    /// Its device, as fstat(2) tells it.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// It must be so.
    pub read_only: bool,
}

/// From the inner stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// Whether execs are observed. Three descriptors if so: the listener, the root directory as the
    /// sandbox sees it, and a socket for [`Wanted`] and [`Made`].
    Observed(Observed),
    /// Everything is in force.
    Ready(Ready),
    /// Sent by the agent's process itself, just before it executes the agent.
    Started,
    /// Sent by the same process: it could not.
    NotExecuted {
        /// errno(3)
        errno: i32,
    },
    /// The agent was stopped and waits for a SIGCONT.
    Stopped {
        /// By this signal.
        signal: i32,
    },
    /// The agent ended. The last message.
    Ended(Status),
    /// A shell ended.
    ShellEnded {
        /// See [`Order::Shell`].
        id: u64,
        /// How.
        status: Status,
    },
    /// The inner stage cannot do what it was told to. The last message.
    Failed {
        /// What was tried and why it failed, ready for a terminal.
        message: String,
        /// See [`crate::error::Error::hints`].
        hints: Vec<String>,
    },
}

/// See [`Report::Ready`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// See [`crate::log::event::Confined::landlock`].
    pub landlock: String,
    /// See [`crate::log::event::Confined::landlock_abi`].
    pub landlock_abi: u32,
}

/// See [`Report::Observed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// Nobody asked for it.
    Off,
    /// The listener is attached.
    On {
        /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` is in force.
        killable: bool,
    },
    /// It could not be had.
    Unavailable {
        /// errno(3) of seccomp(2), or of the supervisor's trial: `ENOSYS` if no exec arrived there.
        errno: i32,
    },
}

/// Asks pid 1 for a socket, with the arguments of socket(2), for a program whose own call the
/// supervisor stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// `AF_*`
    pub family: u32,
    /// `SOCK_*`, with its flags.
    pub kind: u32,
    /// Within the family.
    pub protocol: u32,
    /// Two, as by socketpair(2).
    pub pair: bool,
}

/// The answer to [`Wanted`]: with its sockets, or with the errno(3) of why there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made(pub Result<(), i32>);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It exited with this status.
    Exited(u8),
    /// This signal ended it.
    Signaled(u8),
}

impl Status {
    /// As a shell says it: a signal is 128 + its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => crate::error::exit::SIGNAL_BASE.saturating_add(signal),
        }
    }
}

/// Who is meant by a signal: always the whole process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// The agent.
    Agent,
    /// The shell with this number.
    Shell(u64),
}

/// From the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Observe execs, with a filter that stops these calls; or do not. The first message: the
    /// supervisor learns what the kernel can tell while bwrap builds the mounts.
    Observe(Option<Stops>),
    /// Start the agent.
    Proceed,
    /// Send a signal.
    Signal {
        /// To whom.
        whom: Whom,
        /// Which.
        signal: i32,
    },
    /// Start a shell on the attached terminal (one descriptor).
    Shell {
        /// Its number, for the answer.
        id: u64,
    },
}
