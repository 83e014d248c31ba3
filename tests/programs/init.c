/* Attacks on one process: `init PID` on that one, `init victim` on children made for it, of the
   same user and with nothing to hide. Prints `NAME ok`, or the name and why not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *in_proc(pid_t target, const char *name) {
    static char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", target, name);
    return path;
}
static int readable(pid_t target, const char *name) {
    char byte;
    int fd = open(in_proc(target, name), O_RDONLY);
    return fd < 0 || read(fd, &byte, 1) < 0 ? -1 : 0;
}
static int link_shown(pid_t target, const char *name) {
    char text[256];
    return readlink(in_proc(target, name), text, sizeof text) < 0 ? -1 : 0;
}

static int trace_attach(pid_t target) { return ptrace(PTRACE_ATTACH, target, 0, 0); }
static int trace_seize(pid_t target) { return ptrace(PTRACE_SEIZE, target, 0, 0); }
/* No address of it is known; to be told that this one is wrong is to be let in. */
static int memory_read(pid_t target) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)8, 1};
    return process_vm_readv(target, &here, 1, &there, 1, 0) >= 0 || errno == EFAULT ? 0 : -1;
}
static int memory_write(pid_t target) {
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)8, 1};
    return process_vm_writev(target, &here, 1, &there, 1, 0) >= 0 || errno == EFAULT ? 0 : -1;
}
static int memory_file(pid_t target) { return open(in_proc(target, "mem"), O_RDWR); }
static int memory_map(pid_t target) { return readable(target, "maps"); }
static int memory_advise(pid_t target) {
    struct iovec there = {(void *)4096, 4096};
    int fd = syscall(SYS_pidfd_open, target, 0);
    int done = syscall(440, fd, &there, 1, 20 /* MADV_COLD */, 0);
    /* For others it takes a capability, which is asked for after the right to look. */
    return done >= 0 || errno == ENOMEM || errno == EPERM ? 0 : -1;
}
static int environment(pid_t target) { return readable(target, "environ"); }
static int auxiliary_vector(pid_t target) { return readable(target, "auxv"); }
static int system_call(pid_t target) { return readable(target, "syscall"); }
static int input_output(pid_t target) { return readable(target, "io"); }
/* Root may list the numbers of a process of root that hides; what they are is another matter. */
static int any_descriptor(pid_t target, int (*use)(const char *)) {
    int refused = EACCES;
    for (int number = 0; number < 16; number++) {
        char name[16];
        snprintf(name, sizeof name, "fd/%d", number);
        if (use(in_proc(target, name)) >= 0) return 0;
        if (errno != ENOENT) refused = errno;
    }
    errno = refused;
    return -1;
}
static int show(const char *path) { char text[256]; return readlink(path, text, sizeof text); }
static int open_it(const char *path) { return open(path, O_RDONLY | O_NONBLOCK); }
static int descriptor_shown(pid_t target) { return any_descriptor(target, show); }
static int descriptor_opened(pid_t target) { return any_descriptor(target, open_it); }
static int descriptor_taken(pid_t target) {
    int fd = syscall(SYS_pidfd_open, target, 0);
    for (int number = 0; number < 16; number++)
        if (syscall(SYS_pidfd_getfd, fd, number, 0) >= 0) return 0;
    return -1;
}
static int directory_shown(pid_t target) { return link_shown(target, "cwd"); }
static int directory_entered(pid_t target) { return chdir(in_proc(target, "cwd")); }
static int root_entered(pid_t target) { return chdir(in_proc(target, "root")); }
static int executable_shown(pid_t target) { return link_shown(target, "exe"); }
static int executable_opened(pid_t target) { return open(in_proc(target, "exe"), O_RDONLY); }
static int namespace_shown(pid_t target) { return link_shown(target, "ns/net"); }
static int namespace_opened(pid_t target) { return open(in_proc(target, "ns/user"), O_RDONLY); }
static int limits_set(pid_t target) {
    struct rlimit few = {3, 3};
    return prlimit(target, RLIMIT_NOFILE, &few, 0);
}

/* Whether it runs no more: dead or stopped. A signal that init ignores is sent with success. */
static int over(pid_t target) {
    for (int tries = 0; tries < 25; tries++) {
        char text[512] = "", *after;
        int fd = open(in_proc(target, "stat"), O_RDONLY);
        if (fd < 0) return 0;
        if (read(fd, text, sizeof text - 1) < 0) return 0;
        close(fd);
        after = strrchr(text, ')');
        if (after && strchr("ZXTt", after[2])) return 0;
        usleep(4000);
    }
    errno = EALREADY; /* it lives */
    return -1;
}
static int kill_it(pid_t target) { kill(target, SIGKILL); return over(target); }
static int stop_it(pid_t target) { kill(target, SIGSTOP); return over(target); }
static int any_signal(pid_t target) {
    for (int number = 1; number <= 64; number++) kill(target, number);
    return over(target);
}
static int kill_thread(pid_t target) {
    syscall(SYS_tgkill, target, target, SIGKILL);
    return over(target);
}
static int kill_by_pidfd(pid_t target) {
    syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, target, 0), SIGKILL, 0, 0);
    return over(target);
}
static int kill_by_owner(pid_t target) {
    /* The kernel itself sends it, for a pipe whose owner was set to be the target. */
    int ends[2];
    if (pipe(ends)) return -1;
    fcntl(ends[0], F_SETOWN, target), fcntl(ends[0], F_SETSIG, SIGKILL);
    fcntl(ends[0], F_SETFL, O_ASYNC);
    if (write(ends[1], "x", 1) != 1) return -1;
    return over(target);
}

static const struct { const char *name; int (*attack)(pid_t); } attacks[] = {
#define TRY(name) {#name, name}
    TRY(trace_attach), TRY(trace_seize), TRY(memory_read), TRY(memory_write), TRY(memory_file),
    TRY(memory_map), TRY(memory_advise), TRY(environment), TRY(auxiliary_vector),
    TRY(system_call), TRY(input_output), TRY(descriptor_shown), TRY(descriptor_opened),
    TRY(descriptor_taken), TRY(directory_shown), TRY(directory_entered), TRY(root_entered),
    TRY(executable_shown), TRY(executable_opened), TRY(namespace_shown), TRY(namespace_opened),
    TRY(limits_set), TRY(kill_it), TRY(stop_it), TRY(any_signal), TRY(kill_thread),
    TRY(kill_by_pidfd), TRY(kill_by_owner),
};

static pid_t sleeper(void) {
    int ready[2];
    if (pipe(ready)) exit(1);
    pid_t child = fork();
    if (child == 0) {
        if (open("/dev/null", O_RDONLY) < 0) exit(1);
        close(ready[0]), close(ready[1]);
        for (;;) pause();
    }
    char byte;
    close(ready[1]);
    if (read(ready[0], &byte, 1) < 0) exit(1);
    close(ready[0]);
    return child;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    setvbuf(stdout, 0, _IOLBF, 0);
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        pid_t victim = strcmp(argv[1], "victim") == 0 ? sleeper() : 0;
        pid_t target = victim ? victim : atoi(argv[1]), child = fork();
        if (child == 0) {
            int done = attacks[i].attack(target);
            /* Which of the two is said depends on the kernel's version, and on being root. */
            if (errno == EACCES) errno = EPERM;
            printf("%s %s\n", attacks[i].name, done >= 0 ? "ok" : strerrorname_np(errno));
            _exit(0);
        }
        waitpid(child, 0, 0);
        if (victim) kill(victim, SIGKILL), waitpid(victim, 0, 0);
    }
    return 0;
}
