//! Something that happened once, which a thread can ask for and poll(2) can wait for.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Not raised at first, and never lowered.
#[derive(Debug)]
pub struct Flag {
    raised: AtomicBool,
    fd: EventFd,
}

impl Flag {
    /// A flag that is not raised.
    pub fn new() -> io::Result<Self> {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { raised: AtomicBool::new(false), fd })
    }

    /// Raises it.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        let _ = self.fd.write(1);
    }

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }
}

impl AsFd for Flag {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
