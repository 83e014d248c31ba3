//! A child with nothing of ours but what is meant for it: descriptors, control groups; no environment.
//! It must never do anything between its start and its exec but system calls.
#![expect(unsafe_code, reason = "execve, and a child that uses our memory until then")]

use std::ffi::{CString, OsStr, OsString, c_char};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::ptr::null;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::pipe::{PipeFlags, pipe_with};

use super::process::{fork_into, vfork};
use super::{fds, signals};

/// A program to start with no environment and only the descriptors meant for it.
#[derive(Debug)]
pub struct Bare<'a> {
    /// The program, absolute.
    pub program: &'a Path,
    /// `argv[0]`.
    pub name: &'a str,
    /// The arguments after `argv[0]`.
    pub args: &'a [OsString],
    /// The directory of a control group of version 2 that it is a member of from its first moment on.
    pub into: Option<BorrowedFd<'a>>,
    /// Where that is not asked for, or the kernel cannot do it (before 5.7): files of control groups
    /// that take whoever writes `0` into them as a member (cgroups(7)): it is in the groups before it
    /// is executed, and so with all that it ever starts.
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
        let program = CString::new(self.program.as_os_str().as_bytes())?;
        let words = [OsStr::new(self.name)].into_iter().chain(self.args.iter().map(AsRef::as_ref));
        let argv = Strings::new(words.map(|word| word.as_bytes().to_vec()))?;
        if let Some(group) = self.into {
            match self.spawn_into(group, &program, &argv) {
                Err(err) if is_unknown(&err) => {}
                spawned => return spawned,
            }
        }
        let mut failed = None;
        let body = || {
            failed = Some(self.enter().map_or_else(|err| err, |()| self.between(&program, &argv)));
            // What a shell answers for a program that it cannot execute; nobody sees it.
            127
        };
        // SAFETY: `between` only makes system calls, on memory that was made ready before.
        let pid = unsafe { vfork(body) }?;
        let mut child = Child { pid, status: None };
        match failed {
            None => Ok(child),
            Some(err) => {
                let _ = child.wait();
                Err(err)
            }
        }
    }

    /// The same, in a group of version 2. The child's memory is not ours: it tells by a pipe what failed.
    fn spawn_into(
        &self,
        group: BorrowedFd<'_>,
        program: &CString,
        argv: &Strings,
    ) -> io::Result<Child> {
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC)?;
        let body = || {
            let errno = self.between(program, argv).raw_os_error().unwrap_or(libc::EIO);
            let _ = rustix::io::write(&writing, &errno.to_ne_bytes());
            127
        };
        // SAFETY: `between` only makes system calls.
        let pid = unsafe { fork_into(group, body) }?;
        let mut child = Child { pid, status: None };
        drop(writing);
        let mut errno = [0; size_of::<i32>()];
        // The child has ended or executed: what there is to read can be read.
        match rustix::io::read(&reading, &mut errno) {
            Ok(0) => Ok(child),
            read => {
                let _ = child.wait();
                read?;
                Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
            }
        }
    }

    /// In the child.
    fn enter(&self) -> io::Result<()> {
        for group in self.enter {
            rustix::io::write(group, b"0")?;
        }
        Ok(())
    }

    /// In the child. Comes back only if something failed.
    fn between(&self, program: &CString, argv: &Strings) -> io::Error {
        let prepared = || -> io::Result<()> {
            signals::ignore(&FROM_TERMINAL)?;
            self.inherit.iter().try_for_each(|fd| fds::inherit(*fd))?;
            nix::unistd::dup2_stderr(self.stderr)?;
            Ok(())
        };
        if let Err(err) = prepared() {
            return err;
        }
        let env = null();
        // SAFETY: strings and arrays end in NUL, and live in the caller of `spawn`.
        unsafe { libc::execve(program.as_ptr(), argv.pointers(), &raw const env) };
        io::Error::last_os_error()
    }
}

/// Whether the kernel, or a sandbox around us, does not know what it was asked for.
fn is_unknown(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(libc::ENOSYS | libc::E2BIG | libc::EINVAL))
}

/// Strings as execve(2) takes them.
struct Strings {
    /// What the pointers point to.
    _held: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = Vec<u8>>) -> io::Result<Self> {
        let held: Vec<CString> = strings.map(CString::new).collect::<Result<_, _>>()?;
        let pointers = held.iter().map(|string| string.as_ptr()).chain([null()]).collect();
        Ok(Self { _held: held, pointers })
    }

    fn pointers(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

/// A started program. Neither killed nor waited for when it is dropped.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    status: Option<ExitStatus>,
}

impl Child {
    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Kills it.
    ///
    /// # Errors
    /// When it is reaped already.
    pub fn kill(&self) -> io::Result<()> {
        if self.status.is_some() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(kill(self.pid, Signal::SIGKILL)?)
    }

    /// Waits until it has ended, and reaps it; the same answer each time.
    ///
    /// # Errors
    /// When somebody else reaped it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.status {
                return Ok(status);
            }
            let mut status = 0;
            // SAFETY: `status` is ours; the call writes one integer.
            match unsafe { libc::waitpid(self.pid.as_raw(), &raw mut status, 0) } {
                -1 => match io::Error::last_os_error() {
                    err if err.kind() == io::ErrorKind::Interrupted => {}
                    err => return Err(err),
                },
                _ => self.status = Some(ExitStatus::from_raw(status)),
            }
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::sys::fds::Captured;

    fn spawn(program: &str, args: &[&str]) -> (io::Result<Child>, Captured) {
        let stderr = Captured::new().unwrap();
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let bare = Bare {
            program: Path::new(program),
            name: "bare",
            args: &args,
            into: None,
            enter: &[],
            inherit: &[],
            stderr: stderr.as_fd(),
        };
        (bare.spawn(), stderr)
    }

    #[test]
    fn it_has_only_what_was_meant_for_it() {
        let says = "cat /proc/$$/environ >&2; echo $0 >&2; exit 3";
        let (child, stderr) = spawn("/bin/sh", &["-c", says]);
        assert_eq!(child.unwrap().wait().unwrap().code(), Some(3));
        assert_eq!(stderr.text(), b"bare\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let (child, _) = spawn("/nonexistent", &[]);
        assert_eq!(child.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_end_is_told_again() {
        let (child, _) = spawn("/bin/sleep", &["1000"]);
        let mut child = child.unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert!(child.kill().is_err());
    }
}
