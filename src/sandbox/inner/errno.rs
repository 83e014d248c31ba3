//! The errno filter: system calls that fail inside, one table. It must hold for every calling
//! convention that the processor offers: a call that is refused to a 64-bit program and allowed
//! to a 32-bit one is not refused. And it must end nobody: 32-bit programs work.
#![forbid(unsafe_code)]

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// One refusal: a system call whose argument has a value.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// Its number in each convention, in the order of [`CONVENTIONS`].
    numbers: &'static [i64],
    /// Which argument, from 0.
    argument: u8,
    /// The value, compared on the low 32 bits: the kernel takes these for an ioctl, and a
    /// comparison of all 64 lets a caller pass with a set upper half (CVE-2019-10063).
    value: u32,
}

/// A processor's audit number (`linux/audit.h`), and how many rows of `numbers` belong to it.
#[derive(Clone, Copy, Debug)]
struct Convention {
    audit: u32,
    numbers: &'static [usize],
}

#[cfg(target_arch = "x86_64")]
mod machine {
    use super::{Convention, TargetArch};
    /// x32 shares the audit number of x86-64 and has bit 30 set in the call's.
    pub(super) const CONVENTIONS: &[Convention] = &[
        Convention { audit: 0xc000_003e, numbers: &[0, 1] },
        Convention { audit: 0x4000_0003, numbers: &[2] },
    ];
    pub(super) const IOCTL: &[i64] = &[16, 0x4000_0000 | 514, 54];
    pub(super) const TARGET: TargetArch = TargetArch::x86_64;
}

#[cfg(target_arch = "aarch64")]
mod machine {
    use super::{Convention, TargetArch};
    pub(super) const CONVENTIONS: &[Convention] = &[
        Convention { audit: 0xc000_00b7, numbers: &[0] },
        Convention { audit: 0x4000_0028, numbers: &[1] },
    ];
    pub(super) const IOCTL: &[i64] = &[29, 54];
    pub(super) const TARGET: TargetArch = TargetArch::aarch64;
}

use machine::{CONVENTIONS, IOCTL, TARGET};

/// TIOCSTI types into the terminal (CVE-2017-5226), and TIOCLINUX pastes a selection into a
/// console (CVE-2023-28100): in the user's own terminal, both execute commands outside.
const REFUSALS: &[Refusal] = &[
    Refusal { numbers: IOCTL, argument: 1, value: 0x5412 },
    Refusal { numbers: IOCTL, argument: 1, value: 0x541c },
];

/// The program for seccomp(2): `EPERM` for what the table refuses, everything else allowed.
///
/// # Errors
/// When the table does not compile, which a test rules out.
pub(super) fn program() -> Result<BpfProgram, String> {
    let mut program = vec![load_audit_number()];
    for convention in CONVENTIONS {
        let body = body(convention)?;
        let length = u32::try_from(body.len()).map_err(|err| err.to_string())?;
        program.push(sock_filter { code: JEQ, jt: 1, jf: 0, k: convention.audit });
        program.push(sock_filter { code: JA, jt: 0, jf: 0, k: length });
        program.extend(body);
    }
    program.push(sock_filter { code: RET, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW });
    Ok(program)
}

/// The rules of one convention. seccompiler knows only native ones and ends a process of any
/// other, so its check of the architecture is cut off: ours stands before it.
fn body(convention: &Convention) -> Result<BpfProgram, String> {
    let mut rules = std::collections::BTreeMap::<i64, Vec<SeccompRule>>::new();
    for refusal in REFUSALS {
        let condition = SeccompCondition::new(
            refusal.argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            u64::from(refusal.value),
        );
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        let rule = rule.map_err(|err| err.to_string())?;
        for number in convention.numbers {
            rules.entry(refusal.numbers[*number]).or_default().push(rule.clone());
        }
    }
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let whole: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refuse, TARGET)
        .and_then(BpfProgram::try_from)
        .map_err(|err| err.to_string())?;
    match whole.split_at_checked(3) {
        Some(([load, _, end], rest))
            if *load == load_audit_number() && end.k == libc::SECCOMP_RET_KILL_PROCESS =>
        {
            Ok(rest.to_vec())
        }
        _ => {
            Err("seccompiler no longer begins with three instructions for the architecture".into())
        }
    }
}

/// `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_JMP | BPF_JA`,
/// `BPF_RET | BPF_K` (`linux/bpf_common.h`).
const LD: u16 = 0x20;
const JEQ: u16 = 0x15;
const JA: u16 = 0x05;
const RET: u16 = 0x06;

/// `seccomp_data.arch` is at offset 4.
fn load_audit_number() -> sock_filter {
    sock_filter { code: LD, jt: 0, jf: 0, k: 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on a call, as the kernel would.
    fn verdict(audit: u32, number: u32, argument: u64) -> u32 {
        let mut data = [0u8; 64];
        data[0..4].copy_from_slice(&number.to_ne_bytes());
        data[4..8].copy_from_slice(&audit.to_ne_bytes());
        data[24..32].copy_from_slice(&argument.to_ne_bytes());
        let program = program().unwrap();
        let (mut at, mut register) = (0, 0u32);
        loop {
            let step = &program[at];
            at += 1;
            match step.code {
                LD => {
                    let from = step.k as usize;
                    register = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
                }
                JEQ => at += usize::from(if register == step.k { step.jt } else { step.jf }),
                JA => at += step.k as usize,
                0x54 => register &= step.k,
                RET => return step.k,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_terminal_cannot_be_typed_into_from_any_convention() {
        for (audit, ioctl) in [(0xc000_003e, 16), (0xc000_003e, 0x4000_0202), (0x4000_0003, 54)] {
            for request in [0x5412, 0x541c, 0xffff_ffff_0000_5412, 0x1_0000_541c] {
                assert_eq!(verdict(audit, ioctl, request), EPERM, "{audit:#x} {request:#x}");
            }
            assert_eq!(verdict(audit, ioctl, 0x5401), libc::SECCOMP_RET_ALLOW);
        }
    }

    #[test]
    fn other_calls_and_other_processors_are_left_alone() {
        assert_eq!(verdict(CONVENTIONS[0].audit, 1, 0x5412), libc::SECCOMP_RET_ALLOW);
        assert_eq!(verdict(0x8000_0016, 54, 0x5412), libc::SECCOMP_RET_ALLOW);
    }
}
