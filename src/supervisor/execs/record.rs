//! What the receiving thread saw, on its way to the writing thread.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;

use super::arguments::Arguments;
use super::queue::Weigh;
use crate::bytes::Bytes;
use crate::log::event::{Event, ExecAt, ExecId, Exit, Micros};

/// One thing to be written, in order.
#[derive(Debug)]
pub enum Seen {
    /// A process called execve(2) or execveat(2).
    Called(Box<Seat>, Arc<Called>),
    /// What became of an exec is known.
    Became(Became),
    /// A process ended.
    Ended(Exit),
    /// Another event of the session.
    Noted(Box<Event>),
}

/// Where an exec stands: its number, its process, its place in the tree.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// When it was called.
    pub t: Micros,
    /// Its number.
    pub id: ExecId,
    /// The process.
    pub pid: i32,
    /// Its parent.
    pub ppid: i32,
    /// The calling thread, where it is not the leader.
    pub tid: Option<i32>,
    /// The process's place in the tree.
    pub place: Place,
    /// The earlier try of the same search.
    pub retry_of: Option<ExecId>,
}

/// A process's place in the tree of execs. It keeps it through all its execs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The nearest ancestor's latest exec.
    pub parent: Option<ExecId>,
    /// The first exec of the agent's direct child this process descends from.
    pub root: Option<ExecId>,
    /// Distance from the agent.
    pub depth: u32,
    /// The process, or one it descends from, was started with the profile's tool marker.
    pub tool: bool,
    /// The process, or one it descends from, had no ancestor left that is known when it first called.
    pub lost: bool,
}

/// What an exec was called with: what lay in the caller's memory while it was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The path.
    pub path: Bytes,
    /// The arguments.
    pub arguments: Arguments,
    /// The caller's current directory.
    pub cwd: Option<Bytes>,
    /// The extra arguments of execveat(2).
    pub at: Option<ExecAt>,
    /// The architecture's name where it is not the native one.
    pub arch: Option<&'static str>,
    /// Why something could not be read.
    pub unread: Option<Errno>,
    /// What the path names.
    pub names: Names,
}

/// What the path of an exec names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// The file of this path, absolute, in the sandbox's root.
    Path(Bytes),
    /// An open file of the caller, or its own program: no path leads there from outside.
    File(FileId),
    /// It cannot be told.
    Unknown,
}

/// A file, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// `st_dev`
    pub dev: u64,
    /// `st_ino`
    pub ino: u64,
}

impl FileId {
    /// The file of a result of stat(2).
    pub fn of(stat: &rustix::fs::Stat) -> Self {
        Self { dev: stat.st_dev, ino: stat.st_ino }
    }
}

/// What became of an exec.
#[derive(Debug)]
pub struct Became {
    /// When that was known.
    pub t: Micros,
    /// Which exec.
    pub id: ExecId,
    /// What it was called with, while memory allowed to keep it.
    pub called: Option<Arc<Called>>,
    /// What is known.
    pub fate: Fate,
}

/// What the kernel's answers say about an exec.
#[derive(Debug)]
pub enum Fate {
    /// A new program was met before its first own instruction.
    Started(Started),
    /// A new program runs; it was not met in time.
    Ran,
    /// The process called again and has executed nothing: certain.
    Failed,
    /// The process has the old program still; the call may not have ended.
    Remains,
    /// Another thread's exec replaced the program.
    Superseded,
    /// Nothing can be told of this process.
    Untold,
    /// It cannot be told whether it ran: the process ended first, or somebody kept the old memory in use.
    Ended,
    /// It was a question only (`AT_EXECVE_CHECK`).
    Checked,
}

/// A new program, read while it was stopped at its first steps.
#[derive(Debug)]
pub struct Started {
    /// Its argv in the form of `/proc/PID/cmdline`, where it is not the one of the call.
    pub argv: Option<Vec<u8>>,
    /// Its executable (`O_PATH`).
    pub exe: Option<OwnedFd>,
    /// It cannot be confirmed: more than one exec of this process may be this one, or its argv is
    /// longer than what is compared, or what the kernel says of it may have been changed.
    pub ambiguous: bool,
}

impl Weigh for Seen {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Called(_, called) => size_of::<Seat>() + called.weight(),
                Self::Became(Became { fate: Fate::Started(started), .. }) => {
                    started.argv.as_ref().map_or(0, Vec::capacity)
                }
                Self::Became(_) | Self::Ended(_) => 0,
                Self::Noted(_) => size_of::<Event>(),
            }
    }
}

impl Called {
    /// Its bytes.
    pub fn weight(&self) -> usize {
        let names = match &self.names {
            Names::Path(path) => path.0.capacity(),
            Names::File(_) | Names::Unknown => 0,
        };
        size_of::<Self>()
            + self.path.0.capacity()
            + self.cwd.as_ref().map_or(0, |cwd| cwd.0.capacity())
            + self.arguments.weight()
            + names
    }
}
