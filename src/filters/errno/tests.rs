//! Every call of every convention is tried on the compiled program, and compared with the table
//! read line by line.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::table::Call;
use super::*;
use crate::filters::bpf::run;
use crate::sys::seccomp::Notification;

fn whole() -> Vec<Instruction> {
    compile(&CONVENTIONS, &TABLE.iter().collect::<Vec<_>>())
}

fn nested() -> Vec<Instruction> {
    let open = TABLE.iter().filter(|refusal| !refusal.nesting);
    compile(&CONVENTIONS, &open.collect::<Vec<_>>())
}

fn call(arch: u32, nr: u32, args: [u64; 3]) -> Notification {
    Notification { id: 0, tid: 0, arch, nr, args: [args[0], args[1], args[2], 0, 0, 0] }
}

fn number((_, column): Convention, name: &str) -> u32 {
    let mut calls = TABLE.iter().flat_map(|refusal| refusal.calls);
    calls.find(|call| call.name == name).unwrap().numbers[column as usize]
}

/// The table, read without any cleverness.
fn expected(nesting: bool, arch: u32, nr: u32, args: [u64; 3]) -> u32 {
    let Some((_, column)) = CONVENTIONS.iter().find(|(audit, _)| *audit == arch) else {
        return refuse(libc::ENOSYS);
    };
    if *column == Column::X86_64 && nr >= X32 {
        return if nr == SKIPPED { ALLOW } else { refuse(libc::ENOSYS) };
    }
    let low = |index: u32| args[index as usize] & 0xffff_ffff;
    let has = |call: &Call| nr != NONE && call.numbers[*column as usize] == nr;
    for refusal in TABLE.iter().filter(|refusal| !nesting || !refusal.nesting) {
        let met = match &refusal.when {
            When::Always => true,
            When::AnyBit(index, bits) => {
                bits.iter().any(|bit| low(*index) & u64::from(bit.value) != 0)
            }
            When::OneOf(index, values) => {
                values.iter().any(|one| low(*index) == u64::from(one.value))
            }
            When::NoneOf(index, values) => {
                values.iter().all(|one| low(*index) != u64::from(one.value))
            }
        };
        if met && refusal.calls.iter().any(has) {
            return refuse(refusal.answer);
        }
    }
    ALLOW
}

/// The values that the table compares, with and without an upper half.
fn values() -> Vec<u64> {
    let listed = TABLE.iter().flat_map(|refusal| match refusal.when {
        When::Always => [].iter(),
        When::AnyBit(_, values) | When::OneOf(_, values) | When::NoneOf(_, values) => values.iter(),
    });
    let listed = listed.flat_map(|one| [one.value, one.value ^ 1, one.value << 1]);
    let low: Vec<u64> = listed.chain([0, 3, 17, 40]).map(u64::from).collect();
    let upper = low.iter().map(|value| value | 0xffff_ffff_0000_0000);
    low.iter().copied().chain(upper).collect()
}

#[test]
fn each_call_gets_the_answer_of_the_table() {
    let (whole, nested, values) = (whole(), nested(), values());
    for (arch, _) in CONVENTIONS.into_iter().chain([(0x8000_0016, Column::Arm)]) {
        for nr in (0..600).chain([X32, X32 + 16, X32 + 59, SKIPPED - 1, SKIPPED]) {
            let listed = TABLE.iter().flat_map(|refusal| refusal.calls);
            let listed = listed.flat_map(|call| call.numbers).any(|number| number == nr);
            for value in &values[..if listed { values.len() } else { 3 }] {
                for args in [[*value; 3], [2, *value, 0], [*value, 1, 132], [1, 1, *value]] {
                    let it = call(arch, nr, args);
                    assert_eq!(run(&whole, &it), expected(false, arch, nr, args), "{it:x?}");
                    assert_eq!(run(&nested, &it), expected(true, arch, nr, args), "{it:x?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_call_gets_the_answer_of_the_table(
        (arch, _) in proptest::sample::select(&CONVENTIONS[..]), nr: u32, small in 0..600u32, args: [u64; 3],
    ) {
        let whole = whole();
        for nr in [nr, small] {
            prop_assert_eq!(run(&whole, &call(arch, nr, args)), expected(false, arch, nr, args));
        }
    }
}

/// Behind a row that always refuses no other is ever asked; and a number is of one call.
#[test]
fn every_row_of_a_call_counts() {
    for (_, column) in CONVENTIONS {
        let mut names: BTreeMap<u32, &str> = BTreeMap::new();
        let mut always = BTreeSet::new();
        for refusal in TABLE {
            for call in refusal.calls {
                let number = call.numbers[column as usize];
                if number == NONE {
                    continue;
                }
                assert!(!always.contains(&number), "{}", call.name);
                assert_eq!(*names.entry(number).or_insert(call.name), call.name);
                if matches!(refusal.when, When::Always) {
                    assert!(always.insert(number));
                }
            }
        }
    }
}

/// The column of this processor against the C library's constants.
#[test]
fn the_numbers_are_those_of_the_kernel() {
    macro_rules! check {
        ($($constant:ident)*) => {$(
            let name = stringify!($constant).strip_prefix("SYS_").unwrap();
            let ours = number(offered()[0], name);
            assert_eq!(i64::from(ours), libc::$constant, "{name}");
        )*};
    }
    check!(SYS_ioctl SYS_clone SYS_unshare SYS_setns SYS_clone3 SYS_mount SYS_umount2
        SYS_pivot_root SYS_chroot SYS_open_tree SYS_move_mount SYS_fsopen SYS_fsconfig
        SYS_fsmount SYS_fspick SYS_mount_setattr SYS_io_uring_setup SYS_io_uring_enter
        SYS_io_uring_register SYS_add_key SYS_request_key SYS_keyctl SYS_open_by_handle_at
        SYS_name_to_handle_at SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_kcmp
        SYS_lookup_dcookie SYS_move_pages SYS_migrate_pages SYS_mbind SYS_set_mempolicy
        SYS_get_mempolicy SYS_set_mempolicy_home_node SYS_syslog SYS_acct SYS_quotactl
        SYS_quotactl_fd SYS_swapon SYS_swapoff SYS_reboot SYS_kexec_load SYS_init_module
        SYS_finit_module SYS_delete_module SYS_settimeofday SYS_clock_settime SYS_vhangup
        SYS_nfsservctl SYS_personality SYS_socket SYS_socketpair SYS_prlimit64
        SYS_sched_setscheduler SYS_sched_setparam SYS_sched_setattr SYS_sched_setaffinity
        SYS_setpriority SYS_memfd_secret SYS_fcntl);
    #[cfg(target_arch = "x86_64")]
    check!(SYS_kexec_file_load SYS_iopl SYS_ioperm SYS_uselib SYS_modify_ldt);
}

#[test]
fn where_nobody_makes_sockets_socketcall_makes_none() {
    let program = compile(&CONVENTIONS, &[&SOCKETCALL]);
    for (number, answer) in [(1, refuse(libc::ENOSYS)), (3, ALLOW), (8, refuse(libc::ENOSYS))] {
        for upper in [0, 0xffff_ffff_0000_0000] {
            assert_eq!(run(&program, &call(I386, 102, [number | upper, 0, 0])), answer);
            assert_eq!(run(&whole(), &call(I386, 102, [number | upper, 0, 0])), ALLOW);
        }
        assert_eq!(run(&program, &call(X86_64, 102, [number, 0, 0])), ALLOW);
    }
}

/// What debuggers, tracers and recorders live on. Numbers of x86-64.
#[test]
fn debuggers_keep_their_calls() {
    let whole = whole();
    let allowed = |nr, arg0| run(&whole, &call(X86_64, nr, [arg0, 0, 0])) == ALLOW;
    for (name, nr) in [
        ("ptrace", 101),
        ("process_vm_readv", 310),
        ("process_vm_writev", 311),
        ("pidfd_open", 434),
        ("pidfd_getfd", 438),
        ("seccomp", 317),
        ("prctl", 157),
    ] {
        assert!(allowed(nr, 0), "{name}");
    }
    let personality = number((X86_64, Column::X86_64), "personality");
    let read_implies_exec = 0x40_0000;
    assert!(allowed(personality, 0x4_0000) && allowed(personality, 0xffff_ffff));
    assert!(!allowed(personality, read_implies_exec));
    assert!(!allowed(personality, 0x4_0000 | read_implies_exec));
}

/// Also by threads: a C library makes them with these flags.
#[test]
fn processes_and_threads_can_be_made() {
    let fork = u64::from(0x0120_0000 | libc::SIGCHLD.cast_unsigned());
    let vfork = u64::from((libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD).cast_unsigned());
    for flags in [fork, vfork, 0x3d_0f00] {
        for convention in CONVENTIONS {
            let it = call(convention.0, number(convention, "clone"), [flags, 0, 0]);
            assert_eq!(run(&whole(), &it), ALLOW, "{flags:#x}");
        }
    }
}

/// The log pane goes by who started what.
#[test]
fn attack_no_process_is_made_a_child_of_its_makers_parent() {
    let flags = u64::from((libc::CLONE_PARENT | libc::SIGCHLD).cast_unsigned());
    for convention in CONVENTIONS {
        let it = call(convention.0, number(convention, "clone"), [flags, 0, 0]);
        assert_eq!(run(&whole(), &it), refuse(libc::EPERM));
    }
}

/// The kernel never runs the program for a number that it answers without a look at an argument.
#[test]
fn a_number_that_is_not_in_the_table_is_decided_by_itself() {
    let (whole, values) = (whole(), values());
    let decided = |nr| {
        let answers = values.iter().map(|value| call(X86_64, nr, [*value; 3]));
        let mut answers = answers.map(|it| run(&whole, &it));
        let first = answers.next().unwrap();
        answers.all(|answer| answer == first)
    };
    let undecided: Vec<u32> = (0..600).filter(|nr| !decided(*nr)).collect();
    let known = [
        "ioctl",
        "socket",
        "socketpair",
        "clone",
        "fcntl",
        "chmod",
        "fchmod",
        "personality",
        "setpriority",
        "sched_setparam",
        "sched_setscheduler",
        "sched_setaffinity",
        "fchmodat",
        "unshare",
        "prlimit64",
        "sched_setattr",
        "fchmodat2",
    ];
    assert_eq!(undecided, known.map(|name| number((X86_64, Column::X86_64), name)));
}
