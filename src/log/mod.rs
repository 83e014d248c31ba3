//! The log of a session: its events, their chain of hashes, their readers and the pane.
//! Only the supervisor writes; nothing here may reach a terminal without passing `visible`.

pub mod chain;
pub mod clock;
pub mod command;
pub mod encode;
pub mod event;
pub mod fold;
pub mod follow;
#[cfg(test)]
mod laws;
pub mod layout;
pub mod lines;
pub mod net;
mod node;
pub mod quote;
pub mod reader;
pub mod row;
mod said;
pub mod segment;
pub mod shell;
pub mod show;
pub mod sink;
pub mod text;
pub mod tree;
pub mod unwrap;
pub mod verify;
pub mod view;
pub mod writer;
