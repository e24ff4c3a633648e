/* whitelist: see whitelist.h. SPDX-License-Identifier: MIT */
#include "comet/whitelist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/config/config.h"
#include "common/wire/wire.h"

/* Readers, dispatchers and push threads write here, and the path may be a pipe that nobody empties. */
static int open_file(const char *path, int *fd)
{
	int rc;

	if ((*fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0640)) >= 0)
		return 0;
	rc = -errno;
	LOG(LOG_ERROR, log_what(EVENT_WHITELIST_LOG_UNOPENED), log_str("file", path), log_str("error", err_text(rc)));
	return rc;
}

/* A file that is not there yet is not made for a try. */
int whitelist_try(const struct config *cfg)
{
	const char *path = cfg->whitelist_log, *slash = strrchr(path, '/');
	char folder[4096];
	int fd, rc = 0;

	if (path[0] == '\0')
		return 0;
	(void)snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
		       slash != NULL ? path : ".");
	if ((fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC)) >= 0)
		(void)close(fd);
	else if (errno != ENOENT || access(folder, W_OK | X_OK) < 0)
		rc = -errno;
	if (rc < 0 && rc != -ENXIO) /* a pipe without a reader */
		LOG(LOG_ERROR, log_what(EVENT_WHITELIST_LOG_UNOPENED), log_str("file", path),
		    log_str("error", err_text(rc)));
	return rc == -ENXIO ? 0 : rc;
}

int whitelist_init(struct whitelist *w, const char *list, const char *path)
{
	char key[WIRE_KEY_BYTES];
	int rc = 0;

	strmap_init(&w->keys);
	w->path = path;
	w->fd = LOG_OWN_FD;
	while (rc == 0 && config_list_next(&list, key, sizeof(key)))
		rc = strmap_put(&w->keys, key, w, NULL);
	if (rc == 0 && path[0] != '\0')
		rc = open_file(path, &w->fd);
	if (rc < 0)
		strmap_fini(&w->keys);
	return rc;
}

static int open_again(void *self)
{
	struct whitelist *w = self;

	return open_file(w->path, &w->next_fd);
}

/* Threads write meanwhile: the descriptor's number stays, and from one line to the next it is the new file. */
static void settle(void *self, bool use)
{
	struct whitelist *w = self;

	if (use)
		(void)dup3(w->next_fd, w->fd, O_CLOEXEC);
	(void)close(w->next_fd);
}

struct reload_part whitelist_reload(struct whitelist *w)
{
	return (struct reload_part){"whitelist.log", open_again, settle, w->fd != LOG_OWN_FD ? w : NULL};
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
