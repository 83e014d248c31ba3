//! Laws that hold whatever stands in the files of a log: nothing panics, nothing raw is shown, and
//! what was changed is never called good.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::event::{End, Event, Exec, FORMAT_VERSION, Start};
use super::segment;
use super::show::{Screen, show};
use super::sink::Sink as _;
use super::verify::{Verdict, verify};
use super::writer::{Limits, Writer};
use crate::cases::cases;
use crate::cli::LogArgs;
use crate::visible::is_invisible;

/// How many segments the log of [`log`] has.
const SEGMENTS: u32 = 3;

/// A log of three segments that is whole and ended, with or without the record of its head.
pub(super) fn log(recorded: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { segment: 800, ..Limits::default() };
    let mut writer = Writer::create(dir.path(), "s", limits).unwrap();
    let start = Start { v: FORMAT_VERSION, session: "s".into(), ..Start::default() };
    writer.write(&Event::Start(start)).unwrap();
    for id in 1..11 {
        let argv = vec!["ls".into(), "-l".into()];
        writer.write(&Event::Exec(Box::new(Exec { id, argv, ..Exec::default() }))).unwrap();
    }
    let end = End { t: 0, execs: 10, code: 0, reason: "agent-exited".into(), dur_us: None };
    writer.write(&Event::End(end)).unwrap();
    writer.flush().unwrap();
    let (events, head) = writer.head();
    if recorded {
        let status = format!(r#"{{"code":0,"events":{events},"head":"{head}"}}"#);
        fs::write(dir.path().join("status.json"), status).unwrap();
    }
    dir
}

/// What can happen to a file. Places are parts of a whole: 0 is the beginning, 255 the end.
#[derive(Clone, Debug)]
enum Damage {
    Flip { at: u8, bits: u8 },
    Cut { from: u8, to: u8 },
    Insert { at: u8, bytes: Vec<u8> },
    Swap { one: u8, other: u8 },
    Repeat { line: u8 },
    Drop { line: u8 },
    Append { bytes: Vec<u8> },
    Lose,
    Exchange { with: u32 },
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..40),
            Just(b"\n".to_vec()),
            Just(b"{\"h\":\"\",\"e\":{}}\n".to_vec()),
        ]
    };
    prop_oneof![
        (any::<u8>(), 1_u8..).prop_map(|(at, bits)| Damage::Flip { at, bits }),
        (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Damage::Cut { from, to }),
        (any::<u8>(), bytes()).prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        (any::<u8>(), any::<u8>()).prop_map(|(one, other)| Damage::Swap { one, other }),
        any::<u8>().prop_map(|line| Damage::Repeat { line }),
        any::<u8>().prop_map(|line| Damage::Drop { line }),
        bytes().prop_map(|bytes| Damage::Append { bytes }),
        Just(Damage::Lose),
        (0..SEGMENTS).prop_map(|with| Damage::Exchange { with }),
    ]
}

/// The place that a part means.
fn place(part: u8, length: usize) -> usize {
    usize::from(part) * length / 255
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn strike(files: &mut [Option<Vec<u8>>], number: u32, damage: &Damage) {
    let number = usize::try_from(number).unwrap();
    if let Damage::Exchange { with } = damage {
        files.swap(number, usize::try_from(*with).unwrap());
        return;
    }
    let Some(bytes) = &mut files[number] else { return };
    let length = bytes.len();
    let mut rows = lines(bytes);
    match damage {
        Damage::Flip { at, bits } => {
            if let Some(byte) = bytes.get_mut(place(*at, length)) {
                *byte ^= bits;
            }
        }
        Damage::Cut { from, to } => {
            let (from, to) = (place(*from, length), place(*to, length));
            bytes.drain(from.min(to)..from.max(to));
        }
        Damage::Insert { at, bytes: new } => {
            let at = place(*at, length);
            bytes.splice(at..at, new.iter().copied());
        }
        Damage::Swap { one, other } if !rows.is_empty() => {
            let last = rows.len() - 1;
            rows.swap(place(*one, last), place(*other, last));
            *bytes = rows.concat();
        }
        Damage::Repeat { line } if !rows.is_empty() => {
            let line = place(*line, rows.len() - 1);
            rows.insert(line, rows[line].clone());
            *bytes = rows.concat();
        }
        Damage::Drop { line } if !rows.is_empty() => {
            rows.remove(place(*line, rows.len() - 1));
            *bytes = rows.concat();
        }
        Damage::Append { bytes: new } => bytes.extend(new),
        Damage::Lose => files[number] = None,
        _ => {}
    }
}

/// What `claudebox log` prints of it.
fn shown(directory: &Path, args: &LogArgs) -> Vec<u8> {
    let mut out = Vec::new();
    let null = fs::File::open("/dev/null").unwrap();
    let mut screen =
        Screen { out: &mut out, columns: &|| Some(60), fd: null.as_fd(), terminal: false };
    // That there is no log, or none that can be read, is an answer too.
    let _ = show(directory, args, &mut screen);
    out
}

/// What is left when claudebox's own colours are taken out.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.find(|ch: char| !ch.is_ascii_digit() && ch != ';').unwrap_or(after.len());
        // Only `m` ends a colour; anything else stays, and is found.
        rest = after[end..].strip_prefix('m').unwrap_or(&rest[before.len()..][1..]);
        if !after[end..].starts_with('m') {
            plain.push('\x1b');
        }
    }
    plain + rest
}

fn check_shown(directory: &Path) -> Result<(), TestCaseError> {
    let all = LogArgs { all: true, ..LogArgs::default() };
    let tree = LogArgs { tree: true, ..LogArgs::default() };
    let json = LogArgs { json: true, ..LogArgs::default() };
    for args in [LogArgs::default(), all, tree, json] {
        let text = String::from_utf8(shown(directory, &args)).unwrap();
        let plain = without_colours(&text);
        prop_assert!(!plain.chars().any(|ch| ch != '\n' && is_invisible(ch)), "{:?}", plain);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn what_was_changed_is_never_called_good(
        recorded: bool,
        blows in proptest::collection::vec((0..SEGMENTS, damage()), 1..4),
    ) {
        let dir = log(recorded);
        let read = |number| fs::read(segment::path(dir.path(), number)).ok();
        let before: Vec<Option<Vec<u8>>> = (0..SEGMENTS).map(read).collect();
        let mut after = before.clone();
        for (number, damage) in &blows {
            strike(&mut after, *number, damage);
        }
        for (number, bytes) in (0..SEGMENTS).zip(&after) {
            let path = segment::path(dir.path(), number);
            match bytes {
                Some(bytes) => fs::write(path, bytes).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
        let (verdict, text) = verify(dir.path());
        prop_assert_eq!(verdict == Verdict::Ok, after == before, "{}", text);
        prop_assert!(!text.chars().any(is_invisible));
        check_shown(dir.path())?;
    }

    /// Not even a chain that somebody made makes it good: the events must be those of a whole log.
    #[test]
    fn garbage_with_a_chain_is_not_good(
        bodies in proptest::collection::vec(
            prop_oneof![
                "\\{[ -~]{0,40}\\}",
                Just(r#"{"ev":"start","v":1,"t":0,"session":"s"}"#.to_owned()),
                Just(r#"{"ev":"end","t":0,"execs":0,"code":0,"reason":"x"}"#.to_owned()),
                Just(r#"{"ev":"segment","v":1,"t":0,"session":"s","number":1}"#.to_owned()),
                "(?s)\\{\"ev\":\"notice\",\"t\":1,\"kind\":\"a\",\"text\":\".{0,20}\"\\}",
            ], 0..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut chain = super::chain::Chain::default();
        let mut bytes = Vec::new();
        for body in bodies.iter().filter(|body| !body.contains('\n')) {
            super::encode::line(&chain.push(body.as_bytes()), body.as_bytes(), &mut bytes);
        }
        fs::write(segment::path(dir.path(), 0), &bytes).unwrap();
        let (verdict, text) = verify(dir.path());
        prop_assert!(!text.chars().any(is_invisible), "{}", text);
        if verdict == Verdict::Ok {
            let text = String::from_utf8(bytes).unwrap();
            let last = text.lines().last().unwrap_or_default();
            prop_assert!(text.lines().next().unwrap_or_default().contains("\"start\""));
            prop_assert!(last.contains("\"end\""), "{}", text);
        }
        check_shown(dir.path())?;
    }

    #[test]
    fn any_bytes_at_all_are_only_shown(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(segment::path(dir.path(), 0), &bytes).unwrap();
        let (verdict, _) = verify(dir.path());
        prop_assert_ne!(verdict, Verdict::Ok);
        check_shown(dir.path())?;
    }
}
