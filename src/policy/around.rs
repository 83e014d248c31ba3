//! The repositories that a project is in: its own, and those around it, as with `--project SUBDIR`; and those that
//! are in it. Their configuration names hooks and other programs in the project, which git outside runs at the
//! next command, so the agent must not change them unnoticed. No git is asked; what could be included counts. It
//! must never take anything outside of the project for a part of it.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::caller::Caller;
use super::draft::Draft;
use super::gitconfig;
use super::project::{GitEntry, git_entry};
use crate::git::private::programs::{InTree, Place, in_tree};
use crate::git::private::setting::Setting;
use crate::host::reached::reached;
use crate::lexical::clean;

/// What configurations of git name.
#[derive(Default)]
pub(super) struct Named {
    /// The directories in the project from which a git outside takes its hooks, `core.hooksPath`: relative, each
    /// way to them.
    pub(super) hooks: BTreeSet<PathBuf>,
    /// What is included, wherever it is, whether it is there or not.
    pub(super) included: BTreeSet<PathBuf>,
    /// Programs in the project.
    pub(super) programs: InTree,
}

/// A repository.
struct Repository {
    /// The directories at which relative paths begin.
    bases: Vec<PathBuf>,
    /// What its configuration includes.
    included: Vec<PathBuf>,
    /// What it says.
    settings: Vec<Setting>,
}

/// What the user's own configuration names, and that of the project's repository and those around it.
pub(super) fn of_project(draft: &Draft<'_>, caller: &Caller) -> Named {
    let mut named = Named::default();
    named.included.extend(caller.files.iter().cloned());
    let root = &draft.project.root;
    for dir in root.ancestors() {
        match git_dir(draft, dir) {
            Some(git) => named.add(draft, repository(draft, &git, dir), caller),
            // A path that is not relative counts in every repository.
            None if dir == root => named.look(draft, Path::new("/"), &caller.settings),
            None => {}
        }
    }
    named
}

impl Named {
    /// Adds what a repository in the project names, by its work tree.
    pub(super) fn add_nested(&mut self, draft: &Draft<'_>, dir: &Path, caller: &Caller) {
        if let Some(git) = git_dir(draft, dir) {
            self.add(draft, repository(draft, &git, dir), caller);
        }
    }

    /// The same of a bare one.
    pub(super) fn add_bare(&mut self, draft: &Draft<'_>, dir: &Path, caller: &Caller) {
        self.add(draft, repository(draft, dir, dir), caller);
    }

    fn add(&mut self, draft: &Draft<'_>, repository: Repository, caller: &Caller) {
        for base in &repository.bases {
            for settings in [&caller.settings, &repository.settings] {
                self.look(draft, base, settings);
            }
        }
        self.included.extend(repository.included);
    }

    fn look(&mut self, draft: &Draft<'_>, base: &Path, settings: &[Setting]) {
        let (root, home, facts) = (&*draft.project.root, &*draft.host.home, draft.facts);
        in_tree(settings, Place { root, base, home, own_git: true, facts }, &mut self.programs);
        let hooks = settings.iter().filter(|setting| setting.is("core", "hookspath"));
        self.hooks.extend(hooks.filter_map(|setting| setting.value.as_deref()).flat_map(|path| {
            let path = gitconfig::expand(draft, Path::new(OsStr::from_bytes(path)), base);
            reached(&path, root, facts)
        }));
    }
}

/// The git directory of a work tree; `None` where there is none.
fn git_dir(draft: &Draft<'_>, dir: &Path) -> Option<PathBuf> {
    match git_entry(dir, draft.facts) {
        GitEntry::Absent => None,
        GitEntry::Directory => Some(dir.join(".git")),
        GitEntry::Pointer { target } => Some(clean(&dir.join(target.as_path()))),
    }
}

/// What the configuration in a git directory says: the repository's and the work tree's.
fn repository(draft: &Draft<'_>, git: &Path, dir: &Path) -> Repository {
    // A linked worktree has its configuration where its repository is.
    let common = draft.facts.read_head(&git.join("commondir"), 4096).map_or_else(
        || git.to_owned(),
        |text| clean(&git.join(OsStr::from_bytes(text.trim_ascii_end()))),
    );
    let (mut included, mut settings) = gitconfig::whole(draft, &common.join("config"), b"local");
    let (more, of_worktree) = gitconfig::whole(draft, &git.join("config.worktree"), b"worktree");
    included = included.into_iter().skip(1).chain(more.into_iter().skip(1)).collect();
    let says = settings.iter().rfind(|setting| setting.is("extensions", "worktreeconfig"));
    if says.and_then(Setting::truth) == Some(true) {
        settings.extend(of_worktree);
    }
    let mut bases = vec![dir.to_owned()];
    let elsewhere = settings.iter().filter(|setting| setting.is("core", "worktree"));
    for path in elsewhere.filter_map(|setting| setting.value.as_deref()) {
        let base = clean(&git.join(OsStr::from_bytes(path)));
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    Repository { bases, included, settings }
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
        assert_eq!(look(Git::Shared).0, ["ro clean.sh", "ro w"]);
    }
}
