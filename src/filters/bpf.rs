//! Classic BPF as seccomp(2) takes it: the instructions that both of our filters are made of, and
//! for tests the machine that runs them. It knows nothing of any system call.
#![forbid(unsafe_code)]

use crate::sys::seccomp::Instruction;

/// Offset of the call's number in `struct seccomp_data` (linux/seccomp.h).
pub(super) const NR: u32 = 0;
/// Offset of the calling convention, an `AUDIT_ARCH_*`.
pub(super) const ARCH: u32 = 4;

/// Offset of the low half of an argument, counted from 0. All of our architectures are
/// little-endian.
pub(super) const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// Loads the 32 bits at an offset.
pub(super) fn load(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

/// Passes over `then` instructions if the loaded word has this value, else over `otherwise`.
pub(super) fn if_equal(value: u32, then: usize, otherwise: usize) -> Instruction {
    jump(libc::BPF_JEQ, value, then, otherwise)
}

/// The same, if it is at least this value.
pub(super) fn if_at_least(value: u32, then: usize, otherwise: usize) -> Instruction {
    jump(libc::BPF_JGE, value, then, otherwise)
}

/// The same, if it has any of these bits.
pub(super) fn if_any_bit(mask: u32, then: usize, otherwise: usize) -> Instruction {
    jump(libc::BPF_JSET, mask, then, otherwise)
}

/// Passes over any number of instructions.
pub(super) fn skip(count: usize) -> Instruction {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, count)
}

/// Ends the program with an action.
pub(super) fn answer(action: u32) -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

/// A conditional jump reaches 255 instructions far. What would be further becomes a jump that the
/// kernel refuses or that a test of every call finds.
fn jump(kind: u32, k: u32, then: usize, otherwise: usize) -> Instruction {
    let near = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    instruction(libc::BPF_JMP | kind | libc::BPF_K, near(then), near(otherwise), k)
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    // Opcodes are below 256.
    Instruction { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k }
}

/// Runs a program on a call as the kernel would; an instruction that is none of ours panics.
#[cfg(test)]
pub(super) fn run(program: &[Instruction], call: &crate::sys::seccomp::Notification) -> u32 {
    let mut data = Vec::new();
    data.extend(call.nr.to_le_bytes());
    data.extend(call.arch.to_le_bytes());
    data.extend([0; 8]);
    call.args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
    let (mut at, mut loaded) = (0, 0u32);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let mut branch = |met: bool| at += usize::from(if met { jt } else { jf });
        match code {
            0x20 => {
                let word = &data[k as usize..k as usize + 4];
                loaded = u32::from_le_bytes(word.try_into().unwrap());
            }
            0x05 => at += k as usize,
            0x15 => branch(loaded == k),
            0x35 => branch(loaded >= k),
            0x45 => branch(loaded & k != 0),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}
