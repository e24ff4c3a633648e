/* fake_redis: see fake_redis.h. One thread, any number of connections. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/script.h"
#include "tests/unit/fake_redis.h"

#define CONNECTIONS 32
#define BUFFER      (1 << 20)

struct fake_redis_peer {
	int fd; /* -1: free */
	bool subscribed;
	size_t bytes;
	char buffer[BUFFER];
};

/* Library functions look for the end of the text first, which may be a megabyte away. */
static size_t number_at(const char *digits)
{
	size_t n = 0;

	while (*digits >= '0' && *digits <= '9')
		n = n * 10 + (size_t)(*digits++ - '0');
	return n;
}

/* One command "*N\r\n$n\r\n...\r\n" at the start of the buffer: its length, its arguments ended by zero bytes; 0: not whole. */
static size_t parse(struct fake_redis_peer *p, int *argc, char **argv)
{
	char *at = p->buffer, *end = p->buffer + p->bytes;
	int n;

	if (memchr(at, '\n', p->bytes) == NULL || at[0] != '*' || (n = (int)number_at(at + 1)) > FAKE_REDIS_ARGS)
		return 0;
	at = strchr(at, '\n') + 1;
	for (*argc = 0; *argc < n; (*argc)++) {
		char *line = memchr(at, '\n', (size_t)(end - at));
		size_t bytes;

		if (line == NULL || at[0] != '$' || (bytes = number_at(at + 1)) + 3 > (size_t)(end - line))
			return 0;
		argv[*argc] = line + 1;
		at = line + 1 + bytes + 2;
	}
	for (int i = 0; i < n; i++)
		/* The carriage return behind it is not needed any more. */
		*strchr(argv[i], '\r') = '\0';
	return (size_t)(at - p->buffer);
}

static void hang_up(struct fake_redis_peer *p)
{
	(void)close(p->fd);
	p->fd = -1;
}

/* All whole commands of the buffer. */
static void serve(struct fake_redis *f, struct fake_redis_peer *p)
{
	char *argv[FAKE_REDIS_ARGS];
	size_t used;
	int argc;

	while (p->fd >= 0 && p->bytes > 0 && (used = parse(p, &argc, argv)) > 0) {
		const char *answer;

		p->subscribed |= argc > 0 && strcmp(argv[0], "SUBSCRIBE") == 0;
		answer = f->answer(f->arg, argc, argv);
		if (answer == NULL || send(p->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) {
			hang_up(p);
			return;
		}
		memmove(p->buffer, p->buffer + used, p->bytes - used);
		p->bytes -= used;
	}
}

static void take(struct fake_redis *f, struct fake_redis_peer *p)
{
	ssize_t n = read(p->fd, p->buffer + p->bytes, sizeof(p->buffer) - 1 - p->bytes);

	if (n <= 0) {
		hang_up(p);
		return;
	}
	p->bytes += (size_t)n;
	p->buffer[p->bytes] = '\0';
	serve(f, p);
}

static void let_in(struct fake_redis *f, struct fake_redis_peer *peers)
{
	for (int i = 0; i < CONNECTIONS; i++)
		if (peers[i].fd < 0) {
			peers[i].fd = accept(f->listener, NULL, NULL);
			peers[i].bytes = 0;
			peers[i].subscribed = false;
			return;
		}
}

static void *run(void *arg)
{
	struct fake_redis *f = arg;
	struct fake_redis_peer *peers = f->peers;

	for (;;) {
		struct pollfd fds[2 + CONNECTIONS] = {{f->stop[0], POLLIN, 0}, {f->listener, POLLIN, 0}};

		for (int i = 0; i < CONNECTIONS; i++)
			fds[2 + i] = (struct pollfd){peers[i].fd, POLLIN, 0};
		(void)poll(fds, 2 + CONNECTIONS, -1);
		if (fds[0].revents != 0)
			break;
		for (int i = 0; i < CONNECTIONS; i++)
			if (peers[i].fd >= 0 && fds[2 + i].revents != 0)
				take(f, &peers[i]);
		if (fds[1].revents != 0)
			let_in(f, peers);
	}
	for (int i = 0; i < CONNECTIONS; i++)
		if (peers[i].fd >= 0)
			hang_up(&peers[i]);
	return NULL;
}

void fake_redis_start(struct fake_redis *f, fake_redis_answer *answer, void *arg)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(sin);

	*f = (struct fake_redis){.answer = answer, .arg = arg, .listener = socket(AF_INET, SOCK_STREAM, 0)};
	assert_true(f->listener >= 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(f->listener, 64), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&sin, &bytes), 0);
	(void)snprintf(f->addr, sizeof(f->addr), "127.0.0.1:%d", ntohs(sin.sin_port));
	assert_int_equal(pipe(f->stop), 0);
	/* Not by the thread: a test may have made an allocation fail by then. */
	assert_non_null(f->peers = calloc(CONNECTIONS, sizeof(*f->peers)));
	for (int i = 0; i < CONNECTIONS; i++)
		f->peers[i].fd = -1;
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
}

void fake_redis_stop(struct fake_redis *f)
{
	assert_int_equal(write(f->stop[1], "x", 1), 1);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	(void)close(f->listener);
	(void)close(f->stop[0]);
	(void)close(f->stop[1]);
	free(f->peers);
}

void fake_redis_config(const struct fake_redis *f, struct config *cfg)
{
	char addr[64];

	assert_int_equal(config_init(cfg), 0);
	(void)snprintf(addr, sizeof(addr), "redis.addr=%s", f->addr);
	assert_int_equal(config_flag(cfg, addr, stderr), 0);
}

struct redis_pipe *fake_redis_pipe(const struct config *cfg)
{
	const struct redis_options opt = redis_options_of(cfg, "test");
	struct redis_pipe *pipe = NULL;

	assert_int_equal(redis_pipe_start(&opt, &pipe), 0);
	return pipe;
}

void fake_redis_tell(struct fake_redis *f, const char *bytes)
{
	for (int i = 0; i < CONNECTIONS; i++)
		if (f->peers[i].fd >= 0 && f->peers[i].subscribed)
			(void)send(f->peers[i].fd, bytes, strlen(bytes), MSG_NOSIGNAL);
}

bool fake_redis_runs(char **argv, const char *name)
{
	static const struct redis_script *const scripts[] = {
#define script(name, arguments, repeat, definitions) &script_##name,
#include "cluster/script.def"
#undef script
	};

	char hash[REDIS_SCRIPT_BYTES];

	if (strcmp(argv[0], "EVAL") != 0 && strcmp(argv[0], "EVALSHA") != 0)
		return false;
	for (size_t i = 0; name != NULL && i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		if (strcmp(scripts[i]->name, name) != 0)
			continue;
		redis_script_hash(scripts[i], hash);
		return strcmp(argv[1], hash) == 0 ||
		       strncmp(argv[1], scripts[i]->text, (size_t)(scripts[i]->end - scripts[i]->text)) == 0;
	}
	return name == NULL;
}

const char *fake_redis_hello(int argc, char **argv)
{
	if (strcmp(argv[0], "PING") == 0)
		return "+PONG\r\n";
	if (strcmp(argv[0], "CLIENT") == 0 || strcmp(argv[0], "SELECT") == 0 || strcmp(argv[0], "AUTH") == 0)
		return "+OK\r\n";
	if (argc == 1 && strcmp(argv[0], "ROLE") == 0)
		return "*1\r\n$6\r\nmaster\r\n";
	return NULL;
}
