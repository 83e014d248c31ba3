//! The one question about namespaces that no crate asks safely (`ioctl_nsfs(2)`). It must never
//! change which namespaces this process is in.
#![expect(unsafe_code, reason = "NS_GET_USERNS")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// The user namespace that owns a namespace (`NS_GET_USERNS`, Linux 4.9), close-on-exec.
///
/// # Errors
/// EPERM: it is not below ours.
pub fn owner(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: takes no argument beyond the descriptor, which is borrowed.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_USERNS) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
