//! Waits for what tmux does, with a limit: it hangs where a user's configuration makes it hang, and
//! claudebox must never hang with it.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::ready::ready_by;

/// Waits until one of the descriptors is readable; answers with its place, `None` after `limit`.
pub fn wait_for_any(fds: &[BorrowedFd<'_>], limit: Duration) -> io::Result<Option<usize>> {
    let mut polled: Vec<_> =
        fds.iter().map(|&fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let ready = ready_by(&mut polled, Instant::now() + limit)?;
    Ok(polled.iter().position(|fd| ready && !fd.revents().is_empty()))
}
