//! The pages of program text that this process has in view. It must never give back anything but text:
//! what was written to a page that is mapped from a file would be lost.
#![expect(unsafe_code, reason = "madvise has no safe wrapper")]

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::ptr::without_provenance_mut;

use rustix::mm::{Advice, madvise};

/// Where one mapping begins, and how many bytes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    len: usize,
}

/// Takes all text of files out of this process's view; what is executed again comes back from the page
/// cache, a few pages at a time. Most of what a start executes is not
/// needed again to watch a session.
///
/// # Errors
/// When the process's mappings cannot be read.
pub fn let_go() -> io::Result<()> {
    for line in BufReader::new(File::open("/proc/self/maps")?).lines() {
        let Some(Mapping { start, len }) = text(&line?) else { continue };
        // SAFETY: the mapping is a private one of a file, executable and never writable (and nobody
        // writes to a file that is executed, ETXTBSY): what is touched next is read from there again,
        // the same bytes.
        let _ = unsafe { madvise(without_provenance_mut(start), len, Advice::LinuxDontNeed) };
    }
    Ok(())
}

/// The mapping of a line of /proc/PID/maps (`proc_pid_maps(5)`) if it is text of a file.
fn text(line: &str) -> Option<Mapping> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (permissions, inode) = (fields.next()?, fields.nth(2)?);
    if permissions != "r-xp" || inode == "0" {
        return None;
    }
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    let start = number(start)?;
    Some(Mapping { start, len: number(end)?.checked_sub(start)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_executed_from_a_file_is_text() {
        let text_of = |line: &str| text(line).map(|mapping| (mapping.start, mapping.len));
        let line = "7f00a000-7f00c000 r-xp 00001000 08:01 42      /usr/bin/with space";
        assert_eq!(text_of(line), Some((0x7f00_a000, 0x2000)));
        for other in [
            "7f00a000-7f00c000 r--p 00001000 08:01 42      /usr/bin/relocated",
            "7f00a000-7f00c000 rw-p 00001000 08:01 42      /usr/bin/data",
            "7f00a000-7f00c000 rwxp 00001000 08:01 42      /usr/bin/patched",
            "7f00a000-7f00c000 r-xs 00001000 08:01 42      /usr/bin/shared",
            "7fff1000-7fff3000 r-xp 00000000 00:00 0       [vdso]",
            "7f00a000-7f00c000 r-xp",
            "",
        ] {
            assert_eq!(text_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_program_goes_on_with_less() {
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("RssFile:")).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        // Other tests run beside this one, and take pages: the least of some.
        let spared = (0..20).map(|_| {
            let before = resident();
            let_go().unwrap();
            before.saturating_sub(resident())
        });
        assert!(spared.max().unwrap() > 0);
        assert_eq!(format!("{:>5}|{:?}", "on", [1.5, 2.0]), "   on|[1.5, 2.0]");
    }
}
