//! System calls that a sandbox must refuse, for the attack of `claudebox doctor`. Each is harmless
//! should it be done. It must never be called but inside.
#![expect(unsafe_code, reason = "what is tried has, on purpose, no wrapper")]

use std::io;
use std::ptr::{null, null_mut};

use libc::{c_int, c_long, c_ulong};
use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// ioctl(2) `TIOCSTI`, with bits above the lower 32 that the kernel does not look at.
    InjectInput,
    /// ioctl(2) `TIOCLINUX`.
    PasteSelection,
    /// unshare(2) of a user namespace.
    NewUserNamespace,
    /// mount(2) of a tmpfs.
    Mount,
    /// bpf(2).
    Bpf,
    /// keyctl(2), for the id of the session keyring.
    Keyctl,
    /// `io_uring_setup(2)`.
    IoUring,
    /// `open_by_handle_at(2)`.
    OpenByHandle,
    /// userfaultfd(2).
    Userfaultfd,
    /// `perf_event_open(2)`.
    PerfEvent,
    /// socket(2) of `AF_VSOCK`, which no network namespace holds.
    Vsock,
    /// ptrace(2) of pid 1.
    TraceInit,
    /// prctl(2) `PR_GET_NO_NEW_PRIVS` says no.
    GainPrivileges,
}

/// Has it done.
///
/// # Errors
/// How it was refused.
pub fn call(call: Call) -> io::Result<()> {
    let zero: c_long = 0;
    match call {
        Call::InjectInput => ioctl((1 << 32) | libc::TIOCSTI as c_ulong),
        Call::PasteSelection => ioctl(libc::TIOCLINUX as c_ulong),
        // SAFETY: takes an integer. This process is the attacker's, which has nothing to lose.
        Call::NewUserNamespace => told(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into()),
        Call::Mount => {
            let (what, on) = (c"tmpfs".as_ptr(), c"/tmp".as_ptr());
            // SAFETY: strings that end in NUL; no data.
            told(unsafe { libc::mount(what, on, what, 0, null()) }.into())
        }
        Call::Bpf => raw(libc::SYS_bpf, [zero, zero, zero, zero, zero]),
        // KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING
        Call::Keyctl => raw(libc::SYS_keyctl, [0, -3, zero, zero, zero]),
        Call::IoUring => {
            let mut parameters = [0_u8; 120];
            let address = (&raw mut parameters) as c_long;
            raw(libc::SYS_io_uring_setup, [1, address, zero, zero, zero])
        }
        Call::OpenByHandle => {
            // A handle of no length: EINVAL from the kernel itself, so that would be a call done.
            let handle = [0_u8; 64];
            let address = (&raw const handle) as c_long;
            done_if(
                raw(libc::SYS_open_by_handle_at, [-100, address, zero, zero, zero]),
                libc::EINVAL,
            )
        }
        Call::Userfaultfd => raw(libc::SYS_userfaultfd, [1, zero, zero, zero, zero]),
        Call::PerfEvent => {
            // No attributes: EFAULT from the kernel itself.
            done_if(raw(libc::SYS_perf_event_open, [zero, zero, -1, -1, zero]), libc::EFAULT)
        }
        // SAFETY: takes integers; what it makes is closed at exit.
        Call::Vsock => told(unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0) }.into()),
        Call::TraceInit => {
            // SAFETY: seizing reads and writes no memory of ours.
            told(unsafe { libc::ptrace(libc::PTRACE_SEIZE, 1, null_mut::<()>(), null_mut::<()>()) })
        }
        Call::GainPrivileges => {
            // SAFETY: takes integers.
            match unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) } {
                0 => Ok(()),
                _ => Err(io::Error::other("no_new_privs is set")),
            }
        }
    }
}

fn ioctl(request: c_ulong) -> io::Result<()> {
    let mut argument = *b"\x03\0\0\0\0\0\0\0";
    let address = (&raw mut argument) as c_long;
    let request = request.cast_signed();
    // Without a terminal the kernel says ENOTTY, and then nothing has refused it.
    done_if(raw(libc::SYS_ioctl, [0, request, address, 0, 0]), libc::ENOTTY)
}

/// An error that only the call itself gives means that it was let through.
fn done_if(result: io::Result<()>, errno: c_int) -> io::Result<()> {
    match result {
        Err(err) if err.raw_os_error() == Some(errno) => Ok(()),
        other => other,
    }
}

/// A call with up to five arguments; addresses among them must be of live memory.
fn raw(number: c_long, arguments: [c_long; 5]) -> io::Result<()> {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: the callers above give numbers, and addresses of live memory of the size that the
    // call uses.
    told(unsafe { libc::syscall(number, first, second, third, fourth, fifth) })
}

fn told(answer: c_long) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
