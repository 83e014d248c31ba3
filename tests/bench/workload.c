/* What the benchmark runs inside a sandbox. It prints one number of nanoseconds, measured here and
 * not by whoever started it, so that a sandbox's own start is never part of it.
 *
 *   workload stamp                 CLOCK_MONOTONIC_RAW at the first line of main
 *   workload spawn SPAWNERS TOTAL  TOTAL x posix_spawn(/bin/true) + wait, by SPAWNERS processes
 *   workload time COMMAND...       one command, which must succeed
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Starts a program and waits for it; 0 if it succeeded. */
static int run(const char *file, char *const argv[])
{
    pid_t pid;
    int status;
    if (posix_spawnp(&pid, file, NULL, NULL, argv, environ) != 0)
        return 1;
    if (waitpid(pid, &status, 0) != pid)
        return 1;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static int spawn_many(long spawners, long total)
{
    char *argv[] = {"/bin/true", NULL};
    int failed = 0;
    for (long s = 0; s < spawners; s++) {
        pid_t pid = fork();
        if (pid < 0)
            return 1;
        if (pid > 0)
            continue;
        for (long i = total * s / spawners; i < total * (s + 1) / spawners; i++)
            if (run(argv[0], argv) != 0)
                _exit(1);
        _exit(0);
    }
    for (long s = 0; s < spawners; s++) {
        int status;
        if (wait(&status) < 0 || status != 0)
            failed = 1;
    }
    return failed;
}

int main(int argc, char **argv)
{
    long long start = now();
    int failed = 1;
    if (argc == 2 && strcmp(argv[1], "stamp") == 0) {
        printf("%lld\n", start);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "spawn") == 0)
        failed = spawn_many(atol(argv[2]), atol(argv[3]));
    else if (argc > 2 && strcmp(argv[1], "time") == 0)
        failed = run(argv[2], argv + 2);
    printf("%lld\n", now() - start);
    return failed;
}
