//! A forked child for the proofs at the start: it tries whether a notification filter works here, and
//! waits for its death. A filter cannot be taken off again, so it must never be tried on anything
//! that is to go on.
#![expect(unsafe_code, reason = "fork(2) has no safe wrapper")]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::process;
use super::seccomp::{self, Instruction, Receiver};
use crate::ready::ready_by;

/// How long the child's exec may take to arrive. Where it does not, notifications are accepted and
/// never delivered.
const PATIENCE: Duration = Duration::from_secs(2);

/// The child, which dies with this value.
#[derive(Debug)]
pub struct Trial {
    pid: libc::pid_t,
    child: OwnedFd,
    reaped: bool,
}

impl Trial {
    /// Forks it. It tries this filter, if there is one.
    ///
    /// # Errors
    /// When the kernel refuses another process or a socket.
    pub fn begin(filter: Option<&[Instruction]>) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let parent = std::process::id();
        // SAFETY: the child makes system calls only, whatever other threads held, and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // First of all, and of what the parent has: while a stopped exec waits, only a
                // signal ends it, since the listener may be in our own copy of the socket.
                if process::tie_to(parent, Signal::SIGKILL).is_err() {
                    // SAFETY: _exit(2) takes an integer, and runs nothing that the parent registered.
                    unsafe { libc::_exit(0) }
                }
                if let Some(filter) = filter {
                    try_out(filter, theirs.as_fd());
                }
                wait_for_death()
            }
            pid => Ok(Self { pid, child: ours, reaped: false }),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Answers the exec of a child that was given a filter, and says whether that worked: `Err` is the
    /// errno of what failed, `ENOSYS` where the exec did not arrive.
    ///
    /// # Errors
    /// When the child cannot be listened to.
    pub fn outcome(&self) -> io::Result<Result<(), i32>> {
        let deadline = Instant::now() + PATIENCE;
        let (listener, installed) = self.next(deadline)?;
        let Some(listener) = listener else {
            return Ok(Err(installed.unwrap_or(libc::ENOSYS)));
        };
        let mut receiver = Receiver::new(listener)?;
        let mut either =
            [PollFd::new(&receiver, PollFlags::IN), PollFd::new(&self.child, PollFlags::IN)];
        ready_by(&mut either, deadline)?;
        let arrived = either[0].revents().contains(PollFlags::IN);
        if arrived {
            let call = receiver.receive()?;
            receiver.proceed(call.id)?;
        }
        // Without a listener the exec fails with ENOSYS.
        drop(receiver);
        let (_, executed) = self.next(Instant::now() + PATIENCE)?;
        Ok(match executed {
            Some(libc::ENOENT) if arrived => Ok(()),
            Some(libc::ENOENT) | None => Err(libc::ENOSYS),
            Some(errno) => Err(errno),
        })
    }

    /// What the child says next; nothing, if it says nothing in time.
    fn next(&self, deadline: Instant) -> io::Result<(Option<OwnedFd>, Option<i32>)> {
        if !ready_by(&mut [PollFd::new(&self.child, PollFlags::IN)], deadline)? {
            return Ok((None, None));
        }
        let mut bytes = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        let got = recvmsg(&self.child, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let listener = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        Ok((listener, (got.bytes == bytes.len()).then_some(i32::from_le_bytes(bytes))))
    }

    /// Kills and reaps it.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.reaped, true) {
            return;
        }
        // SAFETY: the child is ours and not yet reaped, so its pid is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        // SAFETY: no status is asked for.
        while unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) } == -1
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.end();
    }
}

/// In the child: installs the filter, hands out its listener, and executes what is not there.
fn try_out(filter: &[Instruction], parent: BorrowedFd<'_>) {
    let listener = match seccomp::install(filter) {
        Ok(listener) => listener,
        Err(err) => return say(parent, err.raw_os_error().unwrap_or(libc::EIO), None),
    };
    say(parent, 0, Some(listener.fd.as_fd()));
    // A copy that stayed open here would turn the parent's dropping of its own into a hang.
    drop(listener);
    let nothing: [*const libc::c_char; 2] = [c"trial".as_ptr(), std::ptr::null()];
    // SAFETY: a string that ends in NUL, and an array that ends in null, twice.
    unsafe { libc::execve(c"/nonexistent".as_ptr(), nothing.as_ptr(), nothing.as_ptr()) };
    say(parent, Errno::last_raw(), None);
}

fn say(parent: BorrowedFd<'_>, number: i32, listener: Option<BorrowedFd<'_>>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds: Option<[BorrowedFd<'_>; 1]> = listener.map(|fd| [fd]);
    if let Some(fds) = &fds {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    // A parent that is gone needs no answer.
    let _ = sendmsg(
        parent,
        &[IoSlice::new(&number.to_le_bytes())],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    );
}

fn wait_for_death() -> ! {
    loop {
        // SAFETY: pause(2) takes nothing.
        unsafe { libc::pause() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::notify::{Stops, program};

    fn outcome(filter: &[Instruction]) -> Result<(), i32> {
        Trial::begin(Some(filter)).unwrap().outcome().unwrap()
    }

    #[test]
    fn an_exec_that_arrives_is_let_go_on() {
        assert_eq!(outcome(&program(Stops::default())), Ok(()));
    }

    #[test]
    fn an_exec_that_does_not_arrive_is_told() {
        let allow = Instruction { code: 0x06, jt: 0, jf: 0, k: seccomp::ALLOW };
        assert_eq!(outcome(&[allow]), Err(libc::ENOSYS));
        assert_eq!(outcome(&[]), Err(libc::EINVAL));
    }
}
