//! seccomp(2) and the notifications of `seccomp_unotify(2)`: install a filter, receive what it
//! stops, let it go on or answer in its place. It decides nothing: which calls are stopped is the
//! filter's business, what is done about them the receiver's. Whoever lets a call go on has only
//! observed it, because what its pointers lead to can change after it was read.
#![expect(unsafe_code, reason = "seccomp(2) and its ioctls have no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// One instruction of a classic BPF program.
pub type Instruction = libc::sock_filter;

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of linux/seccomp.h.
const SYNC_WAKE_UP: libc::c_ulong = 1;

/// Stops the call until the supervisor answers.
pub const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
/// Lets the call pass.
pub const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

/// Lets the call fail with this errno(3), unseen by the kernel's own code.
pub const fn refuse(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned() & libc::SECCOMP_RET_DATA
}

/// A notification filter in force.
#[derive(Debug)]
pub struct Listener {
    /// Where the notifications arrive; close-on-exec.
    pub fd: OwnedFd,
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19) is in force: from the moment a
    /// notification is received until it is answered only a fatal signal ends the call. Without it
    /// a signal makes the caller ask again, or its exec fail with EINTR.
    pub killable: bool,
}

/// Installs a notification filter on the calling thread and everything it will start. It cannot
/// be removed. Sets `no_new_privs`, which an unprivileged filter demands.
///
/// # Errors
/// EBUSY: the process already has a listener (Linux allows one); ENOSYS, EINVAL: the kernel has no
/// seccomp notifications (before 5.0); EPERM, EACCES: an outer sandbox forbids it.
pub fn install(program: &[Instruction]) -> io::Result<Listener> {
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let (fd, killable) = match set_filter(program, flags | killable) {
        Err(err) if err.raw_os_error() == Some(libc::EINVAL) => {
            (set_filter(program, flags)?, false)
        }
        other => (other?, true),
    };
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(Listener { fd, killable })
}

/// Installs a filter that only allows and refuses, on the calling thread and everything it will
/// start. It cannot be removed. Sets `no_new_privs`, which an unprivileged filter demands.
///
/// # Errors
/// EINVAL: the kernel does not take the program.
pub fn apply(program: &[Instruction]) -> io::Result<()> {
    set_filter(program, 0).map(drop)
}

fn set_filter(program: &[Instruction], flags: libc::c_ulong) -> io::Result<i32> {
    // SAFETY: this prctl takes no pointer.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions, which the kernel copies and does not change.
    let fd = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(fd).map_err(io::Error::other)
}

/// A system call that waits for the supervisor.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    /// Names this one stop of this one thread.
    pub id: u64,
    /// The thread, as the receiver's pid namespace numbers it.
    pub tid: i32,
    /// `AUDIT_ARCH_*` of the call.
    pub arch: u32,
    /// The number of the call.
    pub nr: u32,
    /// Its arguments as the registers hold them.
    pub args: [u64; 6],
}

/// The supervisor's end of a notification filter.
#[derive(Debug)]
pub struct Receiver {
    fd: OwnedFd,
    /// As large as the running kernel's `struct seccomp_notif`, in words for its alignment.
    buffer: Vec<u64>,
}

impl Receiver {
    /// Takes the listener and asks the kernel how large its structures are.
    pub fn new(listener: OwnedFd) -> io::Result<Self> {
        let mut sizes =
            libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        // SAFETY: the kernel writes one `seccomp_notif_sizes`.
        let done = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes)
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        let bytes = usize::from(sizes.seccomp_notif).max(size_of::<libc::seccomp_notif>());
        Ok(Self { fd: listener, buffer: vec![0; bytes.div_ceil(8)] })
    }

    /// Wakes receiver and caller each on the processor of the other, or where the scheduler likes, which
    /// is the kernel's default. A receiver that waits by epoll(7) is not reached by it.
    ///
    /// # Errors
    /// EINVAL: Linux before 6.6.
    pub fn wake_on_this_processor(&self, yes: bool) -> io::Result<()> {
        let flags = if yes { SYNC_WAKE_UP } else { 0 };
        // SAFETY: this ioctl takes the flags themselves and no pointer.
        let done =
            unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Receives the next notification. Call it only when the descriptor polls readable: before
    /// Linux 6.11 it blocks for ever when nothing can come any more.
    ///
    /// # Errors
    /// ENOENT: the caller was killed or interrupted before it could be received.
    pub fn receive(&mut self) -> io::Result<Notification> {
        // The kernel refuses a buffer that is not zero.
        self.buffer.fill(0);
        let buffer: *mut libc::seccomp_notif = self.buffer.as_mut_ptr().cast();
        // SAFETY: the buffer is zeroed, aligned to 8 bytes, and as large as the kernel asked for.
        let done =
            unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, buffer) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the buffer holds at least one `seccomp_notif`, which the kernel has just filled.
        let got = unsafe { buffer.read() };
        Ok(Notification {
            id: got.id,
            tid: got.pid.cast_signed(),
            arch: got.data.arch,
            nr: got.data.nr.cast_unsigned(),
            args: got.data.args,
        })
    }

    /// Lets the call go on.
    ///
    /// # Errors
    /// ENOENT: its thread no longer waits; the call did not happen.
    pub fn proceed(&self, id: u64) -> io::Result<()> {
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
        self.reply(libc::seccomp_notif_resp { id, val: 0, error: 0, flags })
    }

    /// Ends the call with a result, or an errno(3), and without the kernel's own code for it.
    ///
    /// # Errors
    /// ENOENT: its thread no longer waits.
    pub fn answer(&self, id: u64, result: Result<i32, i32>) -> io::Result<()> {
        let (val, error) = match result {
            Ok(value) => (i64::from(value), 0),
            Err(errno) => (0, -errno),
        };
        self.reply(libc::seccomp_notif_resp { id, val, error, flags: 0 })
    }

    /// Gives the caller, which goes on waiting, a copy of a descriptor; answers its number there.
    ///
    /// # Errors
    /// ENOENT: its thread no longer waits; EMFILE: it has no room; EINVAL, ENOTTY: Linux before 5.9.
    pub fn give(&self, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool) -> io::Result<i32> {
        let mut gift = libc::seccomp_notif_addfd {
            id,
            flags: 0,
            srcfd: fd.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        // SAFETY: the kernel reads one `seccomp_notif_addfd`; its size is in the request's number.
        let number = unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw mut gift)
        };
        if number >= 0 { Ok(number) } else { Err(io::Error::last_os_error()) }
    }

    /// Whether the thread still waits. If so, what was opened by its number before is its own.
    pub fn waits(&self, id: u64) -> bool {
        let mut id = id;
        // SAFETY: the kernel reads one `u64`.
        let done = unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw mut id)
        };
        done == 0
    }

    fn reply(&self, mut reply: libc::seccomp_notif_resp) -> io::Result<()> {
        // SAFETY: the kernel reads one `seccomp_notif_resp`; newer kernels keep its size.
        let done = unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut reply)
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
