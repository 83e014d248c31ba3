//! How much of the machine is granted, and by which of the kernel's means that is enforced here:
//! a systemd that makes groups for this user, a control group of our own, or limits on each
//! process. What is demanded and cannot be enforced is an error; what is wanted and cannot be is
//! said. It must never call a limit enforced that the kernel does not hold what is inside to.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use super::paths::place;
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::host::cgroup::{Cgroups, Controller};
use crate::log::event::Limit;
use crate::plan::limits::{
    self, CPU, FILE_SIZE, Group, MEMORY, Maker, NOT_ENFORCED, OPEN_FILES, PROCESSES, RLIMIT,
    Rlimits,
};
use crate::profile::amounts::Limit as Amount;
use crate::profile::origin::{Origin, Settled};
use crate::profile::schema::Demand;
use crate::profile::settings::{LimitSettings, Settings};

/// Since this kernel `RLIMIT_NPROC` counts the processes of a user namespace; before, all that the
/// user runs.
const NPROC_PER_NAMESPACE: (u32, u32) = (5, 14);

/// Everything that is decided about limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How hard they are demanded.
    pub demand: Settled<Demand>,
    /// What holds everything inside.
    pub held: limits::Limits,
    /// What holds each process.
    pub each: Rlimits,
    /// Each limit that a profile speaks of: its key, what holds, who said it.
    pub shown: Vec<(&'static str, String, Origin)>,
    /// What is not limited, one phrase each.
    pub weakened: Vec<String>,
}

/// Settles all of it.
///
/// # Errors
/// When a limit is required that this machine cannot enforce.
pub(super) fn settle(settings: &Settings, host: &Host) -> Result<Limits> {
    let asked = &settings.limits;
    let demand = asked.enforce.clone().unwrap_or_else(|| super::default(Demand::BestEffort));
    if demand.value == Demand::Off {
        let weakened = vec!["limits: off, what is inside can use up the machine".to_owned()];
        let (held, each) = (limits::Limits::default(), Rlimits::default());
        return Ok(Limits { demand, held, each, shown: Vec::new(), weakened });
    }
    let wanted = Wanted {
        memory: at_most(asked.memory.as_ref()).map(|memory| memory.bytes(host.memory)),
        processes: at_most(asked.processes.as_ref()),
        cpu: at_most(asked.cpu.as_ref()),
    };
    let group = wanted.group(&host.cgroups);
    let each = each(asked, host, group.as_ref());
    let all = all(&wanted, group.as_ref(), &each);
    let missing: Vec<&str> =
        all.iter().filter(|limit| limit.by == NOT_ENFORCED).map(|limit| &*limit.of).collect();
    let required = demand.value == Demand::Required;
    if required && !missing.is_empty() {
        return Err(cannot(&demand, &missing, host));
    }
    let mut weakened = Vec::new();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        weakened.push(format!("limits: {missing} cannot be limited here ({})", why(host)));
    }
    let lifted = [(MEMORY, wanted.memory), (PROCESSES, wanted.processes)];
    for (name, _) in lifted.iter().filter(|(_, wanted)| wanted.is_none()) {
        weakened.push(format!("limits: no limit on {name}, by the profile"));
    }
    let shown = shown(asked, &all);
    Ok(Limits { demand, held: limits::Limits { required, group, all }, each, shown, weakened })
}

fn at_most<T: Copy>(asked: Option<&Settled<Amount<T>>>) -> Option<T> {
    match asked?.value {
        Amount::AtMost(amount) => Some(amount),
        Amount::Unlimited => None,
    }
}

/// What everything inside may have together; `None` is unlimited.
struct Wanted {
    memory: Option<u64>,
    processes: Option<u64>,
    cpu: Option<u32>,
}

impl Wanted {
    /// The group that enforces the most of it; of several the first. Where systemd manages the
    /// groups nobody else should make any (its "single-writer rule"), so it comes first.
    fn group(&self, cgroups: &Cgroups) -> Option<Group> {
        let systemd = cgroups.systemd.iter().map(|systemd| {
            let program = (&*systemd.program).into();
            let runtime = systemd.runtime.as_deref().map(Bytes::from);
            self.held_by(Maker::Systemd { program, runtime }, &systemd.controllers)
        });
        let v2 = cgroups
            .v2
            .iter()
            .map(|v2| self.held_by(Maker::V2((&*v2.path).into()), &v2.controllers));
        let mut best: Option<Group> = None;
        for group in systemd.chain(v2).chain([self.in_version_1(&cgroups.v1)]) {
            if held(&group) > best.as_ref().map_or(0, held) {
                best = Some(group);
            }
        }
        best
    }

    fn held_by(&self, maker: Maker, controllers: &BTreeSet<Controller>) -> Group {
        Group {
            maker,
            memory: self.memory.filter(|_| controllers.contains(&Controller::Memory)),
            processes: self.processes.filter(|_| controllers.contains(&Controller::Pids)),
            cpu: self.cpu.filter(|_| controllers.contains(&Controller::Cpu)),
        }
    }

    /// In the hierarchies of what is limited, and no other.
    fn in_version_1(&self, parents: &BTreeMap<Controller, std::path::PathBuf>) -> Group {
        let mut group =
            self.held_by(Maker::V1(BTreeMap::new()), &parents.keys().copied().collect());
        let used = parents.iter().filter(|(controller, _)| group.has(**controller));
        group.maker =
            Maker::V1(used.map(|(controller, path)| (*controller, (&**path).into())).collect());
        group
    }
}

fn held(group: &Group) -> usize {
    [Controller::Cpu, Controller::Memory, Controller::Pids]
        .into_iter()
        .filter(|controller| group.has(*controller))
        .count()
}

/// The limits on each process. The kernel does not hold root to a number of processes. Where it
/// counts by namespace this is the second layer behind the group, elsewhere the last resort: there
/// it counts what the user runs outside, too.
fn each(asked: &LimitSettings, host: &Host, group: Option<&Group>) -> Rlimits {
    let by_namespace = host.kernel_version().is_some_and(|kernel| kernel >= NPROC_PER_NAMESPACE);
    let in_group = group.is_some_and(|group| group.processes.is_some());
    let counts = host.uid != 0 && (by_namespace || !in_group);
    Rlimits {
        processes: at_most(asked.processes.as_ref()).filter(|_| counts),
        open_files: at_most(asked.open_files.as_ref()),
        file_size: at_most(asked.file_size.as_ref()),
    }
}

/// Each limit with what enforces it.
fn all(wanted: &Wanted, group: Option<&Group>, rlimits: &Rlimits) -> Vec<Limit> {
    let by_group = |controller| {
        let group = group.filter(|group| group.has(controller));
        group.map_or(NOT_ENFORCED, |group| group.maker.word())
    };
    let processes = match by_group(Controller::Pids) {
        NOT_ENFORCED if rlimits.processes.is_some() => RLIMIT,
        by => by,
    };
    let all = [
        (MEMORY, wanted.memory, by_group(Controller::Memory)),
        (PROCESSES, wanted.processes, processes),
        (CPU, wanted.cpu.map(u64::from), by_group(Controller::Cpu)),
        (OPEN_FILES, rlimits.open_files, RLIMIT),
        (FILE_SIZE, rlimits.file_size, RLIMIT),
    ];
    let limit = |(of, at_most, by): (&str, Option<u64>, &str)| {
        Some(Limit { of: of.to_owned(), at_most: at_most?, by: by.to_owned() })
    };
    all.into_iter().filter_map(limit).collect()
}

fn cannot(demand: &Settled<Demand>, missing: &[&str], host: &Host) -> Error {
    let (place, missing) = (place(&demand.origin), missing.join(", "));
    let title = format!(
        "{place}: limits are required, and cannot be enforced here: {missing} ({})",
        why(host)
    );
    let error = Error::launcher(title).hint(remedy(host));
    error.hint("or use a profile with `limits.enforce = \"best-effort\"`")
}

/// Why this machine has no better group.
fn why(host: &Host) -> &'static str {
    let Cgroups { systemd, v2, v1 } = &host.cgroups;
    match (systemd.is_some(), v2.is_none() && v1.is_empty(), host.uid) {
        (true, ..) => "systemd does not delegate that to this user",
        (false, false, _) => "the control group of this process does not pass that on",
        (false, true, 0) => "no control group can be made here",
        (false, true, _) => {
            "no systemd manages groups for this user, and no control group is this user's"
        }
    }
}

/// What to do for better.
pub fn remedy(host: &Host) -> &'static str {
    match (&host.cgroups.systemd, host.uid) {
        (Some(_), 0) => "see which controllers the kernel was booted without: `cat /proc/cgroups`",
        (Some(_), _) => {
            "let systemd delegate it: `sudo systemctl edit user@.service`, there `[Service]` and \
             `Delegate=cpu memory pids`, then log in again"
        }
        (None, 0) => "mount /sys/fs/cgroup writable, or start claudebox where systemd runs",
        (None, _) => {
            "log in where systemd runs a manager for you, on cgroup v2 (`systemd-run --user \
             --scope true` works there), with XDG_RUNTIME_DIR set"
        }
    }
}

/// The rows of `explain`.
fn shown(asked: &LimitSettings, all: &[Limit]) -> Vec<(&'static str, String, Origin)> {
    let origins = [
        (MEMORY, asked.memory.as_ref().map(|it| &it.origin)),
        (PROCESSES, asked.processes.as_ref().map(|it| &it.origin)),
        (CPU, asked.cpu.as_ref().map(|it| &it.origin)),
        (OPEN_FILES, asked.open_files.as_ref().map(|it| &it.origin)),
        (FILE_SIZE, asked.file_size.as_ref().map(|it| &it.origin)),
    ];
    let row = |(key, origin): (&'static str, Option<&Origin>)| {
        let value = match all.iter().find(|limit| limit.of == key) {
            Some(limit) => format!("{}, {}", limits::amount(key, limit.at_most), limit.by),
            None => "unlimited".to_owned(),
        };
        Some((key, value, origin?.clone()))
    };
    origins.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, at};
    use super::*;
    use crate::host::cgroup::{Systemd, V2};
    use crate::profile::amounts::Memory;

    const ALL: [Controller; 3] = [Controller::Cpu, Controller::Memory, Controller::Pids];

    /// 80% of 16 GiB, 100 processes, one and a half processors, 99 files, 1 GiB each.
    fn case() -> (Settings, Host) {
        let Case { mut settings, host, .. } = Case::debian();
        settings.limits = LimitSettings {
            enforce: Some(at(1, Demand::BestEffort)),
            processes: Some(at(2, Amount::AtMost(100))),
            open_files: Some(at(3, Amount::AtMost(99))),
            file_size: Some(at(4, Amount::AtMost(1 << 30))),
            memory: Some(at(5, Amount::AtMost(Memory::Percent(80)))),
            cpu: Some(at(6, Amount::AtMost(150))),
        };
        (settings, host)
    }

    fn systemd(controllers: &[Controller]) -> Systemd {
        Systemd {
            program: "/usr/bin/busctl".into(),
            runtime: Some("/run/user/1000".into()),
            controllers: controllers.iter().copied().collect(),
        }
    }

    fn v2(controllers: &[Controller]) -> V2 {
        let controllers = controllers.iter().copied().collect();
        V2 { path: "/sys/fs/cgroup/mine".into(), controllers }
    }

    fn by(limits: &Limits) -> Vec<&str> {
        limits.shown.iter().map(|(_, value, _)| value.rsplit_once(", ").unwrap().1).collect()
    }

    #[test]
    fn systemd_is_asked_first() {
        let (settings, mut host) = case();
        host.cgroups.systemd = Some(systemd(&ALL));
        host.cgroups.v2 = Some(v2(&ALL));
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(by(&limits), ["systemd", "systemd", "systemd", "rlimit", "rlimit"]);
        assert_eq!(limits.weakened, [""; 0]);
        assert_eq!(limits.each.processes, Some(100), "the second layer");
        assert_eq!(limits.held.group.unwrap().memory, Some((16 << 30) * 8 / 10));
    }

    #[test]
    fn what_enforces_more_is_preferred() {
        let (mut settings, mut host) = case();
        host.cgroups.systemd = Some(systemd(&[Controller::Memory, Controller::Pids]));
        host.cgroups.v2 = Some(v2(&ALL));
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(by(&limits)[..3], ["cgroup-v2"; 3]);
        settings.limits.cpu = None;
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(by(&limits)[..2], ["systemd"; 2], "nothing more is needed");
    }

    #[test]
    fn roots_own_groups_of_version_1() {
        let (settings, mut host) = case();
        host.uid = 0;
        host.cgroups.v1 = [
            (Controller::Memory, "/sys/fs/cgroup/memory/a".into()),
            (Controller::Pids, "/sys/fs/cgroup/pids".into()),
        ]
        .into();
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(by(&limits)[..3], ["cgroup-v1", "cgroup-v1", "not-enforced"]);
        assert_eq!(limits.each.processes, None, "the kernel does not hold root to it");
        assert_eq!(
            limits.weakened,
            ["limits: cpu cannot be limited here (the control group of this process does not \
              pass that on)"]
        );
        let group = limits.held.group.unwrap();
        let Maker::V1(parents) = &group.maker else { panic!("{group:?}") };
        assert_eq!((parents.len(), group.cpu), (2, None));
    }

    #[test]
    fn without_any_group_the_last_resort_is_visible() {
        let (mut settings, mut host) = case();
        let limits = settle(&settings, &host).unwrap();
        let expected = ["not-enforced", "rlimit", "not-enforced", "rlimit", "rlimit"];
        assert_eq!(by(&limits), expected);
        assert!(limits.weakened[0].contains("memory, cpu cannot be limited here"));
        host.uid = 0;
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(by(&limits)[1], "not-enforced", "root can fork as often as it likes");
        settings.limits.enforce = Some(at(1, Demand::Required));
        let error = settle(&settings, &host).unwrap_err();
        assert_eq!(
            error.to_string(),
            "test.toml:1: limits are required, and cannot be enforced here: memory, processes, cpu \
             (no control group can be made here)"
        );
        assert_eq!(error.kind(), crate::error::Kind::Launcher);
    }

    #[test]
    fn an_old_kernel_counts_what_the_user_runs_outside() {
        let (settings, mut host) = case();
        host.kernel = "5.10.0-28-amd64".into();
        assert_eq!(settle(&settings, &host).unwrap().each.processes, Some(100), "a last resort");
        host.cgroups.systemd = Some(systemd(&ALL));
        assert_eq!(settle(&settings, &host).unwrap().each.processes, None);
    }

    #[test]
    fn lifted_limits_are_said() {
        let (mut settings, host) = case();
        settings.limits.memory = Some(at(5, Amount::Unlimited));
        settings.limits.processes = None;
        settings.limits.cpu = None;
        let limits = settle(&settings, &host).unwrap();
        let expected = [
            "limits: no limit on memory, by the profile",
            "limits: no limit on processes, by the profile",
        ];
        assert_eq!(limits.weakened, expected);
        settings.limits.enforce = Some(at(1, Demand::Off));
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(limits.held, limits::Limits::default());
        assert_eq!(limits.weakened.len(), 1);
    }
}
