//! The real agents, from npm, in the sandbox with their built-in profiles as they stand, against a fake
//! model that is found by name and in TLS. [`drive`] is what each of them must do; beside it each has a
//! file for what is its own. What was seen is written down by [`record`], and docs/agents.md is that.
//!
//! A new agent is a directory `NAME/` with `package.json` and `package-lock.json` (see `install.sh`), a
//! file `NAME.rs`, and a line here.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod amp;
mod backlog;
mod claude;
mod claude_code_router;
mod codex;
#[path = "../common/mod.rs"]
mod common;
mod copilot;
mod drive;
mod gemini;
mod opencode;
mod qwen;
mod record;
mod table;
