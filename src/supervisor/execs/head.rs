//! The first bytes of an executable: is it an ELF file, and with which loader, or a script, and
//! for which interpreter. The kernel's own rules (`fs/binfmt_elf.c`, `fs/binfmt_script.c`). Pure;
//! the bytes are a stranger's.
#![forbid(unsafe_code)]

/// How much the kernel looks at to tell what a file is (`BINPRM_BUF_SIZE`, Linux 5.1).
pub const LOOKED_AT: usize = 256;
/// `PT_INTERP` of elf(5).
const PT_INTERP: u32 = 3;

/// What a file is to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A native program.
    Elf,
    /// A script with its interpreter and at most one argument to it.
    Script(Script),
    /// Neither: ENOEXEC, unless `binfmt_misc` knows it.
    Other,
}

/// The first line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The interpreter.
    pub interpreter: Vec<u8>,
    /// Everything behind it, as one argument.
    pub argument: Option<Vec<u8>>,
}

/// Tells what a file with these first bytes (at most [`LOOKED_AT`] count) is.
pub fn parse(head: &[u8]) -> Head {
    let head = head.get(..LOOKED_AT).unwrap_or(head);
    if head.starts_with(b"\x7fELF") {
        return Head::Elf;
    }
    let Some(rest) = head.strip_prefix(b"#!") else { return Head::Other };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = rest.iter().position(|byte| *byte == b'\n');
    let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let line = line.get(start..).unwrap_or_default();
    let len = line.iter().position(blank).unwrap_or(line.len());
    let (interpreter, tail) = line.split_at(len);
    // A name that may go on behind what was looked at is not taken.
    if interpreter.is_empty() || (end.is_none() && tail.is_empty() && head.len() == LOOKED_AT) {
        return Head::Other;
    }
    let from = tail.iter().position(|byte| !blank(byte));
    let to = tail.iter().rposition(|byte| !blank(byte));
    let argument = from.zip(to).and_then(|(from, to)| Some(tail.get(from..=to)?.to_vec()));
    Head::Script(Script { interpreter: interpreter.to_vec(), argument })
}

/// Where an ELF file names its loader: offset and length of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// It has none: its own code is the first to run.
    None,
    /// There.
    At(u64, usize),
    /// The file is broken, or its headers lie outside of what was read.
    Unclear,
}

/// Finds `PT_INTERP` in the beginning of an ELF file. A little-endian machine is assumed: no other
/// can run a file that this code is asked about.
pub fn loader(file: &[u8]) -> Loader {
    find_loader(file).unwrap_or(Loader::Unclear)
}

fn find_loader(file: &[u8]) -> Option<Loader> {
    let wide = match file.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    let long = |at: usize| {
        if wide {
            Some(u64::from_le_bytes(file.get(at..at + 8)?.try_into().ok()?))
        } else {
            word(at).map(u64::from)
        }
    };
    let (table, size, count) = if wide { (32, 54, 56) } else { (28, 42, 44) };
    let (table, size, count) = (long(table)?, half(size)?, half(count)?);
    let table = usize::try_from(table).ok()?;
    for index in 0..usize::from(count) {
        let entry = table.checked_add(index * usize::from(size))?;
        // Nothing real is near this; it keeps the additions below from overflowing.
        if entry > file.len() {
            return None;
        }
        if word(entry)? == PT_INTERP {
            let (offset, len) = if wide { (8, 32) } else { (4, 16) };
            let (offset, len) = (long(entry + offset)?, long(entry + len)?);
            return Some(Loader::At(offset, usize::try_from(len).ok().filter(|len| *len < 4096)?));
        }
    }
    Some(Loader::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn script(head: &[u8]) -> Option<(String, Option<String>)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        match parse(head) {
            Head::Script(script) => Some((text(script.interpreter), script.argument.map(text))),
            _ => None,
        }
    }

    #[test]
    fn first_lines_are_read_as_the_kernel_reads_them() {
        let own = |a: &str, b: Option<&str>| Some((a.to_owned(), b.map(str::to_owned)));
        assert_eq!(script(b"#!/bin/sh\necho"), own("/bin/sh", None));
        assert_eq!(
            script(b"#! /usr/bin/env  python3 -u \nx"),
            own("/usr/bin/env", Some("python3 -u"))
        );
        assert_eq!(script(b"#!/bin/sh"), own("/bin/sh", None));
        assert_eq!(script(b"#!\n/bin/sh"), None);
        assert_eq!(script(b"#!/bin/sh\r\n"), own("/bin/sh\r", None));
        let mut long = b"#!/".to_vec();
        long.resize(400, b'x');
        assert_eq!(script(&long), None);
        assert_eq!(parse(b"\x7fELF..."), Head::Elf);
        assert_eq!(parse(b"echo hi\n"), Head::Other);
        assert_eq!(parse(b""), Head::Other);
    }

    #[test]
    fn the_loader_of_a_real_program_is_found() {
        let file = std::fs::read("/bin/sh").unwrap();
        let Loader::At(offset, len) = loader(&file[..4096]) else { panic!("no loader") };
        let offset = usize::try_from(offset).unwrap();
        let name = std::str::from_utf8(&file[offset..offset + len - 1]).unwrap();
        assert!(std::path::Path::new(name).exists(), "{name}");
    }

    proptest! {
        #[test]
        fn a_broken_file_never_panics(mut file: Vec<u8>, wide: bool) {
            if file.len() > 4 {
                file[4] = 1 + u8::from(wide);
            }
            let _ = (loader(&file), parse(&file));
        }
    }
}
