//! Waits until a log has grown, without costing anything while it does not: the kernel wakes us
//! when the session's directory changes (inotify(7)), when the reader of our output goes away, or
//! when a time has come. It must never read the log.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// Why waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something in the directory changed.
    Changed,
    /// The time has come.
    Time,
    /// Nobody reads the output any more.
    HungUp,
}

/// Watches a session's directory.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    /// Begins to watch. What changes from now on is not missed, however late [`Self::wait`] comes.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // A closed file may be the first segment, that is: the end of the supervisor.
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&inotify, directory, flags | WatchFlags::ONLYDIR)?;
        Ok(Self { inotify })
    }

    /// Waits. `output` is watched for its reader going away.
    pub fn wait(&self, output: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<Woken> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        // POLLERR and POLLHUP are reported without being asked for.
        let mut fds = [
            PollFd::new(&self.inotify, PollFlags::IN),
            PollFd::from_borrowed_fd(output, PollFlags::empty()),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            // After a signal, too, time may have passed.
            Ok(0) | Err(Errno::INTR) => return Ok(Woken::Time),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[1].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            return Ok(Woken::HungUp);
        }
        self.drain()?;
        Ok(Woken::Changed)
    }

    /// What changed does not matter, only that the queue is empty again.
    fn drain(&self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd as _;

    #[test]
    fn it_sleeps_until_something_happens() {
        let dir = tempfile::tempdir().unwrap();
        let watch = Watch::new(dir.path()).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let short = Some(Duration::from_millis(20));
        let wait = |timeout| watch.wait(writer.as_fd(), timeout).unwrap();
        assert_eq!(wait(short), Woken::Time);
        fs::write(dir.path().join("events.jsonl"), "x").unwrap();
        assert_eq!(wait(None), Woken::Changed);
        assert_eq!(wait(short), Woken::Time, "the queue is empty again");
        drop(reader);
        assert_eq!(wait(None), Woken::HungUp);
    }
}
