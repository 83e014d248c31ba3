//! `run --worktree NAME`: a linked worktree for a session, outside of the project, on a branch of its
//! own. What is checked out there, the agent may write; the main checkout is not even mounted. It
//! must never run what a repository's own configuration names.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::include::{self, Copied};
use super::record::Record;
use super::{BRANCH, Main};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::call::Limits;
use crate::git::names::HEADS;
use crate::git::oid::Oid;
use crate::git::private::refuse;
use crate::git::private::repository::One;
use crate::git::private::setting::Setting;
use crate::git::record::Head;
use crate::host::Host;
use crate::log::clock::now;
use crate::profile::include::Include;
use crate::visible::{visible, visible_path};

/// How long a checkout may take.
const CHECKOUT: Duration = Duration::from_secs(600);

/// A worktree that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// It was there already.
    pub old: bool,
    /// What was copied into it.
    pub copied: Copied,
}

/// Makes the worktree of this name for the repository whose main worktree is `root`, or finds it.
/// `base`: the commit that a new one begins at, instead of `HEAD`. `include`: which ignored files a new
/// one gets a copy of; the user trusts it.
///
/// # Errors
/// Usage errors: a name or a commit that is none; a worktree or branch that is there, with a `base`;
/// a repository whose own configuration would run a program at the checkout; more to copy than may be.
pub fn make(
    root: &Path,
    name: &str,
    base: Option<&str>,
    include: Option<&Include>,
    host: &Host,
) -> Result<Worktree> {
    let main = main_of(root, name, host)?;
    if let Some(old) = there(&main, name, base)? {
        return Ok(old);
    }
    let branch = format!("{BRANCH}{name}");
    let path = main.path(name);
    let shown = visible_path(&path);
    let tip = main.commit(&format!("{HEADS}{branch}"))?;
    if tip.is_some() && base.is_some() {
        return Err(Error::usage(format!("the branch `{branch}` is there already"))
            .hint("go on with it without --base, or take another name"));
    }
    let begins = match &tip {
        Some(tip) => tip.clone(),
        None => commit(&main, base.unwrap_or("HEAD"))?,
    };
    let wanted = match include {
        Some(include) => include::wanted(&main, include)?,
        None => Vec::new(),
    };
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(&main.directory)
        .tried(|| format!("make {shown}"))?;
    // Before the branch is there: one without a record began where it parts from `HEAD`.
    if tip.is_none() {
        let record = Record::new(begins.clone(), named(&main, base)?);
        record.made_at(now()).write(&main.directory, name)?;
    }
    let limits = Limits { time: CHECKOUT, ..Limits::default() };
    let mut add = main.call("add a worktree").args(["worktree", "add", "--quiet"]).limits(limits);
    if tip.is_none() {
        add = add.args(["--no-track", "-b", &branch]).arg(&path).arg(begins.as_str());
    } else {
        add = add.arg(&path).arg(&branch);
    }
    add.run()?;
    let copied = include::copy(&main, name, wanted)?;
    Ok(Worktree { path, branch, old: false, copied })
}

/// The worktree of this name that [`make`] would go on in; `None` where it would make one. Makes nothing.
///
/// # Errors
/// As of [`make`], as far as that is known beforehand.
pub fn find(root: &Path, name: &str, base: Option<&str>, host: &Host) -> Result<Option<Worktree>> {
    there(&main_of(root, name, host)?, name, base)
}

/// The repository, where worktrees can be made of it.
fn main_of<'h>(root: &Path, name: &str, host: &'h Host) -> Result<Main<'h>> {
    check_name(name)?;
    let main = Main::of(root, host)?;
    main.must_have_git()?;
    check(&main.survey.main)?;
    Ok(main)
}

fn there(main: &Main<'_>, name: &str, base: Option<&str>) -> Result<Option<Worktree>> {
    let path = main.path(name);
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    if base.is_some() {
        let shown = visible_path(&path);
        return Err(Error::usage(format!("the worktree `{name}` is there already: {shown}"))
            .hint("go on in it without --base, or take another name"));
    }
    let branch = format!("{BRANCH}{name}");
    Ok(Some(Worktree { path, branch, old: true, copied: Copied::default() }))
}

/// The branch that a base is, by its full name.
fn named(main: &Main<'_>, base: Option<&str>) -> Result<Option<Bytes>> {
    match base {
        None => Ok(match main.repository().head()? {
            Head::Branch(name) => Some(name),
            Head::Detached(_) => None,
        }),
        Some(base) => {
            let full = format!("{HEADS}{base}");
            Ok(main.commit(&full)?.map(|_| full.as_str().into()))
        }
    }
}

/// The commit that these words name.
fn commit(main: &Main<'_>, base: &str) -> Result<Oid> {
    main.commit(base)?.ok_or_else(|| {
        Error::usage(format!("--base {}: there is no such commit", visible(base))).hint(
            "make a first commit, or name a branch, a tag or a commit: git log --oneline --all",
        )
    })
}

/// Whether this can be a part of a path and of a branch.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    name.len() <= 64
        && name.as_bytes().iter().all(plain)
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && !name.contains("..")
        && !name.ends_with(['.', '-'])
        && !name.to_ascii_lowercase().ends_with(".lock")
}

fn check_name(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::usage(format!("--worktree {}: this cannot be a worktree's name", visible(name)))
        .hint("letters, digits and `.`, `_`, `-` between them, such as fix-42"))
}

/// What a checkout needs must be there, and it runs filters. Those of the user's own configuration are the user's. What a condition
/// includes is not listed: it could hold for the new worktree alone, or for its branch, and name one.
fn check(one: &One) -> Result<()> {
    refuse::partial(one)?;
    let names = |it: &&Setting| it.section == b"filter" || it.section == b"includeif";
    let filter = one.settings.iter().find(|it| it.is_local() && names(it));
    match filter {
        None => Ok(()),
        Some(filter) => Err(Error::usage(format!(
            "git: no worktree is made from {}: a checkout would run what its own configuration names ({})",
            visible_path(&one.directory),
            visible(filter.key())
        ))
        .hint("move it to your own configuration if you trust it: git config --global ...")
        .hint("or make the worktree yourself, and start in it: git worktree add")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_part_of_a_path_and_of_a_branch() {
        for name in ["a", "fix-42", "v1.2_x"] {
            check_name(name).unwrap();
        }
        for name in
            ["", "-x", "../x", "a/b", "a..b", "x.lock", "x.", "a b", "\u{e9}", &"x".repeat(65)]
        {
            let error = check_name(name).unwrap_err();
            assert!(error.to_string().contains("cannot be a worktree's name"), "{name}");
        }
    }
}
