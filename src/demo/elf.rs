//! Whether a file is a statically linked program, so that the demo's claim to run one is true.
//! elf(5): such a file has no `PT_INTERP` segment.
#![forbid(unsafe_code)]

/// Enough of a file for its headers.
pub(super) const HEAD: usize = 4096;

/// `PT_INTERP`, elf(5): the path of the dynamic linker.
const PT_INTERP: u32 = 3;

/// Whether these first bytes of a file are those of a 64-bit, little-endian program without a
/// dynamic linker. Anything that cannot be read so is not.
pub(super) fn is_static_program(head: &[u8]) -> bool {
    segment_types(head).is_some_and(|types| !types.is_empty() && !types.contains(&PT_INTERP))
}

fn segment_types(head: &[u8]) -> Option<Vec<u32>> {
    // Magic, ELFCLASS64, ELFDATA2LSB.
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let offset = usize::try_from(u64::from_le_bytes(bytes(head, 32)?)).ok()?;
    let size = usize::from(u16::from_le_bytes(bytes(head, 54)?));
    let count = usize::from(u16::from_le_bytes(bytes(head, 56)?));
    (0..count)
        .map(|index| {
            let at = offset.checked_add(size.checked_mul(index)?)?;
            bytes(head, at).map(u32::from_le_bytes)
        })
        .collect()
}

fn bytes<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn program(types: &[u32]) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[54..56].copy_from_slice(&56_u16.to_le_bytes());
        head[56..58].copy_from_slice(&u16::try_from(types.len()).unwrap().to_le_bytes());
        for kind in types {
            head.extend(kind.to_le_bytes());
            head.extend([0; 52]);
        }
        head
    }

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        assert!(is_static_program(&program(&[1, 1, 7])));
        assert!(!is_static_program(&program(&[6, 3, 1])));
        assert!(!is_static_program(&program(&[])));
    }

    #[test]
    fn this_machine_agrees() {
        let shell = std::fs::read("/bin/sh").unwrap();
        assert!(!is_static_program(&shell));
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(tail: Vec<u8>) {
            let head = [b"\x7fELF\x02\x01".as_slice(), &tail].concat();
            is_static_program(&head);
        }
    }
}
