//! Watches every exec of a session and writes the session's log. The kernel stops each execve(2)
//! inside and tells us; we look and let it go on. Observed, never enforced: what is read here
//! comes from the memory of the one who is watched. (One call is not let go on but done in the
//! caller's place: see [`crate::filters::calls::Kind::Socket`].) It must never keep a process waiting
//! for a disk, and never lose an event.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use self::flag::Flag;
use self::queue::{BOUNDS, Queue};
use self::record::Seen;
use self::threads::{Waiting, Working};
use self::watch::Watch;
use self::write::Writer;
use crate::error::{Error, Result, Tried as _};
use crate::log::event::{End, Event, ExecId};
use crate::log::sink::Sink;
use crate::sys::channel::Channel;

pub mod arguments;
pub mod flag;
pub mod head;
pub mod judge;
pub mod memory;
pub mod probe;
pub mod process;
pub mod procfs;
pub mod queue;
pub mod record;
pub mod root;
mod threads;
pub mod watch;
pub mod write;

pub use self::probe::{Kernel, probe};
pub use self::root::Root;
pub use self::threads::Threads;

/// What the watcher must know besides its listener.
#[derive(Clone, Debug)]
pub struct Options {
    /// What this kernel can tell; see [`probe()`]. The filter must be made from the same.
    pub kernel: Kernel,
    /// Confirm the argv that ran. The filter must stop the starts of programs
    /// ([`crate::filters::notify::Stops::starts`]).
    pub verify: bool,
    /// How much of an exec is kept.
    pub limits: Limits,
    /// An environment variable whose presence marks a tool call of the agent.
    pub tool_marker: Option<String>,
    /// The sandbox's pid 1 as seen from outside: its direct children are agents and shells.
    pub init_pid: i32,
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
    queue: Arc<Queue<Seen>>,
    failure: Arc<Flag>,
    stop: Arc<Flag>,
    /// `None` where execs are not observed.
    watch: Option<Working<ExecId>>,
    /// The log, once all is in it.
    written: Receiver<io::Result<Box<dyn Sink>>>,
}

/// Starts watching, in these threads. `sockets` leads to who makes the sockets of
/// [`crate::filters::calls::Kind::Socket`]; without it they are refused.
///
/// # Errors
/// When a descriptor cannot be had, or the kernel has no seccomp notifications.
pub fn start(
    threads: Threads,
    listener: OwnedFd,
    root: Root,
    options: Options,
    sockets: Option<Channel>,
    sink: Box<dyn Sink>,
) -> Result<Execs> {
    let mut execs = start_writing(threads.log, sink, Some(root), options.limits)?;
    let (queue, stop) = (Arc::clone(&execs.queue), Arc::clone(&execs.stop));
    let watch = Watch::new(listener, options, sockets, queue, stop)
        .tried(|| "receive seccomp notifications (seccomp_unotify(2))")?;
    let failure = Arc::clone(&execs.failure);
    execs.watch = Some(threads.watch.give(move || watch.run(&failure))?);
    Ok(execs)
}

/// Only keeps the session's log, where execs are not observed.
///
/// # Errors
/// When a descriptor cannot be had.
pub fn start_unobserved(threads: Threads, sink: Box<dyn Sink>) -> Result<Execs> {
    start_writing(threads.log, sink, None, Limits::default())
}

fn start_writing(
    thread: Waiting<()>,
    sink: Box<dyn Sink>,
    root: Option<Root>,
    limits: Limits,
) -> Result<Execs> {
    let flag = || Flag::new().tried(|| "make an eventfd").map(Arc::new);
    let (failure, stop) = (flag()?, flag()?);
    let queue = Arc::new(Queue::new(BOUNDS));
    let writer = Writer::new(Arc::clone(&queue), sink, root, limits);
    let failed = Arc::clone(&failure);
    let (done, written) = sync_channel(1);
    // It is not waited for: when it has given the log back, it lets go of the sandbox's root, and the
    // kernel takes down all its mounts.
    thread.give(move || writer.run(&failed, &done))?;
    Ok(Execs { queue, failure, stop, watch: None, written })
}

impl Execs {
    /// Writes another event of the session into the log, after all that was seen before.
    pub fn note(&self, event: Event) {
        self.queue.push(Seen::Noted(Box::new(event)));
    }

    /// The same for another thread.
    pub fn notes(&self) -> impl Fn(Event) + Send + Sync + 'static {
        let queue = Arc::clone(&self.queue);
        move |event| queue.push(Seen::Noted(Box::new(event)))
    }

    /// The session is about to end: what was seen is written while the sandbox dies.
    pub fn hurry(&self) {
        self.queue.hurry();
    }

    /// The sandbox is dead: whatever still lived could execute nothing any more.
    pub fn stop(&self) {
        self.stop.raise();
    }

    /// Whether execs can no longer be logged: the log could not be written, or the watcher broke.
    /// Execs inside go on; whose log is required ends the session.
    pub fn failed(&self) -> bool {
        self.failure.is_raised()
    }

    /// An eventfd that polls readable once [`Execs::failed`].
    pub fn failure(&self) -> BorrowedFd<'_> {
        self.failure.as_fd()
    }

    /// Takes in what is left, writes the event that `end` makes of the number of execs, and
    /// flushes. [`Execs::stop`] is part of it.
    ///
    /// # Errors
    /// When the log could not be written, now or before.
    pub fn finish(self, end: impl FnOnce(u64) -> End) -> Result<Summary> {
        self.stop.raise();
        let broke = || Error::launcher("cannot write the log: a defect in claudebox");
        let execs = match self.watch {
            Some(watch) => watch.join().ok_or_else(broke)?,
            None => 0,
        };
        self.queue.close();
        let mut sink = self.written.recv().map_err(|_| broke())?.tried(|| "write the log")?;
        sink.write(&Event::End(end(execs)))
            .and_then(|()| sink.flush())
            .tried(|| "write the log")?;
        Ok(Summary { execs })
    }
}
