use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use super::super::survey::Item;
use super::*;

static NOTHING: BTreeMap<Bytes, &Entry> = BTreeMap::new();
static EVERYWHERE: fn(&[u8]) -> bool = |_| true;

fn look(own_git: bool) -> Look<'static> {
    Look { limits: Limits::END, own_git, packages: true, extra: &NOTHING, into: &EVERYWHERE }
}

fn project(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    dir
}

fn found(survey: &Survey) -> Vec<String> {
    let line = |(path, item): (&Bytes, &Item)| {
        let package = if item.package { " package" } else { "" };
        let below = if item.unit { "" } else { " below" };
        format!("{} {}{below}{package}", path.as_path().display(), item.entry.pattern)
    };
    survey.items.iter().map(line).collect()
}

#[test]
fn packages_that_are_repositories_are_found_without_a_look_at_the_others() {
    let dir = project(&[
        "a/node_modules/@s/k/.git/HEAD",
        "a/node_modules/@s/plain/.envrc",
        "a/node_modules/m/.git",
        "a/node_modules/m/@x/y/.git",
        "node_modules/on/the/way",
        "node_modules/on/.git/HEAD",
    ]);
    symlink("m", dir.path().join("a/node_modules/link")).unwrap();
    let extra = BTreeMap::from([(Bytes::from(&b"node_modules/on/the/way"[..]), &BARE)]);
    let quick = Look { packages: false, extra: &extra, ..look(true) };
    let survey = walk(dir.path(), &quick).unwrap();
    let mut packages: Vec<String> =
        survey.packages.iter().map(|path| path.as_path().display().to_string()).collect();
    packages.sort();
    assert_eq!(packages, ["a/node_modules/@s/k", "a/node_modules/m", "node_modules/on"]);
    let on_the_way = ["node_modules/on/.git .git/ package", "node_modules/on/the/way HEAD"];
    assert_eq!(found(&survey), on_the_way);
    assert!(walk(dir.path(), &look(true)).unwrap().packages.is_empty());
}

#[test]
fn names_are_found_wherever_they_stand() {
    let dir = project(&[
        ".envrc",
        ".git/HEAD",
        ".git/config",
        ".git/objects/aa/.envrc",
        "a/b/.vscode/x/tasks.json",
        "a/plain",
        "bare.git/HEAD",
        "bare.git/config",
        "bare.git/objects/x",
        "bare.git/refs/x",
        "node_modules/m/.envrc",
        "node_modules/m/.vscode/s",
        "sub/.git/HEAD",
        "sub/.git/config",
        "sub/.git/objects/x",
        "tree/HEAD",
        "tree/commondir",
    ]);
    let survey = walk(dir.path(), &look(true)).unwrap();
    insta::assert_snapshot!(found(&survey).join("\n"), @r"
    .envrc .envrc
    .git/config .git/config
    a/b/.vscode .vscode/
    a/b/.vscode/x .vscode/ below
    a/b/.vscode/x/tasks.json .vscode/ below
    bare.git/HEAD HEAD
    bare.git/config HEAD
    node_modules/m/.envrc .envrc package
    node_modules/m/.vscode .vscode/ package
    node_modules/m/.vscode/s .vscode/ below package
    sub/.git .git/
    sub/.git/config .git/config
    tree/HEAD HEAD
    tree/commondir HEAD
    ");
    assert_eq!(survey.unseen, 0);
    let other = walk(dir.path(), &look(false)).unwrap();
    assert!(found(&other).contains(&".git .git/".to_owned()));
    let quick = Look { packages: false, ..look(true) };
    assert!(!found(&walk(dir.path(), &quick).unwrap()).iter().any(|line| line.contains("node")));
}

#[test]
fn a_link_is_found_and_not_followed() {
    let dir = project(&["real/settings.json", "real/tasks.json"]);
    for name in [".vscode", ".claude", "other"] {
        symlink("real", dir.path().join(name)).unwrap();
    }
    symlink("..", dir.path().join("real/loop")).unwrap();
    let survey = walk(dir.path(), &look(true)).unwrap();
    assert_eq!(found(&survey), [".claude .claude/settings*.json", ".vscode .vscode/"]);
}

#[test]
fn a_link_counts_where_git_writes_in_the_projects_repository() {
    let dir = project(&[
        ".git/HEAD",
        ".git/logs/refs/x",
        ".git/objects/aa/x",
        ".git/objects/info/x",
        ".git/refs/heads/x",
        ".git/annex/x",
    ]);
    for link in [
        "COMMIT_EDITMSG",
        "annex/y",
        "hooks",
        "logs/HEAD",
        "logs/refs/heads",
        "objects/aa/y",
        "objects/bb",
        "objects/info/y",
        "refs/heads/y",
    ] {
        symlink("/elsewhere", dir.path().join(".git").join(link)).unwrap();
    }
    insta::assert_snapshot!(found(&walk(dir.path(), &look(true)).unwrap()).join("\n"), @"
    .git/COMMIT_EDITMSG (link in .git)
    .git/hooks .git/hooks/
    .git/logs/HEAD (link in .git)
    .git/logs/refs/heads (link in .git)
    .git/objects/bb (link in .git)
    .git/objects/info/y (link in .git)
    .git/refs/heads/y (link in .git)
    ");
    // In one that is not the project's all of it is new, or nothing.
    assert_eq!(found(&walk(dir.path(), &look(false)).unwrap()).len(), 2);
}

#[test]
fn a_closed_directory_hides_nothing() {
    let dir = project(&["a/b/.envrc"]);
    for path in ["a/b", "a"] {
        fs::set_permissions(dir.path().join(path), Permissions::from_mode(0o001)).unwrap();
    }
    let survey = walk(dir.path(), &look(true)).unwrap();
    assert_eq!(found(&survey), ["a/b/.envrc .envrc"]);
    let mode = fs::metadata(dir.path().join("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o001);
    for path in ["a", "a/b"] {
        fs::set_permissions(dir.path().join(path), Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn what_a_limit_leaves_out_is_counted_and_is_the_deepest() {
    let dir = project(&["a/b/c/d/.envrc", "a/.envrc", "z/.envrc"]);
    let limits = Limits { directories: 3, ..Limits::END };
    let survey = walk(dir.path(), &Look { limits, ..look(true) }).unwrap();
    assert_eq!(found(&survey), ["a/.envrc .envrc", "z/.envrc .envrc"]);
    assert_eq!(survey.unseen, 1);
    let limits = Limits { time: Duration::ZERO, ..Limits::END };
    assert_eq!(walk(dir.path(), &Look { limits, ..look(true) }).unwrap().unseen, 1);
}

#[test]
fn what_is_deeper_than_any_path_is_counted() {
    let dir = project(&["f"]);
    let mut at: OwnedFd = fs::File::open(dir.path()).unwrap().into();
    let name = "d".repeat(200);
    for _ in 0..25 {
        rustix::fs::mkdirat(&at, &*name, rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY;
        at = rustix::fs::openat(&at, &*name, flags, rustix::fs::Mode::empty()).unwrap();
    }
    assert_eq!(walk(dir.path(), &look(true)).unwrap().unseen, 1);
}

#[test]
fn an_extra_path_counts_whatever_its_name() {
    let dir = project(&["conf/editor/tasks.json"]);
    let extra = [(Bytes::from("conf/editor"), table::find(b".vscode", What::Link).unwrap())];
    let extra = BTreeMap::from(extra);
    let survey = walk(dir.path(), &Look { extra: &extra, ..look(true) }).unwrap();
    assert_eq!(found(&survey), ["conf/editor .vscode/", "conf/editor/tasks.json .vscode/ below"]);
}
