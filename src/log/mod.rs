//! The log of a session: its events, their chain of hashes, their readers and the pane.
//! Only the supervisor writes; nothing here may reach a terminal without passing `visible`.

pub mod event;
pub mod sink;
