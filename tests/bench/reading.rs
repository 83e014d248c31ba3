//! Reading a long log: how soon the first screen is there, and what it costs to follow one to
//! which nothing is added. The log is written by the library's own writer, and its session is
//! alive as long as it is measured.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use claudebox::dirs::Dirs;
use claudebox::log::clock::now;
use claudebox::log::event::{Event, Exec, Exit, Outcome, Ran, Start};
use claudebox::log::sink::Sink as _;
use claudebox::log::writer::{Limits, Writer};
use claudebox::session::record::Mode;
use claudebox::session::{Draft, Locks, Sessions};

use crate::common::place::Place;
use crate::pairs::{self, Figure};
use crate::report::{Fact, MILLISECONDS, Report, Row, Target};
use crate::workbench::Workbench;

/// Lines of a first screen.
const SCREEN: usize = 50;

/// Milliseconds until it is there.
const FIRST_SCREEN: f64 = 100.0;

/// How long nothing happens.
const QUIET: Duration = Duration::from_secs(5);

/// Milliseconds of processor time that may take.
const IDLE: f64 = 1.0;

pub(crate) fn measure(bench: &Workbench, report: &mut Report) -> Result<(), String> {
    let events = bench.size.events;
    eprintln!("reading: a log of {events} events");
    let short = Written::new(&bench.place, "short", 300).map_err(|err| err.to_string())?;
    let long = Written::new(&bench.place, "long", events).map_err(|err| err.to_string())?;
    let mut rows = Vec::new();
    let mut facts = Vec::new();
    for (name, options) in
        [("`claudebox log`", &[][..]), ("`claudebox log --follow`", &["--follow"])]
    {
        let mut times = Vec::new();
        let pairs = pairs::measure(
            bench.size.pairs,
            || first_screen(&bench.place, &short, options),
            || first_screen(&bench.place, &long, options).inspect(|time| times.push(*time)),
        )?;
        rows.push(Row {
            name: format!("{name}, {events} events"),
            beside: "300 events".to_owned(),
            pairs: Ok(pairs),
            target: Target::None,
        });
        // The slowest: who waits for a screen does not wait for a median.
        let slowest = times.into_iter().fold(0.0, f64::max);
        facts.push(Fact {
            name: format!("{name}, first screen of {events} events, the slowest"),
            value: slowest / MILLISECONDS.size,
            unit: "ms",
            target: Some(FIRST_SCREEN),
        });
    }
    facts.push(Fact {
        name: format!(
            "`claudebox log --follow`, processor time in {} quiet seconds",
            QUIET.as_secs()
        ),
        value: idle(&bench.place, &long)? / MILLISECONDS.size,
        unit: "ms",
        target: Some(IDLE),
    });
    report.comparison("First screen of a log", MILLISECONDS, &rows);
    report.facts("Reading a long log", &facts);
    Ok(())
}

/// A session with a log. Nobody supervises it, but its locks are held.
struct Written {
    id: String,
    _locks: Locks,
    _writer: Writer,
}

impl Written {
    fn new(place: &Place, name: &str, events: u64) -> Result<Self, Box<dyn std::error::Error>> {
        let home = place.home();
        let dirs = Dirs {
            config: home.join(".config/claudebox"),
            state: place.state(),
            cache: home.join(".cache/claudebox"),
            runtime: place.root().join("run/claudebox"),
        };
        let project = home.join(name);
        let (session, locks) = Sessions::new(&dirs)
            .create(draft(&project))
            .map_err(|error| format!("cannot make a session: {error}"))?;
        let id = session.id.as_str().to_owned();
        let mut writer = Writer::create(&session.directory, &id, Limits::default())?;
        let start = Start { v: 1, t: now(), session: id.clone(), ..Start::default() };
        writer.write(&Event::Start(start))?;
        for exec in 1..=events / 3 {
            for event in one_command(exec) {
                writer.write(&event)?;
            }
        }
        writer.flush()?;
        Ok(Self { id, _locks: locks, _writer: writer })
    }
}

fn draft(project: &Path) -> Draft {
    Draft {
        cwd: project.into(),
        project: project.into(),
        places: Vec::new(),
        profile: "default".to_owned(),
        network: "none".to_owned(),
        command: "true".into(),
        mode: Mode::Terminal,
        tmux: None,
    }
}

/// What the log says of one compiler run: no two alike, so that nothing can be folded.
fn one_command(id: u64) -> [Event; 3] {
    let t = now();
    let source = format!("module-{id}.c");
    let argv = ["gcc", "-O2", "-Wall", "-Wextra", "-c", source.as_str()].map(Into::into).to_vec();
    let pid = i32::try_from(1000 + id % 30_000).unwrap_or(1000);
    let path = "/usr/bin/gcc".into();
    let cwd = Some("/home/somebody/project/src".into());
    let exec = Exec { t, id, pid, ppid: 2, depth: 1, path, argv, cwd, ..Exec::default() };
    let outcome = Outcome::Verified;
    let ran = Ran { t, id, outcome, argv: None, exe: None, errno: None };
    let dur_us = 1_300 + id % 977;
    let src = "pidfd".to_owned();
    let exit = Exit { t, id, pid, status: Some(0), signal: None, core: false, dur_us, src };
    [Event::Exec(Box::new(exec)), Event::Ran(ran), Event::Exit(exit)]
}

/// Nanoseconds until a screenful has been printed.
fn first_screen(place: &Place, log: &Written, options: &[&str]) -> Figure {
    let before = Instant::now();
    let mut reader = read(place, log, options)?;
    let lines = BufReader::new(reader.stdout.take().ok_or("no pipe")?).lines();
    let shown = lines.take(SCREEN).map_while(Result::ok).count();
    let elapsed = before.elapsed();
    end(&mut reader);
    if shown < SCREEN {
        return Err(format!("only {shown} lines came"));
    }
    Ok(elapsed.as_nanos() as f64)
}

/// Nanoseconds of processor time while nothing happens, once everything there is has been shown.
fn idle(place: &Place, log: &Written) -> Figure {
    let mut reader = read(place, log, &["--follow"])?;
    let mut pipe = reader.stdout.take().ok_or("no pipe")?;
    let shown = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&shown);
    let drain = thread::spawn(move || {
        let mut block = vec![0; 1 << 16];
        while let Ok(1..) = pipe.read(&mut block) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut last = u64::MAX;
    while last != shown.load(Ordering::Relaxed) {
        last = shown.load(Ordering::Relaxed);
        sleep(Duration::from_secs(1));
    }
    let before = on_processor(&reader)?;
    sleep(QUIET);
    let after = on_processor(&reader)?;
    end(&mut reader);
    drain.join().map_err(|_| "the reading thread panicked")?;
    if last == 0 {
        return Err("it showed nothing".to_owned());
    }
    Ok(after - before)
}

/// Nanoseconds of all threads so far, `/proc/PID/task/TID/schedstat`.
fn on_processor(child: &Child) -> Figure {
    let tasks =
        fs::read_dir(format!("/proc/{}/task", child.id())).map_err(|err| err.to_string())?;
    let times = tasks.flatten().map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    times.sum::<Option<f64>>().ok_or_else(|| "no schedstat: it is not running".to_owned())
}

fn read(place: &Place, log: &Written, options: &[&str]) -> Result<Child, String> {
    Command::new(place.executable())
        .args(["log", &log.id])
        .args(options)
        .env_clear()
        .envs(place.environment())
        .current_dir(place.project())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|err| err.to_string())
}

/// Ends what this program started.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
