//! What the figures were measured on: facts about hardware and programs, never a name.

use std::path::Path;
use std::process::Command;

/// One sentence.
pub(crate) fn describe() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unnamed processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = kernel.trim().split('-').next().unwrap_or_default();
    let bwrap = version(Path::new("bwrap")).unwrap_or_default();
    let user = if rustix::process::geteuid().is_root() { "root" } else { "an ordinary user" };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "claudebox {}, measured on {model}, {cores} cores, Linux {release}, bubblewrap {bwrap}, as {user}; \
         load average {load} when it began.",
        env!("CARGO_PKG_VERSION")
    )
}

/// The first word of `--version` that is one.
pub(crate) fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let word = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    word.map(str::to_owned)
}
