//! A program without a libc, written byte by byte: what a log that lives in a library or in a
//! language runtime can never see. It must never be more than "write a line and exit".
#![forbid(unsafe_code)]

const LOAD_ADDRESS: u64 = 0x0040_0000;
const HEADERS: u64 = 64 + 56;
const MESSAGE: &[u8] = b"hello from a program without a libc\n";

/// The whole ELF file, for machines it was written for.
pub(super) fn without_libc() -> Option<Vec<u8>> {
    cfg!(target_arch = "x86_64").then(|| elf(&code()))
}

/// write(1, message, length); exit(0). System call numbers 1 and 60 of x86-64.
fn code() -> Vec<u8> {
    const CODE: usize = 31;
    let message = LOAD_ADDRESS + HEADERS + CODE as u64;
    let mut code = Vec::new();
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.push(0xbe); // mov esi, message
    code.extend(&message.to_le_bytes()[..4]);
    code.push(0xba); // mov edx, length
    code.extend(&(MESSAGE.len() as u64).to_le_bytes()[..4]);
    code.extend([0xb8, 1, 0, 0, 0, 0x0f, 0x05]); // mov eax, 1; syscall
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x6a, 60, 0x58, 0x0f, 0x05]); // push 60; pop rax; syscall
    code.resize(CODE, 0x90);
    code.extend(MESSAGE);
    code
}

/// An ELF header, one program header and the code (elf(5)).
fn elf(code: &[u8]) -> Vec<u8> {
    let size = HEADERS + code.len() as u64;
    let entry = LOAD_ADDRESS + HEADERS;
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01");
    file.resize(16, 0);
    file.extend(2u16.to_le_bytes()); // ET_EXEC
    file.extend(62u16.to_le_bytes()); // EM_X86_64
    file.extend(1u32.to_le_bytes());
    for offset in [entry, 64, 0] {
        file.extend(offset.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes()); // PT_LOAD
    file.extend(5u32.to_le_bytes()); // PF_R | PF_X
    for word in [0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_runs_and_says_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hello");
        std::fs::write(&path, without_libc().unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let output = std::process::Command::new(&path).output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, MESSAGE);
    }
}
