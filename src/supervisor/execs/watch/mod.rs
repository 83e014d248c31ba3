//! The receiving thread: takes each notification, reads what it must while the caller is stopped,
//! lets it go on, and queues what it saw. It knows the live processes and nothing else. It must
//! never touch a disk, and whatever goes wrong here, every stopped call goes on, but for one: who
//! wants a socket by socketcall(2) gets it from pid 1 or not at all.
#![forbid(unsafe_code)]

mod call;
mod end;
mod identity;
mod names;
mod rehearse;
mod socket;
mod start;
mod turns;
mod wakes;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use self::socket::Maker;
use self::wakes::Wakes;
use super::Options;
use super::flag::Flag;
use super::process::Process;
use super::queue::Queue;
use super::record::{FileId, Seen};
use crate::filters::calls::{self, Call};
use crate::log::clock::now;
use crate::log::event::{Event, ExecId, Notice};
use crate::sys::channel::Channel;
use crate::sys::seccomp::{Notification, Receiver};

/// Mark the stop signal and pid 1's channel among what wakes; processes have their serial above their
/// number, which is never as large.
const STOP: u64 = u64::MAX;
const MAKER: u64 = u64::MAX - 1;
/// How often the impatient look is taken while any exec is under way.
const LOOK: Duration = Duration::from_millis(500);
/// How long the deaths of the sandbox's last processes are waited for at the end.
const LAST: Duration = Duration::from_millis(500);
/// How often it is looked whether that time is over.
const ENDING: Duration = Duration::from_millis(20);

/// The receiving thread's state.
#[derive(Debug)]
pub struct Watch {
    receiver: Receiver,
    /// The notification that is not answered yet.
    in_hand: Option<Notification>,
    maker: Option<Maker>,
    wakes: Wakes,
    /// Whether the kernel was asked to wake caller and receiver on one processor.
    in_turns: bool,
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

impl Watch {
    /// Prepares to watch.
    pub fn new(
        listener: OwnedFd,
        options: Options,
        sockets: Option<Channel>,
        queue: Arc<Queue<Seen>>,
        stop: Arc<Flag>,
    ) -> io::Result<Self> {
        let receiver = Receiver::new(listener)?;
        // A pid 1 that cannot be looked at is dying (`EACCES`), and makes none.
        let maker = sockets.and_then(|init| Maker::new(init, options.init_pid).ok());
        let wakes = Wakes::new(options.kernel.exits)?;
        wakes.add(stop.as_fd(), STOP)?;
        if let Some(maker) = &maker {
            wakes.add(maker.as_fd(), MAKER)?;
        }
        Ok(Self {
            receiver,
            in_hand: None,
            maker,
            wakes,
            in_turns: false,
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
            room: identity::room_for_processes(),
            missed: false,
        })
    }

    /// Watches until told to stop, then takes in what is left. After a failure of its own it lets
    /// everything pass and says so.
    pub fn run(mut self, failure: &Flag) -> ExecId {
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.rehearse();
            self.watch()
        }));
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
        self.last_id
    }

    /// Answers everything and looks at nothing, until told to stop.
    fn let_pass(&mut self) {
        if let Some(stopped) = self.in_hand.take() {
            self.let_one_pass(&stopped);
        }
        self.make_no_sockets();
        self.processes.clear();
        while let Ok(woken) = self.wakes.wait(self.receiver.as_fd(), None, false) {
            if woken.call
                && let Ok(stopped) = self.receiver.receive()
            {
                self.let_one_pass(&stopped);
            }
            if woken.tokens.contains(&STOP) {
                return;
            }
        }
    }

    fn let_one_pass(&self, stopped: &Notification) {
        let _ = match calls::decode(stopped) {
            // Its family has not been looked at by anybody.
            Call::Socket(_) => self.receiver.answer(stopped.id, Err(libc::ENOSYS)),
            _ => self.receiver.proceed(stopped.id),
        };
    }

    fn watch(&mut self) -> Result<(), Errno> {
        let mut looked = Instant::now();
        let mut ending: Option<Instant> = None;
        loop {
            let limit = match ending {
                Some(_) => Some(ENDING),
                None => (self.under_way > 0).then_some(LOOK),
            };
            let processes = !self.processes.is_empty();
            let woken = self.wakes.wait(self.receiver.as_fd(), limit, processes)?;
            if woken.call {
                self.receive()?;
            }
            for token in woken.tokens {
                match token {
                    STOP => {
                        self.wakes.remove(self.stop.as_fd())?;
                        ending = Some(Instant::now());
                    }
                    MAKER => self.socket_made(),
                    process => self.changed(process),
                }
            }
            if self.under_way > 0 && looked.elapsed() >= LOOK {
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
        self.in_hand = Some(stopped);
        match calls::decode(&stopped) {
            Call::Exec(call) => self.exec(&stopped, &call),
            Call::Start => self.start(&stopped),
            Call::Socket(call) => self.socket(&stopped, call),
            Call::ExitGroup(status) => self.exit_group(&stopped, status),
            Call::SetMm => {
                // Whose program it changes cannot be told: memory may be shared with anybody.
                self.processes.values_mut().for_each(Process::set_mm);
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
}
