/* dying: for cases where the program must stop. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_DYING_H
#define TESTS_UNIT_DYING_H

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run fn in a child and tell what became of it: 0 it returned, n > 0 killed by signal n (SIGABRT for a BUG), negative: it
 * went on its own (as sanitizers do). What it said on stderr goes to `words`. */
static inline int dying(void (*fn)(void), char *words, size_t words_bytes)
{
	size_t got = 0;
	ssize_t n;
	int ends[2], status;
	pid_t child;

	words[0] = '\0';
	if (pipe(ends) < 0 || (child = fork()) < 0)
		return -1000;
	if (child == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		/* cmocka would catch it, and go on with its tests in the child. */
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGBUS, SIG_DFL);
		(void)alarm(20);
		fn();
		_exit(0);
	}
	(void)close(ends[1]);
	while (got + 1 < words_bytes && (n = read(ends[0], words + got, words_bytes - 1 - got)) > 0)
		got += (size_t)n;
	words[got] = '\0';
	(void)close(ends[0]);
	if (waitpid(child, &status, 0) != child)
		return -1000;
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

#endif
