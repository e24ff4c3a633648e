/* whitelist: see whitelist.h. SPDX-License-Identifier: MIT */
#include "comet/whitelist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/err.h"
#include "common/log.h"
#include "common/wire.h"

int whitelist_init(struct whitelist *w, const char *list, const char *path)
{
	char key[WIRE_KEY_BYTES];
	int rc = 0;

	strmap_init(&w->keys);
	w->fd = LOG_OWN_FD;
	while (rc == 0 && config_list_next(&list, key, sizeof(key)))
		rc = strmap_put(&w->keys, key, w, NULL);
	/* Readers, dispatchers and push threads write here, and the path may be a pipe that nobody empties. */
	if (rc == 0 && path[0] != '\0' &&
	    (w->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0640)) < 0) {
		rc = -errno;
		LOG(LOG_ERROR, log_what("cannot open whitelist.log"), log_str("file", path),
		    log_str("error", err_text(rc)));
	}
	if (rc < 0)
		strmap_fini(&w->keys);
	return rc;
}

void whitelist_fini(struct whitelist *w)
{
	strmap_fini(&w->keys);
	if (w->fd != LOG_OWN_FD)
		(void)close(w->fd);
}

bool whitelist_contains(const struct whitelist *w, const char *key)
{
	return w->keys.count > 0 && strmap_get(&w->keys, key) != NULL;
}

void whitelist_trace(const struct connection *c, const char *what, const struct packet *p)
{
	int64_t now_ms = clock_wall_ms();
	time_t now = now_ms / 1000;
	struct tm tm;
	char when[32], line[512];
	int n;

	(void)gmtime_r(&now, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	/* The key is one that the operator listed, so it needs no escaping. */
	n = snprintf(line, sizeof(line), "%s.%03dZ trace conn=%llx key=%s %s", when, (int)(now_ms % 1000),
		     (unsigned long long)c->id, c->key, what);
	if (p != NULL && n > 0 && (size_t)n < sizeof(line))
		n += snprintf(line + n, sizeof(line) - (size_t)n, " op=%d ver=%d seq=%d body_bytes=%u", (int)p->op,
			      p->ver, (int)p->seq, p->body_bytes);
	if (n <= 0 || (size_t)n >= sizeof(line))
		n = sizeof(line) - 1;
	line[n++] = '\n';
	log_raw_line(c->trace->fd, line, (size_t)n);
}
