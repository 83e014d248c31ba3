//! The look at the host's repository, before the agent exists. A stranger may have made it: nothing is
//! opened but regular files, no link in it is followed, and git is not asked where something is not as
//! git makes it. It must never change anything.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::linked::Linked;
use super::refuse;
use super::repository::{Gitlink, GitlinkState, Module, Objects, One, Repository};
use super::setting::{LIST, listing};
use super::store;
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::git::call::Call;
use crate::git::version::{self, Version};
use crate::git::written;
use crate::host::{Disk, Facts as _, FileKind, Host};
use crate::host_files::index;
use crate::lexical::clean;
use crate::visible::visible_path;

/// No repository has more submodules, or alternates.
const MOST: usize = 1000;
/// How deep one alternate leads to the next, as git's own limit.
const DEPTH: usize = 5;
/// The largest file of these that is read, bytes.
const MAX_SIZE: usize = 1 << 20;

/// What says that something is going on, in a git directory.
const BUSY: [&str; 9] = [
    "index.lock",
    "HEAD.lock",
    "config.lock",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge",
    "rebase-apply",
    "BISECT_LOG",
];

/// Looks at the repository of a project whose `.git` is a directory, or that of a linked worktree.
///
/// # Errors
/// When there is no git on this machine, or it cannot read the configuration.
pub fn look(root: &Path, linked: Option<&Linked>, host: &Host) -> Result<Repository> {
    let program = program(root, host)?;
    let version = Version::of(&program)?;
    let (git_dir, common) = match linked {
        None => (root.join(".git"), None),
        Some(Linked { git_dir, common }) => (git_dir.clone(), Some(common.clone())),
    };
    if version < version::PRIVATE {
        // It would not understand what it is asked; what needs the answer refuses.
        let main = One { directory: git_dir, common, ..One::default() };
        return Ok(Repository { program, version, main, ..Repository::default() });
    }
    let mut main = one(&program, git_dir, common)?;
    if worktree(&main).is_some() {
        main.odd.push("its work tree is elsewhere (core.worktree)".to_owned());
    }
    let mut repository = Repository { program, version, main, ..Repository::default() };
    if !repository.main.odd.is_empty() {
        return Ok(repository);
    }
    let mut found = Vec::new();
    modules(&repository.main.directory.join("modules"), &mut found, 0);
    for directory in found {
        let module = module(&repository, root, directory)?;
        repository.modules.extend(module);
    }
    // What is left to ask could have git fetch; such a one is refused.
    let modules = repository.modules.iter();
    if refuse::is_partial(&repository.main) || modules.map(|it| &it.one).any(refuse::is_partial) {
        return Ok(repository);
    }
    let mut trees = vec![(repository.main.directory.clone(), PathBuf::new())];
    let of_module =
        |module: &Module| (module.one.directory.clone(), module.work_tree.clone().into());
    trees.extend(repository.modules.iter().map(of_module));
    for (directory, work_tree) in trees {
        match index::of_repository(&directory, &[], &Disk) {
            Some(index) => {
                let links = if index.is_collapsed() {
                    expanded(&repository.program, &directory, &root.join(&work_tree))?
                } else {
                    index.gitlinks
                };
                let links = links.iter().take(MOST);
                let path = |link: &Vec<u8>| work_tree.join(OsStr::from_bytes(link));
                repository.gitlinks.extend(links.map(|link| gitlink(root, &path(link))));
            }
            None => repository.main.odd.push(format!(
                "its index cannot be read, so its submodules are not known ({})",
                visible_path(&directory.join("index"))
            )),
        }
    }
    repository.gitlinks.sort_by(|a, b| a.path.cmp(&b.path));
    repository.gitlinks.dedup();
    Ok(repository)
}

/// The submodules of a sparse index, which may have one entry for all that is in a directory: git looks
/// into the trees for what that hides.
fn expanded(program: &Path, git_dir: &Path, work_tree: &Path) -> Result<Vec<Vec<u8>>> {
    let call = Call::new(program, format!("list the submodules of {}", visible_path(work_tree)));
    let call = call.git_dir(git_dir).work_tree(work_tree);
    let listed = call.args(["ls-files", "--stage", "-z"]).run()?;
    let entries = listed.split(|byte| *byte == 0);
    let links = entries.filter(|entry| entry.starts_with(b"160000 "));
    let path = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'\t')?;
        Some(entry[at + 1..].to_vec())
    };
    Ok(links.filter_map(path).collect())
}

/// A git that neither the project nor an agent in it could have put there.
fn program(root: &Path, host: &Host) -> Result<PathBuf> {
    host.program("git", Some(root)).ok_or_else(|| {
        Error::launcher("cannot find git, which reads the repository")
            .hint("install it: apt install git")
    })
}

fn one(program: &Path, directory: PathBuf, common: Option<PathBuf>) -> Result<One> {
    let mut odd = odd(&directory, common.as_deref());
    if odd.is_empty() {
        odd.extend(written::stands_against(&directory, common.as_deref()));
    }
    let mut one = One { directory, common, odd, ..One::default() };
    if !one.odd.is_empty() {
        return Ok(one);
    }
    let shown = visible_path(&one.directory);
    let call = Call::new(program, format!("read the configuration of {shown}"));
    let answer = call.git_dir(&one.directory).args(LIST).run()?;
    one.settings = listing(&answer).ok_or_else(|| {
        let what = "what `git config --list` says of it is not understood";
        Error::launcher(format!("cannot read the configuration of {shown}: {what}"))
    })?;
    // What claudebox itself says to each call.
    one.settings.retain(|setting| setting.scope != b"command");
    let shared = one.common.as_ref().unwrap_or(&one.directory);
    objects(&shared.join("objects"), &mut one.objects, &mut one.odd, 0);
    let there = |name: &&&str| Disk.lstat(&one.directory.join(name)).is_some();
    one.busy = BUSY.iter().filter(there).map(|name| (*name).to_owned()).collect();
    Ok(one)
}

/// What is not as git makes it. A FIFO would hold git up for ever, a link lead it elsewhere.
fn odd(directory: &Path, common: Option<&Path>) -> Vec<String> {
    let mut odd = Vec::new();
    let shared = common.unwrap_or(directory);
    if Disk.lstat(&shared.join("commondir")).is_some() {
        let what =
            "it has a `commondir`, as only linked worktrees have: config and hooks are elsewhere";
        odd.push(what.to_owned());
    }
    let mut look = |directory: &Path, names: &[(&str, bool)], wanted: FileKind| {
        let word = if wanted == FileKind::File { "regular file" } else { "directory" };
        for (name, needed) in names {
            match Disk.lstat(&directory.join(name)).map(|found| found.kind) {
                Some(kind) if kind == wanted => {}
                None if !needed => {}
                None => odd.push(format!("it has no `{name}`")),
                Some(_) => odd.push(format!("its `{name}` is no {word}")),
            }
        }
    };
    look(
        directory,
        &[("HEAD", true), ("index", false), ("config.worktree", false)],
        FileKind::File,
    );
    look(directory, &[("modules", false), ("reftable", false)], FileKind::Directory);
    look(
        shared,
        &[
            ("HEAD", true),
            ("config", true),
            ("packed-refs", false),
            ("objects/info/alternates", false),
            ("shallow", false),
        ],
        FileKind::File,
    );
    look(
        shared,
        &[
            ("objects", true),
            ("refs", true),
            ("objects/info", false),
            ("objects/pack", false),
            ("info", false),
            ("logs", false),
            ("reftable", false),
        ],
        FileKind::Directory,
    );
    odd
}

/// An object directory and what its `info/alternates` name, gitrepository-layout(5).
fn objects(path: &Path, all: &mut Vec<Objects>, odd: &mut Vec<String>, depth: usize) {
    let Some(path) = Disk.canonicalize(path) else { return };
    if all.iter().any(|known| known.path == path) {
        return;
    }
    let directory =
        |path: &Path| Disk.lstat(path).is_some_and(|found| found.kind == FileKind::Directory);
    if !directory(&path) {
        return;
    }
    let list = path.join("info/alternates");
    let text = Disk.lstat(&list).filter(|found| found.kind == FileKind::File);
    let text = text.and_then(|_| Disk.read_head(&list, MAX_SIZE));
    let lfs = path.parent().is_some_and(|beside| directory(&beside.join("lfs")));
    all.push(Objects { path: path.clone(), alternates: text.is_some(), lfs });
    if depth > DEPTH || all.len() > MOST {
        odd.push("its alternates go on and on".to_owned());
        return;
    }
    for line in text.unwrap_or_default().split(|byte| *byte == b'\n') {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if line.starts_with(b"\"") {
            odd.push("an alternate has a name that has to be quoted".to_owned());
            continue;
        }
        let borrowed = path.join(OsStr::from_bytes(line));
        let Some(real) = Disk.canonicalize(&borrowed) else { continue };
        if !store::is_one(&real) {
            let shown = visible_path(&real);
            odd.push(format!("it borrows from {shown}, which is no object directory of git's"));
            continue;
        }
        objects(&real, all, odd, depth + 1);
    }
}

/// The git directories below `.git/modules`, whose names may have slashes.
fn modules(directory: &Path, found: &mut Vec<PathBuf>, depth: usize) {
    if depth > 16 || found.len() > MOST {
        return;
    }
    let Ok(entries) = fs::read_dir(directory) else { return };
    let directories =
        entries.flatten().filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
    let mut paths: Vec<PathBuf> = directories.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if Disk.lstat(&path.join("HEAD")).is_some() {
            // The outer first: the inner one's copy is made within that of the outer.
            let inner = path.join("modules");
            found.push(path);
            modules(&inner, found, depth + 1);
        } else {
            modules(&path, found, depth + 1);
        }
    }
}

/// `core.worktree`, where the repository itself says so: a submodule's leads to its work tree.
fn worktree(one: &One) -> Option<&[u8]> {
    let set = one.settings.iter().rfind(|it| it.is_local() && it.is("core", "worktree"));
    set.and_then(|set| set.value.as_deref())
}

/// A submodule, if its work tree is there and points back.
fn module(repository: &Repository, root: &Path, directory: PathBuf) -> Result<Option<Module>> {
    let one = one(&repository.program, directory, None)?;
    let Some(value) = worktree(&one) else { return Ok(None) };
    let work_tree = clean(&one.directory.join(OsStr::from_bytes(value)));
    let Ok(relative) = work_tree.strip_prefix(root) else { return Ok(None) };
    let Ok(path) = one.directory.strip_prefix(&repository.main.directory) else { return Ok(None) };
    let points = pointer(&work_tree).is_some_and(|target| target == one.directory);
    let usable = points && !relative.as_os_str().is_empty();
    let (path, work_tree) = (path.into(), relative.into());
    Ok(usable.then_some(Module { path, work_tree, one }))
}

/// What the `.git` file of a work tree points to.
fn pointer(work_tree: &Path) -> Option<PathBuf> {
    let file = work_tree.join(".git");
    Disk.lstat(&file).filter(|found| found.kind == FileKind::File)?;
    let text = Disk.read_head(&file, 4096)?;
    let target = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    Some(clean(&work_tree.join(OsStr::from_bytes(target))))
}

fn gitlink(root: &Path, path: &Path) -> Gitlink {
    let kind = |path: &Path| Disk.lstat(path).map(|found| found.kind);
    let place = root.join(path);
    let state = match (kind(&place), kind(&place.join(".git"))) {
        (None, _) => GitlinkState::Missing,
        (Some(FileKind::Directory), None) => GitlinkState::Empty,
        (Some(FileKind::Directory), Some(FileKind::File)) => GitlinkState::Pointer,
        (Some(FileKind::Directory), Some(FileKind::Directory)) => GitlinkState::Embedded,
        _ => GitlinkState::Other,
    };
    Gitlink { path: Bytes::from(path), state }
}
