//! Profiles: TOML files that say what an agent needs, merged into settings.

pub mod schema;
pub mod settings;
