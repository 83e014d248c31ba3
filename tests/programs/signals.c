/* Tries to end processes of the host, each by another way: WAYS of them, whose numbers are argv.
 * Each leads a process group of its own. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static siginfo_t queued(void) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGKILL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    return info;
}

/* Lets the kernel send it when there is something to read. */
static void owned(int command, const void *owner, long number) {
    int ends[2];
    if (pipe(ends) != 0)
        return;
    if (owner != NULL)
        fcntl(ends[0], command, owner);
    else
        fcntl(ends[0], command, number);
    fcntl(ends[0], F_SETSIG, SIGKILL);
    fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    (void)!write(ends[1], "x", 1);
}

int main(int argc, char **argv) {
    int pids[9];
    if (argc != 10)
        return 2;
    for (int i = 0; i < 9; i++)
        pids[i] = atoi(argv[i + 1]);
    siginfo_t info = queued();
    kill(pids[0], SIGKILL);
    kill(-pids[1], SIGKILL);
    syscall(SYS_tkill, pids[2], SIGKILL);
    syscall(SYS_tgkill, pids[3], pids[3], SIGKILL);
    syscall(SYS_rt_sigqueueinfo, pids[4], SIGKILL, &info);
    syscall(SYS_rt_tgsigqueueinfo, pids[5], pids[5], SIGKILL, &info);
    syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, pids[6], 0), SIGKILL, NULL, 0);
    struct f_owner_ex thread = {F_OWNER_TID, pids[7]};
    owned(F_SETOWN_EX, &thread, 0);
    owned(F_SETOWN, NULL, -pids[8]);
    return 0;
}
