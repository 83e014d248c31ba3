//! The system part of the tree: `/usr` and so on from the host, read-only; `/dev`, `/proc` and
//! the directories in memory of the sandbox's own. There is no bind of `/`: what is not named here
//! or by a profile does not exist inside.
#![forbid(unsafe_code)]

use std::path::Path;

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::nix;
use super::parts::{Part, Parts};
use crate::error::Result;
use crate::lexical::clean;
use crate::profile::origin::Settled;
use crate::profile::schema::Nix;
use crate::visible::visible_path;

/// Where this program is, inside. Nothing of the host's `/run` is there but what a profile names, and nothing
/// can be put there: a program of the agent's below `/run/current-system` would pass for the system's.
pub(super) const OWN_PROGRAM: &str = "/run/claudebox";

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
    let store = (draft.nix.value != Nix::None).then(|| draft.nix.origin.clone());
    let mut parts = Parts::of(draft, store)?;
    super::closure::narrow(draft, &mut parts)?;
    for part in &parts.0 {
        add_part(draft, &parts, part)?;
    }
    Ok(())
}

/// Of a file system in memory that is not `/tmp`.
pub(super) fn size_in_memory(draft: &Draft<'_>) -> Settled<u64> {
    draft.settings.run_size.clone().unwrap_or_else(|| super::default(RUN_SIZE))
}

/// What the sandbox has of its own.
fn own(draft: &mut Draft<'_>) -> Result<()> {
    let tmp = draft.settings.tmp_size.clone().unwrap_or_else(|| super::default(TMP_SIZE));
    let other = size_in_memory(draft);
    let tmpfs = |path: &str, mode, size: &Settled<u64>, why: &str| Step {
        mount: Mount::Tmpfs { destination: path.into(), mode, size: size.value },
        class: Class::Own,
        why: why.to_owned(),
        origin: Some(size.origin.clone()),
    };
    let fixed =
        |mount, why: &str| Step { mount, class: Class::Own, why: why.to_owned(), origin: None };
    draft.add(fixed(Mount::Dev, "null, zero, random, tty and a devpts of its own"))?;
    draft.add(tmpfs("/dev/shm", 0o1777, &other, "shared memory"))?;
    super::proc::mounts(draft)?;
    draft.add(tmpfs("/tmp", 0o1777, &tmp, "scratch space, gone at the end"))?;
    draft.add(tmpfs("/var/tmp", 0o1777, &tmp, "scratch space, gone at the end"))?;
    let program = Mount::Bind {
        source: Source::Trusted(draft.host.executable.clone()),
        destination: OWN_PROGRAM.into(),
        access: Access::Read,
        node: Node::File,
    };
    draft.add(fixed(program, "the inner stage"))
}

fn add_part(draft: &mut Draft<'_>, parts: &Parts, part: &Part) -> Result<()> {
    let Part { path, real, origin, .. } = part;
    if nix::keeps(draft, path, real) {
        return Ok(());
    }
    let step = |mount, why: &str| Step {
        mount,
        class: Class::System,
        why: why.to_owned(),
        origin: Some(origin.clone()),
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
    if path == Path::new("/etc") && !part.is_link {
        links_of(draft, parts, part)?;
    }
    Ok(())
}

/// Where a profile shares all of `/etc`: `resolv.conf` and its like, links that lead to a place no
/// part covers. Only what root made is followed. (Not in directories below: certificates and
/// alternatives are hundreds of links to `/usr`, and to read each took a fifth of a start.)
fn links_of(draft: &mut Draft<'_>, parts: &Parts, part: &Part) -> Result<()> {
    for name in draft.facts.links(&part.path) {
        let path = part.path.join(name);
        let Some(target) = draft.facts.read_link(&path) else { continue };
        // Most links lead to what is there: no need to follow.
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
            origin: Some(part.origin.clone()),
        })?;
    }
    Ok(())
}
