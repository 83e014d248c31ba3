//! Reads the strings an exec is called with out of the caller's memory. The addresses are the
//! caller's word: each may be wrong, endless or at the end of a mapping. It must never read more
//! than the limits allow, and never trust that two reads see the same.
#![forbid(unsafe_code)]

use std::io::IoSliceMut;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::Limits;
use super::arguments::Kept;
use crate::filters::calls::ExecCall;

/// A read never crosses a multiple of this in one piece: `process_vm_readv(2)` gives a piece
/// whole or not at all, and the next page may not be there. No architecture has smaller pages.
const PAGE: u64 = 4096;
/// What is tried first for one string; nearly every argument is shorter.
const FIRST: usize = 128;
/// Strings that are read by one call.
const TOGETHER: usize = 64;

/// Pointers that are looked at first; nearly every argv has fewer.
const FEW: usize = 32;

/// A path, and whether it is longer than the limit.
type Path = Result<(Vec<u8>, bool), Errno>;

/// The memory of a stopped thread.
#[derive(Debug)]
pub struct Memory {
    pid: Pid,
    buffer: Vec<u8>,
}

/// A range of addresses.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u64,
    len: usize,
}

impl Memory {
    /// The memory of this thread.
    pub fn of(tid: i32) -> Self {
        Self { pid: Pid::from_raw(tid), buffer: Vec::new() }
    }

    /// Reads the ranges one behind the other into the buffer and stops where one cannot be read.
    fn gather(&mut self, ranges: &[Range]) -> Result<&[u8], Errno> {
        let total = ranges.iter().map(|range| range.len).sum();
        self.buffer.resize(total, 0);
        let pieces: Vec<RemoteIoVec> = ranges.iter().flat_map(|range| pieces(*range)).collect();
        let got = process_vm_readv(self.pid, &mut [IoSliceMut::new(&mut self.buffer)], &pieces)?;
        Ok(self.buffer.get(..got).unwrap_or_default())
    }

    /// All of a range.
    ///
    /// # Errors
    /// EFAULT: a part of it is not there. EPERM: without the right to trace the process.
    pub fn range(&mut self, start: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let got = self.gather(&[Range { start, len }])?;
        if got.len() < len {
            return Err(Errno::EFAULT);
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// The path and the arguments, each as [`Self::path`] and [`Self::arguments`] read them: in two
    /// calls where both are as short as nearly all are.
    pub fn call(&mut self, call: &ExecCall, limits: &Limits) -> (Path, (Kept, Option<Errno>)) {
        let Some((path, pointers)) = self.short(call, limits) else {
            return (self.path(call, limits), self.arguments(call, limits));
        };
        let argc = pointers.len() as u64;
        (Ok((path, false)), self.pointed(&pointers, argc, None, limits))
    }

    /// The path and the pointers to the arguments, if the first look shows where both end.
    fn short(&mut self, call: &ExecCall, limits: &Limits) -> Option<(Vec<u8>, Vec<u64>)> {
        let size = call.pointer;
        let path = Range { start: call.path, len: FIRST.min(limits.path) };
        let pointers = Range { start: call.argv, len: FEW * size };
        let got = self.gather(&[path, pointers]).ok()?;
        let (text, array) = got.split_at_checked(path.len)?;
        let text = text.get(..text.iter().position(|byte| *byte == 0)?)?.to_vec();
        let all: Vec<u64> = array.chunks_exact(size).map(wide).collect();
        let argc = all.iter().position(|pointer| *pointer == 0).filter(|n| *n <= limits.count)?;
        Some((text, all.into_iter().take(argc).collect()))
    }

    /// The path, and whether it is longer than the limit.
    pub fn path(&mut self, call: &ExecCall, limits: &Limits) -> Path {
        let mut all = vec![Partial::new(call.path, limits.path)];
        self.strings(&mut all);
        all.pop().map_or(Err(Errno::EFAULT), Partial::finish)
    }

    /// The arguments, within the limits.
    ///
    /// # Errors
    /// With what could be read before.
    pub fn arguments(&mut self, call: &ExecCall, limits: &Limits) -> (Kept, Option<Errno>) {
        match self.pointers(call.argv, call.pointer, limits) {
            Ok((pointers, argc, failed)) => self.pointed(&pointers, argc, failed, limits),
            Err(errno) => (Kept::default(), Some(errno)),
        }
    }

    /// What the pointers lead to; there are `argc` of them, of which these were kept.
    fn pointed(
        &mut self,
        pointers: &[u64],
        argc: u64,
        mut failed: Option<Errno>,
        limits: &Limits,
    ) -> (Kept, Option<Errno>) {
        let mut kept = Kept::default();
        let mut room = limits.arguments;
        'batches: for batch in pointers.chunks(TOGETHER) {
            let mut batch: Vec<Partial> =
                batch.iter().map(|at| Partial::new(*at, limits.argument.min(room))).collect();
            self.strings(&mut batch);
            for string in batch {
                match string.finish() {
                    Err(errno) => {
                        failed = failed.or(Some(errno));
                        break 'batches;
                    }
                    Ok((mut bytes, mut short)) => {
                        if room == 0 {
                            break 'batches;
                        }
                        short |= bytes.len() > room;
                        bytes.truncate(room);
                        room = room.saturating_sub(bytes.len() + 1);
                        kept.push(&bytes, short);
                    }
                }
            }
        }
        kept.argc = argc;
        (kept, failed)
    }

    /// Whether the environment has a variable of this name.
    pub fn has_variable(&mut self, call: &ExecCall, name: &str, limits: &Limits) -> bool {
        let Ok((pointers, ..)) = self.pointers(call.envp, call.pointer, limits) else {
            return false;
        };
        let want = [name.as_bytes(), b"="].concat();
        pointers.chunks(TOGETHER).any(|batch| {
            let mut batch: Vec<Partial> =
                batch.iter().map(|at| Partial::new(*at, want.len())).collect();
            self.strings(&mut batch);
            batch.iter().any(|string| string.bytes.starts_with(&want))
        })
    }

    /// The pointers of an array that ends in null: the first `limits.count`, how many there are,
    /// and the error that ended the counting.
    fn pointers(
        &mut self,
        array: u64,
        size: usize,
        limits: &Limits,
    ) -> Result<(Vec<u64>, u64, Option<Errno>), Errno> {
        let (mut kept, mut count) = (Vec::new(), 0);
        // execve(2) takes a null array as an empty one.
        if array == 0 {
            return Ok((kept, 0, None));
        }
        let mut len = FEW * size;
        while count < limits.counted {
            let Some(start) = array.checked_add((count * size) as u64) else {
                return Ok((kept, count as u64, Some(Errno::EFAULT)));
            };
            let got = match self.gather(&[Range { start, len }]) {
                Ok(got) => got,
                Err(errno) if count == 0 => return Err(errno),
                Err(errno) => return Ok((kept, count as u64, Some(errno))),
            };
            let whole = got.chunks_exact(size);
            if whole.len() == 0 {
                return Ok((kept, count as u64, Some(Errno::EFAULT)));
            }
            for pointer in whole {
                let pointer = wide(pointer);
                if pointer == 0 {
                    return Ok((kept, count as u64, None));
                }
                if kept.len() < limits.count {
                    kept.push(pointer);
                }
                count += 1;
            }
            len = 4096;
        }
        Ok((kept, count as u64, None))
    }

    /// Reads on in every string until its end, its limit or an error.
    fn strings(&mut self, strings: &mut [Partial]) {
        let mut step = FIRST;
        loop {
            let open: Vec<usize> = (0..strings.len()).filter(|at| strings[*at].open()).collect();
            if open.is_empty() {
                return;
            }
            let ranges: Vec<Range> = open.iter().map(|at| strings[*at].next(step)).collect();
            let (mut got, error) = match self.gather(&ranges) {
                Ok(got) => (got, Errno::EFAULT),
                Err(errno) => (&[] as &[u8], errno),
            };
            for (at, range) in open.iter().zip(&ranges) {
                let (mine, rest) = got.split_at(got.len().min(range.len));
                strings[*at].take(mine);
                got = rest;
                if mine.len() < range.len {
                    // Nothing behind this one was read; it has failed only if it got nothing.
                    if mine.is_empty() {
                        strings[*at].error = Some(error);
                    }
                    break;
                }
            }
            step = 4096;
        }
    }
}

/// A string that is being read.
#[derive(Debug)]
struct Partial {
    start: u64,
    /// At most one byte more than this is read, to see whether the string goes on.
    limit: usize,
    bytes: Vec<u8>,
    ended: bool,
    error: Option<Errno>,
}

impl Partial {
    fn new(start: u64, limit: usize) -> Self {
        Self { start, limit, bytes: Vec::new(), ended: false, error: None }
    }

    fn open(&self) -> bool {
        !self.ended && self.error.is_none()
    }

    fn next(&self, step: usize) -> Range {
        let start = self.start.wrapping_add(self.bytes.len() as u64);
        Range { start, len: step.min(self.limit + 1 - self.bytes.len()) }
    }

    fn take(&mut self, read: &[u8]) {
        let text = read.split(|byte| *byte == 0).next().unwrap_or_default();
        self.bytes.extend_from_slice(text);
        self.ended = text.len() < read.len() || self.bytes.len() > self.limit;
    }

    /// The string within its limit, and whether it goes on behind it.
    fn finish(mut self) -> Result<(Vec<u8>, bool), Errno> {
        if let Some(errno) = self.error {
            return Err(errno);
        }
        let cut = self.bytes.len() > self.limit;
        self.bytes.truncate(self.limit);
        Ok((self.bytes, cut))
    }
}

/// A pointer of the caller's size.
fn wide(pointer: &[u8]) -> u64 {
    let mut wide = [0; 8];
    wide.iter_mut().zip(pointer).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(wide)
}

/// The range, cut at every page boundary.
fn pieces(range: Range) -> impl Iterator<Item = RemoteIoVec> {
    let mut at = range.start;
    let mut left = range.len as u64;
    std::iter::from_fn(move || {
        let len = left.min(PAGE - at % PAGE);
        let piece = RemoteIoVec {
            base: usize::try_from(at).unwrap_or(usize::MAX),
            len: usize::try_from(len).unwrap_or(0),
        };
        at = at.wrapping_add(len);
        left -= len;
        (len > 0).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::calls::ExecCall;
    use proptest::prelude::*;
    use std::ffi::CString;

    fn me() -> Memory {
        Memory::of(std::process::id().cast_signed())
    }

    fn call(path: &CString, argv: &[*const libc::c_char]) -> ExecCall {
        let (path, argv) = (path.as_ptr() as u64, argv.as_ptr() as u64);
        ExecCall { path, argv, envp: argv, at: None, pointer: 8, arch: None }
    }

    fn read(arguments: &[Vec<u8>], limits: &Limits) -> (Kept, Option<Errno>) {
        let strings: Vec<CString> =
            arguments.iter().map(|bytes| CString::new(bytes.clone()).unwrap()).collect();
        let mut argv: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        argv.push(std::ptr::null());
        me().arguments(&call(&CString::default(), &argv), limits)
    }

    #[test]
    fn an_argument_is_cut_at_its_limit_and_all_at_theirs() {
        let limits = Limits { argument: 3, arguments: 8, count: 9, ..Limits::default() };
        let (kept, error) = read(&[b"abc".into(), b"abcd".into(), b"xyz".into()], &limits);
        assert_eq!(error, None);
        assert_eq!(kept.joined, b"abc\0abc\0");
        assert_eq!((kept.short, kept.argc), (vec![1], 3));
    }

    #[test]
    fn more_than_the_count_is_counted_and_not_kept() {
        let limits = Limits { count: 2, counted: 70, ..Limits::default() };
        let (kept, _) = read(&vec![b"a".to_vec(); 60], &limits);
        assert_eq!((kept.iter().count(), kept.argc), (2, 60));
        let (kept, _) = read(&vec![b"a".to_vec(); 6000], &limits);
        assert!(kept.argc >= 70 && kept.argc < 6000, "{}", kept.argc);
    }

    #[test]
    fn a_bad_address_ends_the_argv_and_is_named() {
        let good = CString::new("good").unwrap();
        let argv = [good.as_ptr(), std::ptr::dangling(), good.as_ptr(), std::ptr::null()];
        let (kept, error) = me().arguments(&call(&good, &argv), &Limits::default());
        assert_eq!(
            (kept.joined.as_slice(), kept.argc, error),
            (&b"good\0"[..], 3, Some(Errno::EFAULT))
        );
        let mut nowhere = call(&good, &argv);
        nowhere.argv = 8;
        assert_eq!(me().arguments(&nowhere, &Limits::default()).1, Some(Errno::EFAULT));
        nowhere.argv = 0;
        assert_eq!(me().arguments(&nowhere, &Limits::default()), (Kept::default(), None));
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let name = CString::new("TOOLS=1").unwrap();
        let long = CString::new(format!("TOOL={}", "x".repeat(9000))).unwrap();
        for (string, has) in [(&name, false), (&long, true)] {
            let argv = [string.as_ptr(), std::ptr::null()];
            let found = me().has_variable(&call(&name, &argv), "TOOL", &Limits::default());
            assert_eq!(found, has);
        }
    }

    proptest! {
        #[test]
        fn what_fits_is_read_exactly(
            arguments in proptest::collection::vec(
                proptest::collection::vec(1..=255u8, 0..600), 0..80),
        ) {
            let limits = Limits { arguments: 1 << 20, ..Limits::default() };
            let (kept, error) = read(&arguments, &limits);
            prop_assert_eq!(error, None);
            prop_assert!(!kept.is_cut());
            let same = kept.iter().eq(arguments.iter().map(Vec::as_slice));
            prop_assert!(same);
        }
    }
}
