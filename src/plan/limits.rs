//! What everything inside may take of the machine, as the plan says it: amounts, the control group
//! that holds them, and what is written to it. It must never say that a limit holds which nothing
//! enforces.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::host::cgroup::Controller;
use crate::log::event::Limit;

/// All limits of a session but the sizes of its file systems.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Without what the group holds there is no session.
    pub required: bool,
    /// What holds everything inside together.
    pub group: Option<Group>,
    /// Each limit that was asked for, with what enforces it.
    pub all: Vec<Limit>,
}

/// Limits on each process, setrlimit(2); `processes` alone counts everything inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimits {
    /// `RLIMIT_NPROC`. The kernel does not hold root to it (fork(2), `EAGAIN`).
    pub processes: Option<u64>,
    /// `RLIMIT_NOFILE`
    pub open_files: Option<u64>,
    /// `RLIMIT_FSIZE`, bytes.
    pub file_size: Option<u64>,
}

/// The control group of a session (cgroups(7)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Who makes it.
    pub maker: Maker,
    /// Memory in bytes, with files in memory and swap.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Time, in hundredths of one processor.
    pub cpu: Option<u32>,
}

/// What a manager does with a scope in which the kernel has killed a process for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfMemory {
    /// Nothing: the kernel's choice was the one to end, and what else is inside goes on.
    Continue,
    /// What it does by itself. One that does not know the property [`OOM_POLICY`] leaves it alone, a later
    /// one stops it: one compiler too large would end the session.
    Unsaid,
}

/// The property of a scope that says so (systemd.scope(5)).
pub const OOM_POLICY: &str = "OOMPolicy";

/// Who makes a group, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// A manager makes a scope (systemd.scope(5)) and takes it away again.
    Systemd {
        /// The program busctl(1).
        program: Bytes,
        /// `$XDG_RUNTIME_DIR` of the user's manager; `None` for the system's.
        runtime: Option<Bytes>,
    },
    /// We make one of version 2 below this directory.
    V2(Bytes),
    /// We make one of version 1 below this directory of each controller's hierarchy.
    V1(BTreeMap<Controller, Bytes>),
}

impl Maker {
    /// See [`Limit::by`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::Systemd { .. } => "systemd",
            Self::V2(_) => "cgroup-v2",
            Self::V1(_) => "cgroup-v1",
        }
    }
}

/// See [`Limit::by`].
pub const NOT_ENFORCED: &str = "not-enforced";
/// See [`Limit::by`].
pub const RLIMIT: &str = "rlimit";

/// The names of limits, as profiles and the log have them.
pub const MEMORY: &str = "memory";
/// See [`MEMORY`].
pub const PROCESSES: &str = "processes";
/// See [`MEMORY`].
pub const CPU: &str = "cpu";
/// See [`MEMORY`].
pub const OPEN_FILES: &str = "open-files";
/// See [`MEMORY`].
pub const FILE_SIZE: &str = "file-size";

impl Limits {
    /// The same, once the group turned out not to be had, beside these limits on each process.
    #[must_use]
    pub fn without_group(&self, rlimits: &Rlimits) -> Self {
        let mut all = self.all.clone();
        for limit in all.iter_mut().filter(|limit| limit.by != RLIMIT) {
            let by = match &*limit.of {
                PROCESSES if rlimits.processes.is_some() => RLIMIT,
                _ => NOT_ENFORCED,
            };
            by.clone_into(&mut limit.by);
        }
        Self { group: None, all, ..*self }
    }
}

/// One file of a group and what is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub file: &'static str,
    /// What it says.
    pub value: String,
    /// A kernel without swap, or without accounting of it, lacks the file.
    pub may_lack: bool,
}

fn setting(file: &'static str, value: &impl ToString) -> Setting {
    Setting { file, value: value.to_string(), may_lack: false }
}

/// The time in which a share of the processors is used up, microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// Microseconds of each period.
fn quota(hundredths: u32) -> u64 {
    u64::from(hundredths) * PERIOD / 100
}

impl Group {
    /// What is asked of a controller.
    pub fn has(&self, controller: Controller) -> bool {
        match controller {
            Controller::Memory => self.memory.is_some(),
            Controller::Pids => self.processes.is_some(),
            Controller::Cpu => self.cpu.is_some(),
        }
    }

    /// The settings of one controller of version 1, in the order in which the kernel takes them.
    pub fn v1(&self, controller: Controller) -> Vec<Setting> {
        let settings = match controller {
            Controller::Memory => self.memory.map(|bytes| {
                let with_swap = setting("memory.memsw.limit_in_bytes", &bytes);
                vec![
                    setting("memory.limit_in_bytes", &bytes),
                    Setting { may_lack: true, ..with_swap },
                ]
            }),
            Controller::Pids => self.processes.map(|count| vec![setting("pids.max", &count)]),
            Controller::Cpu => self.cpu.map(|share| {
                vec![
                    setting("cpu.cfs_period_us", &PERIOD),
                    setting("cpu.cfs_quota_us", &quota(share)),
                ]
            }),
        };
        settings.unwrap_or_default()
    }

    /// The settings of version 2. It counts swap by itself; none is what keeps the sum.
    pub fn v2(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        if let Some(bytes) = self.memory {
            settings.push(setting("memory.max", &bytes));
            settings.push(Setting { may_lack: true, ..setting("memory.swap.max", &0) });
        }
        settings.extend(self.processes.map(|count| setting("pids.max", &count)));
        settings.extend(
            self.cpu.map(|share| setting("cpu.max", &format!("{} {PERIOD}", quota(share)))),
        );
        settings
    }

    /// The arguments of busctl(1) that have a manager make a scope of this name, with these processes
    /// in it (`org.freedesktop.systemd1(5)`, `StartTransientUnit`). It answers before it moves them.
    /// Only what every systemd with groups of version 2 for users has (236), but for `out_of_memory`.
    pub fn start_transient_unit(
        &self,
        scope: &str,
        of_user: bool,
        out_of_memory: OutOfMemory,
        members: [i32; 2],
    ) -> Vec<OsString> {
        let mut properties = vec![
            ("Description", "s", "what runs inside of claudebox".to_owned()),
            ("CollectMode", "s", "inactive-or-failed".to_owned()),
        ];
        if out_of_memory == OutOfMemory::Continue {
            properties.push((OOM_POLICY, "s", "continue".to_owned()));
        }
        if let Some(bytes) = self.memory {
            properties.push(("MemoryMax", "t", bytes.to_string()));
            properties.push(("MemorySwapMax", "t", "0".to_owned()));
        }
        properties.extend(self.processes.map(|count| ("TasksMax", "t", count.to_string())));
        // Microseconds of each second.
        let quota = self.cpu.map(|share| (u64::from(share) * 10_000).to_string());
        properties.extend(quota.map(|quota| ("CPUQuotaPerSecUSec", "t", quota)));

        let whose = if of_user { "--user" } else { "--system" };
        let service = "org.freedesktop.systemd1";
        let [object, interface] = ["/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
        let call = [whose, "--allow-interactive-authorization=no", "call", service, object];
        let method = [interface, "StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail"];
        let count = (properties.len() + 1).to_string();
        let pids = members.map(|pid| pid.to_string());
        let pids = ["PIDs", "au", "2", &pids[0], &pids[1]];
        let mut args: Vec<OsString> = call.into_iter().chain(method).map(OsString::from).collect();
        args.push(count.into());
        args.extend(
            properties
                .iter()
                .flat_map(|(name, kind, value)| [name, kind, &**value].map(OsString::from)),
        );
        // Nor any other unit.
        args.extend(pids.into_iter().chain(["0"]).map(OsString::from));
        args
    }
}

/// A limit's amount for a person.
pub fn amount(of: &str, at_most: u64) -> String {
    match of {
        MEMORY | FILE_SIZE => size(at_most),
        CPU => format!("{}.{:02} processors", at_most / 100, at_most % 100),
        _ => at_most.to_string(),
    }
}

/// A size, exact unless it is large and not round: then nobody wrote it, and nobody misses its last
/// digits.
pub fn size(bytes: u64) -> String {
    let exact = |shift: u32| bytes >> shift != 0 && bytes.trailing_zeros() >= shift;
    match bytes {
        _ if exact(30) => format!("{} GiB", bytes >> 30),
        _ if exact(20) => format!("{} MiB", bytes >> 20),
        _ if bytes >> 30 != 0 => {
            let tenths = (u128::from(bytes) * 10) >> 30;
            format!("{}.{} GiB", tenths / 10, tenths % 10)
        }
        _ if exact(10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(maker: Maker) -> Group {
        Group { maker, memory: Some(1 << 30), processes: Some(100), cpu: Some(150) }
    }

    fn written(settings: &[Setting]) -> Vec<String> {
        settings.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
    }

    #[test]
    fn version_1_takes_memory_before_memory_with_swap() {
        let group = group(Maker::V1(BTreeMap::new()));
        let expected =
            ["memory.limit_in_bytes=1073741824", "memory.memsw.limit_in_bytes=1073741824"];
        assert_eq!(written(&group.v1(Controller::Memory)), expected);
        assert_eq!(written(&group.v1(Controller::Pids)), ["pids.max=100"]);
        let expected = ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000"];
        assert_eq!(written(&group.v1(Controller::Cpu)), expected);
        let none = Group { memory: None, ..group };
        assert_eq!(none.v1(Controller::Memory), []);
    }

    #[test]
    fn version_2_has_one_directory() {
        let expected =
            ["memory.max=1073741824", "memory.swap.max=0", "pids.max=100", "cpu.max=150000 100000"];
        assert_eq!(written(&group(Maker::V2("/x".into())).v2()), expected);
    }

    #[test]
    fn systemd_is_asked_in_one_line() {
        let maker = Maker::Systemd { program: "/usr/bin/busctl".into(), runtime: None };
        let line = |group: &Group, of_user, out_of_memory| {
            let name = "claudebox-1-2.scope";
            let args = group.start_transient_unit(name, of_user, out_of_memory, [7, 8]);
            args.join("|".as_ref()).into_string().unwrap()
        };
        assert_eq!(
            line(&group(maker.clone()), true, OutOfMemory::Continue),
            "--user|--allow-interactive-authorization=no|call|org.freedesktop.systemd1|\
             /org/freedesktop/systemd1|org.freedesktop.systemd1.Manager|StartTransientUnit|\
             ssa(sv)a(sa(sv))|claudebox-1-2.scope|fail|8|\
             Description|s|what runs inside of claudebox|CollectMode|s|inactive-or-failed|\
             OOMPolicy|s|continue|\
             MemoryMax|t|1073741824|MemorySwapMax|t|0|TasksMax|t|100|\
             CPUQuotaPerSecUSec|t|1500000|PIDs|au|2|7|8|0"
        );
        let less = Group { memory: None, cpu: None, ..group(maker) };
        let line = line(&less, false, OutOfMemory::Unsaid);
        assert!(line.starts_with("--system|"), "{line}");
        assert!(line.contains("|fail|4|") && line.contains("|TasksMax|t|100|PIDs|"), "{line}");
    }

    #[test]
    fn without_its_group_a_session_does_not_claim_what_it_held() {
        let limit = |of: &str, by: &str| Limit { of: of.into(), at_most: 9, by: by.into() };
        let limits = Limits {
            group: Some(group(Maker::V2("/x".into()))),
            all: vec![
                limit(MEMORY, "cgroup-v2"),
                limit(PROCESSES, "cgroup-v2"),
                limit(OPEN_FILES, RLIMIT),
            ],
            ..Limits::default()
        };
        let by = |processes| {
            let rlimits = Rlimits { processes, ..Rlimits::default() };
            let without = limits.without_group(&rlimits);
            assert_eq!(without.group, None);
            without.all.into_iter().map(|limit| limit.by).collect::<Vec<_>>()
        };
        assert_eq!(by(None), [NOT_ENFORCED, NOT_ENFORCED, RLIMIT]);
        assert_eq!(by(Some(9)), [NOT_ENFORCED, RLIMIT, RLIMIT]);
    }

    #[test]
    fn amounts_are_round_or_exact() {
        assert_eq!(amount(MEMORY, 2 << 30), "2 GiB");
        assert_eq!(amount(MEMORY, 1536 << 20), "1536 MiB");
        assert_eq!(amount(MEMORY, 20_615_843_021), "19.2 GiB");
        assert_eq!(amount(FILE_SIZE, 1000), "1000 bytes");
        assert_eq!(amount(CPU, 150), "1.50 processors");
        assert_eq!(amount(PROCESSES, 8192), "8192");
    }
}
