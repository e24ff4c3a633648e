/* client_link: see client_link.h. SPDX-License-Identifier: MIT */
#include "client/client_link.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/clock.h"

int client_link_wait(const struct client_link *l, short events, int64_t deadline_ns)
{
	struct pollfd fds[2] = {{l->fd, events, 0}, {l->cancel_fd, POLLIN, 0}};

	for (;;) {
		int64_t left = deadline_ns - clock_now_ns();
		struct timespec ts = {left > 0 ? left / CLOCK_SEC : 0, left > 0 ? left % CLOCK_SEC : 0};
		int n = ppoll(fds, 2, &ts, NULL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return fds[1].revents != 0 ? -ECANCELED : 0;
		if (n == 0)
			return -ETIMEDOUT;
	}
}

bool client_link_cancelled(const struct client_link *l)
{
	struct pollfd fd = {l->cancel_fd, POLLIN, 0};

	return poll(&fd, 1, 0) > 0;
}

void client_link_say(const struct client_options *opt, const char *format, ...)
{
	va_list words;

	if (opt->why == NULL)
		return;
	va_start(words, format);
	(void)vsnprintf(opt->why, CLIENT_WORDS_BYTES, format, words);
	va_end(words);
}
