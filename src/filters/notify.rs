//! The notification filter: the BPF program that stops exactly the calls of [`super::calls`].
//! It never refuses a call; refusing is the errno filter's part, whose answer the kernel takes
//! first. An architecture or number it does not know passes, so it must not be the only filter.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::bpf::{ARCH, NR, answer, argument, if_equal, load};
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
    /// socketcall(2) of 32-bit x86 where it makes a socket. Who stops it must make the socket.
    pub sockets: bool,
}

/// The program for these stops. It is the same on every machine; a kernel meets only the
/// architectures it can run.
pub fn program(stops: Stops) -> Vec<Instruction> {
    let mut program = vec![load(ARCH)];
    let mut rest = TABLE;
    while let Some(first) = rest.first() {
        let len = rest.iter().take_while(|row| row.arch == first.arch).count();
        let (group, tail) = rest.split_at(len);
        let block = block(group.iter().filter(|row| wanted(row.kind, stops)));
        program.push(if_equal(first.arch, 0, block.len()));
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
        Kind::Socket => stops.sockets,
    }
}

/// One architecture: the number decides, and where the row says so the first argument.
fn block<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Instruction> {
    let mut block = vec![load(NR)];
    for row in rows {
        match row.arg0 {
            None => block.extend([if_equal(row.nr, 0, 1), answer(NOTIFY)]),
            Some(value) => block.extend([
                if_equal(row.nr, 0, 4),
                load(argument(0)),
                if_equal(value, 0, 1),
                answer(NOTIFY),
                load(NR),
            ]),
        }
    }
    block.push(answer(ALLOW));
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::bpf::run;
    use crate::filters::calls::{self, Call, I386, X86_64};
    use crate::sys::seccomp::Notification;
    use proptest::prelude::*;

    fn expected(stops: Stops, call: &Notification) -> u32 {
        let stop = match calls::decode(call) {
            Call::Exec(_) => true,
            Call::Start | Call::SetMm => stops.starts,
            Call::ExitGroup(_) => stops.exits,
            Call::Socket(_) => stops.sockets,
            Call::Other => false,
        };
        if stop { NOTIFY } else { ALLOW }
    }

    fn any_stops() -> impl Strategy<Value = Stops> {
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(starts, exits, sockets)| Stops {
            starts,
            exits,
            sockets,
        })
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
        prop_oneof![
            Just(0x1002),
            Just(0x1003),
            Just(35),
            Just(0xffff_ffff_0000_1002),
            0..10u64,
            any::<u64>(),
        ]
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
        let all = program(Stops { starts: true, exits: true, sockets: true });
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
        let filter = program(Stops { starts: true, exits: true, sockets: true });
        let munmap = Notification { id: 0, tid: 0, arch: X86_64, nr: 11, args: [0; 6] };
        assert_eq!(run(&filter, &munmap), ALLOW);
        assert_eq!(run(&filter, &Notification { arch: I386, ..munmap }), NOTIFY);
    }
}
