//! Writes the log of one session: lines, chain, segments. The supervisor owns the only writer.
//! It must never leave a line half written, drop an event that it accepted, touch a line that is
//! already there, or go on writing into a file that nobody can find any more.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::chain::{self, Chain};
use super::clock::now;
use super::encode;
use super::event::{Event, FORMAT_VERSION, Notice, Segment};
use super::segment::{self, WholeLines};
use super::sink::Sink;

/// How many bytes wait in memory before they are written without being asked.
const BUFFER: usize = 64 << 10;

/// How large a log may grow, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A segment that has reached this is followed by a new one.
    pub segment: u64,
    /// Once all segments together have reached this, arguments are kept as a hash.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment: 64 << 20, total: 2 << 30 }
    }
}

/// The writer of a session's log.
///
/// The first segment stays open and locked (flock(2)) for as long as the writer lives: that is how
/// a reader tells a session that goes on from one whose supervisor was killed.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    session: String,
    limits: Limits,
    lock: Flock<File>,
    lines: WholeLines<File>,
    segment: u32,
    /// Bytes in the segments before this one.
    earlier: u64,
    chain: Chain,
    shortened: bool,
    ended: bool,
}

impl Writer {
    /// Begins a log in a session's directory; it is an error if there is one.
    pub fn create(directory: &Path, session: &str, limits: Limits) -> io::Result<Self> {
        let file = segment::create(directory, 0)?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        let file = lock.try_clone()?;
        Ok(Self {
            directory: directory.to_owned(),
            session: session.to_owned(),
            limits,
            lock,
            lines: WholeLines::new(file),
            segment: 0,
            earlier: 0,
            chain: Chain::default(),
            shortened: false,
            ended: false,
        })
    }

    /// How many lines the log has, and the hash of the last one in hexadecimal. Recorded in
    /// `status.json` as `events` and `head`, they show a log that was cut or replaced.
    pub fn head(&self) -> (u64, String) {
        (self.chain.events, self.chain.head.to_string())
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        let raw = encode::event(event)?;
        let raw = if encode::line_length(&raw) <= encode::MAX_LINE {
            raw
        } else {
            encode::event(&without_argv(event))?
        };
        if encode::line_length(&raw) > encode::MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "event too long for the log"));
        }
        encode::line(&self.chain.push(&raw), &raw, self.lines.buffer());
        Ok(())
    }

    /// Goes on to a new segment where this one is full.
    fn turn(&mut self) -> io::Result<()> {
        if self.lines.length() < self.limits.segment {
            return Ok(());
        }
        self.lines.flush()?;
        let number = self.segment + 1;
        let file = segment::create(&self.directory, number)?;
        self.earlier += self.lines.length();
        self.lines = WholeLines::new(file);
        self.segment = number;
        self.append(&Event::Segment(Segment {
            v: FORMAT_VERSION,
            t: now(),
            session: self.session.clone(),
            number,
        }))
    }

    fn note_limit(&mut self) -> io::Result<()> {
        if self.shortened || self.earlier + self.lines.length() < self.limits.total {
            return Ok(());
        }
        self.shortened = true;
        self.append(&Event::Notice(Notice {
            t: now(),
            kind: "argv-shortened".to_owned(),
            text: format!(
                "the log has reached its limit of {} MiB: from here on arguments are kept as a hash",
                self.limits.total >> 20
            ),
        }))
    }
}

impl Sink for Writer {
    // An error means that the event was not taken; the log is as it was before the call.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        if self.ended {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the log has its last line"));
        }
        if self.lines.waiting() >= BUFFER {
            self.lines.flush()?;
        }
        self.turn()?;
        self.append(event)?;
        self.ended = matches!(event, Event::End(_));
        if self.ended { Ok(()) } else { self.note_limit() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()?;
        if self.lock.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "its file was removed"));
        }
        Ok(())
    }

    fn shorten(&self) -> bool {
        self.shortened
    }
}

/// The event without the arguments that made it too long for a line. The limits on argv keep
/// this from happening to execs; the command line of the session itself has no limit but execve's.
fn without_argv(event: &Event) -> Event {
    let mut event = event.clone();
    match &mut event {
        Event::Start(start) => start.agent.truncate(1),
        Event::Exec(exec) => {
            exec.argc.get_or_insert(exec.argv.len() as u64);
            exec.argv_sha256 = Some(chain::argv_sha256(&exec.argv));
            exec.argv.clear();
        }
        Event::Ran(ran) => ran.argv = None,
        _ => {}
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::event::{End, Exec};
    use std::os::unix::fs::PermissionsExt as _;

    fn exec(argument: usize) -> Event {
        let argv = vec!["x".repeat(argument).as_str().into()];
        Event::Exec(Box::new(Exec { argv, ..Exec::default() }))
    }

    fn end() -> Event {
        Event::End(End { t: 0, execs: 0, code: 0, reason: "agent-exited".into(), dur_us: None })
    }

    fn lines(directory: &Path, number: u32) -> Vec<String> {
        let text = std::fs::read_to_string(segment::path(directory, number)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_log_is_private_locked_and_begun_once() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
        let path = segment::path(dir.path(), 0);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let file = File::open(&path).unwrap();
        let (file, _) = Flock::lock(file, FlockArg::LockSharedNonblock).unwrap_err();
        assert!(Writer::create(dir.path(), "s", Limits::default()).is_err());
        drop(writer);
        assert!(Flock::lock(file, FlockArg::LockSharedNonblock).is_ok());
    }

    #[test]
    fn a_log_that_was_removed_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
        writer.write(&exec(1)).unwrap();
        writer.flush().unwrap();
        std::fs::remove_file(segment::path(dir.path(), 0)).unwrap();
        writer.write(&exec(1)).unwrap();
        assert!(writer.flush().unwrap_err().to_string().contains("was removed"));
    }

    #[test]
    fn segments_follow_each_other_in_one_chain() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { segment: 1000, ..Limits::default() };
        let mut writer = Writer::create(dir.path(), "s", limits).unwrap();
        for _ in 0..12 {
            writer.write(&exec(100)).unwrap();
        }
        writer.write(&end()).unwrap();
        writer.flush().unwrap();
        assert!(writer.write(&exec(1)).is_err(), "nothing follows the end");

        let numbers = segment::list(dir.path()).unwrap();
        assert_eq!(numbers, [0, 1, 2, 3]);
        let mut chain = Chain::default();
        for number in numbers {
            for (at, line) in lines(dir.path(), number).iter().enumerate() {
                let (hash, raw) = encode::split(line.as_bytes()).unwrap();
                assert_eq!(chain.push(raw), hash);
                if number > 0 && at == 0 {
                    let event = encode::decode(raw).unwrap();
                    assert!(matches!(event, Event::Segment(segment) if segment.number == number));
                }
            }
        }
        assert_eq!(writer.head(), (chain.events, chain.head.to_string()));
        assert_eq!(chain.events, 12 + 1 + 3);
    }

    #[test]
    fn at_the_limit_arguments_are_shortened_and_that_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { total: 2000, ..Limits::default() };
        let mut writer = Writer::create(dir.path(), "s", limits).unwrap();
        for _ in 0..12 {
            writer.write(&exec(300)).unwrap();
        }
        assert!(writer.shorten());
        writer.flush().unwrap();
        let said =
            lines(dir.path(), 0).iter().filter(|line| line.contains("argv-shortened")).count();
        assert_eq!(said, 1);
    }

    #[test]
    fn an_event_too_long_for_a_line_loses_its_arguments_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
        writer.write(&exec(2 * encode::MAX_LINE)).unwrap();
        writer.flush().unwrap();
        let line = lines(dir.path(), 0).remove(0);
        let Event::Exec(exec) = encode::decode(encode::split(line.as_bytes()).unwrap().1).unwrap()
        else {
            panic!("{line}")
        };
        assert_eq!((exec.argv.len(), exec.argc), (0, Some(1)));
        assert_eq!(exec.argv_sha256.unwrap().len(), 64);
    }

    #[test]
    fn events_wait_until_they_are_flushed_or_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
        writer.write(&exec(10)).unwrap();
        assert_eq!(lines(dir.path(), 0).len(), 0);
        writer.flush().unwrap();
        assert_eq!(lines(dir.path(), 0).len(), 1);
        for _ in 0..3 {
            writer.write(&exec(BUFFER)).unwrap();
        }
        assert_eq!(lines(dir.path(), 0).len(), 3);
    }
}
