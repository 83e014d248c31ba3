//! What is tried inside, and what comes of it: the words between the judge outside and the attacker
//! inside. Pure.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
pub(super) use crate::sys::attempt::Call;

/// One thing to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Act {
    /// To make a file.
    Create(Bytes),
    /// To open for writing what is there; of a directory, to make a file in it and take it away.
    Write(Bytes),
    /// To read a byte of a file, or a name of a directory.
    Read(Bytes),
    /// To see a variable of the environment.
    Variable(String),
    /// To connect to `HOST:PORT`.
    Connect(String),
    /// To be answered by a name server.
    Query {
        /// Where it is asked.
        server: SocketAddr,
        /// What is asked for.
        name: String,
    },
    /// To connect to an abstract unix socket.
    Abstract(String),
    /// To end pid 1.
    EndInit,
    /// To give a file of its own the set-user-ID bit.
    SetUserId(Bytes),
    /// To have a capability, in any set.
    Capability,
    /// To leave a process behind: `sleep` for this many seconds.
    LeaveBehind(u32),
    /// To have a system call done.
    Call(Call),
}

/// What came of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Its place in the list.
    pub(super) number: usize,
    /// It was done.
    pub(super) done: bool,
    /// How it was refused, or what was got.
    pub(super) says: String,
    /// Device and inode of what was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<(u64, u64)>,
}

/// The list, where the attacker finds it in its project.
pub(super) const ORDERS: &str = "orders.json";

/// The attacker's exit code, which is to arrive.
pub(super) const CODE: u8 = 23;
