//! The exec watcher against real kernels, programs and attackers. No sandbox is started: a child
//! makes everything read-only but one directory, installs the filter and executes a program,
//! while this process watches it as the supervisor would.

mod attacks;
mod coverage;
mod harness;
mod pressure;
