/* bench_load: a load process: very many connections on one thread and one epoll. It connects what it was told to, says
 * what its kind of benchmark says, and counts what comes. It waits in epoll_wait alone, and the directing process wakes
 * it through a descriptor when the phase changes. The phases, in order: start_some, connected, said_hello,
 * authenticated, take_online, and lose or fail as the end of each. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/bench_source.h"
#include "bench/sequence.h"
#include "client/client.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/obj.h"

#define READ_BYTES     (BENCH_WIRE_BODY_MAX + 1024) /* the longest packet with all around it */
#define EVENTS         512
#define TICK_NS        CLOCK_SEC
#define HEARTBEAT_S    60 /* well below what any server allows */
#define STARTS_A_ROUND 64 /* connections started between two looks at those that are under way */

enum conn_state { CONN_NONE, CONN_CONNECTING, CONN_HELLO, CONN_AUTH, CONN_ONLINE, CONN_GONE };

struct conn {
	int fd;
	enum conn_state state;
	uint32_t held_bytes, unsent_bytes;
	uint8_t *held;    /* received: a packet that is not whole yet */
	uint8_t *unsent;  /* what the socket did not take; then nothing else is sent */
	int64_t since_ns; /* start of the handshake, or the time of the echo under way */
	bool counted;     /* was online when the run began: every accepted push is due to it */
	struct sequence seen;
};

struct load {
	const struct bench_options *opt;
	const struct bench_part *part;
	struct bench_share *share;
	int epoll;
	struct conn *conns;
	uint64_t *seen_bits; /* of all conns, for a fan-out */
	uint8_t *buffer;
	struct bench_source source;
	enum bench_phase phase;
	int64_t next;        /* of conns: the first that was never started */
	int64_t handshaking; /* how many are under way */
	int64_t now_ns;      /* at the last event */
	int64_t next_tick_ns;
	int64_t beat_next;             /* whose turn it is to send a heartbeat */
	struct client_goodbye goodbye; /* the last one that came, for the connection at hand */
};

/* What take_packet needs to know beside the packet. */
struct reading {
	struct load *l;
	struct conn *c;
};

static void count_reason(struct load *l, const char *words)
{
	struct bench_reason *last = &l->share->reasons[BENCH_REASONS - 1];

	for (struct bench_reason *r = l->share->reasons; r < last; r++) {
		if (r->count == 0)
			snprintf(r->words, sizeof(r->words), "%s", words);
		if (strncmp(r->words, words, sizeof(r->words) - 1) == 0) {
			r->count++;
			return;
		}
	}
	snprintf(last->words, sizeof(last->words), "other reasons");
	last->count++;
}

static void drop(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd); /* takes it out of the epoll set too */
	free(c->held);
	free(c->unsent);
	c->fd = -1;
	c->held = c->unsent = NULL;
	c->held_bytes = c->unsent_bytes = 0;
	c->state = CONN_GONE;
}

/* What the machine ran out of, in words that say what to do. */
static const char *words_of(int rc)
{
	switch (rc) {
	case -ECONNABORTED:
		return "took longer than --handshake";
	case -EADDRNOTAVAIL:
		return "no source port left; net.ipv4.ip_local_port_range widens the range";
	case -EPROTO:
		return "what answers there does not speak this --transport";
	case -EMFILE:
	case -ENFILE:
		return "no file left; raise RLIMIT_NOFILE (ulimit -n) or fs.file-max";
	default:
		return err_text(rc);
	}
}

/* The server's words for closing, where it said any before, else ours. */
static void count_end(struct load *l, const char *when, int rc)
{
	char words[BENCH_REASON_BYTES];

	if (l->goodbye.code != GOODBYE_UNSAID)
		snprintf(words, sizeof(words), "%s: op 6: %.70s", when, l->goodbye.reason);
	else
		snprintf(words, sizeof(words), "%s: %s", when, words_of(rc));
	count_reason(l, words);
	l->goodbye.code = GOODBYE_UNSAID;
}

/* The end of a connection that the server, the network or the machine brought about. */
static void end(struct load *l, struct conn *c, int rc)
{
	static const char *const when[] = {"", "connect", "hello", "auth", "online", ""};

	count_end(l, when[c->state], rc);
	if (c->state == CONN_ONLINE) {
		bench_count(&l->share->lost, 1);
		bench_count(&l->share->open, (uint64_t)-1);
	} else {
		bench_count(&l->share->failed, 1);
		l->handshaking--;
	}
	drop(c);
}

static int watch(struct load *l, struct conn *c, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	return epoll_ctl(l->epoll, how, c->fd, &event) < 0 ? -errno : 0;
}

/* Send, or keep what the socket does not take. What is sent here is small, and its answer is waited for before the next:
 * more than one such rest means that the server does not read. */
static int send_all(struct load *l, struct conn *c, const uint8_t *bytes, size_t n)
{
	ssize_t sent = send(c->fd, bytes, n, MSG_NOSIGNAL);

	if (sent == (ssize_t)n)
		return 0;
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (c->unsent != NULL)
		return -ENOBUFS;
	n -= sent > 0 ? (size_t)sent : 0;
	if ((c->unsent = malloc(n)) == NULL)
		return -ENOMEM;
	memcpy(c->unsent, bytes + (sent > 0 ? sent : 0), n);
	c->unsent_bytes = (uint32_t)n;
	return watch(l, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static int send_rest(struct load *l, struct conn *c)
{
	uint8_t *rest = c->unsent;
	size_t n = c->unsent_bytes;
	int rc;

	c->unsent = NULL;
	c->unsent_bytes = 0;
	rc = rest != NULL ? send_all(l, c, rest, n) : 0;
	free(rest);
	return rc == 0 && c->unsent == NULL ? watch(l, c, EPOLL_CTL_MOD, EPOLLIN) : rc;
}

static int send_packet(struct load *l, struct conn *c, int32_t op, const void *body, uint32_t body_bytes)
{
	uint8_t bytes[BENCH_WIRE_WRAP_BYTES];

	return send_all(l, c, bytes, l->opt->wire->wrap(bytes, op, 1, body, body_bytes));
}

static int send_auth(struct load *l, struct conn *c)
{
	int64_t mid = l->opt->mid + l->part->first + (c - l->conns);
	char token[256];
	int n = snprintf(token, sizeof(token),
			 "{\"mid\":%lld,\"key\":\"\",\"room_id\":\"" BENCH_ROOM_TYPE
			 "://%s\",\"platform\":\"bench\",\"accepts\":[%d]}",
			 (long long)mid, l->opt->run, l->opt->op);

	c->state = CONN_AUTH;
	return send_packet(l, c, OP_AUTH, token, (uint32_t)n);
}

static int send_echo(struct load *l, struct conn *c)
{
	c->since_ns = clock_now_ns();
	return send_packet(l, c, OP_HEARTBEAT, NULL, 0);
}

static const struct bench_server *server_of(const struct load *l, const struct conn *c)
{
	return &l->opt->servers[(size_t)(c - l->conns) % l->opt->n_servers];
}

/* The TCP connection stands. */
static int connected(struct load *l, struct conn *c)
{
	const struct bench_wire *wire = l->opt->wire;
	char hello[BENCH_WIRE_WRAP_BYTES];

	if (wire->hello == NULL)
		return send_auth(l, c);
	c->state = CONN_HELLO;
	return send_all(l, c, (uint8_t *)hello, wire->hello(hello, sizeof(hello), l->opt->host, server_of(l, c)->port));
}

/* Begin one connection. An error has been counted. */
static void start(struct load *l, struct conn *c)
{
	const struct bench_server *server = server_of(l, c);
	const struct sockaddr *to = (const struct sockaddr *)&server->address;
	int rc, on = 1;

	bench_count(&l->share->started, 1);
	l->handshaking++;
	c->state = CONN_CONNECTING;
	c->since_ns = clock_now_ns();
	c->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ? -errno : 0;
	if (rc == 0)
		rc = bench_source_bind(&l->source, c->fd);
	if (rc == 0 && connect(c->fd, to, server->address_bytes) < 0 && errno != EINPROGRESS)
		rc = -errno;
	if (rc == 0)
		rc = watch(l, c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	if (rc < 0)
		end(l, c, rc);
}

/* As many as the window allows, but not so many that those under way wait for long. */
static void start_some(struct load *l)
{
	if (l->phase == PHASE_END || (l->phase == PHASE_RUN && l->opt->kind != BENCH_CHURN))
		return;
	for (int i = 0; i < STARTS_A_ROUND && l->next < l->part->connections && l->handshaking < l->part->window; i++)
		start(l, &l->conns[l->next++]);
}

/* A churning connection has done its work: the next one takes its place, also where it was so quick that the word that the
 * run has begun is still on its way to us. */
static void churn(struct load *l, struct conn *c)
{
	bench_count(&l->share->open, (uint64_t)-1);
	drop(c);
	if (l->phase != PHASE_END)
		start(l, c);
}

static int authenticated(struct load *l, struct conn *c)
{
	c->state = CONN_ONLINE;
	l->handshaking--;
	histogram_add(&l->share->handshakes, l->now_ns - c->since_ns);
	l->share->last_online_ns = l->now_ns;
	bench_count(&l->share->online, 1);
	bench_count(&l->share->open, 1);
	return 0;
}

static void take_push(struct load *l, struct conn *c, const struct packet *p)
{
	int64_t sent_ns;
	uint32_t n;

	if (c->seen.bits == NULL || !bench_body_read(p->body, p->body_bytes, l->opt->run, &n, &sent_ns) ||
	    n >= l->part->memory->pushes_max) {
		bench_count(&l->share->foreign, 1);
		return;
	}
	switch (sequence_take(&c->seen, n)) {
	case SEQUENCE_DUPLICATE:
		bench_count(&l->share->duplicates, 1);
		return;
	case SEQUENCE_REORDERED:
		bench_count(&l->share->reordered, 1);
		break;
	case SEQUENCE_NEXT:
		break;
	}
	histogram_add(&l->share->latencies, l->now_ns - sent_ns);
	bench_count(&l->share->delivered, 1);
}

static int take_online(struct load *l, struct conn *c, const struct packet *p)
{
	if (p->op != OP_HEARTBEAT_REPLY) {
		take_push(l, c, p);
		return 0;
	}
	if (l->opt->kind != BENCH_ECHO || l->phase != PHASE_RUN || c->since_ns == 0)
		return 0;
	histogram_add(&l->share->latencies, l->now_ns - c->since_ns);
	bench_count(&l->share->echoes, 1);
	return send_echo(l, c);
}

static int take_packet(void *arg, const struct packet *p)
{
	struct reading *r = arg;

	if (p->op == OP_DISCONNECT) {
		client_read_goodbye(p, &r->l->goodbye);
		return -ERR_EOF;
	}
	if (r->c->state == CONN_ONLINE)
		return take_online(r->l, r->c, p);
	return p->op == OP_AUTH_REPLY ? authenticated(r->l, r->c) : 0;
}

static int take_ping(void *arg, const uint8_t *payload, size_t payload_bytes)
{
	uint8_t bytes[BENCH_WIRE_WRAP_BYTES];
	struct reading *r = arg;

	return send_all(r->l, r->c, bytes, r->l->opt->wire->pong(bytes, payload, payload_bytes));
}

/* Take what is whole of n bytes in the buffer, and keep the rest with the connection. */
static int take_bytes(struct load *l, struct conn *c, size_t n)
{
	struct reading r = {l, c};
	struct bench_wire_sink sink = {take_packet, take_ping, &r};
	uint8_t *at = l->buffer;
	ssize_t done;
	int rc = 0;

	if (c->state == CONN_HELLO) {
		if ((done = l->opt->wire->welcome(at, n)) < 0)
			return (int)done;
		at += done;
		n -= (size_t)done;
		if (done > 0)
			rc = send_auth(l, c);
	}
	if (rc == 0 && c->state != CONN_HELLO) {
		if ((done = l->opt->wire->feed(at, n, &sink)) < 0)
			return (int)done;
		at += done;
		n -= (size_t)done;
	}
	if (rc == 0 && n > 0) {
		if ((c->held = malloc(n)) == NULL)
			return -ENOMEM;
		memcpy(c->held, at, n);
		c->held_bytes = (uint32_t)n;
	}
	return rc;
}

static int receive(struct load *l, struct conn *c)
{
	size_t held = c->held_bytes;
	ssize_t n;

	if (held > 0) {
		memcpy(l->buffer, c->held, held);
		free(c->held);
		c->held = NULL;
		c->held_bytes = 0;
	}
	if (held == READ_BYTES)
		return -ERR_PACKET_BODY;
	n = recv(c->fd, l->buffer + held, READ_BYTES - held, 0);
	l->now_ns = clock_now_ns();
	if (n == 0)
		return held > 0 ? -ERR_CUT : -ERR_EOF;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	return take_bytes(l, c, held + (n > 0 ? (size_t)n : 0));
}

static int finish_connect(struct load *l, struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	if (error != 0)
		return -error;
	error = watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
	return error < 0 ? error : connected(l, c);
}

static void take_event(struct load *l, struct conn *c, uint32_t events)
{
	int rc = 0;

	if (c->state == CONN_CONNECTING)
		rc = finish_connect(l, c);
	else if ((events & EPOLLOUT) != 0)
		rc = send_rest(l, c);
	if (rc == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		rc = receive(l, c);
	if (rc < 0)
		end(l, c, rc);
	else if (l->opt->kind == BENCH_CHURN && c->state == CONN_ONLINE)
		churn(l, c);
}

static int begin_fanout(struct load *l)
{
	size_t words = l->part->memory->words;

	l->seen_bits = calloc((size_t)l->part->connections, words * sizeof(uint64_t));
	if (l->seen_bits == NULL)
		return -ENOMEM;
	for (int64_t i = 0; i < l->part->connections; i++) {
		l->conns[i].seen.bits = l->seen_bits + (size_t)i * words;
		l->conns[i].counted = l->conns[i].state == CONN_ONLINE;
	}
	return 0;
}

static void begin_echo(struct load *l)
{
	for (struct conn *c = l->conns; c < l->conns + l->next; c++) {
		int rc = c->state == CONN_ONLINE ? send_echo(l, c) : 0;

		if (rc < 0)
			end(l, c, rc);
	}
}

/* The phase has changed. 0 or -ENOMEM. */
static int take_command(struct load *l)
{
	enum bench_phase before = l->phase;
	uint64_t n;

	if (read(l->part->command_fd, &n, sizeof(n)) < 0)
		return 0; /* nothing there, whatever epoll said */
	l->phase = (enum bench_phase)atomic_load_explicit(&l->part->memory->phase, memory_order_acquire);
	if (l->phase == before || l->phase != PHASE_RUN)
		return 0;
	if (l->opt->kind == BENCH_ECHO)
		begin_echo(l);
	return l->opt->kind == BENCH_FANOUT ? begin_fanout(l) : 0;
}

/* Once a second: end handshakes that take too long, and let a sixtieth of the connections send a heartbeat. */
static void tick(struct load *l)
{
	int64_t beats = l->part->connections / HEARTBEAT_S + 1;

	l->next_tick_ns += TICK_NS;
	for (struct conn *c = l->conns; l->handshaking > 0 && c < l->conns + l->next; c++)
		if (c->state != CONN_ONLINE && c->state != CONN_GONE && l->now_ns - c->since_ns > l->opt->handshake_ns)
			end(l, c, -ECONNABORTED);
	if (l->opt->kind != BENCH_CONNECT && l->opt->kind != BENCH_FANOUT)
		return;
	for (; beats > 0 && l->next > 0; beats--) {
		struct conn *c = &l->conns[l->beat_next++ % l->next];
		int rc = c->state == CONN_ONLINE ? send_packet(l, c, OP_HEARTBEAT, NULL, 0) : 0;

		if (rc < 0)
			end(l, c, rc);
	}
}

/* Tell the directing process, once, that every connection came out one way or the other. */
static void tell_connected(struct load *l)
{
	uint64_t one = 1;

	if (l->next < l->part->connections || l->handshaking > 0 || atomic_load(&l->share->connected))
		return;
	atomic_store(&l->share->connected, true);
	/* It cannot fail but for an overflow of the counter; the other side looks every second, too. */
	if (write(l->part->news_fd, &one, sizeof(one)) < 0)
		return;
}

static int wait_ms(const struct load *l)
{
	int64_t left_ns = l->next_tick_ns - clock_now_ns();
	bool more = l->next < l->part->connections && l->handshaking < l->part->window &&
		    (l->phase == PHASE_CONNECT || l->opt->kind == BENCH_CHURN);

	return more || left_ns <= 0 ? 0 : (int)(left_ns / CLOCK_MS) + 1;
}

static int run_loop(struct load *l)
{
	struct epoll_event events[EVENTS];

	l->now_ns = clock_now_ns();
	l->next_tick_ns = l->now_ns + TICK_NS;
	while (l->phase != PHASE_END) {
		int n;

		start_some(l);
		tell_connected(l);
		n = epoll_wait(l->epoll, events, EVENTS, wait_ms(l));
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			int rc = c == NULL ? take_command(l) : 0;

			if (rc < 0)
				return rc;
			if (c != NULL && c->fd >= 0)
				take_event(l, c, events[i].events);
		}
		l->now_ns = clock_now_ns();
		if (l->now_ns >= l->next_tick_ns)
			tick(l);
	}
	return 0;
}

/* What only the whole can tell. */
static void sum_up(struct load *l)
{
	const struct bench_memory *memory = l->part->memory;
	struct rusage usage;

	for (struct conn *c = l->conns; l->seen_bits != NULL && c < l->conns + l->next; c++) {
		uint64_t missing = sequence_missing(&c->seen, memory->accepted, memory->words);

		l->share->missing += c->counted ? missing : 0;
		l->share->missing_on_lost += c->counted && c->state != CONN_ONLINE ? missing : 0;
	}
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		l->share->cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int set_up(struct load *l)
{
	struct epoll_event command = {.events = EPOLLIN, .data.ptr = NULL};

	l->conns = calloc((size_t)l->part->connections, sizeof(*l->conns));
	l->buffer = malloc(READ_BYTES);
	if (l->conns == NULL || l->buffer == NULL)
		return -ENOMEM;
	for (int64_t i = 0; i < l->part->connections; i++)
		l->conns[i].fd = -1;
	bench_source_init(&l->source, l->part->spread, l->part->number);
	if ((l->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->part->command_fd, &command) < 0)
		return -errno;
	return 0;
}

static void tear_down(struct load *l)
{
	for (struct conn *c = l->conns; l->conns != NULL && c < l->conns + l->next; c++)
		drop(c);
	if (l->epoll >= 0)
		close(l->epoll);
	free(l->seen_bits);
	free(l->buffer);
	free(l->conns);
}

int bench_load(const struct bench_options *opt, const struct bench_part *part)
{
	struct load l = {.opt = opt, .part = part, .share = part->share, .epoll = -1, .phase = PHASE_CONNECT};
	int rc = set_up(&l);

	if (rc == 0)
		rc = run_loop(&l);
	if (rc == 0)
		sum_up(&l);
	tear_down(&l);
	return rc;
}
