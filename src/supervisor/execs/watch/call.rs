//! A process calls exec: what it is called with is read while it is stopped, and what became of the
//! same thread's earlier calls is decided by this one.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;

use super::Watch;
use super::identity::Identity;
use super::names::named;
use crate::bytes::Bytes;
use crate::filters::calls::ExecCall;
use crate::log::clock::now;
use crate::log::event::{ExecAt, ExecId};
use crate::supervisor::execs::arguments::Arguments;
use crate::supervisor::execs::memory::Memory;
use crate::supervisor::execs::process::{Before, Now, Program, UnderWay};
use crate::supervisor::execs::procfs::{self, Image};
use crate::supervisor::execs::queue::Pressure;
use crate::supervisor::execs::record::{Called, Fate, Names, Seat, Seen};
use crate::sys::seccomp::Notification;

/// Bytes of calls that are kept in order to compare them later.
const COMPARED: usize = 1 << 20;
/// `AT_EXECVE_CHECK` of execveat(2), Linux 6.14.
const AT_EXECVE_CHECK: u32 = 0x1_0000;

impl Watch {
    pub(super) fn exec(&mut self, stopped: &Notification, call: &ExecCall) {
        let (t, since) = (now(), Instant::now());
        let mut called = self.read(stopped.tid, call);
        let Identity { pid, ppid, kept, known } = self.identify(stopped.tid);
        let mut place = self.processes.get(&pid).filter(|_| known).map(|process| process.place);
        let mut place = *place.get_or_insert_with(|| self.place(stopped.tid, ppid));
        if let Some(marker) = self.options.tool_marker.as_deref().filter(|_| !place.tool) {
            let limits = &self.options.limits;
            place.tool = Memory::of(stopped.tid).has_variable(call, marker, limits);
        }
        let now = self.now(pid, known);
        let check = call.at.is_some_and(|(_, flags)| flags & AT_EXECVE_CHECK != 0);
        let earlier = self.programs(pid, &now);
        let before = if kept && !check { before(stopped.tid, &now) } else { Before::Unknown };

        if self.queue.reserve() == Pressure::High
            && let Arguments::Kept(arguments) = &called.arguments
        {
            called.arguments = Arguments::Hashed(arguments.hashed());
        }
        if !self.proceed(stopped.id) {
            return; // The caller was killed: this exec does not happen.
        }

        let retry_of = self.settle_earlier(pid, stopped.tid, &earlier, &called);
        self.last_id += 1;
        let id = self.last_id;
        if place.depth == 0 {
            self.agent = Some(id);
        } else if place.depth == 1 && !place.lost {
            place.root.get_or_insert(id);
        }
        let called = Arc::new(called);
        let tid = (stopped.tid != pid).then_some(stopped.tid);
        let seat = Seat { t, id, pid, ppid, tid, place, retry_of };
        self.queue.push(Seen::Called(Box::new(seat), Arc::clone(&called)));
        if let Some(process) = self.processes.get_mut(&pid).filter(|_| kept) {
            process.place = place;
        }
        let exec =
            UnderWay { id, tid: stopped.tid, since, before, called: Some(called), unsure: false };
        match (check, kept) {
            (true, _) => self.became(exec, Fate::Checked),
            (false, true) => self.go_under_way(pid, exec, known),
            (false, false) => self.became(exec, Fate::Untold),
        }
        self.take_turns();
    }

    /// What the exec is called with.
    pub(super) fn read(&self, tid: i32, call: &ExecCall) -> Called {
        let limits = self.options.limits;
        let mut memory = Memory::of(tid);
        let (path, (arguments, no_arguments)) = memory.call(call, &limits);
        let (path, no_path) = match path {
            Ok((path, false)) => (path, None),
            Ok((path, true)) => (path, Some(Errno::ENAMETOOLONG)),
            Err(errno) => (Vec::new(), Some(errno)),
        };
        let cwd = procfs::link(tid, "cwd").ok();
        let unread = no_path.or(no_arguments);
        let names = match unread {
            None => named(tid, &path, call.at, cwd.as_ref()),
            Some(_) => Names::Unknown,
        };
        Called {
            path: Bytes(path),
            arguments: Arguments::Kept(arguments),
            cwd,
            at: call.at.map(|(dirfd, flags)| ExecAt { dirfd, flags }),
            arch: call.arch,
            unread,
            names,
        }
    }

    /// What can be said of the process's execs under way. To be asked while its thread is stopped:
    /// once that goes on, its new exec would be taken for an earlier one.
    fn programs(&self, pid: i32, now: &Now) -> Vec<Program> {
        let process = self.processes.get(&pid);
        let execs = process.map_or(&[][..], |process| &process.under_way);
        execs.iter().map(|exec| exec.program(now)).collect()
    }

    /// The thread calls again, so what it called before is decided: `earlier` says what the
    /// process ran when it called. Answers with the try that this
    /// call repeats on another path.
    fn settle_earlier(
        &mut self,
        pid: i32,
        tid: i32,
        earlier: &[Program],
        called: &Called,
    ) -> Option<ExecId> {
        let process = self.processes.get_mut(&pid)?;
        let execs = std::mem::take(&mut process.under_way);
        let news = earlier.iter().filter(|program| **program == Program::New).count();
        let mut retry_of = None;
        for (mut exec, program) in execs.into_iter().zip(earlier) {
            let fate = match program {
                Program::New if news == 1 => Fate::Ran,
                Program::New => Fate::Ended,
                // Another thread's call may still be on its way.
                _ if exec.tid != tid => {
                    exec.unsure |= *program != Program::Old;
                    self.processes.get_mut(&pid)?.under_way.push(exec);
                    continue;
                }
                Program::Old => Fate::Failed,
                // It may have run, and what it ran may be what calls now, with just the same arguments.
                Program::OldInUse => Fate::Ended,
                Program::Unknown => Fate::Untold,
            };
            let repeats = exec.called.as_ref().is_some_and(|before| {
                before.arguments == called.arguments && before.path != called.path
            });
            // What may have run is no failed try. (Where nothing can be told, the files' word counts.)
            let missed =
                matches!(fate, Fate::Failed) || !self.verifies() && matches!(fate, Fate::Untold);
            if repeats && missed {
                retry_of = Some(exec.id);
            }
            self.settled(pid, exec, fate);
        }
        retry_of
    }

    fn go_under_way(&mut self, pid: i32, mut exec: UnderWay, known: bool) {
        let weight = exec.called.as_ref().map_or(0, |called| called.weight());
        if self.compared + weight > COMPARED {
            exec.called = None;
        } else {
            self.compared += weight;
        }
        self.under_way += 1;
        let oldest = self.processes.get_mut(&pid).and_then(|process| process.add(exec));
        if let Some(oldest) = oldest {
            self.settled(pid, oldest, Fate::Ended);
        }
        if known {
            self.wake_for_death(pid, true);
        }
    }
}

/// By what a new program will be told from the one that the thread runs now.
fn before(tid: i32, now: &Now) -> Before {
    match now.forked {
        Some(true) => Before::Forked,
        Some(false) => {
            Image::of(tid).map_or(Before::Unknown, |image| Before::Executed(image, now.addresses))
        }
        None => Before::Unknown,
    }
}
