//! `/proc/PID/stat`, `proc_pid_stat(5)`. The second field is a name that the process chose for
//! itself, in parentheses, and may hold any byte: what is behind it is counted from the last of them.
#![forbid(unsafe_code)]

use std::fs;
use std::str::SplitAsciiWhitespace;

/// The fields behind the name, from the third (the state) on.
pub(crate) fn fields(line: &[u8]) -> Option<SplitAsciiWhitespace<'_>> {
    let end = line.iter().rposition(|byte| *byte == b')')?;
    Some(std::str::from_utf8(line.get(end + 1..)?).ok()?.split_ascii_whitespace())
}

/// Field 22: when the process started, in clock ticks since the boot. With its number it names one
/// process, in every process namespace.
pub(crate) fn start_time(line: &[u8]) -> Option<u64> {
    fields(line)?.nth(19)?.parse().ok()
}

/// When a process started; `None` where there is none of this number.
pub(crate) fn started(pid: i32) -> Option<u64> {
    start_time(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_what_is_behind_it() {
        let line = b"12 (a) R 1 1 1) S 42 12 12 0 -1 4194560 95 0 0 0 0 0 0 0 20 0 1 0 777 2 3\n";
        assert_eq!(fields(line).unwrap().nth(1), Some("42"));
        assert_eq!(start_time(line), Some(777));
        assert_eq!(start_time(b"12 (a) R 1"), None);
        assert!(fields(b"12 (a").is_none());
    }
}
