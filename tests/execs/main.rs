//! The exec watcher against real kernels, programs and attackers. No sandbox is started: a child
//! makes everything read-only but one directory, installs the filter and executes a program,
//! while this process watches it as the supervisor would.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod pressure;
