/* Many processes at once, and what can befall a process whose exec waits.
 *
 *   storm many N LEAF      N processes, each executes LEAF twice (through a forked child)
 *   storm signals N LEAF   N execs of processes that are sent SIGURG all the time, which they
 *                          handle without SA_RESTART; prints how often execve(2) said EINTR
 *   storm killed N LEAF    N execs of processes that are killed at some moment; prints how many
 *                          ended by the signal
 *   storm sleep N LEAF     N processes that have all executed a program before the first ends */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void handler(int signal) { (void)signal; }

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    const char *mode = argv[1];
    char *leaf = argv[3], name[16];
    int count = atoi(argv[2]), killed = 0, status;
    int *interrupted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t *pids = calloc(count, sizeof *pids);

    /* Orphans are waited for here. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int at = 0; at < count; at++) {
        snprintf(name, sizeof name, "s%d", at);
        char *args[] = {"leaf", "0", (char *)mode, name, NULL};
        pid_t pid = fork();
        if (pid == 0) {
            if (!strcmp(mode, "many") && fork() == 0)
                execv(leaf, args), _exit(100);
            if (!strcmp(mode, "sleep"))
                execl("/bin/sleep", "sleep", "1", NULL), _exit(100);
            if (!strcmp(mode, "signals")) {
                struct sigaction action = {.sa_handler = handler};
                sigaction(SIGURG, &action, NULL);
                while (execv(leaf, args) && errno == EINTR)
                    __atomic_add_fetch(interrupted, 1, __ATOMIC_SEQ_CST);
                _exit(100);
            }
            execv(leaf, args), _exit(100);
        }
        pids[at] = pid;
        if (!strcmp(mode, "signals")) {
            while (waitpid(pid, &status, WNOHANG) == 0)
                kill(pid, SIGURG), usleep(200);
            if (status)
                return 1;
        } else if (!strcmp(mode, "killed")) {
            usleep(rand() % 1000);
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            killed += WIFSIGNALED(status);
        }
    }
    while (wait(&status) > 0 || errno == EINTR)
        ;
    printf("%d\n", strcmp(mode, "signals") ? killed : *interrupted);
    return 0;
}
