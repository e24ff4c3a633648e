/* herd_load: clients with streams that all come back at once, and what each of them is given of what it missed.
 *   herd_load ROOM MISSED PORT... <POSITIONS
 * ROOM "" is each client's own stream, which it asks for in AUTH; else it joins that room. A line on stdin is a client: its mid, and its
 * position. They connect to the ports in turn, and each has to get the MISSED pushes after its position, in order and without a gap.
 * The answer is one line in JSON when all have them or have failed, or nothing has come for QUIET_MS. It is so little, because there are
 * as many clients on the machine as the server has. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench_source.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/wire/packet.h"
#include "tests/bench/load.h"

#define EVENTS    512
#define WINDOW    1000 /* handshakes under way */
#define STARTS    64   /* between two looks at those */
#define QUIET_MS  10000
#define MAX_BODY  1000
#define KEPT      (PACKET_HEAD_BYTES + MAX_BODY)
#define READ      16384
#define PORTS_MAX 16

enum state { CONNECTING, AUTH, JOINING, REPLAY, WHOLE, FAILED };

struct client {
	int fd;
	uint8_t state;
	uint16_t kept; /* bytes of a packet that is not whole yet */
	uint32_t mid, missing;
	uint64_t position;
	uint8_t rest[KEPT];
};

static struct client *clients;
static uint32_t n_clients, started, handshaking, whole, failed;
static int64_t online_ns, whole_ns; /* the last one */
static const char *room, *why = "";
static uint32_t missed;
static uint16_t ports[PORTS_MAX];
static int n_ports, epoll_fd;
static struct bench_source source;

static void fail(struct client *c, const char *reason)
{
	handshaking -= c->state == CONNECTING || c->state == AUTH;
	c->state = FAILED;
	failed++;
	why = reason;
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
}

static bool say(const struct client *c, int32_t op, const char *body)
{
	uint8_t packet[PACKET_HEAD_BYTES + 256];
	size_t n = strlen(body);

	packet_encode(packet, 1, op, 1, (uint32_t)n);
	memcpy(packet + PACKET_HEAD_BYTES, body, n);
	return send(c->fd, packet, PACKET_HEAD_BYTES + n, MSG_NOSIGNAL) == (ssize_t)(PACKET_HEAD_BYTES + n);
}

static bool watch(struct client *c, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	return epoll_ctl(epoll_fd, how, c->fd, &event) == 0;
}

static void start(struct client *c)
{
	handshaking++;
	c->state = CONNECTING;
	c->fd = load_connect(&source, ports[(c - clients) % n_ports]);
	if (c->fd < 0)
		fail(c, err_text(c->fd));
	else if (!watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT))
		fail(c, "no epoll");
}

static void begin_auth(struct client *c)
{
	char token[256], wish[64] = "\"user\":false";
	socklen_t bytes = sizeof(int);
	int rc = 0;

	if (room[0] == '\0')
		(void)snprintf(wish, sizeof(wish), "\"user\":%" PRIu64, c->position);
	(void)snprintf(token, sizeof(token), "{\"mid\":%u,\"key\":\"herd-%u\",\"accepts\":[1000],\"streams\":{%s}}",
		       c->mid, c->mid, wish);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &rc, &bytes) < 0 || rc != 0)
		fail(c, "refused");
	else if (!watch(c, EPOLL_CTL_MOD, EPOLLIN) || !say(c, OP_AUTH, token))
		fail(c, "AUTH was not sent");
	else
		c->state = AUTH;
}

/* "" or what is wrong with what it says of the stream. */
static const char *judge(const struct client *c, const struct packet *p, const char *body)
{
	char text[MAX_BODY + 1], at[64];

	(void)snprintf(text, sizeof(text), "%.*s", (int)p->body_bytes, body);
	(void)snprintf(at, sizeof(at), "\"at\":%" PRIu64 ",\"gap\":false", c->position);
	return strstr(text, at) != NULL ? "" : "it does not go on after the position";
}

static const char *come_in(struct client *c, const struct packet *p, const char *body, int64_t now_ns)
{
	char wish[256];

	handshaking--;
	online_ns = now_ns;
	c->state = REPLAY;
	if (room[0] == '\0')
		return judge(c, p, body);
	c->state = JOINING;
	(void)snprintf(wish, sizeof(wish), "{\"rooms\":[{\"id\":\"%.100s\",\"since\":%" PRIu64 "}]}", room,
		       c->position);
	return say(c, OP_JOIN, wish) ? "" : "JOIN was not sent";
}

static const char *take_push(struct client *c, const struct packet *p, const uint8_t *body, int64_t now_ns)
{
	uint64_t number;

	if (p->ver != PACKET_VER_PUSH || p->body_bytes < 4)
		return "it is no push with a number";
	number = (uint64_t)(uint32_t)packet_get_i32(body) << 32 | (uint32_t)p->seq;
	if (number != ++c->position)
		return "a push is missing, or came twice";
	if (--c->missing > 0)
		return "";
	c->state = WHOLE;
	whole++;
	whole_ns = now_ns;
	return "";
}

static const char *take_packet(struct client *c, const struct packet *p, const uint8_t *body, int64_t now_ns)
{
	if (c->state == AUTH && p->op == OP_AUTH_REPLY)
		return come_in(c, p, (const char *)body, now_ns);
	if (c->state == JOINING && p->op == OP_JOIN_REPLY) {
		c->state = REPLAY;
		return judge(c, p, (const char *)body);
	}
	return c->state == REPLAY ? take_push(c, p, body, now_ns) : "it is nothing that was asked for";
}

/* What is whole in these bytes, of which the rest is kept. */
static const char *take_bytes(struct client *c, const uint8_t *bytes, size_t n, int64_t now_ns)
{
	const char *wrong = "";
	struct packet p;

	while (n >= PACKET_HEAD_BYTES && wrong[0] == '\0') {
		if (packet_decode(bytes, MAX_BODY, &p) < 0)
			return "it is no packet";
		if (n < PACKET_HEAD_BYTES + p.body_bytes)
			break;
		wrong = take_packet(c, &p, bytes + PACKET_HEAD_BYTES, now_ns);
		bytes += PACKET_HEAD_BYTES + p.body_bytes;
		n -= PACKET_HEAD_BYTES + p.body_bytes;
	}
	c->kept = (uint16_t)n;
	if (wrong[0] == '\0')
		memmove(c->rest, bytes, n);
	return wrong;
}

static void receive(struct client *c)
{
	uint8_t bytes[KEPT + READ];
	const char *wrong;
	ssize_t n;

	memcpy(bytes, c->rest, c->kept);
	if ((n = recv(c->fd, bytes + c->kept, READ, 0)) < 0 && errno == EAGAIN)
		return;
	wrong = n <= 0 ? "it is closed" : take_bytes(c, bytes, c->kept + (size_t)n, clock_now_ns());
	if (wrong[0] != '\0')
		fail(c, wrong);
}

static bool read_clients(void)
{
	struct client one = {.fd = -1, .missing = missed};
	void *more;

	while (scanf("%" SCNu32 " %" SCNu64, &one.mid, &one.position) == 2) {
		if (n_clients % 1024 == 0) {
			if ((more = realloc(clients, (n_clients + 1024) * sizeof(*clients))) == NULL)
				return false;
			clients = more;
		}
		clients[n_clients++] = one;
	}
	return n_clients > 0;
}

static void run(void)
{
	struct epoll_event events[EVENTS];

	while (whole + failed < n_clients) {
		for (int i = 0; i < STARTS && started < n_clients && handshaking < WINDOW; i++)
			start(&clients[started++]);
		int n = epoll_wait(epoll_fd, events, EVENTS,
				   started < n_clients && handshaking < WINDOW ? 0 : QUIET_MS);

		if (n <= 0 && started == n_clients)
			return;
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;

			if (c->fd >= 0)
				(c->state == CONNECTING ? begin_auth : receive)(c);
		}
	}
}

int main(int argc, char **argv)
{
	int64_t begun_ns;

	if (argc < 4 || argc > 3 + PORTS_MAX || (missed = (uint32_t)atoi(argv[2])) == 0)
		return 2;
	room = argv[1];
	for (int i = 3; i < argc; i++)
		ports[n_ports++] = (uint16_t)atoi(argv[i]);
	load_allow_files();
	bench_source_init(&source, true, 0);
	if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 || !read_clients())
		return 1;
	begun_ns = clock_now_ns();
	run();
	printf("{\"clients\":%u,\"whole\":%u,\"failed\":%u,\"why\":\"%s\",\"online_s\":%.3f,\"whole_s\":%.3f,\"cpu_s\":"
	       "%.3f}\n",
	       n_clients, whole, failed, why, (double)(online_ns - begun_ns) / 1e9, (double)(whole_ns - begun_ns) / 1e9,
	       load_cpu_s());
	return 0; /* the kernel closes them faster than we could */
}
