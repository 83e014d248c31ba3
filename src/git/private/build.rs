//! Builds the private git directory of a session, before anything of the agent's runs: the state of
//! the host's is copied, its objects are borrowed, its configuration is written anew; what is borrowed
//! is pinned on the host, and how everything stood is written down. Whatever fails ends the start. It
//! must never touch a private directory that an agent has had.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{CWD, Mode, OFlags, openat, symlinkat};
use rustix::io::Errno;

use super::copy::{Bounds, Failed, copy, make};
use super::layout::{BORROWED, PRIVATE, alternate, is_copied, is_own, is_shared, trailer_hook};
use super::pins::pin;
use super::refuse::instead;
use super::tables;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::fingerprint::{self, Fingerprint, STATE};
use crate::git::names::{HEADS, behind};
use crate::git::oid::Oid;
use crate::git::outside::Repository;
use crate::git::record::{Base, Record, Store, VERSION};
use crate::nofollow::{self, DIRECTORY};
use crate::plan::git::{PrivateGit, PrivateRepository};
use crate::visible::visible_path;

/// How often it is tried to copy a repository that changes meanwhile.
const TRIES: usize = 3;

/// Makes the directory, empty: it can be mounted before there is anything in it.
///
/// # Errors
/// When it cannot be made.
pub fn make_room(session: &Path) -> Result<()> {
    let private = session.join(PRIVATE);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&private).tried(|| format!("make {}", visible_path(&private)))
}

/// Fills it, and writes the record of it below the session's directory.
///
/// # Errors
/// When the repository cannot be copied or read, or changes all the time.
pub fn build(plan: &PrivateGit, session: &Path, id: &str, bwrap: &Path) -> Result<()> {
    let private = session.join(PRIVATE);
    let mut made = Vec::new();
    for repository in &plan.repositories {
        let base = one(plan, repository, &private, id)?;
        made.push((repository, record(plan, repository, &private, base, bwrap)));
    }
    let mut made = made.into_iter();
    let Some((lender, record)) = made.next() else { return Ok(()) };
    // What names a commit comes back after that: the inner before the outer.
    let (lenders, submodules): (Vec<_>, Vec<_>) = made.rev().unzip();
    let record = Record { submodules, ..record };
    record
        .write(session)
        .tried(|| format!("write {}", visible_path(&crate::git::record::path(session))))?;
    // What the record tells of is taken away with the session, by whoever ends it.
    pin(plan, lender, &record.base, id)?;
    for (lender, submodule) in lenders.into_iter().zip(&record.submodules) {
        pin(plan, lender, &submodule.base, id)?;
    }
    Ok(())
}

/// What is written down of one repository, which stood so.
fn record(
    plan: &PrivateGit,
    repository: &PrivateRepository,
    private: &Path,
    base: Base,
    bwrap: &Path,
) -> Record {
    Record {
        version: VERSION,
        work_tree: repository.work_tree.clone(),
        git_dir: repository.git_dir.clone(),
        private: Bytes::from(within(private, repository.path.as_path())),
        objects: stores(repository),
        object_format: repository.object_format.clone(),
        ref_format: repository.ref_format.clone(),
        program: plan.program.clone(),
        bwrap: bwrap.into(),
        start: Some(branches(&base)),
        base,
        signed: BTreeMap::new(),
        submodules: Vec::new(),
    }
}

fn branches(base: &Base) -> BTreeMap<Bytes, Oid> {
    let branch = |(name, _): &(&Bytes, &Oid)| behind(name, HEADS).is_some();
    base.refs.iter().filter(branch).map(|(name, oid)| (name.clone(), oid.clone())).collect()
}

fn stores(repository: &PrivateRepository) -> Vec<Store> {
    let store =
        |(host, inside): &(Bytes, Bytes)| Store { host: host.clone(), inside: inside.clone() };
    repository.objects.iter().map(store).collect()
}

/// `join("")` would leave a slash at the end.
fn within(directory: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { directory.to_owned() } else { directory.join(path) }
}

/// Copies one repository, and answers with how it stood: before and after the copy the same.
fn one(
    plan: &PrivateGit,
    repository: &PrivateRepository,
    private: &Path,
    session: &str,
) -> Result<Base> {
    let shown = visible_path(repository.git_dir.as_path());
    let mut before = fingerprints(repository)?;
    for _ in 0..TRIES {
        if before.iter().any(Fingerprint::is_fresh) {
            Fingerprint::settle();
            before = fingerprints(repository)?;
        }
        // Where a submodule's goes, its parent's has made room.
        let directory = fresh(private, repository.path.as_path())?;
        // Git reads what is copied meanwhile.
        let looked = thread::scope(|scope| {
            let looking = scope.spawn(|| look(plan, repository));
            fill(plan, repository, &directory, session)?;
            looking.join().unwrap_or_else(|_| Err(Error::launcher("git was not waited for")))
        });
        let after = fingerprints(repository)?;
        if after == before {
            let base = looked?;
            if repository.common.is_some() && repository.ref_format == "reftable" {
                let private = within(private, repository.path.as_path());
                tables::set_right(plan.program.as_path(), repository, &private, &base)?;
            }
            return Ok(base);
        }
        before = after;
    }
    Err(Error::launcher(format!("git: {shown} changes all the time, and cannot be copied"))
        .hint("wait until what works in it has ended, then start again"))
}

/// What everything looks like that is copied and that git is asked about.
fn fingerprints(repository: &PrivateRepository) -> Result<Vec<Fingerprint>> {
    let directories = [Some(&repository.git_dir), repository.common.as_ref()];
    let most = usize::try_from(Bounds::USUAL.entries).unwrap_or(usize::MAX);
    let one = |directory: &Bytes| {
        fingerprint::of(directory.as_path(), STATE, most)
            .ok_or_else(|| too_much(directory.as_path()))
    };
    directories.into_iter().flatten().map(one).collect()
}

fn too_much(git_dir: &Path) -> Error {
    let shown = visible_path(git_dir);
    instead(
        Error::launcher(format!("git: {shown} holds too much beside its objects"))
            .hint("pack its refs: git pack-refs --all"),
    )
}

/// An empty directory for the copy. That of the project is mounted already, and stays itself.
fn fresh(private: &Path, path: &Path) -> Result<OwnedFd> {
    let directory = within(private, path);
    let shown = visible_path(&directory);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&directory).tried(|| format!("make {shown}"))?;
    empty(&directory).tried(|| format!("empty {shown}"))?;
    openat(CWD, &directory, DIRECTORY, Mode::empty()).tried(|| format!("open {shown}"))
}

fn empty(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }?;
    }
    Ok(())
}

fn fill(
    plan: &PrivateGit,
    repository: &PrivateRepository,
    to: &OwnedFd,
    session: &str,
) -> Result<()> {
    let git_dir = repository.git_dir.as_path();
    let shown = visible_path(git_dir);
    let mut bounds = Bounds::USUAL;
    let is_hidden = |path: &Path| repository.hidden.iter().any(|hidden| path == hidden.as_path());
    let own = if repository.common.is_some() { is_own } else { is_copied };
    copy_of(git_dir, to, &|path| own(path) && !is_hidden(path), &mut bounds)?;
    if let Some(common) = &repository.common {
        let shared = |path: &Path| is_shared(path) && !is_hidden(path);
        copy_of(common.as_path(), to, &shared, &mut bounds)?;
    }
    let what = || format!("make the private copy of {shown}");
    let alternates = borrow(repository, to).tried(what)?;
    let objects = make(to, c"objects").tried(what)?;
    make(&objects, c"pack").tried(what)?;
    let info = make(&objects, c"info").tried(what)?;
    write(&info, "alternates", &alternates, 0o644).tried(what)?;
    write(to, "config", &repository.config.0, 0o644).tried(what)?;
    if plan.trailer {
        trailer(to, session).tried(what)?;
    }
    Ok(())
}

/// Makes the links to where the stores are mounted; answers with what `info/alternates` is to say.
fn borrow(repository: &PrivateRepository, to: &OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut alternates = Vec::new();
    let links = make(to, BORROWED)?;
    for (number, (_, store)) in repository.objects.iter().enumerate() {
        let above = store.as_path().parent().unwrap_or(Path::new("/"));
        symlinkat(above, &links, number.to_string())?;
        let named = Bytes::from(alternate(repository.inside.as_path(), number));
        // In the file a name ends with its line.
        let named = if named.0.contains(&b'\n') { store } else { &named };
        alternates.extend_from_slice(&named.0);
        alternates.push(b'\n');
    }
    Ok(alternates)
}

fn copy_of(
    git_dir: &Path,
    to: &OwnedFd,
    wanted: &dyn Fn(&Path) -> bool,
    bounds: &mut Bounds,
) -> Result<()> {
    let shown = visible_path(git_dir);
    let from = openat(CWD, "/", DIRECTORY, Mode::empty())
        .and_then(|root| {
            let path = git_dir.strip_prefix("/").unwrap_or(git_dir);
            nofollow::beneath(root, path, DIRECTORY.difference(OFlags::NOFOLLOW))
        })
        .tried(|| format!("open {shown}"))?;
    copy(&from, to, wanted, bounds).map_err(|failed| match failed {
        Failed::TooMuch => too_much(git_dir),
        Failed::At(path, errno) => {
            let path = visible_path(&path);
            Error::launcher(format!("cannot copy {path} of {shown}: {errno}"))
        }
    })
}

/// Puts the hook in place; one of the repository's own goes on as `.own`.
fn trailer(to: &OwnedFd, session: &str) -> std::io::Result<()> {
    const NAME: &str = "prepare-commit-msg";
    // Where `hooks` is a link into the project, nothing is put there.
    let Ok(hooks) = make(to, c"hooks") else { return Ok(()) };
    let own = format!("{NAME}.own");
    match rustix::fs::renameat(&hooks, NAME, &hooks, own.as_str()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    write(&hooks, NAME, trailer_hook(session).as_bytes(), 0o755)
}

/// Writes a file that is not there.
fn write(at: &OwnedFd, name: &str, content: &[u8], mode: u32) -> std::io::Result<()> {
    use std::io::Write as _;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = CString::new(name)?;
    let mut file = File::from(openat(at, &name, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(mode))
}

/// How the host's repository stands.
fn look(plan: &PrivateGit, repository: &PrivateRepository) -> Result<Base> {
    let (git_dir, work_tree) = (repository.git_dir.as_path(), repository.work_tree.as_path());
    let program = plan.program.as_path();
    Ok(Repository { program, git_dir, work_tree }.look()?.now)
}
