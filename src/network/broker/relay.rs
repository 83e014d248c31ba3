//! Carries bytes between two connections. Nothing is kept for one that is idle, and what is kept for
//! one that waits for its other end is bounded, for it and for all together. It must never change a
//! byte, nor hold one back.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How much is read at a time: less costs half as many bytes again in system calls, more gains little.
const CHUNK: usize = 128 * 1024;
/// How much is read at a time where much is kept already.
const SMALL: usize = 4 * 1024;
/// How much is kept for all connections before each gets less.
const MUCH: usize = 1024 * 1024;
/// How long a connection of which one direction has ended may say nothing in the other: the
/// program inside may be long gone, which the kernel does not tell us.
const HALF: Duration = Duration::from_secs(600);

/// The memory that connections share.
#[derive(Debug)]
pub(super) struct Buffers {
    /// Used between a read and the write that follows, never across a wait.
    scratch: RefCell<Box<[u8]>>,
    /// How much is kept.
    kept: Cell<usize>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { scratch: RefCell::new(vec![0; CHUNK].into_boxed_slice()), kept: Cell::new(0) }
    }
}

/// Bytes that wait for their receiver.
struct Kept<'a> {
    bytes: Box<[u8]>,
    /// How many of them were written.
    written: usize,
    of: &'a Buffers,
}

impl Kept<'_> {
    /// Writes what the socket takes now; whether that was all.
    fn write(&mut self, to: &TcpStream) -> io::Result<bool> {
        while self.written < self.bytes.len() {
            match to.try_write(&self.bytes[self.written..]) {
                Ok(written) => self.written += written,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(err) => return Err(err),
            }
        }
        Ok(true)
    }
}

impl Buffers {
    /// Reads what there is, at most `most` bytes; `None` where there is nothing yet.
    pub(super) fn read<T>(
        &self,
        from: &TcpStream,
        most: usize,
        take: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<Option<T>> {
        let mut scratch = self.scratch.borrow_mut();
        let room = if self.kept.get() < MUCH { CHUNK } else { SMALL };
        let room = room.min(most);
        match from.try_read(&mut scratch[..room]) {
            Ok(length) => {
                if 0 < length && length < room {
                    drained(from);
                }
                Ok(Some(take(&scratch[..length])))
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(err) => Err(err),
        }
    }

    fn keep(&self, bytes: &[u8]) -> Kept<'_> {
        self.kept.set(self.kept.get() + bytes.len());
        Kept { bytes: bytes.into(), written: 0, of: self }
    }
}

/// Has the runtime wait before it reads again: there is no more (epoll(7), question 9). To find that
/// out by another read would be one system call in four. An end that was seen is not forgotten.
fn drained(stream: &TcpStream) {
    let _ = stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.of.kept.set(self.of.kept.get() - self.bytes.len());
    }
}

/// Which of the two failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The program inside, or its connection.
    Inside,
    /// The other.
    Outside,
}

/// One end, and what came out of it so far.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) side: Side,
    pub(super) count: &'a Cell<u64>,
}

/// Carries until both directions have ended. Both are polled by hand: an idle connection is to cost
/// little memory, and futures that wait for a socket have much to remember.
///
/// # Errors
/// What failed, and on which side.
pub(super) async fn both(
    buffers: &Buffers,
    inside: End<'_>,
    outside: End<'_>,
) -> Result<(), (Side, io::Error)> {
    let mut out = Direction { from: inside, to: outside, kept: None, ended: false };
    let mut back = Direction { from: outside, to: inside, kept: None, ended: false };
    let mut half: Option<Half> = None;
    let mut out_first = false;
    poll_fn(|cx| {
        // By turns: the first could take all of the task's budget, time and again.
        out_first = !out_first;
        if out_first {
            out.poll(buffers, back.ended, cx)?;
            back.poll(buffers, out.ended, cx)?;
        } else {
            back.poll(buffers, out.ended, cx)?;
            out.poll(buffers, back.ended, cx)?;
        }
        let left = match (out.ended, back.ended) {
            (true, true) => return Poll::Ready(Ok(())),
            (false, false) => return Poll::Pending,
            (true, false) => &back,
            (false, true) => &out,
        };
        half.get_or_insert_with(|| Half::new(left.from.count.get()))
            .poll(left.from.count.get(), cx)
            .map(Ok)
    })
    .await
}

/// The second direction: given up when nothing moves for long.
struct Half {
    /// What had been carried when the time began to count.
    before: u64,
    until: Pin<Box<Sleep>>,
}

impl Half {
    fn new(before: u64) -> Self {
        Self { before, until: Box::pin(sleep(HALF)) }
    }

    fn poll(&mut self, now: u64, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.until.as_mut().poll(cx));
            if now == self.before {
                return Poll::Ready(());
            }
            self.before = now;
            self.until.as_mut().reset(Instant::now() + HALF);
        }
    }
}

/// One direction.
struct Direction<'a> {
    from: End<'a>,
    to: End<'a>,
    kept: Option<Kept<'a>>,
    ended: bool,
}

impl<'a> Direction<'a> {
    /// Carries what there is. When its source has ended its target is told, unless the `other` direction
    /// has ended too: then both are about to be closed.
    fn poll(
        &mut self,
        buffers: &'a Buffers,
        other: bool,
        cx: &mut Context<'_>,
    ) -> Result<(), (Side, io::Error)> {
        let (from, to) = (self.from, self.to);
        let of_source = |err| (from.side, err);
        let of_target = |err| (to.side, err);
        // To wait takes of the task's budget: two ends that are fast enough leave others their turn.
        while !self.ended {
            if let Some(kept) = &mut self.kept {
                let Poll::Ready(ready) = to.stream.poll_write_ready(cx) else { return Ok(()) };
                ready.map_err(of_target)?;
                if kept.write(to.stream).map_err(of_target)? {
                    self.kept = None;
                }
                continue;
            }
            let Poll::Ready(ready) = from.stream.poll_read_ready(cx) else { return Ok(()) };
            ready.map_err(of_source)?;
            let moved = buffers.read(from.stream, CHUNK, |bytes| {
                let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                from.count.set(from.count.get().saturating_add(count));
                (bytes.is_empty(), pass(buffers, bytes, to.stream))
            });
            match moved.map_err(of_source)? {
                None => {}
                Some((true, _)) => {
                    self.ended = true;
                    if !other {
                        // Fails where the other end is gone, which its own direction sees.
                        let _ = shutdown(to.stream, Shutdown::Write);
                    }
                }
                Some((false, passed)) => self.kept = passed.map_err(of_target)?,
            }
        }
        Ok(())
    }
}

/// Writes what the socket takes now; what it does not take is kept.
fn pass<'a>(
    buffers: &'a Buffers,
    mut bytes: &[u8],
    to: &TcpStream,
) -> io::Result<Option<Kept<'a>>> {
    while !bytes.is_empty() {
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Some(buffers.keep(bytes)));
            }
            Err(err) => return Err(err),
        }
    }
    Ok(None)
}

/// Writes all of it.
///
/// # Errors
/// When the other end is gone.
pub(super) async fn all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}
