//! `make bench`: what claudebox costs, as ratios of runs that follow each other directly, against
//! bwrap with the same arguments and against whatever peers and tracers are installed. Prints a
//! table and writes it into `docs/benchmarks.md`.
//!
//! `CLAUDEBOX_BENCH_ROUNDS` (9) and `CLAUDEBOX_BENCH_EVENTS` (1000000) make it shorter or longer.
//! Arguments name the sections to run: `start`, `execs`, `work`, `scaling`, `long`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a program that measures, run by hand, for a person"
)]

#[path = "../common/mod.rs"]
mod common;
mod launchers;
mod long;
mod machine;
mod ratios;
mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use common::place::Place;
use common::user::User;
use launchers::Launcher;
use ratios::{Measure, Variant};
use report::Report;

const MILLISECONDS: f64 = 1e6;
const MICROSECONDS: f64 = 1e3;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let want = |section: &str| wanted.is_empty() || wanted.iter().any(|word| word == section);
    common::must_have_sandbox();
    let bench = Bench::new();
    let mut report = Report::default();
    report.paragraph(&machine::describe());
    if want("start") {
        bench.start(&mut report);
    }
    if want("execs") {
        bench.execs(&mut report);
    }
    if want("work") {
        bench.work(&mut report);
    }
    if want("scaling") {
        bench.scaling(&mut report);
    }
    if want("long") {
        let events = setting("CLAUDEBOX_BENCH_EVENTS", 1_000_000);
        long::measure(&bench.place, &bench.workload, events, &mut report);
    }
    report.print();
    // A part would replace the whole.
    if wanted.is_empty() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        report.write_into(&document).expect("the document has its markers");
    }
}

/// A number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// The place, the program and the launchers that are compared.
struct Bench {
    place: Place,
    workload: String,
    rounds: usize,
    bwrap: Launcher,
    claudebox: Launcher,
}

impl Bench {
    fn new() -> Self {
        let place = Place::new(User::Caller);
        let workload = compile(&place).to_str().unwrap().to_owned();
        let (bwrap, claudebox) = (launchers::bwrap(&place), launchers::claudebox(&place));
        Self { place, workload, rounds: setting("CLAUDEBOX_BENCH_ROUNDS", 9), bwrap, claudebox }
    }

    /// From the start of a launcher to the first line of the program, and until it is all over.
    fn start(&self, report: &mut Report) {
        eprintln!("start");
        let mut compared = vec![self.bwrap.clone(), self.claudebox.clone()];
        compared.push(launchers::claudebox_without_log(&self.place));
        compared.extend(launchers::peers());
        let rounds = self.rounds * 3;
        let rows =
            ratios::measure(rounds, &variants(&compared, |launcher| self.first_line(launcher)));
        report.ratios("Start, until the program's first line", "ms", MILLISECONDS, &rows);
        let rows = ratios::measure(rounds, &variants(&compared, |launcher| self.whole(launcher)));
        report.ratios("Start and end of `true`", "ms", MILLISECONDS, &rows);
    }

    /// The cost of one exec.
    fn execs(&self, report: &mut Report) {
        eprintln!("execs");
        let mut compared = self.logged();
        compared.extend(launchers::tracers(&self.bwrap));
        let total = 5000;
        let measure = |launcher: &Launcher| {
            let inside = self.inside(launcher, &["spawn", "1", &total.to_string()])?;
            Some(inside / f64::from(total))
        };
        let rows = ratios::measure(self.rounds, &variants(&compared, measure));
        report.ratios("One `posix_spawn` of `/bin/true`, of 5,000", "µs", MICROSECONDS, &rows);
    }

    /// Whole pieces of work.
    fn work(&self, report: &mut Report) {
        eprintln!("work");
        let mut compared = self.logged();
        compared.extend(launchers::tracers(&self.bwrap));
        self.c_project();
        let make = ["time", "make", "-s", "-B", "-j2"];
        let git = ["time", "sh", "git-work.sh"];
        for (title, command) in
            [("make of 100 C files", &make[..]), ("git, 30 times init to log", &git)]
        {
            let measure = |launcher: &Launcher| self.inside(launcher, command);
            let rows = ratios::measure(self.rounds, &variants(&compared, measure));
            report.ratios(title, "ms", MILLISECONDS, &rows);
        }
    }

    /// Many spawners at once.
    fn scaling(&self, report: &mut Report) {
        eprintln!("scaling");
        let total = 4000;
        for spawners in [1, 4, 16, 64] {
            let (count, all) = (spawners.to_string(), total.to_string());
            let measure = |launcher: &Launcher| {
                let inside = self.inside(launcher, &["spawn", &count, &all])?;
                Some(inside / f64::from(total))
            };
            let rows = ratios::measure(self.rounds, &variants(&self.logged(), measure));
            let title = format!("{spawners} spawners, per `posix_spawn`");
            report.ratios(&title, "µs", MICROSECONDS, &rows);
        }
    }

    /// bwrap first, then claudebox with and without the log.
    fn logged(&self) -> Vec<Launcher> {
        let without = launchers::claudebox_without_log(&self.place);
        vec![self.bwrap.clone(), self.claudebox.clone(), without]
    }

    /// Nanoseconds from just before the launcher starts to the program's first line.
    fn first_line(&self, launcher: &Launcher) -> Option<f64> {
        let run = launcher.command(&self.place, &[&self.workload, "stamp"]);
        let before = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
        let stamp = number(&run.run())?;
        Some(stamp - before.as_nanos() as f64)
    }

    /// Nanoseconds of a whole run of `true`.
    fn whole(&self, launcher: &Launcher) -> Option<f64> {
        let run = launcher.command(&self.place, &["/bin/true"]);
        let before = Instant::now();
        let output = run.run();
        (output.code == 0).then(|| before.elapsed().as_nanos() as f64)
    }

    /// Nanoseconds that the program measured by itself.
    fn inside(&self, launcher: &Launcher, arguments: &[&str]) -> Option<f64> {
        let command = [&[self.workload.as_str()], arguments].concat();
        let run = launcher.command(&self.place, &command).deadline(Duration::from_secs(600));
        number(&run.run())
    }

    fn c_project(&self) {
        for index in 0..100 {
            let text = format!("int f{index}(int x)\n{{\n    return x * {index} + 1;\n}}\n");
            self.place.project_file(format!("f{index}.c"), text);
        }
        self.place.project_file("Makefile", "all: $(patsubst %.c,%.o,$(wildcard f*.c))\n");
        self.place.project_file("git-work.sh", include_str!("git-work.sh"));
    }
}

fn variants<'a>(
    launchers: &'a [Launcher],
    measure: impl Fn(&Launcher) -> Option<f64> + Copy + 'a,
) -> Vec<Variant<'a>> {
    let variant = |launcher: &'a Launcher| {
        let measure: Measure<'a> = Box::new(move || measure(launcher));
        Variant { name: launcher.name.clone(), measure }
    };
    launchers.iter().map(variant).collect()
}

/// The number that a successful run of the workload printed last.
fn number(output: &common::run::Output) -> Option<f64> {
    if output.code != 0 {
        eprintln!("  {}\n  {}", output.what, output.stderr.trim());
        return None;
    }
    output.stdout.lines().last()?.trim().parse().ok()
}

/// Compiles the workload into the project, where every launcher shows it.
fn compile(place: &Place) -> PathBuf {
    let source = place.project_file("workload.c", include_str!("workload.c"));
    let program = place.project().join("workload");
    let arguments = ["-O2", "-static", "-o"].map(Path::new);
    let output = place.command("cc").args(arguments).args([&program, &source]).run();
    assert_eq!(output.code, 0, "{}", output.stderr);
    program
}
