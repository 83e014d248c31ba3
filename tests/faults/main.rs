//! What goes wrong around a session: each of its processes is struck by each signal that ends or
//! stops, at each stage of its life; its directories are taken away; many run at once; the clock is
//! set. After each: nothing lives that should not, no event that was shown is lost, the log is not
//! broken, nothing is left in the project, and the next session starts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod full;
mod many;
#[path = "../promises/outside.rs"]
mod outside;
mod panes;
mod stages;
mod struck;
