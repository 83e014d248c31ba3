//! What `/proc` tells about a process (proc(5)). Only of a process that is stopped at this moment
//! for a notification is it certain that the number still means the same process.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Mode, OFlags};

use crate::bytes::Bytes;
use crate::proc_stat;

/// `PF_FORKNOEXEC` of the kernel's `include/linux/sched.h`: set by fork and clone, cleared only
/// inside an exec that succeeds. [`super::probe()`] proves it on the running kernel.
const PF_FORKNOEXEC: u64 = 0x40;
/// `PF_RANDOMIZE`: set and cleared only by the loading of a program, whose addresses are random if set.
const PF_RANDOMIZE: u64 = 0x40_0000;

/// What is used of `/proc/PID/stat`; needs no right over the process where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Field 4, the parent.
    pub ppid: i32,
    /// The task was forked and has not executed a program since (field 9).
    pub forked: bool,
    /// Where argv begins and ends in its memory (fields 48 and 49); needs the right to trace it.
    pub argv: Option<(u64, u64)>,
    /// `None` where no chance chose them; needs the right to trace it.
    pub addresses: Option<Addresses>,
}

/// Where the kernel put stack, heap, argv and environment of a program (fields 28 and 47 to 51). It
/// chooses by chance for each exec (x86-64: of 2^31 ways at least, 32-bit programs of 2^20), and only
/// `PR_SET_MM` of prctl(2) changes what is said of it. So a process with the same addresses as before has the same program as before,
/// also while another shares its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses([u64; 6]);

/// Reads `/proc/PID/stat`; of a thread group it is the leader's.
pub fn stat(pid: i32) -> io::Result<Stat> {
    let mut buffer = [0; 1024];
    let len = open(pid, "stat", OFlags::RDONLY)?.read(&mut buffer)?;
    parse_stat(buffer.get(..len).unwrap_or_default())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_stat(line: &[u8]) -> Option<Stat> {
    let mut fields = proc_stat::fields(line)?;
    let ppid = fields.nth(1)?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    let mut address = |skipped| fields.nth(skipped)?.parse().ok();
    let mut all = [0; 6];
    for (place, skipped) in all.iter_mut().zip([18, 18, 0, 0, 0, 0]) {
        *place = address(skipped).unwrap_or(0);
    }
    let [_, _, start, end, ..] = all;
    let readable = start != 0 && end != 0;
    Some(Stat {
        ppid,
        forked: flags & PF_FORKNOEXEC != 0,
        argv: readable.then_some((start, end)),
        addresses: (readable && flags & PF_RANDOMIZE != 0).then_some(Addresses(all)),
    })
}

/// The thread group a thread belongs to (`/proc/TID/status`, Tgid).
pub fn thread_group(tid: i32) -> io::Result<i32> {
    let mut text = Vec::new();
    open(tid, "status", OFlags::RDONLY)?.take(65_536).read_to_end(&mut text)?;
    text.split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Tgid:"))
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The argv of the running program as it lies on its stack, at most `limit` bytes.
pub fn cmdline(pid: i32, limit: usize) -> io::Result<Vec<u8>> {
    let mut file = open(pid, "cmdline", OFlags::RDONLY)?;
    let mut joined = vec![0; 2048];
    let mut len = 0;
    loop {
        match file.read(joined.get_mut(len..).unwrap_or_default())? {
            0 => break,
            got => len += got,
        }
        if len >= limit {
            break;
        }
        if len == joined.len() {
            joined.resize((len * 4).min(limit), 0);
        }
    }
    joined.truncate(len);
    Ok(joined)
}

/// Where a link below `/proc/PID` leads, as the sandbox names it.
pub fn link(pid: i32, name: &str) -> io::Result<Bytes> {
    let target = rustix::fs::readlink(format!("/proc/{pid}/{name}"), Vec::with_capacity(128))?;
    Ok(Bytes(target.into_bytes()))
}

/// The file a link below `/proc/PID` leads to, without a right to read it (`O_PATH`). The link is
/// followed by the kernel itself, so no path is walked.
pub fn file(pid: i32, name: &str) -> io::Result<OwnedFd> {
    open(pid, name, OFlags::PATH).map(OwnedFd::from)
}

/// The memory of a stopped thread, to be read and written; needs the right to trace it. It stays
/// this memory whatever the number comes to mean.
pub fn memory(tid: i32) -> io::Result<File> {
    open(tid, "mem", OFlags::RDWR)
}

fn open(pid: i32, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(rustix::fs::open(format!("/proc/{pid}/{name}"), flags, Mode::empty())?.into())
}

/// A process's memory as it is now. It stays this memory when the process executes another
/// program, and tells whether anybody still uses it.
#[derive(Debug)]
pub struct Image(File);

impl Image {
    /// The memory of a stopped thread; needs the right to trace it.
    pub fn of(tid: i32) -> io::Result<Self> {
        open(tid, "mem", OFlags::RDONLY).map(Self)
    }

    /// Whether no process has this memory any more: reading then gives nothing at all, where it
    /// gives an error or a byte while someone has it. `None`: neither of these answers.
    pub fn is_gone(&self) -> Option<bool> {
        match self.0.read_at(&mut [0], 0) {
            Ok(0) => Some(true),
            Ok(_) => Some(false),
            Err(err) if err.raw_os_error() == Some(libc::EIO) => Some(false),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_other_fields() {
        let line = b"7 (a) S 1 1) R 42 7 7 0 -1 4194368 93 0\n";
        assert_eq!(
            parse_stat(line),
            Some(Stat { ppid: 42, forked: true, argv: None, addresses: None })
        );
        let line = b"7 (a) R 42 7 7 0 -1 4194304 93 0\n";
        assert_eq!(
            parse_stat(line),
            Some(Stat { ppid: 42, forked: false, argv: None, addresses: None })
        );
        assert_eq!(parse_stat(b"7 (a"), None);
        assert_eq!(parse_stat(b"7 (a) R 42"), None);
    }

    /// Only where chance chose them do equal addresses mean the same program.
    #[test]
    fn addresses_count_where_chance_chose_them() {
        let line = |flags: u64| {
            let numbers: Vec<String> = (10..=52).map(|field: u64| field.to_string()).collect();
            format!("7 (a) S 42 7 7 0 -1 {flags} {}\n", numbers.join(" "))
        };
        let of = |flags| parse_stat(line(flags).as_bytes()).unwrap();
        assert_eq!(of(PF_RANDOMIZE).addresses, Some(Addresses([28, 47, 48, 49, 50, 51])));
        assert_eq!(of(PF_RANDOMIZE).argv, Some((48, 49)));
        assert_eq!((of(0).addresses, of(0).argv), (None, Some((48, 49))));
    }

    #[test]
    fn this_process_is_read() {
        let me = std::process::id().cast_signed();
        assert!(!stat(me).unwrap().forked);
        assert_eq!(thread_group(me).unwrap(), me);
        let joined = cmdline(me, 1 << 20).unwrap();
        let argv: Vec<Vec<u8>> =
            std::env::args_os().map(std::os::unix::ffi::OsStringExt::into_vec).collect();
        let (start, end) = stat(me).unwrap().argv.unwrap();
        let len = usize::try_from(end - start).unwrap();
        assert_eq!(super::super::memory::Memory::of(me).range(start, len).unwrap(), joined);
        assert!(super::super::arguments::split(&joined).eq(argv.iter().map(Vec::as_slice)));
        assert_eq!(Image::of(me).unwrap().is_gone(), Some(false));
    }
}
