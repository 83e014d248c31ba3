/* Starts the program LEAF (first argument) in every way C knows. Each case passes its own name as
 * the second argument, and prints "NAME STATUS" as waitpid gave it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char *leaf;

static char **args(char *status, char *name) {
    static char *argv[4];
    argv[0] = "leaf", argv[1] = status, argv[2] = name, argv[3] = NULL;
    return argv;
}

static void ended(const char *name, pid_t pid) {
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        printf("%s not-started\n", name);
        return;
    }
    if (WIFSIGNALED(status))
        printf("%s -%d\n", name, WTERMSIG(status));
    else
        printf("%s %d\n", name, WEXITSTATUS(status));
    fflush(stdout);
}

static int dir_of_leaf(char *name) {
    char copy[4096];
    strcpy(copy, leaf);
    char *slash = strrchr(copy, '/');
    *slash = 0;
    strcpy(name, slash + 1);
    return open(copy, O_PATH | O_DIRECTORY);
}

static int memfd_of(const char *path, int flags) {
    int from = open(path, O_RDONLY), to = memfd_create("copy", flags);
    char buffer[65536];
    for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;)
        if (write(to, buffer, got) != got)
            abort();
    close(from);
    return to;
}

static void *exec_in_thread(void *unused) {
    (void)unused;
    execv(leaf, args("18", "thread"));
    _exit(100);
}

static void *exec_raced(void *unused) {
    (void)unused;
    execv(leaf, args("24", "raced"));
    return NULL;
}

static char child_stack[65536];
static int cloned(void *unused) {
    (void)unused;
    execv(leaf, args("26", "clone-vfork"));
    _exit(100);
}

int main(int argc, char **argv) {
    pid_t pid;
    char command[4200], name[4096], *missing = "/nonexistent/leaf";
    leaf = argv[1];
    (void)argc;

    if (!(pid = fork()))
        execv(leaf, args("10", "fork")), _exit(100);
    ended("fork", pid);

    if (!(pid = vfork()))
        execv(leaf, args("11", "vfork")), _exit(100);
    ended("vfork", pid);

    if (posix_spawn(&pid, leaf, NULL, NULL, args("12", "posix_spawn"), environ))
        pid = -1;
    ended("posix_spawn", pid);

    snprintf(command, sizeof command, "%s 13 system", leaf);
    printf("system %d\n", WEXITSTATUS(system(command)));

    if (!(pid = fork())) {
        int dir = dir_of_leaf(name);
        syscall(SYS_execveat, dir, name, args("14", "execveat"), environ, 0), _exit(100);
    }
    ended("execveat", pid);

    if (!(pid = fork())) {
        int fd = open(leaf, O_PATH);
        syscall(SYS_execveat, fd, "", args("15", "empty-path"), environ, AT_EMPTY_PATH), _exit(100);
    }
    ended("empty-path", pid);

    if (!(pid = fork())) {
        fexecve(memfd_of(leaf, MFD_CLOEXEC), args("16", "memfd"), environ), _exit(100);
    }
    ended("memfd", pid);

    if (!(pid = fork())) {
        int fd = open(leaf, O_RDONLY);
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        execv(name, args("17", "proc-fd")), _exit(100);
    }
    ended("proc-fd", pid);

    if (!(pid = fork())) {
        pthread_t thread;
        pthread_create(&thread, NULL, exec_in_thread, NULL);
        pthread_join(thread, NULL);
        _exit(101);
    }
    ended("thread", pid);

    if (!(pid = fork())) {
        pthread_t thread;
        for (int at = 0; at < 8; at++)
            pthread_create(&thread, NULL, exec_raced, NULL);
        for (;;)
            pause();
    }
    ended("raced", pid);

    if (!(pid = fork())) {
        execv(missing, args("1", "missing")), execv("/", args("1", "directory"));
        execv("/etc/passwd", args("1", "no-x")), execv(leaf, args("19", "after-misses"));
    }
    ended("after-misses", pid);

    if (!(pid = fork()))
        execv(missing, args("1", "only-missing")), _exit(127);
    ended("only-missing", pid);

    if (!(pid = fork()))
        execv(leaf, args("-11", "signal")), _exit(100);
    ended("signal", pid);

    if (!(pid = fork())) {
        char *none[] = {NULL};
        execv(leaf, none), _exit(100);
    }
    ended("no-arguments", pid);

    if (!(pid = fork())) {
        syscall(SYS_execve, (char *)8, args("1", "bad-path"), environ);
        syscall(SYS_execve, leaf, (char **)8, environ);
        char *bad[] = {"leaf", (char *)8, "bad-argument", NULL};
        syscall(SYS_execve, leaf, bad, environ);
        char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(page + 4096, 4096);
        memset(page, 'x', 4096);
        char *open_end[] = {"leaf", page, "open-end", NULL};
        syscall(SYS_execve, leaf, open_end, environ);
        memcpy(page + 4096 - 8, "at-edge", 8);
        execv(leaf, args("20", page + 4096 - 8)), _exit(100);
    }
    ended("at-edge", pid);

    if (!(pid = fork()))
        execl("/usr/bin/env", "env", "nice", leaf, "21", "env-chain", NULL), _exit(100);
    ended("env-chain", pid);

    if (!(pid = fork()))
        execv(leaf, args("22", "\xff\x1b[31m\n\xe2\x80\xae")), _exit(100);
    ended("bytes", pid);

    if (!(pid = fork())) {
        char *big = malloc(30000);
        memset(big, 'b', 29999), big[29999] = 0;
        execl(leaf, "leaf", "23", big, "big", NULL), _exit(100);
    }
    ended("big", pid);

    if (!(pid = fork())) {
        char *huge = malloc(100000);
        memset(huge, 'h', 99999), huge[99999] = 0;
        execl(leaf, "leaf", "29", huge, "huge", NULL), _exit(100);
    }
    ended("huge", pid);

    if (!(pid = fork())) {
        char **many = calloc(20003, sizeof *many);
        for (int at = 0; at < 20002; at++)
            many[at] = at == 1 ? "25" : "many";
        execv(leaf, many), _exit(100);
    }
    ended("many", pid);

    pid = clone(cloned, child_stack + sizeof child_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    ended("clone-vfork", pid);

    if (!(pid = fork())) {
        syscall(SYS_execveat, AT_FDCWD, leaf, args("1", "check"), environ, 0x10000);
        execv(leaf, args("27", "after-check")), _exit(100);
    }
    ended("after-check", pid);

    if (!(pid = fork())) {
        execv("/proc/self/exe", (char *[]){"spawns", "--again", "self", NULL}), _exit(100);
    }
    ended("self", pid);
    return 0;
}

__attribute__((constructor)) static void again(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--again"))
        _exit(28);
}
