//! The project and its `.git`. With `private`, a copy stands in its place ([`private_git`]). With `shared`, git inside works on the project's own repository,
//! and the parts of it that make a git outside run programs are read-only. The directory `.git` is
//! a mount of its own, since a directory that merely contains mounts can be renamed, and another
//! put in its place. What is missing there is not made: the project gets no file of claudebox's.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::outside;
use super::paths::place;
use super::private_git;
use super::project::{GitEntry, pointer_refused};
use super::system::EMPTY_SIZE;
use crate::error::Result;
use crate::git::private::find_linked;
use crate::git::private::linked::Linked;
use crate::host::FileKind;
use crate::plan::git::PrivateGit;
use crate::profile::schema::Git;

/// What of `.git` a git outside executes or obeys: githooks(5), git-config(1), the attributes in
/// `info`, the configuration per worktree, and the git directories of submodules and worktrees.
const PINNED: [&str; 6] = ["hooks", "config", "config.worktree", "info", "modules", "worktrees"];

/// In scratch space the directory around the project is made read-only: what is put beside the
/// project there would be lost, and who put it there would not be told.
fn around(draft: &mut Draft<'_>) -> Result<()> {
    let Some(parent) = draft.project.root.parent() else { return Ok(()) };
    let scratch = ["/tmp", "/var/tmp"].map(Path::new);
    if scratch.iter().all(|space| parent == *space || !parent.starts_with(space)) {
        return Ok(());
    }
    draft.add(Step {
        mount: Mount::Tmpfs { destination: parent.to_owned(), mode: 0o755, size: EMPTY_SIZE },
        class: Class::Home,
        why: "the directory around the project".to_owned(),
        origin: None,
    })
}

/// Adds the project, then its `.git`.
///
/// With `private`, answers with the directory that is to be built.
pub(super) fn mounts(draft: &mut Draft<'_>, git: Git) -> Result<Option<PrivateGit>> {
    let trailer = draft.settings.git_trailer.clone().filter(|on| on.value);
    if let Some(trailer) = trailer.as_ref().filter(|_| git != Git::Private) {
        let by = place(&trailer.origin);
        draft.left_out.push(format!("git-trailer ({by}): git is not private"));
    }
    around(draft)?;
    let root = &draft.project.root;
    draft.add(Step {
        mount: Mount::Bind {
            source: Source::canonical(root),
            destination: root.clone(),
            access: Access::Write,
            node: Node::Directory,
        },
        class: Class::Project,
        why: "the project".to_owned(),
        origin: None,
    })?;
    repository(draft, git, trailer.is_some())
}

/// The project's own repository.
fn repository(draft: &mut Draft<'_>, git: Git, trailer: bool) -> Result<Option<PrivateGit>> {
    let root = &draft.project.root;
    match (&draft.project.git, git) {
        (GitEntry::Pointer { target }, Git::Private) => {
            let linked = find_linked::find(root, target, draft.host.uid, draft.facts)
                .ok_or_else(|| pointer_refused(root, target))?;
            draft.git_dir = Some(linked.git_dir.clone());
            return private(draft, Some(&linked), trailer).map(Some);
        }
        (GitEntry::Pointer { target }, Git::Shared | Git::ReadOnly) => {
            return Err(pointer_refused(root, target));
        }
        (GitEntry::Pointer { .. } | GitEntry::Absent, _) => {}
        // Nothing starts without it, and that is said when the plan is made; who lacks both programs
        // should not be sent for git first.
        (GitEntry::Directory, Git::Private) if draft.host.bwrap.is_none() => {}
        (GitEntry::Directory, Git::Private) => {
            return private(draft, None, trailer).map(Some);
        }
        (GitEntry::Directory, Git::Shared) => shared(draft)?,
        (GitEntry::Directory, Git::ReadOnly) => {
            pin(draft, ".git", Access::Read, "git can be read, not written")?;
        }
        (GitEntry::Directory, Git::None) => hidden(draft)?,
    }
    Ok(None)
}

/// The host's git looks at the repository now, and works on it until long after the session.
fn private(draft: &mut Draft<'_>, linked: Option<&Linked>, trailer: bool) -> Result<PrivateGit> {
    outside::refuse_replaceable(
        draft,
        "git",
        Some(&draft.project.root),
        "take it off PATH, or go without a private git directory: --git shared",
    )?;
    private_git::mounts(draft, linked, trailer)
}

fn shared(draft: &mut Draft<'_>) -> Result<()> {
    pin(draft, ".git", Access::Write, "git works on the project's own repository")?;
    for name in PINNED {
        let relative = Path::new(".git").join(name);
        match draft.facts.lstat(&draft.project.root.join(&relative)).map(|found| found.kind) {
            Some(FileKind::Symlink) => draft.weakened.push(format!(
                "git: .git/{name} is a symbolic link: the agent can put something else in its place"
            )),
            Some(_) => pin(draft, relative, Access::Read, "what git outside would run or obey")?,
            None if matches!(name, "hooks" | "config" | "info") => draft.weakened.push(format!(
                "git: .git/{name} is missing, the agent can create it (`git init` puts it back)"
            )),
            None => {}
        }
    }
    Ok(())
}

/// Binds a part of the project on itself.
fn pin(
    draft: &mut Draft<'_>,
    relative: impl Into<PathBuf>,
    access: Access,
    why: &str,
) -> Result<()> {
    let relative = relative.into();
    let root = draft.project.root.clone();
    let destination = root.join(&relative);
    let node = match draft.facts.lstat(&destination) {
        Some(found) => Node::of(found.kind),
        None => Node::Directory,
    };
    draft.add(Step {
        mount: Mount::Bind {
            source: Source::Beneath { root, path: relative },
            destination,
            access,
            node,
        },
        class: Class::Git,
        why: why.to_owned(),
        origin: None,
    })
}

/// An empty directory in its place, which git does not take for a repository.
fn hidden(draft: &mut Draft<'_>) -> Result<()> {
    draft.add(Step {
        mount: Mount::Tmpfs {
            destination: draft.project.root.join(".git"),
            mode: 0o555,
            size: EMPTY_SIZE,
        },
        class: Class::Git,
        why: "git is hidden".to_owned(),
        origin: None,
    })
}
