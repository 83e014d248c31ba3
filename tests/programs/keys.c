/* `keys plant COMMAND...`: runs a command in a new session keyring that holds a secret.
   `keys find`: looks for the secret, and prints it or why not. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char secret[64] = "planted-in-the-keyring";
    if (argc > 2 && strcmp(argv[1], "plant") == 0) {
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) < 0) return 97;
        if (syscall(SYS_add_key, "user", "claudebox-test", secret, strlen(secret),
                    KEY_SPEC_SESSION_KEYRING) < 0) return 98;
        execvp(argv[2], argv + 2);
        return 99;
    }
    long key = syscall(SYS_request_key, "user", "claudebox-test", 0, 0);
    memset(secret, 0, sizeof secret);
    if (key >= 0) key = syscall(SYS_keyctl, KEYCTL_READ, key, secret, sizeof secret - 1);
    puts(key >= 0 ? secret : strerrorname_np(errno));
    return 0;
}
