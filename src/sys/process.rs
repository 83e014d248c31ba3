//! Making processes: a fork for a program with one thread, and a child with nothing of ours but
//! what is meant for it. It must never fork a program with several threads and go on without an exec.
#![expect(unsafe_code, reason = "clone, pre_exec, keyctl, F_SETSIG and TIOCNOTTY")]

use std::ffi::{OsString, c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{fds, signals};

/// A proof that this process had one thread when it was made, and its maker starts no other.
#[derive(Debug)]
pub struct SingleThreaded(PhantomData<*const ()>);

impl SingleThreaded {
    /// Looks whether it is so.
    ///
    /// # Errors
    /// When there is another thread, or `/proc` cannot say.
    pub fn check() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(Self(PhantomData)),
            threads => Err(io::Error::other(format!("{threads} threads"))),
        }
    }

    /// Runs `body` in a child, which exits with its answer unless it executes a program. Until
    /// then the child uses our memory, and we stand still (clone(2), `CLONE_VFORK`): that takes a
    /// third of the time of a copy.
    ///
    /// # Errors
    /// When the kernel refuses another process.
    pub fn child<B: FnOnce() -> u8>(&self, body: B) -> io::Result<Pid> {
        extern "C" fn run<B: FnOnce() -> u8>(body: *mut c_void) -> c_int {
            // SAFETY: it points to the caller's `body`, which stands still and lives; taken once.
            let body = unsafe { &mut *body.cast::<Option<B>>() };
            body.take().map_or(libc::EXIT_FAILURE, |body| c_int::from(body()))
        }
        let mut stack = vec![0_u128; STACK / size_of::<u128>()];
        let mut body = Some(body);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack is the child's alone, grows down from its end and is aligned; `body`
        // and the stack outlive the child's use of them, since we go on only when it has executed
        // or ended. With one thread nobody else touches our memory meanwhile. The function returns
        // into _exit(2), which flushes nothing.
        let pid = unsafe {
            libc::clone(
                run::<B>,
                stack.as_mut_ptr_range().end.cast(),
                flags,
                (&raw mut body).cast(),
            )
        };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            pid => Ok(Pid::from_raw(pid)),
        }
    }
}

/// For the child's few calls, bytes.
const STACK: usize = 256 << 10;

/// A program to start with only the environment and the descriptors meant for it.
#[derive(Debug)]
pub struct Bare<'a> {
    /// The program, absolute.
    pub program: &'a Path,
    /// `argv[0]`.
    pub name: &'a str,
    /// The arguments after `argv[0]`.
    pub args: &'a [OsString],
    /// Its environment.
    pub env: &'a [(&'a str, OsString)],
    /// Files of control groups that take whoever writes `0` into them as a member (cgroups(7)): it
    /// is in the groups before it is executed, and so with all that it ever starts.
    pub enter: &'a [OwnedFd],
    /// The descriptors it inherits, under their numbers here.
    pub inherit: &'a [BorrowedFd<'a>],
    /// Its standard error.
    pub stderr: BorrowedFd<'a>,
}

/// What a terminal sends to a whole process group. The supervisor decides what becomes of them,
/// so the programs between it and the agent ignore them.
const FROM_TERMINAL: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

impl Bare<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be executed.
    pub fn spawn(&self) -> io::Result<Child> {
        let inherit: Vec<i32> = self.inherit.iter().map(AsRawFd::as_raw_fd).collect();
        let mut command = Command::new(self.program);
        command.arg0(self.name).args(self.args).env_clear().envs(self.env.iter().cloned());
        command.stderr(Stdio::from(self.stderr.try_clone_to_owned()?));
        let enter: Vec<i32> = self.enter.iter().map(AsRawFd::as_raw_fd).collect();
        let between = move || {
            for number in &enter {
                // SAFETY: `self.enter` owns it and is borrowed until `spawn` returns.
                rustix::io::write(unsafe { BorrowedFd::borrow_raw(*number) }, b"0")?;
            }
            signals::ignore(&FROM_TERMINAL)?;
            for number in &inherit {
                // SAFETY: `self.inherit` borrows it until `spawn` returns, so it is open.
                fds::inherit(unsafe { BorrowedFd::borrow_raw(*number) })?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
        unsafe { command.pre_exec(between) };
        command.spawn()
    }
}

/// Starts a command's process as programs expect it, with no signal blocked or ignored, and has it
/// get `signal` when the thread that starts it ends, whatever ends that (prctl(2),
/// `PR_SET_PDEATHSIG`).
pub fn signal_at_our_end(command: &mut Command, signal: Signal) {
    let between = move || {
        signals::reset()?;
        Ok(nix::sys::prctl::set_pdeathsig(signal)?)
    };
    // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
    unsafe { command.pre_exec(between) };
}

/// Lets the kernel kill `victim` when the last writing end of a pipe is closed, `reading` being its
/// other end: what `PR_SET_PDEATHSIG` does, but from the moment and by the hand of one's choice.
/// Some process must keep the reading end open (fcntl(2), `F_SETSIG`).
///
/// # Errors
/// Never in practice.
pub fn kill_at_hang_up(reading: BorrowedFd<'_>, victim: Pid) -> io::Result<()> {
    let commands = [
        (libc::F_SETOWN, victim.as_raw()),
        (F_SETSIG, libc::SIGKILL),
        (libc::F_SETFL, libc::O_ASYNC),
    ];
    for (command, value) in commands {
        // SAFETY: takes integers; the descriptor is borrowed.
        if unsafe { libc::fcntl(reading.as_raw_fd(), command, value) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// `asm-generic/fcntl.h`
const F_SETSIG: c_int = 10;

/// The children of this process, by `/proc`.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn children() -> io::Result<Vec<Pid>> {
    let own = std::process::id().to_string();
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may be gone by now. The name in parentheses may hold anything: count from its end.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let after_name = stat.rsplit_once(") ").map_or("", |(_, tail)| tail);
        if after_name.split(' ').nth(1) == Some(own.as_str()) {
            children.push(Pid::from_raw(pid));
        }
    }
    Ok(children)
}

/// Gives this process a session keyring of its own: the one it inherited may hold the user's keys
/// (keyrings(7)). Where the kernel has no keyrings, or something around us forbids keyctl(2),
/// nothing inside can reach one either.
///
/// # Errors
/// When there are keyrings and no new one can be had.
pub fn leave_session_keyring() -> io::Result<()> {
    // SAFETY: takes an integer and a null pointer, for an anonymous keyring.
    let done = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<u8>())
    };
    if done >= 0 {
        return Ok(());
    }
    let err = io::Error::last_os_error();
    match err.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        _ => Err(err),
    }
}

/// `linux/keyctl.h`
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Gives up the controlling terminal, so that another session can take it (`tty_ioctl(4)`).
///
/// # Errors
/// When it is not ours.
pub fn give_up_terminal(terminal: impl AsFd) -> io::Result<()> {
    // SAFETY: takes no argument beyond the descriptor, which is borrowed.
    let done = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCNOTTY) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_several_threads_is_not_forked() {
        // The test harness runs this in a thread beside its main one.
        assert!(SingleThreaded::check().is_err());
    }
}
