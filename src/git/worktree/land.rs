//! `worktree merge`: a worktree's commits onto a branch of the user's. The merge is computed among
//! objects (git-merge-tree(1)): no file is touched before it is known to be without conflict, and a
//! branch that is not checked out moves without any. It must never leave a merge half done.

use super::checkout::{self, Checkout, Dirt};
use super::judge::{Hold, holds};
use super::merge::{Merged, merge, tree};
use super::record::Landed;
use super::{BRANCH, Known, Main, diff, led, lock_of, replay, short};
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::git::commit::{self, Commit};
use crate::git::names::HEADS;
use crate::git::oid::Oid;
use crate::git::outside::Outside;
use crate::git::record::Head;
use crate::git::version;
use crate::visible::{visible, visible_path};

/// As what the commits come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// As they are, with a merge commit where the branch has moved, too.
    Merge,
    /// As one commit.
    Squash,
    /// Each made anew on top of the branch.
    Rebase,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// As what.
    pub how: How,
    /// Onto which branch, by its short name; the one that is checked out if absent.
    pub into: Option<&'a str>,
    /// The commits that are made are signed.
    pub sign: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The branch, by its full name.
    pub into: Bytes,
    /// What it had.
    pub old: Oid,
    /// What it has.
    pub new: Oid,
    /// How many commits of the worktree's are in it now.
    pub commits: usize,
    /// The files that changed, relative to the repository.
    pub files: Vec<Bytes>,
    /// Those that programs of the host execute by themselves, ready for a terminal, with who does.
    pub executed: Vec<(String, &'static str)>,
    /// It is checked out in the main work tree, whose files changed with it.
    pub checked_out: bool,
    /// What of the worktree was not merged, or may not be all.
    pub left: Vec<Hold>,
}

/// A branch has all of it already. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nothing {
    /// Which one, and what of.
    pub says: String,
    /// What to do if more was meant.
    pub hints: Vec<String>,
}

/// Merges, where there is anything to merge.
///
/// # Errors
/// Usage errors where it cannot be: conflicts, a branch that is not there or checked out elsewhere, a
/// work tree that is not clean. Nothing has changed then.
pub fn land(main: &Main<'_>, known: &Known, wanted: Wanted<'_>) -> Result<Result<Done, Nothing>> {
    may_merge(main, known, "merge")?;
    if wanted.sign {
        commit::may_sign(&main.survey.main.settings)?;
    }
    let _kept_out = keep_out(main, known)?;
    let tip = known.commit()?;
    let outside = main.repository().refs()?;
    let (into, old) = target(main, known, wanted.into, &outside)?;
    let own = short(&into);
    let words = [tip.as_str(), "--not", old.as_str()];
    let commits = main.count(words)?;
    if commits == 0 {
        let says = format!("{own} has every commit of {} already", known.branch());
        return Ok(Err(Nothing { says, hints: not_committed(main, known)? }));
    }
    let checked_out = main.repository().head()? == Head::Branch(into.clone());
    // Nobody works in the main work tree while its files change.
    let mut checkout = if checked_out { Some(Checkout::begin(main, Dirt::None)?) } else { None };
    // Nobody is asked for a passphrase before it is known to come to what is staged.
    let unsigned = || made(main, known, &old, &own, Wanted { sign: false, ..wanted });
    let written = match &mut checkout {
        Some(checkout) => checkout.has(|| tree(main, &unsigned()?))?,
        None => false,
    };
    let new = made(main, known, &old, &own, wanted)?;
    let files = checkout::changed(main, &old, &new)?;
    if wanted.how != How::Merge && files.is_empty() {
        // As when it was killed before this was written down.
        landed(main, known, &old)?;
        let says = format!("{own} has all that {} does already", known.branch());
        return Ok(Err(Nothing { says, hints: Vec::new() }));
    }
    checkout::refuse_submodules(main, &files)?;
    let to_write = checkout.as_ref().filter(|_| !written);
    if let Some(checkout) = to_write {
        checkout.write(&old, &new, &files)?;
    }
    if let Err(error) = move_branch(main, &into, &old, &new, &known.name) {
        if let Some(checkout) = to_write {
            checkout.write(&new, &old, &checkout::changed(main, &new, &old)?)?;
        }
        return Err(error);
    }
    if wanted.how != How::Merge {
        landed(main, known, &new)?;
    }
    let mut left = holds(main, known)?;
    left.retain(|hold| !matches!(hold, Hold::Locked | Hold::Submodules));
    let executed = checkout::executed(&files, &led::paths(main));
    let files = files.into_iter().map(|change| change.path).collect();
    Ok(Ok(Done { into, old, new, commits, files, executed, checked_out, left }))
}

/// Where the work of a worktree is that is in no commit of its branch.
fn not_committed(main: &Main<'_>, known: &Known) -> Result<Vec<String>> {
    let mut hints = Vec::new();
    if let Some(Head::Branch(other)) = main.head(known).filter(|head| *head != itself(known)) {
        let other = short(&other);
        hints.push(format!("the worktree has {other} checked out: git merge {other}"));
    }
    let held = holds(main, known)?;
    if let Some(files) = held.iter().find(|it| matches!(it, Hold::Uncommitted(_))) {
        hints.push(format!("{}: commit them in {}", files.words(), visible_path(&known.path)));
        hints.push(format!("or stage them here: claudebox worktree apply {}", known.name));
    }
    Ok(hints)
}

/// Writes down that what the worktree's branch has is in this commit, as other commits.
fn landed(main: &Main<'_>, known: &Known, commit: &Oid) -> Result<()> {
    let landed = Landed::Commit { tip: known.commit()?.clone(), commit: commit.clone() };
    diff::record(main, known)?.with(landed).write(&main.directory, &known.name)
}

/// Refuses where the host's git cannot merge among objects; says how it is done by hand.
pub(super) fn may_merge(main: &Main<'_>, known: &Known, command: &str) -> Result<()> {
    let branch = known.branch();
    let by_hand = match command {
        "apply" => format!("git merge --no-commit --no-ff {branch}"),
        _ => format!("git merge {branch}"),
    };
    let needed = main.survey.version.must_be(version::MERGE, &format!("worktree {command}"));
    needed.map_err(|error| {
        error.hint(format!("or by hand, where your hooks and filters run: {by_hand}"))
    })
}

/// Keeps sessions out of a worktree, and refuses where one is in it.
pub(super) fn keep_out(main: &Main<'_>, known: &Known) -> Result<std::fs::File> {
    let found = main.sessions(known).into_iter().find(|found| found.state.lives());
    if let Some(found) = found {
        let id = &found.session.id;
        return Err(Error::usage(format!("session {id} works in the worktree {}", known.name))
            .hint("wait for its end: then all that it did is here")
            .hint(format!(
                "what it has committed so far: git merge refs/claudebox/{id}/heads/{}",
                known.branch()
            )));
    }
    main.all_sessions().keep_out(&known.path.as_path().into())
}

/// What a worktree has checked out, if its agent left it at that.
fn itself(known: &Known) -> Head {
    Head::Branch(known.full().as_str().into())
}

/// The branch, and what it has.
fn target(
    main: &Main<'_>,
    known: &Known,
    into: Option<&str>,
    outside: &Outside,
) -> Result<(Bytes, Oid)> {
    let name: Bytes = match into {
        Some(name) => {
            format!("{HEADS}{}", name.strip_prefix(HEADS).unwrap_or(name)).as_str().into()
        }
        None => match main.repository().head()? {
            Head::Branch(name) => name,
            Head::Detached(_) => {
                return Err(Error::usage(format!(
                    "no branch is checked out in {}",
                    visible_path(&main.root)
                ))
                .hint("name one: --into BRANCH"));
            }
        },
    };
    let shown = short(&name);
    if name.0 == known.full().as_bytes() {
        return Err(Error::usage(format!("{shown} is the worktree's own branch"))
            .hint("name another: --into BRANCH"));
    }
    if outside.symbolic.contains(&name) {
        return Err(Error::usage(format!("{shown} is a symbolic ref: name what it stands for")));
    }
    let Some(oid) = outside.now.refs.get(&name) else {
        return Err(Error::usage(format!("there is no branch {shown}"))
            .hint(format!("make it first: git branch {shown}")));
    };
    if outside.elsewhere.contains(&name) {
        return Err(Error::usage(format!("another worktree has {shown} checked out"))
            .hint(format!("merge there: git merge {}", known.branch())));
    }
    Ok((name, oid.clone()))
}

/// The commit that the branch gets.
fn made(main: &Main<'_>, known: &Known, old: &Oid, into: &str, wanted: Wanted<'_>) -> Result<Oid> {
    let tip = known.commit()?;
    let forward = main.contains(old, tip)?;
    let conflict = |paths: &[Bytes], at: Option<&Commit>| {
        conflict(known, into, paths, at.map(Commit::subject))
    };
    let merged = || match merge(main, old, tip, None)? {
        Merged::Clean(tree) => Ok(tree),
        Merged::Conflict(paths) => Err(conflict(&paths, None)),
    };
    let parents = |more: Option<&Oid>| [Some(old), more].into_iter().flatten().cloned().collect();
    let make = |tree, parents, message| {
        let commit = Commit { tree, parents, author: None, encoding: None, message };
        commit::make(&main.repository(), &commit, wanted.sign)
    };
    match wanted.how {
        How::Merge | How::Rebase if forward && !wanted.sign => Ok(tip.clone()),
        How::Merge => {
            let message = format!("Merge branch '{}' into {into}\n", known.branch());
            make(merged()?, parents(Some(tip)), message.into_bytes())
        }
        How::Squash => make(merged()?, parents(None), squashed(main, known, old)?),
        How::Rebase => match replay::onto(main, old, tip, wanted.sign)? {
            replay::Replayed::Clean(oid) => Ok(oid),
            replay::Replayed::Conflict { paths, commit } => Err(conflict(&paths, Some(&commit))),
        },
    }
}

/// The message of the one commit: that of the only one, or all subjects.
fn squashed(main: &Main<'_>, known: &Known, old: &Oid) -> Result<Vec<u8>> {
    let commits = commit::read(&main.repository(), &replay::between(main, old, known.commit()?)?)?;
    if let [only] = commits.as_slice() {
        return Ok(only.message.clone());
    }
    let mut message = format!("{BRANCH}{} in one commit\n\n", known.name).into_bytes();
    for commit in &commits {
        message.extend_from_slice(b"* ");
        message.extend_from_slice(commit.subject());
        message.push(b'\n');
    }
    Ok(message)
}

fn conflict(known: &Known, into: &str, paths: &[Bytes], at: Option<&[u8]>) -> Error {
    const MOST: usize = 10;
    let mut names: Vec<String> = paths.iter().take(MOST).map(visible).collect();
    if paths.len() > MOST {
        names.push(format!("and {} more", paths.len() - MOST));
    }
    let branch = known.branch();
    let at = at.map(|subject| format!(" at the commit \"{}\"", visible(subject)));
    Error::usage(format!(
        "{branch} and {into} conflict{}: {}; nothing has changed",
        at.unwrap_or_default(),
        names.join(", ")
    ))
    .hint(format!("by hand: git switch {into}; git merge {branch}"))
    .hint(format!(
        "or have it solved inside: claudebox run -w {} ..., where {into} is to be merged",
        known.name
    ))
}

/// Moves a branch that still has what it had.
fn move_branch(main: &Main<'_>, name: &Bytes, old: &Oid, new: &Oid, worktree: &str) -> Result<()> {
    let lock = lock_of(main.git_dir())?;
    let message = format!("claudebox: merge of {BRANCH}{worktree}");
    main.call("move the branch")
        .args(["update-ref", "--create-reflog", "-m", &message])
        .arg(name.as_os_str())
        .args([new.as_str(), old.as_str()])
        .outlives_us(std::os::fd::AsFd::as_fd(&lock))?
        .run()
        .map(drop)
}
