/* `secret PROGRAM WORD...`: executes a program with these words, all of which lie in memory that only
   its owner and the kernel can read (memfd_secret(2)), or in ordinary memory where there is none. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int fd = syscall(447 /* memfd_secret */, 0);
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    if (argc == 1) return fd < 0;
    if (fd >= 0 && ftruncate(fd, 8192)) return 1;
    char **words = mmap(0, 8192, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (words == MAP_FAILED) return 1;
    char *text = (char *)words + 4096;
    for (int i = 1; i < argc; i++) {
        words[i - 1] = strcpy(text, argv[i]);
        text += strlen(argv[i]) + 1;
    }
    execve(words[0], words, 0);
    return 1;
}
