//! The receiving thread: takes each notification, reads what it must while the caller is stopped,
//! lets it go on, and queues what it saw. It knows the live processes and nothing else. It must
//! never touch a disk, and whatever goes wrong here, every stopped call goes on.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Options;
use super::arguments::Arguments;
use super::calls::{self, Call, ExecCall};
use super::flag::Flag;
use super::memory::Memory;
use super::process::{Before, Process, Program, UnderWay, winner};
use super::procfs::{self, Image};
use super::queue::{Pressure, Queue};
use super::record::{Became, Called, Fate, FileId, Names, Place, Seat, Seen, Started};
use crate::bytes::Bytes;
use crate::log::event::{Event, ExecAt, ExecId, Exit, Micros, Notice};
use crate::sys::pidfd::{self, ExitSource};
use crate::sys::seccomp::{Notification, Receiver};

/// Marks the listener and the stop signal among the epoll set; processes have their serial above
/// their number, which is never as large.
const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;
/// After this time an exec that is still under way is called by what can be told.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the impatient look is taken while any exec is under way.
const LOOK: u16 = 500;
/// How long the deaths of the sandbox's last processes are waited for at the end.
const LAST: Duration = Duration::from_millis(500);
/// Descriptors that are not spent on processes.
const FEW: RawFd = 64;
/// How often a process is asked that is just being reaped.
const REAPING: u32 = 100;
/// Read of the argv of a new program; more than any kept one with its interpreter in front.
const CMDLINE: usize = 64 * 1024;
/// Bytes of calls that are kept in order to compare them later.
const COMPARED: usize = 1 << 20;
/// Steps up the ancestors that have executed nothing of their own.
const ANCESTORS: usize = 64;
/// `AT_EXECVE_CHECK` of execveat(2), Linux 6.14.
const AT_EXECVE_CHECK: u32 = 0x1_0000;

/// The receiving thread's state.
#[derive(Debug)]
pub struct Watch {
    receiver: Receiver,
    /// The notification that is not answered yet.
    in_hand: Option<u64>,
    epoll: Epoll,
    stop: Arc<Flag>,
    queue: Arc<Queue<Seen>>,
    options: Options,
    /// Our own program, which is also the inner stage's.
    own: Option<FileId>,
    processes: HashMap<i32, Process>,
    /// Execs under way, and the bytes kept of them.
    under_way: usize,
    compared: usize,
    last_id: ExecId,
    last_serial: u32,
    /// The latest exec that has no parent.
    agent: Option<ExecId>,
    /// Descriptors from this number on are not spent on processes.
    room: RawFd,
    /// Some process could not be kept: a process that is met for the first time may have executed
    /// before.
    missed: bool,
}

/// The process of a thread, and whether it was known.
#[derive(Clone, Copy, Debug)]
struct Identity {
    pid: i32,
    ppid: i32,
    /// It is in the table now.
    kept: bool,
    /// It was in the table before.
    known: bool,
}

impl Watch {
    /// Prepares to watch.
    pub fn new(
        listener: OwnedFd,
        options: Options,
        queue: Arc<Queue<Seen>>,
        stop: Arc<Flag>,
    ) -> io::Result<Self> {
        let receiver = Receiver::new(listener)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(receiver.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(stop.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        Ok(Self {
            receiver,
            in_hand: None,
            epoll,
            stop,
            queue,
            own: rustix::fs::stat("/proc/self/exe").ok().as_ref().map(FileId::of),
            options,
            processes: HashMap::new(),
            under_way: 0,
            compared: 0,
            last_id: 0,
            last_serial: 0,
            agent: None,
            room: room_for_processes(),
            missed: false,
        })
    }

    /// Watches until told to stop, then takes in what is left. After a failure of its own it lets
    /// everything pass and says so.
    pub fn run(mut self, failure: &Flag) -> ExecId {
        let result = catch_unwind(AssertUnwindSafe(|| self.watch()));
        let why = match result {
            Ok(Ok(())) => None,
            Ok(Err(errno)) => Some(format!("the exec log stopped: {errno}")),
            Err(_) => Some("the exec log stopped: a defect in claudebox".to_owned()),
        };
        if let Some(text) = why {
            failure.raise();
            let kind = "exec-log-stopped".to_owned();
            let notice = Notice { t: now(), kind, text };
            self.queue.push(Seen::Noted(Box::new(Event::Notice(notice))));
            self.let_pass();
        }
        self.queue.close();
        self.last_id
    }

    /// Answers everything and looks at nothing, until told to stop.
    fn let_pass(&mut self) {
        if let Some(id) = self.in_hand.take() {
            let _ = self.receiver.proceed(id);
        }
        self.processes.clear();
        let mut events = [EpollEvent::empty(); 2];
        while let Ok(ready) = wait(&self.epoll, &mut events, EpollTimeout::NONE) {
            for event in ready {
                match event.data() {
                    STOP => return,
                    LISTENER if event.events().contains(EpollFlags::EPOLLIN) => {
                        if let Ok(stopped) = self.receiver.receive() {
                            let _ = self.receiver.proceed(stopped.id);
                        }
                    }
                    LISTENER => {
                        let _ = self.epoll.delete(self.receiver.as_fd());
                    }
                    _ => {}
                }
            }
        }
    }

    fn watch(&mut self) -> Result<(), Errno> {
        let mut events = [EpollEvent::empty(); 64];
        let mut looked = Instant::now();
        let mut ending: Option<Instant> = None;
        loop {
            let timeout = match ending {
                Some(_) => EpollTimeout::from(20u8),
                None if self.under_way > 0 => EpollTimeout::from(LOOK),
                None => EpollTimeout::NONE,
            };
            for event in wait(&self.epoll, &mut events, timeout)? {
                match event.data() {
                    STOP => {
                        self.epoll.delete(self.stop.as_fd())?;
                        ending = Some(Instant::now());
                    }
                    LISTENER if event.events().contains(EpollFlags::EPOLLIN) => self.receive()?,
                    // Nobody is left who could be stopped.
                    LISTENER => self.epoll.delete(self.receiver.as_fd())?,
                    process => self.changed(process),
                }
            }
            if self.under_way > 0 && looked.elapsed() >= Duration::from_millis(LOOK.into()) {
                looked = Instant::now();
                self.look_again();
            }
            if ending.is_some_and(|since| self.processes.is_empty() || since.elapsed() >= LAST) {
                let left: Vec<i32> = self.processes.keys().copied().collect();
                for pid in left {
                    self.retire(pid, None);
                }
                return Ok(());
            }
        }
    }

    /// Takes one notification and answers it.
    fn receive(&mut self) -> Result<(), Errno> {
        let stopped = match self.receiver.receive() {
            Ok(stopped) => stopped,
            Err(err) => match err.raw_os_error().map(Errno::from_raw) {
                // Killed or interrupted before we came.
                Some(Errno::ENOENT | Errno::EINTR | Errno::EAGAIN) | None => return Ok(()),
                Some(errno) => return Err(errno),
            },
        };
        self.in_hand = Some(stopped.id);
        match calls::decode(&stopped) {
            Call::Exec(call) => self.exec(&stopped, &call),
            Call::Start => self.start(&stopped),
            Call::ExitGroup(status) => self.exit_group(&stopped, status),
            Call::SetMm => {
                // Whose program it changes cannot be told: memory may be shared with anybody.
                self.processes.values_mut().for_each(Process::doubt);
                self.proceed(stopped.id);
            }
            Call::Other => {
                self.proceed(stopped.id);
            }
        }
        Ok(())
    }

    /// Lets the call in hand go on. If that is possible, the thread has been stopped ever since
    /// the notification was received, so all that was read by its number was its own.
    fn proceed(&mut self, id: u64) -> bool {
        self.in_hand = None;
        self.receiver.proceed(id).is_ok()
    }

    fn exec(&mut self, stopped: &Notification, call: &ExecCall) {
        let (t, since) = (now(), Instant::now());
        let mut called = self.read(stopped.tid, call);
        let Identity { pid, ppid, kept, known } = self.identify(stopped.tid);
        let mut place = self.processes.get(&pid).filter(|_| known).map(|process| process.place);
        let mut place = *place.get_or_insert_with(|| self.place(stopped.tid, ppid));
        if let Some(marker) = self.options.tool_marker.as_deref().filter(|_| !place.tool) {
            let limits = &self.options.limits;
            place.tool = Memory::of(stopped.tid).has_variable(call, marker, limits);
        }
        let forked = self.forked(pid, known);
        let check = call.at.is_some_and(|(_, flags)| flags & AT_EXECVE_CHECK != 0);
        let earlier = self.programs(pid, forked);
        let before = if kept && !check { before(stopped.tid, forked) } else { Before::Unknown };

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
        } else if place.depth == 1 {
            place.root.get_or_insert(id);
        }
        let called = Arc::new(called);
        let tid = (stopped.tid != pid).then_some(stopped.tid);
        let seat = Seat { t, id, pid, ppid, tid, place, retry_of };
        self.queue.push(Seen::Called(Box::new(seat), Arc::clone(&called)));
        if let Some(process) = self.processes.get_mut(&pid).filter(|_| kept) {
            process.place = place;
        }
        let exec = UnderWay { id, tid: stopped.tid, since, before, called: Some(called) };
        match (check, kept) {
            (true, _) => self.became(exec, Fate::Checked),
            (false, true) => self.go_under_way(pid, exec),
            (false, false) => self.became(exec, Fate::Untold),
        }
    }

    /// What the exec is called with.
    fn read(&self, tid: i32, call: &ExecCall) -> Called {
        let limits = self.options.limits;
        let mut memory = Memory::of(tid);
        let (path, no_path) = match memory.path(call, &limits) {
            Ok((path, false)) => (path, None),
            Ok((path, true)) => (path, Some(Errno::ENAMETOOLONG)),
            Err(errno) => (Vec::new(), Some(errno)),
        };
        let (arguments, no_arguments) = memory.arguments(call, &limits);
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

    /// Finds the process of a stopped thread, and keeps it if it is new.
    fn identify(&mut self, tid: i32) -> Identity {
        if self.processes.get(&tid).is_some_and(Process::lives) {
            return self.known(tid);
        }
        let (pid, pidfd) = match open_pidfd(tid) {
            // Not a leader: EINVAL, since Linux 6.9 also ENOENT.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {
                let pid = procfs::thread_group(tid).unwrap_or(tid);
                if self.processes.get(&pid).is_some_and(Process::lives) {
                    return self.known(pid);
                }
                (pid, open_pidfd(pid))
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

    fn known(&self, pid: i32) -> Identity {
        let process = self.processes.get(&pid);
        let told = process.and_then(|process| pidfd::info(process.pidfd.as_fd()).ok()?.ppid);
        let parent = told.or_else(|| Some(procfs::stat(pid).ok()?.ppid)).unwrap_or(0);
        Identity { pid, ppid: parent, kept: true, known: true }
    }

    fn keep(&mut self, pid: i32, pidfd: OwnedFd) -> bool {
        self.last_serial = self.last_serial.wrapping_add(1);
        let token = u64::from(self.last_serial) << 32 | u64::from(pid.cast_unsigned());
        // Edge-triggered: it reports the death, and again when the parent has asked for it.
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, token);
        let added = self.epoll.add(&pidfd, event).is_ok();
        if added {
            let process = Process::new(self.last_serial, pidfd, Place::default());
            self.processes.insert(pid, process);
        }
        added
    }

    /// The place of a process that calls exec for the first time.
    fn place(&self, tid: i32, parent: i32) -> Place {
        if parent == self.options.init_pid && (self.agent.is_none() || self.is_ours(tid)) {
            return Place::default();
        }
        let mut pid = parent;
        for _ in 0..ANCESTORS {
            if let Some(process) = self.processes.get(&pid)
                && let Some(parent) = process.current()
            {
                let Place { depth, root, tool, .. } = process.place;
                return Place { parent: Some(parent), root, depth: depth + 1, tool };
            }
            if pid <= 1 || pid == self.options.init_pid {
                break;
            }
            // An ancestor that has executed nothing: a subshell.
            let Ok(stat) = procfs::stat(pid) else { break };
            pid = stat.ppid;
        }
        // Its ancestors are gone; the agent is what is left of them.
        let depth = u32::from(self.agent.is_some());
        Place { parent: self.agent, root: None, depth, tool: false }
    }

    /// Whether a child of pid 1 still runs our own program: pid 1 has made it, for an agent or for
    /// a shell. What was adopted by pid 1 runs another.
    fn is_ours(&self, tid: i32) -> bool {
        let exe = rustix::fs::stat(format!("/proc/{tid}/exe")).ok().as_ref().map(FileId::of);
        exe.is_some() && exe == self.own
    }

    /// Whether the leader has executed nothing since its fork; `None` where that is not asked for
    /// or cannot be told.
    fn forked(&self, pid: i32, known: bool) -> Option<bool> {
        if !self.options.verify || !self.options.kernel.verifies {
            return None;
        }
        // Every exec is notified, so whoever is new has executed nothing: one read of /proc less.
        let new = !known && !self.missed && pid != self.options.init_pid;
        if new { Some(true) } else { procfs::stat(pid).ok().map(|stat| stat.forked) }
    }

    /// What can be said of the process's execs under way. To be asked while its thread is stopped:
    /// once that goes on, its new exec would be taken for an earlier one.
    fn programs(&self, pid: i32, forked: Option<bool>) -> Vec<Program> {
        let process = self.processes.get(&pid);
        let execs = process.map_or(&[][..], |process| &process.under_way);
        execs.iter().map(|exec| exec.program(forked)).collect()
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
        for (exec, program) in execs.into_iter().zip(earlier) {
            let fate = match program {
                Program::New if news == 1 => Fate::Ran,
                Program::New => Fate::Ended,
                // Another thread's call may still be on its way.
                _ if exec.tid != tid => {
                    self.processes.get_mut(&pid)?.under_way.push(exec);
                    continue;
                }
                Program::Old => Fate::Failed,
                Program::OldInUse => Fate::Remains,
                Program::Unknown => Fate::Untold,
            };
            let repeats = exec.called.as_ref().is_some_and(|before| {
                before.arguments == called.arguments && before.path != called.path
            });
            if repeats && !matches!(fate, Fate::Ran | Fate::Ended) {
                retry_of = Some(exec.id);
            }
            self.settled(pid, exec, fate);
        }
        retry_of
    }

    fn go_under_way(&mut self, pid: i32, mut exec: UnderWay) {
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
    }

    /// An exec under way is decided.
    fn settled(&mut self, pid: i32, exec: UnderWay, fate: Fate) {
        self.under_way -= 1;
        self.compared -= exec.called.as_ref().map_or(0, |called| called.weight());
        if let Some(process) = self.processes.get_mut(&pid) {
            process.settle(&exec, &fate);
        }
        self.became(exec, fate);
    }

    fn became(&self, exec: UnderWay, fate: Fate) {
        let became = Became { t: now(), id: exec.id, called: exec.called, fate };
        self.queue.push(Seen::Became(became));
    }

    /// A thread sets up its local storage as new programs do. Old programs can do so too.
    fn start(&mut self, stopped: &Notification) {
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
        let forked = asked.then(|| procfs::stat(pid).ok().map(|stat| stat.forked)).flatten();
        let news: Vec<&UnderWay> =
            process.under_way.iter().filter(|exec| exec.program(forked) == Program::New).collect();
        if news.is_empty() {
            self.proceed(stopped.id);
            return;
        }
        let argv = procfs::cmdline(pid, CMDLINE).unwrap_or_default();
        // The writing thread must be able to open what it compares this with.
        let room = self.room + FEW / 2;
        let exe = procfs::file(pid, "exe").ok().filter(|exe| exe.as_raw_fd() < room);
        let (at, tie) = winner(&news, &argv);
        let unclear = process.under_way.iter().any(|e| e.program(forked) == Program::Unknown);
        let won = news.get(at).map(|exec| exec.id);
        let same = news.get(at).is_some_and(|exec| exec.called_with(&argv));
        // What decides may lie behind what was read.
        let long = !same && !(1..CMDLINE).contains(&argv.len());
        let ambiguous = tie || unclear || long || process.doubtful;
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
                None if ambiguous => Fate::Ended,
                None => Fate::Superseded,
            };
            self.settled(pid, exec, fate);
        }
    }

    /// A process says how it ends.
    fn exit_group(&mut self, stopped: &Notification, status: u8) {
        let mut pid = stopped.tid;
        if !self.processes.contains_key(&pid)
            && let Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) = open_pidfd(pid)
        {
            pid = procfs::thread_group(pid).unwrap_or(pid);
        }
        let goes_on = self.proceed(stopped.id);
        if let Some(process) = self.processes.get_mut(&pid).filter(|_| goes_on) {
            process.status.get_or_insert(status);
        }
    }

    /// A process died, or its parent asked for it.
    fn changed(&mut self, token: u64) {
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
                    if let Ok(stat) = procfs::stat(pid) {
                        self.settle_last(pid, stat.forked);
                    }
                    return;
                }
                Ok(info) => info.exit,
                Err(_) => None,
            },
        };
        self.retire(pid, told);
    }

    /// A dead process will execute nothing more.
    fn settle_last(&mut self, pid: i32, forked: bool) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let execs = std::mem::take(&mut process.under_way);
        let only = execs.len() == 1;
        for exec in execs {
            match exec.program(Some(forked)) {
                Program::Old => self.settled(pid, exec, Fate::Failed),
                Program::New if only => self.settled(pid, exec, Fate::Ran),
                _ => {
                    if let Some(process) = self.processes.get_mut(&pid) {
                        process.under_way.push(exec);
                    }
                }
            }
        }
    }

    /// Forgets a process, and writes its end: `told` is the status as wait(2) gives it.
    fn retire(&mut self, pid: i32, told: Option<i32>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        for exec in std::mem::take(&mut process.under_way) {
            let fate = match exec.before {
                Before::Unknown => Fate::Untold,
                Before::Forked | Before::Executed(_) => Fate::Ended,
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
    fn look_again(&mut self) {
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
        let forked = procfs::stat(pid).ok().map(|stat| stat.forked);
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if !process.lives() {
            return; // Its end is about to be reported, and the number may be another's.
        }
        let execs = std::mem::take(&mut process.under_way);
        let news = execs.iter().filter(|exec| exec.program(forked) == Program::New).count();
        for exec in execs {
            if exec.since.elapsed() < PATIENCE {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.under_way.push(exec);
                }
                continue;
            }
            let fate = match exec.program(forked) {
                Program::New if news == 1 => Fate::Ran,
                Program::New => Fate::Ended,
                Program::Old | Program::OldInUse => Fate::Remains,
                Program::Unknown => Fate::Untold,
            };
            self.settled(pid, exec, fate);
        }
    }
}

/// By what a new program will be told from the one that the thread runs now.
fn before(tid: i32, forked: Option<bool>) -> Before {
    match forked {
        Some(true) => Before::Forked,
        Some(false) => Image::of(tid).map_or(Before::Unknown, Before::Executed),
        None => Before::Unknown,
    }
}

/// What the path of an exec names, as far as that must be asked while the caller is stopped.
fn named(tid: i32, path: &[u8], at: Option<(i32, u32)>, cwd: Option<&Bytes>) -> Names {
    let file = |link: &str| match rustix::fs::stat(format!("/proc/{tid}/{link}")) {
        Ok(stat) => Names::File(FileId::of(&stat)),
        Err(_) => Names::Unknown,
    };
    if path.is_empty() {
        return match at {
            Some((fd, flags)) if flags & libc::AT_EMPTY_PATH.cast_unsigned() != 0 => {
                file(&format!("fd/{fd}"))
            }
            _ => Names::Unknown,
        };
    }
    if path.starts_with(b"/proc/") || path.starts_with(b"/dev/fd/") {
        return own_link(path).map_or(Names::Unknown, |link| file(&link));
    }
    if path.starts_with(b"/") {
        return Names::Path(Bytes::from(path));
    }
    let base = match at {
        Some((fd, _)) if fd != libc::AT_FDCWD => procfs::link(tid, &format!("fd/{fd}")).ok(),
        _ => cwd.cloned(),
    };
    match base {
        Some(base) if base.0.starts_with(b"/") => {
            Names::Path(Bytes([base.0.as_slice(), b"/", path].concat()))
        }
        _ => Names::Unknown,
    }
}

/// The link below `/proc/PID` that a path means for whoever uses it: from outside, `self` would be
/// ourselves.
fn own_link(path: &[u8]) -> Option<String> {
    let rest = path.strip_prefix(b"/proc/self/").or(path.strip_prefix(b"/proc/thread-self/"));
    let number = match rest {
        Some(b"exe") => return Some("exe".to_owned()),
        Some(rest) => rest.strip_prefix(b"fd/")?,
        None => path.strip_prefix(b"/dev/fd/")?,
    };
    let number = std::str::from_utf8(number).ok()?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("fd/{number}"))
}

/// The number of the first descriptor that is left for other things than processes: the kernel
/// gives the lowest that is free.
fn room_for_processes() -> RawFd {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    RawFd::try_from(limit).unwrap_or(RawFd::MAX) - FEW
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

fn open_pidfd(pid: i32) -> rustix::io::Result<OwnedFd> {
    pidfd_open(Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())
}

/// Waits for events; an interruption counts as none.
fn wait(
    epoll: &Epoll,
    events: &mut [EpollEvent],
    timeout: EpollTimeout,
) -> Result<Vec<EpollEvent>, Errno> {
    match epoll.wait(events, timeout) {
        Ok(count) => Ok(events.iter().take(count).copied().collect()),
        Err(Errno::EINTR) => Ok(Vec::new()),
        Err(errno) => Err(errno),
    }
}

fn byte(value: i32) -> Option<u8> {
    u8::try_from(value).ok()
}

/// Now, by the wall clock.
fn now() -> Micros {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_caller_are_its_own() {
        assert_eq!(own_link(b"/proc/self/exe").as_deref(), Some("exe"));
        assert_eq!(own_link(b"/proc/thread-self/fd/3").as_deref(), Some("fd/3"));
        assert_eq!(own_link(b"/dev/fd/12").as_deref(), Some("fd/12"));
        assert_eq!(own_link(b"/proc/self/fd/../exe"), None);
        assert_eq!(own_link(b"/proc/self/root/bin/sh"), None);
        assert_eq!(own_link(b"/proc/1/exe"), None);
    }

    #[test]
    fn a_relative_path_is_below_the_directory() {
        let cwd = Bytes::from("/work");
        let want = Names::Path(Bytes::from("/work/./a"));
        assert_eq!(named(1, b"./a", None, Some(&cwd)), want);
        assert_eq!(named(1, b"a", Some((libc::AT_FDCWD, 0)), None), Names::Unknown);
        let gone = Bytes::from("(unreachable)/x");
        assert_eq!(named(1, b"a", None, Some(&gone)), Names::Unknown);
    }
}
