//! Builds the private git directory of a session, before anything of the agent's runs: the state of
//! the host's is copied, its objects are borrowed, its configuration is written anew; what is borrowed
//! is pinned on the host, and how everything stood is written down. Whatever fails ends the start. It
//! must never touch a private directory that an agent has had.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::copy::{Bounds, Failed, copy, make};
use super::layout::{PRIVATE, is_copied, is_shared, trailer_hook};
use super::refuse::instead;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::call::{Call, Limits};
use crate::git::names::{HEADS, behind};
use crate::git::oid::Oid;
use crate::git::outside::Repository;
use crate::git::record::{Base, Head, Record, Store, VERSION};
use crate::nofollow::{self, DIRECTORY};
use crate::plan::git::{PrivateGit, PrivateRepository};
use crate::visible::visible_path;

/// How often it is tried to copy a repository that changes meanwhile.
const TRIES: usize = 3;

/// How long it may take to pin ten thousands of refs.
const PINNING: Duration = Duration::from_secs(60);

/// Builds it below the session's directory, with the record of it.
///
/// # Errors
/// When the repository cannot be copied or read, or changes all the time.
pub fn build(plan: &PrivateGit, session: &Path, id: &str, bwrap: &Path) -> Result<()> {
    let private = session.join(PRIVATE);
    let mut records = Vec::new();
    for repository in &plan.repositories {
        let base = one(plan, repository, &private, id)?;
        records.push(Record {
            version: VERSION,
            work_tree: repository.work_tree.clone(),
            git_dir: repository.git_dir.clone(),
            private: Bytes::from(within(&private, repository.path.as_path())),
            objects: stores(repository),
            object_format: repository.object_format.clone(),
            ref_format: repository.ref_format.clone(),
            program: plan.program.clone(),
            bwrap: bwrap.into(),
            start: Some(branches(&base)),
            base,
            signed: BTreeMap::new(),
            submodules: Vec::new(),
        });
    }
    let submodules = records.split_off(records.len().min(1));
    let Some(record) = records.pop() else { return Ok(()) };
    let record = Record { submodules, ..record };
    record
        .write(session)
        .tried(|| format!("write {}", visible_path(&crate::git::record::path(session))))
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
fn within(directory: &Path, path: &Path) -> std::path::PathBuf {
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
    let mut before = look(plan, repository)?;
    for _ in 0..TRIES {
        // Where a submodule's goes, its parent's has made room.
        let directory = fresh(private, repository.path.as_path())?;
        fill(plan, repository, &directory, session)?;
        pin(plan, repository, &before, session)?;
        let after = look(plan, repository)?;
        if after == before {
            return Ok(before);
        }
        before = after;
    }
    Err(Error::launcher(format!("git: {shown} changes all the time, and cannot be copied"))
        .hint("wait until what works in it has ended, then start again"))
}

/// An empty directory for the copy.
fn fresh(private: &Path, path: &Path) -> Result<OwnedFd> {
    let directory = within(private, path);
    let shown = visible_path(&directory);
    if directory.symlink_metadata().is_ok() {
        fs::remove_dir_all(&directory).tried(|| format!("remove {shown}"))?;
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&directory).tried(|| format!("make {shown}"))?;
    openat(CWD, &directory, DIRECTORY, Mode::empty()).tried(|| format!("open {shown}"))
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
    copy_of(git_dir, to, is_copied, &mut bounds)?;
    if let Some(common) = &repository.common {
        copy_of(common.as_path(), to, is_shared, &mut bounds)?;
    }
    let what = || format!("make the private copy of {shown}");
    let mut alternates = Vec::new();
    for (_, inside) in &repository.objects {
        alternates.extend_from_slice(&inside.0);
        alternates.push(b'\n');
    }
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

fn copy_of(
    git_dir: &Path,
    to: &OwnedFd,
    wanted: fn(&Path) -> bool,
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
        Failed::TooMuch => instead(
            Error::launcher(format!("git: {shown} holds too much beside its objects"))
                .hint("pack its refs: git pack-refs --all"),
        ),
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

/// What is borrowed must stay, also when a branch is deleted on the host and a gc prunes.
fn pin(
    plan: &PrivateGit,
    repository: &PrivateRepository,
    base: &Base,
    session: &str,
) -> Result<()> {
    let mut oids: BTreeSet<&Oid> = base.refs.values().chain(&base.stashes).collect();
    if let Head::Detached(oid) = &base.head {
        oids.insert(oid);
    }
    let mut input = String::new();
    for oid in oids {
        let _ = writeln!(input, "update refs/claudebox/{session}/pin/{oid} {oid}");
    }
    if input.is_empty() {
        return Ok(());
    }
    let git_dir = repository.git_dir.as_path();
    let what = format!("pin what is borrowed of {}", visible_path(git_dir));
    let limits = Limits { time: PINNING, ..Limits::default() };
    let call = Call::new(plan.program.as_path(), what).git_dir(git_dir).limits(limits);
    call.args(["update-ref", "--stdin"]).input(input).run().map(drop)
}
