/* Executes a program while a process that shares the old one's memory lives on (`held`) or not (`alone`). */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "hold.h"

int main(int count, char **words)
{
	if (count < 3)
		return 2;
	if (strcmp(words[1], "held") == 0 && hold() < 0)
		return 3;
	execv(words[2], words + 2);
	return 4;
}
