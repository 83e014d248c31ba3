//! Whom a test runs as: the caller, and, where the caller is root, an unprivileged user too.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The account that `tests/setup.sh` makes.
const UNPRIVILEGED: &str = "claudebox-test";

/// A user that a test runs claudebox as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Caller,
    /// An ordinary account; only where the caller is root.
    Unprivileged { uid: u32, gid: u32 },
}

/// Everyone that a test must pass as.
pub(crate) fn users() -> Vec<User> {
    if !nix::unistd::Uid::effective().is_root() {
        return vec![User::Caller];
    }
    let Some(account) = nix::unistd::User::from_name(UNPRIVILEGED).unwrap() else {
        panic!("no user {UNPRIVILEGED} on this machine; run `tests/setup.sh test`");
    };
    let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
    vec![User::Unprivileged { uid, gid }, User::Caller]
}

impl User {
    /// Whether this is root.
    pub(crate) fn is_root(self) -> bool {
        self == Self::Caller && nix::unistd::Uid::effective().is_root()
    }

    /// Makes the command run as this user.
    pub(crate) fn apply(self, command: &mut Command) {
        if let Self::Unprivileged { uid, gid } = self {
            command.uid(uid).gid(gid).current_dir("/");
        }
    }

    /// Gives a file to this user.
    pub(crate) fn own(self, path: &Path) {
        if let Self::Unprivileged { uid, gid } = self {
            std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
        }
    }
}
