//! What the installed bwrap does by itself. A control of what claudebox does against links shows them to
//! lead somewhere only with a bwrap that follows them.

use std::process::Command;

/// Whether it mounts, and makes mount points, where a link in the sandbox leads: before 0.12.
pub(crate) fn follows_links() -> bool {
    let output = Command::new("bwrap").arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.trim().strip_prefix("bubblewrap ").unwrap();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) < (0, 12)
}
