//! What only shows after a long time: the memory of the supervisor over very many events, the
//! first screen of their log, and what following a quiet log costs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::place::Place;
use crate::report::Report;

/// An exec, what became of it, and its exit.
const EVENTS_PER_SPAWN: usize = 3;

/// Lines of a first screen.
const SCREEN: usize = 50;

pub(crate) fn measure(place: &Place, workload: &str, events: usize, report: &mut Report) {
    eprintln!("long: {events} events");
    let mut facts = memory(place, workload, events);
    facts.push(first_screen(place));
    facts.push(idle_follow(place));
    report.facts(&format!("A session of {events} events"), &facts);
}

/// Resident memory of the supervisor early and at the end.
fn memory(place: &Place, workload: &str, events: usize) -> Vec<(String, String)> {
    let spawns = (events / EVENTS_PER_SPAWN).to_string();
    let started = Instant::now();
    let run = place
        .claudebox(["run", "--no-monitor", "--", workload, "spawn", "4", &spawns])
        .deadline(Duration::from_secs(7200))
        .start();
    let pid = run.pid();
    let watch = std::thread::spawn(move || {
        let mut samples = Vec::new();
        while let Some(sample) = resident(pid) {
            samples.push((started.elapsed(), sample));
            sleep(Duration::from_millis(100));
        }
        samples
    });
    run.wait().code(0);
    let total = started.elapsed();
    let samples = watch.join().expect("it only reads /proc");
    let at = |share: f64| {
        let until = total.mul_f64(share);
        samples.iter().take_while(|(when, _)| *when <= until).last().map_or(0, |(_, kib)| *kib)
    };
    let peak = samples.iter().map(|(_, kib)| *kib).max().unwrap_or(0);
    let mb = |kib: u64| format!("{:.1} MB", kib as f64 * 1024.0 / 1e6);
    vec![
        ("supervisor's memory after a tenth".to_owned(), mb(at(0.1))),
        ("supervisor's memory at the end".to_owned(), mb(at(1.0))),
        ("supervisor's memory, peak".to_owned(), mb(peak)),
    ]
}

/// `VmRSS` in KiB; none once the process is gone or a zombie.
fn resident(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Until `claudebox log` has shown a screenful of the session above.
fn first_screen(place: &Place) -> (String, String) {
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let before = Instant::now();
            let mut log = plain(place, &["log"]);
            let lines = BufReader::new(log.stdout.take().expect("it is piped")).lines();
            let shown = lines.take(SCREEN).flatten().count();
            let elapsed = before.elapsed();
            assert_eq!(shown, SCREEN, "the log is longer than a screen");
            let _ = log.kill();
            let _ = log.wait();
            elapsed
        })
        .collect();
    times.sort();
    let text = format!("{:.1} ms", times[times.len() / 2].as_secs_f64() * 1e3);
    ("`claudebox log`, first screen".to_owned(), text)
}

/// Processor time of `claudebox log --follow` over a quiet while.
fn idle_follow(place: &Place) -> (String, String) {
    let quiet = Duration::from_secs(5);
    let session = place.claudebox(["run", "--no-monitor", "--", "sleep", "1000"]).start();
    sleep(Duration::from_secs(1));
    let mut follow = plain(place, &["log", "--follow"]);
    sleep(Duration::from_secs(1));
    let before = on_cpu(&follow);
    sleep(quiet);
    let used = on_cpu(&follow) - before;
    let _ = follow.kill();
    let _ = follow.wait();
    drop(session);
    let name =
        format!("`claudebox log --follow`, processor time over {} quiet seconds", quiet.as_secs());
    (name, format!("{:.2} ms", used / 1e6))
}

/// Nanoseconds on a processor so far, /proc/PID/schedstat.
fn on_cpu(child: &Child) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/schedstat", child.id())).unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).expect("it is running")
}

fn plain(place: &Place, arguments: &[&str]) -> Child {
    Command::new(place.executable())
        .args(arguments)
        .env_clear()
        .envs(place.environment())
        .current_dir(place.project())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("claudebox starts")
}
