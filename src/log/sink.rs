//! Where the supervisor's events go. The writer of the log implements it; tests collect.
#![forbid(unsafe_code)]

use std::io;

use super::event::Event;

/// Takes events in order, from one thread.
pub trait Sink: Send {
    /// Takes one event. It may be buffered until [`Sink::flush`].
    ///
    /// # Errors
    /// When the event cannot be kept (disk full, I/O error); the caller ends a session whose
    /// log is required.
    fn write(&mut self, event: &Event) -> io::Result<()>;

    /// Hands everything taken so far to the kernel, so that a reader sees it.
    fn flush(&mut self) -> io::Result<()>;

    /// Whether arguments should now be kept as a hash only: the log is at its configured total.
    fn shorten(&self) -> bool {
        false
    }
}
