/* redis: see redis.h. On the thread that owns the connection, but for redis_stop.
 *
 * hiredis' blocking calls end a connection when a read times out. So reads wait in poll(), with a descriptor beside the
 * socket by which another thread can end the wait, and hiredis reads only what is there. SPDX-License-Identifier: MIT */
#include "common/redis/redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/redis/redis_dial.h"
#include "common/redis/redis_inner.h"
#include "common/redis/redis_master.h"

/* So late may a waiting connection learn that the Sentinels name another master. */
#define LOOK_MS 50

int redis_new(const struct redis_options *opt, struct redis **out)
{
	struct redis *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->magic = REDIS_MAGIC;
	r->opt = *opt;
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake_fd < 0) {
		int rc = -errno;

		free(r);
		return rc;
	}
	redis_said_init(&r->said);
	redis_set_down(r, true);
	*out = r;
	return 0;
}

void redis_set_down(struct redis *r, bool down)
{
	long long up = 0;

	if (!down)
		atomic_store(&r->down_ns, 0);
	else
		(void)atomic_compare_exchange_strong(&r->down_ns, &up, clock_now_ns());
}

bool redis_is_down(struct redis *r, int64_t for_ns, char *words, size_t bytes)
{
	int64_t down_ns;

	OBJ_CHECK(r, REDIS_MAGIC);
	down_ns = atomic_load(&r->down_ns);
	if (down_ns == 0 || clock_now_ns() - down_ns < for_ns)
		return false;
	redis_said_get(&r->said, words, bytes);
	return true;
}

void redis_hang_up(struct redis *r)
{
	if (r->context != NULL)
		redisFree(r->context);
	r->context = NULL;
	r->is_up = false;
}

void redis_free(struct redis **redis)
{
	struct redis *r = *redis;

	OBJ_CHECK(r, REDIS_MAGIC);
	redis_hang_up(r);
	(void)close(r->wake_fd);
	redis_said_fini(&r->said);
	r->magic = 0;
	free(r);
	*redis = NULL;
}

void redis_stop(struct redis *r)
{
	OBJ_CHECK(r, REDIS_MAGIC);
	atomic_store(&r->stopped, true);
	/* It can only fail if it is readable already, which is all we want. */
	(void)eventfd_write(r->wake_fd, 1);
}

/* ---- waiting ---- */

/* How long poll() may wait; rounded up, so that the deadline has passed when it returns 0. */
static int poll_ms(int64_t deadline_ns)
{
	int64_t left = deadline_ns - clock_now_ns();

	if (left <= 0)
		return 0;
	return left / CLOCK_MS >= 60000 ? 60000 : (int)(left / CLOCK_MS) + 1;
}

bool redis_was_left(const struct redis *r)
{
	return r->opt.sentinels[0] != '\0' && r->switches != redis_master_switches();
}

int redis_wait(struct redis *r, int fd, int64_t deadline_ns)
{
	struct pollfd fds[2] = {{.fd = r->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	bool looks = fd >= 0 && r->opt.sentinels[0] != '\0'; /* around for another master, while it waits */

	for (;;) {
		int wait_ms = poll_ms(deadline_ns), n = poll(fds, 2, looks && wait_ms > LOOK_MS ? LOOK_MS : wait_ms);

		if (atomic_load(&r->stopped))
			return -ESHUTDOWN;
		if (looks && redis_was_left(r))
			return -ESTALE;
		if (n > 0 && fds[1].revents != 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (clock_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
	}
}

bool redis_is_stale(struct redis *r)
{
	struct pollfd fd = {.fd = -1, .events = POLLIN};

	if (r->context == NULL)
		return true;
	if (redis_was_left(r)) {
		redis_drop(r, REDIS_LEFT);
		return true;
	}
	fd.fd = r->context->fd;
	if (poll(&fd, 1, 0) <= 0)
		return false;
	redis_drop(r, "closed by Redis");
	return true;
}

/* ---- one command at a time ---- */

bool redis_is_connected(const struct redis *r)
{
	return r->context != NULL;
}

/* One that was not up yet was not counted either, and redis_ready says why it does not come up. */
static void give_up(struct redis *r, const char *why)
{
	static struct log_limit limit = LOG_LIMIT(10);

	if (r->is_up && !atomic_load(&r->stopped)) {
		count(COUNT_REDIS_LOST);
		/* `why` may be the connection's own text, so it goes out before that is freed. */
		LOG_LIMITED(LOG_WARN, &limit, log_str("redis", r->where), log_str("for", r->opt.name),
			    log_what(EVENT_REDIS_LOST), log_str("why", why));
	}
	redis_set_down(r, true);
	if (r->is_up)
		redis_backoff_broke(&r->backoff);
	redis_hang_up(r);
}

void redis_drop(struct redis *r, const char *why)
{
	if (r->context == NULL)
		return;
	redis_said_unreachable(&r->said, why);
	r->heard = REDIS_HEARD_BREAK;
	give_up(r, why);
}

void redis_drop_refused(struct redis *r, int rc)
{
	char why[sizeof(r->said.text)];

	if (r->context == NULL)
		return;
	if (r->heard != REDIS_HEARD_NO) {
		redis_drop(r, err_text(rc));
		return;
	}
	redis_said_why(&r->said, why, sizeof(why));
	give_up(r, why);
}

/* What came is not what Redis says. */
static void drop_stranger(struct redis *r)
{
	char why[sizeof(r->said.text)];

	(void)snprintf(why, sizeof(why), "%s%s",
		       r->is_up ? "" : "what answers there is no Redis: ", r->context->errstr);
	redis_drop(r, why);
}

int redis_append(struct redis *r, const char *command, size_t bytes)
{
	if (r->context == NULL)
		return -ENOTCONN;
	return redisAppendFormattedCommand(r->context, command, bytes) == REDIS_OK ? 0 : -ENOMEM;
}

static int append_va(struct redis *r, const char *format, va_list args)
{
	char *command = NULL;
	int bytes = redisvFormatCommand(&command, format, args);
	int rc;

	if (bytes < 0)
		return -ENOMEM;
	rc = redis_append(r, command, (size_t)bytes);
	redisFreeCommand(command);
	return rc;
}

int redis_appendf(struct redis *r, const char *format, ...)
{
	va_list args;
	int rc;

	va_start(args, format);
	rc = append_va(r, format, args);
	va_end(args);
	return rc;
}

int redis_flush(struct redis *r)
{
	if (r->context == NULL)
		return -ENOTCONN;
	/* The socket's send timeout bounds each write. */
	do {
		if (redisBufferWrite(r->context, NULL) != REDIS_OK) {
			redis_drop(r, r->context->errstr);
			return -ECONNRESET;
		}
		/* hiredis makes a new buffer when the old one has gone out, and does not look whether it got one: nor may
		 * it be asked whether all is written. */
		if (r->context->obuf == NULL) {
			redis_drop(r, err_text(-ENOMEM));
			return -ENOMEM;
		}
	} while (sdslen(r->context->obuf) > 0);
	return 0;
}

int redis_read(struct redis *r, int64_t deadline_ns, struct redisReply **reply)
{
	void *got = NULL;
	int rc;

	for (;;) {
		if (r->context == NULL)
			return -ENOTCONN;
		if (redisGetReplyFromReader(r->context, &got) != REDIS_OK) {
			drop_stranger(r);
			return -EPROTO;
		}
		if (got != NULL) {
			*reply = got;
			return 0;
		}
		rc = redis_wait(r, r->context->fd, deadline_ns);
		if (rc == -ESTALE) {
			redis_drop(r, REDIS_LEFT);
			return -ECONNRESET;
		}
		if (rc == -ETIMEDOUT || rc == -ESHUTDOWN)
			return rc;
		if (rc < 0) {
			redis_drop(r, err_text(rc));
			return rc;
		}
		if (redisBufferRead(r->context) != REDIS_OK) {
			redis_drop(r, r->context->errstr);
			return -ECONNRESET;
		}
	}
}

static int command_va(struct redis *r, int64_t deadline_ns, struct redisReply **out, const char *format, va_list args)
{
	static struct log_limit limit = LOG_LIMIT(2);
	struct redisReply *reply;
	int rc;

	if ((rc = append_va(r, format, args)) < 0 || (rc = redis_flush(r)) < 0)
		return rc;
	r->heard = REDIS_HEARD_NOTHING;
	rc = redis_read(r, deadline_ns, &reply);
	if (rc == -ETIMEDOUT)
		/* Its reply would be taken for the next command's. */
		redis_drop(r, "no answer in time");
	if (rc < 0)
		return rc;
	if ((rc = redis_reply_error(reply)) < 0) {
		redis_said_reply(&r->said, reply->str);
		r->heard = REDIS_HEARD_NO;
		LOG_LIMITED(LOG_WARN, &limit, log_str("redis", r->where), log_str("for", r->opt.name),
			    log_what(EVENT_REDIS_COMMAND_REFUSED), log_str("reply", reply->str));
	}
	if (rc == 0 && out != NULL)
		*out = reply;
	else
		freeReplyObject(reply);
	return rc;
}

int redis_command(struct redis *r, int64_t deadline_ns, struct redisReply **reply, const char *format, ...)
{
	va_list args;
	int rc;

	va_start(args, format);
	rc = command_va(r, deadline_ns, reply, format, args);
	va_end(args);
	return rc;
}

int redis_dial_to(struct redis *r, const char *place)
{
	(void)snprintf(r->where, sizeof(r->where), "%s", place);
	r->heard = REDIS_HEARD_NOTHING;
	return redis_dial(place, r->opt.timeout_ms, &r->context);
}
