//! What an attack is made in: what the judge has laid out, and what the profile promises.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::network::plan::Network;

/// What the judge has laid out, and what the profile promises.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// The scratch project, in a directory that holds nothing else.
    pub(super) project: PathBuf,
    /// The user's home.
    pub(super) home: PathBuf,
    /// A file in it that is the judge's own.
    pub(super) secret: PathBuf,
    /// A name that nothing on this machine has.
    pub(super) name: String,
    /// Where the judge listens on the host's loopback.
    pub(super) endpoint: String,
    /// What may be reached.
    pub(super) network: Network,
    /// Abstract sockets of the host are out of reach, also in its network namespace.
    pub(super) scoped: bool,
    /// Every exec is to be logged.
    pub(super) logged: bool,
    /// Programs inside may make user namespaces.
    pub(super) nested: bool,
    /// What is new and the host would execute is set aside.
    pub(super) set_aside: bool,
    /// The git directory inside is a private copy.
    pub(super) private_git: bool,
    /// `assert.must-not-read`
    pub(super) must_not_read: Vec<PathBuf>,
    /// `assert.must-write`
    pub(super) must_write: Vec<PathBuf>,
    /// `assert.must-not-reach`
    pub(super) must_not_reach: Vec<String>,
}
