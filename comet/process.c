/* process: see process.h. SPDX-License-Identifier: MIT */
#include "comet/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/stack.h"

/* glibc reserves some 1.5 KiB of thread-local storage in each thread for libraries that may be loaded later, which we do not
 * do. Without it the stack of an idle connection's thread is one page and not two: 8 KiB less for each connection. Only the
 * loader can leave it out, and it reads its tunables when the program starts: so start once more. If that fails, or
 * the operator has tunables of his own, we go on as we are. */
#define THREAD_TUNABLES "glibc.rtld.nns=1:glibc.rtld.optional_static_tls=0"

#if STACK_SCALE == 1 /* sanitizers report much about loading and nothing about memory */
/* Has this process started itself once more already? From a program with capabilities of its own (setcap) the loader of glibc 2.39 takes
 * the tunables away, and it would start itself for ever. */
static bool is_second_start(void)
{
	static const char mark[] = "_COMET_STARTED_BY";
	const char *before = getenv(mark);
	char pid[24];
	bool is;

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	is = before != NULL && strcmp(before, pid) == 0; /* not of one that started another comet */
	if (is)
		(void)unsetenv(mark);
	return is || setenv(mark, pid, 1) < 0;
}

void process_slim_threads(char **argv)
{
	char path[4096];
	ssize_t n;

	if (is_second_start() || getenv("GLIBC_TUNABLES") != NULL)
		return;
	/* By its path and not as /proc/self/exe, or the process would be called exe. */
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n <= 0 || setenv("GLIBC_TUNABLES", THREAD_TUNABLES, 1) < 0)
		return;
	path[n] = '\0';
	(void)execv(path, argv);
}
#else
void process_slim_threads(char **argv)
{
	(void)argv;
}
#endif

/* As many as we may have without asking anybody. */
void process_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		LOG(LOG_WARN, log_what(EVENT_FILES_LIMIT_KEPT), log_str("error", err_text(errno)));
}

/* The kernel doubles a process's table of files as it fills, and where the process has threads all that want a file wait until each core has
 * seen the new table: 5 to 18 ms each time, which those who come in meanwhile see. Now there is no other thread, and 8 bytes a file are
 * not much; beyond that a doubling is rare. */
#define FILES_AT_ONCE 65536
#define OTHER_FILES   256 /* than those of connections */

void process_enlarge_file_table(int64_t connections)
{
	int64_t n = connections < FILES_AT_ONCE - OTHER_FILES ? connections + OTHER_FILES : FILES_AT_ONCE;
	struct rlimit files;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && (rlim_t)n > files.rlim_cur)
		n = (int64_t)files.rlim_cur;
	/* Where that is refused the table grows as ever. */
	if ((fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, (int)n - 1)) >= 0)
		(void)close(fd);
}

/* Since Linux 6.16 a process has a futex table of its own, sized by cores. With thousands of sleeping threads each wake
 * would walk a long chain. It can be set only now: growing it under load is not safe. Older kernels say EINVAL, and have
 * one large table for all. The numbers are PR_FUTEX_HASH and PR_FUTEX_HASH_SET_SLOTS of linux/prctl.h. */
void process_enlarge_futex_table(int64_t threads)
{
	const int pr_futex_hash = 78, set_slots = 1;
	unsigned long slots = 256;

	while (slots < 65536 && (int64_t)slots < threads)
		slots *= 2;
	(void)prctl(pr_futex_hash, set_slots, slots, 0, 0);
}
