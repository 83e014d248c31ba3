//! What the objects that come back may take. All of it is the agent's to choose, so all is bounded.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The bounds of one import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// A pack, or an object of its own, bytes as compressed.
    pub file: u64,
    /// Memory of each git that reads it, bytes.
    pub memory: u64,
    /// How long it may take.
    pub time: Duration,
}

impl Default for Size {
    fn default() -> Self {
        Self { file: 2 << 30, memory: 4 << 30, time: Duration::from_secs(300) }
    }
}
