//! The control socket: how a new pane gets a shell inside, and how the user's commands change a
//! running session. Only the same user is answered, and the socket is never visible inside. It must
//! never start anything outside the sandbox.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, chmodat, openat, unlinkat};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with, sockopt,
};
use serde::{Deserialize, Serialize};

use crate::error::{Result, Tried as _};
use crate::sandbox::inner::handshake::Status;
use crate::sys::channel::{Channel, Received};
use crate::sys::fds::proc_path;
use crate::visible::visible_path;

const NAME: &str = "control.sock";
/// Panes that wait at one time.
const MOST: usize = 64;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// A shell on the attached terminal (one descriptor).
    Shell,
    /// To let through what these rules allow, from now on; all of them or none.
    Allow {
        /// What was asked for: a rule, or a group.
        said: String,
        /// The rules that it stands for.
        rules: Vec<String>,
        /// Who says so, for the log.
        origin: String,
    },
    /// Which rules are in force.
    Network,
    /// To have in the log what the user's own sync did: a sealed memory file is attached, with a list of
    /// [`crate::git::sync::report::Told`].
    Synced,
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// The shell has ended.
    Ended(Status),
    /// The rules are in force.
    Allowed(Allowed),
    /// A sealed memory file is attached, with a [`crate::network::live::Status`].
    Network,
    /// It is in the log.
    Noted,
    /// This session's network goes by no rules, but is of this mode.
    NoRules {
        /// `none`, `host`.
        mode: String,
    },
    /// It is not done.
    Refused {
        /// Why, ready for a terminal.
        message: String,
        /// What to do.
        hints: Vec<String>,
    },
}

/// What became of rules that were to be added. Texts are visible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// In force from now on.
    pub added: Vec<String>,
    /// Allowed already: the rule, and which one allows it.
    pub already: Vec<(String, String)>,
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
        self.answer(id, &Answer::Ended(status), &[]);
    }

    /// Answers a client, and lets it go.
    pub(super) fn answer(&mut self, id: u64, answer: &Answer, fds: &[BorrowedFd<'_>]) {
        if let Some(client) = self.clients.remove(&id) {
            // Who asked and went away is no concern of the session's.
            let _ = client.send(answer, fds);
        }
    }
}

/// The client's end of the control socket in this directory.
pub(super) fn connected(directory: &Path) -> io::Result<Channel> {
    let socket = new_socket()?;
    connect(&socket, &address(&open_directory(directory)?)?)?;
    Ok(Channel::from(socket))
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
