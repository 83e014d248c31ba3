//! The `claudebox` program: hands the command line to the library and its answer to the shell.
//! It must never hold logic of its own.

use std::process::ExitCode;

// The unwinder of Rust's panics, in place of libgcc_s: one library less to load, which asks the processor
// for its features again, in each of the two starts of this program that a session has.
use unwinding as _;

fn main() -> ExitCode {
    claudebox::run(std::env::args_os())
}
