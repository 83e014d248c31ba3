//! Checks that a log is complete and unchanged: the chain over all segments, what the format
//! demands of their order, and the head that the supervisor recorded beside the log.
//! It must never call a log good that it could not read to its end.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;

use super::chain::{Chain, Hash};
use super::encode;
use super::event::{Event, FORMAT_VERSION};
use super::lines::{Lines, Step};
use super::{reader, segment};
use crate::visible::visible;

/// What is known about a log; the numbers are the exit codes of `claudebox verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Complete and unchanged.
    Ok = 0,
    /// Something was changed, taken away or added.
    Broken = 1,
    /// Unchanged so far, but the end is missing: the session goes on, or its supervisor died.
    Incomplete = 2,
    /// It could not be checked.
    Unverifiable = 3,
}

impl Verdict {
    /// The exit code of `claudebox verify`.
    pub fn exit_code(self) -> u8 {
        self as u8
    }

    /// The worse of two. Not the larger number: a log that was changed must not hide behind a
    /// session that merely goes on.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        let badness = |verdict| match verdict {
            Self::Ok => 0,
            Self::Incomplete => 1,
            Self::Unverifiable => 2,
            Self::Broken => 3,
        };
        if badness(other) > badness(self) { other } else { self }
    }
}

/// A verdict other than [`Verdict::Ok`], and why.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    why: String,
}

impl Finding {
    fn broken(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Broken, why: why.into() }
    }

    fn unverifiable(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unverifiable, why: why.into() }
    }
}

/// Checks the log in a session's directory: the verdict, and why, in one line that is safe for a
/// terminal.
pub fn verify(directory: &Path) -> (Verdict, String) {
    let mut log = Log::default();
    let checked = log.check(directory);
    let Log { chain, .. } = log;
    let events = if chain.events == 1 { "1 event" } else { &format!("{} events", chain.events) };
    match checked {
        Ok(()) => (Verdict::Ok, format!("ok: {events}, head {}", chain.head)),
        Err(Finding { verdict, why }) => {
            let text = match verdict {
                Verdict::Incomplete => format!("incomplete: {why}; unchanged so far: {events}"),
                Verdict::Broken => format!("broken: {why}"),
                Verdict::Ok | Verdict::Unverifiable => format!("cannot verify: {why}"),
            };
            (verdict, text)
        }
    }
}

/// The part of `status.json` that belongs to the log.
#[derive(Debug, Default, Deserialize)]
struct Recorded {
    events: Option<u64>,
    head: Option<String>,
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct Place {
    segment: u32,
    line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = segment::path(Path::new(""), self.segment);
        write!(f, "line {} of {}", self.line, name.display())
    }
}

/// What has been read of a log.
#[derive(Default)]
struct Log {
    chain: Chain,
    session: Option<String>,
    ended: bool,
    torn: bool,
}

impl Log {
    fn check(&mut self, directory: &Path) -> Result<(), Finding> {
        let numbers = segment::list(directory).map_err(|err| {
            Finding::unverifiable(format!("the session's directory cannot be read: {err}"))
        })?;
        let Some(last) = numbers.last() else {
            return Err(Finding::unverifiable("there is no log"));
        };
        // Asked before reading: a session that ends meanwhile has its end in what is read.
        let live = reader::is_live(directory).unwrap_or(false);
        for number in 0..=*last {
            if self.torn {
                return Err(Finding::broken(format!(
                    "{} goes on after half a line",
                    segment::path(Path::new(""), number - 1).display()
                )));
            }
            if !numbers.contains(&number) {
                let name = segment::path(Path::new(""), number);
                return Err(Finding::broken(format!("{} is missing", name.display())));
            }
            self.check_segment(directory, number)?;
        }
        let recorded = self.check_recorded(directory, live)?;
        let why = if recorded { "it could not be written" } else { "its supervisor died" };
        match (self.ended, self.torn, live) {
            (true, false, _) => Ok(()),
            (true, true, _) => Err(Finding::broken("something follows the end of the log")),
            (false, _, true) => Err(incomplete("the session is still running")),
            (false, true, false) => Err(incomplete(&format!("the log ends in half a line: {why}"))),
            (false, false, false) => Err(incomplete(&format!("the log has no end: {why}"))),
        }
    }

    fn check_segment(&mut self, directory: &Path, number: u32) -> Result<(), Finding> {
        let unreadable = |err: std::io::Error| {
            let name = segment::path(Path::new(""), number);
            Finding::unverifiable(format!("{} cannot be read: {err}", name.display()))
        };
        let file: File = segment::open(directory, number).map_err(unreadable)?;
        let mut lines = Lines::new(BufReader::with_capacity(64 << 10, file));
        let mut place = Place { segment: number, line: 0 };
        loop {
            place.line += 1;
            match lines.step().map_err(unreadable)? {
                Step::Line => self.check_line(lines.line(), place)?,
                Step::TooLong => {
                    return Err(Finding::broken(format!("{place} is longer than any event")));
                }
                Step::Dry => break,
            }
        }
        self.torn = lines.torn();
        Ok(())
    }

    fn check_line(&mut self, line: &[u8], place: Place) -> Result<(), Finding> {
        let Some((claimed, raw)) = encode::split(line) else {
            return Err(Finding::broken(format!("{place} is not a line of a log")));
        };
        if self.ended {
            return Err(Finding::broken(format!("{place} follows the end of the log")));
        }
        if self.chain.push(raw) != claimed {
            return Err(Finding::broken(format!("the chain breaks at {place}")));
        }
        // The chain holds, so these bytes are what a writer wrote; what cannot be read now is
        // newer than this program, not tampered with.
        let event = encode::decode(raw).map_err(|err| {
            let err = visible(err.to_string());
            Finding::unverifiable(format!("{place} is not an event this version knows: {err}"))
        })?;
        self.check_event(event, place)
    }

    fn check_event(&mut self, event: Event, place: Place) -> Result<(), Finding> {
        let (version, session, first_of) = match event {
            Event::Start(start) => (start.v, start.session, 0),
            Event::Segment(segment) => (segment.v, segment.session, segment.number),
            _ if place.line == 1 => {
                let wanted = if place.segment == 0 { "start" } else { "segment" };
                return Err(Finding::broken(format!("{place} is not a `{wanted}` event")));
            }
            other => {
                self.ended = matches!(other, Event::End(_));
                return Ok(());
            }
        };
        if version != FORMAT_VERSION {
            return Err(Finding::unverifiable(format!(
                "{place} is of format {version}, this program knows {FORMAT_VERSION}"
            )));
        }
        let same_session = self.session.get_or_insert_with(|| session.clone()) == &session;
        if place.line != 1 || first_of != place.segment || !same_session {
            return Err(Finding::broken(format!(
                "{place} begins a segment that does not belong here"
            )));
        }
        Ok(())
    }

    /// Compares with the head that the supervisor recorded: the chain alone cannot tell a log that
    /// was cut after a whole line, or written anew, from a whole one. Answers whether the supervisor
    /// lived to record anything.
    fn check_recorded(&self, directory: &Path, live: bool) -> Result<bool, Finding> {
        let read = segment::read_beside(directory, "status.json", 1 << 20)
            .map_err(|err| Finding::unverifiable(format!("status.json cannot be read: {err}")))?;
        let Some(bytes) = read else { return Ok(false) };
        let recorded: Recorded = serde_json::from_slice(&bytes).map_err(|err| {
            let err = visible(err.to_string());
            Finding::unverifiable(format!("status.json cannot be read: {err}"))
        })?;
        // While the session runs the log may already be ahead of what was recorded.
        let (Some(events), Some(head), false) = (recorded.events, recorded.head, live) else {
            return Ok(true);
        };
        if events != self.chain.events {
            return Err(Finding::broken(format!(
                "the log has {} events, status.json says {events}",
                self.chain.events
            )));
        }
        if Hash::parse(head.as_bytes()) != Some(self.chain.head) {
            return Err(Finding::broken("the head of the log is not the one in status.json"));
        }
        Ok(true)
    }
}

fn incomplete(why: &str) -> Finding {
    Finding { verdict: Verdict::Incomplete, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::event::Start;
    use crate::log::laws;
    use crate::log::sink::Sink as _;
    use crate::log::writer::{Limits, Writer};
    use std::fs;
    use tempfile::TempDir;

    /// A log of three segments, ended, with its status.json.
    fn log() -> TempDir {
        let dir = laws::log(true);
        assert_eq!(segment::list(dir.path()).unwrap(), [0, 1, 2]);
        dir
    }

    fn said(dir: &TempDir) -> (u8, String) {
        let (verdict, text) = verify(dir.path());
        (verdict.exit_code(), text)
    }

    fn without_status(dir: TempDir) -> TempDir {
        fs::remove_file(dir.path().join("status.json")).unwrap();
        dir
    }

    /// Changes one segment's lines.
    fn change(dir: &TempDir, number: u32, change: impl FnOnce(&mut Vec<String>)) {
        let path = segment::path(dir.path(), number);
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
        change(&mut lines);
        fs::write(&path, lines.concat()).unwrap();
    }

    #[test]
    fn an_untouched_log_is_ok() {
        let (code, text) = said(&log());
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with("ok: 14 events, head "), "{text}");
        assert_eq!(said(&without_status(log())).0, 0);
    }

    #[test]
    fn the_worst_verdict_is_not_the_largest_code() {
        use Verdict::{Broken, Incomplete, Ok, Unverifiable};
        let worst = |verdicts: &[Verdict]| {
            verdicts.iter().fold(Ok, |worst, verdict| worst.or_worse(*verdict)).exit_code()
        };
        assert_eq!(worst(&[]), 0);
        assert_eq!(worst(&[Ok, Incomplete, Ok]), 2);
        assert_eq!(worst(&[Incomplete, Unverifiable, Incomplete]), 3);
        assert_eq!(worst(&[Unverifiable, Broken, Incomplete]), 1);
    }

    #[test]
    fn every_changed_byte_is_found() {
        let dir = without_status(log());
        for number in 0..3 {
            let path = segment::path(dir.path(), number);
            let whole = fs::read(&path).unwrap();
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                fs::write(&path, &bytes).unwrap();
                let (code, text) = said(&dir);
                // Without its newline the last line is one that a killed writer could have left.
                let last = number == 2 && at + 1 == whole.len();
                assert_eq!(code, if last { 2 } else { 1 }, "segment {number} byte {at}: {text}");
            }
            fs::write(&path, &whole).unwrap();
        }
        assert_eq!(said(&dir).0, 0);
    }

    #[test]
    fn the_first_bad_line_is_named() {
        let dir = log();
        change(&dir, 1, |lines| lines[1] = lines[1].replace("-l", "-a"));
        insta::assert_snapshot!(said(&dir).1, @"broken: the chain breaks at line 2 of events.000001.jsonl");
    }

    #[test]
    fn swapped_and_deleted_lines_are_found() {
        for number in 0..3 {
            let dir = without_status(log());
            change(&dir, number, |lines| lines.swap(0, 1));
            assert_eq!(said(&dir).0, 1);
            let dir = without_status(log());
            change(&dir, number, |lines| drop(lines.remove(0)));
            assert_eq!(said(&dir).0, 1);
            let dir = without_status(log());
            change(&dir, number, |lines| lines.insert(1, lines[0].clone()));
            assert_eq!(said(&dir).0, 1);
        }
    }

    #[test]
    fn a_cut_tail_is_incomplete_and_broken_where_the_head_was_recorded() {
        let cut = |lines: &mut Vec<String>| drop(lines.pop());
        let dir = log();
        change(&dir, 2, cut);
        insta::assert_snapshot!(said(&dir).1, @"broken: the log has 13 events, status.json says 14");
        assert_eq!(said(&dir).0, 1);
        let dir = without_status(log());
        change(&dir, 2, cut);
        insta::assert_snapshot!(said(&dir).1, @"incomplete: the log has no end: its supervisor died; unchanged so far: 13 events");
        assert_eq!(said(&dir).0, 2);
        change(&dir, 2, |lines| lines.push("{\"h\":\"00".into()));
        insta::assert_snapshot!(said(&dir).1, @"incomplete: the log ends in half a line: its supervisor died; unchanged so far: 13 events");
        assert_eq!(said(&dir).0, 2);
    }

    #[test]
    fn a_log_that_could_not_be_written_to_its_end_is_incomplete() {
        let dir = log();
        change(&dir, 2, |lines| drop(lines.pop()));
        fs::write(dir.path().join("status.json"), r#"{"code":125,"events":0}"#).unwrap();
        insta::assert_snapshot!(said(&dir).1, @"incomplete: the log has no end: it could not be written; unchanged so far: 13 events");
        assert_eq!(said(&dir).0, 2);
    }

    #[test]
    fn a_log_written_anew_is_broken_where_the_head_was_recorded() {
        let dir = log();
        let mut chain = Chain::default();
        for number in 0..3 {
            change(&dir, number, |lines| {
                for line in lines {
                    let raw = encode::split(line.trim_end().as_bytes()).unwrap().1;
                    let raw = String::from_utf8(raw.to_vec()).unwrap().replace("-l", "-a");
                    let mut out = Vec::new();
                    encode::line(&chain.push(raw.as_bytes()), raw.as_bytes(), &mut out);
                    *line = String::from_utf8(out).unwrap();
                }
            });
        }
        insta::assert_snapshot!(said(&dir).1, @"broken: the head of the log is not the one in status.json");
        assert_eq!(said(&without_status(dir)).0, 0, "which only a record elsewhere can tell");
    }

    #[test]
    fn a_missing_segment_is_found() {
        for (number, code) in [(0, 1), (1, 1), (2, 2)] {
            let dir = without_status(log());
            fs::remove_file(segment::path(dir.path(), number)).unwrap();
            assert_eq!(said(&dir).0, code, "segment {number}");
        }
        let dir = log();
        fs::remove_file(segment::path(dir.path(), 2)).unwrap();
        assert_eq!(said(&dir).0, 1, "the head was recorded");
    }

    #[test]
    fn what_is_appended_is_found() {
        let dir = without_status(log());
        let line = r#"{"h":"0000000000000000000000000000000000000000000000000000000000000000","e":{"ev":"notice","t":1,"kind":"x","text":"y"}}"#;
        change(&dir, 2, |lines| lines.push(format!("{line}\n")));
        insta::assert_snapshot!(said(&dir).1, @"broken: line 4 of events.000002.jsonl follows the end of the log");
        assert_eq!(said(&dir).0, 1);
        let dir = without_status(log());
        change(&dir, 2, |lines| lines.push("half".into()));
        assert_eq!(said(&dir).0, 1);
        let dir = without_status(log());
        let path = segment::path(dir.path(), 3);
        fs::write(path, line).unwrap();
        assert_eq!(said(&dir).0, 1);
    }

    #[test]
    fn another_sessions_log_put_together_with_this_one_is_found() {
        let (one, two) = (without_status(log()), without_status(log()));
        for number in 0..3 {
            let path = segment::path(two.path(), number);
            let text = fs::read_to_string(&path)
                .unwrap()
                .replace("\"session\":\"s\"", "\"session\":\"q\"");
            fs::write(path, text).unwrap();
        }
        fs::copy(segment::path(two.path(), 1), segment::path(one.path(), 1)).unwrap();
        assert_eq!(said(&one).0, 1);
    }

    #[test]
    fn a_running_session_is_incomplete() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
        let start = Start { v: FORMAT_VERSION, session: "s".into(), ..Start::default() };
        writer.write(&Event::Start(start)).unwrap();
        writer.flush().unwrap();
        insta::assert_snapshot!(said(&dir).1, @"incomplete: the session is still running; unchanged so far: 1 event");
        drop(writer);
        insta::assert_snapshot!(said(&dir).1, @"incomplete: the log has no end: its supervisor died; unchanged so far: 1 event");
        assert_eq!(said(&dir).0, 2);
    }

    #[test]
    fn what_cannot_be_checked_is_not_called_broken() {
        let dir = tempfile::tempdir().unwrap();
        insta::assert_snapshot!(said(&dir).1, @"cannot verify: there is no log");
        assert_eq!(said(&dir).0, 3);
        let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
        writer.write(&Event::Start(Start { v: 2, ..Start::default() })).unwrap();
        writer.flush().unwrap();
        insta::assert_snapshot!(said(&dir).1, @"cannot verify: line 1 of events.jsonl is of format 2, this program knows 1");
        assert_eq!(said(&dir).0, 3);
        fs::write(segment::path(dir.path(), 0), "x\n").unwrap();
        assert_eq!(said(&dir).0, 1);
        let dir = log();
        fs::write(dir.path().join("status.json"), "{").unwrap();
        assert_eq!(said(&dir).0, 3);
    }
}
