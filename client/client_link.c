/* client_link: see client_link.h. SPDX-License-Identifier: MIT */
#include "client/client_link.h"

#include <errno.h>
#include <poll.h>

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
