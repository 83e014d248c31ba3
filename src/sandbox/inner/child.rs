//! What happens between fork and exec in the processes that the init starts: the agent and the
//! shells of new panes. They still share the init's secrets, so they must go straight to exec.
#![forbid(unsafe_code)]

use std::ffi::{CString, NulError};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid, setpgid, setsid, tcsetpgrp};

use super::handshake::Report;
use crate::bytes::Bytes;
use crate::error::{Error, Result, exit};
use crate::sys::channel::Channel;
use crate::sys::signals;
use crate::visible::visible;

/// A program with its arguments and environment, as execve(2) takes them.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    pub(super) fn new(path: &Bytes, argv: &[Bytes], env: &[(Bytes, Bytes)]) -> Result<Self> {
        let assign = |(name, value): &(Bytes, Bytes)| [&name.0[..], b"=", &value.0].concat();
        let nul = |_: NulError| {
            let name = visible(path);
            Error::launcher(format!("cannot execute {name}: a NUL byte in argv or environment"))
        };
        Ok(Self {
            path: CString::new(path.0.clone()).map_err(nul)?,
            argv: argv
                .iter()
                .map(|arg| CString::new(&arg.0[..]))
                .collect::<Result<_, _>>()
                .map_err(nul)?,
            env: env
                .iter()
                .map(|var| CString::new(assign(var)))
                .collect::<Result<_, _>>()
                .map_err(nul)?,
        })
    }

    /// Executes it, with the signals that a program expects; returns only if that fails.
    fn execute(&self) -> Errno {
        if signals::reset().is_err() {
            return Errno::EINVAL;
        }
        match nix::unistd::execve(&self.path, &self.argv, &self.env) {
            Err(errno) => errno,
            Ok(never) => match never {},
        }
    }
}

/// The agent's process: a process group of its own, so that Ctrl-C reaches the agent's commands
/// and neither bwrap nor the supervisor; in front of the terminal if asked for.
pub(super) fn agent(program: &Program, foreground: bool, supervisor: &Channel) -> u8 {
    let grouped = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    if foreground {
        // Standard input may be a terminal that is not the controlling one: then there is no
        // foreground to take. SIGTTOU is still ignored, as in the init.
        let _ = tcsetpgrp(std::io::stdin(), getpid());
    }
    let errno = match grouped.map(|()| supervisor.send(&Report::Started, &[])) {
        Ok(Ok(())) => program.execute(),
        // Without a supervisor nothing may run.
        Ok(Err(_)) => Errno::EPIPE,
        Err(errno) => errno,
    };
    let _ = supervisor.send(&Report::NotExecuted { errno: errno as i32 }, &[]);
    exit::NOT_FOUND
}

/// A shell's process: a session of its own on the terminal of a new pane.
pub(super) fn shell(program: &Program, terminal: &OwnedFd) -> u8 {
    let placed = place(terminal);
    let errno = placed.err().unwrap_or_else(|| program.execute());
    let path = visible(program.path.as_bytes());
    let words = format!("claudebox: cannot open a shell, {path}: {}\r\n", errno.desc());
    let _ = nix::unistd::write(terminal, words.as_bytes());
    if errno == Errno::ENOENT { exit::NOT_FOUND } else { exit::CANNOT_EXECUTE }
}

fn place(terminal: &OwnedFd) -> Result<(), Errno> {
    setsid()?;
    rustix::process::ioctl_tiocsctty(terminal)
        .map_err(|err| Errno::from_raw(err.raw_os_error()))?;
    nix::unistd::dup2_stdin(terminal)?;
    nix::unistd::dup2_stdout(terminal)?;
    nix::unistd::dup2_stderr(terminal)
}
