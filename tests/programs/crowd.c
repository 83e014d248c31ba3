/* Keeps more descriptors on their way between two sockets than its user is granted, and asks for a
   socket by socketcall(2) of 32-bit programs: while they are, and when they are not any more. Prints
   `crowded` and `free`, each with what came of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static long socketcall(int *arguments) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(102L), "b"(1L), "c"((long)arguments)
        : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}
static int send_many(int to, int fd, int count) {
    char space[CMSG_SPACE(sizeof(int) * 200)] = {0}, byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {0};
    message.msg_iov = &data, message.msg_iovlen = 1;
    message.msg_control = space, message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (int i = 0; i < count; i++) ((int *)CMSG_DATA(head))[i] = fd;
    return sendmsg(to, &message, MSG_DONTWAIT) < 0 ? -1 : 0;
}
static void tell(const char *when, long result) {
    printf("%s %s\n", when, result < 0 ? strerrorname_np(-result) : "ok");
}
int main(void) {
    int pair[2], *arguments;
    struct rlimit limit;
    alarm(20); /* for who is never answered */
    arguments = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    arguments[0] = AF_INET, arguments[1] = SOCK_STREAM, arguments[2] = 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 1000) return 2;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)) return 3;
    while (send_many(pair[0], pair[0], 200) == 0) {}
    if (errno != ETOOMANYREFS) return 4;
    tell("crowded", socketcall(arguments));
    close(pair[0]), close(pair[1]);
    /* What nobody can receive any more is collected by the kernel, a moment later. */
    for (int i = 0; i < 5000; i++) {
        long result = socketcall(arguments);
        if (result >= 0 || result == -ENOSYS) return tell("free", result), 0;
        usleep(1000);
    }
    return 5;
}
