//! The other end of the control socket: what a new pane and the commands ask of the supervisor of a
//! running session. It must never wait for anybody but that supervisor.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, poll};

use super::control::{self, Allowed, Answer, Request};
use crate::error::{Error, Result, Tried as _};
use crate::git::sync::report::Told;
use crate::network::live;
use crate::ready::ready_by;
use crate::sandbox::inner::handshake::Status;
use crate::sys::channel::{Channel, Received};
use crate::sys::fds;
use crate::sys::process::give_up_terminal;
use crate::sys::signals;

/// How long a command waits for an answer: that of a supervisor at work takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a shell in the sandbox of the running session whose sockets are in `runtime`, on the
/// terminal of standard input, and answers with the shell's exit code. To be started by a new
/// pane: it gives up its controlling terminal, which becomes the shell's.
///
/// # Errors
/// When standard input is no terminal, or the session is not running.
pub fn shell(runtime: &Path) -> Result<u8> {
    if !io::stdin().is_terminal() {
        return Err(Error::usage("a shell in the sandbox needs a terminal on standard input"));
    }
    let supervisor = reach(runtime)?;
    // Giving up the terminal hangs up its foreground group, which is ours.
    signals::ignore(&[Signal::SIGHUP]).tried(|| "ignore SIGHUP")?;
    give_up_terminal(io::stdin()).tried(|| "hand over the terminal")?;
    let asked = supervisor.send(&Request::Shell, &[io::stdin().as_fd()]);
    match asked.and_then(|()| wait(&supervisor)) {
        // It let us go, or ended: the same, whether that is seen while asking or while waiting.
        Err(err) if is_closed(&err) => Ok(hung_up()),
        other => other.tried(|| "open a shell in the session"),
    }
}

/// Has the running session whose sockets are in `runtime` allow more, from now to its end: all of
/// the rules that `said` stands for, or none. `origin` says for its log who wants it.
///
/// # Errors
/// When the session is not running, its network has no rules, or one of them denies it.
pub fn allow(runtime: &Path, said: &str, rules: &[String], origin: &str) -> Result<Allowed> {
    let (said, origin) = (said.to_owned(), origin.to_owned());
    let request = Request::Allow { said, rules: rules.to_vec(), origin };
    match ask(runtime, &request)?.message {
        Answer::Allowed(allowed) => Ok(allowed),
        other => Err(unexpected(other)),
    }
}

/// The network of the running session whose sockets are in `runtime`; `None` where it has no rules.
///
/// # Errors
/// When the session is not running.
pub fn network(runtime: &Path) -> Result<Option<live::Status>> {
    let answer = ask(runtime, &Request::Network)?;
    match answer.message {
        Answer::Network => {
            let read = |fd| Ok(serde_json::from_slice(&fds::read_sealed(fd)?)?);
            let missing = || io::Error::other("nothing came with the answer");
            let fd = answer.fds.into_iter().next().ok_or_else(missing);
            fd.and_then(read).map(Some).tried(|| "read the rules of the session")
        }
        Answer::NoRules { .. } => Ok(None),
        other => Err(unexpected(other)),
    }
}

/// Has the log of the running session whose sockets are in `runtime` say what a sync of the user's did.
///
/// # Errors
/// When the session is not running.
pub fn synced(runtime: &Path, told: &[Told]) -> Result<()> {
    let bytes = serde_json::to_vec(told).tried(|| "encode what was synced")?;
    let file = fds::sealed("synced", &bytes).tried(|| "make a memory file")?;
    match ask_with(runtime, &Request::Synced, &[file.as_fd()])?.message {
        Answer::Noted => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn ask(runtime: &Path, request: &Request) -> Result<Received<Answer>> {
    ask_with(runtime, request, &[])
}

fn ask_with(runtime: &Path, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Received<Answer>> {
    let supervisor = reach(runtime)?;
    let tried = || "ask the session";
    supervisor.send(request, fds).tried(tried)?;
    // A supervisor that somebody stopped would keep who asks for ever.
    let mut answer = [PollFd::new(&supervisor, PollFlags::IN)];
    if !ready_by(&mut answer, Instant::now() + PATIENCE).tried(tried)? {
        return Err(silent());
    }
    let answer = supervisor.receive().tried(tried)?;
    answer.ok_or_else(|| Error::launcher("the session ended before it answered"))
}

fn silent() -> Error {
    let seconds = PATIENCE.as_secs();
    Error::launcher(format!("the session has not answered within {seconds} seconds"))
        .hint("its supervisor may be stopped (`ps -o stat` shows `T`): `kill -CONT` lets it go on")
        .hint("when it goes on it still does what it was asked for")
}

/// An answer that is no, or that belongs to another question.
fn unexpected(answer: Answer) -> Error {
    match answer {
        Answer::NoRules { mode } => no_rules(&mode),
        Answer::Refused { message, hints } => {
            hints.into_iter().fold(Error::usage(message), Error::hint)
        }
        _ => Error::launcher("the session gave an answer that this claudebox does not know")
            .hint("it was started by another version: end it and start it again"),
    }
}

fn no_rules(mode: &str) -> Error {
    match mode {
        "host" => Error::usage("this session's network is the host's: nothing is refused")
            .hint("`--network allow` lets through only what is allowed"),
        "none" => Error::usage("this session has no network, and cannot get one while it runs")
            .hint("start it again, with `--network allow`"),
        _ => Error::launcher("the network of this session takes no rules"),
    }
}

fn reach(runtime: &Path) -> Result<Channel> {
    control::connected(runtime).map_err(|err| {
        Error::launcher(format!("cannot reach the session: {err}"))
            .hint("`claudebox ls` lists the running sessions")
    })
}

fn is_closed(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// What a shell exits with whose terminal is gone.
fn hung_up() -> u8 {
    Status::Signaled(Signal::SIGHUP as u8).code()
}

/// Waits for the shell's end, the session's, or the terminal's.
fn wait(supervisor: &Channel) -> io::Result<u8> {
    loop {
        let stdin = io::stdin();
        // Asks for nothing: what is typed is the shell's. A hang-up is always told.
        let mut ready =
            [PollFd::new(supervisor, PollFlags::IN), PollFd::new(&stdin, PollFlags::empty())];
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let [answer, terminal] = ready.map(|fd| !fd.revents().is_empty());
        if answer {
            return Ok(match supervisor.receive::<Answer>()? {
                Some(Received { message: Answer::Ended(status), .. }) => status.code(),
                _ => hung_up(),
            });
        }
        if terminal {
            return Ok(hung_up());
        }
    }
}
