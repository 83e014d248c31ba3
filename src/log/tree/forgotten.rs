//! Commands that still run and are kept no more, since there are too many of them. An end that went
//! wrong must have a row all the same: to start thousands of others must not hide it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::log::command::Kept;
use crate::log::event::{ExecId, Micros};
use crate::log::node::Node;
use crate::log::row::{Row, State};
use crate::log::text;

/// So many are remembered by their first words.
const MOST: usize = 16 << 10;
/// So many columns of them.
const WORDS: usize = 160;

/// The rows of such commands, as they were shown while they ran.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    rows: BTreeMap<ExecId, Row>,
}

impl Forgotten {
    /// Remembers how a command was shown.
    pub(super) fn add(&mut self, node: &Node, verifies: bool) {
        let mut row = node.row(verifies);
        let words = text::fit(&row.text, WORDS);
        if words != row.text {
            (row.text, row.kept) = (words, Kept::Unknown);
        }
        row.place = None;
        self.rows.insert(node.exec.id, row);
        if self.rows.len() > MOST {
            self.rows.pop_first();
        }
    }

    /// The row of its end. Of one that nothing at all is known of only what went wrong has one.
    pub(super) fn end(
        &mut self,
        id: ExecId,
        state: State,
        t: Micros,
        duration: u64,
    ) -> Option<Row> {
        let row = self.rows.remove(&id);
        let nameless = || Row {
            text: format!("(command {id}: too long ago; `claudebox log --json` has its words)"),
            kept: Kept::Unknown,
            ..Row::default()
        };
        let row = row.or_else(|| state.is_bad().then(nameless))?;
        Some(Row { t, state, duration: Some(duration), ..row })
    }
}
