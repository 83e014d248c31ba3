//! Cuts a stream of bytes into lines, whatever the bytes are: half a line at the end of a file that
//! still grows is kept until the rest of it arrives, and a line without end costs no memory.
#![forbid(unsafe_code)]

use std::io::{self, BufRead};

use super::encode::MAX_LINE;

/// One step through a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A line; [`Lines::line`] has it.
    Line,
    /// A line longer than [`MAX_LINE`]; its bytes were not kept.
    TooLong,
    /// The stream has no more to give for now.
    Dry,
}

/// A reader of lines.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    line: Vec<u8>,
    /// `line` is half a line.
    partial: bool,
    /// The rest of a line that is too long is passed over.
    skipping: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads from here.
    pub fn new(from: R) -> Self {
        Self { from, line: Vec::new(), partial: false, skipping: false }
    }

    /// Goes on to the next line, if there is a whole one.
    pub fn step(&mut self) -> io::Result<Step> {
        if !self.partial {
            self.line.clear();
        }
        loop {
            let chunk = match self.from.fill_buf() {
                Ok(chunk) => chunk,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                Err(err) => return Err(err),
            };
            if chunk.is_empty() {
                return Ok(Step::Dry);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(chunk.len());
            if !self.skipping && self.line.len() + taken < MAX_LINE {
                self.line.extend_from_slice(&chunk[..taken]);
            } else {
                self.line.clear();
                self.skipping = true;
            }
            self.from.consume(end.map_or(taken, |end| end + 1));
            if end.is_some() {
                self.partial = false;
                let skipped = std::mem::take(&mut self.skipping);
                return Ok(if skipped { Step::TooLong } else { Step::Line });
            }
            self.partial = true;
        }
    }

    /// After [`Step::Line`]: the line, without its newline.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// After [`Step::Dry`]: whether the stream ends in half a line.
    pub fn torn(&self) -> bool {
        self.partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{BufReader, Read};

    /// A file that grows: a read returns one piece, or nothing where the piece is empty.
    struct Growing(std::collections::VecDeque<Vec<u8>>);

    impl Read for Growing {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Some(mut piece) = self.0.pop_front() else { return Ok(0) };
            let rest = piece.split_off(piece.len().min(out.len()));
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
            out[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let mut bytes = vec![b'x'; 3 * MAX_LINE];
        bytes.extend_from_slice(b"\nok\n");
        let mut lines = Lines::new(bytes.as_slice());
        assert_eq!(lines.step().unwrap(), Step::TooLong);
        assert!(lines.line.capacity() <= 2 * MAX_LINE);
        assert_eq!(lines.step().unwrap(), Step::Line);
        assert_eq!(lines.line(), b"ok");
        assert_eq!(lines.step().unwrap(), Step::Dry);
        assert!(!lines.torn());
    }

    #[test]
    fn half_a_line_is_seen_as_such() {
        let mut lines = Lines::new(&b"a\nb"[..]);
        assert_eq!(lines.step().unwrap(), Step::Line);
        assert_eq!(lines.line(), b"a");
        assert_eq!(lines.step().unwrap(), Step::Dry);
        assert!(lines.torn());
    }

    proptest! {
        #[test]
        fn growth_never_changes_the_lines(
            pieces in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..9), 0..30),
        ) {
            let whole = pieces.concat();
            let dry = pieces.len() + 1;
            let mut lines = Lines::new(BufReader::with_capacity(4, Growing(pieces.into())));
            let mut got = Vec::new();
            let mut seen_dry = 0;
            while seen_dry < dry {
                match lines.step().unwrap() {
                    Step::Line => got.push(lines.line().to_vec()),
                    Step::Dry => seen_dry += 1,
                    Step::TooLong => unreachable!(),
                }
            }
            let mut want: Vec<_> = whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let rest = want.pop().unwrap_or_default();
            prop_assert_eq!(got, want);
            prop_assert_eq!(lines.torn(), !rest.is_empty());
        }
    }
}
