//! The refs of a linked worktree in a repository with reftable. A worktree has a table of its own for
//! `HEAD` and what else is its alone, beside the shared ones. The private directory has one for all: the
//! shared one, copied, in which the main worktree's `HEAD` stands. Here it gets the linked one's. It must
//! never be called on a directory that an agent has had.

use std::ffi::OsString;
use std::path::Path;

use crate::bytes::Bytes;
use crate::error::Result;
use crate::git::call::Call;
use crate::git::outside::Repository;
use crate::git::record::{Base, Head};
use crate::plan::git::PrivateRepository;
use crate::visible::visible_path;

const HEAD: &str = "HEAD";

/// What each worktree has for itself below `refs/`, gitrepository-layout(5).
const EACH: [&str; 3] = ["refs/bisect/", "refs/rewritten/", "refs/worktree/"];

/// Gives the copy the worktree's own `HEAD` and refs, as `base` has them. The reflog of `HEAD` begins
/// anew: git has no command that writes one.
pub(super) fn set_right(
    program: &Path,
    repository: &PrivateRepository,
    private: &Path,
    base: &Base,
) -> Result<()> {
    let stores: Vec<_> = repository.objects.iter().map(|(host, _)| host.as_os_str()).collect();
    // Its alternates lead to where they are inside.
    let stores = std::env::join_paths(&stores).unwrap_or_else(|_| OsString::new());
    let call = |what: &str| {
        let what = format!("{what} of {}", visible_path(private));
        Call::new(program, what).git_dir(private).env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &stores)
    };
    let set = call("set the HEAD");
    match &base.head {
        Head::Branch(name) => set.args(["symbolic-ref", HEAD]).arg(name.as_os_str()),
        Head::Detached(oid) => set.args(["update-ref", "--no-deref", HEAD, oid.as_str()]),
    }
    .run()?;
    let work_tree = repository.work_tree.as_path();
    let there = Repository { program, git_dir: private, work_tree }.refs()?.now.refs;
    let own = |name: &Bytes| EACH.iter().any(|each| name.0.starts_with(each.as_bytes()));
    let mut input = Vec::new();
    for name in there.keys().filter(|name| own(name) && !base.refs.contains_key(*name)) {
        input.extend_from_slice(&[b"delete ", name.0.as_slice(), b"\0\0"].concat());
    }
    for (name, oid) in base.refs.iter().filter(|(name, _)| own(name)) {
        let parts = [b"update ", name.0.as_slice(), b"\0", oid.as_str().as_bytes(), b"\0\0"];
        input.extend_from_slice(&parts.concat());
    }
    if !input.is_empty() {
        call("set the refs").args(["update-ref", "--stdin", "-z"]).input(input).run()?;
    }
    // It says no where there is none.
    call("forget the reflog").args(["reflog", "expire", "--expire=all", HEAD]).outcome()?;
    Ok(())
}
