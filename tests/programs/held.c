/* Executes a program while a process that shares the old one's memory lives on (`held`) or not (`alone`). */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int hold(void *nothing)
{
	struct timespec second = {1, 0};
	(void)nothing;
	nanosleep(&second, NULL);
	_exit(0);
}

int main(int count, char **words)
{
	if (count < 3)
		return 2;
	if (strcmp(words[1], "held") == 0) {
		char *stack = malloc(65536);
		if (clone(hold, stack + 65536, CLONE_VM | SIGCHLD, NULL) < 0)
			return 3;
	}
	execv(words[2], words + 2);
	return 4;
}
