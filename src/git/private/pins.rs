//! Pins: what a private git directory borrows must stay on the host, also when the user deletes a branch
//! there and a gc prunes. Each tip gets a ref of claudebox's own, as far as these are few: each is a file.
//! What is beyond stands in the reflog of one more, by which a gc goes as well. It must never name an
//! object that no ref of the host's led to.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::copy::make;
use crate::error::{Result, Tried as _};
use crate::git::call::{Call, Limits};
use crate::git::names::{HEADS, behind};
use crate::git::oid::Oid;
use crate::git::record::{Base, Head};
use crate::plan::git::{PrivateGit, PrivateRepository};
use crate::visible::visible_path;

/// The most refs: making one and taking it away costs a millisecond. Branches come first: they are what a
/// user rewrites.
const MOST: usize = 20;

/// The name of the ref whose reflog has the rest, beside those that are named by their objects.
const REST: &str = "rest";

/// So far in the future stands the time of an entry: none is ever too old to be kept.
const LATER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long it may take.
const PINNING: Duration = Duration::from_secs(60);

/// Pins what this repository, which stands so, lends to the session.
pub(super) fn pin(
    plan: &PrivateGit,
    repository: &PrivateRepository,
    base: &Base,
    session: &str,
) -> Result<()> {
    let all = tips(base);
    // A reftable has one file for any number of them.
    let most = if repository.ref_format == "files" { MOST } else { all.len() };
    let (refs, rest) = all.split_at(all.len().min(most));
    let mut input = String::new();
    for oid in refs {
        let _ = writeln!(input, "update refs/claudebox/{session}/pin/{oid} {oid}");
    }
    if let Some(first) = rest.first() {
        let _ = writeln!(input, "update refs/claudebox/{session}/pin/{REST} {first}");
    }
    if input.is_empty() {
        return Ok(());
    }
    let git_dir = repository.git_dir.as_path();
    let what = format!("pin what is borrowed of {}", visible_path(git_dir));
    let limits = Limits { time: PINNING, ..Limits::default() };
    let call = Call::new(plan.program.as_path(), &*what).git_dir(git_dir).limits(limits);
    // After a power cut there is no session that borrows.
    let call = call.config("core.fsync", "-reference");
    call.args(["update-ref", "--stdin"]).input(input).run()?;
    // Behind its ref: who deletes that deletes the reflog.
    if rest.is_empty() { Ok(()) } else { log(repository, rest, session).tried(|| what) }
}

/// What is borrowed from, each once: what is checked out, branches and stashes first.
fn tips(base: &Base) -> Vec<&Oid> {
    let checked_out = match &base.head {
        Head::Detached(oid) => Some(oid),
        Head::Branch(name) => base.refs.get(name),
    };
    let is_branch = |name| behind(name, HEADS).is_some();
    let refs = |branches: bool| {
        let of_kind = base.refs.iter().filter(move |(name, _)| is_branch(name) == branches);
        of_kind.map(|(_, oid)| oid)
    };
    let all = checked_out.into_iter().chain(refs(true)).chain(&base.stashes).chain(refs(false));
    let mut seen = BTreeSet::new();
    all.filter(|oid| seen.insert(*oid)).collect()
}

/// Writes the reflog, as git does: a line for each, gitrepository-layout(5).
fn log(repository: &PrivateRepository, oids: &[&Oid], session: &str) -> std::io::Result<()> {
    let mut at = openat(CWD, shared(repository), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    for name in ["logs", "refs", "claudebox", session, "pin"] {
        at = make(&at, &CString::new(name)?)?;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = (now + LATER).as_secs();
    let mut lines = String::new();
    for oid in oids {
        let none = oid.none();
        let who = "claudebox <claudebox@localhost>";
        let _ = writeln!(lines, "{none} {oid} {who} {time} +0000\tclaudebox: session {session}");
    }
    let flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: OwnedFd = openat(&at, REST, flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(lines.as_bytes())
}

fn shared(repository: &PrivateRepository) -> &std::path::Path {
    repository.common.as_ref().unwrap_or(&repository.git_dir).as_path()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn oid(digit: &str) -> Oid {
        Oid::parse(digit.repeat(40).as_bytes()).unwrap()
    }

    #[test]
    fn what_a_user_rewrites_comes_first_and_each_once() {
        let refs = [
            ("refs/tags/a", "1"),
            ("refs/heads/x", "2"),
            ("refs/heads/y", "5"),
            ("refs/remotes/o/x", "2"),
        ];
        let refs = refs.map(|(name, digit)| (name.into(), oid(digit)));
        let base = Base {
            head: Head::Detached(oid("3")),
            refs: BTreeMap::from(refs),
            stashes: vec![oid("4"), oid("1")],
            ..Base::default()
        };
        let said = |base: &Base| tips(base).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(said(&base), ["3", "2", "5", "4", "1"].map(oid));
        let head = Head::Branch("refs/heads/y".into());
        assert_eq!(said(&Base { head, ..base }), ["5", "2", "4", "1"].map(oid));
    }
}
