//! The notification filter: the BPF program that stops exactly the calls of [`super::calls`].
//! It never refuses a call; refusing is the errno filter's part, whose answer the kernel takes
//! first. An architecture or number it does not know passes, so it must not be the only filter.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::calls::{Kind, Row, TABLE};
use crate::sys::seccomp::{ALLOW, Instruction, NOTIFY};

/// What is to be stopped besides every execve(2) and execveat(2). Inner stage and supervisor must
/// agree on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stops {
    /// The first steps of every new program, which confirm the argv that ran.
    pub starts: bool,
    /// `exit_group(2)`, where the kernel's pidfds do not tell exit statuses (before Linux 6.15).
    pub exits: bool,
}

/// Offsets in `struct seccomp_data`; registers are little-endian on all four architectures.
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARG0_LOW: u32 = 16;

/// The program for these stops. It is the same on every machine; a kernel meets only the
/// architectures it can run.
pub fn program(stops: Stops) -> Vec<Instruction> {
    let mut program = vec![load(ARCH)];
    let mut rest = TABLE;
    while let Some(first) = rest.first() {
        let len = rest.iter().take_while(|row| row.arch == first.arch).count();
        let (group, tail) = rest.split_at(len);
        let block = block(group.iter().filter(|row| wanted(row.kind, stops)));
        program.push(unless_equal(first.arch, block.len()));
        program.extend(block);
        rest = tail;
    }
    program.push(answer(ALLOW));
    program
}

fn wanted(kind: Kind, stops: Stops) -> bool {
    match kind {
        Kind::Exec | Kind::ExecAt => true,
        Kind::Start | Kind::SetMm => stops.starts,
        Kind::ExitGroup => stops.exits,
    }
}

/// One architecture: the number decides, and where the row says so the first argument.
fn block<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Instruction> {
    let mut block = vec![load(NR)];
    for row in rows {
        match row.arg0 {
            None => block.extend([unless_equal(row.nr, 1), answer(NOTIFY)]),
            Some(value) => block.extend([
                unless_equal(row.nr, 4),
                load(ARG0_LOW),
                unless_equal(value, 1),
                answer(NOTIFY),
                answer(ALLOW),
            ]),
        }
    }
    block.push(answer(ALLOW));
    block
}

fn load(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset)
}

/// Goes on if the loaded word has this value, else passes over `skip` instructions.
fn unless_equal(value: u32, skip: usize) -> Instruction {
    // A block is some twenty instructions; the tests run every path of every program.
    let skip = u8::try_from(skip).unwrap_or(u8::MAX);
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, value)
}

fn answer(action: u32) -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0, action)
}

fn instruction(code: u32, jf: u8, k: u32) -> Instruction {
    // Opcodes are below 256.
    Instruction { code: u16::try_from(code).unwrap_or(u16::MAX), jt: 0, jf, k }
}

#[cfg(test)]
mod tests {
    use super::super::calls::{self, Call, I386, X86_64};
    use super::*;
    use crate::sys::seccomp::Notification;
    use proptest::prelude::*;

    /// Runs a program as the kernel would, for the instructions it uses; anything else panics.
    fn run(program: &[Instruction], call: &Notification) -> u32 {
        let mut data = Vec::new();
        data.extend(call.nr.to_le_bytes());
        data.extend(call.arch.to_le_bytes());
        data.extend([0; 8]);
        call.args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
        let (mut at, mut loaded) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            match code {
                0x20 => {
                    let word = &data[k as usize..k as usize + 4];
                    loaded = u32::from_le_bytes(word.try_into().unwrap());
                }
                0x15 => at += usize::from(if loaded == k { jt } else { jf }),
                0x06 => return k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn expected(stops: Stops, call: &Notification) -> u32 {
        let stop = match calls::decode(call) {
            Call::Exec(_) => true,
            Call::Start | Call::SetMm => stops.starts,
            Call::ExitGroup(_) => stops.exits,
            Call::Other => false,
        };
        if stop { NOTIFY } else { ALLOW }
    }

    fn any_stops() -> impl Strategy<Value = Stops> {
        (any::<bool>(), any::<bool>()).prop_map(|(starts, exits)| Stops { starts, exits })
    }

    fn any_arch() -> impl Strategy<Value = u32> {
        prop_oneof![
            4 => proptest::sample::select(TABLE).prop_map(|row| row.arch),
            1 => any::<u32>(),
        ]
    }

    fn any_nr() -> impl Strategy<Value = u32> {
        prop_oneof![proptest::sample::select(TABLE).prop_map(|row| row.nr), 0..500u32, any::<u32>()]
    }

    fn any_arg0() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0x1002), Just(0x1003), Just(35), Just(0xffff_ffff_0000_1002), any::<u64>()]
    }

    proptest! {
        #[test]
        fn stops_what_the_receiver_understands_and_nothing_else(
            stops in any_stops(), arch in any_arch(), nr in any_nr(), arg0 in any_arg0(),
        ) {
            let call = Notification { id: 0, tid: 0, arch, nr, args: [arg0, 0, 0, 0, 0, 0] };
            prop_assert_eq!(run(&program(stops), &call), expected(stops, &call));
        }
    }

    #[test]
    fn every_row_is_stopped_when_asked() {
        let all = program(Stops { starts: true, exits: true });
        let none = program(Stops::default());
        for row in TABLE {
            let args = [u64::from(row.arg0.unwrap_or(0)), 0, 0, 0, 0, 0];
            let call = Notification { id: 0, tid: 0, arch: row.arch, nr: row.nr, args };
            assert_eq!(run(&all, &call), NOTIFY, "{row:?}");
            let exec = matches!(row.kind, Kind::Exec | Kind::ExecAt);
            assert_eq!(run(&none, &call) == NOTIFY, exec, "{row:?}");
        }
    }

    #[test]
    fn numbers_belong_to_their_architecture() {
        let filter = program(Stops { starts: true, exits: true });
        let munmap = Notification { id: 0, tid: 0, arch: X86_64, nr: 11, args: [0; 6] };
        assert_eq!(run(&filter, &munmap), ALLOW);
        assert_eq!(run(&filter, &Notification { arch: I386, ..munmap }), NOTIFY);
    }
}
