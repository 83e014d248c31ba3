//! What the allow-list costs: bytes and connections through it, the time until it is there, and the
//! memory of what it keeps. Everything is timed by the program inside, but for the start.

use crate::launchers::{self, Launcher};
use crate::memory::{megabytes, parent_of_bwrap, status};
use crate::pairs::{self, Figure};
use crate::report::{MICROSECONDS, MILLISECONDS, Report, Row, Target, Unit};
use crate::workbench::{Workbench, number, row, succeeded};
use crate::world::{ADDRESS, NAME, PORT, World};

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// At least this of what goes directly.
const BYTES: f64 = 0.40;
const CONNECTIONS: f64 = 0.45;
/// At most this of what a connection takes directly.
const BY_ADDRESS: f64 = 3.0;
const BY_NAME: f64 = 4.5;
/// Milliseconds that it may add to a start.
const READY: f64 = 10.0;
/// Megabytes of the supervisor with this many idle connections.
const IDLE: f64 = 10.0;
const HELD: &str = "500";

const MEGABYTES: Unit = Unit { name: "MB/s", size: 1e6 };
const PER_SECOND: Unit = Unit { name: "per second", size: 1.0 };

/// A way to the server: how the client is started, and what it is told to connect to.
struct Way {
    launcher: Launcher,
    to: &'static str,
}

/// What is compared.
struct Ways {
    /// Over the link, and on the loopback.
    direct: Way,
    loopback: Way,
    /// By the rules, over the same link.
    allowed: Way,
    /// To the same loopback.
    host_port: Way,
    peer: Result<Way, Row>,
}

pub(crate) fn measure(bench: &Workbench, report: &mut Report) -> Result<(), String> {
    start(bench, report);
    let world = match World::new(&bench.place) {
        Ok(world) => world,
        Err(reason) => {
            let (name, beside) = ("claudebox".to_owned(), "direct".to_owned());
            let row = Row { name, beside, pairs: Err(reason), target: Target::None };
            report.comparison("Bytes and connections", MEGABYTES, &[row]);
            return Ok(());
        }
    };
    let ways = Ways::new(bench, &world);
    let size = bench.size;
    let (bytes, count) = (size.bytes.to_string(), size.connections.to_string());
    for (word, title, amount, unit, least) in [
        ("down", "Bytes down", &bytes, MEGABYTES, BYTES),
        ("up", "Bytes up", &bytes, MEGABYTES, BYTES),
        ("connections", "New connections, a byte there and back", &count, PER_SECOND, CONNECTIONS),
    ] {
        for at_once in [1, 16] {
            let title = format!("{title}, {at_once} at once");
            eprintln!("{title}");
            let target = if at_once == 1 { Target::AtLeast(least) } else { Target::None };
            let figure = |way: &Way| run(bench, &world, way, word, &format!("{at_once} {amount}"));
            report.comparison(&title, unit, &ways.rates(bench, target, figure));
        }
    }
    eprintln!("connect and one byte");
    let rows = ways.medians(bench, &world);
    report.comparison("Connect and one byte, the median of many", MICROSECONDS, &rows);
    let mut facts = Vec::new();
    for (kind, words, target) in [
        ("idle", "idle connections", Some(IDLE)),
        ("read", "connections that carry all they can", None),
        ("unread", "connections that carry what nobody reads", None),
    ] {
        eprintln!("{HELD} {words}");
        let value = held(bench, &world, &ways.allowed, kind)?;
        facts.push(megabytes(&format!("its peak with {HELD} {words}"), value, target));
    }
    report.facts("Memory of the supervisor with connections", &facts);
    Ok(())
}

/// Until the command's first instruction, and the whole command.
fn start(bench: &Workbench, report: &mut Report) {
    let with = |mode| {
        let name = format!("claudebox `--network {mode}`");
        launchers::claudebox_with(&name, &bench.place, &["--network", mode])
    };
    let (none, allow) = (with("none"), with("allow"));
    let (pair, count) = ((&none, &allow), bench.size.starts);
    eprintln!("network, to the first instruction");
    let first = |launcher: &Launcher| bench.first_instruction(launcher);
    let rows = [row(count, pair, Target::Added(READY), first)];
    report.comparison("Network ready: to the first instruction", MILLISECONDS, &rows);
    let rows = [row(count, pair, Target::None, |launcher| bench.whole(launcher))];
    report.comparison("Network ready: the whole command, `true`", MILLISECONDS, &rows);
}

impl Ways {
    fn new(bench: &Workbench, world: &World) -> Self {
        let place = &bench.place;
        let rule = format!("{NAME}:{PORT} private");
        let claudebox = |name, options: &[&str]| {
            world.holds(place, &launchers::claudebox_with(name, place, options))
        };
        let way = |launcher, to| Way { launcher, to };
        let peer = launchers::peer_that_allows(place, NAME);
        Self {
            direct: way(world.direct(place, "direct"), ADDRESS),
            loopback: way(world.direct(place, "direct, loopback"), "127.0.0.1"),
            allowed: way(claudebox("claudebox", &["--allow", &rule]), NAME),
            host_port: way(
                claudebox("claudebox `--host-port`", &["--host-port", PORT]),
                "127.0.0.1",
            ),
            peer: peer.map(|peer| way(world.holds(place, &peer), NAME)),
        }
    }

    /// Rates: of what claudebox and its peer let through beside what goes directly.
    fn rates(
        &self,
        bench: &Workbench,
        target: Target,
        figure: impl Fn(&Way) -> Figure,
    ) -> Vec<Row> {
        let mut rows = vec![
            pairs_of(bench, (&self.direct, &self.allowed), target, &figure),
            pairs_of(bench, (&self.loopback, &self.host_port), target, &figure),
        ];
        rows.push(self.peer(bench, &figure));
        rows
    }

    fn medians(&self, bench: &Workbench, world: &World) -> Vec<Row> {
        let count = bench.size.connections.to_string();
        let byte = |way: &Way| run(bench, world, way, "byte", &count);
        // Where nothing is in between there is nobody to ask.
        let asked = |way: &Way| {
            run(bench, world, way, if way.to == NAME { "ask-byte" } else { "byte" }, &count)
        };
        let Way { launcher, to } = &self.allowed;
        let named = |name| Way { launcher: launcher.named(name), to };
        let (by_address, by_name) = (named("claudebox, by address"), named("claudebox, by name"));
        vec![
            pairs_of(bench, (&self.direct, &by_address), Target::Ratio(BY_ADDRESS), byte),
            pairs_of(bench, (&self.direct, &by_name), Target::Ratio(BY_NAME), asked),
            pairs_of(bench, (&self.loopback, &self.host_port), Target::None, byte),
            self.peer(bench, byte),
        ]
    }

    fn peer(&self, bench: &Workbench, figure: impl Fn(&Way) -> Figure) -> Row {
        match &self.peer {
            Ok(peer) => pairs_of(bench, (&self.direct, peer), Target::None, figure),
            Err(absent) => absent.clone(),
        }
    }
}

fn pairs_of(
    bench: &Workbench,
    (base, other): (&Way, &Way),
    target: Target,
    figure: impl Fn(&Way) -> Figure,
) -> Row {
    let (name, beside) = (other.launcher.name.clone(), base.launcher.name.clone());
    eprintln!("  {name} beside {beside}");
    let pairs = pairs::measure(bench.size.pairs, || figure(base), || figure(other));
    Row { name, beside, pairs, target }
}

/// What the client measured that was started one way.
fn run(bench: &Workbench, world: &World, way: &Way, what: &str, rest: &str) -> Figure {
    let mut command = vec![world.program.as_str(), what, way.to, PORT];
    command.extend(rest.split(' '));
    let run = way.launcher.run(&bench.place, &command);
    number(&succeeded(run.deadline(Duration::from_secs(600)).run())?)
}

/// Megabytes of the supervisor while connections of this kind are held.
fn held(bench: &Workbench, world: &World, way: &Way, kind: &str) -> Figure {
    let mark = bench.place.project().join(format!("held-{kind}"));
    let name = mark.file_name().unwrap_or_default().to_string_lossy();
    let command = [world.program.as_str(), "hold", way.to, PORT, HELD, kind, &name];
    let run = way.launcher.run(&bench.place, &command);
    let session = run.deadline(Duration::from_secs(600)).start();
    while !mark.exists() {
        if !Path::new(&format!("/proc/{}", session.pid())).exists() {
            succeeded(session.wait())?;
            return Err("the session ended before it held connections".to_owned());
        }
        sleep(Duration::from_millis(20));
    }
    // For those that carry to fill what there is to fill.
    sleep(Duration::from_secs(3));
    let supervisor = parent_of_bwrap(session.pid()).ok_or("no parent of bwrap was found")?;
    let peak = status(supervisor, "VmHWM:");
    std::fs::remove_file(&mark).map_err(|err| err.to_string())?;
    succeeded(session.wait())?;
    peak
}
