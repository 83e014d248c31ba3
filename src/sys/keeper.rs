//! A keeper: the leader of a command's process group, which does nothing but wait until the command ends
//! or we do, whatever ends us, and then kills the group. It is for what starts a bwrap. A death signal
//! would not do there: a bwrap that gets one between the clone of its child and that child's release
//! leaves it waiting for ever. The signal to a group reaches both or, before the clone, the only one;
//! and that it is sent by kill(2) from outside makes it count for the init of a pid namespace as well
//! (`pid_namespaces(7)`), which a signal of the kernel's own for a pipe (`F_SETSIG`) does not.
//! It must never execute, allocate or take a lock: it is a copy of a program with several threads.
#![expect(unsafe_code, reason = "fork, pre_exec and close_range")]

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, setpgid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::DumpableBehavior;

use super::{fds, pidfd, signals};

/// As long as it is there, and so are we, a command is not killed by its keeper.
#[derive(Debug)]
#[must_use = "without it the command is killed at once"]
pub struct Life {
    _writing: OwnedFd,
}

/// The group of this process (kill(2)).
const OWN_GROUP: Pid = Pid::from_raw(0);

/// Starts a command's process with no signal blocked or ignored, in a process group of its own, which is
/// killed with all that is in it when what is returned is dropped, or we end. What [`Command::spawn`]
/// returns is the keeper then: its number is the group's, and it ends as the command's process does.
///
/// # Errors
/// When there is no descriptor left.
pub fn keep(command: &mut Command) -> io::Result<Life> {
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC)?;
    let between = move || {
        setpgid(OWN_GROUP, OWN_GROUP)?;
        signals::reset()?;
        // SAFETY: this is a child between fork and exec, which has one thread and only makes system calls.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(()),
            // SAFETY: takes an integer, and runs nothing that the parent registered.
            child => unsafe { libc::_exit(wait(Pid::from_raw(child), &reading)) },
        }
    };
    // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
    unsafe { command.pre_exec(between) };
    Ok(Life { _writing: writing })
}

/// The keeper's whole life; answers with its exit code, where it comes back. If it cannot look on, nobody
/// would see to the command's end: it ends now.
fn wait(child: Pid, life: &OwnedFd) -> i32 {
    let ended = look_on(child, life).unwrap_or(false);
    match ended.then(|| waitpid(child, None)) {
        Some(Ok(WaitStatus::Exited(_, code))) => code,
        Some(Ok(WaitStatus::Signaled(_, signal, _))) => {
            let _ = raise(signal);
            libc::EXIT_FAILURE
        }
        _ => {
            let _ = kill(OWN_GROUP, Signal::SIGKILL);
            libc::EXIT_FAILURE
        }
    }
}

/// Waits; answers whether it is the command that has ended.
fn look_on(child: Pid, life: &OwnedFd) -> io::Result<bool> {
    // Our memory is a copy of a program that has secrets. A signal that is raised leaves no core, either.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_name(c"keeper")?;
    // Among them the writing end, and the pipes at whose end one knows that the command has ended.
    // SAFETY: this is a copy that never goes back, and from here on it has nothing but this pipe.
    unsafe { fds::close_all_but(life.as_fd()) }?;
    let ended = pidfd::open(child.as_raw())?;
    loop {
        let mut ready = [PollFd::new(life, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(ready[0].revents().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::sys::process::signal_at_our_end;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    #[test]
    fn it_ends_as_the_command_does() {
        let status = |script: &str| {
            let mut command = shell(script);
            let _life = keep(&mut command).unwrap();
            command.status().unwrap()
        };
        assert_eq!(status("exit 0").code(), Some(0));
        assert_eq!(status("exit 7").code(), Some(7));
        assert_eq!(status("kill -TERM $$").signal(), Some(libc::SIGTERM));
        assert_eq!(status("kill -SEGV $$").signal(), Some(libc::SIGSEGV));
        assert!(!status("kill -SEGV $$").core_dumped());
    }

    #[test]
    fn it_keeps_nothing_of_the_commands_open() {
        let mut command = shell("echo said; exec >&- 2>&-; sleep 60");
        let life = keep(&mut command).unwrap();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        let reading = std::thread::spawn(|| child.wait_with_output());
        // Both pipes end before the command does.
        std::thread::sleep(Duration::from_millis(300));
        drop(life);
        let output = reading.join().unwrap().unwrap();
        assert_eq!(output.stdout, b"said\n");
        assert_eq!(output.status.signal(), Some(libc::SIGKILL));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_cannot_be_executed_is_an_error() {
        let mut command = Command::new("/nonexistent/program");
        let _life = keep(&mut command).unwrap();
        assert_eq!(command.spawn().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// What a bwrap is that has made its child and not released it: a process without a death signal,
    /// the init of a pid namespace, that waits.
    fn unreleased(number: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["-Urpf", "--", "sleep", number]);
        command
    }

    fn is_there(number: &str) -> bool {
        let line = format!("sleep\0{number}\0");
        std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|read| read == line.as_bytes())
        })
    }

    fn comes_true(what: impl Fn() -> bool) -> bool {
        let until = Instant::now() + Duration::from_secs(30);
        while !what() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        what()
    }

    #[test]
    fn the_init_of_a_namespace_ends_with_us_whoever_made_it() {
        let number = format!("99{}", std::process::id());
        let mut command = unreleased(&number);
        let life = keep(&mut command).unwrap();
        let mut child = command.spawn().unwrap();
        assert!(comes_true(|| is_there(&number)));
        drop(life);
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert!(comes_true(|| !is_there(&number)), "it waits for ever");

        // Control: what a death signal does. It is sent at the end of the thread that starts it.
        let number = format!("98{}", std::process::id());
        let mut command = unreleased(&number);
        command.process_group(0);
        signal_at_our_end(&mut command, Signal::SIGKILL);
        let same = number.clone();
        let starter = std::thread::spawn(move || {
            let child = command.spawn().unwrap();
            assert!(comes_true(|| is_there(&same)));
            child
        });
        let mut child = starter.join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert!(is_there(&number), "nobody told it");
        nix::sys::signal::killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
        assert!(comes_true(|| !is_there(&number)));
    }
}
