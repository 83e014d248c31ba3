//! `/proc`: the processes inside, and what is covered of the kernel's own files there. The kernel
//! lets a file's owner write without any capability, so a root that has none could still set what
//! is the host's: a `core_pattern` written inside would be run by the host's kernel. bwrap covers
//! `sysrq-trigger`, `irq` and `bus` where it finds them writable; what else root could write is
//! covered here.
#![forbid(unsafe_code)]

use std::path::Path;

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use crate::error::Result;

/// What is covered for root, and a file by which it is known to be there: a bind costs every start
/// a seventh of a millisecond.
const SETTINGS: [(&str, &str); 4] = [
    ("/proc/sys", "/proc/sys"),
    ("/proc/acpi", "/proc/acpi/wakeup"),
    ("/proc/asound", "/proc/asound/cards"),
    ("/proc/scsi", "/proc/scsi/scsi"),
];

/// What tells of the host: the keys of the user, whose keyrings belong to no namespace; all
/// runnable tasks (before Linux 5.13); the kernel's timers, which only root may read.
const HIDDEN: [(&str, bool, &str); 3] = [
    ("/proc/keys", false, "the names of the user's keys"),
    ("/proc/sched_debug", false, "the tasks of the host"),
    ("/proc/timer_list", true, "the timers of the host"),
];

/// Adds `/proc` and what covers parts of it.
pub(super) fn mounts(draft: &mut Draft<'_>) -> Result<()> {
    add(draft, Mount::Proc, "the processes inside, no others")?;
    let facts = draft.facts;
    let there = |path: &str| facts.lstat(Path::new(path)).is_some();
    if draft.host.uid == 0 {
        for (directory, _) in SETTINGS.into_iter().filter(|(_, known_by)| there(known_by)) {
            let settings = Mount::Bind {
                source: Source::Trusted(directory.into()),
                destination: directory.into(),
                access: Access::Read,
                node: Node::Directory,
            };
            add(draft, settings, "kernel settings, not to be set")?;
        }
    }
    // The kernel mounts a new procfs only where it sees one of which nothing is covered: a sandbox
    // inside this one would have none.
    let nested = draft.settings.nested_userns.as_ref().is_some_and(|said| said.value);
    let root = draft.host.uid == 0;
    for (path, for_root, why) in HIDDEN {
        if !nested && (root || !for_root) && there(path) {
            add(draft, Mount::Mask { destination: path.into() }, why)?;
        }
    }
    Ok(())
}

fn add(draft: &mut Draft<'_>, mount: Mount, why: &str) -> Result<()> {
    draft.add(Step { mount, class: Class::Own, why: why.to_owned(), origin: None })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, at};

    /// What is mounted below `/proc`.
    fn covered(case: Case) -> Vec<String> {
        let case = case.disk(|disk| {
            disk.file("/proc/keys", "")
                .file("/proc/timer_list", "")
                .file("/proc/acpi/wakeup", "")
                .dir("/proc/asound")
        });
        let policy = case.policy().unwrap();
        let destinations = policy.mounts.iter().map(|step| step.mount.destination());
        let below = destinations
            .filter(|path| path.starts_with("/proc") && path.parent() != Some("/".as_ref()));
        below.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_users_keys_have_no_names_inside() {
        assert_eq!(covered(Case::debian()), ["/proc/keys"]);
    }

    #[test]
    fn a_nested_sandbox_can_mount_its_own() {
        let nested = Case::debian().with(|case| case.settings.nested_userns = Some(at(2, true)));
        assert_eq!(covered(nested), [""; 0]);
    }

    #[test]
    fn root_cannot_set_what_is_the_hosts() {
        let root = Case::debian()
            .disk(|disk| disk.owned("/home/u/p", 0).owned("/home/u/p/.git", 0))
            .with(|case| case.host.uid = 0);
        assert_eq!(covered(root), ["/proc/sys", "/proc/acpi", "/proc/keys", "/proc/timer_list"]);
    }
}
