//! Whether one program at a time is started inside. Then it and this thread take turns, which they do
//! best on one processor: another one would first have to wake up, and the program would leave its
//! caches behind. Where several run at once, both would wait behind the others there. It is a guess that
//! decides where the kernel wakes whom, and must never decide anything else.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::Watch;
use crate::log::event::ExecId;
use crate::supervisor::execs::process::Process;

/// What was executed longer ago waits for something, or for nothing that a few microseconds matter to.
const RECENT: Duration = Duration::from_secs(1);
/// With more at once than this nobody takes turns.
const FEW: usize = 16;

/// A process by its latest exec and that of its parent.
type Started = (ExecId, Option<ExecId>);

impl Watch {
    /// Has the kernel wake this thread and who calls next where it seems best. To be called when another
    /// program was started.
    pub(super) fn take_turns(&mut self) {
        let recent = self.processes.values().filter_map(recent).take(FEW + 1);
        let turns = in_turns(&recent.collect::<Vec<_>>());
        if turns != self.in_turns {
            // EINVAL before Linux 6.6, which is no worse than it was.
            let _ = self.receiver.wake_on_this_processor(turns);
            self.in_turns = turns;
        }
    }
}

fn recent(process: &Process) -> Option<Started> {
    let since = process.under_way.last().map(|exec| (exec.id, exec.since));
    let (id, since) = since.or(process.latest)?;
    (since.elapsed() < RECENT).then_some((id, process.place.parent))
}

/// Whether all but one of these wait for a child.
fn in_turns(started: &[Started]) -> bool {
    let waits = |(id, _): &Started| started.iter().any(|(_, parent)| *parent == Some(*id));
    started.len() <= FEW && started.iter().filter(|process| !waits(process)).count() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_parents_takes_turns() {
        assert!(in_turns(&[]));
        assert!(in_turns(&[(7, Some(1))]));
        assert!(in_turns(&[(7, Some(1)), (8, Some(7)), (9, Some(8))]));
    }

    #[test]
    fn siblings_do_not() {
        assert!(!in_turns(&[(7, Some(1)), (8, Some(1))]));
        assert!(!in_turns(&[(7, Some(1)), (8, Some(7)), (9, Some(7))]));
    }

    #[test]
    fn very_many_do_not_and_are_not_counted() {
        let chain: Vec<Started> =
            (1..=u64::try_from(FEW).unwrap() + 1).map(|id| (id, Some(id - 1))).collect();
        assert!(!in_turns(&chain));
        assert!(in_turns(&chain[1..]));
    }
}
