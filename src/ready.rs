//! Waiting for descriptors, at most until a moment. A signal that interrupts the wait neither ends it
//! nor makes it longer.
#![forbid(unsafe_code)]

use std::io;
use std::time::Instant;

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

/// Whether one of them is ready by then (poll(2)); which, is in the descriptors.
///
/// # Errors
/// When the kernel has no memory to wait with.
pub(crate) fn ready_by(fds: &mut [PollFd<'_>], until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(fds, Some(&timeout)) {
            Err(Errno::INTR) => {}
            other => return Ok(other? > 0),
        }
    }
}
