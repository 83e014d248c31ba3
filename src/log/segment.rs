//! The files of a log, and lines that are written whole or not at all. A file may end in half a
//! line only after the writer was killed; it must never happen because a disk was full.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The file of a segment: `events.jsonl` for number 0, `events.000001.jsonl` for number 1.
pub fn path(directory: &Path, number: u32) -> PathBuf {
    directory.join(match number {
        0 => "events.jsonl".to_owned(),
        _ => format!("events.{number:06}.jsonl"),
    })
}

/// The number in a segment's file name.
pub fn number(name: &[u8]) -> Option<u32> {
    let middle = name.strip_prefix(b"events.")?;
    if middle == b"jsonl" {
        return Some(0);
    }
    let digits = std::str::from_utf8(middle.strip_suffix(b".jsonl")?).ok()?;
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    (digits == format!("{number:06}")).then_some(number)
}

/// Which segments there are, in order.
pub fn list(directory: &Path) -> io::Result<Vec<u32>> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut found = Vec::new();
    for entry in directory.read_dir()? {
        found.extend(number(entry?.file_name().as_bytes()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes the file of a new segment; one that exists, or a link, is an error.
pub(super) fn create(directory: &Path, number: u32) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path(directory, number))
}

/// Opens a segment for reading. Anything but a regular file is an error; a FIFO would hang us.
pub(super) fn open(directory: &Path, number: u32) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path(directory, number))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// The first bytes of a small file beside the log; `None` where there is none.
pub(super) fn read_beside(directory: &Path, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(directory.join(name));
    let file = match opened {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(err),
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A file that only grows, and can be cut back to what it was.
pub(super) trait Append {
    /// Writes some of the bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file to this length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Whole lines on their way into a file.
#[derive(Debug)]
pub(super) struct WholeLines<F> {
    file: F,
    /// Whole lines in the file, in bytes.
    written: u64,
    /// Half a line may stand behind them.
    torn: bool,
    /// Whole lines that are not in the file yet.
    waiting: Vec<u8>,
}

impl<F: Append> WholeLines<F> {
    /// Continues an empty file.
    pub(super) fn new(file: F) -> Self {
        Self { file, written: 0, torn: false, waiting: Vec::new() }
    }

    /// Where the next line is put, newline included.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The length of the file once everything is written.
    pub(super) fn length(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// Writes what waits. After an error the file ends in a whole line again, and whatever is not
    /// in it still waits for the next call.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.mend()?;
        let mut done = 0;
        let result = loop {
            if done == self.waiting.len() {
                break Ok(());
            }
            match self.file.append(&self.waiting[done..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => break Err(err),
            }
        };
        let whole =
            self.waiting[..done].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.waiting.drain(..whole);
        self.written += whole as u64;
        self.torn = done > whole;
        // What happened first is the error that counts; a failed mend is tried again next time.
        let mended = self.mend();
        result.and(mended)
    }

    /// Cuts half a line off.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.cut(self.written)?;
            self.torn = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A disk with room for `room` bytes, whose every write takes at most `step` of them.
    #[derive(Debug)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        step: usize,
    }

    impl Append for Disk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.step).min(self.room - self.bytes.len());
            self.bytes.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.bytes.truncate(usize::try_from(length).unwrap());
            Ok(())
        }
    }

    #[test]
    fn names_and_numbers_belong_together() {
        for at in [0, 1, 999_999, 1_000_000] {
            let path = path(Path::new("/s"), at);
            let name = path.file_name().unwrap().as_encoded_bytes();
            assert_eq!(number(name), Some(at));
        }
        for name in
            ["events.000000.jsonl", "events.1.jsonl", "events.+00001.jsonl", "events.jsonl~"]
        {
            assert_eq!(number(name.as_bytes()), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_full_disk_tears_no_line_and_loses_none(
            lines in proptest::collection::vec("[a-z]{0,9}", 1..20),
            room in 0_usize..100,
            step in 1_usize..20,
        ) {
            let mut out = WholeLines::new(Disk { bytes: Vec::new(), room, step });
            let mut whole = Vec::new();
            for line in &lines {
                let line = format!("{line}\n");
                whole.extend_from_slice(line.as_bytes());
                out.buffer().extend_from_slice(line.as_bytes());
                let _ = out.flush();
                prop_assert!(out.file.bytes.is_empty() || out.file.bytes.ends_with(b"\n"));
                prop_assert!(whole.starts_with(&out.file.bytes));
            }
            prop_assert_eq!(out.length(), whole.len() as u64);
            out.file.room = usize::MAX;
            out.flush().unwrap();
            prop_assert_eq!(&out.file.bytes, &whole);
        }
    }
}
