/* A process that shares the memory of the one that starts it, and lives on for a second: the old memory is in
 * use then although an exec succeeded. Needs _GNU_SOURCE. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int sleeps(void *nothing)
{
	struct timespec second = {1, 0};
	(void)nothing;
	nanosleep(&second, NULL);
	_exit(0);
}

static int hold(void)
{
	char *stack = malloc(65536);

	return clone(sleeps, stack + 65536, CLONE_VM | SIGCHLD, NULL);
}
