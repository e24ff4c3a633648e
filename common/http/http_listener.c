/* http_listener: see http_listener.h. SPDX-License-Identifier: MIT */
#include "common/http/http_listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/listen.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/worker.h"

struct http_listener {
	unsigned magic;
#define HTTP_LISTENER_MAGIC 0x115e7e4a
	/* set once */
	int fd;
	http_listener_take *take;
	void *arg;
	struct worker worker;
};

/* ---- the thread ---- */

/* Wait a little longer each time, and say so the first time. */
static void pause_accepting(struct http_listener *l, int rc, int64_t *pause_ns)
{
	const int64_t first_ns = 20 * CLOCK_MS, longest_ns = CLOCK_SEC;
	/* Without it a limit that is met again whenever a caller has gone would fill the log. */
	static struct log_limit limit = LOG_LIMIT(1);
	struct rlimit files = {0};

	count(COUNT_ACCEPT_PAUSED);
	if (*pause_ns == 0) {
		(void)getrlimit(RLIMIT_NOFILE, &files);
		LOG_LIMITED(LOG_ERROR, &limit, log_what(EVENT_HTTP_ACCEPT_PAUSED), log_str("error", err_text(rc)),
			    log_i64("files_allowed", (int64_t)files.rlim_cur));
	}
	*pause_ns = *pause_ns == 0 ? first_ns : *pause_ns * 2 < longest_ns ? *pause_ns * 2 : longest_ns;
	(void)worker_nap(&l->worker, clock_now_ns() + *pause_ns);
}

static int accept_one(struct http_listener *l)
{
	struct sockaddr_storage peer = {0};
	socklen_t peer_bytes = sizeof(peer);
	int fd = accept4(l->fd, (struct sockaddr *)&peer, &peer_bytes, SOCK_CLOEXEC);

	if (fd < 0)
		return listen_error_is_passing(-errno) ? 0 : -errno;
	return l->take(l->arg, fd, (struct sockaddr *)&peer, peer_bytes);
}

static void accept_all(void *arg)
{
	static struct log_limit limit = LOG_LIMIT(1);
	struct http_listener *l = arg;
	int64_t pause_ns = 0;
	int rc;

	OBJ_CHECK(l, HTTP_LISTENER_MAGIC);
	for (;;) {
		rc = accept_one(l);
		if (worker_is_stopping(&l->worker))
			return;
		if (rc < 0) {
			pause_accepting(l, rc, &pause_ns);
		} else if (pause_ns > 0) {
			pause_ns = 0;
			LOG_LIMITED(LOG_INFO, &limit, log_what(EVENT_HTTP_ACCEPT_RESUMED));
		}
	}
}

/* ---- start and stop ---- */

int http_listener_start(const char *address, const char *label, const struct listen_options *opt,
			http_listener_take *take, void *arg, struct http_listener **out)
{
	struct http_listener *l = calloc(1, sizeof(*l));
	uint16_t port;
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->magic = HTTP_LISTENER_MAGIC;
	l->take = take;
	l->arg = arg;
	if ((rc = listen_open(address, opt, &l->fd)) < 0)
		goto free_listener;
	if ((rc = worker_start(&l->worker, "http accept", accept_all, l)) < 0)
		goto close_listener;
	/* The process that started us waits for that line. */
	if ((rc = listen_announce(l->fd, label, &port)) < 0)
		http_listener_stop(&l);
	*out = l;
	return rc;

close_listener:
	listen_stop(l->fd);
	(void)close(l->fd);
free_listener:
	free(l);
	return rc;
}

void http_listener_stop(struct http_listener **listener)
{
	struct http_listener *l = *listener;

	OBJ_CHECK(l, HTTP_LISTENER_MAGIC);
	worker_ask_to_stop(&l->worker);
	listen_stop(l->fd);
	worker_stop(&l->worker);
	(void)close(l->fd);
	l->magic = 0;
	free(l);
	*listener = NULL;
}
