/* Runs a program that the log shall take for a miss of a search along PATH: ./unseen, a copy of this one,
 * which notes that it ran and executes the same words by another path.
 *   hides (held|alone) (plain|gone) WORDS...
 * held: a process that shares the first program's memory lives on, so that the old memory is in use although
 * the exec succeeded. plain: nothing more. gone: ./unseen removes its own file, so that its path leads nowhere. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hold.h"

int main(int count, char **words)
{
	const char *how = getenv("UNSEEN");

	if (how) {
		close(open("it-ran", O_CREAT | O_WRONLY, 0666));
		if (strcmp(how, "gone") == 0)
			unlink("unseen");
		execv("/bin/true", words);
		return 5;
	}
	if (count < 4)
		return 2;
	if (strcmp(words[1], "held") == 0 && hold() < 0)
		return 3;
	setenv("UNSEEN", words[2], 1);
	execv("./unseen", words + 3);
	return 4;
}
