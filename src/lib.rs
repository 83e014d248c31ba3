//! claudebox runs a coding agent in a bubblewrap sandbox and shows every command that anything
//! inside executes, as the kernel saw it. [`run`] is the story of the program.

pub mod bytes;
pub mod cli;
pub mod demo;
pub mod error;
pub mod front;
pub mod generated;
pub mod host;
pub mod log;
pub mod policy;
pub mod profile;
pub mod sandbox;
pub mod session;
pub mod supervisor;
pub mod sys;
pub mod tmux;
pub mod trace;
pub mod visible;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

/// Runs claudebox with this command line and answers with its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = cli::Cli::parse_from(args);
    let _ = cli;
    ExitCode::SUCCESS
}
