//! `make bench`: what claudebox costs, as comparisons of runs that follow each other directly, with
//! bwrap under the same arguments, and with whatever peers and tracers are installed. Prints
//! tables; `--write` puts them into `docs/benchmarks.md`. It must never show a figure that has no
//! counterpart taken in the same moment, except where the target itself is absolute.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a program that measures, run by hand, for a person"
)]

#[path = "../common/mod.rs"]
mod common;
mod execs;
mod git;
mod launchers;
mod machine;
mod memory;
mod network;
mod pairs;
mod reading;
mod report;
mod start;
mod unverified;
mod workbench;
mod world;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::Report;
use workbench::Workbench;

/// Measure what claudebox costs.
#[derive(Debug, Parser)]
struct Options {
    /// Only these parts; all if absent.
    sections: Vec<Section>,
    /// A minute instead of a quarter of an hour: shows that it works, and little else.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// More pairs, and a session of three million events.
    #[arg(long)]
    full: bool,
    /// Replace the tables of `docs/benchmarks.md`.
    #[arg(long, conflicts_with = "sections")]
    write: bool,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// How far two runs of the very same thing differ here.
    Noise,
    /// Until the first instruction, and the whole command.
    Start,
    /// `posix_spawn` of `/bin/true`, one after the other and concurrently.
    Execs,
    /// make and git.
    Work,
    /// The private git directory.
    Git,
    /// Bytes and connections through the allow-list.
    Network,
    /// The supervisor's memory over very many execs.
    Memory,
    /// The first screen of a long log, and following a quiet one.
    Reading,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Pairs of starts.
    pub(crate) starts: usize,
    /// Pairs of everything else.
    pub(crate) pairs: usize,
    /// Pairs beside a tracer, which are slow.
    pub(crate) traced_pairs: usize,
    /// Spawns in one run.
    pub(crate) spawns: u32,
    /// The same beside a tracer.
    pub(crate) traced_spawns: u32,
    /// Bytes that go over the network in one run, and connections that are made.
    pub(crate) bytes: u64,
    pub(crate) connections: u32,
    /// After how many execs the supervisor's memory is looked at.
    pub(crate) execs: &'static [u32],
    /// The length of the long log.
    pub(crate) events: u64,
}

const QUICK: Size = Size {
    starts: 5,
    pairs: 3,
    traced_pairs: 1,
    spawns: 300,
    traced_spawns: 50,
    bytes: 100_000_000,
    connections: 500,
    execs: &[1_000, 5_000],
    events: 100_000,
};

const USUAL: Size = Size {
    starts: 25,
    pairs: 9,
    traced_pairs: 5,
    spawns: 5_000,
    traced_spawns: 500,
    bytes: 2_000_000_000,
    connections: 3_000,
    execs: &[10_000, 100_000, 350_000],
    events: 1_000_000,
};

const FULL: Size = Size {
    starts: 75,
    pairs: 25,
    traced_pairs: 9,
    spawns: 5_000,
    traced_spawns: 1_000,
    bytes: 4_000_000_000,
    connections: 3_000,
    execs: &[10_000, 100_000, 1_000_000],
    events: 1_000_000,
};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "unverified") {
        return unverified::run(words);
    }
    let options = Options::parse();
    let size = match (options.quick, options.full) {
        (true, _) => QUICK,
        (_, true) => FULL,
        _ => USUAL,
    };
    // What was measured before something failed took its time, and is shown.
    let mut report = Report::default();
    let measured = measure(&options, size, &mut report);
    println!("{}", report.text());
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options, size: Size, report: &mut Report) -> Result<(), String> {
    let want = |section| options.sections.is_empty() || options.sections.contains(&section);
    report.paragraph(&machine::describe());
    let bench = Workbench::new(size)?;
    if want(Section::Noise) {
        execs::noise(&bench, report);
    }
    if want(Section::Start) {
        start::measure(&bench, report);
    }
    if want(Section::Execs) {
        execs::spawns(&bench, report);
    }
    if want(Section::Work) {
        execs::work(&bench, report);
    }
    if want(Section::Git) {
        git::measure(&bench, report)?;
    }
    if want(Section::Network) {
        network::measure(&bench, report)?;
    }
    if want(Section::Memory) {
        memory::measure(&bench, report)?;
    }
    if want(Section::Reading) {
        reading::measure(&bench, report)?;
    }
    if options.write {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        let document = std::fs::read_to_string(&path).map_err(|err| err.to_string())?;
        let new = report::replaced(&document, report.text()).ok_or("no markers in the document")?;
        std::fs::write(&path, new).map_err(|err| err.to_string())?;
    }
    Ok(())
}
