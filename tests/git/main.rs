//! The private git directory: git works inside on a copy, as it does outside on the original; what is
//! refused; what comes back.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod inside;
mod refused;
mod worktree;
