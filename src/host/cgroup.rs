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

/// Where busctl(1), a part of systemd, is. Not searched along `PATH`: a project could have put another
/// there.
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
    /// Version 2: a group that we may make others below.
    pub v2: Option<V2>,
    /// Version 1: our own group in the hierarchy of each controller, where we may make others
    /// below it.
    pub v1: BTreeMap<Controller, PathBuf>,
}

/// The manager of a user, or for root that of the system (systemd(1)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Systemd {
    /// busctl(1), which talks to it.
    pub program: PathBuf,
    /// `$XDG_RUNTIME_DIR` of the user; `None` for the system's manager.
    pub runtime: Option<PathBuf>,
    /// What it can limit.
    pub controllers: BTreeSet<Controller>,
}

/// A group of version 2 that we may make others below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct V2 {
    /// Its directory.
    pub path: PathBuf,
    /// What groups below it can limit.
    pub controllers: BTreeSet<Controller>,
}

impl Cgroups {
    /// Looks at what there is for this user. `runtime` is a `$XDG_RUNTIME_DIR` that is the user's
    /// alone.
    pub(super) fn probe(uid: u32, runtime: Option<&Path>) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = Own::parse(&own);
        let mount = Path::new(MOUNT);
        if is_mounted(mount, CGROUP2_SUPER_MAGIC) {
            let (systemd, v2) = (systemd(mount, uid, runtime), v2(mount, &own));
            return Self { systemd, v2, v1: BTreeMap::new() };
        }
        Self { v1: hierarchies(mount, &own), ..Self::default() }
    }
}

/// Our own groups, by `/proc/self/cgroup`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Own {
    /// In version 2.
    v2: Option<PathBuf>,
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
                own.v2 = Some(path);
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

/// The nearest group of version 2, from ours upwards, in which we may make one and move a process
/// from ours into it: that takes the right to write the nearest common ancestor's `cgroup.procs`.
/// A group with processes passes nothing on, so ours will do only if it is the root of all groups.
/// Not beyond a group with a limit, which would be left behind.
fn v2(mount: &Path, own: &Own) -> Option<V2> {
    for group in own.v2.as_ref()?.ancestors() {
        let path = mount.join(group);
        // The root of all groups is the only one without a type.
        let is_root = !path.join("cgroup.type").exists();
        let passes = if is_root { "cgroup.controllers" } else { "cgroup.subtree_control" };
        let controllers = controllers(&path.join(passes));
        if !controllers.is_empty() && may_write(&path) && may_write(&path.join("cgroup.procs")) {
            return Some(V2 { path, controllers });
        }
        if ["memory.max", "pids.max", "cpu.max"].iter().any(|file| limits(&path.join(file))) {
            return None;
        }
    }
    None
}

/// Whether a file of a group says anything but `max`.
fn limits(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| !text.starts_with("max"))
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
    let program = BUSCTL.into_iter().map(PathBuf::from).find(|path| path.is_file())?;
    let controllers = controllers(&controllers_of.join("cgroup.controllers"));
    Some(Systemd { program, runtime, controllers })
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
        assert_eq!(own.v2, Some("user.slice/s.scope".into()));
        assert_eq!(
            own.v1,
            [
                ("cpu,cpuacct".to_owned(), PathBuf::from("user.slice")),
                ("memory".to_owned(), "a:b".into()),
                ("name=systemd".to_owned(), "x".into()),
            ]
        );
        assert_eq!(Own::parse("0::/\n").v2, Some("".into()));
    }

    #[test]
    fn a_group_that_is_out_of_reach_is_none() {
        assert_eq!(Own::parse("0::/../../x\n4:memory:/..\nnonsense\n"), Own::default());
    }

    #[test]
    fn a_limit_that_holds_for_us_is_not_left_behind() {
        // No group file system, but the same files.
        let mount = tempfile::tempdir().unwrap();
        fs::create_dir_all(mount.path().join("a/b")).unwrap();
        let write = |path: &str, text: &str| fs::write(mount.path().join(path), text).unwrap();
        write("cgroup.controllers", "cpu memory pids io\n");
        for path in ["", "a/", "a/b/"] {
            write(&format!("{path}cgroup.procs"), "");
        }
        write("a/cgroup.type", "domain\n");
        write("a/b/cgroup.type", "domain\n");
        write("a/b/cgroup.subtree_control", "\n");
        write("a/cgroup.subtree_control", "\n");
        write("a/b/memory.max", "max\n");
        let found = || {
            let v2 = v2(mount.path(), &Own { v2: Some("a/b".into()), v1: Vec::new() })?;
            Some((v2.path, v2.controllers.len()))
        };
        let root = Some((mount.path().to_owned(), 3));
        assert_eq!(found(), root);
        write("a/pids.max", "500\n");
        assert_eq!(found(), None);
        write("a/cgroup.subtree_control", "memory\n");
        assert_eq!(found(), Some((mount.path().join("a"), 1)));
        write("a/b/pids.max", "400\n");
        assert_eq!(found(), None);
    }
}
