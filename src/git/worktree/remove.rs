//! `worktree rm` and `gc`: takes worktrees away, with their branches. What is in one is an agent's tree,
//! and removed as such. It must never remove what is held, unless that was said, nor where a session
//! works.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::judge::{Hold, held, holds};
use super::record::Record;
use super::{Known, Main, lock_of, snapshot};
use crate::error::{Error, Result, Tried as _};
use crate::git::call::PATIENT;
use crate::git::oid::Oid;
use crate::nofollow;
use crate::visible::visible_path;

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is gone, or would be.
    Gone {
        /// What its branch had.
        tip: Option<Oid>,
        /// What was lost with it.
        lost: Vec<Hold>,
        /// Its branch is checked out elsewhere, and stays.
        branch_stays: bool,
    },
    /// It stays.
    Stays(Vec<Hold>),
}

/// Removes one.
///
/// # Errors
/// A usage error where something holds it; `force` helps, but not where a session works.
pub fn remove(main: &Main<'_>, known: &Known, force: bool) -> Result<Fate> {
    match attempt(main, known, force, false)? {
        Fate::Stays(holds) => Err(held(known, &holds)),
        gone @ Fate::Gone { .. } => Ok(gone),
    }
}

/// Removes all that nothing holds. `dry`: only says what it would do.
///
/// # Errors
/// When that cannot be said.
pub fn gc(main: &Main<'_>, force: bool, dry: bool) -> Result<Vec<(Known, Fate)>> {
    let mut fates = Vec::new();
    for known in main.known()?.0 {
        // Each is judged when those before it are gone: two may have had the same commits.
        let fate = attempt(main, &known, force, dry)?;
        fates.push((known, fate));
    }
    Ok(fates)
}

fn attempt(main: &Main<'_>, known: &Known, force: bool, dry: bool) -> Result<Fate> {
    let runs = |hold: &Hold| matches!(hold, Hold::Runs(_));
    let before = holds(main, known)?;
    if before.iter().any(runs) || (!before.is_empty() && !force) {
        return Ok(Fate::Stays(before));
    }
    let tip = known.tip.clone();
    if dry {
        return Ok(Fate::Gone { tip, lost: before, branch_stays: false });
    }
    // From here on no session begins in it; what did before has its say.
    let _kept_out: File = main.all_sessions().keep_out(&known.path.as_path().into())?;
    let lost = holds(main, known)?;
    if lost.iter().any(runs) || (!lost.is_empty() && !force) {
        return Ok(Fate::Stays(lost));
    }
    if known.there {
        remove_tree(main, known)?;
    }
    if known.git_dir.is_some() {
        // Twice: one that is locked, too.
        let call = main.call("forget the worktree").limits(PATIENT);
        call.args(["worktree", "remove", "--force", "--force"]).arg(&known.path).run()?;
    }
    let branch_stays = remove_branch(main, known)?;
    Record::remove(&main.directory, &known.name)?;
    snapshot::forget(main, known);
    Ok(Fate::Gone { tip, lost, branch_stays })
}

fn remove_tree(main: &Main<'_>, known: &Known) -> Result<()> {
    let shown = || format!("remove {}", visible_path(&known.path));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let above: OwnedFd = openat(CWD, &main.directory, flags, Mode::empty()).tried(shown)?;
    let name = CString::new(known.name.as_str()).map_err(|_| Error::launcher(shown()))?;
    nofollow::remove(&above, &name).tried(shown)
}

/// Deletes the branch if it still has what was judged; answers whether it stays, another worktree having
/// it checked out.
fn remove_branch(main: &Main<'_>, known: &Known) -> Result<bool> {
    let Some(tip) = &known.tip else { return Ok(false) };
    let full = known.full();
    let outside = main.repository().refs()?;
    let checked_out = outside.elsewhere.contains(&full.as_str().into())
        || main.repository().head()? == crate::git::record::Head::Branch(full.as_str().into());
    if checked_out {
        return Ok(true);
    }
    let lock = lock_of(main.git_dir())?;
    main.call("delete the branch")
        .args(["update-ref", "-d", &full, tip.as_str()])
        .outlives_us(std::os::fd::AsFd::as_fd(&lock))?
        .run()?;
    // What `git branch -u` or `git push -u` wrote, if anybody did.
    let section = format!("branch.{}", known.branch());
    main.call("forget the branch").args(["config", "--remove-section", &section]).outcome()?;
    Ok(false)
}
