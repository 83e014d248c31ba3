//! Descriptors of processes, and what they tell that no crate asks for: `PIDFD_GET_INFO` (Linux 6.13;
//! exit statuses 6.15).
#![expect(unsafe_code, reason = "PIDFD_GET_INFO has no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::ready::ready_by;

/// Where exit statuses come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitSource {
    /// The kernel tells the status of a reaped process through its pidfd (Linux 6.15).
    Pidfd,
    /// `exit_group(2)` is notified; the status of a process that a signal ends stays unknown.
    ExitGroup,
}

/// A descriptor of a process by its number, readable once that has ended (`pidfd_open(2)`, Linux 5.3).
///
/// # Errors
/// ESRCH: there is none. EINVAL, since Linux 6.9 also ENOENT: a thread that is not its process's first.
pub fn open(pid: i32) -> rustix::io::Result<OwnedFd> {
    pidfd_open(Pid::from_raw(pid).ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

/// Whether the process of a pidfd ends within this time.
///
/// # Errors
/// When the kernel has no memory to wait with.
pub fn ends_within(pidfd: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let ended = PollFd::from_borrowed_fd(pidfd, PollFlags::IN);
    ready_by(&mut [ended], Instant::now() + patience)
}

/// What a pidfd tells about its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The parent, 0 where it has none in our pid namespace; absent once the process is reaped.
    pub ppid: Option<i32>,
    /// The status as wait(2) gives it; present once the process is reaped.
    pub exit: Option<i32>,
}

/// Asks a pidfd.
///
/// # Errors
/// ENOTTY: the kernel does not know the question (before 6.13). ESRCH: the process was reaped and
/// the kernel keeps no status (before 6.15).
pub fn info(pidfd: BorrowedFd<'_>) -> io::Result<Info> {
    // SAFETY: the structure consists of integers, for which zero is a value.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = u64::from(libc::PIDFD_INFO_PID | libc::PIDFD_INFO_EXIT);
    // SAFETY: the kernel reads and writes one `pidfd_info`; its size is in the request's number.
    let done = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let has = |flag: u32| info.mask & u64::from(flag) != 0;
    Ok(Info {
        ppid: has(libc::PIDFD_INFO_PID).then_some(info.ppid.cast_signed()),
        exit: has(libc::PIDFD_INFO_EXIT).then_some(info.exit_code),
    })
}
