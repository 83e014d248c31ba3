//! What the log says of the network, for a person: rows of the pane, folded by target, and the
//! totals of a whole session. It must never show a name that something inside chose before it is
//! visible, and never fold a refusal or a failure out of sight.
#![forbid(unsafe_code)]

pub mod fold;
pub mod row;
pub mod totals;
pub mod words;

#[cfg(test)]
mod tests;
