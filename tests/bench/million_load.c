/* million_load: a load process of tests/bench/million: COUNT connections to one comet on this machine, which it opens, holds, has send
 * heartbeats at random, and counts the pushes of. A line on stdin is a command, a line on stdout an answer, in JSON.
 *   beat MS   from now on each connection sends a heartbeat in so many ms on average, at random; 0: none
 *   push N    pushes carry this number from now on
 *   look      the counters; times are those since the last look
 *   the end of stdin ends it
 * It is so little, because there are as many clients on the machine as the server has. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench_source.h"
#include "bench/histogram.h"
#include "common/base/clock.h"
#include "common/wire/packet.h"
#include "tests/bench/load.h"

#define EVENTS    512
#define WINDOW    200 /* handshakes under way */
#define STARTS    64  /* between two looks at those */
#define TICK_MS   10
#define ANSWER_MS 30000

enum state { NONE, CONNECTING, AUTH, ONLINE, GONE };

struct client {
	int fd;
	uint8_t state;
	uint8_t seen;      /* how often the push has come */
	int64_t beaten_ns; /* a heartbeat is out; 0: none */
};

static struct client *clients;
static uint32_t n_clients, started, handshaking, online, failed, lost, delivered, doubled, strange;
static uint64_t beats, answered;
static int64_t connect_done_ns, last_delivery_ns, beat_ms, push_number, next_beat_ns;
static struct histogram echoes, deliveries;
static int error; /* the last */
static int epoll_fd;
static uint16_t port;
static uint32_t first_mid;
static struct bench_source source;

static void end(struct client *c, int why)
{
	if (c->state == ONLINE) {
		lost++;
		online--;
	} else {
		failed++;
		handshaking--;
	}
	error = why;
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	c->state = GONE;
}

static int say(const struct client *c, int32_t op, const char *body, uint32_t n)
{
	uint8_t packet[PACKET_HEAD_BYTES + 128];

	packet_encode(packet, 1, op, 1, n);
	if (n > 0)
		memcpy(packet + PACKET_HEAD_BYTES, body, n);
	return send(c->fd, packet, PACKET_HEAD_BYTES + n, MSG_NOSIGNAL) == (ssize_t)(PACKET_HEAD_BYTES + n) ? 0 : -EIO;
}

static int watch(struct client *c, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	return epoll_ctl(epoll_fd, how, c->fd, &event) < 0 ? -errno : 0;
}

static void start(struct client *c)
{
	int rc;

	handshaking++;
	c->state = CONNECTING;
	c->fd = load_connect(&source, port);
	rc = c->fd < 0 ? c->fd : watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	if (rc < 0)
		end(c, rc);
}

static int begin_auth(struct client *c)
{
	char token[128];
	int rc = 0,
	    n = snprintf(token, sizeof(token), "{\"mid\":%u,\"accepts\":[1000]}", first_mid + (uint32_t)(c - clients));
	socklen_t bytes = sizeof(rc);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &rc, &bytes) < 0 || rc != 0)
		return -(rc != 0 ? rc : errno);
	c->state = AUTH;
	if ((rc = watch(c, EPOLL_CTL_MOD, EPOLLIN)) < 0)
		return rc;
	return say(c, OP_AUTH, token, (uint32_t)n);
}

/* The body: the number of the push, and when it was made. */
static void take_push(struct client *c, const uint8_t *body, uint32_t n, int64_t now_ns)
{
	long long number, made_ns;
	char text[64];

	(void)snprintf(text, sizeof(text), "%.*s", (int)(n < 60 ? n : 60), (const char *)body);
	if (sscanf(text, "%lld %lld", &number, &made_ns) != 2 || number != push_number) {
		strange++;
		return;
	}
	if (c->seen++ > 0) {
		doubled++;
		return;
	}
	delivered++;
	last_delivery_ns = now_ns;
	histogram_add(&deliveries, now_ns - made_ns);
}

static void take_packet(struct client *c, const struct packet *p, const uint8_t *body, int64_t now_ns)
{
	if (p->op == OP_AUTH_REPLY && c->state == AUTH) {
		c->state = ONLINE;
		handshaking--;
		online++;
		connect_done_ns = now_ns;
	} else if (p->op == OP_HEARTBEAT_REPLY && c->beaten_ns > 0) {
		answered++;
		histogram_add(&echoes, now_ns - c->beaten_ns);
		c->beaten_ns = 0;
	} else if (p->op == 1000) {
		take_push(c, body, p->body_bytes, now_ns);
	}
}

/* What a server sends here is so short that it comes whole. */
static int receive(struct client *c)
{
	uint8_t bytes[4096];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
	int64_t now_ns = clock_now_ns();
	struct packet p;

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	for (ssize_t at = 0; at < n; at += PACKET_HEAD_BYTES + (ssize_t)p.body_bytes) {
		if (n - at < PACKET_HEAD_BYTES || packet_decode(bytes + at, sizeof(bytes), &p) < 0 ||
		    n - at < PACKET_HEAD_BYTES + (ssize_t)p.body_bytes)
			return -EPROTO;
		take_packet(c, &p, bytes + at + PACKET_HEAD_BYTES, now_ns);
	}
	return 0;
}

static void take_event(struct client *c)
{
	int rc = c->state == CONNECTING ? begin_auth(c) : receive(c);

	if (rc < 0)
		end(c, rc);
}

/* As many as are due by now, each whoever it hits. */
static void beat(int64_t now_ns)
{
	int64_t one_ns = online > 0 && beat_ms > 0 ? beat_ms * CLOCK_MS / online : 0;

	if (one_ns == 0)
		next_beat_ns = now_ns;
	for (; one_ns > 0 && next_beat_ns <= now_ns; next_beat_ns += one_ns) {
		struct client *c = &clients[(uint32_t)random() % n_clients];

		if (c->state != ONLINE || c->beaten_ns > 0)
			continue;
		c->beaten_ns = now_ns;
		beats++;
		if (say(c, OP_HEARTBEAT, NULL, 0) < 0)
			end(c, -EIO);
	}
}

static void say_times(const char *name, struct histogram *h)
{
	printf(",\"%s_p50_us\":%lld,\"%s_p99_us\":%lld,\"%s_max_us\":%lld", name,
	       (long long)histogram_percentile(h, 50) / 1000, name, (long long)histogram_percentile(h, 99) / 1000, name,
	       (long long)h->max_ns / 1000);
	*h = (struct histogram){0};
}

/* Online, and without the push. */
static uint32_t count_missing(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; push_number > 0 && i < started; i++)
		n += clients[i].state == ONLINE && clients[i].seen == 0;
	return n;
}

static void look(void)
{
	printf("{\"online\":%u,\"handshaking\":%u,\"started\":%u,\"failed\":%u,\"lost\":%u,\"delivered\":%u,"
	       "\"doubled\":%u,"
	       "\"missing\":%u,\"strange\":%u,\"beats\":%llu,\"answered\":%llu,\"connect_done_ns\":%lld,\"last_"
	       "delivery_ns\":%lld,"
	       "\"error\":\"%s\",\"cpu_s\":%.3f",
	       online, handshaking, started, failed, lost, delivered, doubled, count_missing(), strange,
	       (unsigned long long)beats, (unsigned long long)answered, (long long)connect_done_ns,
	       (long long)last_delivery_ns, error < 0 ? strerror(-error) : "", load_cpu_s());
	say_times("echo", &echoes);
	say_times("delivery", &deliveries);
	printf("}\n");
	(void)fflush(stdout);
}

/* False: the end. */
static bool take_command(void)
{
	char line[128];
	long long n;

	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	if (sscanf(line, "beat %lld", &n) == 1)
		beat_ms = n;
	else if (sscanf(line, "push %lld", &n) == 1)
		push_number = n;
	else
		look();
	return true;
}

static void run(void)
{
	struct epoll_event events[EVENTS];
	bool go_on = true;

	while (go_on) {
		for (int i = 0; i < STARTS && started < n_clients && handshaking < WINDOW; i++)
			start(&clients[started++]);
		int n = epoll_wait(epoll_fd, events, EVENTS,
				   started < n_clients && handshaking < WINDOW ? 0
				   : beat_ms > 0                               ? TICK_MS
									       : -1);
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;

			if (c == NULL)
				go_on = take_command();
			else if (c->fd >= 0)
				take_event(c);
		}
		beat(clock_now_ns());
	}
}

int main(int argc, char **argv)
{
	struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};

	if (argc != 5)
		return 2;
	port = (uint16_t)atoi(argv[1]);
	first_mid = (uint32_t)atoi(argv[2]);
	n_clients = (uint32_t)atoi(argv[3]);
	srandom(first_mid);
	(void)setvbuf(stdin, NULL, _IONBF, 0); /* epoll tells of what is in the pipe */
	load_allow_files();
	bench_source_init(&source, true, (unsigned)atoi(argv[4]));
	clients = calloc(n_clients, sizeof(*clients));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (clients == NULL || epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &commands) < 0)
		return 1;
	run();
	return 0; /* the kernel closes them faster than we could */
}
