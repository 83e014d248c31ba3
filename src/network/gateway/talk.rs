//! What the supervisor and the gateway process say to each other. Both are one process that was
//! forked, so there is no version here.
//!
//! ```text
//! supervisor                 gateway process
//!                 <-------   Ready, or Failed and its end
//!   Wanted        ------->
//!                 <-------   Made + the socket
//! ```
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::network::sockets::Gateway;

/// How the set-up went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The sandbox's packets come in.
    Ready {
        /// Where.
        gateway: Gateway,
        /// Why each better way did not work, for a person.
        passed_over: Vec<String>,
    },
    /// They do not, and never will.
    Failed {
        /// What was tried and why it failed, ready for a terminal.
        message: String,
        /// See [`crate::error::Error::hints`].
        hints: Vec<String>,
    },
}

/// A socket, see [`crate::network::sockets::Sockets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Wanted {
    Listen(SocketAddr),
    Datagrams(SocketAddr),
    Attempts,
    ListenInside(SocketAddr),
    SockDiag,
    ConnectInside { v6: bool },
}

/// The answer: with the socket, or with the errno(3) of why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made(pub(super) Result<(), i32>);
