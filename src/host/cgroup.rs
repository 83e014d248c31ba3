//! Where a limit on everything inside together could come from: a systemd that makes groups for
//! this user, or a control group (cgroups(7)) that this process may make others below. It must
//! never make or change one, and never decide which is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Access, AtFlags, CWD, accessat, statfs};
use serde::{Deserialize, Serialize};

/// Where control groups are mounted, by the convention of every distribution (file-hierarchy(7)).
const MOUNT: &str = "/sys/fs/cgroup";
/// `linux/magic.h`
const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;
/// `linux/magic.h`
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;

/// Where busctl(1) is. Not searched along `PATH`: a project could have put another there.
const BUSCTL: [&str; 3] = ["/usr/bin/busctl", "/bin/busctl", "/run/current-system/sw/bin/busctl"];

/// What a group limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// Time of the processors.
    Cpu,
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
}

impl FromStr for Controller {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "memory" => Ok(Self::Memory),
            "pids" => Ok(Self::Pids),
            _ => Err(()),
        }
    }
}

/// What this machine has for this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// The systemd that makes groups for this user.
    pub systemd: Option<Systemd>,
    /// Version 2: the groups, from our own upwards, that we may make others below.
    pub unified: Vec<Level>,
    /// Version 1: our own group in the hierarchy of each controller, where we may make others
    /// below it.
    pub v1: BTreeMap<Controller, PathBuf>,
}

/// The manager of a user, or for root that of the system (systemd(1)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Systemd {
    /// busctl(1), which talks to it.
    pub busctl: PathBuf,
    /// `$XDG_RUNTIME_DIR` of the user; `None` for the system's manager.
    pub runtime: Option<PathBuf>,
    /// What it can limit.
    pub controllers: BTreeSet<Controller>,
}

/// A group of version 2 that we may make others below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Its directory.
    pub path: PathBuf,
    /// What it passes on to groups below it (`cgroup.subtree_control`).
    pub controllers: BTreeSet<Controller>,
    /// What it could pass on as well: only the root of all groups can while processes are in it.
    pub could_pass_on: BTreeSet<Controller>,
    /// The lowest limit, in bytes, of the groups between this one and ours, ours included. A group
    /// beside them would leave it behind.
    pub memory: Option<u64>,
    /// The same for processes.
    pub processes: Option<u64>,
}

impl Cgroups {
    /// Looks at what there is for this user. `runtime` is a `$XDG_RUNTIME_DIR` that is the user's
    /// alone.
    pub(super) fn probe(uid: u32, runtime: Option<&Path>) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = Own::parse(&own);
        let mount = Path::new(MOUNT);
        if is_mounted(mount, CGROUP2_SUPER_MAGIC) {
            return Self {
                systemd: systemd(mount, uid, runtime),
                unified: levels(mount, &own),
                v1: BTreeMap::new(),
            };
        }
        let unified = levels(&mount.join("unified"), &own);
        Self { systemd: None, unified, v1: hierarchies(mount, &own) }
    }
}

/// Our own groups, by `/proc/self/cgroup`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Own {
    /// In version 2.
    unified: Option<PathBuf>,
    /// In version 1: the controllers of a hierarchy, as its directory is called, and the group.
    v1: Vec<(String, PathBuf)>,
}

impl Own {
    fn parse(text: &str) -> Self {
        let mut own = Self::default();
        for line in text.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let Some(path) = relative(path) else { continue };
            if controllers.is_empty() {
                own.unified = Some(path);
            } else {
                own.v1.push((controllers.to_owned(), path));
            }
        }
        own
    }
}

/// The path below the mount. A group outside of the namespace of groups that we are in is shown
/// with `..` (`cgroup_namespaces(7)`): we cannot reach it.
fn relative(path: &str) -> Option<PathBuf> {
    let path = Path::new(path.strip_prefix('/')?);
    path.components().all(|part| matches!(part, Component::Normal(_))).then(|| path.to_owned())
}

/// The hierarchies of version 1 in which we may make a group.
fn hierarchies(mount: &Path, own: &Own) -> BTreeMap<Controller, PathBuf> {
    let mut found = BTreeMap::new();
    for (names, group) in &own.v1 {
        let controllers: Vec<Controller> =
            names.split(',').filter_map(|name| name.parse().ok()).collect();
        if controllers.is_empty() {
            continue;
        }
        let hierarchy = mount.join(names);
        let group = hierarchy.join(group);
        if is_mounted(&hierarchy, CGROUP_SUPER_MAGIC) && may_write(&group) {
            found.extend(controllers.into_iter().map(|controller| (controller, group.clone())));
        }
    }
    found
}

/// The groups of version 2, from ours upwards, in which we may make one and move a process from
/// ours into it: that takes the right to write the nearest common ancestor's `cgroup.procs`.
fn levels(mount: &Path, own: &Own) -> Vec<Level> {
    let Some(group) = &own.unified else { return Vec::new() };
    if controllers(&mount.join("cgroup.controllers")).is_empty() {
        return Vec::new();
    }
    let mut levels = Vec::new();
    let (mut memory, mut processes) = (None, None);
    for path in group.ancestors().map(|path| mount.join(path)) {
        if may_write(&path) && may_write(&path.join("cgroup.procs")) {
            // The root of all groups is the only one without a type.
            let is_root = !path.join("cgroup.type").exists();
            levels.push(Level {
                controllers: controllers(&path.join("cgroup.subtree_control")),
                could_pass_on: if is_root {
                    controllers(&path.join("cgroup.controllers"))
                } else {
                    BTreeSet::new()
                },
                memory,
                processes,
                path: path.clone(),
            });
        }
        memory = lower(memory, number(&path.join("memory.max")));
        processes = lower(processes, number(&path.join("pids.max")));
    }
    levels
}

fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// The number in a file of a group; `None` for `max`.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn controllers(file: &Path) -> BTreeSet<Controller> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().filter_map(|name| name.parse().ok()).collect()
}

/// The manager that makes groups for this user: its own, or for root that of the system. Version 1
/// is not delegated to users, and there root needs no systemd.
fn systemd(mount: &Path, uid: u32, runtime: Option<&Path>) -> Option<Systemd> {
    let socket = |path: &Path| fs::symlink_metadata(path).is_ok();
    let (runtime, controllers_of) = if uid == 0 {
        if !socket(Path::new("/run/systemd/private"))
            || !socket(Path::new("/run/dbus/system_bus_socket"))
        {
            return None;
        }
        (None, mount.to_owned())
    } else {
        let runtime = runtime?;
        if !socket(&runtime.join("systemd/private")) || !socket(&runtime.join("bus")) {
            return None;
        }
        let service = format!("user.slice/user-{uid}.slice/user@{uid}.service");
        (Some(runtime.to_owned()), mount.join(service))
    };
    let busctl = BUSCTL.into_iter().map(PathBuf::from).find(|path| path.is_file())?;
    let controllers = controllers(&controllers_of.join("cgroup.controllers"));
    Some(Systemd { busctl, runtime, controllers })
}

fn is_mounted(path: &Path, magic: i64) -> bool {
    statfs(path).is_ok_and(|found| found.f_type == magic)
}

/// Whether the effective user may write it, and it is not on a read-only mount.
fn may_write(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_groups_are_read_from_proc() {
        let own = Own::parse(
            "12:cpu,cpuacct:/user.slice\n4:memory:/a:b\n1:name=systemd:/x\n0::/user.slice/s.scope\n",
        );
        assert_eq!(own.unified, Some("user.slice/s.scope".into()));
        assert_eq!(
            own.v1,
            [
                ("cpu,cpuacct".to_owned(), PathBuf::from("user.slice")),
                ("memory".to_owned(), "a:b".into()),
                ("name=systemd".to_owned(), "x".into()),
            ]
        );
        assert_eq!(Own::parse("0::/\n").unified, Some("".into()));
    }

    #[test]
    fn a_group_that_is_out_of_reach_is_none() {
        assert_eq!(Own::parse("0::/../../x\n4:memory:/..\nnonsense\n"), Own::default());
    }

    #[test]
    fn limits_between_a_level_and_us_are_known() {
        // No group file system, but the same files.
        let mount = tempfile::tempdir().unwrap();
        let group = mount.path().join("a/b");
        fs::create_dir_all(&group).unwrap();
        let write = |path: &str, text: &str| fs::write(mount.path().join(path), text).unwrap();
        write("cgroup.controllers", "cpu memory pids io");
        for path in ["", "a/", "a/b/"] {
            write(&format!("{path}cgroup.procs"), "");
        }
        write("a/cgroup.type", "domain");
        write("a/b/cgroup.type", "domain");
        write("cgroup.subtree_control", "memory pids");
        write("a/cgroup.subtree_control", "memory");
        write("a/b/memory.max", "1000\n");
        write("a/memory.max", "500\n");
        write("a/b/pids.max", "max\n");
        let own = Own { unified: Some("a/b".into()), v1: Vec::new() };
        let levels = levels(mount.path(), &own);
        let memory: Vec<_> = levels.iter().map(|level| level.memory).collect();
        assert_eq!(memory, [None, Some(1000), Some(500)]);
        assert_eq!(levels[1].controllers, [Controller::Memory].into());
        assert_eq!(levels[1].could_pass_on, BTreeSet::new());
        assert_eq!(levels[2].could_pass_on.len(), 3);
        assert!(levels.iter().all(|level| level.processes.is_none()));
    }
}
