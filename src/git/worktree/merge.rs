//! Two commits merged among objects (git-merge-tree(1)): no file and no ref is touched, and nothing of
//! what the trees name is run. It must never know of branches: whose commits they are is its caller's.

use super::Main;
use super::snapshot::Snapshot;
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::git::call::PATIENT;
use crate::git::oid::Oid;

/// What a merge comes to.
#[derive(Debug)]
pub enum Merged {
    /// This tree.
    Clean(Oid),
    /// Conflicts in these files.
    Conflict(Vec<Bytes>),
}

/// Merges two commits, and touches nothing. Attributes are those of the first, which is the user's; no
/// driver of a configuration runs. `snapshot` has objects that are needed.
///
/// # Errors
/// When git cannot.
pub fn merge(
    main: &Main<'_>,
    ours: &Oid,
    theirs: &Oid,
    snapshot: Option<&Snapshot>,
) -> Result<Merged> {
    let what = "merge";
    let mut call = main.repository().call_without_programs(what)?.limits(PATIENT);
    if let Some(snapshot) = snapshot {
        call = snapshot.with(call);
    }
    let outcome = call
        .env("GIT_ATTR_SOURCE", ours.as_str())
        .args(["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages"])
        .args([ours.as_str(), theirs.as_str()])
        .outcome()?;
    let mut fields = outcome.output.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let tree = fields.next().and_then(Oid::parse);
    match (outcome.status.code(), tree) {
        (Some(0), Some(tree)) => Ok(Merged::Clean(tree)),
        (Some(1), Some(_)) => Ok(Merged::Conflict(fields.map(Bytes::from).collect())),
        // Of an option that it does not know.
        (Some(129), _) => Err(outcome.refusal(what).hint("this needs git 2.38 or newer")),
        _ => Err(outcome.refusal(what)),
    }
}

/// The tree of a commit.
///
/// # Errors
/// When it cannot be read.
pub fn tree(main: &Main<'_>, commit: &Oid) -> Result<Oid> {
    let name = format!("{commit}^{{tree}}");
    let found =
        main.oid(main.call("read a commit").args(["rev-parse", "-q", "--verify", &name]))?;
    found.ok_or_else(|| Error::launcher(format!("cannot read the commit {commit}")))
}
