//! Runs the sandbox and watches it.

pub mod execs;
