//! The mounts and the configuration of a private git directory.

use super::super::fixture::{Case, at, bwrap, list};
use crate::git::private::repository::{Gitlink, GitlinkState, Module, Objects, One, Repository};
use crate::git::private::setting::tests::local;
use crate::git::version::PRIVATE;
use crate::plan::git::PrivateGit;
use crate::profile::bind::parse_bind;
use crate::profile::schema::Git;

fn objects(path: &str, alternates: bool) -> Objects {
    Objects { path: path.into(), alternates, lfs: false }
}

fn repository() -> Repository {
    let settings = vec![local("user.email", "a@b.example"), local("core.hookspath", "tools")];
    let main = One {
        directory: "/home/u/p/.git".into(),
        settings,
        objects: vec![
            Objects { lfs: true, ..objects("/home/u/p/.git/objects", true) },
            objects("/srv/other/.git/objects", false),
        ],
        ..One::default()
    };
    let module = Module {
        path: "modules/a/sub".into(),
        work_tree: "a/sub".into(),
        one: One {
            directory: "/home/u/p/.git/modules/a/sub".into(),
            settings: vec![local("extensions.objectformat", "sha256")],
            objects: vec![objects("/home/u/p/.git/modules/a/sub/objects", false)],
            ..One::default()
        },
    };
    let link = |path: &str, state| Gitlink { path: path.into(), state };
    let gitlinks = vec![
        link("a/sub", GitlinkState::Pointer),
        link("gone", GitlinkState::Missing),
        link("new", GitlinkState::Empty),
        link("old", GitlinkState::Embedded),
    ];
    Repository {
        program: "/usr/bin/git".into(),
        version: PRIVATE,
        main,
        modules: vec![module],
        gitlinks,
    }
}

fn case(repository: Repository) -> Case {
    Case::debian().with(|case| case.settings.git = Some(at(3, Git::Private))).disk(|disk| {
        disk.repository(repository)
            .dir("/home/u/p/.git/objects")
            .file("/home/u/p/.git/objects/info/alternates", "")
            .dir("/home/u/p/.git/lfs")
            .dir("/srv/other/.git/objects")
            .dir("/home/u/p/.git/modules/a/sub/objects")
            .file("/home/u/p/a/sub/.git", "gitdir: ../../.git/modules/a/sub\n")
            .dir("/home/u/p/new")
            .file("/home/u/p/old/.git/HEAD", "")
            .file("/home/u/p/tools/pre-commit", "")
    })
}

#[test]
fn a_private_copy_stands_in_the_place_of_the_repository() {
    let case = case(repository());
    let mounts = case.mounts();
    let git: Vec<&str> =
        mounts.lines().map(str::trim).filter(|line| line.contains("git")).collect();
    insta::assert_snapshot!(git.join("\n"), @"
    rw    /home/u/p/.git = <session>/git/private             git works on a private copy; the host's git never reads it
    ro    /home/u/p/new                                      git outside would look into a repository made here
    ro    /home/u/p/tools                                    git outside uses it (core.hookspath)
    ro    /run/claudebox-git/0/objects = /home/u/p/.git/objects the objects of the host's
    ro    /run/claudebox-git/0/lfs = /home/u/p/.git/lfs      the files of git-lfs that the host has
    ro    /run/claudebox-git/1/objects = /srv/other/.git/objects objects that it borrows
    ro    /run/claudebox-git/2/objects = /home/u/p/.git/modules/a/sub/objects the objects of the host's
    ro    /home/u/p/old/.git                                 the repository of a submodule
    ro    /home/u/p/a/sub/.git                               git outside follows it to the submodule's repository
    file  /run/claudebox-git/0/objects/info/alternates       what they borrow is borrowed directly
    ");
    let policy = case.policy().unwrap();
    let weakened = policy.weakened.iter().filter(|phrase| phrase.starts_with("git"));
    let weakened: Vec<&str> = weakened.map(String::as_str).collect();
    insta::assert_snapshot!(weakened.join("\n"), @"
    git: the directory of the submodule gone is missing: git outside would look into a repository that the agent makes there
    git: the repository borrows objects from /srv/other/.git/objects: all of them can be read inside
    ");
    let left_out = policy.left_out.iter().filter(|phrase| phrase.starts_with("git"));
    let left_out: Vec<&str> = left_out.map(String::as_str).collect();
    insta::assert_snapshot!(left_out.join("\n"), @"git: the submodule old holds its own repository, which can only be read (`git submodule absorbgitdirs` moves it into .git)");
    let bwrap_command = case.bwrap();
    assert!(bwrap_command.contains("--bind-fd '<fd: <session>/git/private>' /home/u/p/.git"));
    let old = case.clone().with(|case| case.host.bwrap = Some(bwrap(&[])));
    assert!(old.bwrap().contains("--bind '<session>/git/private' /home/u/p/.git"));
    let write = policy.landlock.write;
    let git = std::path::Path::new("/home/u/p/.git");
    assert!(write.iter().any(|outer| git.starts_with(outer.as_path())), "{write:?}");
}

#[test]
fn what_is_built_is_in_the_plan() {
    let PrivateGit { program, repositories, trailer } =
        case(repository()).policy().unwrap().private_git.unwrap();
    assert_eq!((program, trailer), ("/usr/bin/git".into(), false));
    let [main, module] = &repositories[..] else { panic!("{repositories:?}") };
    assert_eq!((main.path.clone(), main.object_format.as_str()), ("".into(), "sha1"));
    let inside: Vec<String> =
        main.objects.iter().map(|(_, inside)| inside.as_path().display().to_string()).collect();
    assert_eq!(inside, ["/run/claudebox-git/0/objects", "/run/claudebox-git/1/objects"]);
    let config = String::from_utf8(main.config.0.clone()).unwrap();
    assert!(config.contains("a@b.example") && config.contains("hookspath = \"tools\""));
    assert_eq!(main.inside, "/home/u/p/.git".into());
    assert_eq!(module.inside, "/home/u/p/.git/modules/a/sub".into());
    assert_eq!(module.object_format, "sha256");
    assert_eq!(module.objects[0].1, "/run/claudebox-git/2/objects".into());
    let config = String::from_utf8(module.config.0.clone()).unwrap();
    assert!(config.contains("worktree = \"../../../../a/sub\""), "{config}");

    // The hook that adds a trailer is in the git directory, so git has to look for hooks there.
    let trailer = case(repository()).with(|case| case.settings.git_trailer = Some(at(4, true)));
    let main = trailer.policy().unwrap().private_git.unwrap().repositories.remove(0);
    assert!(!String::from_utf8(main.config.0).unwrap().contains("hookspath"));
}

#[test]
fn what_is_refused_names_the_other_ways() {
    let mut merging = repository();
    merging.main.busy = vec!["MERGE_HEAD".to_owned()];
    insta::assert_snapshot!(case(merging).error(), @"
    git: no private git directory is made from /home/u/p/.git now: a merge is not finished
    hint: finish it, or give it up: git merge --abort
    hint: or let the agent read it only: --git read-only
    hint: or let the agent work on the repository itself, pinned: --git shared (docs/git.md)
    ");
    let shared = case(repository()).with(|case| case.invocation.git = Some(Git::Shared));
    assert_eq!(shared.policy().unwrap().private_git, None);
}

#[test]
fn a_git_that_the_session_could_write_is_not_started() {
    let case = case(repository())
        .disk(|disk| disk.program("/usr/bin/git", "").program("/home/u/bin/git", ""))
        .with(|case| {
            case.host.environment.insert("PATH".into(), "/home/u/bin:/usr/bin".into());
        });
    case.policy().unwrap();
    let bind = parse_bind(b"~/bin", true).unwrap();
    let bound = case.clone().with(|case| case.invocation.binds.push(bind));
    insta::assert_snapshot!(bound.error(), @"
    /home/u/bin/git could be written inside, and is not started outside of the sandbox
    hint: take it off PATH, or go without a private git directory: --git shared
    ");
    let bind = parse_bind(b"~/bin", false).unwrap();
    case.clone().with(|case| case.invocation.binds.push(bind)).policy().unwrap();
    let written = case.with(|case| case.settings.read_write = list(7, &["~/bin"]));
    assert!(written.error().starts_with("/home/u/bin/git could be written inside"));
}
