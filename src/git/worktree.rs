//! `run --worktree NAME`: a linked worktree for a session, outside of the project, on a branch of its
//! own. What is checked out there, the agent may write; the main checkout is not even mounted. It
//! must never run what a repository's own configuration names.

use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::call::{Call, Limits};
use super::private::repository::{One, Repository};
use super::private::survey;
use crate::error::{Error, Result, Tried as _};
use crate::hex::hexadecimal;
use crate::host::Host;
use crate::visible::{visible, visible_path};

/// What is put before a worktree's name to name its branch.
const BRANCH: &str = "claudebox/";
/// A directory beside claudebox's own state, which nothing inside may see.
const DIRECTORY: &str = "claudebox-worktrees";
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
}

/// Makes the worktree of this name for the repository whose main worktree is `root`, or finds it.
/// `base`: the commit that a new one begins at, instead of `HEAD`.
///
/// # Errors
/// Usage errors: a name or a commit that is none; a worktree or branch that is there, with a `base`;
/// a repository whose own configuration would run a program at the checkout.
pub fn make(root: &Path, name: &str, base: Option<&str>, host: &Host) -> Result<Worktree> {
    check_name(name)?;
    let repository = survey::look(root, None, host)?;
    check(&repository.main)?;
    let branch = format!("{BRANCH}{name}");
    let path = directory(root, host).join(name);
    let shown = visible_path(&path);
    let there = path.symlink_metadata().is_ok();
    if there && base.is_some() {
        return Err(Error::usage(format!("the worktree `{name}` is there already: {shown}"))
            .hint("go on in it without --base, or take another name"));
    }
    if there {
        return Ok(Worktree { path, branch, old: true });
    }
    let call = |what: &str| {
        let what = format!("{what} of {}", visible_path(root));
        Call::new(&repository.program, what).git_dir(&repository.main.directory)
    };
    let full = format!("refs/heads/{branch}");
    let known = call("look for a branch").args(["show-ref", "--verify", "-q", &full]).outcome()?;
    let begins = match (known.status.success(), base) {
        (true, Some(_)) => {
            return Err(Error::usage(format!("the branch `{branch}` is there already"))
                .hint("go on with it without --base, or take another name"));
        }
        (true, None) => branch.clone(),
        (false, base) => commit(&repository, base.unwrap_or("HEAD"))?,
    };
    let mut builder = DirBuilder::new();
    let above = path.parent().unwrap_or(&path);
    builder.recursive(true).mode(0o700).create(above).tried(|| format!("make {shown}"))?;
    let limits = Limits { time: CHECKOUT, ..Limits::default() };
    let mut add = call("add a worktree").args(["worktree", "add", "--quiet"]).limits(limits);
    if begins != branch {
        add = add.args(["--no-track", "-b", &branch]);
    }
    add.arg(&path).arg(&begins).run()?;
    Ok(Worktree { path, branch, old: false })
}

/// The commit that these words name.
fn commit(repository: &Repository, base: &str) -> Result<String> {
    let what = format!("look up {}", visible(base));
    let call = Call::new(&repository.program, what).git_dir(&repository.main.directory);
    let name = format!("{base}^{{commit}}");
    let said = call.args(["rev-parse", "-q", "--verify", "--end-of-options", &name]).outcome()?;
    let oid = super::oid::Oid::parse(said.output.trim_ascii_end());
    oid.filter(|_| said.status.success()).map(|oid| oid.to_string()).ok_or_else(|| {
        Error::usage(format!("--base {}: there is no such commit", visible(base))).hint(
            "make a first commit, or name a branch, a tag or a commit: git log --oneline --all",
        )
    })
}

/// It becomes a part of a path and of a branch.
fn check_name(name: &str) -> Result<()> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let right = name.len() <= 64
        && name.as_bytes().iter().all(plain)
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && !name.contains("..")
        && !name.ends_with(['.', '-'])
        && !name.to_ascii_lowercase().ends_with(".lock");
    if right {
        return Ok(());
    }
    Err(Error::usage(format!("--worktree {}: this cannot be a worktree's name", visible(name)))
        .hint("letters, digits and `.`, `_`, `-` between them, such as fix-42"))
}

/// A checkout runs filters. Those of the user's own configuration are the user's.
fn check(one: &One) -> Result<()> {
    if let Some(odd) = one.odd.first() {
        return Err(super::private::refuse::instead(Error::usage(format!(
            "git: no worktree is made from {}: {odd}",
            visible_path(&one.directory)
        ))));
    }
    let filter = one.settings.iter().find(|it| it.is_local() && it.section == b"filter");
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

/// Where a repository's worktrees are: by its name, for the eye, and its path.
fn directory(root: &Path, host: &Host) -> PathBuf {
    let state = host.dirs.state.parent().unwrap_or(&host.dirs.state);
    let hash = hexadecimal(&Sha256::digest(root.as_os_str().as_bytes())[..4]);
    let name = root.file_name().unwrap_or_default();
    let mut repository = name.to_owned();
    repository.push("-");
    repository.push(hash);
    state.join(DIRECTORY).join(repository)
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
