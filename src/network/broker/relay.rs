//! Carries bytes between two connections. Nothing is kept for one that is idle, and what is kept for
//! one that waits for its other end is bounded, for it and for all together. It must never change a
//! byte, nor hold one back.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;
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
    of: &'a Buffers,
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
        Kept { bytes: bytes.into(), of: self }
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

/// Carries until both directions have ended.
///
/// # Errors
/// What failed, and on which side.
pub(super) async fn both(
    buffers: &Buffers,
    inside: End<'_>,
    outside: End<'_>,
) -> Result<(), (Side, io::Error)> {
    let ended = Cell::new(false);
    let mut out = pin!(one(buffers, inside, outside, &ended));
    let mut back = pin!(one(buffers, outside, inside, &ended));
    tokio::select! {
        done = &mut out => {
            done?;
            rest(back, outside.count).await
        }
        done = &mut back => {
            done?;
            rest(out, inside.count).await
        }
    }
}

/// The second direction: given up when nothing moves for long.
async fn rest<F: Future<Output = Result<(), (Side, io::Error)>>>(
    mut direction: Pin<&mut F>,
    count: &Cell<u64>,
) -> Result<(), (Side, io::Error)> {
    loop {
        let before = count.get();
        match timeout(HALF, direction.as_mut()).await {
            Ok(done) => return done,
            Err(_) if count.get() == before => return Ok(()),
            Err(_) => {}
        }
    }
}

/// One direction, until its source has ended; then its target is told, unless the other direction has
/// `ended` too: then both are about to be closed.
async fn one(
    buffers: &Buffers,
    from: End<'_>,
    to: End<'_>,
    ended: &Cell<bool>,
) -> Result<(), (Side, io::Error)> {
    loop {
        from.stream.readable().await.map_err(|err| (from.side, err))?;
        let moved = buffers.read(from.stream, CHUNK, |bytes| {
            let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            from.count.set(from.count.get().saturating_add(count));
            (bytes.is_empty(), pass(buffers, bytes, to.stream))
        });
        match moved.map_err(|err| (from.side, err))? {
            None => {}
            Some((true, _)) => {
                if !ended.replace(true) {
                    // Fails where the other end is gone, which its own direction sees.
                    let _ = shutdown(to.stream, Shutdown::Write);
                }
                return Ok(());
            }
            Some((false, passed)) => {
                if let Some(kept) = passed.map_err(|err| (to.side, err))? {
                    all(to.stream, &kept.bytes).await.map_err(|err| (to.side, err))?;
                }
            }
        }
        // Two ends that are fast enough would leave no turn to anybody else.
        consume_budget().await;
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
