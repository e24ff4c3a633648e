/* whitelist: see whitelist.h. SPDX-License-Identifier: MIT */
#include "comet/whitelist.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/config/config.h"
#include "common/wire/wire.h"

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
		LOG(LOG_ERROR, log_what(EVENT_WHITELIST_LOG_UNOPENED), log_str("file", path),
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

void whitelist_trace(const struct connection *c, enum event what, const struct packet *p)
{
	const struct log_field who[] = {log_id("conn", c->id), log_str("key", c->seat.key), log_what(what)};

	if (p == NULL)
		log_trace(c->trace->fd, (const struct log_field[]){who[0], who[1], who[2], LOG_END});
	else
		log_trace(c->trace->fd, (const struct log_field[]){who[0], who[1], who[2], log_i64("op", p->op),
								   log_i64("ver", p->ver), log_i64("seq", p->seq),
								   log_i64("body_bytes", p->body_bytes), LOG_END});
}
