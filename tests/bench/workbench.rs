//! What every measurement needs: a home and a project of its own, the program that runs inside, and
//! one run of it under a launcher. It must never measure the start of a launcher together with
//! what runs in it.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::Size;
use crate::common::place::Place;
use crate::common::run::Output;
use crate::common::user::User;
use crate::launchers::{self, Launcher};
use crate::pairs::{self, Figure};
use crate::report::{Row, Target};

/// Place, program and the launcher that all else is compared with.
pub(crate) struct Workbench {
    pub(crate) place: Place,
    pub(crate) size: Size,
    /// bwrap with the arguments that claudebox gives it.
    pub(crate) bwrap: Launcher,
    pub(crate) claudebox: Launcher,
    /// claudebox without the confirmation of argv.
    pub(crate) unconfirmed: Launcher,
    program: String,
}

impl Workbench {
    pub(crate) fn new(size: Size) -> Result<Self, String> {
        crate::common::must_have_sandbox();
        // The kernel maps a file that was copied in larger pieces than one that a linker wrote.
        let place = Place::new(User::Caller).installed();
        let program = compile(&place, "workload", include_str!("workload.c"))?;
        let claudebox = launchers::claudebox(&place);
        // The first run makes the private home, which bwrap alone would miss.
        succeeded(claudebox.run(&place, &["true"]).run())?;
        let bwrap = launchers::bwrap(&place)?;
        let unconfirmed = launchers::claudebox_unverified(&place)?;
        Ok(Self { place, size, bwrap, claudebox, unconfirmed, program })
    }

    /// The program that measures, with what it is to do.
    pub(crate) fn inside<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&[self.program.as_str()], arguments].concat()
    }

    /// Nanoseconds from just before the launcher starts to the first line of the program.
    pub(crate) fn first_instruction(&self, launcher: &Launcher) -> Figure {
        let run = launcher.run(&self.place, &self.inside(&["stamp"]));
        let before = clock_gettime(ClockId::CLOCK_MONOTONIC_RAW).map_err(|err| err.to_string())?;
        let stamp = number(&succeeded(run.run())?)?;
        Ok(stamp - Duration::from(before).as_nanos() as f64)
    }

    /// Nanoseconds of a whole run of `true`.
    pub(crate) fn whole(&self, launcher: &Launcher) -> Figure {
        let run = launcher.run(&self.place, &["/bin/true"]);
        let before = Instant::now();
        succeeded(run.run())?;
        Ok(before.elapsed().as_nanos() as f64)
    }

    /// Nanoseconds that the program inside measured itself.
    pub(crate) fn timed(&self, launcher: &Launcher, arguments: &[&str]) -> Figure {
        let run = launcher.run(&self.place, &self.inside(arguments));
        number(&succeeded(run.deadline(Duration::from_secs(1800)).run())?)
    }
}

/// One row of the table: `other` beside `base`.
pub(crate) fn row(
    count: usize,
    (base, other): (&Launcher, &Launcher),
    target: Target,
    figure: impl Fn(&Launcher) -> Figure,
) -> Row {
    eprintln!("  {} beside {}", other.name, base.name);
    let pairs = pairs::measure(count, || figure(base), || figure(other));
    Row { name: other.name.clone(), beside: base.name.clone(), pairs, target }
}

/// The output of a run that must have succeeded.
pub(crate) fn succeeded(output: Output) -> Result<Output, String> {
    if output.code == 0 {
        return Ok(output);
    }
    eprintln!("  {}{}", output.stdout, output.stderr);
    let said = output.stderr.lines().next_back().unwrap_or("it said nothing");
    Err(format!("exit code {}: {said}", output.code))
}

/// The number that the program inside printed last.
pub(crate) fn number(output: &Output) -> Figure {
    let last = output.stdout.lines().next_back().unwrap_or_default();
    last.trim().parse().map_err(|_| format!("not a number: {last:?}"))
}

/// Compiles a program into the project, where every launcher shows it.
pub(crate) fn compile(place: &Place, name: &str, text: &str) -> Result<String, String> {
    let source = place.project_file(format!("{name}.c"), text);
    let program = place.project().join(name);
    let options = ["-O2", "-static", "-o"].map(Path::new);
    succeeded(place.command("cc").args(options).args([&program, &source]).run())?;
    program.into_os_string().into_string().map_err(|path| format!("not UTF-8: {}", path.display()))
}
