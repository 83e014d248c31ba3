//! The private git directory: what an agent does to git inside, and what comes of it on the host. Each
//! test is judged from outside, by git, and by what ran; the attacks have a control.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod sync_attacks;
mod sync_killed;
mod sync_rules;
