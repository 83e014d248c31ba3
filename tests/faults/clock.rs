//! The wall clock is set while a session runs: a day back, a day on, years on, decades back. Whatever
//! claudebox waits for, bounds or orders must not notice; the times that it writes are the clock's own.
//! The clock is a library (`tests/programs/clock.c`) that is preloaded into claudebox, and into its
//! tmux: the machine's own is left alone.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use claudebox::log::event::{Event, Micros};
use serde_json::Value;

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::terminal::Terminal;
use crate::common::user::users;
use crate::common::world::World;
use crate::common::{must_have, program};
use crate::outside::Marker;
use crate::struck::{LET_GO, Struck, wait_until};

const DAY: i64 = 24 * 60 * 60;

/// What is added to the clock before each step, in seconds, and the age that `ls` then tells of a session
/// that began a moment ago.
const JUMPS: [(i64, &str); 5] =
    [(-DAY, "0s"), (DAY, "24h"), (3650 * DAY, "3650d"), (-18_250 * DAY, "0s"), (0, "")];

/// The agent: holds a connection, and one that says nothing where a TLS hello is waited for. In each step
/// it executes something, speaks over the old connection, makes another, and asks for a name that it
/// may not reach. It tells how each went.
const AGENT: &str = r#"
import os, socket, subprocess, sys, time
def reach(port): return socket.create_connection(("good.example", port), 30)
def echo(stream): stream.sendall(b"x"); return stream.recv(9) == b"x"
def refused():
    try: socket.gethostbyname("evil.example"); return False
    except OSError: return True
held = reach(80)
for step in range(int(sys.argv[1])):
    silent = reach(443); silent.settimeout(0.5); began = time.monotonic()
    subprocess.run(["/bin/true", "ready-%d" % step])
    while not open("go").readline(): pass
    subprocess.run(["/bin/true", "step-%d" % step])
    told = [echo(held), echo(reach(80)), refused()]
    try: told.append("closed %r" % silent.recv(9) if time.monotonic() - began < 5 else "late")
    except TimeoutError: told.append("waits")
    open("/tmp/told", "a").write("%d %s\n" % (step, told))
silent.settimeout(60); silent.recv(9)
print(open("/tmp/told").read() + "closed", 5 < time.monotonic() - began < 40, flush=True)
sys.exit(7)
"#;

/// A clock that can be set.
struct Clock {
    library: PathBuf,
    file: File,
}

impl Clock {
    fn new(place: &Place) -> Self {
        must_have(&["cc"]);
        let (library, path) = (place.root().join("clock.so"), place.root().join("clock"));
        fs::write(&path, 0_i64.to_ne_bytes()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/clock.c");
        let built = Command::new("cc")
            .args([
                "-O1",
                "-shared",
                "-fPIC",
                &format!("-DCLOCK_FILE=\"{}\"", path.display()),
                "-o",
            ])
            .args([&library, &source])
            .status();
        assert!(built.unwrap().success(), "clock.c");
        place.user().own(&library);
        place.user().own(&path);
        Self { library, file: File::options().write(true).open(&path).unwrap() }
    }

    /// Adds this many seconds to the time of whoever has loaded it.
    fn set(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    fn of(&self, run: Run) -> Run {
        run.env("LD_PRELOAD", &self.library)
    }
}

/// Sends back whatever comes.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = [0; 9];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn world() -> World {
    let world = World::new();
    world.put("good.example:80", echo());
    world
}

fn script(marker: &Marker) -> String {
    format!("{} & exec python3 -c \"$0\" {}", marker.command(), JUMPS.len())
}

const RULES: [&str; 4] = ["--allow", "good.example:80", "--allow", "good.example"];

/// Whether the log has it; read by the true clock.
fn is_logged(place: &Place, word: &str) -> bool {
    let log = place.claudebox(["log", "--json"]).run();
    log.stdout.contains(&format!("[\"/bin/true\",\"{word}\"]"))
}

/// Sets the clock again and again, and lets the agent go on each time.
fn jump(struck: &Struck, clock: &Clock, mut seen: impl FnMut(&str)) {
    let place = &struck.place;
    for (step, (seconds, age)) in JUMPS.into_iter().enumerate() {
        let (ready, word) = (format!("ready-{step}"), format!("step-{step}"));
        wait_until("the agent to be ready", || is_logged(place, &ready).then_some(()));
        clock.set(seconds);
        let ls = clock.of(place.claudebox(["ls"])).run().code(0);
        let row: Vec<&str> = ls.stdout.lines().nth(1).unwrap().split_whitespace().collect();
        assert!(row[1] == "running" && (age.is_empty() || row[2] == age), "{step}: {ls:#?}");
        let _go = struck.let_go();
        wait_until("the step in the log", || is_logged(place, &word).then_some(()));
        seen(&word);
    }
}

/// What the log must be, whatever the clock did. `took`: by a clock that nobody sets.
fn check_log(place: &Place, took: Duration) {
    let log = Log::latest(place);
    let most = u64::try_from(took.as_micros()).unwrap();
    let mut ids = 0;
    let mut times: Vec<Micros> = Vec::new();
    let mut refused = 0;
    for event in &log.events {
        match event {
            Event::Exec(exec) => {
                ids += 1;
                assert_eq!(exec.id, ids, "an exec is lost, or in another place");
                times.push(exec.t);
            }
            Event::Exit(exit) => assert!(exit.dur_us <= most, "{exit:?}"),
            Event::Disconnect(end) => assert!(end.dur_us <= most, "{end:?}"),
            Event::Refused(it) if it.host == "evil.example" => refused += it.times,
            Event::End(end) => {
                assert_eq!(end.execs, ids);
                assert!(end.dur_us.is_some_and(|length| length <= most), "{end:?}");
            }
            _ => {}
        }
    }
    let words = |word: &str| log.execs(|argv| argv[1..] == [word.to_owned()]).len();
    for step in 0..JUMPS.len() {
        assert_eq!((words(&format!("ready-{step}")), words(&format!("step-{step}"))), (1, 1));
    }
    assert!(refused >= JUMPS.len() as u64, "refused {refused} times");
    // The supervisor had the clock: without that none of this says anything.
    let day = u64::try_from(DAY).unwrap() * 1_000_000;
    let jumped = |back: bool| {
        times.windows(2).any(|pair| {
            let (from, to) = if back { (pair[1], pair[0]) } else { (pair[0], pair[1]) };
            to > from + day / 2
        })
    };
    assert!(jumped(true) && jumped(false), "the clock was not set: {times:?}");
    let shown = place.claudebox(["log"]).run().code(0).stdout;
    let end = shown.lines().last().unwrap();
    let after = end.split_once(" after ").unwrap().1.split(',').next().unwrap();
    assert!(after.ends_with('s') && !after.contains(['h', 'd']), "{end}");
}

const TOLD: &str = "[True, True, True, 'waits']";

fn told() -> String {
    let steps: Vec<String> = (0..JUMPS.len()).map(|step| format!("{step} {TOLD}\n")).collect();
    steps.concat() + "closed True\n"
}

#[test]
fn the_clock_is_set_during_a_session() {
    must_have(&["python3"]);
    for user in users() {
        let (struck, world, marker) = (Struck::new(user), world(), Marker::new());
        let place = &struck.place;
        let clock = Clock::new(place);
        let began = Instant::now();
        let script = script(&marker);
        let run = place.claudebox(["run", "--no-monitor"]).args(RULES);
        let run = run.args(["--", "sh", "-c", &script, AGENT]).env("HTTPS_PROXY", world.proxy());
        let started = clock.of(run).deadline(Duration::from_secs(180)).start();
        struck.wait_until_logged(&marker);
        let followed = place.root().join("tmp/followed");
        let follow = "exec \"$0\" log --follow >\"$1\"";
        let follow = place.command("sh").args(["-c", follow]);
        let follow = follow.args([place.executable(), &followed]);
        let follow = clock.of(follow).deadline(Duration::from_secs(180)).start();
        jump(&struck, &clock, |word| {
            wait_until("the follower", || {
                fs::read_to_string(&followed).unwrap_or_default().contains(word).then_some(())
            });
        });
        let output = started.wait().code(LET_GO);
        let took = began.elapsed();
        assert_eq!(output.stdout, told(), "{output:#?}");
        follow.wait().code(0);
        assert!(fs::read_to_string(&followed).unwrap().contains("ended"));
        struck.check(&marker, true, "the clock was set").code(0);
        check_log(place, took);
        assert_eq!(struck.session()["code"], LET_GO);
        next_sessions(&struck, &clock);
        struck.check_all();
    }
}

/// A session that begins when the clock has been set back is still the latest of its project.
fn next_sessions(struck: &Struck, clock: &Clock) {
    let place = &struck.place;
    let ids = |output: String| -> Vec<String> {
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        output.lines().map(|text| line(text)["id"].as_str().unwrap().to_owned()).collect()
    };
    let mut known = ids(place.claudebox(["ls", "--json"]).run().code(0).stdout);
    for seconds in [-DAY, 3650 * DAY, DAY, 0] {
        clock.set(seconds);
        let run = place.claudebox(["run", "--no-monitor", "--", "echo", "next"]);
        clock.of(run).run().code(0).says("next");
        let now = ids(place.claudebox(["ls", "--json"]).run().code(0).stdout);
        assert_eq!(now[1..], known, "{seconds}: the new one is not the first");
        place.claudebox(["log", "--json"]).run().code(0).says(&now[0]);
        place.claudebox(["verify"]).run().code(0).says(&now[0]);
        known = now;
    }
}

/// The same where tmux starts the supervisor and the log pane. tmux gets a listed few variables, and
/// this is none of them: a tmux of the test's own loads the clock.
#[test]
fn the_clock_is_set_during_a_session_with_panes() {
    must_have(&["python3", "tmux"]);
    for user in users() {
        let (struck, world, marker) = (Struck::new(user), world(), Marker::new());
        let place = &struck.place;
        let clock = Clock::new(place);
        let bin = place.root().join("bin");
        fs::create_dir(&bin).unwrap();
        let (library, tmux) = (clock.library.display(), program("tmux").unwrap());
        let wrapper = format!("#!/bin/sh\nLD_PRELOAD={library} exec {} \"$@\"\n", tmux.display());
        fs::write(bin.join("tmux"), wrapper).unwrap();
        fs::set_permissions(bin.join("tmux"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("PATH={}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", bin.display());
        let preload = format!("LD_PRELOAD={library}");
        let proxy = format!("HTTPS_PROXY={}", world.proxy());
        let script = script(&marker);
        let program = place.executable().to_str().unwrap();
        let mut words = vec!["env", &path, &proxy, &preload, program, "run"];
        words.extend(RULES);
        words.extend(["--", "sh", "-c", &script, AGENT]);
        let began = Instant::now();
        let terminal = Terminal::open(place, (160, 60), &[], words);
        struck.wait_until_logged(&marker);
        jump(&struck, &clock, |word| {
            terminal.wait_for(word);
        });
        wait_until("the session's end", || (struck.state() != "running").then_some(()));
        assert_eq!(terminal.wait(), LET_GO);
        let took = began.elapsed();
        struck.check(&marker, true, "the clock was set").code(0);
        check_log(place, took);
        assert_eq!(struck.session()["code"], LET_GO);
        struck.check_all();
    }
}
