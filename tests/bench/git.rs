//! What the private git directory costs: the start, the first `git status`, a commit on its way to the
//! host, and the end; in a small repository, and in one of 50,000 files, 100,000 commits and 2,000 packed
//! refs, which is made anew. It must never compare two repositories with one another.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::launchers::{Launcher, claudebox_with};
use crate::pairs::Figure;
use crate::report::{Fact, MILLISECONDS, Report, Row, Target};
use crate::workbench::{Workbench, number, row, succeeded};

/// Milliseconds that the private git directory may add to a start.
const SMALL_START: f64 = 30.0;
const LARGE_START: f64 = 250.0;
/// The first `git status` inside, beside one on the host.
const STATUS: f64 = 1.6;
/// Milliseconds that it may add to the end of a session with one commit.
const END: f64 = 1000.0;
/// Seconds until a commit has a ref on the host.
const SEEN: f64 = 2.0;

/// The large repository.
const FILES: usize = 50_000;
const COMMITS: usize = 100_000;
const REFS: usize = 2_000;

pub(crate) fn measure(bench: &Workbench, report: &mut Report) -> Result<(), String> {
    eprintln!("git: making repositories");
    let small = Repository::new(bench, "20 files", 20, 20, 3)?;
    let name = format!("{FILES} files, {COMMITS} commits, {REFS} refs");
    let large = Repository::new(bench, &name, FILES, COMMITS, REFS)?;
    let both = [(&small, SMALL_START), (&large, LARGE_START)];
    let rows = |what: &dyn Fn(&Repository, f64) -> Row| {
        both.map(|(repository, target)| what(repository, target)).to_vec()
    };
    eprintln!("git: start");
    let starts = rows(&|it, target| {
        it.row("--git none", Target::Added(target), |way| it.bench.first_instruction(way))
    });
    report.comparison("Private git: to the first instruction", MILLISECONDS, &starts);
    let whole = rows(&|it, _| it.row("--git none", Target::None, |way| it.bench.whole(way)));
    report.comparison("Private git: the whole command, `true`", MILLISECONDS, &whole);
    eprintln!("git: status");
    let status = rows(&|it, _| it.status());
    report.comparison("Private git: the first `git status`", MILLISECONDS, &status);
    eprintln!("git: end");
    let ends = rows(&|it, _| it.row("--git shared", Target::Added(END), |way| it.end(way)));
    report.comparison("Private git: the end, after one commit", MILLISECONDS, &ends);
    eprintln!("git: a commit on its way");
    let mut facts = Vec::new();
    for (repository, _) in both {
        facts.push(repository.seen()?);
    }
    report.facts("Private git: while the session runs", &facts);
    Ok(())
}

/// A repository, with the program that measures in it.
struct Repository {
    name: String,
    bench: Workbench,
}

impl Repository {
    fn new(
        bench: &Workbench,
        name: &str,
        files: usize,
        commits: usize,
        refs: usize,
    ) -> Result<Self, String> {
        let this = Self { name: name.to_owned(), bench: Workbench::new(bench.size)? };
        let place = &this.bench.place;
        place.home_file(".gitconfig", "[user]\n\tname = Test\n\temail = test@example.invalid\n");
        let import = place.command("git").args(["fast-import", "--quiet"]);
        let import = import.input(stream(files, commits, refs)).deadline(Duration::from_secs(600));
        succeeded(import.run())?;
        // What was written in the second of the index git compares again and again.
        let script = "git pack-refs --all && git reset -q --hard && printf 'workload*\\nstamp*\\nstop\\n' \
                      >>.git/info/exclude && sleep 2 && git status --porcelain && git status";
        let run = place.command("sh").args(["-c", script]).deadline(Duration::from_secs(600));
        succeeded(run.run())?;
        Ok(this)
    }

    /// Private git beside another mode.
    fn row(&self, beside: &str, target: Target, figure: impl Fn(&Launcher) -> Figure) -> Row {
        let name = format!("claudebox, {}", self.name);
        let mut row = row(
            self.bench.size.starts,
            (&self.claudebox(beside, beside), &self.claudebox(&name, "--git private")),
            target,
            figure,
        );
        row.beside = format!("`{beside}`");
        row
    }

    fn claudebox(&self, name: &str, git: &str) -> Launcher {
        let options: Vec<&str> = ["--network", "host"].into_iter().chain(git.split(' ')).collect();
        claudebox_with(name, &self.bench.place, &options)
    }

    fn status(&self) -> Row {
        let host = Launcher::new("the host", ["env"]);
        let inside = self.claudebox(&format!("claudebox, {}", self.name), "--git private");
        let figure = |way: &Launcher| self.bench.timed(way, &["time", "git", "status"]);
        row(self.bench.size.starts, (&host, &inside), Target::Ratio(STATUS), figure)
    }

    /// From the last command of a session that made a commit to its end.
    fn end(&self, way: &Launcher) -> Figure {
        let script = "date >>log && git commit -qam change >&2 && exec ./workload stamp";
        let run = way.run(&self.bench.place, &["/bin/sh", "-c", script]);
        let stamp = number(&succeeded(run.run())?)?;
        Ok(now()? - stamp)
    }

    /// How long a commit takes to be a ref on the host.
    fn seen(&self) -> Result<Fact, String> {
        let mut slowest: f64 = 0.0;
        for _ in 0..self.bench.size.pairs {
            slowest = slowest.max(self.seen_once()?);
        }
        let name = format!("a commit has a ref on the host, {}, the slowest", self.name);
        Ok(Fact { name, value: slowest, unit: "s", target: Some(SEEN) })
    }

    fn seen_once(&self) -> Figure {
        let place = &self.bench.place;
        let project = place.project();
        let way = self.claudebox("claudebox", "--git private");
        let script = "sleep 1; date >>log && git commit -qam change && ./workload stamp >stamp; \
                      until test -e stop; do sleep 0.05; done; rm -f stop stamp";
        let run = way.run(place, &["/bin/sh", "-c", script]).start();
        let end = Instant::now() + Duration::from_secs(30);
        let seen = loop {
            if !self.imported().is_empty() {
                break now();
            }
            if Instant::now() > end {
                break Err("no ref came".to_owned());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let stamp = fs::read_to_string(project.join("stamp")).unwrap_or_default();
        place.project_file("stop", "");
        succeeded(run.wait())?;
        let stamp: f64 = stamp.trim().parse().map_err(|_| format!("not a number: {stamp:?}"))?;
        // It may have come before the program inside was asked for the time.
        Ok((seen? - stamp).max(0.0) / 1e9)
    }

    fn imported(&self) -> Vec<PathBuf> {
        let sessions = fs::read_dir(self.bench.place.project().join(".git/refs/claudebox"));
        let sessions = sessions.into_iter().flatten().flatten();
        let heads = sessions.map(|entry| entry.path().join("heads/main"));
        heads.filter(|path| path.exists()).collect()
    }
}

fn now() -> Figure {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_RAW).map_err(|err| err.to_string())?;
    Ok(Duration::from(now).as_nanos() as f64)
}

/// The repository as `git fast-import` reads it: all files in the first commit, then commits that change
/// one; half of the refs are annotated tags, the others branches of a remote.
fn stream(files: usize, commits: usize, refs: usize) -> String {
    let who = "Test <test@example.invalid>";
    let mut text = String::from("feature done\n");
    let data = |text: &mut String, data: &str| {
        let _ = write!(text, "data {}\n{data}\n", data.len());
    };
    for commit in 1..=commits {
        let _ = writeln!(text, "commit refs/heads/main\nmark :{commit}");
        let _ = writeln!(text, "committer {who} {} +0000", 1_500_000_000 + commit * 600);
        data(&mut text, &format!("change {commit}\n"));
        if commit == 1 {
            for file in 0..files {
                let (one, two) = (file % 40, file / 40 % 40);
                let _ = writeln!(text, "M 100644 inline d{one}/e{two}/f{file}");
                data(&mut text, &format!("file {file}\n"));
            }
        }
        text.push_str("M 100644 inline log\n");
        data(&mut text, &format!("line {commit}\n"));
    }
    for number in 0..refs {
        let at = 1 + number * commits / refs;
        if number % 2 == 0 {
            let _ = write!(text, "tag v{number}\nfrom :{at}\ntagger {who} 1600000000 +0000\n");
            data(&mut text, "version\n");
        } else {
            let _ = writeln!(text, "reset refs/remotes/origin/b{number}\nfrom :{at}\n");
        }
    }
    text.push_str("done\n");
    text
}
