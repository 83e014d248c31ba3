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
use crate::host::cgroup::{Cgroups, Controller, Level};
use crate::profile::amounts::Limit as Amount;
use crate::profile::schema::Demand;
use crate::profile::settings::{LimitSettings, Origin, Settings, Settled};
use crate::sandbox::limits::{self, Group, NOT_ENFORCED, Rlimits};

/// Since this kernel `RLIMIT_NPROC` counts the processes of a user namespace; before, all that the
/// user runs.
const NPROC_PER_NAMESPACE: (u32, u32) = (5, 14);

/// Everything that is decided about limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How hard they are demanded.
    pub demand: Settled<Demand>,
    /// On everything inside together.
    pub together: limits::Limits,
    /// On each process.
    pub each: Rlimits,
    /// Each limit that was asked for: its key, what holds, who said it.
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
        return Ok(off(demand));
    }
    let memory = at_most(asked.memory.as_ref()).map(|memory| memory.bytes(host.memory));
    let wanted = limits::Limits {
        demand: demand.value,
        memory,
        processes: at_most(asked.processes.as_ref()),
        cpu: at_most(asked.cpu.as_ref()),
        group: Group::None,
    };
    let needed = wanted.controllers();
    let (together, enforced) = choose(wanted, &host.cgroups);
    let each = each(asked, host, &enforced);
    let missing: Vec<&str> = together
        .in_force(&each, &enforced)
        .iter()
        .filter(|limit| limit.by == NOT_ENFORCED)
        .filter_map(|limit| KEYS.into_iter().find(|key| *key == limit.of))
        .collect();
    if demand.value == Demand::Required && !missing.is_empty() {
        let title = format!(
            "{}: limits are required, and cannot be enforced here: {} ({})",
            place(&demand.origin),
            missing.join(", "),
            why(host)
        );
        let error = Error::launcher(title).hint(remedy(host));
        return Err(error.hint("or use a profile with `limits.enforce = \"best-effort\"`"));
    }
    let mut weakened = Vec::new();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        weakened.push(format!("limits: {missing} cannot be limited here ({})", why(host)));
    }
    let lifted = [("memory", Controller::Memory), ("processes", Controller::Pids)];
    for (name, _) in lifted.iter().filter(|(_, controller)| !needed.contains(controller)) {
        weakened.push(format!("limits: no limit on {name}, by the profile"));
    }
    let shown = shown(asked, &together, &each, &enforced);
    Ok(Limits { demand, together, each, shown, weakened })
}

/// The keys of limits, as profiles and the log name them.
const KEYS: [&str; 5] = ["memory", "processes", "cpu", "open-files", "file-size"];

fn off(demand: Settled<Demand>) -> Limits {
    let together = limits::Limits { demand: Demand::Off, ..limits::Limits::default() };
    let weakened = vec!["limits: off, what is inside can use up the machine".to_owned()];
    Limits { demand, together, each: Rlimits::default(), shown: Vec::new(), weakened }
}

fn at_most<T: Copy>(asked: Option<&Settled<Amount<T>>>) -> Option<T> {
    match asked?.value {
        Amount::AtMost(amount) => Some(amount),
        Amount::Unlimited => None,
    }
}

/// A way to limit everything inside together.
struct Way {
    group: Group,
    controllers: BTreeSet<Controller>,
    /// Limits that hold for this process and would be left behind.
    memory: Option<u64>,
    processes: Option<u64>,
}

/// Takes the way that enforces the most of what is needed; of several the first. Answers with what
/// it enforces, too.
fn choose(
    mut wanted: limits::Limits,
    cgroups: &Cgroups,
) -> (limits::Limits, BTreeSet<Controller>) {
    let needed = wanted.controllers();
    let covers = |way: &Way| way.controllers.intersection(&needed).count();
    let mut best: Option<Way> = None;
    for way in ways(cgroups, &needed) {
        if covers(&way) > best.as_ref().map_or(0, covers) {
            best = Some(way);
        }
    }
    let Some(way) = best else { return (wanted, BTreeSet::new()) };
    wanted.memory = lower(wanted.memory, way.memory);
    wanted.processes = lower(wanted.processes, way.processes);
    wanted.group = way.group;
    let enforced = wanted.controllers().intersection(&way.controllers).copied().collect();
    (wanted, enforced)
}

fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// All ways, in the order in which they are preferred. Where systemd manages the groups nobody
/// else should make any (its "single-writer rule"), so it comes first.
fn ways(cgroups: &Cgroups, needed: &BTreeSet<Controller>) -> Vec<Way> {
    let systemd = cgroups.systemd.iter().map(|systemd| Way {
        group: Group::Systemd {
            busctl: (&*systemd.busctl).into(),
            runtime: systemd.runtime.as_deref().map(Bytes::from),
        },
        controllers: systemd.controllers.clone(),
        memory: None,
        processes: None,
    });
    let unified = cgroups.unified.iter().filter_map(|level| below(level, needed));
    let parents: BTreeMap<Controller, Bytes> = needed
        .iter()
        .filter_map(|controller| Some((*controller, (&**cgroups.v1.get(controller)?).into())))
        .collect();
    let v1 = Way {
        controllers: parents.keys().copied().collect(),
        group: Group::V1 { parents },
        memory: None,
        processes: None,
    };
    systemd.chain(unified).chain([v1]).collect()
}

/// A group below this level; none where it would leave a limit behind that it cannot repeat.
fn below(level: &Level, needed: &BTreeSet<Controller>) -> Option<Way> {
    let controllers: BTreeSet<_> =
        level.controllers.union(&level.could_pass_on).copied().collect();
    let escapes = (level.memory.is_some() && !controllers.contains(&Controller::Memory))
        || (level.processes.is_some() && !controllers.contains(&Controller::Pids));
    let mut used = needed.clone();
    used.extend(level.memory.map(|_| Controller::Memory));
    used.extend(level.processes.map(|_| Controller::Pids));
    let pass_on = used.difference(&level.controllers).copied();
    (!escapes).then(|| Way {
        group: Group::V2 {
            parent: (&*level.path).into(),
            pass_on: pass_on.filter(|new| level.could_pass_on.contains(new)).collect(),
        },
        controllers,
        memory: level.memory,
        processes: level.processes,
    })
}

/// The limits on each process. The kernel does not hold root to a number of processes. Where it
/// counts by namespace this is the second layer behind the group, elsewhere the last resort: there
/// it counts what the user runs outside, too.
fn each(asked: &LimitSettings, host: &Host, enforced: &BTreeSet<Controller>) -> Rlimits {
    let by_namespace = host.kernel_version().is_some_and(|kernel| kernel >= NPROC_PER_NAMESPACE);
    let counts = host.uid != 0 && (by_namespace || !enforced.contains(&Controller::Pids));
    Rlimits {
        processes: at_most(asked.processes.as_ref()).filter(|_| counts),
        open_files: at_most(asked.open_files.as_ref()),
        file_size: at_most(asked.file_size.as_ref()),
    }
}

/// Why this machine has no better group.
fn why(host: &Host) -> &'static str {
    let Cgroups { systemd, unified, v1 } = &host.cgroups;
    match (systemd.is_some(), unified.is_empty() && v1.is_empty(), host.uid) {
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
        (Some(_), 0) => "systemctl show -p DefaultControllers; boot without `cgroup_disable=`",
        (Some(_), _) => {
            "let systemd delegate it: `sudo systemctl edit user@.service`, there `[Service]` and \
             `Delegate=cpu memory pids`, then log in again"
        }
        (None, 0) => "mount /sys/fs/cgroup writable, or start claudebox where systemd runs",
        (None, _) => {
            "log in where systemd runs a manager for you, on cgroup v2 (`systemd-run --user true` \
             works there), with XDG_RUNTIME_DIR set"
        }
    }
}

/// The rows of `explain`.
fn shown(
    asked: &LimitSettings,
    together: &limits::Limits,
    each: &Rlimits,
    enforced: &BTreeSet<Controller>,
) -> Vec<(&'static str, String, Origin)> {
    let in_force = together.in_force(each, enforced);
    let origins = [
        asked.memory.as_ref().map(|it| &it.origin),
        asked.processes.as_ref().map(|it| &it.origin),
        asked.cpu.as_ref().map(|it| &it.origin),
        asked.open_files.as_ref().map(|it| &it.origin),
        asked.file_size.as_ref().map(|it| &it.origin),
    ];
    let row = |(key, origin): (&'static str, Option<&Origin>)| {
        let value = match in_force.iter().find(|limit| limit.of == key) {
            Some(limit) => format!("{}, {}", limits::amount(key, limit.at_most), limit.by),
            None => "unlimited".to_owned(),
        };
        Some((key, value, origin?.clone()))
    };
    KEYS.into_iter().zip(origins).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, at};
    use super::*;
    use crate::host::cgroup::Systemd;
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

    fn systemd(controllers: &[Controller]) -> Option<Systemd> {
        Some(Systemd {
            busctl: "/usr/bin/busctl".into(),
            runtime: Some("/run/user/1000".into()),
            controllers: controllers.iter().copied().collect(),
        })
    }

    fn level(path: &str, controllers: &[Controller]) -> Level {
        let controllers = controllers.iter().copied().collect();
        Level { path: path.into(), controllers, ..Level::default() }
    }

    fn by(limits: &Limits) -> Vec<&str> {
        limits.shown.iter().map(|(_, value, _)| value.rsplit_once(", ").unwrap().1).collect()
    }

    #[test]
    fn systemd_is_asked_first() {
        let (settings, mut host) = case();
        host.cgroups.systemd = systemd(&ALL);
        host.cgroups.unified = vec![level("/sys/fs/cgroup/mine", &ALL)];
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(by(&limits), ["systemd", "systemd", "systemd", "rlimit", "rlimit"]);
        assert_eq!(limits.together.memory, Some((16 << 30) * 8 / 10));
        assert_eq!(limits.weakened, [""; 0]);
        assert_eq!(limits.each.processes, Some(100), "the second layer");
    }

    #[test]
    fn what_enforces_more_is_preferred() {
        let (mut settings, mut host) = case();
        host.cgroups.systemd = systemd(&[Controller::Memory, Controller::Pids]);
        host.cgroups.unified = vec![level("/sys/fs/cgroup/mine", &ALL)];
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
    }

    #[test]
    fn limits_that_hold_for_us_are_not_left_behind() {
        let (mut settings, mut host) = case();
        settings.limits.memory = Some(at(5, Amount::Unlimited));
        settings.limits.cpu = None;
        let held = Level {
            memory: Some(1 << 30),
            processes: Some(50),
            ..level("/sys/fs/cgroup/up", &[Controller::Pids])
        };
        host.cgroups.unified = vec![held.clone()];
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(limits.together.group, Group::None, "it would lose the limit on memory");
        host.cgroups.unified =
            vec![Level { could_pass_on: [Controller::Memory].into(), ..held.clone() }];
        let limits = settle(&settings, &host).unwrap();
        assert_eq!((limits.together.memory, limits.together.processes), (Some(1 << 30), Some(50)));
        let pass_on = [Controller::Memory].into();
        let parent = "/sys/fs/cgroup/up".into();
        assert_eq!(limits.together.group, Group::V2 { parent, pass_on });
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
        host.cgroups.systemd = systemd(&ALL);
        assert_eq!(settle(&settings, &host).unwrap().each.processes, None);
    }

    #[test]
    fn lifted_limits_are_said() {
        let (mut settings, host) = case();
        settings.limits.memory = Some(at(5, Amount::Unlimited));
        settings.limits.processes = None;
        settings.limits.cpu = None;
        let limits = settle(&settings, &host).unwrap();
        let expected =
            ["limits: no limit on memory, by the profile", "limits: no limit on processes, by the profile"];
        assert_eq!(limits.weakened, expected);
        settings.limits.enforce = Some(at(1, Demand::Off));
        let limits = settle(&settings, &host).unwrap();
        assert_eq!(limits.each, Rlimits::default());
        assert_eq!(limits.weakened.len(), 1);
    }
}
