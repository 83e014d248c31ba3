//! The system part of the tree: `/usr` and so on from the host, read-only; `/dev`, `/proc` and
//! the directories in memory of the sandbox's own. There is no bind of `/`: what is not named here
//! or by a profile does not exist inside.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::paths::place;
use crate::error::{Error, Result};
use crate::host::FileKind;
use crate::profile::settings::Settled;
use crate::visible::visible_path;

/// Where this program is, inside.
pub(super) const OWN_PROGRAM: &str = "/run/claudebox/claudebox";
/// The directory around it, sealed when it is filled.
pub(super) const OWN_DIRECTORY: &str = "/run/claudebox";

const MIB: u64 = 1 << 20;
/// `/tmp` where no profile says more.
const TMP_SIZE: u64 = 2048 * MIB;
/// Any other tmpfs where no profile says more.
const RUN_SIZE: u64 = 512 * MIB;
/// For a directory that stays empty, or holds mount points only.
pub(super) const EMPTY_SIZE: u64 = 64 << 10;

/// Adds all of it.
pub(super) fn mounts(draft: &mut Draft<'_>) -> Result<()> {
    own(draft)?;
    let parts = parts(draft)?;
    for (path, entry) in &parts {
        part(draft, &parts, path, entry)?;
    }
    Ok(())
}

/// What the sandbox has of its own.
fn own(draft: &mut Draft<'_>) -> Result<()> {
    let tmp = draft.settings.tmp_size.clone().unwrap_or_else(|| super::default(TMP_SIZE));
    let run = draft.settings.run_size.clone().unwrap_or_else(|| super::default(RUN_SIZE));
    let tmpfs = |path: &str, mode, size: &Settled<u64>, why: &str| Step {
        mount: Mount::Tmpfs { destination: path.into(), mode, size: size.value },
        class: Class::Own,
        why: why.to_owned(),
        origin: Some(size.origin.clone()),
    };
    let fixed =
        |mount, why: &str| Step { mount, class: Class::Own, why: why.to_owned(), origin: None };
    let trusted = |source: &Path, destination: &str, node| Mount::Bind {
        source: Source::Trusted(source.to_owned()),
        destination: destination.into(),
        access: Access::Read,
        node,
    };
    draft.add(fixed(Mount::Dev, "null, zero, random, tty and a devpts of its own"))?;
    draft.add(tmpfs("/dev/shm", 0o1777, &run, "shared memory"))?;
    draft.add(fixed(Mount::Proc, "the processes inside, no others"))?;
    // Root keeps write access to sysctls as their owner, without any capability: a core_pattern
    // written inside would be run by the host's kernel.
    for (path, node) in [("/proc/sys", Node::Directory), ("/proc/sysrq-trigger", Node::File)] {
        if draft.facts.lstat(Path::new(path)).is_some() {
            draft.add(fixed(
                trusted(Path::new(path), path, node),
                "kernel settings, not to be set",
            ))?;
        }
    }
    draft.add(tmpfs("/tmp", 0o1777, &tmp, "scratch space, gone at the end"))?;
    draft.add(tmpfs("/var/tmp", 0o1777, &tmp, "scratch space, gone at the end"))?;
    draft.add(tmpfs("/run", 0o755, &run, "none of the host's sockets"))?;
    let directory =
        Mount::Tmpfs { destination: OWN_DIRECTORY.into(), mode: 0o755, size: EMPTY_SIZE };
    draft.add(fixed(directory, "holds the inner stage"))?;
    let program = draft.host.executable.clone();
    draft.add(fixed(trusted(&program, OWN_PROGRAM, Node::File), "the inner stage"))
}

/// The paths of `files.system`, parents first.
fn parts<'a>(draft: &Draft<'a>) -> Result<Vec<(PathBuf, &'a Settled<String>)>> {
    let mut parts = Vec::new();
    for entry in &draft.settings.system {
        let path = draft.variables.path(entry)?;
        refuse_too_much(draft, &path, entry)?;
        parts.push((path, entry));
    }
    parts.sort_by_key(|(path, _)| path.components().count());
    Ok(parts)
}

/// Directories of the system in which the host's users, daemons and devices meet.
fn refuse_too_much(draft: &Draft<'_>, path: &Path, entry: &Settled<String>) -> Result<()> {
    let shared = ["/", "/dev", "/proc", "/run", "/tmp", "/var/run", "/var/tmp"];
    let home = &draft.host.home;
    if shared.iter().any(|dir| path == Path::new(dir))
        || home.starts_with(path)
        || path.starts_with("/proc")
        || path.starts_with("/dev")
    {
        return Err(Error::usage(format!(
            "{}: {} is not a part of the system that can be shared",
            place(&entry.origin),
            visible_path(path)
        ))
        .hint("name the directories in it that are needed, one by one"));
    }
    draft.refuse_own_files(path, &entry.origin)
}

fn part(
    draft: &mut Draft<'_>,
    parts: &[(PathBuf, &Settled<String>)],
    path: &Path,
    entry: &Settled<String>,
) -> Result<()> {
    let Some(found) = draft.facts.lstat(path) else {
        draft.left_out.push(format!("{}: not on this machine", visible_path(path)));
        return Ok(());
    };
    let Some(real) = draft.facts.canonicalize(path) else {
        draft.left_out.push(format!("{}: a link that leads nowhere", visible_path(path)));
        return Ok(());
    };
    let inside_another = is_below_a_part(draft, parts, path);
    let step = |mount, why: &str| Step {
        mount,
        class: Class::System,
        why: why.to_owned(),
        origin: Some(entry.origin.clone()),
    };
    let bind = |destination: &Path, node| Mount::Bind {
        source: Source::Trusted(real.clone()),
        destination: destination.to_owned(),
        access: Access::Read,
        node,
    };
    let real_node = draft.facts.lstat(&real).map_or(Node::File, |found| Node::of(found.kind));
    match (found.kind, inside_another) {
        (FileKind::Symlink, false) if is_covered(draft, parts, &real) => {
            let target = draft.facts.read_link(path).unwrap_or_else(|| real.clone());
            draft
                .add(step(Mount::Symlink { target, destination: path.to_owned() }, "the system"))?;
        }
        // The link itself is there; what it leads to must be, too.
        (FileKind::Symlink, true) if !is_covered(draft, parts, &real) => {
            draft.add(step(bind(&real, real_node), "what a link of the system leads to"))?;
        }
        (FileKind::Symlink, true) => {}
        _ => draft.add(step(bind(path, real_node), "the system"))?,
    }
    if path.starts_with("/etc") && found.kind == FileKind::Directory {
        links_of(draft, parts, path, entry)?;
    }
    Ok(())
}

/// `/etc/resolv.conf` and its like: links in `/etc` that lead to a place no part covers. Only what
/// root made is followed.
fn links_of(
    draft: &mut Draft<'_>,
    parts: &[(PathBuf, &Settled<String>)],
    dir: &Path,
    entry: &Settled<String>,
) -> Result<()> {
    for name in draft.facts.list(dir) {
        let path = dir.join(name);
        if draft.facts.lstat(&path).is_none_or(|found| found.kind != FileKind::Symlink) {
            continue;
        }
        let Some(real) = draft.facts.canonicalize(&path) else { continue };
        let Some(found) = draft.facts.lstat(&real) else { continue };
        let hidden = ["/proc", "/dev", "/sys", "/tmp"].iter().any(|tree| real.starts_with(tree))
            || real.starts_with(&draft.host.home);
        if hidden || found.uid != 0 || is_covered(draft, parts, &real) {
            continue;
        }
        draft.add(Step {
            mount: Mount::Bind {
                source: Source::Trusted(real.clone()),
                destination: real,
                access: Access::Read,
                node: Node::of(found.kind),
            },
            class: Class::System,
            why: format!("what {} leads to", visible_path(&path)),
            origin: Some(entry.origin.clone()),
        })?;
    }
    Ok(())
}

/// Whether a part that is a real directory contains `path`, itself aside.
fn is_below_a_part(draft: &Draft<'_>, parts: &[(PathBuf, &Settled<String>)], path: &Path) -> bool {
    parts.iter().any(|(part, _)| part != path && contains(draft, part, path))
}

/// Whether a part that is no link contains `path`.
fn is_covered(draft: &Draft<'_>, parts: &[(PathBuf, &Settled<String>)], path: &Path) -> bool {
    parts.iter().any(|(part, _)| contains(draft, part, path))
}

fn contains(draft: &Draft<'_>, part: &Path, path: &Path) -> bool {
    path.starts_with(part)
        && draft.facts.lstat(part).is_some_and(|found| found.kind != FileKind::Symlink)
}
