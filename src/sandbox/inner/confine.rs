//! What the inner stage gives up before anything foreign runs: the death of its parent is its
//! own, nobody inside may read or trace it, no capability, no keyring, no file beyond the plan,
//! no system call of the errno table. It must fail rather than leave one of them out in silence.
#![forbid(unsafe_code)]

use caps::CapSet;
use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, LandlockStatus, RestrictionStatus,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::filters::errno;
use crate::plan::limits::Rlimits;
use crate::plan::{Demand, ErrnoFilter, Landlock};
use crate::sys::process::leave_session_keyring;
use crate::sys::seccomp;

/// The newest Landlock whose every right was tried: ioctl(2) on devices came with 5, the scopes
/// for signals and abstract sockets with 6 (Linux 6.12).
const TRIED: ABI = ABI::V6;

/// What Landlock answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Restricted {
    /// See [`crate::log::event::Confined::landlock`].
    pub(super) status: &'static str,
    /// The kernel's version of Landlock, 0 for none.
    pub(super) abi: u32,
}

/// Binds this process to its parent's life, hides it from everything inside, and has no exec raise what
/// it may, which the kernel demands of who installs a filter (seccomp(2)). A process that
/// could ptrace(2) the init of its namespace would clear its death signal and outlive the
/// supervisor; reading its memory or `/proc/1/fd` would yield the socket. Not dumpable, and
/// without capabilities inside, neither is possible (ptrace(2), access mode checking).
pub(super) fn guard() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .tried(|| "bind the inner stage to its parent's life")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .tried(|| "hide the inner stage")?;
    rustix::thread::set_no_new_privs(true).tried(|| "set no_new_privs")
}

/// Lowers what each process inside may take, soft and hard; nothing inside has the capability to
/// raise it again.
pub(super) fn limit(rlimits: &Rlimits) -> Result<()> {
    let asked = [
        (Resource::Nproc, rlimits.processes),
        (Resource::Nofile, rlimits.open_files),
        (Resource::Fsize, rlimits.file_size),
    ];
    for (resource, at_most) in asked {
        let Some(at_most) = at_most else { continue };
        let Rlimit { current, maximum } = getrlimit(resource);
        let lower = |limit: Option<u64>| Some(limit.map_or(at_most, |limit| limit.min(at_most)));
        setrlimit(resource, Rlimit { current: lower(current), maximum: lower(maximum) })
            .tried(|| format!("limit {resource:?} to {at_most}"))?;
    }
    Ok(())
}

/// What holds for the inner stage and all that descends from it, besides [`guard`].
pub(super) fn confine(landlock: &Landlock, filter: ErrnoFilter) -> Result<Restricted> {
    leave_session_keyring().tried(|| "leave the session keyring")?;
    drop_capabilities()?;
    let restricted = restrict_files(landlock)?;
    if let Some(program) = errno::program(filter) {
        seccomp::apply(&program).tried(|| "install the errno filter")?;
    }
    Ok(restricted)
}

/// bwrap has emptied the sets; what it left, goes; what cannot go, ends the start. (The
/// securebits, which guard against getting them back, cannot be set without `CAP_SETPCAP`;
/// `no_new_privs` does the same here.)
fn drop_capabilities() -> Result<()> {
    let sets = [
        CapSet::Bounding,
        CapSet::Ambient,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Permitted,
    ];
    for set in sets {
        caps::clear(None, set).tried(|| "drop the capabilities")?;
    }
    for set in sets {
        if !caps::read(None, set).tried(|| "read the capabilities")?.is_empty() {
            return Err(Error::launcher(format!("the {set:?} set of capabilities is not empty")));
        }
    }
    Ok(())
}

fn restrict_files(asked: &Landlock) -> Result<Restricted> {
    if asked.demand == Demand::Off {
        return Ok(Restricted { status: "off", abi: 0 });
    }
    let status = apply(asked).tried(|| "restrict the inner stage by Landlock")?;
    let restricted = Restricted { status: word(&status.ruleset), abi: abi(status.landlock) };
    if asked.demand == Demand::Required && status.ruleset != RulesetStatus::FullyEnforced {
        return Err(Error::launcher(format!(
            "Landlock is required, and this kernel enforces it {} (version {})",
            restricted.status, restricted.abi
        ))
        .hint("Linux 6.12 has all of it; `landlock = \"best-effort\"` takes what there is"));
    }
    Ok(restricted)
}

fn apply(asked: &Landlock) -> Result<RestrictionStatus, landlock::RulesetError> {
    // `Required` is judged by the status, so that the error can say what there is.
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::from_all(TRIED))?;
    if asked.files {
        ruleset = ruleset.handle_access(AccessFs::from_all(TRIED))?;
    }
    let mut ruleset = ruleset.create()?;
    if asked.files {
        // A path that is not there is left out: what is not named is refused. The names of what is
        // mounted may be listed from the root on. Nobody inside has a use for a device node, and an
        // overlay file system takes one for the absence of a file (whiteout).
        let write = AccessFs::from_all(TRIED) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
        ruleset = ruleset
            .add_rules(path_beneath_rules(["/"], AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(paths(&asked.read), AccessFs::from_read(TRIED)))?
            .add_rules(path_beneath_rules(paths(&asked.write), write))?;
    }
    ruleset.restrict_self()
}

fn paths(list: &[Bytes]) -> impl Iterator<Item = &std::path::Path> {
    list.iter().map(Bytes::as_path)
}

fn word(status: &RulesetStatus) -> &'static str {
    match status {
        RulesetStatus::FullyEnforced => "fully",
        RulesetStatus::PartiallyEnforced => "partially",
        RulesetStatus::NotEnforced => "not-enforced",
    }
}

fn abi(status: LandlockStatus) -> u32 {
    match status {
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            let known = effective_abi as u32;
            kernel_abi.and_then(|newer| u32::try_from(newer).ok()).unwrap_or(known)
        }
        _ => 0,
    }
}
