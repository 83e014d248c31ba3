//! The two threads of the log, made before it is known what they are to do: a start has the time while bwrap
//! mounts, and none once there is something to watch. They must never do anything before they are given it.
#![forbid(unsafe_code)]

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::SigSet;

use crate::error::{Error, Result, Tried as _};
use crate::log::event::ExecId;

/// Both of them. Dropped, they end.
#[derive(Debug)]
pub struct Threads {
    pub(super) watch: Waiting<ExecId>,
    pub(super) log: Waiting<()>,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start() -> Result<Self> {
        Ok(Self { watch: Waiting::start("exec-watch")?, log: Waiting::start("exec-log")? })
    }
}

type Work<T> = Box<dyn FnOnce() -> T + Send>;

/// A thread that waits for its work. Dropped, it has ended.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    work: Option<SyncSender<Work<T>>>,
    thread: Option<JoinHandle<Option<T>>>,
}

impl<T: Send + 'static> Waiting<T> {
    /// No signal is delivered to it: signals are the main thread's.
    fn start(name: &str) -> Result<Self> {
        let (work, given) = sync_channel::<Work<T>>(1);
        let body = move || {
            let _ = SigSet::all().thread_block();
            given.recv().ok().map(|work| work())
        };
        let thread = Builder::new().name(name.to_owned()).spawn(body).tried(|| "start a thread")?;
        Ok(Self { work: Some(work), thread: Some(thread) })
    }

    /// Gives it its work.
    pub(super) fn give(mut self, work: impl FnOnce() -> T + Send + 'static) -> Result<Working<T>> {
        let gone = || Error::launcher("a thread of the log has gone: a defect in claudebox");
        let given = self.work.take().ok_or_else(gone)?;
        given.send(Box::new(work)).map_err(|_| gone())?;
        Ok(Working(self.thread.take().ok_or_else(gone)?))
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A thread at its work.
#[derive(Debug)]
pub(super) struct Working<T>(JoinHandle<Option<T>>);

impl<T> Working<T> {
    /// Waits for what comes of it; `None` if it panicked.
    pub(super) fn join(self) -> Option<T> {
        self.0.join().ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_does_what_it_is_given_and_else_ends() {
        let waiting = Waiting::start("test").unwrap();
        assert_eq!(waiting.give(|| 7).unwrap().join(), Some(7));
        let threads = Threads::start().unwrap();
        drop(threads);
        let panicking = Waiting::<()>::start("test").unwrap();
        assert_eq!(panicking.give(|| panic!("on purpose")).unwrap().join(), None);
    }
}
