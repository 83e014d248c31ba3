//! Commits made anew on top of a branch (`merge --rebase`), as git-rebase(1) does, but among objects
//! alone. It must never leave anything but objects behind: which branch gets them is for its caller.

use super::Main;
use super::merge::{Merged, merge, tree};
use crate::bytes::Bytes;
use crate::error::Result;
use crate::git::commit::{self, Commit};
use crate::git::oid::Oid;
use crate::git::outside::Repository;

/// What came of it.
#[derive(Debug)]
pub enum Replayed {
    /// The last of the new commits.
    Clean(Oid),
    /// One of them has conflicts.
    Conflict {
        /// In these files.
        paths: Vec<Bytes>,
        /// The commit.
        commit: Commit,
    },
}

/// The commits without merges that `tip` has and `base` has not, the oldest first.
///
/// # Errors
/// When git cannot say.
pub fn between(main: &Main<'_>, base: &Oid, tip: &Oid) -> Result<Vec<Oid>> {
    let words = ["rev-list", "--reverse", "--topo-order", "--no-merges", tip.as_str(), "--not"];
    let said = main.call("list commits").args(words).arg(base.as_str()).run()?;
    Ok(said.split(|byte| *byte == b'\n').filter_map(Oid::parse).collect())
}

/// Makes what `tip` has and `base` has not anew on top of `base`. A commit that brings nothing there is
/// left out, as is a merge.
///
/// # Errors
/// When git cannot.
pub fn onto(main: &Main<'_>, base: &Oid, tip: &Oid, sign: bool) -> Result<Replayed> {
    let oids = between(main, base, tip)?;
    let commits = commit::read(&main.repository(), &oids)?;
    let (mut last, mut last_tree) = (base.clone(), tree(main, base)?);
    for (oid, commit) in oids.iter().zip(commits) {
        let was_empty = match commit.parents.first() {
            Some(parent) => tree(main, parent)? == commit.tree,
            None => false,
        };
        // What the commit did is the difference to its parent: so that is where both begin.
        let new = match commit.parents.as_slice() {
            [] => merge_unrelated(main, &last_tree, &commit.tree)?,
            parents => {
                let begun = aside(&main.repository(), &last_tree, parents.to_vec())?;
                merge(main, &begun, oid, None)?
            }
        };
        let new = match new {
            Merged::Clean(new) => new,
            Merged::Conflict(paths) => return Ok(Replayed::Conflict { paths, commit }),
        };
        if new == last_tree && !was_empty {
            continue;
        }
        let made = Commit { tree: new.clone(), parents: vec![last], ..commit };
        last = commit::make(&main.repository(), &made, sign)?;
        last_tree = new;
    }
    Ok(Replayed::Clean(last))
}

/// A commit without a parent: both begin at nothing.
fn merge_unrelated(main: &Main<'_>, ours: &Oid, theirs: &Oid) -> Result<Merged> {
    let repository = main.repository();
    let said = repository.call("make an empty tree").arg("mktree").run()?;
    let Some(empty) = Oid::parse(said.trim_ascii_end()) else {
        return Ok(Merged::Conflict(Vec::new()));
    };
    let root = aside(&repository, &empty, Vec::new())?;
    let [ours, theirs] = [ours, theirs].map(|tree| aside(&repository, tree, vec![root.clone()]));
    merge(main, &ours?, &theirs?, None)
}

/// A commit that no branch gets.
fn aside(repository: &Repository<'_>, tree: &Oid, parents: Vec<Oid>) -> Result<Oid> {
    let (tree, message) = (tree.clone(), b"aside\n".to_vec());
    let commit = Commit { tree, parents, author: None, encoding: None, message };
    commit::make(repository, &commit, false)
}
