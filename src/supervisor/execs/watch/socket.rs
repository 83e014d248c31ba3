//! A 32-bit x86 program wants a socket by socketcall(2). The arguments are read once, and pid 1 of
//! the sandbox makes the socket of them: the call itself never runs, so that no other thread can
//! change the family between our look and the kernel's. It must never let such a call go on, and
//! never wait for pid 1, which has other duties, and whose child's exec is answered here.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use nix::errno::Errno;

use super::Watch;
use crate::filters::calls::SocketCall;
use crate::sandbox::inner::handshake::{Made, Wanted};
use crate::supervisor::execs::procfs;
use crate::sys::channel::Channel;
use crate::sys::seccomp::Notification;

/// `SOCK_CLOEXEC`
const CLOSE_ON_EXEC: u32 = libc::SOCK_CLOEXEC.cast_unsigned();

/// Who makes sockets.
#[derive(Debug)]
pub(super) struct Maker {
    init: Channel,
    /// The inode of its network namespace.
    network: u64,
    /// The callers, in order. pid 1 has been asked for the first one's socket, and no other: more
    /// might not fit into the channel.
    waiting: VecDeque<Waiting>,
}

/// A stopped caller.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: u64,
    tid: i32,
    wanted: Wanted,
    /// Where the numbers of a pair are to be written.
    pair_at: u32,
}

impl Maker {
    /// pid 1 of the sandbox, as seen from here, at this channel.
    pub(super) fn new(init: Channel, init_pid: i32) -> io::Result<Self> {
        Ok(Self { init, network: network(init_pid)?, waiting: VecDeque::new() })
    }

    fn ask(&self) -> io::Result<()> {
        self.waiting.front().map_or(Ok(()), |first| self.init.send(&first.wanted, &[]))
    }
}

impl AsFd for Maker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.init.as_fd()
    }
}

/// Stays the same for a thread that is stopped.
fn network(tid: i32) -> io::Result<u64> {
    Ok(rustix::fs::stat(format!("/proc/{tid}/ns/net"))?.st_ino)
}

impl Watch {
    /// Lets the caller wait for its socket.
    pub(super) fn socket(&mut self, stopped: &Notification, call: SocketCall) {
        let wanted = self.wanted(stopped, call);
        self.in_hand = None;
        match (wanted, &mut self.maker) {
            (Ok(waiting), Some(maker)) => {
                maker.waiting.push_back(waiting);
                if maker.waiting.len() == 1 && maker.ask().is_err() {
                    self.make_no_sockets();
                }
            }
            (Err(errno), _) => self.answer(stopped.id, Err(errno)),
            (Ok(_), None) => self.answer(stopped.id, Err(Errno::ENOSYS)),
        }
    }

    /// pid 1 has answered, or is gone.
    pub(super) fn socket_made(&mut self) {
        let Some(maker) = &mut self.maker else { return };
        // The first one stays in the list until there is something to answer it.
        let Ok(Some(made)) = maker.init.receive::<Made>() else { return self.make_no_sockets() };
        let Some(first) = maker.waiting.pop_front() else { return self.make_no_sockets() };
        let next = maker.ask();
        let given = match made.message.0 {
            Ok(()) => self.give(first, &made.fds),
            Err(errno) => Err(Errno::from_raw(errno)),
        };
        self.answer(first.id, given);
        if next.is_err() {
            self.make_no_sockets();
        }
    }

    /// From now on nobody gets one.
    pub(super) fn make_no_sockets(&mut self) {
        let Some(maker) = self.maker.take() else { return };
        for waiting in maker.waiting {
            self.answer(waiting.id, Err(Errno::ENOSYS));
        }
    }

    fn answer(&self, id: u64, result: Result<i32, Errno>) {
        // An error without a number would be a success.
        let number = |errno| if errno == Errno::UnknownErrno { libc::EIO } else { errno as i32 };
        // A caller that is gone wants no answer.
        let _ = self.receiver.answer(id, result.map_err(number));
    }

    /// What the call is about.
    fn wanted(&self, stopped: &Notification, call: SocketCall) -> Result<Waiting, Errno> {
        let Notification { id, tid, .. } = *stopped;
        let maker = self.maker.as_ref().ok_or(Errno::ENOSYS)?;
        let memory = self.memory(id, tid)?;
        // In a sandbox inside this one a socket of ours would be a way out of that.
        if network(tid).ok() != Some(maker.network) {
            return Err(Errno::ENOSYS);
        }
        let [family, kind, protocol] = words(&memory, call.arguments)?;
        let [pair_at] =
            if call.pair { words(&memory, call.arguments.wrapping_add(12))? } else { [0] };
        let wanted = Wanted { family, kind, protocol, pair: call.pair };
        Ok(Waiting { id, tid, wanted, pair_at })
    }

    /// Gives the caller what was made for it; the result of its call.
    fn give(&self, to: Waiting, sockets: &[OwnedFd]) -> Result<i32, Errno> {
        let Waiting { id, tid, wanted, pair_at } = to;
        let close_on_exec = wanted.kind & CLOSE_ON_EXEC != 0;
        let mut numbers = Vec::new();
        for socket in sockets {
            let given = self.receiver.give(id, socket.as_fd(), close_on_exec);
            numbers.push(given.map_err(|err| Errno::from_raw(err.raw_os_error().unwrap_or(0)))?);
        }
        match numbers[..] {
            [number] if !wanted.pair => Ok(number),
            [one, other] if wanted.pair => {
                let bytes = [one.to_le_bytes(), other.to_le_bytes()].concat();
                let memory = self.memory(id, tid)?;
                memory.write_all_at(&bytes, pair_at.into()).map_err(|_| Errno::EFAULT)?;
                Ok(0)
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    /// The memory of the caller, and of nobody else: while it waits, the number is its own.
    fn memory(&self, id: u64, tid: i32) -> Result<File, Errno> {
        let memory = procfs::memory(tid).map_err(|_| Errno::ENOSYS)?;
        if self.receiver.waits(id) { Ok(memory) } else { Err(Errno::ESRCH) }
    }
}

fn words<const N: usize>(memory: &File, at: u32) -> Result<[u32; N], Errno> {
    let mut words = [0; N];
    for (word, offset) in words.iter_mut().zip((0..).step_by(4)) {
        let mut bytes = [0; 4];
        memory.read_exact_at(&mut bytes, u64::from(at) + offset).map_err(|_| Errno::EFAULT)?;
        *word = u32::from_le_bytes(bytes);
    }
    Ok(words)
}
