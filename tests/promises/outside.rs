//! The look from outside: which files there are, and which processes still live.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::DEADLINE;
pub(crate) use crate::common::tree::tree;

/// A command that runs for very long and can be told from every other on this machine.
#[derive(Debug)]
pub(crate) struct Marker {
    seconds: String,
}

impl Marker {
    pub(crate) fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self { seconds: format!("{}{number:04}", 10_000_000 + std::process::id()) }
    }

    /// The command: `sleep NUMBER`.
    pub(crate) fn command(&self) -> String {
        format!("sleep {}", self.seconds)
    }

    /// The processes that execute it, seen from outside.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let line = format!("sleep\0{}\0", self.seconds);
        processes(|cmdline| cmdline == line.as_bytes())
    }

    /// Waits until it runs.
    #[track_caller]
    pub(crate) fn wait_until_it_runs(&self) -> Vec<i32> {
        let until = Instant::now() + DEADLINE;
        loop {
            let found = self.processes();
            if !found.is_empty() {
                return found;
            }
            assert!(Instant::now() < until, "`{}` never ran", self.command());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing executes it any more.
    #[track_caller]
    pub(crate) fn wait_until_it_is_gone(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let found = self.processes();
            if found.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "`{}` survived: {found:?}", self.command());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        for pid in self.processes() {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// The processes whose command line (NUL-separated) matches.
pub(crate) fn processes(matches: impl Fn(&[u8]) -> bool) -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|cmdline| matches(&cmdline))
        })
        .collect()
}

/// The children of a process, and theirs, nearest first.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        next += 1;
    }
    found.split_off(1)
}
