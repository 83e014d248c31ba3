//! The notification filter: a stand-in until the real one is merged.
#![expect(unsafe_code, reason = "seccomp(2) and its ioctls")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// A listener.
#[derive(Debug)]
pub struct Listener {
    /// The descriptor.
    pub fd: OwnedFd,
    /// WAIT_KILLABLE_RECV is in force.
    pub killable: bool,
}

/// Installs the filter on this thread.
pub fn observe(_exit_group: bool) -> io::Result<Listener> {
    let stmt = |code: u16, k: u32| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program = [
        stmt(0x20, 0),
        libc::sock_filter { code: 0x15, jt: 1, jf: 0, k: 59 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: 322 },
        stmt(0x06, libc::SECCOMP_RET_USER_NOTIF),
        stmt(0x06, libc::SECCOMP_RET_ALLOW),
    ];
    let prog = libc::sock_fprog { len: 5, filter: program.as_mut_ptr() };
    let flags: libc::c_ulong = 8 | 32;
    // SAFETY: the program outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, 1, flags, &raw const prog) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made.
    let fd = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) };
    Ok(Listener { fd, killable: true })
}

/// Takes one notification and lets it go on.
pub fn answer_one(listener: BorrowedFd<'_>) -> io::Result<()> {
    let mut request = [0u64; 10];
    // SAFETY: 80 bytes, zeroed.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), 0xc050_2100u64, request.as_mut_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut response = [request[0], 0, 1 << 32];
    // SAFETY: 24 bytes.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), 0xc018_2101u64, response.as_mut_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
