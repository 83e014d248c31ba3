/* Tells what of the kernel's own files in /proc can be opened: `w PATH` for writing, `r PATH` if a
   byte of it can be read. Nothing is written. */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int look(const char *path, const struct stat *facts, int kind, struct FTW *at) {
    int fd;
    if (at->level == 1 && (isdigit(path[6]) || kind == FTW_SL)) return FTW_SKIP_SUBTREE;
    if (kind != FTW_F || !S_ISREG(facts->st_mode)) return FTW_CONTINUE;
    fd = open(path, O_WRONLY | O_NONBLOCK);
    if (fd >= 0) printf("w %s\n", path), close(fd);
    if (at->level == 1 && (fd = open(path, O_RDONLY | O_NONBLOCK)) >= 0) {
        char byte;
        /* Whoever reads this one takes it away from the host's log. */
        int log = strcmp(path, "/proc/kmsg") == 0;
        if (log || read(fd, &byte, 1) == 1) printf("r %s\n", path);
        close(fd);
    }
    return FTW_CONTINUE;
}

int main(void) { return nftw("/proc", look, 32, FTW_PHYS | FTW_ACTIONRETVAL); }
