//! Small files of the system that are copied into the root instead of being mounted. bwrap's time
//! grows with the square of its mounts, and the thirty files of `/etc` were most of them. It must
//! never turn a mount into a copy where bwrap would write the copy to the host.
#![forbid(unsafe_code)]

use std::path::Path;

use super::draft::Draft;
use super::layout::holder;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use crate::host::{Facts, FileKind};

/// The largest file that is copied, in bytes; a copy takes memory for as long as the session.
const LARGEST: u64 = 512 << 10;

/// Files that programs of the host rewrite in place when the network changes: a mount follows.
const LIVE: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Turns the mounts of single files that can be copies into copies.
pub(super) fn instead_of_mounts(draft: &mut Draft<'_>) {
    let copies: Vec<(usize, Mount)> = draft
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.class == Class::System)
        .filter_map(|(index, step)| Some((index, copy(&draft.steps, step, draft.facts)?)))
        .collect();
    for (index, mount) in copies {
        draft.steps[index].mount = mount;
    }
}

/// The copy that serves as well as this mount, if there is one.
fn copy(steps: &[Step], step: &Step, facts: &dyn Facts) -> Option<Mount> {
    let Mount::Bind {
        source: Source::Trusted(source),
        destination,
        access: Access::Read,
        node: Node::File,
    } = &step.mount
    else {
        return None;
    };
    let found = facts.lstat(source)?;
    let readable = found.kind == FileKind::File && found.mode & 0o004 != 0;
    let small = found.size <= LARGEST;
    let live = LIVE.iter().any(|path| destination == Path::new(path));
    // Below a bind, bwrap would write into a directory of the host.
    let in_memory = holder(steps, destination).is_none();
    (readable && small && !live && in_memory)
        .then(|| Mount::Copy { source: source.clone(), destination: destination.clone() })
}
