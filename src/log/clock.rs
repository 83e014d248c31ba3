//! The wall clock, as events and records carry it.
#![forbid(unsafe_code)]

use std::time::UNIX_EPOCH;

use super::event::Micros;

/// Now; 0 where the clock stands before the epoch.
pub fn now() -> Micros {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}
