//! A thread sets up its local storage as new programs do: if it is a new program, what runs is read
//! before any code of its own.
#![forbid(unsafe_code)]

use std::os::fd::AsRawFd as _;

use super::Watch;
use super::identity::FEW;
use crate::log::event::ExecId;
use crate::supervisor::execs::memory::Memory;
use crate::supervisor::execs::process::{Before, Now, Program, UnderWay, winner};
use crate::supervisor::execs::procfs;
use crate::supervisor::execs::record::{Fate, Started};
use crate::sys::seccomp::Notification;

/// Read of the argv of a new program; more than any kept one with its interpreter in front.
const CMDLINE: usize = 64 * 1024;

impl Watch {
    /// A thread sets up its local storage as new programs do. Old programs can do so too.
    pub(super) fn start(&mut self, stopped: &Notification) {
        let pid = stopped.tid;
        let waiting = self
            .processes
            .get(&pid)
            .filter(|process| !process.under_way.is_empty() && process.lives());
        let Some(process) = waiting else {
            self.proceed(stopped.id);
            return;
        };
        let asked = process.under_way.iter().any(|exec| matches!(exec.before, Before::Forked));
        let stat = asked.then(|| procfs::stat(pid).ok()).flatten();
        let now = stat.map(Now::from).unwrap_or_default();
        let news: Vec<&UnderWay> =
            process.under_way.iter().filter(|exec| exec.program(&now) == Program::New).collect();
        if news.is_empty() {
            // Somebody who shares the old program's memory keeps it in use: a new one may have started
            // with this very call, and make another when its own code has changed what it was called with.
            let in_use = |exec: &UnderWay| exec.program(&now) == Program::OldInUse;
            if process.under_way.iter().any(in_use)
                && let Some(process) = self.processes.get_mut(&pid)
            {
                process.doubt();
            }
            self.proceed(stopped.id);
            return;
        }
        let argv = argv(pid, stat.and_then(|stat| stat.argv));
        // The writing thread must be able to open what it compares this with.
        let room = self.room + FEW / 2;
        let exe = procfs::file(pid, "exe").ok().filter(|exe| exe.as_raw_fd() < room);
        let (at, tie) = winner(&news, &argv);
        let unclear = process.under_way.iter().any(|e| e.program(&now) == Program::Unknown);
        let won = news.get(at).map(|exec| exec.id);
        let same = news.get(at).is_some_and(|exec| exec.called_with(&argv));
        // What decides may lie behind what was read.
        let long = !same && !(1..CMDLINE).contains(&argv.len());
        let ambiguous = tie || unclear || long || process.doubtful;
        // Who was called while none of the others had run, and whose old program has gone by now, has
        // only lost the race. Of any other it cannot be told whether it ran before.
        let lost: Vec<ExecId> = news.iter().filter(|e| !e.unsure).map(|e| e.id).collect();
        let mut started = Some(Started { argv: (!same).then_some(argv), exe, ambiguous });

        self.queue.reserve();
        if !self.proceed(stopped.id) {
            return; // This was the old leader; what was read may be its successor's.
        }
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.doubtful = false;
        for exec in std::mem::take(&mut process.under_way) {
            let fate = match started.take_if(|_| Some(exec.id) == won) {
                Some(started) => Fate::Started(started),
                None if !ambiguous && lost.contains(&exec.id) => Fate::Superseded,
                None => Fate::Ended,
            };
            self.settled(pid, exec, fate);
        }
        self.wake_for_death(pid, false);
    }
}

/// The argv of a new program: at once where its place is known, else as `/proc` tells it.
pub(super) fn argv(pid: i32, place: Option<(u64, u64)>) -> Vec<u8> {
    let read = place.and_then(|(start, end)| {
        let len = usize::try_from(end.checked_sub(start)?).ok()?;
        Memory::of(pid).range(start, len.min(CMDLINE)).ok()
    });
    read.unwrap_or_else(|| procfs::cmdline(pid, CMDLINE).unwrap_or_default())
}
