//! What a start costs: until the first instruction of the command, and until all is over.

use crate::launchers::{self, Launcher};
use crate::pairs::Figure;
use crate::report::{MILLISECONDS, Report, Row, Target};
use crate::workbench::{Workbench, row};

/// Milliseconds that claudebox may add to bwrap before the first instruction.
const ADDED: f64 = 8.0;

pub(crate) fn measure(bench: &Workbench, report: &mut Report) {
    eprintln!("start, to the first instruction");
    let rows = table(bench, Target::Added(ADDED), |launcher| bench.first_instruction(launcher));
    report.comparison("Start, to the first instruction of the command", MILLISECONDS, &rows);
    eprintln!("start and end");
    let rows = table(bench, Target::None, |launcher| bench.whole(launcher));
    report.comparison("The whole command, `true`", MILLISECONDS, &rows);
}

/// claudebox and the peers beside bwrap, then claudebox beside each peer: it must be below them.
fn table(bench: &Workbench, target: Target, figure: impl Fn(&Launcher) -> Figure) -> Vec<Row> {
    let Workbench { place, bwrap, claudebox, .. } = bench;
    let beside = |base: &Launcher, other: &Launcher, target| {
        row(bench.size.starts, (base, other), target, &figure)
    };
    let mut rows = vec![beside(bwrap, claudebox, target)];
    rows.push(beside(bwrap, &launchers::claudebox_without_log(place), Target::None));
    for peer in launchers::peers(place) {
        match peer {
            Ok(peer) => {
                rows.push(beside(bwrap, &peer, Target::None));
                rows.push(beside(&peer, claudebox, Target::Ratio(1.0)));
            }
            Err(absent) => rows.push(absent),
        }
    }
    rows
}
