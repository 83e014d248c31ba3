//! Runs the sandbox and watches it.
