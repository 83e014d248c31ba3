//! The private git directory: git works inside on a copy, as it does outside on the original; what is
//! refused; what comes back, and what an agent can make of that. The attacks have a control.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod box_killed;
mod bwrap_killed;
#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod hidden;
mod inside;
mod lfs;
mod libraries;
mod linked;
mod old;
mod pins;
mod refused;
mod sync_attacks;
mod sync_killed;
mod sync_rules;
mod sync_session;
mod worktree;
mod worktree_attacks;
mod worktree_include;
mod worktree_keep;
mod worktree_killed;
mod worktree_land;
mod worktree_sign;
mod worktrees;
