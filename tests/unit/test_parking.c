/* Tests of parking as a whole: one connection over a real socket and the real epoll, with everything that may happen to it at once,
 * by ten thousand random schedules. A model says what must come out. A seed that fails is printed: PARKING_SEED=<it> runs it alone.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comet/dispatch.h"
#include "comet/serve.h"
#include "comet/transport/tcp.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/park.h"
#include "common/base/stack.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/tcp_pair.h"
#include "tests/unit/until.h"

/* Sanitizers are slower. */
#define SCHEDULES (STACK_SCALE == 1 ? 10000 : 1000)
#define STEPS     12
#define PUSH_OP   1000
#define PUSH_BODY 1200
#define MAX_BODY  4096

static struct stage stage;

/* One schedule: what was said to the connection, and what came of it. */
static struct {
	uint64_t seed;
	struct connection *c; /* a reference of the test's */
	int client;
	/* the client thread's */
	uint64_t dice;
	uint8_t out[65536];
	size_t out_bytes, out_sent;
	int32_t heartbeats; /* asked for, in out */
	bool left;          /* it has closed its half, or all */
	bool may_urge; /* over TCP: an urgent byte, which is no part of the stream; a second could make the first one */
	bool eof;
	uint8_t in[65536];
	size_t in_bytes;
	int32_t authenticated, answered, pushed_seen, forewarned_seen, goodbyes_seen;
	/* the server thread's */
	uint64_t server_dice;
	int32_t pushed; /* taken by its mailbox */
	bool forewarned;
	atomic_bool kicked; /* by the client thread, too */
} now;

static uint64_t roll(uint64_t *dice, uint64_t sides)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 7;
	*dice ^= *dice << 17;
	return (*dice >> 11) % sides;
}

static void nap_at_random(uint64_t *dice)
{
	const struct timespec moment = {.tv_nsec = (long)roll(dice, 20000)};

	if (roll(dice, 12) == 0)
		(void)nanosleep(&moment, NULL);
	else
		(void)sched_yield();
}

#define must(x)                                                                                                        \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			fail_msg("PARKING_SEED=%llu: %s", (unsigned long long)now.seed, #x);                           \
	} while (0)

/* until(), with the seed. */
static void must_come(bool (*x)(void), const char *what)
{
	struct timespec start;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned i = 0; !x(); i++)
		if (i < 100)
			(void)sched_yield();
		else if (until_is_late(&start))
			fail_msg("PARKING_SEED=%llu: not within %d s: %s", (unsigned long long)now.seed, UNTIL_SECONDS,
				 what);
}

/* ---- the client ---- */

static void say(int32_t op, int32_t seq, uint32_t body_bytes)
{
	must(now.out_bytes + PACKET_HEAD_BYTES + body_bytes <= sizeof(now.out));
	packet_encode(now.out + now.out_bytes, 1, op, seq, body_bytes);
	now.out_bytes += PACKET_HEAD_BYTES + body_bytes;
}

static void send_some(size_t most)
{
	size_t left = now.out_bytes - now.out_sent, n = left < most ? left : most;
	ssize_t sent = n > 0 ? send(now.client, now.out + now.out_sent, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (sent > 0)
		now.out_sent += (size_t)sent;
}

static void look_at(const struct packet *p)
{
	must(now.goodbyes_seen == 0); /* nothing follows it */
	if (p->op == OP_AUTH_REPLY) {
		must(now.authenticated++ == 0);
		return;
	}
	must(now.authenticated == 1 || p->op == OP_DISCONNECT);
	switch (p->op) {
	case OP_HEARTBEAT_REPLY:
		must(p->seq == ++now.answered);
		must(now.answered <= now.heartbeats);
		break;
	case PUSH_OP:
		must(p->body_bytes == PUSH_BODY && packet_get_i32(p->body) == ++now.pushed_seen);
		break;
	case OP_DISCONNECT:
		if (memmem(p->body, p->body_bytes, "kicked", 6) != NULL)
			now.goodbyes_seen++;
		else
			must(now.forewarned_seen++ == 0);
		break;
	default:
		must(!"a packet that nobody wrote");
	}
}

static void read_some(size_t most)
{
	size_t space = sizeof(now.in) - now.in_bytes, at = 0;
	ssize_t n = recv(now.client, now.in + now.in_bytes, most < space ? most : space, MSG_DONTWAIT);
	struct packet p;

	now.eof |= n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	now.in_bytes += n > 0 ? (size_t)n : 0;
	while (now.in_bytes - at >= PACKET_HEAD_BYTES) {
		must(packet_decode(now.in + at, PUSH_BODY, &p) == 0);
		if (now.in_bytes - at < PACKET_HEAD_BYTES + p.body_bytes)
			break;
		p.body = now.in + at + PACKET_HEAD_BYTES;
		look_at(&p);
		at += PACKET_HEAD_BYTES + p.body_bytes;
	}
	memmove(now.in, now.in + at, now.in_bytes - at);
	now.in_bytes -= at;
}

static void client_step(void)
{
	switch (roll(&now.dice, 9)) {
	case 0:
	case 1:
		for (uint64_t n = 1 + roll(&now.dice, 12); n > 0 && now.heartbeats < 200; n--)
			say(OP_HEARTBEAT, ++now.heartbeats, 0);
		break;
	case 2:
		/* Few of them are more than the reader's buffer. */
		for (uint64_t n = roll(&now.dice, 5); n > 0 && now.out_bytes < sizeof(now.out) / 2; n--)
			say(OP_HEARTBEAT, ++now.heartbeats, 1 + (uint32_t)roll(&now.dice, MAX_BODY));
		break;
	case 3:
	case 4:
		if (now.may_urge)
			now.may_urge = send(now.client, "!", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL) != 1;
		send_some(1 + roll(&now.dice, 40)); /* half a packet, or two and a half */
		break;
	case 5:
		send_some(sizeof(now.out));
		break;
	case 6:
		read_some(1 + roll(&now.dice, 5000));
		break;
	default:
		nap_at_random(&now.dice);
		break;
	}
}

/* ---- the server's other threads ---- */

static void push(void)
{
	uint8_t body[PUSH_BODY] = {0};
	struct message *m;
	int rc;

	packet_put_i32(body, now.pushed + 1);
	if (message_new(PUSH_OP, body, sizeof(body), &m) < 0)
		abort();
	if ((rc = channel_push(&now.c->channel, m, false)) >= 0)
		now.pushed++;
	if (rc == 1)
		dispatch_now(now.c);
	message_unref(&m);
}

/* Before it is in, nobody finds it. */
static void kick(void)
{
	if (!atomic_load(&now.c->in_handshake) && connection_shutdown(now.c, CLOSE_KICKED))
		atomic_store(&now.kicked, true);
}

static void *be_the_server(void *arg)
{
	for (unsigned i = 0; i < STEPS; i++) {
		uint64_t what = roll(&now.server_dice, 40);

		if (what < 14) {
			push();
		} else if (what < 16 && !now.forewarned) {
			now.forewarned = true;
			connection_forewarn(now.c);
		} else if (what == 16) {
			kick();
		} else {
			nap_at_random(&now.server_dice);
		}
	}
	return arg;
}

/* ---- a schedule ---- */

static void enter(bool over_tcp)
{
	const struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
	const struct tcp_options opt = {.max_body = MAX_BODY, .parks = true, .write_timeout_ns = 60 * CLOCK_SEC};
	const int sndbuf = 8192;
	struct transport *t;
	struct connection *c;
	int ends[2];

	if (over_tcp)
		tcp_pair(ends);
	else
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	must(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)) == 0);
	now.client = ends[1];
	now.may_urge = over_tcp;
	must(tcp_new(ends[0], (const struct sockaddr *)&peer, round_buffers(&stage.server.round, 0), &opt, &t) == 0);
	must(connection_new(t, &stage.server.connection, &c) == 0);
	must(admission_enter(&stage.server.admission, (const struct sockaddr *)&peer, false, &c->ticket) == CLOSE_NONE);
	now.c = connection_ref(c);
	must(serve_start(&stage.server, c) == 0);
}

static bool has_left(void)
{
	int64_t connections, addresses;

	admission_load(&stage.server.admission, &connections, &addresses);
	return connections == 0;
}

/* All that it was told, and all that it asked for, has come: or a wake-up was lost. */
static bool has_all(void)
{
	send_some(sizeof(now.out));
	read_some(sizeof(now.in));
	return now.eof || (now.out_sent == now.out_bytes && now.authenticated == 1 && now.answered == now.heartbeats &&
			   now.pushed_seen == now.pushed && now.forewarned_seen == now.forewarned);
}

static bool is_at_its_end(void)
{
	read_some(sizeof(now.in));
	return now.eof;
}

/* Whatever ends it; a goodbye that is on its way is not cut off. */
static void end(void)
{
	switch (now.kicked ? 0 : roll(&now.dice, 4)) {
	case 0:
		kick();
		if (now.kicked)
			break;
		/* fallthrough */
	case 1:
		connection_abort(now.c, CLOSE_DRAINING);
		break;
	case 2:
		(void)shutdown(now.client, SHUT_WR);
		break;
	default:
		/* In the middle of a packet. */
		if (now.out_sent % PACKET_HEAD_BYTES == 0)
			(void)send(now.client, "\0\0", 2, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)shutdown(now.client, SHUT_WR);
		break;
	}
	must_come(is_at_its_end, "its end");
}

static void run(uint64_t seed)
{
	pthread_t server;
	bool early;

	memset(&now, 0, sizeof(now));
	now.seed = seed;
	now.dice = seed * 0x9e3779b97f4a7c15 + 1;
	now.server_dice = seed * 0xbf58476d1ce4e5b9 + 1;
	early = roll(&now.dice, 8) == 0; /* it goes while all is under way */
	seam_jitter(now.dice | 1);
	seam_limit_sends(roll(&now.dice, 4) == 0 ? 16 + (unsigned)roll(&now.dice, 100) : 0);
	enter(roll(&now.dice, 8) == 0);
	say(OP_AUTH, 0, 0);
	must(pthread_create(&server, NULL, be_the_server, NULL) == 0);
	for (unsigned i = 0; i < STEPS; i++)
		client_step();
	if (early)
		end();
	must(pthread_join(server, NULL) == 0);
	if (!early) {
		must_come(has_all, "all that it asked for and was told");
		must(!now.eof || now.kicked);
		if (!now.eof)
			end();
		must(now.goodbyes_seen == now.kicked);
		must(!now.kicked || now.pushed_seen == (now.authenticated ? now.pushed : 0));
	}
	(void)close(now.client);
	must_come(has_left, "the connection has left");
	connection_unref(&now.c);
}

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage.parks = true;
	stage_up(&stage);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	stage_down(&stage);
	return 0;
}

static unsigned waiters(void)
{
	struct park_count n = park_count(stage.server.connection.park);

	assert_int_equal(n.blocked, 0);
	return n.threads;
}

/* On a machine that has much else to do it is enough. */
static bool is_long_ago(const struct timespec *start)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec - start->tv_sec > 30;
}

static void whatever_happens_at_once_all_comes_in_order_and_nothing_is_left(void **state)
{
	const char *seed = getenv("PARKING_SEED");
	struct timespec start;
	int64_t threads;
	unsigned n = 0;

	(void)state;
	if (seed != NULL) {
		run(strtoull(seed, NULL, 10));
		return;
	}
	threads = counters_read(COUNT_THREADS) - waiters();
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (; n < SCHEDULES && !is_long_ago(&start); n++)
		run(n + 1);
	seam_reset();
	print_message("%u schedules\n", n);
	until(counters_read(COUNT_THREADS) == threads + waiters());
	assert_int_equal(counters_read(COUNT_PARKED), 0);
	assert_true(counters_read(COUNT_DISPATCHERS_STARTED) > 0); /* sockets were full */
	assert_true(counters_read(COUNT_WAKES) > n);
}

/* It is believed the second time, and of the next time it knows nothing yet. */
static void a_socket_that_was_found_ready_is_asked_twice_each_time(void **state)
{
	(void)state;
	memset(&now, 0, sizeof(now));
	enter(true);
	say(OP_AUTH, 0, 0);
	must_come(has_all, "AUTH_REPLY");
	seam_fail(SEAM_RECV, 0, 3, EAGAIN);
	for (unsigned failed = 2; failed <= 3; failed++) {
		say(OP_HEARTBEAT, ++now.heartbeats, 0);
		send_some(sizeof(now.out));
		until(seam_failed(SEAM_RECV) == failed);
	}
	must_come(has_all, "answers to both");
	(void)close(now.client);
	must_come(has_left, "the connection has left");
	connection_unref(&now.c);
}

#define parking_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		parking_test(whatever_happens_at_once_all_comes_in_order_and_nothing_is_left),
		parking_test(a_socket_that_was_found_ready_is_asked_twice_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
