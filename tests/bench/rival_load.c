/* rival_load: one load process for Comet and for the servers beside it, so that the same code counts and times whatever the protocol
 * (rival_wire.h). One thread, on the loopback network only.
 *
 *   rival_load WIRE PORT PUBLISH_PORT CLIENTS PID[,PID...] PHASE...
 *     rest:S        nothing, for S seconds
 *     fan:RATE:S    RATE pushes a second to all
 *     uni:S         pushes to one client each, drawn by lot, 64 of them under way
 *     echo:S        each client asks for a sign of life as soon as it has the last
 *
 * A line of JSON for connecting and for each phase but rest; CPU is that of the processes named. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench_source.h"
#include "bench/histogram.h"
#include "common/base/clock.h"
#include "tests/bench/rival_wire.h"

#define EVENTS     256
#define WINDOW     100 /* clients that connect at a time */
#define PUBLISHERS 8   /* of pushes to one client; those to all are the first's, in their order */
#define UNDER_WAY  64
#define PUSHES_MAX (1u << 22)
#define FIRST_USER 1000
#define PATIENCE   (5 * CLOCK_SEC) /* for what is still under way when a phase ends */

struct client {
	int fd;
	uint8_t ups;
	bool up;
	struct rival_reader reader;
	uint32_t last;    /* number of a push */
	int64_t since_ns; /* it connects, or asks; 0: neither */
	uint8_t *rest;    /* a part of something */
	size_t rest_bytes, rest_space;
};

enum phase_kind { PHASE_CONNECT, PHASE_FAN, PHASE_UNI, PHASE_ECHO };

static struct {
	enum phase_kind kind;
	unsigned id;
	bool over; /* nothing new is begun */
	uint32_t pushes, pushes_max;
	uint8_t *seen; /* a bit for each push and client, or for each push */
	uint64_t answers, delivered, doubled, reordered, strange;
	struct histogram times;
	int64_t begin_ns, last_ns, cpu_ns;
} phase;

static const struct rival_wire *wire;
static struct client *clients, publishers[PUBLISHERS];
static uint32_t n_clients, started, up, closed;
static uint16_t port, publish_port;
static pid_t pids[64];
static unsigned n_pids;
static int epoll_fd;
static struct bench_source source;

_Noreturn static void die(const char *what)
{
	(void)fprintf(stderr, "rival_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- sending ---- */

/* n bytes at out + RIVAL_FRAME_BYTES. */
static void say(const struct client *c, uint8_t *out, size_t n)
{
	const uint8_t *from;

	n = rival_wire_frame(wire, out, n, &from);
	(void)send(c->fd, from, n, MSG_NOSIGNAL);
}

static int user_of(const struct client *c)
{
	return FIRST_USER + (int)(c - clients);
}

static void say_hello(const struct client *c)
{
	uint8_t out[RIVAL_OUT_BYTES];

	if (wire->hello != NULL)
		say(c, out, wire->hello(out + RIVAL_FRAME_BYTES, user_of(c)));
}

static void ask(struct client *c)
{
	uint8_t out[RIVAL_OUT_BYTES];

	c->since_ns = clock_now_ns();
	say(c, out, wire->ping != NULL ? wire->ping(out + RIVAL_FRAME_BYTES) : 0);
}

static void publish(unsigned publisher, int user)
{
	uint8_t out[RIVAL_OUT_BYTES];
	char payload[RIVAL_PAYLOAD_BYTES];
	size_t bytes;

	rival_payload_write(&(struct rival_payload){phase.id, ++phase.pushes, clock_now_ns(), (unsigned)user}, payload);
	bytes = wire->publish(out, user, payload, sizeof(payload));
	if (send(publishers[publisher].fd, out, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		die("publish");
}

/* ---- what comes ---- */

static void come_up(struct client *c)
{
	if (c->up || ++c->ups < wire->ups)
		return;
	c->up = true;
	up++;
	histogram_add(&phase.times, clock_now_ns() - c->since_ns);
}

static void take_pong(struct client *c)
{
	if (!c->up) {
		come_up(c);
		return;
	}
	if (phase.kind != PHASE_ECHO || phase.over)
		return;
	phase.answers++;
	histogram_add(&phase.times, clock_now_ns() - c->since_ns);
	ask(c);
}

static void take_message(struct client *c, const uint8_t *body, size_t n)
{
	struct rival_payload p;
	size_t bit;

	if (!rival_payload_read(body, n, &p) || p.phase != phase.id || p.number == 0 || p.number > phase.pushes ||
	    (phase.kind == PHASE_UNI && (int)p.user != user_of(c))) {
		phase.strange++;
		return;
	}
	bit = phase.kind == PHASE_FAN ? (size_t)(c - clients) * phase.pushes_max + p.number - 1 : p.number - 1;
	if ((phase.seen[bit / 8] & 1u << bit % 8) != 0) {
		phase.doubled++;
		return;
	}
	phase.seen[bit / 8] |= (uint8_t)(1u << bit % 8);
	phase.reordered += p.number < c->last;
	c->last = p.number;
	phase.delivered++;
	phase.last_ns = clock_now_ns();
	histogram_add(&phase.times, phase.last_ns - p.sent_ns);
}

static void take(struct client *c, const struct rival_seen *s)
{
	switch (s->event) {
	case RIVAL_HELLO:
		say_hello(c);
		if (wire->hello == NULL)
			come_up(c);
		break;
	case RIVAL_UP:
		come_up(c);
		break;
	case RIVAL_PONG:
		take_pong(c);
		break;
	case RIVAL_MESSAGE:
		take_message(c, s->body, s->body_bytes);
		break;
	default:
		break;
	}
}

static void end(struct client *c)
{
	(void)close(c->fd);
	c->fd = -1;
	closed++;
	up -= c->up;
	c->up = false;
}

static void keep_rest(struct client *c, const uint8_t *bytes, size_t n)
{
	if (n > c->rest_space && (c->rest = realloc(c->rest, c->rest_space = n)) == NULL)
		die("memory");
	c->rest_bytes = n;
	if (n > 0)
		memcpy(c->rest, bytes, n);
}

static void read_client(struct client *c)
{
	static uint8_t bytes[1 << 20];
	struct rival_seen s = {.event = RIVAL_NOTHING};
	size_t at = 0, n = c->rest_bytes;
	ssize_t more;

	if (n > 0)
		memcpy(bytes, c->rest, n);
	more = recv(c->fd, bytes + n, sizeof(bytes) - n, MSG_DONTWAIT);
	n += more > 0 ? (size_t)more : 0;
	while (more > 0 && at < n && s.event != RIVAL_INCOMPLETE && s.event != RIVAL_STRANGE) {
		s = rival_wire_see(wire, &c->reader, bytes + at, n - at);
		take(c, &s);
		at += s.bytes;
	}
	if (more == 0 || s.event == RIVAL_STRANGE || (more < 0 && errno != EAGAIN))
		end(c);
	else
		keep_rest(c, bytes + at, n - at);
}

/* What a server says of a push is not looked at: those that come are counted. */
static void read_publisher(const struct client *c)
{
	char bytes[4096];

	if (recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 0)
		die("a publisher is closed");
}

static void turn(int64_t until_ns)
{
	struct epoll_event events[EVENTS];
	int64_t left_ns = until_ns - clock_now_ns();
	int n = epoll_wait(epoll_fd, events, EVENTS, left_ns > 0 ? (int)(left_ns / CLOCK_MS) + 1 : 0);

	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (c >= publishers && c < publishers + PUBLISHERS)
			read_publisher(c);
		else
			read_client(c);
	}
}

/* ---- connecting ---- */

static void open_socket(struct client *c, uint16_t to_port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(to_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bench_source_bind(&source, c->fd) < 0 || connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
		die("connect");
}

static void start_client(struct client *c)
{
	uint8_t out[RIVAL_OUT_BYTES];

	c->since_ns = clock_now_ns();
	open_socket(c, port);
	if (wire->ws)
		(void)send(c->fd, out, rival_wire_request(wire, out, user_of(c)), MSG_NOSIGNAL);
	else if (!wire->waits)
		say_hello(c);
}

static void start_publishers(void)
{
	uint8_t out[RIVAL_OUT_BYTES];

	for (struct client *p = publishers; p < publishers + PUBLISHERS; p++) {
		open_socket(p, publish_port);
		if (wire->publisher_hello != NULL)
			(void)send(p->fd, out, wire->publisher_hello(out), MSG_NOSIGNAL);
	}
}

/* ---- phases ---- */

static int64_t server_cpu_ns(void)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < n_pids; i++) {
		struct timespec t;
		clockid_t clock;

		if (clock_getcpuclockid(pids[i], &clock) != 0 || clock_gettime(clock, &t) < 0)
			die("a server is gone");
		sum += t.tv_sec * CLOCK_SEC + t.tv_nsec;
	}
	return sum;
}

static void begin(enum phase_kind kind, uint32_t pushes_max)
{
	unsigned id = phase.id + 1;
	size_t bits = (kind == PHASE_FAN ? n_clients : 1) * (size_t)pushes_max;

	free(phase.seen);
	memset(&phase, 0, sizeof(phase));
	phase.kind = kind;
	phase.id = id;
	phase.pushes_max = pushes_max;
	if ((phase.seen = calloc(bits / 8 + 1, 1)) == NULL)
		die("memory");
	for (uint32_t i = 0; i < n_clients; i++)
		clients[i].last = 0;
	phase.begin_ns = phase.last_ns = clock_now_ns();
	phase.cpu_ns = server_cpu_ns();
}

static void report(const char *name, uint64_t done, uint64_t due)
{
	double cpu_us = (double)(server_cpu_ns() - phase.cpu_ns) / 1e3;
	double seconds = (double)(phase.last_ns - phase.begin_ns) / 1e9;

	printf("{\"phase\":\"%s\",\"clients\":%u,\"done\":%" PRIu64 ",\"per_s\":%.0f,\"cpu_us\":%.3f,\"p50_ms\":%.3f,"
	       "\"p99_ms\":%.3f,\"lost\":%" PRIu64 ",\"doubled\":%" PRIu64 ",\"reordered\":%" PRIu64
	       ",\"strange\":%" PRIu64 ",\"closed\":%u}\n",
	       name, up, done, seconds > 0 ? (double)done / seconds : 0, done > 0 ? cpu_us / (double)done : 0,
	       (double)histogram_percentile(&phase.times, 50) / 1e6,
	       (double)histogram_percentile(&phase.times, 99) / 1e6, due - done, phase.doubled, phase.reordered,
	       phase.strange, closed);
	(void)fflush(stdout);
}

static void wait_for(uint64_t due)
{
	while (phase.delivered < due && clock_now_ns() < phase.last_ns + PATIENCE)
		turn(clock_now_ns() + CLOCK_SEC / 10);
}

static void connect_all(void)
{
	int64_t until_ns = clock_now_ns() + 60 * CLOCK_SEC;

	begin(PHASE_CONNECT, 0);
	while (up + closed < n_clients && clock_now_ns() < until_ns) {
		while (started < n_clients && started - up - closed < WINDOW)
			start_client(&clients[started++]);
		turn(until_ns);
	}
	phase.last_ns = clock_now_ns();
	report("connect", up, n_clients);
	start_publishers();
}

static void rest(double seconds)
{
	int64_t until_ns = clock_now_ns() + (int64_t)(seconds * 1e9);

	while (clock_now_ns() < until_ns)
		turn(until_ns);
}

static void fan(const char *name, double rate, double seconds)
{
	uint32_t pushes = (uint32_t)(rate * seconds);

	begin(PHASE_FAN, pushes);
	while (phase.pushes < pushes) {
		int64_t due_ns = phase.begin_ns + (int64_t)(phase.pushes * 1e9 / rate);

		if (clock_now_ns() >= due_ns)
			publish(0, RIVAL_ROOM);
		turn(due_ns);
	}
	wait_for((uint64_t)pushes * n_clients);
	report(name, phase.delivered, (uint64_t)pushes * n_clients);
}

static void uni(const char *name, double seconds)
{
	int64_t until_ns = clock_now_ns() + (int64_t)(seconds * 1e9);

	begin(PHASE_UNI, PUSHES_MAX);
	while (clock_now_ns() < until_ns) {
		while (phase.pushes - phase.delivered < UNDER_WAY && phase.pushes < PUSHES_MAX)
			publish(phase.pushes % PUBLISHERS, FIRST_USER + (int)(random() % n_clients));
		turn(until_ns);
	}
	wait_for(phase.pushes);
	report(name, phase.delivered, phase.pushes);
}

static void echo(const char *name, double seconds)
{
	begin(PHASE_ECHO, 0);
	for (uint32_t i = 0; i < n_clients; i++)
		ask(&clients[i]);
	rest(seconds);
	phase.over = true;
	phase.last_ns = clock_now_ns();
	report(name, phase.answers, phase.answers);
	rest(0.5); /* for those that are still asked for */
}

static void run(const char *name)
{
	double a, b;

	if (sscanf(name, "rest:%lf", &a) == 1)
		rest(a);
	else if (sscanf(name, "fan:%lf:%lf", &a, &b) == 2)
		fan(name, a, b);
	else if (sscanf(name, "uni:%lf", &a) == 1)
		uni(name, a);
	else if (sscanf(name, "echo:%lf", &a) == 1)
		echo(name, a);
	else
		die(name);
}

int main(int argc, char **argv)
{
	if (argc < 6 || (wire = rival_wire_find(argv[1])) == NULL) {
		(void)fputs("usage: rival_load WIRE PORT PUBLISH_PORT CLIENTS PID[,PID...] PHASE...\n", stderr);
		return 2;
	}
	port = (uint16_t)atoi(argv[2]);
	publish_port = (uint16_t)atoi(argv[3]);
	n_clients = (uint32_t)atoi(argv[4]);
	for (char *pid = strtok(argv[5], ","); pid != NULL && n_pids < 64; pid = strtok(NULL, ","))
		pids[n_pids++] = atoi(pid);
	bench_source_init(&source, true, (unsigned)getpid() % 200);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc(n_clients, sizeof(*clients));
	if (epoll_fd < 0 || clients == NULL)
		die("start");
	connect_all();
	for (int i = 6; i < argc; i++)
		run(argv[i]);
	return closed > 0 || up < n_clients;
}
