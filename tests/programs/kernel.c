/* System calls that a sandbox must not hand out. Tries each in a child of its own and prints
   `NAME ok`, or the name and why not. `kernel administration` tries those instead that ask for
   privileges first, in a way that harms nobody: with arguments that the kernel takes from nobody.
   `kernel NAME` tries only that one.
   A call also counts as ok if the kernel's own code was reached, by an answer of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the kernel has said of a call that it would only refuse later: the filter did not. */
static int reached(long result, int expected) { return result >= 0 || errno == expected ? 0 : -1; }

/* The same of a call that the filter answers with EPERM, whatever the kernel says. */
static int asked(long result) { return result >= 0 || errno != EPERM ? 0 : -1; }

static void map_ids(void) {
    char line[64];
    int groups = open("/proc/self/setgroups", O_WRONLY), map;
    if (groups >= 0 && write(groups, "deny", 4) < 0) perror("setgroups");
    snprintf(line, sizeof line, "0 %d 1", geteuid());
    map = open("/proc/self/uid_map", O_WRONLY);
    if (map < 0 || write(map, line, strlen(line)) < 0) perror("uid_map");
}

/* In the terminal of a pseudo-terminal of our own, so that it is ours to type into. */
static int on_a_terminal(unsigned long request, int expected) {
    int leader = posix_openpt(O_RDWR | O_NOCTTY), terminal;
    char key = 'x';
    grantpt(leader), unlockpt(leader);
    terminal = open(ptsname(leader), O_RDWR | O_NOCTTY);
    setsid();
    if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0) return -1;
    return reached(syscall(SYS_ioctl, terminal, request, &key), expected);
}

static int tiocsti(void) { return on_a_terminal(TIOCSTI, 0); }
static int tiocsti_upper_half(void) { return on_a_terminal(0xffffffff00000000ul | TIOCSTI, 0); }
static int tioclinux(void) { return on_a_terminal(TIOCLINUX, ENOTTY); }
static int tiocsetd(void) {
    int discipline = 0; /* the usual one, which it has already */
    int leader = posix_openpt(O_RDWR | O_NOCTTY);
    return ioctl(leader, TIOCSETD, &discipline);
}

static int clone_newuser(void) {
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    return child < 0 ? -1 : 0;
}
static int clone3_newuser(void) {
    uint64_t args[11] = {CLONE_NEWUSER};
    long child;
    args[4] = SIGCHLD;
    child = syscall(SYS_clone3, args, 64);
    if (child == 0) _exit(0);
    return child < 0 ? -1 : 0;
}
static int unshare_newuser(void) { return unshare(CLONE_NEWUSER); }
static int in_namespaces(int more) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | more)) return -1;
    map_ids();
    return 0;
}
static int mount_in_userns(void) {
    return in_namespaces(0) ? -1 : mount("none", "/tmp", "tmpfs", 0, "");
}
static int bind_in_userns(void) {
    return in_namespaces(0) ? -1 : mount("/usr", "/tmp", 0, MS_BIND | MS_REC, 0);
}
static int remount_in_userns(void) {
    return in_namespaces(0) ? -1 : mount("none", "/tmp", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, 0);
}
static int cgroup_in_userns(void) {
    if (in_namespaces(CLONE_NEWCGROUP)) return -1;
    return reached(mount("none", "/tmp", "cgroup2", 0, ""), EBUSY);
}
static int unmount_in_userns(void) {
    /* What the sandbox mounted is locked, so a mount of our own has to do. */
    return mount_in_userns() ? -1 : umount2("/tmp", MNT_DETACH);
}
static int chroot_in_userns(void) { return in_namespaces(0) ? -1 : chroot("/tmp"); }
static int pivot_root_in_userns(void) {
    if (mount_in_userns() || chdir("/tmp")) return -1;
    return syscall(SYS_pivot_root, ".", ".");
}
static int setns_own(void) {
    int fd = open("/proc/self/ns/user", O_RDONLY);
    return reached(fd < 0 ? -1 : setns(fd, CLONE_NEWUSER), EINVAL);
}
static int fsopen_in_userns(void) { return in_namespaces(0) ? -1 : syscall(430, "tmpfs", 0); }
static int open_tree_in_userns(void) {
    return in_namespaces(0) ? -1 : syscall(428, AT_FDCWD, "/", 0x8001 /* AT_RECURSIVE, OPEN_TREE_CLONE */);
}
static int mount_setattr_in_userns(void) {
    uint64_t attributes[4] = {1 /* MOUNT_ATTR_RDONLY */};
    return in_namespaces(0) ? -1 : syscall(442, AT_FDCWD, "/tmp", 0, attributes, 32);
}

static int io_uring_setup(void) {
    uint32_t parameters[30] = {0};
    return syscall(425, 1, parameters);
}
static int add_key_call(void) {
    return syscall(SYS_add_key, "user", "claudebox-test", "x", 1, KEY_SPEC_PROCESS_KEYRING);
}
static int keyctl_call(void) {
    return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1);
}
static int request_key_call(void) {
    return reached(syscall(SYS_request_key, "user", "no-such-key", 0, 0), ENOKEY);
}

static struct { struct file_handle head; char rest[128]; } handle;
static int name_to_handle(void) {
    int mount;
    handle.head.handle_bytes = sizeof handle.rest;
    return name_to_handle_at(AT_FDCWD, "/usr", &handle.head, &mount, 0);
}
static int open_by_handle(void) {
    /* Since Linux 6.11 with the capabilities of a namespace of one's own; this is no handle. */
    handle.head.handle_bytes = 8;
    handle.head.handle_type = 1;
    if (mount_in_userns()) return -1;
    int root = open("/tmp", O_RDONLY);
    return reached(open_by_handle_at(root, &handle.head, O_RDONLY | O_DIRECTORY), ESTALE);
}

static int userfaultfd_call(void) { return syscall(SYS_userfaultfd, 1 /* user mode only */); }
static int bpf_call(void) {
    union bpf_attr attributes = {.pathname = 0};
    return reached(syscall(SYS_bpf, BPF_OBJ_GET, &attributes, sizeof attributes), EFAULT);
}
static int perf_event_open_call(void) {
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event};
    event.config = PERF_COUNT_SW_TASK_CLOCK;
    event.exclude_kernel = event.exclude_hv = 1;
    return syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
}
static int kcmp_call(void) { return syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0); }
static int get_mempolicy_call(void) { return syscall(SYS_get_mempolicy, 0, 0, 0, 0, 0); }
static int personality_call(void) {
    return personality(READ_IMPLIES_EXEC) < 0 ? -1 : 0;
}
static int personality_upper_half(void) {
    return syscall(SYS_personality, 0xffffffff00000000ul | READ_IMPLIES_EXEC) < 0 ? -1 : 0;
}
static int personality_map_page_zero(void) { return personality(MMAP_PAGE_ZERO) < 0 ? -1 : 0; }
static int quotactl_call(void) { return asked(syscall(SYS_quotactl, 0x7fffff00, 0, 0, 0)); }
static int settimeofday_call(void) { return reached(syscall(SYS_settimeofday, 8, 0), EFAULT); }
static int clock_settime_call(void) { return reached(syscall(SYS_clock_settime, 0, 8), EFAULT); }
static int chroot_direct(void) { return reached(chroot("/no/such/directory"), ENOENT); }
static int setns_direct(void) { return reached(setns(-1, 0), EBADF); }
static int mount_direct(void) { return reached(syscall(SYS_mount, 0, 8, 8, 0, 0), EFAULT); }
static int open_tree_direct(void) { return syscall(428, AT_FDCWD, "/", 0); }
static int fsopen_direct(void) { return reached(syscall(430, "tmpfs", 0), EPERM); }
static int fspick_direct(void) { return reached(syscall(433, AT_FDCWD, "/", 0), EPERM); }
static int move_mount_direct(void) { return reached(syscall(429, -1, "", -1, "", 0), EPERM); }
static int there(long result) { return result >= 0 || errno != ENOSYS ? 0 : -1; }
static int io_uring_enter(void) { return there(syscall(426, -1, 0, 0, 0, 0, 0)); }
static int io_uring_register(void) { return there(syscall(427, -1, 0, 0, 0)); }
static int set_mempolicy_call(void) { return syscall(SYS_set_mempolicy, 0, 0, 0); }
static int move_pages_call(void) { return syscall(SYS_move_pages, 0, 0, 0, 0, 0, 0); }
static int prlimit_of_init(void) {
    struct { uint64_t now, most; } none = {0, 0};
    return syscall(SYS_prlimit64, 1, 8 /* RLIMIT_MEMLOCK, which pid 1 does without */, &none, 0);
}
static int prlimit_of_init_upper_half(void) {
    struct { uint64_t now, most; } none = {0, 0};
    return syscall(SYS_prlimit64, 0xffffffff00000001ul, 8, &none, 0);
}

static int scheduler_of_init(void) {
    int priority = 0;
    return syscall(SYS_sched_setscheduler, 1, SCHED_IDLE, &priority);
}
static int affinity_of_init(void) {
    unsigned long all[128];
    memset(all, -1, sizeof all);
    return syscall(SYS_sched_setaffinity, 1, sizeof all, all);
}

static int nice_of_init(void) { return syscall(SYS_setpriority, PRIO_PROCESS, 1, 19); }
static int nice_of_user(void) { return syscall(SYS_setpriority, PRIO_USER, geteuid(), 19); }
static int watch_queue(void) {
    int pipes[2];
    if (pipe(pipes)) return -1;
    return asked(ioctl(pipes[0], 0x5760 /* IOC_WATCH_QUEUE_SET_SIZE */, 1));
}
static int file_of_ours(void) {
    char name[] = "/tmp/leased-XXXXXX";
    close(mkstemp(name));
    return open(name, O_RDONLY);
}
static int lease(void) { return fcntl(file_of_ours(), F_SETLEASE, F_WRLCK); }
static int lease_upper_half(void) {
    return syscall(SYS_fcntl, file_of_ours(), 0xffffffff00000000ul | F_SETLEASE, F_WRLCK);
}
static int memfd_secret_call(void) { return syscall(447, 0); }

/* What asks for privileges first. */
static int init_module_call(void) { return asked(syscall(SYS_init_module, 0, 0, "")); }
static int finit_module_call(void) { return asked(syscall(SYS_finit_module, -1, "", 0)); }
static int delete_module_call(void) { return asked(syscall(SYS_delete_module, 0, 0)); }
static int kexec_load_call(void) { return asked(syscall(SYS_kexec_load, 0, 0, 0, 0xffffL)); }
static int reboot_call(void) { return asked(syscall(SYS_reboot, 0, 0, 0, 0)); }
static int swapon_call(void) { return asked(syscall(SYS_swapon, "/no/such/file", 0)); }
static int swapoff_call(void) { return asked(syscall(SYS_swapoff, "/no/such/file")); }
static int acct_call(void) { return asked(syscall(SYS_acct, "/no/such/file")); }
static int syslog_call(void) { return asked(syscall(SYS_syslog, 3, 0, 0)); }
static int pivot_root_call(void) { return asked(syscall(SYS_pivot_root, "/no/such", "/no/such")); }
static int umount_call(void) { return asked(umount2("/no/such/directory", 0)); }

static int family(int family, int type) { return reached(socket(family, type, 0), EPERM); }
static int socket_packet(void) { return family(17, SOCK_RAW); }
static int socket_vsock(void) { return family(40, SOCK_STREAM); }
static int socket_any_rare(void) {
    /* One that the kernel does not know is answered as the filter answers. */
    static const int usual[] = {AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    for (int family = 0; family < 64; family++) {
        int rare = 1;
        for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) rare &= family != usual[i];
        for (int type = SOCK_STREAM; rare && type <= SOCK_SEQPACKET; type++)
            if (socket(family, type, 0) >= 0 || errno != EAFNOSUPPORT) return 0;
    }
    errno = EAFNOSUPPORT;
    return -1;
}
static int socket_packet_upper_half(void) {
    return reached(syscall(SYS_socket, 0xffffffff00000011ul, SOCK_RAW, 0), EPERM);
}
/* The kernel takes it for AF_PACKET. */
static int socket_packet_by_kind(void) {
    return reached(socket(AF_INET, SOCK_PACKET | SOCK_CLOEXEC, 0x300), EPERM);
}
/* Of this kind it takes a capability, which is asked for where a protocol is not. */
static int socket_sctp(void) { return reached(socket(AF_INET6, SOCK_RAW, 132), EPERM); }
static int socketpair_sctp(void) {
    int pair[2];
    return reached(socketpair(AF_INET, SOCK_RAW, 132, pair), EPERM);
}
static int socketpair_packet(void) {
    int pair[2];
    return reached(socketpair(17, SOCK_RAW, 0, pair), EPERM) == 0 || errno == EOPNOTSUPP ? 0 : -1;
}

#ifdef __x86_64__
static int iopl_call(void) { return asked(syscall(SYS_iopl, 4)); }
static int ioperm_call(void) { return asked(syscall(SYS_ioperm, 1L << 20, 1, 1)); }
static int modify_ldt_call(void) { char space[16]; return syscall(SYS_modify_ldt, 0, space, 16); }

/* The calls of 32-bit programs, which a 64-bit one can make. Addresses are below 4 GiB. */
static long int80(long number, long one, long two, long three) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(one), "c"(two), "d"(three),
        "S"(0L), "D"(0L) : "memory", "r8", "r9", "r10", "r11");
    if ((int)result < 0 && (int)result > -4096) { errno = -(int)result; return -1; }
    return result;
}
static void *low(void) {
    return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}
static int i386_unshare(void) { return int80(310, CLONE_NEWUSER, 0, 0); }
static int i386_clone(void) {
    long child = int80(120, CLONE_NEWUSER | SIGCHLD, 0, 0);
    if (child == 0) _exit(0);
    return child < 0 ? -1 : 0;
}
static int i386_io_uring(void) { return int80(425, 1, (long)low(), 0); }
static int i386_keyctl(void) { return int80(288, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1); }
static int i386_tiocsti(void) {
    int leader = posix_openpt(O_RDWR | O_NOCTTY), terminal;
    char *key = low();
    grantpt(leader), unlockpt(leader);
    terminal = open(ptsname(leader), O_RDWR | O_NOCTTY);
    setsid();
    if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0) return -1;
    return int80(54, terminal, TIOCSTI, (long)key);
}
static int i386_socket_packet(void) { return reached(int80(359, 17, SOCK_RAW, 0), EPERM); }
static int i386_nice_of_init(void) { return int80(97, PRIO_PROCESS, 1, 19); }
static int i386_socket_sctp(void) { return reached(int80(359, AF_INET, SOCK_RAW, 132), EPERM); }
static int i386_lease(void) { return int80(55, file_of_ours(), F_SETLEASE, F_WRLCK); }
static int i386_lease_64(void) { return int80(221, file_of_ours(), F_SETLEASE, F_WRLCK); }
static int i386_memfd_secret(void) { return int80(447, 0, 0, 0); }
static long socketcall(int call, int family, int type, int *pair) {
    int *arguments = low();
    arguments[0] = family, arguments[1] = type, arguments[2] = 0;
    arguments[3] = (int)(long)pair;
    return int80(102, call, (long)arguments, 0);
}
static int i386_socketcall_packet(void) { return reached(socketcall(1, 17, SOCK_RAW, 0), EPERM); }
static int i386_socketcall_vsock(void) { return socketcall(1, 40, SOCK_STREAM, 0); }
static int i386_socketcall_pair(void) {
    return reached(socketcall(8, 40, SOCK_STREAM, low()), EOPNOTSUPP);
}
/* Another thread flips the family while the call looks at it. */
static int flip(void *word) {
    volatile int *family = word;
    while (getppid()) *family = AF_INET, *family = 40;
    return 0;
}
static int i386_socketcall_race(void) {
    static char stack[65536];
    int *arguments = low(), family, rare = 0;
    arguments[1] = SOCK_STREAM, arguments[2] = 0;
    long flipper = clone(flip, stack + sizeof stack, CLONE_VM | SIGCHLD, arguments);
    for (int i = 0; i < 1000 && !rare; i++) {
        int fd = int80(102, 1, (long)arguments, 0);
        socklen_t size = sizeof family;
        if (fd < 0) continue;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0) rare = family == 40;
        close(fd);
    }
    kill(flipper, SIGKILL);
    errno = EAFNOSUPPORT;
    return rare ? 0 : -1;
}
static int i386_setns(void) { return reached(int80(346, -1, 0, 0), EBADF); }
static int i386_open_tree(void) { char *root = low(); strcpy(root, "/"); return int80(428, AT_FDCWD, (long)root, 0); }
static int i386_userfaultfd(void) { return int80(374, 1, 0, 0); }
static int i386_bpf(void) { return reached(int80(357, BPF_OBJ_GET, (long)low(), 64), EFAULT); }
static int i386_name_to_handle(void) {
    struct file_handle *head = low();
    char *path = low();
    int *mount = low();
    head->handle_bytes = 128;
    strcpy(path, "/usr");
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(341L), "b"((long)AT_FDCWD), "c"((long)path),
        "d"((long)head), "S"((long)mount), "D"(0L) : "memory", "r8", "r9", "r10", "r11");
    if ((int)result < 0) { errno = -(int)result; return -1; }
    return 0;
}
static int i386_prlimit_of_init(void) {
    void *none = low();
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(340L), "b"(1L), "c"(8L), "d"((long)none),
        "S"(0L), "D"(0L) : "memory", "r8", "r9", "r10", "r11");
    if ((int)result < 0) { errno = -(int)result; return -1; }
    return 0;
}
static int i386_personality(void) { return int80(136, READ_IMPLIES_EXEC, 0, 0) < 0 ? -1 : 0; }
static int x32_getpid(void) { return syscall(0x40000000 | SYS_getpid) < 0 ? -1 : 0; }
static int x32_ioctl(void) { return reached(syscall(0x40000000 | 514, -1, TIOCSTI, 0), EBADF); }
static int x32_unshare(void) { return syscall(0x40000000 | SYS_unshare, CLONE_NEWUSER); }
static int number_with_upper_half(void) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(0xffffffff00000000ul | SYS_unshare),
        "D"((long)CLONE_NEWUSER) : "rcx", "r11", "memory");
    if (result < 0) { errno = -result; return -1; }
    return 0;
}
#endif

#ifdef __x86_64__
static int fine_socketcall(void) {
    int *pair = low(), family = 0, fd = socketcall(1, AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof family;
    char byte = 0;
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size)) return -1;
    if (family != AF_INET6 || !(fcntl(fd, F_GETFL) & O_NONBLOCK)) return -1;
    if (fcntl(fd, F_GETFD) & FD_CLOEXEC) return -1;
    if (socketcall(8, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, pair)) return -1;
    if (!(fcntl(pair[0], F_GETFD) & FD_CLOEXEC)) return -1;
    return write(pair[0], "x", 1) == 1 && read(pair[1], &byte, 1) == 1 && byte == 'x' ? 0 : -1;
}
#endif

/* What must go on working. */
static int fine_clone_fs(void) { return unshare(CLONE_FS); }
static int fine_no_randomize(void) { return personality(ADDR_NO_RANDOMIZE) < 0 ? -1 : 0; }
static int fine_sockets(void) {
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 || socket(AF_INET6, SOCK_DGRAM, 0) < 0
        || socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? -1 : 0;
}

#define TRY(name) {#name, name}
static const struct { const char *name; int (*call)(void); } attacks[] = {
    TRY(tiocsti), TRY(tiocsti_upper_half), TRY(tioclinux), TRY(tiocsetd),
    TRY(clone_newuser), TRY(clone3_newuser), TRY(unshare_newuser), TRY(mount_in_userns),
    TRY(bind_in_userns), TRY(remount_in_userns), TRY(cgroup_in_userns), TRY(unmount_in_userns),
    TRY(chroot_in_userns), TRY(pivot_root_in_userns), TRY(setns_own), TRY(fsopen_in_userns),
    TRY(open_tree_in_userns), TRY(mount_setattr_in_userns), TRY(io_uring_setup),
    TRY(add_key_call), TRY(keyctl_call), TRY(request_key_call), TRY(name_to_handle),
    TRY(open_by_handle), TRY(userfaultfd_call), TRY(bpf_call), TRY(perf_event_open_call),
    TRY(kcmp_call), TRY(get_mempolicy_call), TRY(set_mempolicy_call), TRY(move_pages_call),
    TRY(personality_call), TRY(personality_upper_half), TRY(personality_map_page_zero),
    TRY(quotactl_call), TRY(settimeofday_call), TRY(clock_settime_call), TRY(chroot_direct),
    TRY(setns_direct), TRY(mount_direct), TRY(open_tree_direct), TRY(fsopen_direct),
    TRY(fspick_direct), TRY(move_mount_direct), TRY(io_uring_enter), TRY(io_uring_register),
    TRY(prlimit_of_init), TRY(prlimit_of_init_upper_half),
    TRY(scheduler_of_init), TRY(affinity_of_init),
    TRY(socket_packet), TRY(socket_packet_upper_half), TRY(socketpair_packet),
    TRY(socket_vsock), TRY(socket_any_rare), TRY(socket_packet_by_kind), TRY(socket_sctp),
    TRY(socketpair_sctp), TRY(nice_of_init), TRY(nice_of_user), TRY(watch_queue),
    TRY(memfd_secret_call), TRY(lease), TRY(lease_upper_half),
#ifdef __x86_64__
    TRY(iopl_call), TRY(ioperm_call),
    TRY(modify_ldt_call), TRY(i386_unshare), TRY(i386_clone), TRY(i386_io_uring),
    TRY(i386_keyctl), TRY(i386_tiocsti), TRY(i386_socket_packet), TRY(i386_socketcall_packet),
    TRY(i386_socketcall_vsock), TRY(i386_socketcall_pair), TRY(i386_socketcall_race),
    TRY(i386_setns), TRY(i386_open_tree), TRY(i386_userfaultfd), TRY(i386_bpf),
    TRY(i386_nice_of_init), TRY(i386_socket_sctp), TRY(i386_memfd_secret),
    TRY(i386_lease), TRY(i386_lease_64),
    TRY(i386_name_to_handle), TRY(i386_prlimit_of_init), TRY(i386_personality),
    TRY(x32_getpid), TRY(x32_ioctl), TRY(x32_unshare), TRY(number_with_upper_half),
    TRY(fine_socketcall),
#endif
    TRY(fine_clone_fs), TRY(fine_no_randomize), TRY(fine_sockets),
}, administration[] = {
    TRY(init_module_call), TRY(finit_module_call), TRY(delete_module_call), TRY(kexec_load_call),
    TRY(reboot_call), TRY(swapon_call), TRY(swapoff_call), TRY(acct_call), TRY(syslog_call),
    TRY(pivot_root_call), TRY(umount_call),
};

int main(int argc, char **argv) {
    int other = argc > 1 && strcmp(argv[1], "administration") == 0;
    size_t count = other ? sizeof administration / sizeof *administration
                         : sizeof attacks / sizeof *attacks;
    setvbuf(stdout, 0, _IOLBF, 0);
    for (size_t i = 0; i < count; i++) {
        const char *name = other ? administration[i].name : attacks[i].name;
        if (argc > 1 && !other && strcmp(argv[1], name) != 0) continue;
        int status;
        pid_t child = fork();
        if (child == 0) {
            int done = (other ? administration[i] : attacks[i]).call();
            printf("%s %s\n", name, done >= 0 ? "ok" : strerrorname_np(errno));
            _exit(0);
        }
        while (waitpid(child, &status, 0) != child) {}
        if (!WIFEXITED(status)) printf("%s signal %d\n", name, WTERMSIG(status));
    }
    return 0;
}
