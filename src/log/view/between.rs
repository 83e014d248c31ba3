//! What is told between the commands: the network, files, git, words of claudebox's own. A line waits
//! until the commands that began before it are shown, so that a reader sees causes above effects. It
//! must never wait for longer than such a command does, and no line is ever lost.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use anstyle::Style;

use crate::log::event::Micros;
use crate::log::net;
use crate::log::tree::PATIENCE;

/// How many lines wait at most.
const MOST: usize = 1024;

/// What is told.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// Of the network.
    Net(net::row::Row),
    /// Anything else, visible.
    Words { t: Micros, words: String, style: Style },
}

impl Told {
    fn t(&self) -> Micros {
        match self {
            Self::Net(row) => row.t,
            Self::Words { t, .. } => *t,
        }
    }
}

/// The lines that wait, by their time.
#[derive(Debug, Default)]
pub(super) struct Between {
    lines: VecDeque<Told>,
}

/// What decides whether a line may be shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Micros,
    /// When the first of the commands began that wait to be shown.
    pub(super) waits: Option<Micros>,
    /// When the command began that is about to be shown.
    pub(super) next: Option<Micros>,
}

impl Between {
    pub(super) fn push(&mut self, line: Told) {
        let at = self.lines.partition_point(|other| other.t() <= line.t());
        self.lines.insert(at, line);
    }

    /// The next line that is to be shown now.
    pub(super) fn next(&mut self, moment: Moment) -> Option<Told> {
        let Moment { now, waits, next } = moment;
        let t = self.lines.front()?.t();
        let is_older = next.is_none_or(|next| t < next);
        let waits = waits.is_some_and(|waits| waits <= t)
            && now < t.saturating_add(PATIENCE)
            && self.lines.len() <= MOST;
        if is_older && !waits { self.lines.pop_front() } else { None }
    }

    /// When the first line has waited for long enough.
    pub(super) fn deadline(&self) -> Option<Micros> {
        self.lines.front().map(|line| line.t().saturating_add(PATIENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(times: &[Micros]) -> Between {
        let mut between = Between::default();
        for t in times {
            between.push(Told::Words { t: *t, words: String::new(), style: Style::new() });
        }
        between
    }

    fn shown(between: &mut Between, moment: Moment) -> Vec<Micros> {
        std::iter::from_fn(|| between.next(moment).map(|line| line.t())).collect()
    }

    #[test]
    fn lines_wait_for_what_began_before_them_and_no_longer_than_that() {
        let mut lines = between(&[30, 10, 20]);
        let moment = Moment { now: 40, waits: Some(20), next: None };
        assert_eq!(shown(&mut lines, moment), [10]);
        assert_eq!(lines.deadline(), Some(20 + PATIENCE));
        let late = Moment { now: 20 + PATIENCE, ..moment };
        assert_eq!(shown(&mut lines, late), [20]);
        assert_eq!(shown(&mut lines, Moment { waits: Some(31), ..moment }), [30]);
        assert_eq!(lines.deadline(), None);
    }

    #[test]
    fn what_is_younger_than_the_next_command_comes_after_it() {
        let mut lines = between(&[10, 20, 30]);
        let moment = Moment { now: Micros::MAX, waits: None, next: Some(20) };
        assert_eq!(shown(&mut lines, moment), [10]);
        assert_eq!(shown(&mut lines, Moment { next: None, ..moment }), [20, 30]);
    }

    #[test]
    fn too_many_do_not_wait() {
        let times: Vec<Micros> = (0..3000).collect();
        let mut lines = between(&times);
        let moment = Moment { now: 0, waits: Some(0), next: None };
        assert_eq!(shown(&mut lines, moment).len(), 3000 - MOST);
    }
}
