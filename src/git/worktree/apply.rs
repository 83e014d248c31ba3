//! `worktree apply`: what was done in a worktree, committed or not, staged in the main work tree for the
//! user to look at and to commit. It must never commit, nor overwrite what the user has there.

use super::checkout::{self, Checkout, Dirt};
use super::judge::commit_of;
use super::land::{keep_out, may_merge};
use super::merge::{Merged, merge, tree};
use super::record::Landed;
use super::snapshot::{Snapshot, Store};
use super::{Known, Main, diff, led};
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::visible::{visible, visible_path};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The files that changed, relative to the repository.
    pub files: Vec<Bytes>,
    /// Those that programs of the host execute by themselves, ready for a terminal, with who does.
    pub executed: Vec<(String, &'static str)>,
    /// Repositories among the files of the worktree, which were left out.
    pub repositories: Vec<Bytes>,
    /// Why not every file is in it.
    pub incomplete: Option<String>,
}

/// Stages.
///
/// # Errors
/// Usage errors where it cannot be: conflicts, or something of the user's in its place. Nothing has
/// changed then.
pub fn apply(main: &Main<'_>, known: &Known) -> Result<Done> {
    may_merge(main, known, "apply")?;
    let _kept_out = keep_out(main, known)?;
    let head = main
        .repository()
        .commit()?
        .ok_or_else(|| Error::usage(format!("{} has no commit yet", visible_path(&main.root))))?;
    let checkout = Checkout::begin(main, Dirt::Elsewhere)?;
    let snapshot = Snapshot::take(main, known, Store::Repository)?;
    let merged = match merge(main, &head, &commit_of(main, &snapshot)?, Some(&snapshot))? {
        Merged::Clean(tree) => tree,
        Merged::Conflict(paths) => return Err(conflict(known, &paths)),
    };
    let changes = checkout::changed(main, &tree(main, &head)?, &merged)?;
    checkout::refuse_submodules(main, &changes)?;
    checkout.write(&head, &merged, &changes)?;
    let landed = Landed::Staged { tip: known.commit()?.clone(), tree: snapshot.tree.clone() };
    diff::record(main, known)?.with(landed).write(&main.directory, &known.name)?;
    Ok(Done {
        executed: checkout::executed(&changes, &led::paths(main)),
        files: changes.into_iter().map(|change| change.path).collect(),
        repositories: snapshot.repositories.clone(),
        incomplete: snapshot.incomplete.clone(),
    })
}

fn conflict(known: &Known, paths: &[Bytes]) -> Error {
    const MOST: usize = 10;
    let mut names: Vec<String> = paths.iter().take(MOST).map(visible).collect();
    if paths.len() > MOST {
        names.push(format!("and {} more", paths.len() - MOST));
    }
    let branch = known.branch();
    Error::usage(format!(
        "{branch} and what is checked out here conflict: {}; nothing has changed",
        names.join(", ")
    ))
    .hint(format!("what is committed, by hand: git merge --no-commit {branch}"))
    .hint(format!("or have it solved inside: claudebox run -w {} ...", known.name))
}
