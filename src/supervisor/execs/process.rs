//! One watched process: its execs that are under way, and the rule by which a program that starts
//! is known to be theirs. The rule is what keeps `verified` true under attack: a thread of the old
//! program can make the very call by which a new program is recognised, at any moment, as often as
//! it likes; so it is never enough that the call was made.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::procfs::{Addresses, Image, Stat};
use super::record::{Called, Fate, Place};
use crate::log::event::ExecId;

/// Execs of one process that may be under way at once; only racing threads come near it.
const UNDER_WAY: usize = 16;

/// A process that has called exec at least once.
#[derive(Debug)]
pub struct Process {
    /// Tells this process from a later one with its number.
    pub serial: u32,
    /// Reports its end.
    pub pidfd: OwnedFd,
    /// Where it stands in the tree.
    pub place: Place,
    /// Its execs whose outcome is not known, oldest first.
    pub under_way: Vec<UnderWay>,
    /// Its latest exec that ran, or may have, and when it was called.
    pub latest: Option<(ExecId, Instant)>,
    /// The status it gave to `exit_group(2)`.
    pub status: Option<u8>,
    /// It is dead; its parent has not asked for it yet.
    pub died: Option<Instant>,
    /// What is read of its next program does not decide: an exec was not kept in `under_way`, or
    /// somebody changed what the kernel says of a program (see [`crate::filters::calls::Kind::SetMm`]).
    pub doubtful: bool,
}

/// An exec that was let go on, and whose outcome is not known.
#[derive(Debug)]
pub struct UnderWay {
    /// Its number.
    pub id: ExecId,
    /// The thread that called.
    pub tid: i32,
    /// When.
    pub since: Instant,
    /// By what a new program will be told from the old one.
    pub before: Before,
    /// What it was called with.
    pub called: Option<Arc<Called>>,
    /// Another thread called while it was not certain that this had not run yet: then it did not
    /// merely lose a race.
    pub unsure: bool,
}

/// What was known of a process before its exec.
#[derive(Debug)]
pub enum Before {
    /// It had not executed a program since its fork; the kernel's flag says when it has.
    Forked,
    /// It had executed a program before, which lay there; when nobody has that program's memory any
    /// more, it has executed another.
    Executed(Image, Option<Addresses>),
    /// Nothing.
    Unknown,
}

/// What `/proc` has just said of a process, while it was certainly this one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// See [`Stat::forked`]; `None` where it could not be read.
    pub forked: Option<bool>,
    /// See [`Stat::addresses`].
    pub addresses: Option<Addresses>,
}

impl From<Stat> for Now {
    fn from(stat: Stat) -> Self {
        Self { forked: Some(stat.forked), addresses: stat.addresses }
    }
}

/// What can be said now about an exec that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The process runs a new program: this exec's, or that of another one under way.
    New,
    /// The process has not executed anything: certain.
    Old,
    /// The old program's memory is in use: by this process, whose exec then did not succeed, or by one
    /// that shares it, to make just that look so.
    OldInUse,
    /// Nothing.
    Unknown,
}

impl Process {
    /// A process that calls exec for the first time.
    pub fn new(serial: u32, pidfd: OwnedFd, place: Place) -> Self {
        Self {
            serial,
            pidfd,
            place,
            under_way: Vec::new(),
            latest: None,
            status: None,
            died: None,
            doubtful: false,
        }
    }

    /// Whether it lives: then its number is still its own. In doubt it does: to take it for a new
    /// process would be to believe that it has executed nothing.
    pub fn lives(&self) -> bool {
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
    }

    /// The exec its children descend from.
    pub fn current(&self) -> Option<ExecId> {
        self.under_way.last().map(|exec| exec.id).or(self.latest.map(|(id, _)| id))
    }

    /// Adds an exec; the oldest is given back where there are too many.
    pub fn add(&mut self, exec: UnderWay) -> Option<UnderWay> {
        let oldest = (self.under_way.len() >= UNDER_WAY).then(|| self.under_way.remove(0));
        self.doubtful |= oldest.is_some();
        self.under_way.push(exec);
        oldest
    }

    /// No exec that is under way can be confirmed any more.
    pub fn doubt(&mut self) {
        self.doubtful |= !self.under_way.is_empty();
    }

    /// Somebody changes what the kernel says of where programs lie.
    pub fn set_mm(&mut self) {
        self.doubt();
        for exec in &mut self.under_way {
            if let Before::Executed(_, addresses) = &mut exec.before {
                *addresses = None;
            }
        }
    }

    /// Takes note of an outcome.
    pub fn settle(&mut self, exec: &UnderWay, fate: &Fate) {
        let ran = match fate {
            Fate::Started(_) | Fate::Ran | Fate::Untold | Fate::Ended => true,
            Fate::Failed | Fate::Remains | Fate::Superseded | Fate::Checked => false,
        };
        if ran && self.latest.is_none_or(|(id, _)| id < exec.id) {
            self.latest = Some((exec.id, exec.since));
        }
    }
}

impl UnderWay {
    /// What can be said now.
    pub fn program(&self, now: &Now) -> Program {
        match (&self.before, now.forked) {
            (Before::Forked, Some(true)) => Program::Old,
            (Before::Forked, Some(false)) => Program::New,
            (Before::Executed(image, before), _) => match image.is_gone() {
                Some(true) => Program::New,
                Some(false) if before.is_some() && *before == now.addresses => Program::Old,
                Some(false) => Program::OldInUse,
                None => Program::Unknown,
            },
            (Before::Forked, None) | (Before::Unknown, _) => Program::Unknown,
        }
    }

    /// Whether this exec's argv is `argv`, as far as it is kept.
    pub fn called_with(&self, argv: &[u8]) -> bool {
        self.called.as_ref().is_some_and(|called| called.arguments.same(argv))
    }
}

/// Which of the execs that a start may belong to is taken for the one, and whether another might
/// as well be. `execs` are those whose process runs a new program.
pub fn winner(execs: &[&UnderWay], argv: &[u8]) -> (usize, bool) {
    let fit: Vec<usize> =
        (0..execs.len()).filter(|at| execs.get(*at).is_some_and(|e| e.called_with(argv))).collect();
    match *fit {
        [one] => (one, false),
        [] => (0, execs.len() > 1),
        [first, ..] => {
            let called = |at: &usize| execs.get(*at).and_then(|exec| exec.called.as_ref());
            let differ = fit.iter().any(|at| called(at) != called(&first));
            (first, differ)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::{Arguments, Kept};
    use super::super::procfs;
    use super::super::record::Names;
    use super::*;
    use crate::bytes::Bytes;

    fn exec(id: ExecId, path: &str, argument: &str) -> UnderWay {
        let mut kept = Kept::default();
        kept.push(argument.as_bytes(), false);
        let called = Called {
            path: Bytes::from(path),
            arguments: Arguments::Kept(kept),
            cwd: None,
            at: None,
            arch: None,
            unread: None,
            names: Names::Unknown,
        };
        let called = Some(Arc::new(called));
        UnderWay {
            id,
            tid: 1,
            since: Instant::now(),
            before: Before::Forked,
            called,
            unsure: false,
        }
    }

    #[test]
    fn a_start_in_the_old_program_is_not_taken_for_a_new_one() {
        let exec = exec(1, "/a", "a");
        let said = |forked| exec.program(&Now { forked, addresses: None });
        assert_eq!(said(Some(true)), Program::Old);
        assert_eq!(said(Some(false)), Program::New);
        assert_eq!(said(None), Program::Unknown);
    }

    /// That somebody has the old memory does not say who.
    #[test]
    fn memory_in_use_is_a_failure_only_at_the_same_addresses() {
        let me = std::process::id().cast_signed();
        let now = Now::from(procfs::stat(me).unwrap());
        assert!(now.addresses.is_some(), "addresses are random here");
        let mut exec = exec(1, "/a", "a");
        exec.before = Before::Executed(Image::of(me).unwrap(), now.addresses);
        assert_eq!(exec.program(&now), Program::Old);
        assert_eq!(exec.program(&Now { addresses: None, ..now }), Program::OldInUse);
        exec.before = Before::Executed(Image::of(me).unwrap(), None);
        assert_eq!(exec.program(&now), Program::OldInUse);
        assert_eq!(exec.program(&Now { addresses: None, ..now }), Program::OldInUse);
    }

    #[test]
    fn racing_threads_are_told_apart_by_argv() {
        let (a, b) = (exec(1, "/x", "a"), exec(2, "/x", "b"));
        assert_eq!(winner(&[&a, &b], b"b\0"), (1, false));
        assert_eq!(winner(&[&a, &b], b"c\0"), (0, true));
        assert_eq!(winner(&[&a], b"c\0"), (0, false));
    }

    #[test]
    fn equal_argv_with_another_path_stays_ambiguous() {
        let (a, b, c) = (exec(1, "/x", "a"), exec(2, "/y", "a"), exec(3, "/x", "a"));
        assert_eq!(winner(&[&a, &b], b"a\0"), (0, true));
        assert_eq!(winner(&[&a, &c], b"a\0"), (0, false));
    }
}
