//! A linked worktree (git-worktree(1)): its `.git` is a file that leads to a git directory of its own,
//! which shares refs and objects with the main repository. The file may be a stranger's, and could name
//! any repository of the user's; so the git directory must name the worktree, too: that only git, or
//! the user, can have made so.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::linked::Linked;
use crate::bytes::Bytes;
use crate::host::{Facts, FileKind};
use crate::lexical::clean;

/// The git directories of the worktree `root`, whose `.git` names `target`; `None` where that is no
/// linked worktree of this user.
pub fn find(root: &Path, target: &Bytes, uid: u32, facts: &dyn Facts) -> Option<Linked> {
    let own = |path: &Path| {
        let found = facts.lstat(path);
        let plain = facts.canonicalize(path).as_deref() == Some(path);
        plain && found.is_some_and(|found| found.kind == FileKind::Directory && found.uid == uid)
    };
    let leads = |git_dir: &Path, name: &str| {
        let file = git_dir.join(name);
        facts.lstat(&file).filter(|found| found.kind == FileKind::File)?;
        let text = facts.read_head(&file, 4096)?;
        Some(clean(&git_dir.join(OsStr::from_bytes(text.trim_ascii_end()))))
    };
    let git_dir = clean(&root.join(target.as_path()));
    let common = leads(&git_dir, "commondir").filter(|common| own(&git_dir) && own(common))?;
    let named = git_dir.parent() == Some(&common.join("worktrees"));
    let back = leads(&git_dir, "gitdir")? == root.join(".git");
    (named && back).then_some(Linked { git_dir, common })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeDisk;

    fn disk(back: &str) -> FakeDisk {
        FakeDisk::of(1)
            .file("/m/.git/HEAD", "")
            .file("/m/.git/worktrees/w/commondir", "../..\n")
            .file("/m/.git/worktrees/w/gitdir", back)
            .dir("/w")
    }

    fn found(disk: &FakeDisk, target: &str) -> Option<Linked> {
        find(Path::new("/w"), &target.into(), 1, disk)
    }

    #[test]
    fn only_a_worktree_that_is_known_to_its_repository_is_one() {
        let target = "/m/.git/worktrees/w";
        let expected = Linked { git_dir: target.into(), common: "/m/.git".into() };
        assert_eq!(found(&disk("/w/.git\n"), target), Some(expected.clone()));
        assert_eq!(found(&disk("../../../../w/.git"), "../m/.git/worktrees/w"), Some(expected));
        assert_eq!(found(&disk("/other/.git\n"), target), None, "somebody else's");
        assert_eq!(found(&disk("/w/.git\n"), "/m/.git"), None, "not linked");
        let theirs = disk("/w/.git\n").owned("/m/.git", 2);
        assert_eq!(found(&theirs, target), None);
        let link = disk("/w/.git\n").link("/x", "/m/.git/worktrees");
        assert_eq!(found(&link, "/x/w"), None);
    }
}
