//! Which process a stopped thread belongs to, and its place in the tree of execs. A number means a
//! process only while its descriptor says that it lives.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use nix::sys::resource::{Resource, getrlimit};

use super::Watch;
use crate::supervisor::execs::process::{Now, Process};
use crate::supervisor::execs::procfs;
use crate::supervisor::execs::record::{FileId, Place};
use crate::sys::pidfd;

/// Descriptors that are not spent on processes.
pub(super) const FEW: RawFd = 64;
/// Steps up the ancestors that have executed nothing of their own.
const ANCESTORS: usize = 64;

/// The process of a thread, and whether it was known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) pid: i32,
    pub(super) ppid: i32,
    /// It is in the table now.
    pub(super) kept: bool,
    /// It was in the table before.
    pub(super) known: bool,
}

impl Watch {
    /// Finds the process of a stopped thread, and keeps it if it is new.
    pub(super) fn identify(&mut self, tid: i32) -> Identity {
        if self.processes.get(&tid).is_some_and(Process::lives) {
            return self.known(tid);
        }
        let (pid, pidfd) = match pidfd::open(tid) {
            // Not a leader: EINVAL, since Linux 6.9 also ENOENT.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {
                let pid = procfs::thread_group(tid).unwrap_or(tid);
                if self.processes.get(&pid).is_some_and(Process::lives) {
                    return self.known(pid);
                }
                (pid, pidfd::open(pid))
            }
            pidfd => (tid, pidfd),
        };
        // An entry that is there is of a dead process whose number came round again.
        self.retire(pid, None);
        let told = pidfd.as_ref().ok().and_then(|fd| pidfd::info(fd.as_fd()).ok()?.ppid);
        let parent = told.or_else(|| Some(procfs::stat(pid).ok()?.ppid)).unwrap_or(0);
        let room = self.room;
        let pidfd = pidfd.ok().filter(|pidfd| pidfd.as_raw_fd() < room);
        let kept = pidfd.is_some_and(|pidfd| self.keep(pid, pidfd));
        self.missed |= !kept;
        Identity { pid, ppid: parent, kept, known: false }
    }

    pub(super) fn known(&self, pid: i32) -> Identity {
        let process = self.processes.get(&pid);
        let told = process.and_then(|process| pidfd::info(process.pidfd.as_fd()).ok()?.ppid);
        let parent = told.or_else(|| Some(procfs::stat(pid).ok()?.ppid)).unwrap_or(0);
        Identity { pid, ppid: parent, kept: true, known: true }
    }

    pub(super) fn keep(&mut self, pid: i32, pidfd: OwnedFd) -> bool {
        self.last_serial = self.last_serial.wrapping_add(1);
        let token = token(pid, self.last_serial);
        let added = self.wakes.add_process(pidfd.as_fd(), token).is_ok();
        if added {
            let process = Process::new(self.last_serial, pidfd, Place::default());
            self.processes.insert(pid, process);
        }
        added
    }

    /// The place of a process that calls exec for the first time.
    pub(super) fn place(&self, tid: i32, parent: i32) -> Place {
        if parent == self.options.init_pid && (self.agent.is_none() || self.is_ours(tid)) {
            return Place::default();
        }
        let mut pid = parent;
        for _ in 0..ANCESTORS {
            if let Some(process) = self.processes.get(&pid)
                && let Some(parent) = process.current()
            {
                let Place { depth, root, tool, lost, .. } = process.place;
                return Place { parent: Some(parent), root, depth: depth + 1, tool, lost };
            }
            if pid <= 1 || pid == self.options.init_pid {
                break;
            }
            // An ancestor that has executed nothing: a subshell.
            let Ok(stat) = procfs::stat(pid) else { break };
            pid = stat.ppid;
        }
        // Its ancestors are gone; the agent is what is left of them. It is no call of the agent's: that
        // would be the agent's own doing, and a double fork away from it for whoever likes.
        let depth = u32::from(self.agent.is_some());
        Place { parent: self.agent, root: None, depth, tool: false, lost: true }
    }

    /// Whether a child of pid 1 still runs our own program: pid 1 has made it, for an agent or for
    /// a shell. What was adopted by pid 1 runs another.
    pub(super) fn is_ours(&self, tid: i32) -> bool {
        let exe = rustix::fs::stat(format!("/proc/{tid}/exe")).ok().as_ref().map(FileId::of);
        exe.is_some() && exe == self.own
    }

    /// Whether it is asked for, and can be told, what became of execs.
    pub(super) fn verifies(&self) -> bool {
        self.options.verify && self.options.kernel.verifies
    }

    /// What tells whether the process has executed something since; nothing where that is not asked
    /// for or cannot be told.
    pub(super) fn now(&self, pid: i32, known: bool) -> Now {
        if !self.verifies() {
            return Now::default();
        }
        // Every exec is notified, so whoever is new has executed nothing: one read of /proc less.
        let new = !known && !self.missed && pid != self.options.init_pid;
        if new {
            return Now { forked: Some(true), addresses: None };
        }
        procfs::stat(pid).map(Now::from).unwrap_or_default()
    }
}

/// What stands for a process among what wakes.
pub(super) fn token(pid: i32, serial: u32) -> u64 {
    u64::from(serial) << 32 | u64::from(pid.cast_unsigned())
}

/// The number of the first descriptor that is left for other things than processes: the kernel
/// gives the lowest that is free.
pub(super) fn room_for_processes() -> RawFd {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    RawFd::try_from(limit).unwrap_or(RawFd::MAX) - FEW
}
