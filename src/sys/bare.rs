//! A child with nothing of ours but what is meant for it: no environment, no descriptor, and from
//! its first moment in the control group that is to hold it. It must never run anything between
//! fork and exec but system calls.
#![expect(unsafe_code, reason = "fork, clone3 and exec have no safe wrapper that fits")]

use std::ffi::{CString, OsStr, c_char};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use rustix::fs::{Mode, OFlags, openat};
use rustix::pipe::{PipeFlags, pipe_with};

use super::{fds, signals};

/// A program to start.
#[derive(Debug)]
pub struct Bare<'a> {
    /// The program, absolute.
    pub program: &'a Path,
    /// `argv[0]`.
    pub name: &'a str,
    /// The arguments after `argv[0]`.
    pub args: &'a [&'a OsStr],
    /// The descriptors it inherits, under their numbers here.
    pub inherit: &'a [BorrowedFd<'a>],
    /// Its standard error.
    pub stderr: BorrowedFd<'a>,
    /// How it gets into its control group.
    pub entry: &'a Entry,
}

/// How a process gets into a control group. Moving one that runs already makes the kernel wait for
/// every processor to pass through it, some ten milliseconds; neither of these does.
#[derive(Debug, Default)]
pub enum Entry {
    /// It stays where we are.
    #[default]
    Here,
    /// Version 2: the directory of the group that it is born in (clone(2), `CLONE_INTO_CGROUP`,
    /// Linux 5.7).
    Born(OwnedFd),
    /// Version 1: the `tasks` files, into which it writes itself while it has one thread.
    Tasks(Vec<OwnedFd>),
}

/// A started program. Not killed and not waited for when it is dropped.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    status: Option<WaitStatus>,
}

impl Child {
    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended, and reaps it; the same answer each time.
    ///
    /// # Errors
    /// When somebody else reaped it.
    pub fn wait(&mut self) -> io::Result<WaitStatus> {
        loop {
            if let Some(status) = self.status {
                return Ok(status);
            }
            match waitpid(self.pid, None) {
                Err(nix::errno::Errno::EINTR) => {}
                other => self.status = Some(other?),
            }
        }
    }
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

/// Why there is no child.
#[derive(Debug)]
pub enum Failure {
    /// It could not enter its control group.
    Group(io::Error),
    /// It could not be made or executed.
    Start(io::Error),
}

impl Bare<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot enter its group or cannot be executed.
    pub fn spawn(&self) -> Result<Child, Failure> {
        let invalid = |_| Failure::Start(io::ErrorKind::InvalidInput.into());
        let program = CString::new(self.program.as_os_str().as_bytes()).map_err(invalid)?;
        let words = [OsStr::new(self.name)].into_iter().chain(self.args.iter().copied());
        let words: Vec<CString> =
            words.map(|word| CString::new(word.as_bytes()).map_err(invalid)).collect::<Result<_, _>>()?;
        let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        argv.push(std::ptr::null());
        let (reading, writing) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Failure::Start(errno.into()))?;
        let (forked, enters) = self.fork().map_err(Failure::Start)?;
        let pid = match forked {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                let (stage, err) = self.between(&program, &argv, enters);
                let errno = err.raw_os_error().unwrap_or(libc::EIO).to_ne_bytes();
                let word = [stage, errno[0], errno[1], errno[2], errno[3]];
                let _ = rustix::io::write(&writing, &word);
                // SAFETY: takes an integer. Nothing that the parent has open is flushed twice.
                unsafe { libc::_exit(127) }
            }
        };
        drop(writing);
        let mut child = Child { pid, status: None };
        let mut word = [0; 5];
        // The exec closes the pipe, and then there is nothing to read.
        match std::fs::File::from(reading).read_exact(&mut word) {
            Err(_) => Ok(child),
            Ok(()) => {
                let _ = child.wait();
                let [stage, errno @ ..] = word;
                let err = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
                Err(if stage == GROUP { Failure::Group(err) } else { Failure::Start(err) })
            }
        }
    }

    /// Answers also whether the child has still to enter its group.
    fn fork(&self) -> io::Result<(ForkResult, bool)> {
        if let Entry::Born(group) = self.entry
            && let Some(forked) = born_in(group.as_fd())?
        {
            return Ok((forked, false));
        }
        // SAFETY: the child only makes system calls, on memory that was made ready before.
        Ok((unsafe { nix::unistd::fork() }?, true))
    }

    /// In the child. Comes back only if something failed.
    fn between(&self, program: &CString, argv: &[*const c_char], enters: bool) -> (u8, io::Error) {
        if enters && let Err(err) = enter(self.entry) {
            return (GROUP, err);
        }
        let prepared = signals::reset()
            .and_then(|()| signals::ignore(&FROM_TERMINAL))
            .and_then(|()| self.inherit.iter().try_for_each(|fd| fds::inherit(*fd)))
            .and_then(|()| Ok(nix::unistd::dup2_stderr(self.stderr)?));
        if let Err(err) = prepared {
            return (START, err);
        }
        let environment: [*const c_char; 1] = [std::ptr::null()];
        // SAFETY: strings and arrays end in NUL, and live in the caller of `spawn`.
        unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
        (START, io::Error::last_os_error())
    }
}

/// The stages that a child can fail at.
const GROUP: u8 = 1;
/// See [`GROUP`].
const START: u8 = 2;

/// A fork whose child is in the group from the start. `None` where the kernel, or a filter around
/// us, has no clone3(2): the child then moves itself, see [`enter`].
fn born_in(group: BorrowedFd<'_>) -> io::Result<Option<ForkResult>> {
    // SAFETY: the structure consists of integers, for which zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    args.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    // SAFETY: without CLONE_VM this is a fork; the kernel reads one `clone_args` of this size.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    };
    match i32::try_from(pid).unwrap_or(-1) {
        0 => Ok(Some(ForkResult::Child)),
        child @ 1.. => Ok(Some(ForkResult::Parent { child: Pid::from_raw(child) })),
        _ => {
            let err = io::Error::last_os_error();
            match err.raw_os_error() {
                Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::E2BIG) => Ok(None),
                _ => Err(err),
            }
        }
    }
}

/// `linux/sched.h`
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// In the child. `0` stands for whoever writes it (cgroups(7)).
fn enter(entry: &Entry) -> io::Result<()> {
    match entry {
        Entry::Here => Ok(()),
        Entry::Born(group) => {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let procs = openat(group, c"cgroup.procs", flags, Mode::empty())?;
            rustix::io::write(&procs, b"0")?;
            Ok(())
        }
        Entry::Tasks(files) => {
            for tasks in files {
                rustix::io::write(tasks, b"0")?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fds::Captured;

    fn spawn(program: &str, args: &[&str]) -> (Result<Child, Failure>, Captured) {
        let stderr = Captured::new().unwrap();
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let bare = Bare {
            program: Path::new(program),
            name: "bare",
            args: &args,
            inherit: &[],
            stderr: stderr.as_fd(),
            entry: &Entry::Here,
        };
        (bare.spawn(), stderr)
    }

    #[test]
    fn it_has_only_what_was_meant_for_it() {
        let says = "cat /proc/$$/environ >&2; echo $0 >&2; exit 3";
        let (child, stderr) = spawn("/bin/sh", &["-c", says]);
        assert!(matches!(child.unwrap().wait().unwrap(), WaitStatus::Exited(_, 3)));
        assert_eq!(stderr.text(), b"bare\n", "no environment, and its name");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let (child, _) = spawn("/nonexistent", &[]);
        let Err(Failure::Start(err)) = child else { panic!("{child:?}") };
        assert_eq!(err.kind(), io::ErrorKind::NotFound);
    }
}
