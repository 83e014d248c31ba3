//! The control socket: how a new pane gets a shell inside. Only the same user is answered, and
//! the socket is never visible inside. It must never start anything outside the sandbox.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, chmodat, openat, unlinkat};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with, sockopt,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Tried as _};
use crate::sandbox::inner::handshake::Status;
use crate::sys::channel::{Channel, Received};
use crate::sys::fds::proc_path;
use crate::sys::process::give_up_terminal;
use crate::sys::signals;
use crate::visible::visible_path;

const NAME: &str = "control.sock";
/// Panes that wait at one time.
const MOST: usize = 64;

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// A shell on the attached terminal (one descriptor).
    Shell,
}

/// What it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Ended(Status),
}

/// The supervisor's end, and who waits there.
#[derive(Debug)]
pub(super) struct Control {
    listener: OwnedFd,
    clients: BTreeMap<u64, Channel>,
    last: u64,
}

impl Control {
    /// Listens in this directory.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let shown = || format!("listen in {}", visible_path(directory));
        let listen_in = || -> io::Result<OwnedFd> {
            let at = open_directory(directory)?;
            let _ = unlinkat(&at, NAME, AtFlags::empty());
            let listener = new_socket()?;
            bind(&listener, &address(&at)?)?;
            chmodat(&at, NAME, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
            listen(&listener, 16)?;
            Ok(listener)
        };
        Ok(Self { listener: listen_in().tried(shown)?, clients: BTreeMap::new(), last: 0 })
    }

    /// Readable when somebody comes.
    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Who is connected, by number.
    pub(super) fn clients(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        self.clients.iter().map(|(id, client)| (*id, client.as_fd()))
    }

    /// Lets one in, if it is the same user.
    pub(super) fn accept(&mut self) -> io::Result<()> {
        let client = accept_with(&self.listener, SocketFlags::CLOEXEC)?;
        let peer = sockopt::socket_peercred(&client)?;
        if peer.uid == rustix::process::geteuid() && self.clients.len() < MOST {
            self.last += 1;
            self.clients.insert(self.last, Channel::from(client));
        }
        Ok(())
    }

    /// What this client says; `None` once it is gone, or talks nonsense.
    pub(super) fn receive(&mut self, id: u64) -> Option<Received<Request>> {
        let received = self.clients.get(&id)?.receive().ok().flatten();
        if received.is_none() {
            self.clients.remove(&id);
        }
        received
    }

    /// Tells a client how its shell ended, and lets it go.
    pub(super) fn ended(&mut self, id: u64, status: Status) {
        if let Some(client) = self.clients.remove(&id) {
            let _ = client.send(&Answer::Ended(status), &[]);
        }
    }
}

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
    let connected = || -> io::Result<Channel> {
        let socket = new_socket()?;
        connect(&socket, &address(&open_directory(runtime)?)?)?;
        Ok(Channel::from(socket))
    };
    let supervisor = connected().map_err(|err| {
        Error::launcher(format!("cannot reach the session: {err}"))
            .hint("`claudebox ls` lists the running sessions")
    })?;
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
                None => hung_up(),
            });
        }
        if terminal {
            return Ok(hung_up());
        }
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

/// By the directory's descriptor: a path longer than 107 bytes does not fit (unix(7)).
fn address(directory: &OwnedFd) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(format!("{}/{NAME}", proc_path(directory)))?)
}
