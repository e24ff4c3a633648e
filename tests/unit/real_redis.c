/* real_redis: see real_redis.h. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/real_redis.h"
#include "tests/unit/until.h"

/* What the child says when there is no such program. */
#define NOT_FOUND 127
/* A port that was free may be taken before redis-server has it. */
#define TRIES 5

static int free_port(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &bytes), 0);
	(void)close(fd);
	return ntohs(sin.sin_port);
}

static void path_of(const struct real_redis *r, const char *name, char path[96])
{
	(void)snprintf(path, 96, "%s/%s", r->folder, name);
}

/* The server, in the child. */
static void serve(const struct real_redis *r, pid_t parent)
{
	char port[16], socket_path[96], log[96];
	int fd;

	path_of(r, "socket", socket_path);
	path_of(r, "log", log);
	(void)snprintf(port, sizeof(port), "%d", r->port);
	/* It goes with the test, also where that is killed. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    (fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(1);
	(void)execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", port, "--unixsocket", socket_path,
		     "--dir", r->folder, "--save", "", "--appendonly", "no", (char *)NULL);
	_exit(NOT_FOUND);
}

static redisContext *connect_once(const char *path)
{
	redisContext *c = redisConnectUnix(path);

	if (c != NULL && c->err == 0)
		return c;
	if (c != NULL)
		redisFree(c);
	return NULL;
}

/* False: it has ended, and *status says how. */
static bool connect_to(struct real_redis *r, int *status)
{
	char path[96];
	bool ended;

	path_of(r, "socket", path);
	until((ended = waitpid(r->pid, status, WNOHANG) == r->pid) || (r->c = connect_once(path)) != NULL);
	return !ended;
}

/* False: it has ended; *found says whether there is such a program. */
static bool start(struct real_redis *r, bool *found)
{
	pid_t parent = getpid();
	int status = 0;

	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0)
		serve(r, parent);
	if (connect_to(r, &status))
		return true;
	r->pid = 0;
	*found = !WIFEXITED(status) || WEXITSTATUS(status) != NOT_FOUND;
	return false;
}

static void remove_folder(const struct real_redis *r)
{
	char path[96];

	path_of(r, "log", path);
	(void)unlink(path);
	assert_int_equal(rmdir(r->folder), 0);
}

void real_redis_start(struct real_redis *r)
{
	const char *top = getenv("TMPDIR");
	bool found = true;

	*r = (struct real_redis){0};
	(void)snprintf(r->folder, sizeof(r->folder), "%s/comet-redis-XXXXXX",
		       top != NULL && strlen(top) < 32 ? top : "/tmp");
	assert_non_null(mkdtemp(r->folder));
	for (int i = 0; found && i < TRIES; i++) {
		r->port = free_port();
		if (start(r, &found))
			return;
	}
	if (found)
		fail_msg("redis-server does not start; %s/log says why", r->folder);
	remove_folder(r);
	fail_msg("redis-server is not installed; `scripts/install-deps --dev` installs it");
}

static void end(struct real_redis *r)
{
	char path[96];

	redisFree(r->c);
	r->c = NULL;
	(void)kill(r->pid, SIGKILL);
	assert_int_equal(waitpid(r->pid, NULL, 0), r->pid);
	r->pid = 0;
	path_of(r, "socket", path);
	(void)unlink(path);
}

void real_redis_stop(struct real_redis *r)
{
	if (r->pid == 0)
		return;
	end(r);
	remove_folder(r);
}

void real_redis_restart(struct real_redis *r)
{
	bool found;

	end(r);
	assert_true(start(r, &found));
}

void real_redis_config(const struct real_redis *r, struct config *cfg)
{
	char addr[64];

	assert_int_equal(config_init(cfg), 0);
	(void)snprintf(addr, sizeof(addr), "redis.addr=127.0.0.1:%d", r->port);
	assert_int_equal(config_flag(cfg, addr, stderr), 0);
}

/* ---- words ---- */

static char said[16384];

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
	size_t n = strlen(said);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(said + n, sizeof(said) - n, format, args);
	va_end(args);
}

static void add_reply(const struct redisReply *reply, bool inner)
{
	switch (reply->type) {
	case REDIS_REPLY_INTEGER:
		add("%lld", reply->integer);
		break;
	case REDIS_REPLY_NIL:
		add("nil");
		break;
	case REDIS_REPLY_ARRAY:
		if (inner)
			add("(");
		for (size_t i = 0; i < reply->elements; i++) {
			if (i > 0)
				add(" ");
			add_reply(reply->element[i], true);
		}
		if (inner)
			add(")");
		break;
	default:
		add("%s", reply->len > 0 ? reply->str : "''");
	}
}

static const char *words_of(struct redisReply *reply)
{
	assert_non_null(reply);
	said[0] = '\0';
	add_reply(reply, false);
	freeReplyObject(reply);
	return said;
}

const char *real_redis_say(struct real_redis *r, const char *command)
{
	/* Nothing in it is a place for an argument. */
	assert_null(strchr(command, '%'));
	return words_of(redisCommand(r->c, command)); /* NOLINT(clang-diagnostic-format-security) */
}

const char *real_redis_sayv(struct real_redis *r, int argc, const char **argv, const size_t *bytes)
{
	return words_of(redisCommandArgv(r->c, argc, argv, bytes));
}
