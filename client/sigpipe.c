/* sigpipe: see sigpipe.h. SPDX-License-Identifier: MIT */
#include "client/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

void sigpipe_hold(struct sigpipe *s)
{
	sigset_t set;

	s->pending = sigpending(&set) == 0 && sigismember(&set, SIGPIPE) == 1;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &set, &s->mask);
}

void sigpipe_drop(const struct sigpipe *s)
{
	const struct timespec at_once = {0, 0};
	int saved = errno;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	/* One that was pending before is somebody else's. */
	while (!s->pending && sigtimedwait(&set, NULL, &at_once) < 0 && errno == EINTR)
		continue;
	(void)pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
	errno = saved;
}
