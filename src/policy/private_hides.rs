//! `files.hide` in a private git directory. That is a copy, which stands elsewhere: no mount of the hidden
//! path covers it, so what is hidden is not copied. What git cannot be without, or what would come back as
//! if the agent had removed it, cannot be left out, and is refused. It must never let a hidden path be copied.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::paths::place;
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::plan::git::PrivateRepository;
use crate::profile::origin::Settled;
use crate::visible::visible_path;

/// What is read to make the private directory, or is compared with it at the end: gitrepository-layout(5).
const NEEDED: [&str; 10] = [
    "HEAD",
    "config",
    "config.worktree",
    "index",
    "logs",
    "objects",
    "packed-refs",
    "refs",
    "reftable",
    "shallow",
];

/// Has each repository leave out what is hidden.
pub(super) fn leave_out(draft: &Draft<'_>, repositories: &mut [PrivateRepository]) -> Result<()> {
    for entry in &draft.settings.hide {
        let path = draft.variables.path(entry)?;
        let Some(real) = draft.facts.canonicalize(&path) else { continue };
        for repository in &mut *repositories {
            one(draft, entry, &real, repository)?;
        }
    }
    Ok(())
}

fn one(
    draft: &Draft<'_>,
    entry: &Settled<String>,
    real: &Path,
    repository: &mut PrivateRepository,
) -> Result<()> {
    // Where the project is below what is hidden, that is said later, and better.
    if draft.project.root.starts_with(real) {
        return Ok(());
    }
    let copied = [Some(&repository.git_dir), repository.common.as_ref()];
    for directory in copied.into_iter().flatten() {
        let directory = directory.as_path();
        let directory = draft.facts.canonicalize(directory).unwrap_or_else(|| directory.into());
        if directory.starts_with(real) {
            return Err(refused(entry, real, &directory));
        }
        let Ok(within) = real.strip_prefix(&directory) else { continue };
        if is_needed(within) {
            return Err(refused(entry, real, &directory));
        }
        repository.hidden.push(PathBuf::from(within).into());
    }
    // What is hidden below is covered where it is mounted.
    let whole = |(host, _): &&(Bytes, Bytes)| host.as_path().starts_with(real);
    match repository.objects.iter().find(whole) {
        Some((host, _)) => Err(refused(entry, real, host.as_path())),
        None => Ok(()),
    }
}

/// Of the objects a part can be covered; of what comes back every part would be taken for removed.
fn is_needed(within: &Path) -> bool {
    let needed =
        |name: &&str| within.starts_with(name) && (**name != *"objects" || within == *name);
    NEEDED.iter().any(needed)
}

fn refused(entry: &Settled<String>, real: &Path, directory: &Path) -> Error {
    Error::usage(format!(
        "{}: {} is hidden, and no private git directory can be made from {} without it",
        place(&entry.origin),
        visible_path(real),
        visible_path(directory)
    ))
    .hint("take the line out of the profile")
    .hint("or hide all of git: --git none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_and_what_git_needs_cannot_be_left_out() {
        for path in ["HEAD", "refs", "refs/heads/main", "logs/refs/stash", "objects", "config"] {
            assert!(is_needed(Path::new(path)), "{path}");
        }
        for path in
            ["secret", "hooks/pre-push", "info", "objects/pack/x.pack", "HEADS", "ORIG_HEAD"]
        {
            assert!(!is_needed(Path::new(path)), "{path}");
        }
    }
}
