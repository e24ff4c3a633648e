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
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/redis/redis_backoff.h"
#include "common/redis/redis_dial.h"
#include "common/redis/redis_login.h"

#define HOST_BYTES 320

struct redis {
	unsigned magic;
#define REDIS_MAGIC 0x4ed15000
	/* set once */
	struct redis_options opt;
	int wake_fd; /* readable from redis_stop on */
	atomic_bool stopped;
	/* the owner's */
	redisContext *context; /* NULL: not connected */
	bool fresh;            /* a new connection that redis_ready has not told of yet */
	struct redis_backoff backoff;
	char where[HOST_BYTES]; /* the place of the connection, for the log */
};

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
	*out = r;
	return 0;
}

static void hang_up(struct redis *r)
{
	if (r->context != NULL)
		redisFree(r->context);
	r->context = NULL;
}

void redis_free(struct redis **redis)
{
	struct redis *r = *redis;

	OBJ_CHECK(r, REDIS_MAGIC);
	hang_up(r);
	(void)close(r->wake_fd);
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

/* Until the connection is readable (fd < 0: until the deadline). 0, -ETIMEDOUT, -ESHUTDOWN. */
static int wait_readable(struct redis *r, int fd, int64_t deadline_ns)
{
	struct pollfd fds[2] = {{.fd = r->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	for (;;) {
		int n = poll(fds, 2, poll_ms(deadline_ns));

		if (atomic_load(&r->stopped))
			return -ESHUTDOWN;
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

void redis_drop(struct redis *r, const char *why)
{
	if (r->context == NULL)
		return;
	if (!atomic_load(&r->stopped)) {
		static struct log_limit limit = LOG_LIMIT(10);

		count(COUNT_REDIS_LOST);
		/* `why` may be the connection's own text, so it goes out before that is freed. */
		LOG_LIMITED(LOG_WARN, &limit, log_str("redis", r->where), log_str("for", r->opt.name),
			    log_what(EVENT_REDIS_LOST), log_str("why", why));
	}
	hang_up(r);
	redis_backoff_broke(&r->backoff);
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
			redis_drop(r, r->context->errstr);
			return -EPROTO;
		}
		if (got != NULL) {
			*reply = got;
			return 0;
		}
		if ((rc = wait_readable(r, r->context->fd, deadline_ns)) < 0)
			return rc;
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
	rc = redis_read(r, deadline_ns, &reply);
	if (rc == -ETIMEDOUT)
		/* Its reply would be taken for the next command's. */
		redis_drop(r, "no answer in time");
	if (rc < 0)
		return rc;
	if ((rc = redis_reply_error(reply)) < 0)
		LOG_LIMITED(LOG_WARN, &limit, log_str("redis", r->where), log_str("for", r->opt.name),
			    log_what(EVENT_REDIS_COMMAND_REFUSED), log_str("reply", reply->str));
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

bool redis_subscription_refused(const struct redis *r, const struct redisReply *reply, const char *channel)
{
	static struct log_limit limit = LOG_LIMIT(1);

	OBJ_CHECK(r, REDIS_MAGIC);
	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	count(COUNT_REDIS_NOT_SUBSCRIBED);
	LOG_LIMITED(LOG_ERROR, &limit, log_str("redis", r->where), log_str("for", r->opt.name),
		    log_what(EVENT_REDIS_SUBSCRIPTION_REFUSED), log_str("channel", channel),
		    log_str("error", reply->str));
	return true;
}

/* ---- connecting ---- */

static int64_t soon(const struct redis *r)
{
	return clock_now_ns() + r->opt.timeout_ms * CLOCK_MS;
}

static int authenticate(struct redis *r, enum redis_login which, const char *user, const char *set)
{
	char password[SECRET_BYTES];
	int rc = 0;

	redis_login_password(which, set, password);
	if (password[0] != '\0')
		rc = user[0] != '\0' ? redis_command(r, soon(r), NULL, "AUTH %s %s", user, password)
				     : redis_command(r, soon(r), NULL, "AUTH %s", password);
	explicit_bzero(password, sizeof(password));
	return rc;
}

/* On a connection to a sentinel. A place for redis_dial into address; -ENOENT: it does not know that master. */
static int ask_for_master(struct redis *r, char address[HOST_BYTES])
{
	struct redisReply *reply = NULL;
	const char *host, *port;
	int rc = authenticate(r, REDIS_LOGIN_SENTINEL, r->opt.sentinel_user, r->opt.sentinel_password);

	if (rc == 0)
		rc = redis_command(r, soon(r), &reply, "SENTINEL get-master-addr-by-name %s", r->opt.master);
	if (rc < 0)
		return rc;
	host = redis_reply_text(reply, 0);
	port = redis_reply_text(reply, 1);
	if (port[0] == '\0')
		rc = -ENOENT;
	else
		(void)snprintf(address, HOST_BYTES, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
	freeReplyObject(reply);
	return rc;
}

static int ask_sentinel(struct redis *r, const char *sentinel, char address[HOST_BYTES])
{
	int rc;

	(void)snprintf(r->where, sizeof(r->where), "%s", sentinel);
	if ((rc = redis_dial(sentinel, r->opt.timeout_ms, &r->context)) < 0)
		return rc;
	rc = ask_for_master(r, address);
	hang_up(r);
	return rc;
}

/* A sentinel may be behind: the one that it names must say itself that it is a master. */
static int verify_role(struct redis *r)
{
	struct redisReply *reply = NULL;
	int rc = redis_command(r, soon(r), &reply, "ROLE");

	if (rc == 0 && !redis_reply_says(reply, "master"))
		rc = -EROFS;
	freeReplyObject(reply);
	return rc;
}

/* On a connection that was just opened. */
static int greet(struct redis *r)
{
	const struct redis_options *o = &r->opt;
	int rc = authenticate(r, REDIS_LOGIN_SERVER, o->user, o->password);

	if (rc == 0 && o->db != 0)
		rc = redis_command(r, soon(r), NULL, "SELECT %lld", (long long)o->db);
	/* The first command that every server answers honestly: NOAUTH, LOADING and the like show here. The name is for
	 * those who look; a user that may not give one needs none. */
	if (rc == 0 && (rc = redis_command(r, soon(r), NULL, "CLIENT SETNAME %s", o->name)) == -EPERM)
		rc = 0;
	if (rc == 0)
		rc = redis_command(r, soon(r), NULL, "PING");
	if (rc == 0 && o->sentinels[0] != '\0')
		rc = verify_role(r);
	if (rc == 0 && o->arrive != NULL)
		rc = o->arrive(r, o, soon(r));
	return rc;
}

static int dial_and_greet(struct redis *r, const char *address)
{
	int rc;

	(void)snprintf(r->where, sizeof(r->where), "%s", address);
	if ((rc = redis_dial(address, r->opt.timeout_ms, &r->context)) == 0 && (rc = greet(r)) < 0)
		hang_up(r);
	return rc;
}

static void say_no_sentinel(const struct redis *r, int rc)
{
	if (redis_backoff_is_loud(&r->backoff))
		LOG(rc == -EACCES || rc == -EPERM || rc == -ENOENT ? LOG_ERROR : LOG_WARN,
		    log_str("sentinel", r->where), log_str("for", r->opt.name),
		    log_what(rc == -EACCES || rc == -EPERM ? EVENT_SENTINEL_LOGIN_REFUSED
			     : rc == -ENOENT               ? EVENT_SENTINEL_WITHOUT_MASTER
							   : EVENT_SENTINEL_UNREACHABLE),
		    log_str("error", err_text(rc)));
}

static int try_once(struct redis *r)
{
	const char *list = r->opt.sentinels;
	char sentinel[HOST_BYTES], address[HOST_BYTES];
	int rc = -EHOSTUNREACH;

	if (list[0] == '\0')
		return dial_and_greet(r, r->opt.addr);
	while (rc < 0 && !atomic_load(&r->stopped) && config_list_next(&list, sentinel, sizeof(sentinel)))
		if ((rc = ask_sentinel(r, sentinel, address)) < 0)
			say_no_sentinel(r, rc);
		else
			rc = dial_and_greet(r, address);
	return rc;
}

static void say_no_connection(struct redis *r, int rc)
{
	if (!redis_backoff_is_loud(&r->backoff))
		return;
	LOG(rc == -EACCES || rc == -EPERM ? LOG_ERROR : LOG_WARN, log_str("redis", r->where),
	    log_str("for", r->opt.name),
	    log_what(rc == -EACCES  ? EVENT_REDIS_LOGIN_REFUSED
		     : rc == -EPERM ? EVENT_REDIS_RIGHTS_MISSING
				    : EVENT_REDIS_UNREACHABLE),
	    log_str("error", err_text(rc)));
}

static void say_connected(struct redis *r)
{
	static struct log_limit limit = LOG_LIMIT(10);

	r->backoff.failures = 0;
	r->fresh = true;
	count(COUNT_REDIS_CONNECTED);
	LOG_LIMITED(LOG_INFO, &limit, log_str("redis", r->where), log_str("for", r->opt.name),
		    log_what(EVENT_REDIS_CONNECTED));
}

int redis_ready(struct redis *r, int64_t deadline_ns, bool *fresh)
{
	int rc;

	OBJ_CHECK(r, REDIS_MAGIC);
	while (r->context == NULL) {
		int64_t until = r->backoff.next_try_ns < deadline_ns ? r->backoff.next_try_ns : deadline_ns;

		if ((rc = wait_readable(r, -1, until)) != -ETIMEDOUT)
			return rc;
		if (r->backoff.next_try_ns > clock_now_ns())
			return -ETIMEDOUT;
		if ((rc = try_once(r)) == 0) {
			say_connected(r);
			break;
		}
		say_no_connection(r, rc);
		redis_backoff_failed(&r->backoff);
	}
	if (atomic_load(&r->stopped))
		return -ESHUTDOWN;
	if (fresh != NULL)
		*fresh = r->fresh;
	r->fresh = false;
	return 0;
}
