//! What is weaker than it could be, in phrases for a header. It must never be silent about a
//! weakening because it is usual.
#![forbid(unsafe_code)]

use super::draft::Draft;
use super::project::GitEntry;
use super::{Choices, Limits};
use crate::plan::Landlock;
use crate::profile::schema::{Demand, ExecLog, Git, NetworkMode};

/// The Landlock whose every right is used: the scopes for signals and abstract sockets begin with
/// this ABI (Linux 6.12).
pub(super) const ABI_ALL: u32 = 6;

/// What Landlock learned to rule with which ABI (landlock(7)); before, the mounts and namespaces are
/// the only layer for it.
const LEARNED: [(u32, &str); 3] =
    [(3, "truncation"), (5, "ioctls of devices"), (ABI_ALL, "signals and abstract sockets")];

/// The phrases, the widest hole first.
pub(super) fn list(
    draft: &Draft<'_>,
    choices: &Choices,
    landlock: &Landlock,
    limits: &Limits,
) -> Vec<String> {
    let mut list = Vec::new();
    let mut say = |condition: bool, phrase: &str| {
        if condition {
            list.push(phrase.to_owned());
        }
    };
    let host_network = choices.network.value == NetworkMode::Host;
    say(
        host_network,
        "network: open, with all of the host's loopback and local network (`--network allow` is not)",
    );
    say(
        host_network && draft.host.landlock_abi < ABI_ALL,
        "network: abstract sockets of the host can be reached (this kernel cannot scope them)",
    );
    say(
        host_network && !draft.settings.network.deny.is_empty(),
        "network: what a profile denies is not denied",
    );
    let shared = choices.git.value == Git::Shared;
    say(
        shared && draft.project.git == GitEntry::Directory,
        "git: pinned, not private: a planted .git/commondir, submodule or nested repository \
         can make git outside run code",
    );
    say(
        draft.project.git == GitEntry::Absent,
        "git: the project is no repository; git outside would trust one that the agent makes",
    );
    say(
        choices.nested_userns.value,
        "nested-userns: namespaces and mounts can be made inside, and much more of the kernel \
         attacked",
    );
    of_landlock(draft.host.landlock_abi, choices, landlock, &mut say);
    say(choices.exec_log.value == ExecLog::Off, "exec log: off, commands are not observed");
    say(draft.host.uid == 0, "root: what is visible inside is read as root");
    if let Some(bwrap) = &draft.host.bwrap {
        say(
            !choices.nested_userns.value && !bwrap.has("--disable-userns"),
            "bwrap is too old to forbid user namespaces inside",
        );
        say(!bwrap.has("--size"), "bwrap is too old to limit /tmp: it can fill half of the memory");
        say(!bwrap.has("--bind-fd"), "bwrap is too old to bind by descriptor");
    }
    list.extend(limits.weakened.iter().cloned());
    list.extend(draft.weakened.iter().cloned());
    list
}

fn of_landlock(abi: u32, choices: &Choices, landlock: &Landlock, say: &mut impl FnMut(bool, &str)) {
    if choices.landlock.value == Demand::Off {
        say(true, "landlock: off, the mounts are the only layer");
    } else if abi == 0 {
        say(true, "landlock: not in this kernel, the mounts are the only layer");
    } else {
        say(!landlock.files, "landlock: no file rules with nested-userns");
        let lacks: Vec<&str> =
            LEARNED.iter().filter(|(since, _)| abi < *since).map(|(_, what)| *what).collect();
        let phrase =
            format!("landlock: ABI {abi} of this kernel does not rule {}", lacks.join(", "));
        say(!lacks.is_empty(), &phrase);
    }
}
