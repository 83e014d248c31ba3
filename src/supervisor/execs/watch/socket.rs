//! A 32-bit x86 program wants a socket by socketcall(2). The arguments are read once, and pid 1 of
//! the sandbox makes the socket of them: the call itself never runs, so that no other thread can
//! change the family between our look and the kernel's. It must never let such a call go on.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use nix::errno::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Watch;
use crate::sandbox::inner::handshake::{Made, Wanted};
use crate::supervisor::execs::calls::SocketCall;
use crate::supervisor::execs::procfs;
use crate::sys::channel::Channel;
use crate::sys::seccomp::Notification;

/// How long pid 1 may take. It has nothing to wait for, so after this it is given up on.
const PATIENCE: Duration = Duration::from_secs(5);
/// `SOCK_CLOEXEC`
const CLOSE_ON_EXEC: u32 = libc::SOCK_CLOEXEC.cast_unsigned();

/// Who makes sockets.
#[derive(Debug)]
pub(super) struct Maker {
    init: Channel,
    /// The inode of its network namespace.
    network: u64,
}

impl Maker {
    /// pid 1 of the sandbox, as seen from here, at this channel.
    pub(super) fn new(init: Channel, init_pid: i32) -> io::Result<Self> {
        Ok(Self { init, network: network(init_pid)? })
    }

    fn make(&self, wanted: Wanted) -> io::Result<(Made, Vec<OwnedFd>)> {
        self.init.send(&wanted, &[])?;
        let timeout = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        let mut ready = [PollFd::new(&self.init, PollFlags::IN)];
        while let Err(errno) = poll(&mut ready, Some(&timeout)) {
            if errno != rustix::io::Errno::INTR {
                return Err(errno.into());
            }
        }
        if ready[0].revents().is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let made = self.init.receive::<Made>()?.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((made.message, made.fds))
    }
}

/// Stays the same for a thread that is stopped.
fn network(tid: i32) -> io::Result<u64> {
    Ok(rustix::fs::stat(format!("/proc/{tid}/ns/net"))?.st_ino)
}

impl Watch {
    pub(super) fn socket(&mut self, stopped: &Notification, call: SocketCall) {
        let made = self.make_socket(stopped, call);
        self.in_hand = None;
        // A caller that is gone wants no answer.
        let _ = self.receiver.answer(stopped.id, made.map_err(|errno| errno as i32));
    }

    /// Makes it and gives it to the caller; the result of the call.
    fn make_socket(&mut self, stopped: &Notification, call: SocketCall) -> Result<i32, Errno> {
        let maker = self.maker.as_ref().ok_or(Errno::ENOSYS)?;
        let memory = procfs::memory(stopped.tid).map_err(|_| Errno::ENOSYS)?;
        let there = network(stopped.tid).map_err(|_| Errno::ENOSYS)?;
        // Until here the number could have come to mean another process, one of the host even.
        if !self.receiver.waits(stopped.id) {
            return Err(Errno::ESRCH);
        }
        // In a sandbox inside this one a socket of ours would be a way out of that.
        if there != maker.network {
            return Err(Errno::ENOSYS);
        }
        let [family, kind, protocol] = words(&memory, call.arguments)?;
        let [pair_at] =
            if call.pair { words(&memory, call.arguments.wrapping_add(12))? } else { [0] };
        let wanted = Wanted { family, kind, protocol, pair: call.pair };
        let Ok((made, sockets)) = maker.make(wanted) else {
            // A late answer would be taken for that to another question.
            self.maker = None;
            return Err(Errno::ENOSYS);
        };
        made.0.map_err(Errno::from_raw)?;
        let mut numbers = Vec::new();
        for socket in &sockets {
            let given = self.receiver.give(stopped.id, socket.as_fd(), kind & CLOSE_ON_EXEC != 0);
            numbers
                .push(given.map_err(|err| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?);
        }
        match numbers[..] {
            [number] if !call.pair => Ok(number),
            [one, other] if call.pair => {
                let bytes = [one.to_le_bytes(), other.to_le_bytes()].concat();
                memory.write_all_at(&bytes, pair_at.into()).map_err(|_| Errno::EFAULT)?;
                Ok(0)
            }
            _ => Err(Errno::ENOSYS),
        }
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
