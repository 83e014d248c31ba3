//! Making processes, and what binds their lives together. It must never let a child of a program
//! with several threads do more than system calls before its exec.
#![expect(unsafe_code, reason = "clone, clone3, pre_exec, keyctl, F_SETSIG and TIOCNOTTY")]

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::process::DumpableBehavior;

use super::{fds, signals};
use crate::proc_stat;

/// How long a thread that was waited for may take to be gone.
const LEAVES: Duration = Duration::from_secs(1);

/// A proof that this process had one thread when it was made, and its maker starts no other.
#[derive(Debug)]
pub struct SingleThreaded(PhantomData<*const ()>);

impl SingleThreaded {
    /// Looks whether it is so. A thread that was waited for is still listed for a moment: it wakes who
    /// waits on its way out (`set_tid_address(2)`).
    ///
    /// # Errors
    /// When there is another thread, or `/proc` cannot say.
    pub fn check() -> io::Result<Self> {
        let until = Instant::now() + LEAVES;
        loop {
            match std::fs::read_dir("/proc/self/task")?.count() {
                1 => return Ok(Self(PhantomData)),
                threads if Instant::now() >= until => {
                    return Err(io::Error::other(format!("{threads} threads")));
                }
                _ => thread::sleep(Duration::from_micros(100)),
            }
        }
    }

    /// Runs `body` in a child, which exits with its answer unless it executes a program. Until
    /// then we stand still, see [`vfork`].
    ///
    /// # Errors
    /// When the kernel refuses another process.
    pub fn child(&self, body: impl FnOnce() -> u8) -> io::Result<Pid> {
        // SAFETY: with one thread nobody else touches our memory meanwhile.
        unsafe { vfork(body) }
    }

    /// The same in a copy of our memory, while we go on: for a child beside which something foreign
    /// runs already, which could stop it on its way to the exec (SIGSTOP), and us with it.
    ///
    /// # Errors
    /// When the kernel refuses another process.
    pub fn copy(&self, body: impl FnOnce() -> u8) -> io::Result<Pid> {
        // SAFETY: with one thread there is no other whose locks the child would find closed.
        unsafe { fork(body) }
    }

    /// The same for a part of this program that goes on by itself, under a name of its own: it gets
    /// these descriptors, which are closed here, and no other; nothing that a terminal or a shell
    /// sends reaches it, and nobody of the same user can look into it, as into us. `body` must use
    /// no descriptor but what it is given.
    ///
    /// # Errors
    /// When the kernel refuses another process.
    pub fn part<const N: usize>(
        &self,
        name: &CStr,
        given: [OwnedFd; N],
        body: impl FnOnce([OwnedFd; N]) -> u8,
    ) -> io::Result<Pid> {
        self.copy(|| {
            let begin = || {
                // SAFETY: this is a copy that never goes back, and `body` has only what is kept.
                unsafe { fds::keep_only(&given) }?;
                signals::ignore_all_but_child()?;
                rustix::thread::set_name(name)?;
                rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
                io::Result::Ok(())
            };
            match begin() {
                Ok(()) => body(given),
                Err(_) => 1,
            }
        })
    }
}

/// Runs `body` in a child that is a copy of us, and exits with its answer unless it executes a
/// program (fork(2)).
///
/// # Safety
/// Where there are other threads, `body` must neither allocate nor take a lock.
///
/// # Errors
/// When the kernel refuses another process.
unsafe fn fork<B: FnOnce() -> u8>(body: B) -> io::Result<Pid> {
    // SAFETY: what `body` does in the child is the caller's word.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // A panic ends here: behind the fork there are two of us.
            let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(1);
            // SAFETY: takes an integer, and runs nothing that the parent registered.
            unsafe { libc::_exit(code.into()) }
        }
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Runs `body` in a child that uses our memory, and exits with its answer unless it executes a
/// program; until then this thread stands still (clone(2), `CLONE_VFORK`). It takes a third of the
/// time of a copy.
///
/// # Safety
/// Where there are other threads, `body` must not do what they could see half done: neither
/// allocate nor take a lock, but only make system calls on memory that is its own.
///
/// # Errors
/// When the kernel refuses another process.
pub(super) unsafe fn vfork<B: FnOnce() -> u8>(body: B) -> io::Result<Pid> {
    extern "C" fn run<B: FnOnce() -> u8>(body: *mut c_void) -> c_int {
        // SAFETY: it points to the caller's `body`, which stands still and lives; taken once.
        let body = unsafe { &mut *body.cast::<Option<B>>() };
        body.take().map_or(libc::EXIT_FAILURE, |body| c_int::from(body()))
    }
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let mut body = Some(body);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone, grows down from its end and is aligned; `body` and the
    // stack outlive the child's use of them, since we go on only when it has executed or ended. The
    // function returns into _exit(2), which flushes nothing. What `body` does is the caller's word.
    let pid = unsafe {
        libc::clone(run::<B>, stack.as_mut_ptr_range().end.cast(), flags, (&raw mut body).cast())
    };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Runs `body` in a child that is a copy of us and begins its life in the control group of version 2
/// whose directory this is, with all that comes of it (clone3(2), `CLONE_INTO_CGROUP`, Linux 5.7); like
/// [`fork`] otherwise, but that this thread stands still until the child has executed or ended.
///
/// # Safety
/// As for [`vfork`]: `body` must only make system calls.
///
/// # Errors
/// `ENOSYS`, `E2BIG` or `EINVAL`: this kernel, or a sandbox around us, does not have it. Else what
/// cgroups(7) says of a move.
pub(super) unsafe fn fork_into<B: FnOnce() -> u8>(
    group: BorrowedFd<'_>,
    body: B,
) -> io::Result<Pid> {
    // SAFETY: the structure consists of integers, for which zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP | u64::from(libc::CLONE_VFORK.cast_unsigned());
    args.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    args.cgroup = group.as_raw_fd().cast_unsigned().into();
    // SAFETY: the kernel reads one `clone_args`. Without CLONE_VM the child goes on in a copy of this
    // stack, where it only does what `body` does, by the caller's word, and ends.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = body();
            // SAFETY: takes an integer, and runs nothing that the parent registered.
            unsafe { libc::_exit(code.into()) }
        }
        pid => Ok(Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?)),
    }
}

/// `linux/sched.h`; more than fits into the type of libc's.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// For the child's few calls, bytes.
const STACK: usize = 256 << 10;

/// Has this process get `signal` when the thread that made it ends, whatever ends that (prctl(2),
/// `PR_SET_PDEATHSIG`). A `parent` that ended before the kernel knew of the tie will never end us: that is
/// an error. Makes system calls only, so that it can be called between fork and exec.
///
/// # Errors
/// `ESRCH`: the parent is dead already.
pub fn tie_to(parent: u32, signal: Signal) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(signal)?;
    if std::os::unix::process::parent_id() == parent {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(libc::ESRCH))
}

/// Starts a command's process as programs expect it, with no signal blocked or ignored, and has it
/// get `signal` when the thread that starts it ends, see [`tie_to`].
pub fn signal_at_our_end(command: &mut Command, signal: Signal) {
    signal_at_end_of(std::process::id(), command, signal);
}

fn signal_at_end_of(parent: u32, command: &mut Command, signal: Signal) {
    let between = move || {
        signals::reset()?;
        tie_to(parent, signal)
    };
    // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
    unsafe { command.pre_exec(between) };
}

/// Starts a command's process with no signal blocked or ignored, as [`signal_at_our_end`], to go on
/// when we end, and with this descriptor: a lock on its file is held until that process has ended, too.
pub fn outlive(command: &mut Command, lock: OwnedFd) {
    let between = move || {
        signals::reset()?;
        Ok(rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty())?)
    };
    // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
    unsafe { command.pre_exec(between) };
}

/// Lets a command's process have this descriptor, under its number.
pub fn hand_over(command: &mut Command, fd: OwnedFd) {
    let between = move || fds::inherit(fd.as_fd());
    // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
    unsafe { command.pre_exec(between) };
}

/// Limits the size of the files that a command's process and what it starts may make, and the memory
/// that each may ask for, both in bytes (setrlimit(2), `RLIMIT_FSIZE` and `RLIMIT_DATA`).
pub fn limit(command: &mut Command, file_size: Option<u64>, memory: Option<u64>) {
    let between = move || {
        for (of, at_most) in [(Resource::RLIMIT_FSIZE, file_size), (Resource::RLIMIT_DATA, memory)]
        {
            if let Some(at_most) = at_most {
                let (_, hard) = getrlimit(of)?;
                let at_most = at_most.min(hard);
                setrlimit(of, at_most, at_most)?;
            }
        }
        Ok(())
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
        // It may be gone by now.
        let Ok(stat) = std::fs::read(format!("/proc/{pid}/stat")) else { continue };
        let parent = proc_stat::fields(&stat).and_then(|mut fields| fields.nth(1));
        if parent == Some(own.as_str()) {
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
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_program_with_several_threads_is_not_forked() {
        // The test harness runs this in a thread beside its main one.
        assert!(SingleThreaded::check().is_err());
    }

    #[test]
    fn a_process_does_not_begin_whose_parent_is_dead_already() {
        let begins = |parent| {
            let mut command = Command::new("true");
            signal_at_end_of(parent, &mut command, Signal::SIGKILL);
            command.status().map_err(|err| err.raw_os_error())
        };
        assert!(begins(std::process::id()).unwrap().success());
        // As seen by a child that was given to another.
        assert_eq!(begins(std::process::id() + 1).unwrap_err(), Some(libc::ESRCH));
    }

    /// Makes a child that stops itself, as another process could have stopped it; whether its maker
    /// came back within this time.
    fn comes_back(make: unsafe fn(fn() -> u8) -> io::Result<Pid>, patience: Duration) -> bool {
        let stop = || {
            let _ = nix::sys::signal::raise(Signal::SIGSTOP);
            7
        };
        // SAFETY: the child only makes system calls.
        let maker = thread::spawn(move || unsafe { make(stop) }.unwrap());
        let is_stopped = |pid: &Pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, tail)| tail.starts_with('T'))
        };
        let child = loop {
            if let Some(pid) = children().unwrap().into_iter().find(is_stopped) {
                break pid;
            }
        };
        let until = Instant::now() + patience;
        while !maker.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let came_back = maker.is_finished();
        nix::sys::signal::kill(child, Signal::SIGCONT).unwrap();
        assert_eq!(maker.join().unwrap(), child);
        let ended = nix::sys::wait::waitpid(child, None).unwrap();
        assert_eq!(ended, nix::sys::wait::WaitStatus::Exited(child, 7));
        came_back
    }

    #[test]
    fn a_child_that_is_stopped_stops_only_who_shares_its_memory() {
        assert!(comes_back(fork, Duration::from_secs(60)));
        // Control: however long one looks.
        assert!(!comes_back(vfork, Duration::from_millis(100)));
    }
}
