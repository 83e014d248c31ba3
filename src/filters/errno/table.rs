//! What the errno filter refuses, as one table. `docs/syscalls.md` shows it to people, and a test
//! holds that page against it. It must never refuse what an ordinary program, a compiler or a
//! debugger needs; what is let through on purpose is explained on that page, too.
//!
//! Two answers say no. `EPERM` where a process without privileges is refused anyway, and `ENOSYS`
//! where a smaller or older kernel lacks the call: programs know both, and go on without.
#![forbid(unsafe_code)]

use libc::{EAFNOSUPPORT, EINVAL, ENOSYS, EPERM, EPROTONOSUPPORT};

/// Calls that are refused for one reason.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The calls.
    pub(super) calls: &'static [Call],
    /// Under which condition.
    pub(super) when: When,
    /// The errno(3).
    pub(super) answer: i32,
    /// What a sandbox inside this one needs: let through where the profile says `nested-userns`.
    pub(super) nesting: bool,
    /// The reason, in words for the documentation.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation is tested, not made"))]
    pub(super) why: &'static str,
}

/// When a call is refused. Arguments are counted from 0 and compared on their low 32 bits: the
/// kernel takes no more of these, and a comparison of all 64 lets a caller pass whose upper half is
/// set (CVE-2019-10063).
#[derive(Debug)]
pub(super) enum When {
    /// Always.
    Always,
    /// The argument has any of these bits.
    AnyBit(u32, &'static [Value]),
    /// The argument is one of these.
    OneOf(u32, &'static [Value]),
    /// The argument is none of these.
    NoneOf(u32, &'static [Value]),
}

/// A value by its name in the manual pages.
#[derive(Debug)]
pub(super) struct Value {
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation is tested, not made"))]
    pub(super) name: &'static str,
    pub(super) value: u32,
}

/// A call and its number in each convention, from the kernel's own tables (`syscall*.tbl`).
#[derive(Debug)]
pub(super) struct Call {
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation is tested, not made"))]
    pub(super) name: &'static str,
    /// In the order of [`Column`].
    pub(super) numbers: [u32; 4],
}

/// A column of [`Call::numbers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    X86_64,
    I386,
    Aarch64,
    Arm,
}

/// Where a convention lacks a call.
pub(super) const NONE: u32 = u32::MAX;

const fn call(name: &'static str, x86_64: u32, i386: u32, aarch64: u32, arm: u32) -> Call {
    Call { name, numbers: [x86_64, i386, aarch64, arm] }
}

/// Since Linux 5.1 new calls have one number everywhere.
const fn new_call(name: &'static str, number: u32) -> Call {
    call(name, number, number, number, number)
}

const fn value(name: &'static str, value: u32) -> Value {
    Value { name, value }
}

/// The flags of clone(2) that make a namespace (linux/sched.h). `CLONE_NEWTIME` is none of them:
/// in clone(2) its bit belongs to the exit signal.
const NAMESPACES: &[Value] = &[
    value("CLONE_NEWNS", 0x0002_0000),
    value("CLONE_NEWCGROUP", 0x0200_0000),
    value("CLONE_NEWUTS", 0x0400_0000),
    value("CLONE_NEWIPC", 0x0800_0000),
    value("CLONE_NEWUSER", 0x1000_0000),
    value("CLONE_NEWPID", 0x2000_0000),
    value("CLONE_NEWNET", 0x4000_0000),
];

const NAMESPACES_OF_UNSHARE: &[Value] = &[
    value("CLONE_NEW*", 0x7e02_0000), // all of the above
    value("CLONE_NEWTIME", 0x80),
];

/// Of chmod(2). The other one, `S_ISGID`, is for directories, too, and no filter can tell.
const SET_USER_ID: &[Value] = &[value("S_ISUID", 0o4000)];

/// The table. A call may stand in several rows with a condition each; the first that is met answers.
#[rustfmt::skip]
pub(super) const TABLE: &[Refusal] = &[
    Refusal {
        calls: &[call("ioctl", 16, 54, 29, 54)],
        when: When::OneOf(1, &[
            value("TIOCSTI", 0x5412), value("TIOCLINUX", 0x541c), value("TIOCSETD", 0x5423),
        ]),
        answer: EPERM, nesting: false,
        why: "TIOCSTI types into the terminal and TIOCLINUX pastes into a console, which in the \
              user's own terminal executes commands outside (CVE-2017-5226, CVE-2023-28100); \
              TIOCSETD loads line disciplines, a frequent way to attack the kernel",
    },
    Refusal {
        calls: &[call("ioctl", 16, 54, 29, 54)],
        when: When::OneOf(1, &[
            value("IOC_WATCH_QUEUE_SET_SIZE", 0x5760), value("IOC_WATCH_QUEUE_SET_FILTER", 0x5761),
        ]),
        answer: EPERM, nesting: false,
        why: "queues of the kernel's own notices, of no use without keyrings, and exploited \
              (CVE-2022-0995)",
    },
    Refusal {
        calls: &[call("clone", 56, 120, 220, 120)],
        when: When::AnyBit(0, NAMESPACES),
        answer: EPERM, nesting: true,
        why: "a namespace of one's own is a door to parts of the kernel that only root met before",
    },
    Refusal {
        calls: &[call("clone", 56, 120, 220, 120)],
        when: When::AnyBit(0, &[value("CLONE_PARENT", 0x8000)]),
        answer: EPERM, nesting: true,
        why: "the new process would be a child of the caller's parent: what a command of the agent's \
              starts would be taken for what the agent itself started",
    },
    Refusal {
        calls: &[call("unshare", 272, 310, 97, 337)],
        when: When::AnyBit(0, NAMESPACES_OF_UNSHARE),
        answer: EPERM, nesting: true,
        why: "the same, for the calling process itself",
    },
    Refusal {
        calls: &[new_call("clone3", 435)],
        when: When::Always,
        answer: ENOSYS, nesting: true,
        why: "its flags are in memory, where no filter can look (CVE-2021-41133); C libraries \
              fall back to clone",
    },
    Refusal {
        calls: &[
            call("setns",      308, 346, 268,  375),
            call("mount",      165,  21,  40,   21),
            call("umount",    NONE,  22, NONE, NONE),
            call("umount2",    166,  52,  39,   52),
            call("pivot_root", 155, 217,  41,  218),
            call("chroot",     161,  61,  51,   61),
        ],
        when: When::Always,
        answer: EPERM, nesting: true,
        why: "the mounts and the root are the sandbox",
    },
    Refusal {
        calls: &[
            new_call("open_tree", 428), new_call("move_mount", 429), new_call("fsopen", 430),
            new_call("fsconfig", 431), new_call("fsmount", 432), new_call("fspick", 433),
            new_call("mount_setattr", 442), new_call("open_tree_attr", 467),
        ],
        when: When::Always,
        answer: ENOSYS, nesting: true,
        why: "the same by the newer calls (Linux 5.2), which older filters forgot (CVE-2021-41133)",
    },
    Refusal {
        calls: &[
            new_call("io_uring_setup", 425), new_call("io_uring_enter", 426),
            new_call("io_uring_register", 427),
        ],
        when: When::Always,
        answer: ENOSYS, nesting: false,
        why: "its requests pass no filter, and six in ten of the exploits that Google paid for \
              in 2022 used it",
    },
    Refusal {
        calls: &[
            call("add_key",     248, 286, 217, 309),
            call("request_key", 249, 287, 218, 310),
            call("keyctl",      250, 288, 219, 311),
        ],
        when: When::Always,
        answer: ENOSYS, nesting: false,
        why: "keyrings belong to a user and to no namespace: the user's keys could be read",
    },
    Refusal {
        calls: &[
            call("open_by_handle_at", 304, 342, 265, 371),
            call("name_to_handle_at", 303, 341, 264, 370),
        ],
        when: When::Always,
        answer: EPERM, nesting: false,
        why: "a handle opens a file of a file system whatever is mounted of it",
    },
    Refusal {
        calls: &[
            call("bpf",             321, 357, 280, 386),
            call("perf_event_open", 298, 336, 241, 364),
            call("userfaultfd",     323, 374, 282, 388),
            call("kcmp",            312, 349, 272, 378),
            call("lookup_dcookie",  212, 253,  18, 249),
        ],
        when: When::Always,
        answer: EPERM, nesting: false,
        why: "programs in the kernel, its counters, page faults held up from outside, its \
              addresses: what exploits are built with",
    },
    Refusal {
        calls: &[
            call("move_pages",    279, 317, 239, 344),
            call("migrate_pages", 256, 294, 238, 400),
            call("mbind",         237, 274, 235, 319),
            call("set_mempolicy", 238, 276, 237, 321),
            call("get_mempolicy", 239, 275, 236, 320),
            new_call("set_mempolicy_home_node", 450),
        ],
        when: When::Always,
        answer: ENOSYS, nesting: false,
        why: "where memory lies on machines of several nodes; seldom used, often exploited",
    },
    Refusal {
        calls: &[call("modify_ldt", 154, 123, NONE, NONE)],
        when: When::Always,
        answer: ENOSYS, nesting: false,
        why: "segments of 16-bit programs; more exploits than users",
    },
    Refusal {
        calls: &[
            call("syslog",            103, 103, 116, 103),
            call("acct",              163,  51,  89,  51),
            call("quotactl",          179, 131,  60, 131),
            new_call("quotactl_fd",   443),
            call("swapon",            167,  87, 224,  87),
            call("swapoff",           168, 115, 225, 115),
            call("reboot",            169,  88, 142,  88),
            call("kexec_load",        246, 283, 104, 347),
            call("kexec_file_load",   320, NONE, 294, 401),
            call("init_module",       175, 128, 105, 128),
            call("finit_module",      313, 350, 273, 379),
            call("delete_module",     176, 129, 106, 129),
            call("settimeofday",      164,  79, 170,  79),
            call("stime",            NONE,  25, NONE, NONE),
            call("clock_settime",     227, 264, 112, 262),
            call("clock_settime64",  NONE, 404, NONE, 404),
            call("iopl",              172, 110, NONE, NONE),
            call("ioperm",            173, 101, NONE, NONE),
            call("vhangup",           153, 111,  58, 111),
            call("uselib",            134,  86, NONE,  86),
            call("nfsservctl",        180, 169,  42, 169),
        ],
        when: When::Always,
        answer: EPERM, nesting: false,
        why: "for whoever administers the machine; without capabilities they fail anyway",
    },
    Refusal {
        calls: &[call("personality", 135, 136, 92, 136)],
        when: When::NoneOf(0, &[
            value("0", 0), value("PER_LINUX32", 8), value("UNAME26", 0x2_0000),
            value("UNAME26+PER_LINUX32", 0x2_0008), value("ADDR_NO_RANDOMIZE", 0x4_0000),
            value("ADDR_NO_RANDOMIZE+PER_LINUX32", 0x4_0008), value("0xffffffff", u32::MAX),
        ]),
        answer: EPERM, nesting: false,
        why: "others make memory executable, or map address 0; a debugger's is let through, and \
              so is asking",
    },
    Refusal {
        calls: &[call("socket", 41, 359, 198, 281), call("socketpair", 53, 360, 199, 288)],
        when: When::NoneOf(0, &[
            value("AF_UNSPEC", 0), value("AF_UNIX", 1), value("AF_INET", 2), value("AF_INET6", 10),
            value("AF_NETLINK", 16),
        ]),
        answer: EAFNOSUPPORT, nesting: false,
        why: "AF_VSOCK leads to the hypervisor past every network namespace, AF_PACKET to the \
              wire; AF_ALG and the rare protocols are modules of little use and many exploits",
    },
    Refusal {
        calls: &[call("socket", 41, 359, 198, 281), call("socketpair", 53, 360, 199, 288)],
        // Its kind is 10; no other has this bit.
        when: When::AnyBit(1, &[value("SOCK_PACKET", 8)]),
        answer: EAFNOSUPPORT, nesting: false,
        why: "AF_PACKET by its old name: the kernel takes it for that with AF_INET",
    },
    Refusal {
        calls: &[call("socket", 41, 359, 198, 281), call("socketpair", 53, 360, 199, 288)],
        when: When::OneOf(2, &[
            value("IPPROTO_DCCP", 33), value("IPPROTO_L2TP", 115), value("IPPROTO_SCTP", 132),
            value("IPPROTO_SMC", 256),
        ]),
        answer: EPROTONOSUPPORT, nesting: false,
        why: "rare protocols of the usual families: as AF_ALG and its like, modules that the kernel \
              loads for whoever asks",
    },
    Refusal {
        calls: &[
            call("prlimit64",          302, 340, 261, 369),
            call("sched_setscheduler", 144, 156, 119, 156),
            call("sched_setparam",     142, 154, 118, 154),
            call("sched_setattr",      314, 351, 274, 380),
            call("sched_setaffinity",  203, 241, 122, 241),
        ],
        when: When::OneOf(0, &[value("pid 1", 1)]),
        answer: EPERM, nesting: false,
        why: "the kernel lets a user limit all of their processes: a limit of CPU time would end \
              pid 1, and with it the session, and SCHED_IDLE would delay its work",
    },
    Refusal {
        calls: &[call("setpriority", 141, 97, 140, 97)],
        when: When::OneOf(1, &[value("pid 1", 1)]),
        answer: EPERM, nesting: false,
        why: "the same by the nice value, of which the last leaves pid 1 a sixtieth of what others get",
    },
    Refusal {
        calls: &[call("setpriority", 141, 97, 140, 97)],
        when: When::OneOf(0, &[value("PRIO_USER", 2)]),
        answer: EPERM, nesting: false,
        why: "the same for all processes of the user, pid 1 among them",
    },
    Refusal {
        calls: &[call("fcntl", 72, 55, 25, 55), call("fcntl64", NONE, 221, NONE, 221)],
        when: When::OneOf(1, &[value("F_SETLEASE", 1024), value("F_SETDELEG", 1040)]),
        answer: EINVAL, nesting: false,
        why: "whoever opens a file with a lease waits for 45 seconds, also on the host, and also if it \
              is read-only inside: settings, programs of the home",
    },
    Refusal {
        calls: &[call("chmod", 90, 15, NONE, 15), call("fchmod", 91, 94, 52, 94)],
        when: When::AnyBit(1, SET_USER_ID),
        answer: EPERM, nesting: true,
        why: "outside, where the mounts say nothing about it, any user could execute such a file of \
              the agent's as the user it ran as, and as root where that was root",
    },
    Refusal {
        calls: &[call("fchmodat", 268, 306, 53, 333), new_call("fchmodat2", 452)],
        when: When::AnyBit(2, SET_USER_ID),
        answer: EPERM, nesting: true,
        why: "the same by the newer calls; made with the bit, a file is empty, and loses it when anybody \
              but root writes it",
    },
    Refusal {
        calls: &[new_call("memfd_secret", 447)],
        when: When::Always,
        answer: ENOSYS, nesting: false,
        why: "memory that its owner and the kernel can read and nobody else: what an exec is called \
              with would not be seen",
    },
];

/// Not in the table: refused only where nobody makes the socket (see [`crate::sandbox::inner`]).
pub(super) const SOCKETCALL: Refusal = Refusal {
    calls: &[call("socketcall", NONE, 102, NONE, NONE)],
    when: When::OneOf(0, &[value("SYS_SOCKET", 1), value("SYS_SOCKETPAIR", 8)]),
    answer: ENOSYS,
    nesting: false,
    why: "the family is in memory, where no filter can look",
};
