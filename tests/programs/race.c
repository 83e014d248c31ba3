/* Attacks the log of execs. It executes itself, from one of two copies, with one of two words; a
 * second writer flips path and word in memory all the time, so that what is read before the exec
 * and what runs are often not the same. What really ran writes itself into the file $REPORT.
 *
 *   race driver MODE 000000    runs $COUNT attacks, one after the other, with $WRITER
 *   race victim MODE 000001    (between: has executed once already)
 *   race report truth? 000001  what really runs
 *
 * All three words have equal lengths on purpose: the attacker rewrites its own argv into the one
 * that the log shall believe, and calls what new programs call.
 *
 * MODE   plain: only flip. exed: after a first exec. thrd: a thread executes while the leader
 *        pretends to be a new program. lead: the leader executes while threads pretend.
 *        fail: an exec fails, then the old program pretends; then the flipped exec.
 *        A capital first letter: the same after a first exec.
 * WRITER thread | vm | shared | mem | none */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003

extern char **environ;

static struct memory {
    char path[256];
    char word[8];
} *memory;
static const char *paths[2], *writer;
static char **own_argv;
static pid_t victim;

static void put(const char *path, const char *word) {
    memcpy(memory->path, path, strlen(path) + 1);
    memcpy(memory->word, word, 7);
}

static void flip_for_ever(void) {
    for (unsigned at = 0;; at++) {
        put(paths[at & 1], at & 2 ? "truth1" : "truth0");
        for (volatile int wait = 0; wait < (int)(at % 61); wait++)
            ;
        if (!(at & 1023) && syscall(SYS_getppid) != victim && strcmp(writer, "thread"))
            syscall(SYS_exit, 0);
    }
}

static void flip_through_mem(void) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/mem", victim);
    int fd = open(name, O_RDWR);
    struct memory mine[2] = {{.word = "truth0"}, {.word = "truth1"}};
    strcpy(mine[0].path, paths[0]), strcpy(mine[1].path, paths[1]);
    for (unsigned at = 0;; at++) {
        int failed = pwrite(fd, mine[at & 1].path, 256, (off_t)(uintptr_t)memory->path) < 0;
        failed |= pwrite(fd, mine[(at >> 1) & 1].word, 7, (off_t)(uintptr_t)memory->word) < 0;
        if (failed || (!(at & 255) && getppid() != victim))
            _exit(0);
    }
}

static void *flip_thread(void *unused) {
    (void)unused;
    flip_for_ever();
    return NULL;
}

static int flip_peer(void *unused) {
    (void)unused;
    flip_for_ever();
    return 0;
}

static void start_writer(void) {
    static char stack[65536];
    pthread_t thread;
    pid_t child;
    if (!strcmp(writer, "thread")) {
        pthread_create(&thread, NULL, flip_thread, NULL);
    } else if (!strcmp(writer, "vm")) {
        clone(flip_peer, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
    } else if (!strcmp(writer, "shared")) {
        if (!(child = fork()))
            flip_for_ever();
    } else if (!strcmp(writer, "mem")) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
        if (!(child = fork()))
            flip_through_mem();
    }
}

/* Does what the C library of a new program does first, with no effect. */
static void pretend(void) {
#if defined(__x86_64__)
    unsigned long fs;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
    syscall(SYS_arch_prctl, ARCH_SET_FS, fs);
#else
    syscall(SYS_set_tid_address, &memory);
#endif
}

static void *pretend_thread(void *unused) {
    for (;;)
        pretend();
    return unused;
}

static void run(void) {
    char *argv[] = {own_argv[0], "report", memory->word, own_argv[3], NULL};
    execve(memory->path, argv, environ);
}

static void *run_thread(void *unused) {
    (void)unused;
    run();
    _exit(99);
    return NULL;
}

static void attack(const char *mode) {
    pthread_t thread;
    char kind = tolower(*mode);
    victim = getpid();
    memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                  (strcmp(writer, "shared") ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS, -1, 0);
    put(paths[0], "truth0");
    start_writer();
    /* From here on, the old program's argv is the one to be believed. */
    memcpy(own_argv[1], "report", 6);
    memcpy(own_argv[2], "truth0", 6);
    for (volatile int wait = 0; wait < (rand() & 0xffff); wait++)
        ;
    switch (kind) {
    case 't':
        pthread_create(&thread, NULL, run_thread, NULL);
        pretend_thread(NULL);
        break;
    case 'l':
        for (int at = 0; at < 3; at++)
            pthread_create(&thread, NULL, pretend_thread, NULL);
        run();
        break;
    case 'f': {
        char *argv[] = {own_argv[0], "report", "truth0", own_argv[3], NULL};
        execve("/nonexistent/race", argv, environ);
        pretend(), pretend(), pretend();
        run();
        break;
    }
    default:
        run();
    }
    _exit(98);
}

int main(int argc, char **argv) {
    own_argv = argv;
    if (argc == 4 && !strcmp(argv[1], "report")) {
        char line[512], exe[256] = {0};
        if (readlink("/proc/self/exe", exe, sizeof exe - 1) < 0)
            return 1;
        int len = snprintf(line, sizeof line, "%s %s %s\n", argv[3], argv[2], strrchr(exe, '/') + 1);
        int fd = open(getenv("REPORT"), O_WRONLY | O_APPEND);
        return write(fd, line, len) != len;
    }
    writer = getenv("WRITER");
    paths[0] = getenv("PATH_A"), paths[1] = getenv("PATH_B");
    if (argc == 4 && !strcmp(argv[1], "victim"))
        srand(getpid()), attack(argv[2]);
    int count = atoi(getenv("COUNT"));
    for (int at = 0; at < count; at++) {
        pid_t pid = fork();
        if (!pid) {
            snprintf(argv[3], 7, "%06u", at % 1000000u);
            srand(getpid());
            if (isupper(*argv[2])) {
                char *again[] = {argv[0], "victim", argv[2], argv[3], NULL};
                execve(paths[0], again, environ);
                _exit(97);
            }
            attack(argv[2]);
        }
        int status;
        if (waitpid(pid, &status, 0) != pid)
            return 1;
    }
    return 0;
}
