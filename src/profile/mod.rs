//! Profiles: TOML files that say what an agent needs, merged into settings.

pub mod merge;
mod mistake;
pub mod said;
pub mod schema;
pub mod settings;
pub mod source;
pub mod values;
