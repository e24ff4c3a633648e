/* whitelist: see whitelist.h. SPDX-License-Identifier: MIT */
#include "comet/whitelist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/config/config.h"
#include "common/wire/wire.h"

static int say_unopened(const char *path, int rc)
{
	LOG(LOG_ERROR, log_what(EVENT_WHITELIST_LOG_UNOPENED), log_str("file", path), log_str("error", err_text(rc)));
	return rc;
}

/* Readers, dispatchers and push threads write here, and the path may be a pipe that nobody empties. */
static int open_file(const char *path, int *fd)
{
	*fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0640);
	return *fd >= 0 ? 0 : say_unopened(path, -errno);
}

/* A file that is not there yet is not made for a try. */
int whitelist_try(const struct config *cfg)
{
	const char *path = cfg->whitelist_log, *slash = strrchr(path, '/');
	char folder[4096];
	int fd;

	if (path[0] == '\0')
		return 0;
	(void)snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
		       slash != NULL ? path : ".");
	if ((fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC)) >= 0)
		(void)close(fd);
	else if (errno != ENXIO &&
		 (errno != ENOENT || access(folder, W_OK | X_OK) < 0)) /* ENXIO: a pipe without a reader */
		return say_unopened(path, -errno);
	return 0;
}

/* ---- names ---- */

static void names_init(struct whitelist_names *names)
{
	strmap_init(&names->keys);
	strmap_init(&names->users);
}

static void names_fini(struct whitelist_names *names)
{
	strmap_fini(&names->keys);
	strmap_fini(&names->users);
}

static int put(struct strmap *names, const char *name, int64_t until_ns)
{
	return strmap_put(names, name, (void *)(intptr_t)until_ns, NULL);
}

static int put_all(struct strmap *names, const char *list)
{
	char name[WIRE_KEY_BYTES];
	int rc = 0;

	while (rc == 0 && config_list_next(&list, name, sizeof(name)))
		rc = put(names, name, INT64_MAX);
	return rc;
}

static int names_read(struct whitelist_names *names, const struct config *cfg)
{
	int rc;

	names_init(names);
	if ((rc = put_all(&names->keys, cfg->whitelist_list)) < 0 ||
	    (rc = put_all(&names->users, cfg->whitelist_users)) < 0)
		names_fini(names);
	return rc;
}

static void note_any_locked(struct whitelist *w) NEEDS(w->lock)
{
	atomic_store(&w->has_any,
		     w->set.keys.count + w->set.users.count + w->asked.keys.count + w->asked.users.count > 0);
}

/* ---- start and stop ---- */

int whitelist_init(struct whitelist *w, const struct config *cfg)
{
	int rc;

	*w = (struct whitelist){.cfg = cfg, .file_fd = -1};
	atomic_init(&w->fd, LOG_OWN_FD);
	lock_init(&w->lock, LOCK_POOL);
	names_init(&w->set);
	names_init(&w->asked);
	if ((rc = whitelist_prepare(w, cfg)) == 0)
		whitelist_settle(w, true);
	else
		whitelist_fini(w);
	return rc;
}

void whitelist_fini(struct whitelist *w)
{
	names_fini(&w->set);
	names_fini(&w->asked);
	if (w->file_fd >= 0)
		(void)close(w->file_fd);
	lock_fini(&w->lock);
}

/* ---- reloads ---- */

int whitelist_prepare(struct whitelist *w, const struct config *next)
{
	const char *path = next->whitelist_log;
	int rc = names_read(&w->next, next);

	w->next_fd = -1;
	if (rc == 0 && path[0] != '\0' && (rc = open_file(path, &w->next_fd)) < 0)
		names_fini(&w->next);
	return rc;
}

/* Threads write meanwhile: the descriptor's number stays, and from one line to the next it is the new file. */
static void use_file(struct whitelist *w)
{
	if (w->next_fd < 0) {
		atomic_store(&w->fd, LOG_OWN_FD);
		return;
	}
	if (w->file_fd < 0) {
		w->file_fd = w->next_fd;
	} else {
		(void)dup3(w->next_fd, w->file_fd, O_CLOEXEC);
		(void)close(w->next_fd);
	}
	atomic_store(&w->fd, w->file_fd);
}

void whitelist_settle(struct whitelist *w, bool use)
{
	struct whitelist_names unused = w->next;

	if (!use) {
		if (w->next_fd >= 0)
			(void)close(w->next_fd);
		names_fini(&unused);
		return;
	}
	use_file(w);
	lock_take(&w->lock);
	unused = w->set;
	w->set = w->next;
	note_any_locked(w);
	lock_drop(&w->lock);
	names_fini(&unused);
}

static int read_again(void *self)
{
	struct whitelist *w = self;

	return whitelist_prepare(w, w->cfg);
}

static void settle(void *self, bool use)
{
	whitelist_settle(self, use);
}

struct reload_part whitelist_reload(struct whitelist *w)
{
	const bool is_alone = w->cfg->file == NULL && w->cfg->whitelist_log[0] != '\0';

	return (struct reload_part){"whitelist.log", read_again, settle, is_alone ? w : NULL};
}

/* ---- for a time ---- */

static void forget_overdue(struct strmap *names)
{
	struct strmap_cursor at = {0};
	const char *name;
	void *until_ns;

	while (strmap_next(names, &at, &name, &until_ns))
		if ((intptr_t)until_ns <= clock_now_ns())
			(void)strmap_del_walked(names, name);
	strmap_shrink(names);
}

int whitelist_ask(struct whitelist *w, bool is_user, const char *name, int64_t for_ms)
{
	struct strmap *names = is_user ? &w->asked.users : &w->asked.keys;
	int rc = 0;

	lock_take(&w->lock);
	forget_overdue(&w->asked.keys);
	forget_overdue(&w->asked.users);
	if (for_ms == 0)
		(void)strmap_del(names, name);
	else if (w->asked.keys.count + w->asked.users.count >= WHITELIST_MAX && strmap_get(names, name) == NULL)
		rc = -ENOSPC;
	else
		rc = put(names, name, clock_now_ns() + for_ms * CLOCK_MS);
	note_any_locked(w);
	lock_drop(&w->lock);
	return rc;
}

/* ---- a connection ---- */

static int64_t end_of(const struct whitelist_names *names, const char *key, const char *user)
{
	const int64_t by_key = (intptr_t)strmap_get(&names->keys, key);
	const int64_t by_user = user != NULL ? (intptr_t)strmap_get(&names->users, user) : 0;

	return by_key > by_user ? by_key : by_user;
}

void whitelist_look(struct whitelist *w, struct connection *c)
{
	const struct user *user = &c->seat.user;
	char text[USER_BYTES];
	const char *name = user_is_somebody(user) ? user_text(user, text) : NULL;
	int64_t set, asked;

	if (!atomic_load(&w->has_any) && atomic_load(&c->trace) == NULL)
		return;
	lock_take(&w->lock);
	set = end_of(&w->set, c->seat.key, name);
	asked = end_of(&w->asked, c->seat.key, name);
	/* Under the lock: who looked before the names changed shall not write behind who looked after. */
	atomic_store(&c->trace_until_ns, set > asked ? set : asked);
	atomic_store(&c->trace, set > 0 || asked > 0 ? w : NULL);
	lock_drop(&w->lock);
}

void whitelist_trace(const struct connection *c, enum event what, const struct packet *p)
{
	const struct whitelist *w = atomic_load(&c->trace);
	const struct log_field who[] = {log_id("conn", c->id), log_str("key", c->seat.key), log_what(what)};
	int fd;

	if (w == NULL || clock_now_ns() >= atomic_load(&c->trace_until_ns))
		return;
	fd = atomic_load(&w->fd);
	if (p == NULL)
		log_trace(fd, (const struct log_field[]){who[0], who[1], who[2], LOG_END});
	else
		log_trace(fd, (const struct log_field[]){who[0], who[1], who[2], log_i64("op", p->op),
							 log_i64("ver", p->ver), log_i64("seq", p->seq),
							 log_i64("body_bytes", p->body_bytes), LOG_END});
}
