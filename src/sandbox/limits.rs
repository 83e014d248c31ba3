//! What everything inside may take of the machine, as the plan says it: amounts, and the control
//! group that is to hold them. It must never say that a limit holds which nothing enforces.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::plan::Demand;
use crate::bytes::Bytes;
use crate::host::cgroup::Controller;
use crate::log::event::Limit;

/// Limits on everything inside together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How hard they are demanded.
    pub demand: Demand,
    /// Memory in bytes, with files in memory and swap.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Time, in hundredths of one processor.
    pub cpu: Option<u32>,
    /// What enforces them.
    pub group: Group,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// None.
    #[default]
    None,
    /// A scope (systemd.scope(5)) that a manager makes and takes away again.
    Systemd {
        /// The program busctl(1).
        busctl: Bytes,
        /// `$XDG_RUNTIME_DIR` of the user's manager; `None` for the system's.
        runtime: Option<Bytes>,
    },
    /// A group of version 2 below this directory.
    V2 {
        /// The directory.
        parent: Bytes,
        /// What it does not pass on to its groups yet.
        pass_on: BTreeSet<Controller>,
    },
    /// A group of version 1 below this directory of each controller's hierarchy.
    V1 {
        /// The directories.
        parents: BTreeMap<Controller, Bytes>,
    },
}

impl Group {
    /// See [`Limit::by`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => NOT_ENFORCED,
            Self::Systemd { .. } => "systemd",
            Self::V2 { .. } => "cgroup-v2",
            Self::V1 { .. } => "cgroup-v1",
        }
    }
}

/// See [`Limit::by`].
pub const NOT_ENFORCED: &str = "not-enforced";
/// See [`Limit::by`].
const RLIMIT: &str = "rlimit";

impl Limits {
    /// What a group is needed for.
    pub fn controllers(&self) -> BTreeSet<Controller> {
        let asked = [
            self.memory.map(|_| Controller::Memory),
            self.processes.map(|_| Controller::Pids),
            self.cpu.map(|_| Controller::Cpu),
        ];
        asked.into_iter().flatten().collect()
    }

    /// Every limit with what enforces it, where the group has only these controllers.
    pub fn in_force(&self, rlimits: &Rlimits, controllers: &BTreeSet<Controller>) -> Vec<Limit> {
        let by_group = |controller| {
            controllers.contains(&controller).then(|| self.group.word()).unwrap_or(NOT_ENFORCED)
        };
        let processes = match by_group(Controller::Pids) {
            NOT_ENFORCED if rlimits.processes.is_some() => RLIMIT,
            by => by,
        };
        let all = [
            ("memory", self.memory, by_group(Controller::Memory)),
            ("processes", self.processes, processes),
            ("cpu", self.cpu.map(u64::from), by_group(Controller::Cpu)),
            ("open-files", rlimits.open_files, RLIMIT),
            ("file-size", rlimits.file_size, RLIMIT),
        ];
        let limit = |(of, at_most, by): (&str, Option<u64>, &str)| {
            Some(Limit { of: of.to_owned(), at_most: at_most?, by: by.to_owned() })
        };
        all.into_iter().filter_map(limit).collect()
    }
}

/// A limit's amount for a person.
pub fn amount(of: &str, at_most: u64) -> String {
    match of {
        "memory" | "file-size" => size(at_most),
        "cpu" => format!("{at_most}%"),
        _ => at_most.to_string(),
    }
}

/// A size, exact where it is round.
pub fn size(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >> shift == 0 {
            continue;
        }
        if bytes.trailing_zeros() >= shift {
            return format!("{} {unit}", bytes >> shift);
        }
        // Larger than this, and not round: nobody wrote it, so nobody misses its last digits.
        if shift == 30 {
            let tenths = (u128::from(bytes) * 10) >> shift;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_enforced_is_called_so() {
        let limits = Limits {
            memory: Some(1 << 30),
            processes: Some(100),
            cpu: Some(150),
            group: Group::V1 { parents: BTreeMap::new() },
            ..Limits::default()
        };
        let by = |rlimits: &Rlimits, controllers: &[Controller]| -> Vec<(String, String)> {
            let controllers = controllers.iter().copied().collect();
            let limits = limits.in_force(rlimits, &controllers);
            limits.into_iter().map(|limit| (limit.of, limit.by)).collect()
        };
        let word = |of: &str, by: &str| (of.to_owned(), by.to_owned());
        assert_eq!(
            by(&Rlimits::default(), &[Controller::Memory]),
            [
                word("memory", "cgroup-v1"),
                word("processes", "not-enforced"),
                word("cpu", "not-enforced")
            ]
        );
        let rlimits = Rlimits { processes: Some(100), open_files: Some(99), file_size: None };
        assert_eq!(
            by(&rlimits, &[]),
            [
                word("memory", "not-enforced"),
                word("processes", "rlimit"),
                word("cpu", "not-enforced"),
                word("open-files", "rlimit")
            ]
        );
        assert_eq!(by(&rlimits, &[Controller::Pids])[1], word("processes", "cgroup-v1"));
    }

    #[test]
    fn amounts_are_round_or_exact() {
        assert_eq!(amount("memory", 2 << 30), "2 GiB");
        assert_eq!(amount("memory", 1536 << 20), "1536 MiB");
        assert_eq!(amount("memory", 20_615_843_021), "19.1 GiB");
        assert_eq!(amount("file-size", 1000), "1000 bytes");
        assert_eq!(amount("cpu", 150), "150%");
        assert_eq!(amount("processes", 8192), "8192");
    }
}
