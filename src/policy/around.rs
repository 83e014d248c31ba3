//! The repositories that a project is in: its own, and those around it, as with `--project SUBDIR`. Their
//! configuration names hooks and other programs in the project, which git outside runs at the next
//! command, so the agent must not change them unnoticed. No git is asked; what could be included counts. It must never take anything outside of the project for a part of it.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::gitconfig;
use super::project::{GitEntry, git_entry};
use super::reached::reached;
use crate::git::private::programs::{InTree, Place, in_tree};
use crate::git::private::setting::Setting;
use crate::lexical::clean;

/// The directories in the project from which a git outside takes its hooks, `core.hooksPath`.
pub(super) fn hooks(draft: &Draft<'_>) -> BTreeSet<PathBuf> {
    let caller = gitconfig::whole_of_caller(draft);
    let dirs = draft.project.root.ancestors();
    dirs.flat_map(|dir| hooks_of(draft, dir, &caller)).collect()
}

fn hooks_of(draft: &Draft<'_>, dir: &Path, caller: &[Setting]) -> BTreeSet<PathBuf> {
    let Some(own) = settings(draft, dir) else { return BTreeSet::new() };
    let named = own.iter().chain(caller).filter(|setting| setting.is("core", "hookspath"));
    let reach = |path: &[u8]| {
        let path = gitconfig::expand(draft, Path::new(OsStr::from_bytes(path)), dir);
        reached(&path, &draft.project.root, draft.facts)
    };
    named.filter_map(|setting| setting.value.as_deref()).flat_map(reach).collect()
}

/// What a repository in the project names: its hooks, and what its configuration includes. That
/// configuration is read-only inside, and git outside obeys it. `caller`: what the user's own says.
pub(super) fn of_nested(
    draft: &Draft<'_>,
    dir: &Path,
    caller: &[Setting],
) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let configs = configs(draft, dir).into_iter().flatten();
    let included = configs.flat_map(|config| gitconfig::included_by(draft, &config));
    let reach = |file: PathBuf| reached(&file, &draft.project.root, draft.facts);
    (hooks_of(draft, dir, caller), included.flat_map(reach).collect())
}

/// What the configurations of these repositories include, whether it is there or not.
pub(super) fn included(draft: &Draft<'_>) -> Vec<PathBuf> {
    let configs = draft.project.root.ancestors().filter_map(|dir| configs(draft, dir)).flatten();
    configs.flat_map(|config| gitconfig::included_by(draft, &config)).collect()
}

/// The programs in the project that the repositories around it, and the caller for these, name.
pub(super) fn programs(draft: &Draft<'_>) -> InTree {
    let (root, home, facts) = (&*draft.project.root, &*draft.host.home, draft.facts);
    let caller = gitconfig::whole_of_caller(draft);
    let mut found = InTree::default();
    for base in root.ancestors().skip(1) {
        let Some(own) = settings(draft, base) else { continue };
        for settings in [&caller, &own] {
            in_tree(settings, Place { root, base, home, facts }, &mut found);
        }
    }
    found
}

/// The configuration of the repository whose work tree is this directory; `None` where there is none.
fn settings(draft: &Draft<'_>, dir: &Path) -> Option<Vec<Setting>> {
    let [common, own] = configs(draft, dir)?;
    let mut settings = gitconfig::whole(draft, &common, b"local");
    let says = settings.iter().rfind(|setting| setting.is("extensions", "worktreeconfig"));
    if says.and_then(Setting::truth) == Some(true) {
        settings.extend(gitconfig::whole(draft, &own, b"worktree"));
    }
    Some(settings)
}

/// The files of that: the repository's and the work tree's.
fn configs(draft: &Draft<'_>, dir: &Path) -> Option<[PathBuf; 2]> {
    let git = match git_entry(dir, draft.facts) {
        GitEntry::Absent => return None,
        GitEntry::Directory => dir.join(".git"),
        GitEntry::Pointer { target } => clean(&dir.join(target.as_path())),
    };
    // A linked worktree has its configuration where its repository is.
    let common = draft.facts.read_head(&git.join("commondir"), 4096).map_or_else(
        || git.clone(),
        |text| clean(&git.join(OsStr::from_bytes(text.trim_ascii_end()))),
    );
    Some([common.join("config"), git.join("config.worktree")])
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, at};
    use super::super::mount::{Access, Mount, Step};
    use crate::host::fake::FakeDisk;
    use crate::host_files::known::Target;
    use crate::profile::schema::Git;

    /// What is mounted in `/home/u/p/sub`, the project, which has no repository of its own; what is looked
    /// at in the end; and what is said to be open.
    fn look(
        git: Git,
        disk: impl FnOnce(FakeDisk) -> FakeDisk,
    ) -> (Vec<String>, Vec<String>, Vec<String>) {
        let case = Case::debian()
            .disk(|before| disk(before.file("/home/u/p/sub/tools/hk/pre-commit", "")))
            .with(|case| case.invocation.project = Some("/home/u/p/sub".into()))
            .with(|case| case.settings.git = Some(at(1, git)));
        let policy = case.policy().unwrap();
        let mount = |step: &Step| {
            let Mount::Bind { destination, access, .. } = &step.mount else { return None };
            let path = destination.strip_prefix("/home/u/p/sub").ok()?.display();
            Some(format!("{} {path}", if *access == Access::Read { "ro" } else { "rw" }))
        };
        let target = |target: &Target| target.path.as_path().display().to_string();
        let said = policy.weakened.into_iter().filter(|text| text.contains(" names "));
        (
            policy.mounts.iter().filter_map(mount).skip(1).collect(),
            policy.known.targets.iter().map(target).collect(),
            said.collect(),
        )
    }

    const HOOKS: &str = "[core]\n\thooksPath = sub/tools/hk\n";

    #[test]
    fn hooks_count_where_a_repository_around_the_project_has_them() {
        let mounts = ["rw tools", "ro tools/hk"].map(str::to_owned).to_vec();
        let expected = (mounts, vec!["tools/hk".to_owned()], vec![]);
        let linked = |disk: FakeDisk| {
            disk.without("/home/u/p/.git")
                .file("/home/u/p/.git", "gitdir: /home/u/main/.git/worktrees/p\n")
                .file("/home/u/main/.git/worktrees/p/commondir", "../..\n")
        };
        let main = "/home/u/main/.git/config";
        for git in [Git::Private, Git::Shared, Git::None] {
            assert_eq!(look(git, |disk| disk.file("/home/u/p/.git/config", HOOKS)), expected);
            assert_eq!(look(git, |disk| disk.file("/home/u/.gitconfig", HOOKS)), expected);
            assert_eq!(look(git, |disk| linked(disk).file(main, HOOKS)), expected);
            let own = |extension: &'static str| {
                let worktree = "/home/u/main/.git/worktrees/p/config.worktree";
                look(git, |disk| linked(disk).file(main, extension).file(worktree, HOOKS))
            };
            assert_eq!(own("[extensions]\n\tworktreeConfig = true\n"), expected);
            assert_eq!(own("").1, [""; 0], "git does not read it");
            let included = |header: &str| {
                let config = format!("{header}\n\tpath = more\n");
                let more = "/home/u/p/.git/more";
                look(git, |disk| disk.file("/home/u/p/.git/config", &config).file(more, HOOKS))
            };
            assert_eq!(included("[include]"), expected);
            assert_eq!(included("[includeIf \"onbranch:x\"]"), expected);
            let mine = "[include]\n\tpath = ~/.more\n";
            let more = "/home/u/.more";
            assert_eq!(
                look(git, |disk| disk.file("/home/u/.gitconfig", mine).file(more, HOOKS)),
                expected
            );
            let beside = "[core]\n\thooksPath = other\n";
            assert_eq!(look(git, |disk| disk.file("/home/u/p/.git/config", beside)).1, [""; 0]);
        }
    }

    #[test]
    fn hooks_that_are_not_there_yet_are_looked_for_in_the_end() {
        let config = "[core]\n\thooksPath = sub/new\n";
        let look = look(Git::Private, |disk| disk.file("/home/u/p/.git/config", config));
        assert_eq!((look.0, look.1), (vec![], vec!["new".to_owned()]));
        assert!(look.2[0].contains("core.hookspath names new, which is not there"), "{:?}", look.2);
    }

    #[test]
    fn other_programs_of_a_repository_around_the_project_are_read_only() {
        let config = "[filter \"x\"]\n\tclean = sh sub/clean.sh %f\n[core]\n\tfsmonitor = sub/w\n";
        let look = |git| {
            look(git, |disk| {
                disk.file("/home/u/p/.git/config", config)
                    .file("/home/u/p/sub/clean.sh", "")
                    .file("/home/u/p/sub/w", "")
            })
        };
        assert_eq!(look(Git::Private).0, ["ro clean.sh", "ro w"]);
        // As with the project's own: only a private git directory holds them.
        assert_eq!(look(Git::Shared).0, [""; 0]);
    }
}
