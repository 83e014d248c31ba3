//! S: the system calls of `docs/syscalls.md` fail inside, in every calling convention, and what
//! ordinary programs need does not. `tests/programs/kernel.c` holds the attacks.

use std::process::Command;

use claudebox::plan::ErrnoFilter;

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};
use crate::hostile::{Hostile, Outcomes, expected, failed, outcomes};
use crate::script;
use crate::supervised;

/// Each attack and its answer.
#[rustfmt::skip]
const ATTACKS: &[(&str, &str)] = &[
    ("tiocsti", "EPERM"), ("tiocsti_upper_half", "EPERM"), ("tioclinux", "EPERM"),
    ("tiocsetd", "EPERM"),
    ("clone_newuser", "EPERM"), ("clone3_newuser", "ENOSYS"), ("unshare_newuser", "EPERM"),
    ("mount_in_userns", "EPERM"), ("bind_in_userns", "EPERM"), ("remount_in_userns", "EPERM"),
    ("cgroup_in_userns", "EPERM"), ("unmount_in_userns", "EPERM"), ("chroot_in_userns", "EPERM"),
    ("pivot_root_in_userns", "EPERM"), ("fsopen_in_userns", "EPERM"),
    ("open_tree_in_userns", "EPERM"), ("mount_setattr_in_userns", "EPERM"),
    ("setns_own", "EPERM"), ("setns_direct", "EPERM"), ("mount_direct", "EPERM"),
    ("chroot_direct", "EPERM"), ("open_tree_direct", "ENOSYS"), ("fsopen_direct", "ENOSYS"),
    ("fspick_direct", "ENOSYS"), ("move_mount_direct", "ENOSYS"),
    ("io_uring_setup", "ENOSYS"), ("io_uring_enter", "ENOSYS"), ("io_uring_register", "ENOSYS"),
    ("add_key_call", "ENOSYS"), ("keyctl_call", "ENOSYS"), ("request_key_call", "ENOSYS"),
    ("name_to_handle", "EPERM"), ("open_by_handle", "EPERM"),
    ("userfaultfd_call", "EPERM"), ("bpf_call", "EPERM"), ("perf_event_open_call", "EPERM"),
    ("kcmp_call", "EPERM"), ("get_mempolicy_call", "ENOSYS"), ("set_mempolicy_call", "ENOSYS"),
    ("move_pages_call", "ENOSYS"),
    ("personality_call", "EPERM"), ("personality_upper_half", "EPERM"),
    ("personality_map_page_zero", "EPERM"),
    ("quotactl_call", "EPERM"), ("settimeofday_call", "EPERM"), ("clock_settime_call", "EPERM"),
    ("prlimit_of_init", "EPERM"), ("prlimit_of_init_upper_half", "EPERM"),
    ("scheduler_of_init", "EPERM"), ("affinity_of_init", "EPERM"),
    ("socket_packet", "EAFNOSUPPORT"), ("socket_packet_upper_half", "EAFNOSUPPORT"),
    ("socketpair_packet", "EAFNOSUPPORT"), ("socket_vsock", "EAFNOSUPPORT"),
    ("socket_any_rare", "EAFNOSUPPORT"), ("socket_packet_by_kind", "EAFNOSUPPORT"),
    ("socket_sctp", "EPROTONOSUPPORT"), ("socketpair_sctp", "EPROTONOSUPPORT"),
    ("nice_of_init", "EPERM"), ("nice_of_user", "EPERM"), ("watch_queue", "EPERM"),
    ("memfd_secret_call", "ENOSYS"), ("lease", "EINVAL"), ("lease_upper_half", "EINVAL"),
];

/// Those of 32-bit programs and of x32, which every 64-bit program can make.
#[rustfmt::skip]
const OTHER_CONVENTIONS: &[(&str, &str)] = &[
    ("iopl_call", "EPERM"), ("ioperm_call", "EPERM"), ("modify_ldt_call", "ENOSYS"),
    ("i386_unshare", "EPERM"), ("i386_clone", "EPERM"), ("i386_io_uring", "ENOSYS"),
    ("i386_keyctl", "ENOSYS"), ("i386_tiocsti", "EPERM"), ("i386_setns", "EPERM"),
    ("i386_open_tree", "ENOSYS"), ("i386_userfaultfd", "EPERM"), ("i386_bpf", "EPERM"),
    ("i386_name_to_handle", "EPERM"), ("i386_prlimit_of_init", "EPERM"),
    ("i386_nice_of_init", "EPERM"), ("i386_socket_sctp", "EPROTONOSUPPORT"),
    ("i386_memfd_secret", "ENOSYS"), ("i386_lease", "EINVAL"), ("i386_lease_64", "EINVAL"),
    ("i386_personality", "EPERM"), ("i386_socket_packet", "EAFNOSUPPORT"),
    ("i386_socketcall_packet", "EAFNOSUPPORT"), ("i386_socketcall_vsock", "EAFNOSUPPORT"),
    ("i386_socketcall_pair", "EAFNOSUPPORT"), ("i386_socketcall_race", "EAFNOSUPPORT"),
    ("x32_getpid", "ENOSYS"), ("x32_ioctl", "ENOSYS"), ("x32_unshare", "ENOSYS"),
    ("number_with_upper_half", "EPERM"),
];

/// What must go on working.
const FINE: &[(&str, &str)] =
    &[("fine_clone_fs", "ok"), ("fine_no_randomize", "ok"), ("fine_sockets", "ok")];

/// What asks for privileges first, which nobody inside has, and then is refused anyway.
#[rustfmt::skip]
const ADMINISTRATION: &[(&str, &str)] = &[
    ("init_module_call", "EPERM"), ("finit_module_call", "EPERM"),
    ("delete_module_call", "EPERM"), ("kexec_load_call", "EPERM"), ("reboot_call", "EPERM"),
    ("swapon_call", "EPERM"), ("swapoff_call", "EPERM"), ("acct_call", "EPERM"),
    ("syslog_call", "EPERM"), ("pivot_root_call", "EPERM"), ("umount_call", "EPERM"),
];

fn all() -> Outcomes {
    let mut all = expected(ATTACKS);
    all.extend(expected(FINE));
    if cfg!(target_arch = "x86_64") {
        all.extend(expected(OTHER_CONVENTIONS));
        all.extend(expected(&[("fine_socketcall", "ok")]));
    }
    all
}

/// Root cannot map its own uid in a namespace inside a namespace (`user_namespaces(7)`).
fn unprivileged() -> supervised::User {
    *supervised::users().last().unwrap()
}

#[test]
fn promise_s_what_no_program_needs_is_refused_in_every_convention() {
    must_have_sandbox();
    let kernel = Hostile::new("kernel", &[]);
    for user in users() {
        let place = Place::new(user);
        kernel.put_into(&place);
        let run = script(&place, &[], "./kernel").run().code(0);
        assert_eq!(outcomes(&run.stdout), all(), "{user:?}");
    }
    // By the filter alone: here nothing else forbids namespaces or mounts.
    let filtered = kernel.run(&[], ErrnoFilter::All, unprivileged());
    assert_eq!(filtered, all());
    // Control: without it, all of it succeeds. (Many kernels have no x32, some no memfd_secret.)
    let mut failed = failed(&kernel.run(&[], ErrnoFilter::Off, unprivileged()));
    let lacks = |name: &str| name.starts_with("x32_") || name.contains("memfd_secret");
    failed.retain(|name, outcome| !lacks(name) || outcome != "ENOSYS");
    assert_eq!(failed, Outcomes::new());
}

/// Its socket is made by pid 1, and so would belong to the network of the sandbox around.
#[test]
#[cfg(target_arch = "x86_64")]
fn promise_s_a_32_bit_program_in_a_sandbox_inside_gets_no_socket_of_the_one_around() {
    must_have_sandbox();
    let kernel = Hostile::new("kernel", &[]);
    let run = |words: &[&str]| {
        let mut plan = kernel.plan(&[], ErrnoFilter::Nesting);
        let words = words.iter().chain(&["/run/hostile", "fine_socketcall"]);
        plan.inner.argv = words.map(|word| (*word).into()).collect();
        plan.inner.program = plan.inner.argv[0].clone();
        let output = supervised::Room::new(&plan, unprivileged()).output();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["/usr/bin/unshare", "--user", "--net"]), "fine_socketcall ENOSYS\n");
    // Control: in the sandbox's own network it is made.
    assert_eq!(run(&["/usr/bin/unshare", "--user"]), "fine_socketcall ok\n");
}

/// A socket that pid 1 has made and cannot hand over: who asked for it is told so, and whoever asks
/// later gets one.
#[test]
#[cfg(target_arch = "x86_64")]
fn promise_s_a_socket_that_cannot_be_handed_over_is_not_the_last_one() {
    must_have_sandbox();
    let crowd = Hostile::new("crowd", &[]);
    let mut plan = crowd.plan(&[], ErrnoFilter::All);
    plan.inner.rlimits.open_files = Some(64);
    let output = supervised::Room::new(&plan, unprivileged()).output();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    // What is not crowded is the control.
    let expected = expected(&[("crowded", "ETOOMANYREFS"), ("free", "ok")]);
    assert_eq!(outcomes(&String::from_utf8_lossy(&output.stdout)), expected);
}

#[test]
fn promise_s_what_administers_the_machine_is_refused_to_root_too() {
    must_have_sandbox();
    let kernel = Hostile::new("kernel", &[]);
    for user in users() {
        let place = Place::new(user);
        kernel.put_into(&place);
        let run = script(&place, &[], "./kernel administration").run().code(0);
        assert_eq!(outcomes(&run.stdout), expected(ADMINISTRATION), "{user:?}");
    }
    // Control: root on the host is only told that the arguments are wrong.
    let outside = Command::new(kernel.path()).arg("administration").output().unwrap();
    let outside = outcomes(&String::from_utf8(outside.stdout).unwrap());
    assert_eq!(outside.len(), ADMINISTRATION.len());
    if users().iter().any(|user| user.is_root()) {
        assert_eq!(failed(&outside), Outcomes::new());
    }
}
