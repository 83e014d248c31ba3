//! Small files of the system that are copied into the root instead of being mounted. bwrap's time
//! grows with the square of its mounts, and the thirty files of `/etc` were most of them. A file
//! that changes on the host is not followed, and was not by a mount: nearly all are replaced, not
//! rewritten, and a mount stays with the file it was made of. It must never turn a mount into a
//! copy where bwrap would write the copy to the host.
#![forbid(unsafe_code)]

use std::path::Path;

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use crate::host::{Facts, FileKind};

/// The largest file that is copied, in bytes; a copy takes memory for as long as the session.
const LARGEST: u64 = 512 << 10;

/// Turns the mounts of single files that can be copies into copies, and has claudebox's own made
/// instead of mounted where they can.
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
    if let Mount::File { destination, content, mounted: true } = &step.mount {
        let (destination, content) = (destination.clone(), content.clone());
        return in_root(steps, &destination).then_some(Mount::File {
            destination,
            content,
            mounted: false,
        });
    }
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
    (readable && small && in_root(steps, destination))
        .then(|| Mount::Copy { source: source.clone(), destination: destination.clone() })
}

/// Whether a path is in the root itself, which is made read-only at the end. Below a bind bwrap would
/// write into a directory of the host, and what is in another tmpfs can be written inside.
fn in_root(steps: &[Step], path: &Path) -> bool {
    let mut above = steps.iter().filter(|step| step.is_above(path));
    above.all(|step| match &step.mount {
        Mount::Symlink { .. } | Mount::Directory { .. } => true,
        Mount::RemountReadOnly { destination } => destination == Path::new("/"),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use crate::policy::fixture::{Case, list};
    use crate::profile::schema::NetworkMode;

    /// With the host's own names, and so its `resolv.conf`.
    fn debian() -> Case {
        Case::debian().with(|case| case.invocation.network = Some(NetworkMode::Host))
    }

    fn copied(case: &Case) -> Vec<String> {
        let mounts = case.mounts();
        let copies = mounts.lines().filter_map(|line| line.trim().strip_prefix("copy  "));
        copies.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn small_files_of_the_root_are_copied() {
        assert_eq!(copied(&debian()), ["/etc/passwd", "/etc/resolv.conf"]);
    }

    #[test]
    fn nothing_is_copied_into_a_directory_of_the_host() {
        let case = debian().with(|case| {
            case.settings.system = list(10, &["/usr", "/etc", "/etc/passwd", "/etc/resolv.conf"]);
        });
        // Where its link leads to is in the root.
        assert_eq!(copied(&case), ["/run/systemd/resolve/stub-resolv.conf"]);
    }

    #[test]
    fn what_is_large_is_mounted() {
        let large = "x".repeat(usize::try_from(super::LARGEST).unwrap() + 1);
        let case = debian().disk(|disk| disk.file("/etc/passwd", &large));
        assert_eq!(copied(&case), ["/etc/resolv.conf"]);
    }
}
