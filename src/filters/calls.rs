//! The system calls that are stopped for the supervisor, on every architecture a process of this machine
//! can use, and what their registers mean. Pure; the filter and the receiver share this table, so
//! that nothing is stopped that the receiver does not understand.
#![forbid(unsafe_code)]

use crate::sys::seccomp::Notification;

/// `AUDIT_ARCH_X86_64` of linux/audit.h; x32 has the same and marks its numbers.
pub const X86_64: u32 = 0xc000_003e;
/// `AUDIT_ARCH_I386`.
pub const I386: u32 = 0x4000_0003;
/// `AUDIT_ARCH_AARCH64`.
pub const AARCH64: u32 = 0xc000_00b7;
/// `AUDIT_ARCH_ARM`.
pub const ARM: u32 = 0x4000_0028;

/// x32 programs have the audit number of x86-64 and this bit in the number of each call
/// (`__X32_SYSCALL_BIT`). There are hardly any, and their calls slipped past filters for years.
pub(super) const X32: u32 = 0x4000_0000;
/// `ARCH_SET_FS` of `arch_prctl(2)`.
const ARCH_SET_FS: u32 = 0x1002;

/// `SYS_SOCKET` and `SYS_SOCKETPAIR` of socketcall(2).
const SOCKET: u32 = 1;
const SOCKETPAIR: u32 = 8;

/// `PR_SET_MM` of prctl(2).
const PR_SET_MM: u32 = 35;

/// What a system call means to the exec log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// execve(2)
    Exec,
    /// execveat(2)
    ExecAt,
    /// The call by which the C library of a new program sets up the main thread's local storage,
    /// once, before any code that the program brings along. Later threads do not make it.
    Start,
    /// `prctl(PR_SET_MM)`: a program changes what `/proc` says of its argv, or (with capabilities
    /// of a user namespace of its own) of its executable. A hostile program that did so before its
    /// start was met would be taken for another one.
    SetMm,
    /// `exit_group(2)`
    ExitGroup,
    /// socketcall(2) that makes a socket. The family stands in memory, where a filter cannot look,
    /// so the socket is made for the caller (see [`crate::supervisor::execs::watch`]).
    Socket,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `AUDIT_ARCH_*`
    pub arch: u32,
    /// The number of the call.
    pub nr: u32,
    /// What it means.
    pub kind: Kind,
    /// The call is meant only where the low half of its first argument has this value.
    pub arg0: Option<u32>,
}

const fn row(arch: u32, nr: u32, kind: Kind) -> Row {
    Row { arch, nr, kind, arg0: None }
}

const fn set_mm(arch: u32, nr: u32) -> Row {
    Row { arch, nr, kind: Kind::SetMm, arg0: Some(PR_SET_MM) }
}

const fn socketcall(call: u32) -> Row {
    Row { arch: I386, nr: 102, kind: Kind::Socket, arg0: Some(call) }
}

const fn set_fs(nr: u32) -> Row {
    Row { arch: X86_64, nr, kind: Kind::Start, arg0: Some(ARCH_SET_FS) }
}

/// Every call that is known. Numbers are from the kernel's syscall tables.
pub const TABLE: &[Row] = &[
    row(X86_64, 59, Kind::Exec),
    row(X86_64, 322, Kind::ExecAt),
    row(X86_64, X32 + 520, Kind::Exec),
    row(X86_64, X32 + 545, Kind::ExecAt),
    set_fs(158),
    set_fs(X32 + 158),
    set_mm(X86_64, 157),
    set_mm(X86_64, X32 + 157),
    row(X86_64, 231, Kind::ExitGroup),
    row(X86_64, X32 + 231, Kind::ExitGroup),
    row(I386, 11, Kind::Exec),
    row(I386, 358, Kind::ExecAt),
    row(I386, 243, Kind::Start), // set_thread_area
    set_mm(I386, 172),
    row(I386, 252, Kind::ExitGroup),
    socketcall(SOCKET),
    socketcall(SOCKETPAIR),
    row(AARCH64, 221, Kind::Exec),
    row(AARCH64, 281, Kind::ExecAt),
    row(AARCH64, 96, Kind::Start), // set_tid_address: no system call sets the thread pointer
    set_mm(AARCH64, 167),
    row(AARCH64, 94, Kind::ExitGroup),
    row(ARM, 11, Kind::Exec),
    row(ARM, 387, Kind::ExecAt),
    row(ARM, 256, Kind::Start), // set_tid_address
    set_mm(ARM, 172),
    row(ARM, 248, Kind::ExitGroup),
];

/// A stopped call, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A program is to be executed.
    Exec(ExecCall),
    /// A program sets up its main thread.
    Start,
    /// A program changes what is said of it.
    SetMm,
    /// A process ends, with this status.
    ExitGroup(u8),
    /// A program wants a socket.
    Socket(SocketCall),
    /// Nothing that is known.
    Other,
}

/// A socketcall(2) that makes a socket, or a pair of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketCall {
    /// Whether it is a pair.
    pub pair: bool,
    /// The address of the arguments of socket(2) or socketpair(2), of four bytes each.
    pub arguments: u32,
}

/// The arguments of execve(2) or execveat(2): addresses in the caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecCall {
    /// Of the path.
    pub path: u64,
    /// Of the array of arguments.
    pub argv: u64,
    /// Of the array of environment strings.
    pub envp: u64,
    /// Directory descriptor and flags of execveat(2).
    pub at: Option<(i32, u32)>,
    /// Bytes of a pointer in these arrays: 4 or 8.
    pub pointer: usize,
    /// The architecture's name where it is not the native one.
    pub arch: Option<&'static str>,
}

/// Reads the registers of a stopped call.
pub fn decode(stopped: &Notification) -> Call {
    let row = TABLE.iter().find(|row| {
        row.arch == stopped.arch
            && row.nr == stopped.nr
            && row.arg0.is_none_or(|value| value == low(stopped.args[0]))
    });
    let a = &stopped.args;
    match row.map(|row| row.kind) {
        None => Call::Other,
        Some(Kind::Start) => Call::Start,
        Some(Kind::SetMm) => Call::SetMm,
        Some(Kind::Socket) => {
            Call::Socket(SocketCall { pair: low(a[0]) == SOCKETPAIR, arguments: low(a[1]) })
        }
        // wait(2) tells the low byte only.
        Some(Kind::ExitGroup) => Call::ExitGroup(a[0].to_le_bytes()[0]),
        Some(Kind::Exec) => Call::Exec(exec(stopped, [a[0], a[1], a[2]], None)),
        Some(Kind::ExecAt) => {
            let at = (low(a[0]).cast_signed(), low(a[4]));
            Call::Exec(exec(stopped, [a[1], a[2], a[3]], Some(at)))
        }
    }
}

fn exec(stopped: &Notification, [path, argv, envp]: [u64; 3], at: Option<(i32, u32)>) -> ExecCall {
    let (arch, pointer) = match stopped.arch {
        I386 => (Some("i386"), 4),
        ARM => (Some("arm"), 4),
        X86_64 if stopped.nr & X32 != 0 => (Some("x32"), 4),
        _ => (None, 8),
    };
    ExecCall { path, argv, envp, at, pointer, arch }
}

fn low(register: u64) -> u32 {
    let [a, b, c, d, ..] = register.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(arch: u32, nr: u32, args: [u64; 6]) -> Notification {
        Notification { id: 1, tid: 1, arch, nr, args }
    }

    #[test]
    fn execveat_shifts_the_arguments() {
        let call = decode(&stopped(X86_64, 322, [0xffff_ff9c, 1, 2, 3, 0x1000, 0]));
        let want = ExecCall {
            path: 1,
            argv: 2,
            envp: 3,
            at: Some((-100, 0x1000)),
            pointer: 8,
            arch: None,
        };
        assert_eq!(call, Call::Exec(want));
    }

    #[test]
    fn foreign_architectures_have_short_pointers() {
        for (arch, nr, name) in [(I386, 11, "i386"), (X86_64, X32 + 520, "x32"), (ARM, 11, "arm")] {
            let Call::Exec(call) = decode(&stopped(arch, nr, [1, 2, 3, 0, 0, 0])) else {
                panic!("{name} is not understood");
            };
            assert_eq!((call.pointer, call.arch), (4, Some(name)));
        }
    }

    #[test]
    fn only_one_arch_prctl_is_a_start() {
        assert_eq!(decode(&stopped(X86_64, 158, [0x1002, 0, 0, 0, 0, 0])), Call::Start);
        // The kernel takes the code as an int: the high half does not count.
        assert_eq!(decode(&stopped(X86_64, 158, [0x1_0000_1002, 0, 0, 0, 0, 0])), Call::Start);
        assert_eq!(decode(&stopped(X86_64, 158, [0x1003, 0, 0, 0, 0, 0])), Call::Other);
    }

    #[test]
    fn only_what_makes_sockets_is_understood_of_socketcall() {
        let call = |call| decode(&stopped(I386, 102, [call, 0xffff_ffff_0000_1000, 0, 0, 0, 0]));
        assert_eq!(call(1), Call::Socket(SocketCall { pair: false, arguments: 0x1000 }));
        assert_eq!(call(0x1_0000_0008), Call::Socket(SocketCall { pair: true, arguments: 0x1000 }));
        assert_eq!(call(3), Call::Other); // SYS_CONNECT
    }

    #[test]
    fn an_exit_status_is_one_byte() {
        assert_eq!(decode(&stopped(X86_64, 231, [0x1ff, 0, 0, 0, 0, 0])), Call::ExitGroup(0xff));
    }
}
