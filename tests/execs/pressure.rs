//! Floods, signals, deaths, a log that is slow or broken: no event is lost, and no exec waits for
//! anything but a full queue.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use claudebox::log::event::{End, Event, Outcome};
use claudebox::log::sink::Sink;
use claudebox::supervisor::execs::{self, Limits, Threads};
use sha2::Digest as _;

use crate::harness::{self, Collect, Log, Setup, run, storm, watch};

fn watch_storm(mode: &str, count: usize) -> Log {
    let work = harness::work();
    watch(storm(mode, count).current_dir(work.path()), &Setup::default())
}

fn end(execs: u64) -> End {
    End { t: 0, execs, code: 0, ..End::default() }
}

#[test]
fn four_hundred_at_once_are_all_logged_with_their_end() {
    let log = watch_storm("many", 200);
    let execs = log.with("many");
    // The program itself has the word too.
    assert_eq!(execs.len(), 401);
    for exec in execs {
        assert_eq!(log.outcome(exec), Outcome::Verified);
        assert_eq!(log.exit(exec.id).and_then(|exit| exit.status), Some(0), "{exec:?}");
    }
}

#[test]
fn a_storm_of_signals_repeats_no_event() {
    let log = watch_storm("signals", 60);
    let interrupted: usize = log.stdout().trim().parse().unwrap();
    let execs = log.with("signals");
    let ran = execs.iter().filter(|exec| log.outcome(exec) == Outcome::Verified).count();
    assert_eq!(ran, 61);
    // Until a call is received a signal can end it; from then on it cannot.
    assert!(execs.len() - ran <= interrupted, "{} {interrupted}", execs.len() - ran);
}

#[test]
fn the_killed_are_accounted_for() {
    let log = watch_storm("killed", 300);
    let killed: usize = log.stdout().trim().parse().unwrap();
    let mut signals = 0;
    for exec in log.with("killed") {
        let outcome = log.outcome(exec);
        let exit = log.exit(exec.id);
        if matches!(outcome, Outcome::Verified | Outcome::Unverified) {
            let exit = exit.unwrap_or_else(|| panic!("{exec:?} has no end"));
            assert!(exit.status == Some(0) || exit.signal == Some(9), "{exit:?}");
        }
        signals += usize::from(exit.is_some_and(|exit| exit.signal == Some(9)));
    }
    // Some were killed before they called.
    assert!(signals <= killed, "{signals} {killed}");
}

/// Takes its time, or breaks.
struct Bad {
    inner: Collect,
    each: Duration,
    first: Duration,
    breaks_after: usize,
    panics: bool,
}

impl Bad {
    fn new(inner: &Collect) -> Self {
        Self {
            inner: inner.clone(),
            each: Duration::ZERO,
            first: Duration::ZERO,
            breaks_after: usize::MAX,
            panics: false,
        }
    }
}

impl Sink for Bad {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        std::thread::sleep(self.each + std::mem::take(&mut self.first));
        if self.breaks_after == 0 {
            assert!(!self.panics, "as asked");
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.breaks_after -= 1;
        self.inner.write(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_slow_log_loses_nothing_and_holds_nobody_up() {
    let work = harness::work();
    let collect = Collect::default();
    let sink = Bad { each: Duration::from_millis(2), ..Bad::new(&collect) };
    let start = Instant::now();
    let mut storm = storm("many", 200);
    let (output, execs) = run(storm.current_dir(work.path()), &Setup::default(), Box::new(sink));
    let ran = start.elapsed();
    assert!(output.status.success());
    let summary = execs.finish(end).unwrap();
    // 401 execs are 1203 events, so the log took at least 2.4 s; the programs did not wait for it.
    assert!(start.elapsed() > Duration::from_millis(2400));
    assert!(ran + Duration::from_millis(500) < start.elapsed(), "{ran:?}");
    assert_eq!(summary.execs, 401);
    let events = collect.0.lock().unwrap();
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::Exec(_))), 401);
    assert_eq!(count(|event| matches!(event, Event::Ran(_))), 401);
    assert_eq!(count(|event| matches!(event, Event::Exit(_))), 401);
}

#[test]
fn under_pressure_the_hash_of_argv_is_kept() {
    let work = harness::work();
    let collect = Collect::default();
    let sink = Bad { first: Duration::from_secs(2), ..Bad::new(&collect) };
    // 300 x 16 KB while the log stands still: more than the queue takes.
    let script = "a=$(head -c 4000 /dev/zero | tr '\\0' x); i=0; \
                  while [ $i -lt 300 ]; do /bin/true $i $a $a $a $a; i=$((i+1)); done";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).current_dir(work.path());
    let (output, execs) = run(&mut shell, &Setup::default(), Box::new(sink));
    assert!(output.status.success());
    execs.finish(end).unwrap();
    let log = Log { events: std::mem::take(&mut collect.0.lock().unwrap()), output, failed: false };
    let mut hashed = 0;
    let mut numbers = 0..300;
    for exec in log.execs().filter(|exec| exec.path.as_ref() == b"/bin/true") {
        let number = numbers.next().unwrap().to_string();
        assert_eq!(log.outcome(exec), Outcome::Verified);
        let Some(hash) = &exec.argv_sha256 else {
            assert_eq!(exec.argv[1].as_ref(), number.as_bytes());
            continue;
        };
        hashed += 1;
        let text = [
            b"/bin/true\0" as &[u8],
            number.as_bytes(),
            b"\0",
            &([b"x".repeat(4000), b"\0".to_vec()].concat().repeat(4)),
        ]
        .concat();
        let pairs = hash.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        assert_eq!(bytes, sha2::Sha256::digest(&text).to_vec());
        assert_eq!(exec.argc, Some(6));
        assert!(exec.argv.is_empty());
    }
    assert_eq!(numbers.next(), None);
    assert!(hashed > 0 && hashed < 300, "{hashed}");
}

#[test]
fn a_log_that_breaks_is_told_and_execs_go_on() {
    for panics in [false, true] {
        let work = harness::work();
        let collect = Collect::default();
        let sink = Bad { breaks_after: 10, panics, ..Bad::new(&collect) };
        let mut storm = storm("many", 100);
        let (output, execs) =
            run(storm.current_dir(work.path()), &Setup::default(), Box::new(sink));
        assert!(output.status.success());
        let mut fds = [nix::poll::PollFd::new(execs.failure(), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut fds, 10_000u16), Ok(1));
        assert!(execs.failed());
        let error = execs.finish(end).unwrap_err();
        assert!(error.to_string().starts_with("cannot write the log: "), "{error}");
        assert_eq!(collect.0.lock().unwrap().len(), 10);
    }
}

/// A limit that overflows stands for any defect of the receiving thread.
#[test]
fn a_receiver_that_breaks_is_told_and_execs_go_on() {
    let work = harness::work();
    let most = usize::MAX;
    let limits = Limits { argument: most, arguments: most, ..Limits::default() };
    let setup = Setup { limits, ..Setup::default() };
    let log = watch(storm("many", 100).current_dir(work.path()), &setup);
    assert!(log.output.status.success());
    assert!(log.failed);
    assert_eq!(log.execs().count(), 0);
    let told = |event: &Event| matches!(event, Event::Notice(n) if n.kind == "exec-log-stopped");
    assert!(log.events.iter().any(told));
}

#[test]
fn other_events_keep_their_place() {
    let collect = Collect::default();
    let execs =
        execs::start_unobserved(Threads::start().unwrap(), Box::new(collect.clone())).unwrap();
    let notice = |text: &str| {
        let (kind, text) = ("test".to_owned(), text.to_owned());
        Event::Notice(claudebox::log::event::Notice { t: 0, kind, text })
    };
    let texts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    for text in &texts {
        execs.note(notice(text));
    }
    assert_eq!(execs.finish(end).unwrap().execs, 0);
    let events = Arc::clone(&collect.0);
    let events = events.lock().unwrap();
    assert_eq!(events.len(), 101);
    assert!(events.iter().zip(&texts).all(|(event, text)| *event == notice(text)));
}
