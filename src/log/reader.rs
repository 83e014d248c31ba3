//! Reads a session's log from its files, forwards, while it may still be written. It must never
//! stop at a line it does not understand: damage is one [`Entry::Damaged`], and reading goes on.
//! It takes every line at its word; only `verify` checks the chain.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::encode;
use super::event::Event;
use super::lines::{Lines, Step};
use super::segment;

/// How much is read at once.
const BLOCK: usize = 64 << 10;

/// One line of the log.
#[derive(Debug)]
pub enum Entry<'a> {
    /// An event, and its JSON as it stands in the file.
    Event(Box<Event>, &'a str),
    /// A line that holds no event.
    Damaged,
}

/// A log that is being read.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    number: u32,
    /// Where in the segment reading began.
    offset: u64,
    lines: Lines<BufReader<File>>,
}

impl Reader {
    /// Begins with the first line.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Self::at(directory, 0, 0)
    }

    /// Begins with about the last `count` lines. Of a segment that is larger than what is asked
    /// for only the end is read.
    pub fn open_tail(directory: &Path, count: usize) -> io::Result<Self> {
        let mut wanted = count;
        let mut number = segment::list(directory)?.last().copied().unwrap_or(0);
        loop {
            let mut file = match segment::open(directory, number) {
                // A gap, of which `verify` tells: what can be read in order is read from its beginning.
                Err(err) if err.kind() == io::ErrorKind::NotFound => return Self::open(directory),
                opened => opened?,
            };
            let (found, offset) = tail(&mut file, wanted)?;
            if found >= wanted || number == 0 {
                return Self::at(directory, number, offset);
            }
            wanted -= found;
            number -= 1;
        }
    }

    fn at(directory: &Path, number: u32, offset: u64) -> io::Result<Self> {
        let mut file = segment::open(directory, number)?;
        file.seek(SeekFrom::Start(offset))?;
        let lines = Lines::new(BufReader::with_capacity(BLOCK, file));
        Ok(Self { directory: directory.to_owned(), number, offset, lines })
    }

    /// The next line, or `None` where the log ends for now. A later call sees what was added.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry<'_>>> {
        let mut step = self.lines.step()?;
        while step == Step::Dry {
            let Some(next) = self.following()? else { return Ok(None) };
            // The last lines of a segment are there before the next segment is. What came between
            // the two looks is read before moving on.
            step = self.lines.step()?;
            if step == Step::Dry {
                let torn = self.lines.torn();
                *self = next;
                step = if torn { Step::TooLong } else { self.lines.step()? };
            }
        }
        Ok(Some(if step == Step::Line { entry(self.lines.line()) } else { Entry::Damaged }))
    }

    /// Whether reading began with the first line of the log.
    pub fn is_at_start(&self) -> bool {
        self.number == 0 && self.offset == 0
    }

    /// Whether nothing has been written yet.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(segment::open(&self.directory, 0)?.metadata()?.len() == 0)
    }

    fn following(&self) -> io::Result<Option<Self>> {
        // Behind the last number that a name can have there is nothing: not the first again.
        let Some(number) = self.number.checked_add(1) else { return Ok(None) };
        match Self::at(&self.directory, number, 0) {
            Ok(next) => Ok(Some(next)),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(err),
        }
    }
}

fn entry(line: &[u8]) -> Entry<'_> {
    encode::split(line)
        .and_then(|(_, raw)| {
            let event = encode::decode(raw).ok()?;
            Some(Entry::Event(Box::new(event), std::str::from_utf8(raw).ok()?))
        })
        .unwrap_or(Entry::Damaged)
}

/// Whether a supervisor is writing this log now; it holds a lock on the first segment.
pub fn is_live(directory: &Path) -> io::Result<bool> {
    let file = segment::open(directory, 0)?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(false),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(true),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Where the last `wanted` whole lines of a file begin, and how many there are.
fn tail(file: &mut (impl io::Read + io::Seek), wanted: usize) -> io::Result<(usize, u64)> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut newlines = 0;
    let mut block = Vec::with_capacity(BLOCK);
    while end > 0 {
        let begin = end.saturating_sub(BLOCK as u64);
        file.seek(SeekFrom::Start(begin))?;
        block.clear();
        file.by_ref().take(end - begin).read_to_end(&mut block)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if newlines == wanted {
                return Ok((wanted, begin + at as u64 + 1));
            }
            newlines += 1;
        }
        end = begin;
    }
    Ok((newlines, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::event::Notice;
    use crate::log::sink::Sink as _;
    use crate::log::writer::{Limits, Writer};
    use proptest::prelude::*;
    use std::fs;
    use std::io::Write as _;

    fn notice(text: &str) -> Event {
        Event::Notice(Notice { t: 1, kind: "test".into(), text: text.into() })
    }

    fn texts(reader: &mut Reader) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            match entry {
                Entry::Event(event, _) => match *event {
                    Event::Notice(notice) => out.push(notice.text),
                    Event::Segment(segment) => out.push(format!("segment {}", segment.number)),
                    other => panic!("{other:?}"),
                },
                Entry::Damaged => out.push("damaged".into()),
            }
        }
        out
    }

    #[test]
    fn reading_follows_the_writer_through_segments() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { segment: 300, ..Limits::default() };
        let mut writer = Writer::create(dir.path(), "s", limits).unwrap();
        let mut reader = Reader::open(dir.path()).unwrap();
        assert!(texts(&mut reader).is_empty());
        let mut got = Vec::new();
        for at in 0..9 {
            writer.write(&notice(&at.to_string())).unwrap();
            writer.flush().unwrap();
            got.extend(texts(&mut reader));
        }
        got.retain(|text| !text.starts_with("segment"));
        assert_eq!(got, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
        assert!(segment::list(dir.path()).unwrap().len() > 2);

        let mut last = texts(&mut Reader::open_tail(dir.path(), 4).unwrap());
        last.retain(|text| !text.starts_with("segment"));
        assert!(got.ends_with(&last) && last.len() >= 2, "{last:?}");
        let all = texts(&mut Reader::open_tail(dir.path(), 1000).unwrap());
        assert_eq!(all, texts(&mut Reader::open(dir.path()).unwrap()));
    }

    #[test]
    fn a_killed_writer_is_not_live() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
        assert!(is_live(dir.path()).unwrap());
        drop(writer);
        assert!(!is_live(dir.path()).unwrap());
    }

    #[test]
    fn links_and_pipes_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", segment::path(dir.path(), 0)).unwrap();
        assert!(Reader::open(dir.path()).is_err());
        let dir = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&segment::path(dir.path(), 0), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Reader::open(dir.path()).is_err());
    }

    proptest! {
        #[test]
        fn garbage_between_events_hides_none_of_them(
            pieces in proptest::collection::vec(
                proptest::collection::vec(any::<u8>().prop_filter("", |b| *b != b'\n'), 0..40), 0..6),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
            let mut other =
                File::options().append(true).open(segment::path(dir.path(), 0)).unwrap();
            for (at, piece) in pieces.iter().enumerate() {
                other.write_all(piece).unwrap();
                other.write_all(b"\n").unwrap();
                writer.write(&notice(&at.to_string())).unwrap();
                writer.flush().unwrap();
            }
            other.write_all(b"{\"h\":").unwrap();
            let mut got = texts(&mut Reader::open(dir.path()).unwrap());
            got.retain(|text| text != "damaged");
            prop_assert_eq!(got, (0..pieces.len()).map(|at| at.to_string()).collect::<Vec<_>>());
        }

        #[test]
        fn the_tail_is_the_last_lines(text in "[a\n]{0,60}", wanted in 0_usize..9) {
            let (found, offset) = tail(&mut io::Cursor::new(&text), wanted).unwrap();
            let offset = usize::try_from(offset).unwrap();
            let all = text.matches('\n').count();
            prop_assert_eq!(found, all.min(wanted));
            prop_assert_eq!(text[offset..].matches('\n').count(), found);
            prop_assert!(offset == 0 || text.as_bytes()[offset - 1] == b'\n');
        }
    }

    #[test]
    fn the_last_number_that_there_is_has_no_next() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
        writer.write(&notice("0")).unwrap();
        writer.flush().unwrap();
        fs::copy(segment::path(dir.path(), 0), segment::path(dir.path(), u32::MAX)).unwrap();
        let mut reader = Reader::open_tail(dir.path(), 1).unwrap();
        assert!(!reader.is_at_start());
        assert_eq!(texts(&mut reader), ["0"]);
        // More than is in it leads to where there is nothing, and from there to the beginning.
        assert!(Reader::open_tail(dir.path(), 5).unwrap().is_at_start());
    }
}
