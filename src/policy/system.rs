//! The system part of the tree: `/usr` and so on from the host, read-only; `/dev`, `/proc` and
//! the directories in memory of the sandbox's own. There is no bind of `/`: what is not named here
//! or by a profile does not exist inside.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::paths::{clean, is_below, place};
use crate::error::{Error, Result};
use crate::host::{Facts, FileKind};
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
    let parts = Parts::of(draft)?;
    for part in &parts.0 {
        add_part(draft, &parts, part)?;
    }
    Ok(())
}

/// A path of `files.system` that this machine has.
struct Part<'a> {
    path: PathBuf,
    /// Where it leads to; itself where it is no link.
    real: PathBuf,
    is_link: bool,
    /// What `real` is.
    node: Node,
    entry: &'a Settled<String>,
}

/// Where a path leads to, and what is there.
struct Place {
    path: PathBuf,
    real: PathBuf,
    is_link: bool,
    node: Node,
}

/// The directories that were found to be under their true names. Some hundred paths lie in a few
/// of them, and realpath(3) asks for each component of each.
#[derive(Default)]
struct Places(BTreeMap<PathBuf, bool>);

impl Places {
    /// The path itself is given back where nothing is there.
    fn find(&mut self, path: PathBuf, facts: &dyn Facts) -> Result<Place, PathBuf> {
        let Some(found) = facts.lstat(&path) else { return Err(path) };
        let is_link = found.kind == FileKind::Symlink;
        if !is_link && self.is_canonical(path.parent(), facts) {
            let node = Node::of(found.kind);
            return Ok(Place { real: path.clone(), path, is_link, node });
        }
        let Some(real) = facts.canonicalize(&path) else { return Err(path) };
        let Some(found) = facts.lstat(&real) else { return Err(path) };
        Ok(Place { path, real, is_link, node: Node::of(found.kind) })
    }

    fn is_canonical(&mut self, directory: Option<&Path>, facts: &dyn Facts) -> bool {
        let Some(directory) = directory else { return true };
        if let Some(known) = self.0.get(directory) {
            return *known;
        }
        let canonical = facts.canonicalize(directory).as_deref() == Some(directory);
        self.0.insert(directory.to_owned(), canonical);
        canonical
    }
}

/// All of them, parents first.
struct Parts<'a>(Vec<Part<'a>>);

impl<'a> Parts<'a> {
    fn of(draft: &mut Draft<'a>) -> Result<Self> {
        let (mut parts, mut missing, mut places) = (Vec::new(), Vec::new(), Places::default());
        for entry in &draft.settings.system {
            let path = draft.variables.path(entry)?;
            refuse_too_much(draft, &path, entry)?;
            match places.find(path, draft.facts) {
                Ok(Place { path, real, is_link, node }) => {
                    parts.push(Part { path, real, is_link, node, entry });
                }
                Err(path) => missing.push(visible_path(&path)),
            }
        }
        if !missing.is_empty() {
            let missing = missing.join(" ");
            draft.left_out.push(format!("files.system, not on this machine: {missing}"));
        }
        parts.sort_by_cached_key(|part: &Part<'_>| part.path.components().count());
        Ok(Self(parts))
    }

    /// Whether a part that is no link contains `path`.
    fn cover(&self, path: &Path) -> bool {
        self.0.iter().any(|part| !part.is_link && is_below(path, &part.path))
    }

    /// Whether a part that is no link contains this part.
    fn contain(&self, inner: &Part<'_>) -> bool {
        let outer = |part: &&Part<'_>| !part.is_link && part.path != inner.path;
        self.0.iter().filter(outer).any(|part| is_below(&inner.path, &part.path))
    }
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

fn add_part(draft: &mut Draft<'_>, parts: &Parts<'_>, part: &Part<'_>) -> Result<()> {
    let Part { path, real, entry, .. } = part;
    let step = |mount, why: &str| Step {
        mount,
        class: Class::System,
        why: why.to_owned(),
        origin: Some(entry.origin.clone()),
    };
    let bind = |destination: &Path| Mount::Bind {
        source: Source::Trusted(real.clone()),
        destination: destination.to_owned(),
        access: Access::Read,
        node: part.node,
    };
    match (part.is_link, parts.contain(part)) {
        (true, false) if parts.cover(real) => {
            let target = draft.facts.read_link(path).unwrap_or_else(|| real.clone());
            let link = Mount::Symlink { target, destination: path.clone() };
            draft.add(step(link, "the system"))?;
        }
        // The link itself is there; what it leads to must be, too.
        (true, true) if !parts.cover(real) => {
            draft.add(step(bind(real), "what a link of the system leads to"))?;
        }
        (true, true) => {}
        _ => draft.add(step(bind(path), "the system"))?,
    }
    if path.starts_with("/etc") && !part.is_link && part.node == Node::Directory {
        links_of(draft, parts, part)?;
    }
    Ok(())
}

/// `12345678.0` or `12345678.r0`, by which OpenSSL finds a certificate.
fn is_hash(name: &[u8]) -> bool {
    let Some((hash, tail)) = name.split_at_checked(8) else { return false };
    let number = tail.strip_prefix(b".r").or_else(|| tail.strip_prefix(b"."));
    let number = number.is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit));
    number && hash.iter().all(u8::is_ascii_hexdigit)
}

/// `/etc/resolv.conf` and its like: links in `/etc` that lead to a place no part covers. Only what
/// root made is followed.
fn links_of(draft: &mut Draft<'_>, parts: &Parts<'_>, part: &Part<'_>) -> Result<()> {
    for name in draft.facts.links(&part.path) {
        // What `openssl rehash` makes leads to a file beside it, as its neighbour tells by name.
        if is_hash(name.as_bytes()) {
            continue;
        }
        let path = part.path.join(name);
        let Some(target) = draft.facts.read_link(&path) else { continue };
        // Most links (a certificate store has hundreds) lead to what is there: no need to follow.
        if parts.cover(&clean(&part.path.join(target))) {
            continue;
        }
        let Some(real) = draft.facts.canonicalize(&path) else { continue };
        let Some(found) = draft.facts.lstat(&real) else { continue };
        let hidden = ["/proc", "/dev", "/sys", "/tmp"].iter().any(|tree| real.starts_with(tree))
            || real.starts_with(&draft.host.home);
        if hidden || found.uid != 0 || parts.cover(&real) {
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
            origin: Some(part.entry.origin.clone()),
        })?;
    }
    Ok(())
}
