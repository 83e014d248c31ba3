//! The `claudebox` program: hands the command line to the library and its answer to the shell.
//! It must never hold logic of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    claudebox::run(std::env::args_os())
}
