//! What of a worktree would be lost if it were deleted: work that has not come, files that are in no
//! commit, commits that no branch of the user's has. It must never take something for safe because
//! it could not be looked at.

use std::fs;
use std::io;
use std::path::Path;

use super::record::{Landed, Record};
use super::snapshot::{Snapshot, Store};
use super::{Known, Main};
use crate::error::{Error, Result};
use crate::git::commit::{self, Commit};
use crate::git::oid::Oid;
use crate::git::sync::ending;
use crate::host_files::settle;
use crate::session::Found;
use crate::visible::{visible, visible_path};

/// What holds a worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A session works in it. No force helps here.
    Runs(String),
    /// Something that a session did has not come.
    NotHere {
        /// The session.
        session: String,
        /// Why; ready for a terminal.
        why: String,
    },
    /// What a session left for the host to execute was set aside, and comes back only into this worktree.
    SetAside {
        /// The session.
        session: String,
        /// How many.
        count: usize,
    },
    /// So many files are in no commit.
    Uncommitted(usize),
    /// So many commits are on no other branch.
    Unmerged(usize),
    /// Its files, or its commits, could not be looked at: why, ready for a terminal.
    Unknown(String),
    /// It has repositories of submodules, which go with it; what is in them is not looked at.
    Submodules,
    /// The user has locked it (git-worktree(1)).
    Locked,
    /// Git does not know what stands there.
    Strange,
}

impl Hold {
    /// In words.
    pub fn words(&self) -> String {
        let s = |count: usize| if count == 1 { "" } else { "s" };
        match self {
            Self::Runs(session) => format!("session {session} works in it"),
            Self::NotHere { session, why } => {
                format!("not all that session {session} did has come: {why}")
            }
            Self::SetAside { session, count } => {
                format!("{count} file{} set aside by session {session}", s(*count))
            }
            Self::Uncommitted(count) => format!("{count} file{} not committed", s(*count)),
            Self::Unmerged(count) => format!("{count} commit{} on no other branch", s(*count)),
            Self::Unknown(why) => format!("it could not be looked at: {why}"),
            Self::Submodules => {
                "its submodules have repositories of their own, which would go with it".to_owned()
            }
            Self::Locked => "it is locked (git worktree lock)".to_owned(),
            Self::Strange => "git does not know what stands there".to_owned(),
        }
    }

    /// What to do about it.
    pub fn hint(&self, name: &str) -> Option<String> {
        match self {
            Self::Runs(session) => Some(format!("end it first: `claudebox attach {session}`")),
            Self::NotHere { session, .. } => {
                Some(format!("`claudebox sync {session}` tries again"))
            }
            Self::SetAside { session, .. } => {
                Some(format!("`claudebox keep {session}` brings them back into it"))
            }
            Self::Uncommitted(_) => Some(format!("`claudebox worktree diff {name}` shows them")),
            Self::Unmerged(_) => Some(format!("`claudebox worktree merge {name}` merges them")),
            Self::Submodules => Some(
                "look at them there: git submodule foreach 'git status; git log -1'".to_owned(),
            ),
            Self::Unknown(_) | Self::Locked | Self::Strange => None,
        }
    }
}

/// What holds this one.
///
/// # Errors
/// When git cannot be asked at all.
pub fn holds(main: &Main<'_>, known: &Known) -> Result<Vec<Hold>> {
    let mut holds = Vec::new();
    for found in main.sessions(known) {
        holds.extend(of_session(&found));
    }
    let Some(git_dir) = &known.git_dir else {
        if known.there {
            holds.push(Hold::Strange);
        }
        holds.extend(unmerged(main, known, None)?);
        return Ok(holds);
    };
    holds.extend(of_git_dir(git_dir));
    if !known.there || known.tip.is_none() {
        if known.there {
            holds.push(Hold::Unknown("its branch is gone".to_owned()));
        }
        holds.extend(unmerged(main, known, None)?);
        return Ok(holds);
    }
    let snapshot = match Snapshot::take(main, known, Store::Apart) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            holds.push(Hold::Unknown(error.to_string()));
            return Ok(holds);
        }
    };
    if let Some(why) = &snapshot.incomplete {
        holds.push(Hold::Unknown(why.clone()));
    }
    if is_staged_and_committed(main, known, &snapshot)? {
        return Ok(holds);
    }
    let changed = snapshot.changed(main, &snapshot.head)?;
    if changed > 0 {
        holds.push(Hold::Uncommitted(changed));
    }
    holds.extend(unmerged(main, known, Some(&snapshot.head))?);
    Ok(holds)
}

/// What a session holds.
fn of_session(found: &Found) -> Vec<Hold> {
    let session = found.session.id.as_str().to_owned();
    if found.state.lives() {
        return vec![Hold::Runs(session)];
    }
    let aside = match settle::waiting(&found.session) {
        Ok(0) => None,
        Ok(count) => Some(Hold::SetAside { session: session.clone(), count }),
        Err(err) => Some(Hold::Unknown(visible(err.to_string()))),
    };
    let not_here = ending::open(&found.session).map(|why| Hold::NotHere { session, why });
    not_here.into_iter().chain(aside).collect()
}

/// What its git directory holds it by.
fn of_git_dir(git_dir: &Path) -> Vec<Hold> {
    let hold = |name: &str, look: &dyn Fn(&Path) -> io::Result<bool>, hold: Hold| {
        let path = git_dir.join(name);
        match look(&path) {
            Ok(true) => Some(hold),
            Ok(false) => None,
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            Err(err) => Some(Hold::Unknown(format!("{}: {err}", visible_path(&path)))),
        }
    };
    let locked = hold("locked", &|path| path.symlink_metadata().map(|_| true), Hold::Locked);
    let any = |path: &Path| fs::read_dir(path)?.next().transpose().map(|found| found.is_some());
    locked.into_iter().chain(hold("modules", &any, Hold::Submodules)).collect()
}

/// Commits of its branch, and of its `HEAD`, that no other branch, tag or remote has.
fn unmerged(main: &Main<'_>, known: &Known, head: Option<&Oid>) -> Result<Option<Hold>> {
    let Some(tip) = &known.tip else { return Ok(None) };
    let own = known.full();
    let exclude = format!("--exclude={own}");
    let mut words = vec![tip.as_str()];
    words.extend(head.map(Oid::as_str));
    words.extend(["--not", &exclude, "--glob=refs/heads/*", "--tags", "--remotes"]);
    let count = main.count(&words)?;
    if count == 0 {
        return Ok(None);
    }
    let record = Record::read(&main.directory, &known.name);
    if let Some(Landed::Commit { tip: then, commit }) = record.and_then(|record| record.landed)
        && then == *tip
        && head.is_none_or(|head| head == tip)
        && is_kept(main, &commit, &exclude)?
    {
        return Ok(None);
    }
    Ok(Some(Hold::Unmerged(count)))
}

/// Whether a branch other than this one has a commit, which may be gone.
fn is_kept(main: &Main<'_>, commit: &Oid, exclude: &str) -> Result<bool> {
    if main.commit(commit.as_str())?.is_none() {
        return Ok(false);
    }
    let words = [commit.as_str(), "--not", exclude, "--glob=refs/heads/*", "--tags", "--remotes"];
    Ok(main.count(words)? == 0)
}

/// Whether these very files were staged in the main work tree, and are in its commit now.
fn is_staged_and_committed(main: &Main<'_>, known: &Known, snapshot: &Snapshot) -> Result<bool> {
    let record = Record::read(&main.directory, &known.name);
    let Some(Landed::Staged { tip, tree }) = record.and_then(|record| record.landed) else {
        return Ok(false);
    };
    let same = known.tip.as_ref() == Some(&tip)
        && snapshot.head == tip
        && snapshot.tree == tree
        && snapshot.repositories.is_empty();
    let (true, Some(head)) = (same, main.repository().commit()?) else { return Ok(false) };
    let ours = super::merge::tree(main, &head)?;
    match super::merge::merge(main, &head, &commit_of(main, snapshot)?, Some(snapshot))? {
        super::merge::Merged::Clean(tree) => Ok(tree == ours),
        super::merge::Merged::Conflict(_) => Ok(false),
    }
}

/// A commit of the files, on top of what the worktree has checked out; kept where the files are.
///
/// # Errors
/// When git says no.
pub fn commit_of(main: &Main<'_>, snapshot: &Snapshot) -> Result<Oid> {
    let commit = Commit {
        tree: snapshot.tree.clone(),
        parents: vec![snapshot.head.clone()],
        author: None,
        encoding: None,
        message: b"files\n".to_vec(),
    };
    commit::make_with(&main.repository(), &commit, false, |call| snapshot.with(call))
}

/// The error that says what holds a worktree.
pub fn held(known: &Known, holds: &[Hold]) -> Error {
    let words: Vec<String> = holds.iter().map(Hold::words).collect();
    let shown = visible_path(&known.path);
    let text = format!("the worktree {} stays ({shown}): {}", known.name, words.join("; "));
    let mut error = Error::usage(text);
    for hint in holds.iter().filter_map(|hold| hold.hint(&known.name)) {
        error = error.hint(hint);
    }
    if holds.iter().any(|hold| matches!(hold, Hold::Runs(_))) {
        return error;
    }
    error.hint(format!("to lose it: claudebox worktree rm --force {}", known.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_looked_at_holds() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of_git_dir(dir.path()), []);
        fs::create_dir(dir.path().join("modules")).unwrap();
        assert_eq!(of_git_dir(dir.path()), []);
        fs::write(dir.path().join("modules/m"), "").unwrap();
        fs::write(dir.path().join("locked"), "").unwrap();
        assert_eq!(of_git_dir(dir.path()), [Hold::Locked, Hold::Submodules]);
        // Below a file nothing can be looked at; it is not that nothing is there.
        let unknown = of_git_dir(&dir.path().join("locked"));
        assert_eq!(unknown.len(), 2);
        for hold in unknown {
            assert!(hold.words().contains("it could not be looked at: "), "{hold:?}");
            assert_eq!(hold.hint("w"), None);
        }
    }
}
