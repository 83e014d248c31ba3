//! What the receiving thread sleeps on. The listener is polled by itself: through epoll(7) the kernel
//! does not wake the thread on the caller's processor, even where it is asked to. A death wakes nobody
//! while its process could be read of what runs: its parent asks for it at once, and that wakes us. It
//! must never take a message from what it waits for, but for the fact that there is one.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::sys::pidfd::ExitSource;

/// How long a death that nobody asks for may go unseen: as long as nothing else has happened, but at
/// least and at most this long.
const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(4);

/// Descriptors that wake the thread, each with a token.
#[derive(Debug)]
pub(super) struct Wakes {
    others: Epoll,
    /// Deaths that wake nobody. `None` where a process that has been asked for does not wake anybody
    /// either (before Linux 6.15): there every death wakes.
    deaths: Option<Epoll>,
    looked: Instant,
    pause: Duration,
    /// Nobody is left who could be stopped.
    listener_gone: bool,
}

/// What woke the thread.
#[derive(Debug, Default)]
pub(super) struct Woken {
    /// Somebody is stopped.
    pub(super) call: bool,
    /// The tokens of all else.
    pub(super) tokens: Vec<u64>,
}

impl Wakes {
    /// Nothing to wait for but the listener.
    pub(super) fn new(exits: ExitSource) -> io::Result<Self> {
        let set = || Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        let deaths = match exits {
            ExitSource::Pidfd => Some(set()?),
            ExitSource::ExitGroup => None,
        };
        let (others, looked) = (set()?, Instant::now());
        Ok(Self { others, deaths, looked, pause: SOON, listener_gone: false })
    }

    /// Wakes for a descriptor that can be read.
    pub(super) fn add(&self, fd: impl AsFd, token: u64) -> nix::Result<()> {
        self.others.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))
    }

    /// Wakes for it no more.
    pub(super) fn remove(&self, fd: impl AsFd) -> nix::Result<()> {
        self.others.delete(fd)
    }

    /// Wakes for the death of a process, and again when its parent has asked for it.
    pub(super) fn add_process(&self, pidfd: BorrowedFd<'_>, token: u64) -> nix::Result<()> {
        self.others.add(pidfd, EpollEvent::new(DEATH, token))?;
        let seen = self
            .deaths
            .as_ref()
            .map_or(Ok(()), |deaths| deaths.add(pidfd, EpollEvent::new(DEATH, token)));
        seen.inspect_err(|_| {
            let _ = self.others.delete(pidfd);
        })
    }

    /// Whether the death of a process wakes at once; if not, only that its parent has asked for it.
    pub(super) fn wake_for_death(&self, pidfd: BorrowedFd<'_>, token: u64, wake: bool) {
        if self.deaths.is_some() {
            // EPOLLHUP cannot be left out (epoll_ctl(2)).
            let events = if wake { DEATH } else { EpollFlags::EPOLLET };
            let _ = self.others.modify(pidfd, &mut EpollEvent::new(events, token));
        }
    }

    /// Waits, at most for `limit`. An interruption is nothing that happened.
    pub(super) fn wait(
        &mut self,
        listener: BorrowedFd<'_>,
        limit: Option<Duration>,
        processes: bool,
    ) -> Result<Woken, Errno> {
        let look = (processes && self.deaths.is_some())
            .then(|| self.pause.saturating_sub(self.looked.elapsed()));
        let limit = limit.into_iter().chain(look).min();
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            // Not a part of a millisecond too early, which would be many times.
            PollTimeout::try_from(limit + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = [
            PollFd::new(self.others.0.as_fd(), PollFlags::POLLIN),
            PollFd::new(listener, PollFlags::POLLIN),
        ];
        let polled = if self.listener_gone { &mut fds[..1] } else { &mut fds[..] };
        match poll(polled, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Woken::default()),
            Err(errno) => return Err(errno),
        }
        let [others, listener] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let mut woken = Woken { call: listener.contains(PollFlags::POLLIN), ..Woken::default() };
        self.listener_gone |= !woken.call && !listener.is_empty();
        if !others.is_empty() {
            take(&self.others, &mut woken.tokens)?;
        }
        if woken.call || !others.is_empty() {
            self.pause = SOON;
        }
        if look.is_some() && self.looked.elapsed() >= self.pause {
            self.look(&mut woken.tokens)?;
        }
        Ok(woken)
    }

    /// Looks for deaths that have woken nobody.
    fn look(&mut self, tokens: &mut Vec<u64>) -> Result<(), Errno> {
        self.looked = Instant::now();
        self.pause = (self.pause * 2).min(LATE);
        self.deaths.as_ref().map_or(Ok(()), |deaths| take(deaths, tokens))
    }
}

/// Edge-triggered: once for the death, once for its being asked for.
const DEATH: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLET);

/// What is ready in a set, without waiting.
fn take(set: &Epoll, tokens: &mut Vec<u64>) -> Result<(), Errno> {
    let mut events = [EpollEvent::empty(); 64];
    match set.wait(&mut events, EpollTimeout::ZERO) {
        Ok(count) => tokens.extend(events.iter().take(count).map(EpollEvent::data)),
        Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    Ok(())
}
