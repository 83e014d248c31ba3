/* Takes all of the machine that it is given, up to the number on its command line, and leaves how
 * much it got in a file named after it: `greedy WHAT UP_TO`. Harmless where nothing limits it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1 << 20)

static void note(const char *what, long got) {
    FILE *file = fopen(what, "w");
    if (!file) _exit(9);
    fprintf(file, "%ld", got);
    fclose(file);
}

/* Children that stay. The last word is said when there are no more. */
static void processes(long up_to) {
    long got = 0;
    for (; got < up_to; got++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) for (;;) pause();
    }
    note("processes", got);
    for (;;) pause();
}

/* Mebibytes of memory, by a child that may be killed for it. */
static void memory(long up_to) {
    if (fork() == 0) {
        for (long got = 0; got <= up_to; got++) {
            note("memory", got);
            char *more = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (more == MAP_FAILED) break;
            memset(more, 1, MIB);
        }
        _exit(0);
    }
    wait(0);
}

static long fill(const char *path, long up_to) {
    static char block[MIB];
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return -1;
    long bytes = 0, wrote = 0;
    memset(block, 1, MIB);
    while (bytes < up_to * MIB && (wrote = write(file, block, MIB)) > 0) bytes += wrote;
    close(file);
    return bytes;
}

/* Files that are open at once; one is closed again, to be able to say so. */
static void files(long up_to) {
    long got = 0;
    int last = -1, next;
    while (got < up_to && (next = open("/dev/null", O_RDONLY)) >= 0) last = next, got++;
    close(last);
    note("open-files", got);
}

/* Milliseconds of a processor's time. */
static void cpu(long up_to) {
    while (clock() / (CLOCKS_PER_SEC / 1000) < up_to) {}
    note("cpu", up_to);
}

int main(int argc, char **argv) {
    if (argc != 3) return 8;
    long up_to = atol(argv[2]);
    signal(SIGXFSZ, SIG_IGN);
    if (!strcmp(argv[1], "processes")) processes(up_to);
    else if (!strcmp(argv[1], "memory")) memory(up_to);
    else if (!strcmp(argv[1], "tmp-size")) note("tmp-size", fill("/tmp/fill", up_to));
    else if (!strcmp(argv[1], "file-size")) note("file-size", fill("large", up_to));
    else if (!strcmp(argv[1], "open-files")) files(up_to);
    else if (!strcmp(argv[1], "cpu")) cpu(up_to);
    else return 8;
    return 0;
}
