//! Profiles: TOML files that say what an agent needs, from their text to merged settings.
//! Parsing and merging are pure; finding files, trust and the commands are the edge.

pub mod amounts;
pub mod ask_trust;
pub mod bind;
mod builtin;
pub mod command;
pub mod config;
pub(crate) mod create;
pub mod diff;
mod directory;
pub mod edit;
mod extends;
#[cfg(test)]
mod fixture;
pub mod groups;
mod held;
pub mod include;
#[cfg(test)]
mod laws;
pub mod library;
pub mod merge;
mod mistake;
pub mod origin;
pub mod project;
mod raised;
pub mod said;
pub mod schema;
mod select;
pub mod settings;
pub mod source;
pub mod state_copy;
pub mod trust;
pub mod values;

pub use builtin::is_built_in_agent;
pub use select::{ProfileChoice, settle, settle_from};
