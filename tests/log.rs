//! The log from the outside: a supervisor that writes and a reader that shows, in one process but
//! through the files. The large log is made here, not kept.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use claudebox::bytes::Bytes;
use claudebox::cli::LogArgs;
use claudebox::log::event::{
    Confined, End, Event, Exec, ExecLogStatus, Exit, FORMAT_VERSION, Outcome, Ran, Start,
};
use claudebox::log::show::{Screen, show};
use claudebox::log::sink::Sink as _;
use claudebox::log::verify::{Verdict, verify};
use claudebox::log::writer::{Limits, Writer};
use claudebox::log::{encode, segment};

const BEGIN: u64 = 1_795_392_000_000_000;

fn begin(writer: &mut Writer) {
    let start = Start {
        v: FORMAT_VERSION,
        t: BEGIN,
        session: "s".into(),
        agent: vec!["agent".into()],
        project: "/p".into(),
        ..Start::default()
    };
    writer.write(&Event::Start(start)).unwrap();
    let exec_log =
        ExecLogStatus::On { exit_source: "pidfd".into(), killable: true, verifies: true };
    let (landlock, landlock_abi) = ("fully".into(), 7);
    let confined = Confined { t: BEGIN, landlock, landlock_abi, exec_log, limits: Vec::new() };
    writer.write(&Event::Confined(confined)).unwrap();
    command(writer, 1, &["agent"], None);
}

/// One exec; with a status also its end.
fn command(writer: &mut Writer, id: u64, argv: &[&str], status: Option<u8>) {
    let t = BEGIN + id * 1000;
    let pid = 100 + i32::try_from(id % 30_000).unwrap();
    let (parent, depth) = if id == 1 { (None, 0) } else { (Some(1), 1) };
    let path = Bytes::from(format!("/usr/bin/{}", argv[0]).as_str());
    let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
    let cwd = Some("/p".into());
    let exec = Exec { t, id, pid, ppid: 100, parent, depth, path, argv, cwd, ..Exec::default() };
    writer.write(&Event::Exec(Box::new(exec))).unwrap();
    let ran = Ran { t, id, outcome: Outcome::Verified, argv: None, exe: None, errno: None };
    writer.write(&Event::Ran(ran)).unwrap();
    if status.is_some() {
        let exit = Exit {
            t,
            id,
            pid,
            status,
            signal: None,
            core: false,
            dur_us: 900,
            src: "pidfd".into(),
        };
        writer.write(&Event::Exit(exit)).unwrap();
    }
}

fn end(writer: &mut Writer, execs: u64) {
    let t = BEGIN + execs * 1000;
    let end = End { t, execs, code: 0, reason: "agent-exited".into(), dur_us: None };
    writer.write(&Event::End(end)).unwrap();
    writer.flush().unwrap();
}

/// `claudebox log` into a pipe.
fn log(
    directory: &Path,
    args: LogArgs,
    terminal: bool,
) -> (io::PipeReader, thread::JoinHandle<()>) {
    let (reader, mut writer) = io::pipe().unwrap();
    let directory = directory.to_owned();
    let thread = thread::spawn(move || {
        let fd = writer.try_clone().unwrap();
        let mut screen =
            Screen { out: &mut writer, columns: &|| Some(100), fd: fd.as_fd(), terminal };
        show(&directory, &args, &mut screen).unwrap();
    });
    (reader, thread)
}

fn follow() -> LogArgs {
    LogArgs { follow: true, ..LogArgs::default() }
}

/// Reads lines until one has this in it.
fn until(lines: &mut impl Iterator<Item = io::Result<String>>, wanted: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for line in lines {
        seen.push(line.unwrap());
        if seen.last().unwrap().contains(wanted) {
            return seen;
        }
    }
    panic!("no `{wanted}` in {seen:#?}");
}

#[test]
fn following_begins_before_the_log_and_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, thread) = log(dir.path(), follow(), true);
    thread::sleep(Duration::from_millis(50));
    let mut writer =
        Writer::create(dir.path(), "s", Limits { segment: 600, ..Limits::default() }).unwrap();
    let mut lines = BufReader::new(reader).lines();
    begin(&mut writer);
    for id in 2..20 {
        // As failures, so that each is a row at once.
        command(&mut writer, id, &["false", &format!("number-{id}")], Some(1));
        writer.flush().unwrap();
        until(&mut lines, &format!("number-{id}"));
    }
    assert!(segment::list(dir.path()).unwrap().len() > 5);
    end(&mut writer, 19);
    until(&mut lines, "19 commands, 18 failed");
    // No line, but the terminal as it was.
    assert!(lines.next().is_none_or(|rest| rest.unwrap() == "\x1b[?7h"));
    assert!(lines.next().is_none());
    thread.join().unwrap();
}

#[test]
fn following_ends_when_the_supervisor_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
    begin(&mut writer);
    writer.flush().unwrap();
    let (reader, thread) = log(dir.path(), follow(), true);
    let mut lines = BufReader::new(reader).lines();
    until(&mut lines, "session");
    drop(writer);
    until(&mut lines, "the supervisor died");
    thread.join().unwrap();
    // And one that begins only then does not wait for anything.
    let (reader, thread) = log(dir.path(), follow(), true);
    until(&mut BufReader::new(reader).lines(), "the supervisor died");
    thread.join().unwrap();
}

#[test]
fn following_ends_when_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, thread) = log(dir.path(), follow(), true);
    drop(reader);
    thread.join().unwrap();
    let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
    begin(&mut writer);
    writer.flush().unwrap();
    let (reader, thread) = log(dir.path(), follow(), true);
    drop(reader);
    thread.join().unwrap();
    let (reader, thread) = log(dir.path(), LogArgs::default(), false);
    drop(reader);
    thread.join().unwrap();
}

#[test]
fn an_idle_follower_does_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
    begin(&mut writer);
    command(&mut writer, 2, &["false"], Some(1));
    writer.flush().unwrap();
    let (reader, thread) = log(dir.path(), follow(), true);
    let mut lines = BufReader::new(reader).lines();
    until(&mut lines, "false");
    // The agent is shown as running by now (its events are long past), so nothing is due.
    thread::sleep(Duration::from_millis(100));
    let switches = || -> u64 {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok())
            .filter(|status| status.contains("an_idle_followe"))
            .flat_map(|status| {
                status
                    .lines()
                    .filter_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
                    .map(|count| count.trim().parse::<u64>().unwrap())
                    .collect::<Vec<_>>()
            })
            .sum()
    };
    let before = switches();
    thread::sleep(Duration::from_millis(700));
    let after = switches();
    // This thread sleeps once; the follower, which has its name, too, does not wake.
    assert!(after - before <= 2, "{} wake-ups", after - before);
    end(&mut writer, 2);
    until(&mut lines, "ended");
    thread.join().unwrap();
}

#[test]
fn json_is_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
    begin(&mut writer);
    command(&mut writer, 2, &["\x1b[31m\u{202e}", "b"], Some(0));
    end(&mut writer, 2);
    let (mut reader, thread) = log(dir.path(), LogArgs { json: true, ..LogArgs::default() }, false);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    thread.join().unwrap();
    let written = std::fs::read_to_string(segment::path(dir.path(), 0)).unwrap();
    let raw: String = written
        .lines()
        .map(|line| std::str::from_utf8(encode::split(line.as_bytes()).unwrap().1).unwrap())
        .flat_map(|raw| [raw, "\n"])
        .collect();
    assert_eq!(text, raw);
    assert!(text.contains(r"\u001b[31m\u202e"));
}

#[test]
fn attack_an_overlong_line_cannot_begin_a_row_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path(), "s", Limits::default()).unwrap();
    begin(&mut writer);
    command(&mut writer, 2, &["ls"], Some(0));
    end(&mut writer, 2);
    let text = |args: LogArgs, terminal| {
        let (mut reader, thread) = log(dir.path(), args, terminal);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        thread.join().unwrap();
        text
    };
    let shown = text(LogArgs::default(), true);
    assert!(shown.starts_with("\x1b[?7l") && shown.ends_with("\x1b[?7h"), "{shown:?}");
    // Control: whose lines are as long as they are, and what is no terminal, is left alone.
    for (args, terminal) in [
        (LogArgs::default(), false),
        (LogArgs { all: true, ..LogArgs::default() }, true),
        (LogArgs { json: true, ..LogArgs::default() }, true),
    ] {
        assert!(!text(args, terminal).contains("?7"));
    }
}

#[test]
fn a_session_without_log_and_a_wrong_pattern_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let (_reader, fd) = io::pipe().unwrap();
    let mut out = Vec::new();
    let mut shown = |args: &LogArgs| {
        let mut screen =
            Screen { out: &mut out, columns: &|| None, fd: fd.as_fd(), terminal: false };
        show(dir.path(), args, &mut screen).unwrap_err().to_string()
    };
    assert_eq!(shown(&LogArgs::default()), "this session has no log");
    let grep = LogArgs { grep: Some("(".into()), ..LogArgs::default() };
    assert!(shown(&grep).starts_with("--grep is no regular expression"));
}

/// Keeps the times at which output came, not the output.
#[derive(Default)]
struct Clock {
    lines: usize,
    first_screen: Option<Instant>,
}

impl Write for Clock {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines += bytes.split(|byte| *byte == b'\n').count() - 1;
        if self.lines >= 50 {
            self.first_screen.get_or_insert_with(Instant::now);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn large(directory: &Path, commands: u64) -> Writer {
    let mut writer = Writer::create(directory, "s", Limits::default()).unwrap();
    begin(&mut writer);
    for id in 2..commands + 2 {
        let file = format!("src/file-{id}.c");
        let status = u8::from(id % 10 == 0);
        command(&mut writer, id, &["cc", "-O2", "-Wall", "-c", &file, "-o", "out.o"], Some(status));
    }
    writer
}

/// Time to the first screen and to the end, and how many lines there were.
fn measure(directory: &Path, args: &LogArgs) -> (Duration, Duration, usize) {
    let (_reader, fd) = io::pipe().unwrap();
    let mut clock = Clock::default();
    let began = Instant::now();
    let mut screen =
        Screen { out: &mut clock, columns: &|| Some(100), fd: fd.as_fd(), terminal: true };
    show(directory, args, &mut screen).unwrap();
    (clock.first_screen.unwrap() - began, began.elapsed(), clock.lines)
}

#[test]
fn a_long_log_is_shown_as_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = large(dir.path(), 20_000);
    end(&mut writer, 20_001);
    let (first, whole, lines) = measure(dir.path(), &LogArgs::default());
    assert!(lines > 20_000 && first < whole / 5, "{first:?} of {whole:?}, {lines} lines");
    let (first, whole, lines) = measure(dir.path(), &follow());
    assert!((500..3000).contains(&lines), "only the last of it: {lines} in {first:?} {whole:?}");
}

/// The lines of the document's `jsonl` blocks, one string for each block.
fn documented() -> Vec<String> {
    let text = include_str!("../docs/events.md");
    let blocks = text.split("```jsonl\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_documented_log_is_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = documented();
    for (number, block) in (0..).zip(&blocks) {
        std::fs::write(segment::path(dir.path(), number), block).unwrap();
    }
    let (verdict, said) = verify(dir.path());
    assert_eq!(verdict, Verdict::Ok, "{said}");

    let (mut reader, thread) = log(dir.path(), LogArgs::default(), false);
    let mut shown = String::new();
    reader.read_to_string(&mut shown).unwrap();
    thread.join().unwrap();
    assert!(shown.contains("7 commands, 3 failed, 1 connection, 13 refused"), "{shown}");
}

#[test]
fn every_documented_line_is_what_is_written() {
    let mut kinds = std::collections::BTreeSet::new();
    for line in documented().concat().lines() {
        let (_, raw) = encode::split(line.as_bytes()).unwrap();
        let event = encode::decode(raw).unwrap();
        assert_ne!(event, Event::Unknown, "{line}");
        // The same event, written by us, has the same fields; their order is of no account.
        let value = |raw: &[u8]| serde_json::from_slice::<serde_json::Value>(raw).unwrap();
        let again = encode::event(&event).unwrap();
        assert_eq!(value(raw), value(&again));
        kinds.insert(value(raw)["ev"].as_str().unwrap().to_owned());
    }
    let all = [
        "allow",
        "confined",
        "connect",
        "disconnect",
        "end",
        "exec",
        "exit",
        "listen",
        "notice",
        "ran",
        "refused",
        "segment",
        "start",
    ];
    assert!(kinds.iter().eq(all), "{kinds:?}");
}
