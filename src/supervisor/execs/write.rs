//! The writing thread: turns what was seen into events and hands them to the log. All that may
//! take its time is here: the log's disk, and the sandbox's file tree.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::Limits;
use super::arguments::Arguments;
use super::flag::Flag;
use super::judge::{Verdict, judge};
use super::queue::Queue;
use super::record::{Became, Called, Fate, Seat, Seen};
use super::root::Root;
use crate::hex::hexadecimal;
use crate::log::event::{Event, Exec, Outcome, Ran};
use crate::log::sink::Sink;

/// The writing thread's state.
pub struct Writer {
    queue: Arc<Queue<Seen>>,
    sink: Box<dyn Sink>,
    /// `None` where execs are not observed.
    root: Option<Root>,
    limits: Limits,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Writer {
    /// Prepares to write.
    pub fn new(
        queue: Arc<Queue<Seen>>,
        sink: Box<dyn Sink>,
        root: Option<Root>,
        limits: Limits,
    ) -> Self {
        Self { queue, sink, root, limits }
    }

    /// Writes until the queue is closed and gives the log back by `done`. When the log cannot be
    /// written, nothing waits for it any more.
    pub fn run(mut self, failure: &Flag, done: &SyncSender<io::Result<Box<dyn Sink>>>) {
        let result = catch_unwind(AssertUnwindSafe(|| self.write_all()))
            .unwrap_or_else(|_| Err(io::Error::other("a defect in claudebox")));
        if result.is_err() {
            failure.raise();
            self.queue.abandon();
        }
        let Self { sink, root, .. } = self;
        // Who does not wait for it any more has no use for it.
        let _ = done.send(result.map(|()| sink));
        drop(root);
    }

    fn write_all(&mut self) -> io::Result<()> {
        let mut taken = VecDeque::new();
        while self.queue.take(&mut taken) {
            if let Some(root) = &mut self.root {
                root.forget();
            }
            for seen in taken.drain(..) {
                let event = self.event(seen);
                self.sink.write(&event)?;
            }
            self.sink.flush()?;
        }
        Ok(())
    }

    fn event(&mut self, seen: Seen) -> Event {
        match seen {
            Seen::Called(seat, called) => {
                Event::Exec(Box::new(exec(*seat, &called, self.sink.shorten())))
            }
            Seen::Became(became) => Event::Ran(self.ran(&became)),
            Seen::Ended(exit) => Event::Exit(exit),
            Seen::Noted(event) => *event,
        }
    }

    fn ran(&mut self, became: &Became) -> Ran {
        let Became { t, id, called, fate } = became;
        let mut ran =
            Ran { t: *t, id: *id, outcome: Outcome::Unknown, argv: None, exe: None, errno: None };
        let called = called.as_deref();
        ran.outcome = match (fate, &mut self.root) {
            (Fate::Started(started), Some(root)) => {
                let Verdict { outcome, argv, exe } = judge(root, called, started, &self.limits);
                (ran.argv, ran.exe) = (argv, exe);
                outcome
            }
            (Fate::Started(_), None) | (Fate::Ran, _) => Outcome::Unverified,
            (Fate::Superseded, _) => Outcome::Superseded,
            (Fate::Checked, _) => Outcome::Checked,
            (Fate::Failed | Fate::Remains | Fate::Untold | Fate::Ended, root) => {
                ran.errno = root.as_ref().zip(called).and_then(|(root, c)| predict(root, c));
                match fate {
                    Fate::Failed => Outcome::Failed,
                    _ if ran.errno.is_some() => Outcome::ProbablyFailed,
                    Fate::Untold => Outcome::Unverified,
                    _ => Outcome::Unknown,
                }
            }
        };
        ran
    }
}

fn predict(root: &Root, called: &Called) -> Option<String> {
    let errno = root.predict(called)?;
    Some(errno_name(nix::errno::Errno::from_raw(errno.raw_os_error())))
}

fn exec(seat: Seat, called: &Called, shorten: bool) -> Exec {
    let (argv, count, hashed) = match &called.arguments {
        Arguments::Kept(kept) if shorten => (Vec::new(), kept.argc, Some(kept.hashed().sha256)),
        Arguments::Kept(kept) => (kept.to_vec(), kept.argc, None),
        Arguments::Hashed(hashed) => (Vec::new(), hashed.argc, Some(hashed.sha256)),
    };
    let cut = match &called.arguments {
        Arguments::Kept(kept) => hashed.is_some() || kept.is_cut(),
        Arguments::Hashed(_) => true,
    };
    Exec {
        t: seat.t,
        id: seat.id,
        pid: seat.pid,
        ppid: seat.ppid,
        tid: seat.tid,
        parent: seat.place.parent,
        root: seat.place.root,
        depth: seat.place.depth,
        path: called.path.clone(),
        argv,
        argc: cut.then_some(count),
        argv_sha256: hashed.as_ref().map(|hash| hexadecimal(hash)),
        cwd: called.cwd.clone(),
        arch: called.arch.map(str::to_owned),
        at: called.at.clone(),
        unread: called.unread.map(errno_name),
        tool: seat.place.tool,
        retry_of: seat.retry_of,
    }
}

/// `ENOENT` of "ENOENT: No such file or directory".
fn errno_name(errno: nix::errno::Errno) -> String {
    let text = errno.to_string();
    text.split_once(':').map_or_else(|| text.clone(), |(name, _)| name.to_owned())
}
