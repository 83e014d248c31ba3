//! One run of a program in a [`super::place::Place`]: arguments, input, a deadline, and what came
//! of it.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::DEADLINE;
use super::user::User;

/// A program to run; `run` consumes it.
#[must_use]
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    input: Vec<u8>,
    deadline: Duration,
    directory: PathBuf,
    kept: Vec<OwnedFd>,
}

/// How it ended and what it said.
#[derive(Debug)]
pub(crate) struct Output {
    /// The command line, for messages.
    pub(crate) what: String,
    /// The exit code; 128 + the signal's number where a signal ended it.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Run {
    pub(super) fn new(
        program: impl AsRef<OsStr>,
        user: User,
        directory: PathBuf,
        environment: Vec<(OsString, OsString)>,
    ) -> Self {
        let mut command = Command::new(program);
        command.env_clear().envs(environment);
        user.apply(&mut command);
        Self { command, input: Vec::new(), deadline: DEADLINE, directory, kept: Vec::new() }
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Adds a variable to the environment.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of the environment.
    pub(crate) fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Keeps a descriptor open until it has been started, for it to inherit.
    pub(crate) fn keep(mut self, fd: OwnedFd) -> Self {
        self.kept.push(fd);
        self
    }

    /// Starts it somewhere else than in the project.
    pub(crate) fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// What it reads on standard input, instead of nothing.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Gives it longer, or less, than [`DEADLINE`].
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts it, in a process group of its own, and leaves it running.
    pub(crate) fn start(mut self) -> Started {
        self.command.current_dir(&self.directory).process_group(0);
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let what = format!("{:?}", self.command);
        let until = Instant::now() + self.deadline;
        let mut child =
            self.command.spawn().unwrap_or_else(|err| panic!("cannot start {what}: {err}"));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input;
        // A program that does not read its input closes the pipe; that is its own affair.
        thread::spawn(move || stdin.write_all(&input));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let (sender, status) = channel();
        thread::spawn(move || sender.send(child.wait().unwrap()));
        Started { pid, what, status, stdout, stderr, until }
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Output {
        self.start().wait()
    }
}

/// A running program. Whatever is left of its process group when it is dropped gets SIGKILL.
#[derive(Debug)]
pub(crate) struct Started {
    pid: Pid,
    what: String,
    status: Receiver<ExitStatus>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    until: Instant,
}

impl Started {
    /// Its process id, which is also that of its group.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Sends it a signal, and nothing else of its group.
    pub(crate) fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.pid, signal).unwrap();
    }

    /// Waits for its end, and for everyone who still holds its output.
    pub(crate) fn wait(self) -> Output {
        let status = self.receive(&self.status, "still running at its deadline");
        let text = |pipe: &Receiver<Vec<u8>>| {
            let bytes = self.receive(pipe, "it ended, but something still holds its output");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Output {
            what: self.what.clone(),
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap()),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }

    fn receive<T>(&self, from: &Receiver<T>, late: &str) -> T {
        let left = self.until.saturating_duration_since(Instant::now());
        from.recv_timeout(left).unwrap_or_else(|_| panic!("{late}: {}", self.what))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = killpg(self.pid, Signal::SIGKILL);
    }
}

fn collect(mut pipe: impl std::io::Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        sender.send(bytes)
    });
    receiver
}

impl Output {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}{}", self.what, self.stdout, self.stderr);
        self
    }

    /// Asserts that standard output holds a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} in the output of {self:#?}");
        self
    }

    /// Asserts that standard error holds a text.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in the errors of {self:#?}");
        self
    }
}
