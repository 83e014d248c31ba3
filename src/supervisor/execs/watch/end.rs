//! How execs are settled that no start has settled, and how processes end.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use super::Watch;
use super::identity::token;
use crate::log::clock::now;
use crate::log::event::Exit;
use crate::supervisor::execs::process::{Before, Now, Process, Program, UnderWay};
use crate::supervisor::execs::procfs;
use crate::supervisor::execs::record::{Became, Fate, Seen};
use crate::sys::pidfd::{self, ExitSource};
use crate::sys::seccomp::Notification;

/// After this time an exec that is still under way is called by what can be told.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a process is asked that is just being reaped.
const REAPING: u32 = 100;

impl Watch {
    /// An exec under way is decided.
    pub(super) fn settled(&mut self, pid: i32, exec: UnderWay, fate: Fate) {
        self.under_way -= 1;
        self.compared -= exec.called.as_ref().map_or(0, |called| called.weight());
        if let Some(process) = self.processes.get_mut(&pid) {
            process.settle(&exec, &fate);
        }
        self.became(exec, fate);
    }

    pub(super) fn became(&self, exec: UnderWay, fate: Fate) {
        let became = Became { t: now(), id: exec.id, called: exec.called, fate };
        self.queue.push(Seen::Became(became));
    }

    /// A process says how it ends.
    pub(super) fn exit_group(&mut self, stopped: &Notification, status: u8) {
        let mut pid = stopped.tid;
        if !self.processes.contains_key(&pid)
            && let Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) = pidfd::open(pid)
        {
            pid = procfs::thread_group(pid).unwrap_or(pid);
        }
        let goes_on = self.proceed(stopped.id);
        if let Some(process) = self.processes.get_mut(&pid).filter(|_| goes_on) {
            process.status.get_or_insert(status);
        }
    }

    /// While an exec of it is under way, the moment between a process's death and its parent's asking for
    /// it is the last one in which can be told what became of that exec.
    pub(super) fn wake_for_death(&self, pid: i32, wake: bool) {
        if let Some(process) = self.processes.get(&pid) {
            self.wakes.wake_for_death(process.pidfd.as_fd(), token(pid, process.serial), wake);
        }
    }

    /// A process died, or its parent asked for it.
    pub(super) fn changed(&mut self, token: u64) {
        let serial = u32::try_from(token >> 32).unwrap_or(0);
        let pid = u32::try_from(token & u64::from(u32::MAX)).unwrap_or(0).cast_signed();
        let Some(process) = self.processes.get_mut(&pid).filter(|p| p.serial == serial) else {
            return;
        };
        process.died.get_or_insert_with(Instant::now);
        let told = match self.options.kernel.exits {
            ExitSource::ExitGroup => None,
            ExitSource::Pidfd => match last_word(process.pidfd.as_fd()) {
                Ok(pidfd::Info { exit: None, .. }) => {
                    // Nobody has asked for it yet, so its number is still its own.
                    if !process.under_way.is_empty()
                        && let Ok(stat) = procfs::stat(pid)
                    {
                        self.settle_last(pid, &Now::from(stat));
                    }
                    return;
                }
                Ok(info) => info.exit,
                Err(_) => None,
            },
        };
        self.retire(pid, told);
    }

    /// A dead process will execute nothing more. That nobody has its memory any more does not say that it
    /// has executed something: its death alone does that.
    fn settle_last(&mut self, pid: i32, now: &Now) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let execs = std::mem::take(&mut process.under_way);
        let only = execs.len() == 1;
        for exec in execs {
            match exec.program(now) {
                Program::Old => self.settled(pid, exec, Fate::Failed),
                Program::New if only && matches!(exec.before, Before::Forked) => {
                    self.settled(pid, exec, Fate::Ran);
                }
                _ => {
                    if let Some(process) = self.processes.get_mut(&pid) {
                        process.under_way.push(exec);
                    }
                }
            }
        }
    }

    /// Forgets a process, and writes its end: `told` is the status as wait(2) gives it.
    pub(super) fn retire(&mut self, pid: i32, told: Option<i32>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        for exec in std::mem::take(&mut process.under_way) {
            let fate = match exec.before {
                Before::Unknown => Fate::Untold,
                Before::Forked | Before::Executed(..) => Fate::Ended,
            };
            self.settled(pid, exec, fate);
        }
        let Some(process) = self.processes.remove(&pid) else { return };
        let Some((id, since)) = process.latest else { return };
        let died = process.died.unwrap_or_else(Instant::now);
        let dur_us = u64::try_from(died.duration_since(since).as_micros()).unwrap_or(u64::MAX);
        let mut exit = Exit {
            t: now(),
            id,
            pid,
            status: None,
            signal: None,
            core: false,
            dur_us,
            src: "unknown".to_owned(),
        };
        if let Some(told) = told {
            "pidfd".clone_into(&mut exit.src);
            exit.signal = byte(told & 0x7f).filter(|signal| *signal != 0);
            exit.status = byte(told >> 8 & 0xff).filter(|_| exit.signal.is_none());
            exit.core = told & 0x80 != 0;
        } else if process.status.is_some() {
            "exit-group".clone_into(&mut exit.src);
            exit.status = process.status;
        }
        self.queue.push(Seen::Ended(exit));
    }

    /// Calls the execs that have been under way for long by what can be told of them now.
    pub(super) fn look_again(&mut self) {
        let late = |process: &Process| {
            process.under_way.iter().any(|exec| exec.since.elapsed() >= PATIENCE)
        };
        let pids: Vec<i32> =
            self.processes.iter().filter(|(_, p)| late(p)).map(|(pid, _)| *pid).collect();
        for pid in pids {
            self.look_at(pid);
        }
    }

    fn look_at(&mut self, pid: i32) {
        let now = procfs::stat(pid).map(Now::from).unwrap_or_default();
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if !process.lives() {
            return; // Its end is about to be reported, and the number may be another's.
        }
        let execs = std::mem::take(&mut process.under_way);
        let news = execs.iter().filter(|exec| exec.program(&now) == Program::New).count();
        for exec in execs {
            if exec.since.elapsed() < PATIENCE {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.under_way.push(exec);
                }
                continue;
            }
            let fate = match exec.program(&now) {
                Program::New if news == 1 => Fate::Ran,
                Program::New | Program::OldInUse => Fate::Ended,
                Program::Old => Fate::Remains,
                Program::Unknown => Fate::Untold,
            };
            self.settled(pid, exec, fate);
        }
    }
}

/// What a pidfd tells of a process that is dead. ESRCH: it was just being reaped; the next answer
/// knows its status.
fn last_word(pidfd: BorrowedFd<'_>) -> io::Result<pidfd::Info> {
    let reaped = |told: &io::Result<pidfd::Info>| {
        told.as_ref().is_err_and(|err| err.raw_os_error() == Some(libc::ESRCH))
    };
    let mut told = pidfd::info(pidfd);
    for _ in 0..REAPING {
        if !reaped(&told) {
            break;
        }
        std::thread::yield_now();
        told = pidfd::info(pidfd);
    }
    told
}

fn byte(value: i32) -> Option<u8> {
    u8::try_from(value).ok()
}
