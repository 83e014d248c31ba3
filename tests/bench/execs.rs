//! What the log costs for each exec: alone, concurrently, and in real work; beside the tracers that
//! would show the same. Everything is timed by the program inside.

use crate::launchers::{self, Launcher};
use crate::pairs::Figure;
use crate::report::{MICROSECONDS, MILLISECONDS, Report, Row, Target};
use crate::workbench::{Workbench, row};

/// At most this, as ratios to bwrap.
const VERIFIED: f64 = 1.45;
const UNVERIFIED: f64 = 1.30;
const MAKE: f64 = 1.07;
const GIT: f64 = 1.10;

/// bwrap beside itself: what the other tables must be read against.
pub(crate) fn noise(bench: &Workbench, report: &mut Report) {
    eprintln!("noise");
    let again = bench.bwrap.named("bwrap again");
    let pair = (&bench.bwrap, &again);
    let starts =
        row(bench.size.starts, pair, Target::None, |launcher| bench.first_instruction(launcher));
    report.comparison("Noise: a start of the same thing", MILLISECONDS, &[starts]);
    let spawns = row(bench.size.pairs, pair, Target::None, |launcher| {
        spawn(bench, launcher, 1, bench.size.spawns)
    });
    report.comparison("Noise: spawns in the same thing", MICROSECONDS, &[spawns]);
}

/// `posix_spawn` of `/bin/true`, by 1 to 64 spawners at once.
pub(crate) fn spawns(bench: &Workbench, report: &mut Report) {
    let size = bench.size;
    for spawners in [1, 4, 16, 64] {
        eprintln!("{spawners} spawners");
        let title = format!("`posix_spawn` of `/bin/true`, {spawners} at once");
        let limits = if spawners == 1 {
            [Target::Ratio(VERIFIED), Target::Ratio(UNVERIFIED)]
        } else {
            [Target::None; 2]
        };
        let figure = |launcher: &Launcher| spawn(bench, launcher, spawners, size.spawns);
        let mut rows = logged(bench, limits, figure);
        if spawners == 1 {
            let figure = |launcher: &Launcher| spawn(bench, launcher, 1, size.traced_spawns);
            rows.extend(traced(bench, figure));
        }
        report.comparison(&title, MICROSECONDS, &rows);
    }
}

/// As a C project's own: optimised, with warnings.
const MAKEFILE: &str = "CFLAGS = -O2 -Wall\nall: $(patsubst %.c,%.o,$(wildcard f*.c))\n";

/// make and git.
pub(crate) fn work(bench: &Workbench, report: &mut Report) {
    for index in 0..100 {
        let text = include_str!("unit.c").replace("NUMBER", &index.to_string());
        bench.place.project_file(format!("f{index}.c"), text);
    }
    bench.place.project_file("Makefile", MAKEFILE);
    bench.place.project_file("git-work.sh", include_str!("git-work.sh"));
    bench.place.project_file("git-repository.sh", include_str!("git-repository.sh"));
    let make: &[&str] = &["time", "make", "-s", "-B", "-j2"];
    let git: &[&str] = &["time", "sh", "git-work.sh"];
    let repository: &[&str] = &["time", "sh", "git-repository.sh"];
    for (title, command, limit) in [
        ("`make -j2` of 100 C files", make, MAKE),
        ("git: 30 times init, add, commit, status, log", git, GIT),
        ("git: status, diff, add, commit, log among 1,000 files", repository, GIT),
    ] {
        eprintln!("{title}");
        let figure = |launcher: &Launcher| bench.timed(launcher, command);
        let mut rows = logged(bench, [Target::Ratio(limit), Target::None], figure);
        // What is left when Landlock and the other filters are on both sides.
        let unlogged = launchers::claudebox_without_log(&bench.place);
        let pair = (&unlogged, &bench.claudebox);
        rows.push(row(bench.size.pairs, pair, Target::None, figure));
        rows.extend(traced(bench, figure));
        report.comparison(title, MILLISECONDS, &rows);
    }
}

/// Nanoseconds for one spawn, of `total`.
fn spawn(bench: &Workbench, launcher: &Launcher, spawners: u32, total: u32) -> Figure {
    let (spawners, count) = (spawners.to_string(), total.to_string());
    let all = bench.timed(launcher, &["spawn", &spawners, &count])?;
    Ok(all / f64::from(total))
}

/// claudebox as it ships, with the confirmation of argv off, and without the log, beside bwrap.
fn logged(
    bench: &Workbench,
    [ships, unverified]: [Target; 2],
    figure: impl Fn(&Launcher) -> Figure,
) -> Vec<Row> {
    let Workbench { place, bwrap, claudebox, unconfirmed, size, .. } = bench;
    [
        (claudebox, ships),
        (unconfirmed, unverified),
        (&launchers::claudebox_without_log(place), Target::None),
    ]
    .into_iter()
    .map(|(launcher, target)| row(size.pairs, (bwrap, launcher), target, &figure))
    .collect()
}

/// The tracers, each in front of bwrap.
fn traced(bench: &Workbench, figure: impl Fn(&Launcher) -> Figure) -> Vec<Row> {
    launchers::tracers(&bench.bwrap)
        .into_iter()
        .map(|tracer| match tracer {
            Ok(tracer) => {
                let pair = (&bench.bwrap, &tracer);
                row(bench.size.traced_pairs, pair, Target::None, &figure)
            }
            Err(absent) => absent,
        })
        .collect()
}
