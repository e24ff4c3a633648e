/* Tests of comet/door/accept, over loopback. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comet/door/accept.h"
#include "comet/door/tcp_door.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/wire/packet.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

static struct stage stage;
static struct accept *door;
static char said[1024];   /* on stdout */
static char logged[8192]; /* on stderr */

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	return 0;
}

/* The listening sockets are parked among the connections. */
static int set_up_parked(void **state)
{
	(void)state;
	stage_set(&stage);
	stage.parks = true;
	stage_up(&stage);
	return 0;
}

static void end_logging(void);

static int tear_down(void **state)
{
	(void)state;
	end_logging();
	if (door != NULL)
		accept_stop(&door);
	seam_reset();
	assert_true(server_drain(&stage.server, 0, 0));
	stage_down(&stage);
	return 0;
}

/* ---- what it says ---- */

struct tap {
	int of, real, reader;
};
static struct tap log_tap = {.real = -1};

static void tap_begin(struct tap *t, int fd)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	t->of = fd;
	t->real = dup(fd);
	t->reader = ends[0];
	assert_int_equal(fcntl(t->reader, F_SETFL, O_NONBLOCK), 0);
	assert_true(dup2(ends[1], fd) >= 0);
	assert_int_equal(close(ends[1]), 0);
}

/* Add what came to text. */
static void tap_read(const struct tap *t, char *text, size_t room)
{
	size_t n = strlen(text);
	ssize_t got;

	while (n + 1 < room && (got = read(t->reader, text + n, room - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
}

static void tap_end(struct tap *t)
{
	(void)dup2(t->real, t->of);
	(void)close(t->real);
	(void)close(t->reader);
	t->real = -1;
}

static void begin_logging(enum log_level level)
{
	logged[0] = '\0';
	tap_begin(&log_tap, STDERR_FILENO);
	log_setup(level, LOG_TEXT);
}

static void end_logging(void)
{
	if (log_tap.real < 0)
		return;
	tap_read(&log_tap, logged, sizeof(logged));
	tap_end(&log_tap);
	log_setup(LOG_ERROR, LOG_TEXT);
}

static bool has_logged(const char *words)
{
	tap_read(&log_tap, logged, sizeof(logged));
	return strstr(logged, words) != NULL;
}

static unsigned times_logged(const char *words)
{
	unsigned n = 0;

	for (const char *at = logged; (at = strstr(at, words)) != NULL; at++)
		n++;
	return n;
}

/* accept_start with a door for TCP, with what it says on stdout in `said`. */
static int start(const char *bind, unsigned threads)
{
	static struct tcp_door tcp;
	static struct accept_door doors[1];
	struct tap tap;
	int rc;

	said[0] = '\0';
	(void)fflush(stdout);
	tap_begin(&tap, STDOUT_FILENO);
	tcp = (struct tcp_door){.server = &stage.server};
	doors[0] = (struct accept_door){.kind = ACCEPT_TCP,
					.setting = "tcp.bind",
					.bind = bind,
					.let_in = tcp_door_let_in,
					.turn_away = tcp_door_turn_away,
					.arg = &tcp};
	rc = accept_start(&stage.server, doors, 1, threads, &door);
	(void)fflush(stdout);
	tap_read(&tap, said, sizeof(said));
	tap_end(&tap);
	return rc;
}

/* The port in the n-th line that was said. */
static uint16_t port(unsigned n)
{
	const char *line = said, *colon;

	for (; n > 0; n--)
		line = strchr(line, '\n') + 1;
	assert_memory_equal(line, "listening tcp ", 14);
	for (colon = strchr(line, '\n'); *colon != ':'; colon--)
		;
	return (uint16_t)strtoul(colon + 1, NULL, 10);
}

/* ---- clients ---- */

static int dial_at(const char *host, uint16_t to)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to)};
	const struct timeval patience = {.tv_sec = UNTIL_SECONDS};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int dial(void)
{
	return dial_at("127.0.0.1", port(0));
}

/* The next packet; its op, or 0 at the end of the stream. */
static int32_t receive(int fd, char *body, size_t room)
{
	uint8_t head[PACKET_HEAD_BYTES];
	struct packet p;
	ssize_t n = read(fd, head, sizeof(head));

	if (n == 0)
		return 0;
	assert_int_equal(n, sizeof(head));
	assert_int_equal(packet_decode(head, 4096, &p), 0);
	assert_true(p.body_bytes < room);
	assert_int_equal(read(fd, body, p.body_bytes), p.body_bytes);
	body[p.body_bytes] = '\0';
	return p.op;
}

static void authenticate(int fd)
{
	uint8_t head[PACKET_HEAD_BYTES];
	char body[300];

	packet_encode(head, 1, OP_AUTH, 1, 0);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	assert_int_equal(receive(fd, body, sizeof(body)), OP_AUTH_REPLY);
}

static int64_t connections(void)
{
	int64_t n, addresses;

	admission_load(&stage.server.admission, &n, &addresses);
	return n;
}

/* ---- the door ---- */

static void a_client_is_served_and_sees_the_end(void **state)
{
	int64_t before = counters_read(COUNT_ACCEPTED);
	int fd;

	(void)state;
	assert_int_equal(start("127.0.0.1:0", 2), 0);
	fd = dial();
	authenticate(fd);
	assert_int_equal(connections(), 1);
	assert_int_equal(counters_read(COUNT_ACCEPTED), before + 1);
	assert_string_equal(stage.logic.peer, "127.0.0.1");
	assert_int_equal(close(fd), 0);
	until(connections() == 0);
}

static void each_address_is_listened_on_and_said(void **state)
{
	int one, two;

	(void)state;
	assert_int_equal(start("127.0.0.1:0, 127.0.0.2:0", 2), 0);
	assert_non_null(strstr(said, "listening tcp 127.0.0.1:"));
	assert_non_null(strstr(said, "\nlistening tcp 127.0.0.2:"));
	assert_int_equal(accept_port(door, ACCEPT_TCP), port(0));
	assert_int_equal(accept_port(door, ACCEPT_WEBSOCKET), 0);
	one = dial_at("127.0.0.1", port(0));
	authenticate(one);
	two = dial_at("127.0.0.2", port(1));
	authenticate(two);
	assert_int_equal(close(one), 0);
	assert_int_equal(close(two), 0);
	until(connections() == 0);
}

static void with_no_address_there_is_no_door(void **state)
{
	(void)state;
	assert_int_equal(start("", 1), 0);
	assert_string_equal(said, "");
}

static void a_client_of_ipv6_is_served(void **state)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd;

	(void)state;
	if (start("[::1]:0", 1) < 0)
		skip(); /* a machine without IPv6 */
	assert_non_null(strstr(said, "listening tcp [::1]:"));
	address.sin6_port = htons((uint16_t)strtoul(strstr(said, "]:") + 2, NULL, 10));
	assert_int_equal(accept_port(door, ACCEPT_TCP), ntohs(address.sin6_port));
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	authenticate(fd);
	assert_string_equal(stage.logic.peer, "::1");
	assert_int_equal(close(fd), 0);
	until(connections() == 0);
}

static void an_address_that_cannot_be_is_an_error_that_names_it(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "127.0.0.1:port", "192.0.2.1:0",
						"127.0.0.1:0,nowhere..:1"};

	(void)state;
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		begin_logging(LOG_ERROR);
		assert_true(start(addresses[i], 1) < 0);
		assert_null(door);
		end_logging();
		assert_non_null(strstr(logged, " event=listen_failed setting=tcp.bind address="));
		assert_non_null(strstr(logged, strrchr(addresses[i], ',') != NULL ? "nowhere..:1" : addresses[i]));
	}
}

static void an_address_that_is_taken_is_an_error(void **state)
{
	struct accept *first;
	char taken[32];

	(void)state;
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	first = door;
	door = NULL;
	(void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", port(0));
	begin_logging(LOG_ERROR);
	assert_int_equal(start(taken, 1), -EADDRINUSE);
	end_logging();
	assert_null(door);
	accept_stop(&first);
}

/* What was started before is stopped again; the addresses are free. */
static void a_door_that_cannot_open_leaves_nothing_behind(void **state)
{
	int64_t before = counters_read(COUNT_THREADS);
	unsigned after = 0;
	int rc;

	(void)state;
	begin_logging(LOG_ERROR);
	for (;; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = start("127.0.0.1:0,127.0.0.2:0", 2);
		if (seam_failed(SEAM_ALLOC) == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_null(door);
		assert_int_equal(counters_read(COUNT_THREADS), before);
	}
	seam_reset();
	assert_int_equal(rc, 0);
	accept_stop(&door);
	for (after = 0; after < 4; after++) {
		seam_fail(SEAM_PTHREAD_CREATE, after, 1, EAGAIN);
		assert_int_equal(start("127.0.0.1:0,127.0.0.2:0", 2), -EAGAIN);
		assert_null(door);
		assert_int_equal(counters_read(COUNT_THREADS), before);
	}
	end_logging();
}

/* ---- who is turned away ---- */

static void who_is_one_too_many_is_told_and_turned_away(void **state)
{
	int64_t before = counters_read_by(COUNT_REFUSED, CLOSE_PER_IP);
	char body[300];
	int in, out;

	(void)state;
	stage.server.admission.opt.per_ip_max = 1;
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	in = dial();
	authenticate(in);
	out = dial();
	assert_int_equal(receive(out, body, sizeof(body)), OP_DISCONNECT);
	assert_string_equal(body, "{\"code\":8,\"reason\":\"too many connections from this address\"}");
	assert_int_equal(receive(out, body, sizeof(body)), 0);
	assert_int_equal(close(out), 0);
	assert_int_equal(counters_read_by(COUNT_REFUSED, CLOSE_PER_IP), before + 1);
	assert_int_equal(connections(), 1);
	assert_int_equal(close(in), 0);
	until(connections() == 0);
}

/* ---- the machine's limits ---- */

/* accept4 fails, the door waits a little longer each time, says so once, and takes the client when it can. */
static void assert_pauses_and_goes_on(int err)
{
	int64_t before = counters_read(COUNT_ACCEPT_PAUSED);
	int fd;

	/* Another second than the last time, however long that took, since the log is limited by it. */
	seam_clock_set(clock_now_ns() - (3500 - 10 * err) * CLOCK_SEC, 0);
	begin_logging(LOG_INFO);
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	/* The thread sits in an accept4 that went through: its next three fail. */
	seam_fail(SEAM_ACCEPT4, 0, 3, err);
	fd = dial();
	authenticate(fd);
	assert_int_equal(close(fd), 0);
	fd = dial();
	authenticate(fd);
	until(has_logged("event=accept_resumed"));
	end_logging();
	assert_int_equal(seam_failed(SEAM_ACCEPT4), 3);
	assert_int_equal(counters_read(COUNT_ACCEPT_PAUSED), before + 3);
	assert_int_equal(times_logged("event=accept_paused"), 1);
	assert_int_equal(times_logged("event=accept_resumed"), 1);
	assert_int_equal(close(fd), 0);
	until(connections() == 0);
	accept_stop(&door);
	seam_reset();
}

static void without_files_or_memory_the_door_pauses_says_so_once_and_goes_on(void **state)
{
	static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};

	(void)state;
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		assert_pauses_and_goes_on(errors[i]);
}

static void a_limit_that_is_met_again_and_again_does_not_flood_the_log(void **state)
{
	int64_t before = counters_read(COUNT_ACCEPT_PAUSED);

	(void)state;
	/* One second, however long it takes. */
	seam_clock_set(clock_now_ns() - 3600 * CLOCK_SEC, 0);
	begin_logging(LOG_INFO);
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	for (unsigned i = 0; i < 10; i++) {
		int fd;

		seam_fail(SEAM_ACCEPT4, 0, 1, EMFILE);
		/* The second comes after the failure, at the latest. */
		for (unsigned n = 0; n < 2; n++) {
			fd = dial();
			authenticate(fd);
			assert_int_equal(close(fd), 0);
		}
	}
	end_logging();
	assert_int_equal(counters_read(COUNT_ACCEPT_PAUSED), before + 10);
	assert_int_equal(times_logged("event=accept_paused"), 1);
	assert_int_equal(times_logged("event=accept_resumed"), 1);
	until(connections() == 0);
}

static void without_a_thread_the_client_is_told_and_the_door_pauses(void **state)
{
	int64_t before = counters_read(COUNT_ACCEPT_PAUSED);
	char body[300];
	int fd;

	(void)state;
	seam_clock_set(clock_now_ns() - 1800 * CLOCK_SEC, 0);
	begin_logging(LOG_INFO);
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	fd = dial();
	assert_int_equal(receive(fd, body, sizeof(body)), OP_DISCONNECT);
	assert_string_equal(body, "{\"code\":11,\"reason\":\"the server has no thread left, try again later\"}");
	assert_int_equal(close(fd), 0);
	fd = dial();
	authenticate(fd);
	until(has_logged("event=accept_resumed"));
	end_logging();
	assert_int_equal(counters_read(COUNT_ACCEPT_PAUSED), before + 1);
	assert_int_equal(close(fd), 0);
	until(connections() == 0);
}

/* Whichever allocation for a connection fails, that client is closed, the next is served, and no descriptor is left. */
static void without_memory_for_a_connection_it_is_closed_and_the_door_goes_on(void **state)
{
	char body[300];
	int fd;

	(void)state;
	begin_logging(LOG_ERROR);
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	/* What is made once and kept. */
	fd = dial();
	authenticate(fd);
	assert_int_equal(close(fd), 0);
	until(connections() == 0);
	/* Its address, transport, connection, ring. */
	for (unsigned after = 0; after < 4; after++) {
		int64_t before = counters_read(COUNT_ACCEPT_PAUSED), refused = counters_read(COUNT_REFUSED);

		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		fd = dial();
		/* Only who was not let in is told: for the others there is no memory to do so with. */
		assert_int_equal(receive(fd, body, sizeof(body)), after == 0 ? OP_DISCONNECT : 0);
		assert_int_equal(close(fd), 0);
		until(counters_read(COUNT_ACCEPT_PAUSED) > before || counters_read(COUNT_REFUSED) > refused);
		assert_int_equal(seam_failed(SEAM_ALLOC), 1);
		seam_reset();
		fd = dial();
		authenticate(fd);
		assert_int_equal(close(fd), 0);
		until(connections() == 0);
	}
	end_logging();
}

static void a_client_that_has_gone_before_it_was_accepted_is_no_reason_to_pause(void **state)
{
	static const int errors[] = {ECONNABORTED, EINTR, EPROTO, EPERM};
	int64_t before = counters_read(COUNT_ACCEPT_PAUSED);
	int fd;

	(void)state;
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		seam_fail(SEAM_ACCEPT4, 0, 2, errors[i]);
		for (int n = 0; n < 2; n++) {
			fd = dial();
			authenticate(fd);
			assert_int_equal(close(fd), 0);
		}
	}
	assert_int_equal(counters_read(COUNT_ACCEPT_PAUSED), before);
	until(connections() == 0);
}

static int option(int fd, int level, int name)
{
	socklen_t bytes = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, name, &value, &bytes), 0);
	return value;
}

static int accepted = -1;

/* A door of which nobody comes in. */
static int keep(void *arg, int fd, const struct sockaddr *peer, bool for_other, enum ticket *ticket)
{
	(void)arg, (void)peer, (void)for_other, (void)ticket;
	__atomic_store_n(&accepted, fd, __ATOMIC_SEQ_CST);
	return 0;
}

static void those_who_are_accepted_inherit_the_options(void **state)
{
	struct accept_door doors[] = {
		{.kind = ACCEPT_TCP, .bind = "127.0.0.1:0", .let_in = keep, .turn_away = tcp_door_turn_away}};
	struct config *cfg = &stage.cfg;
	int fd;

	(void)state;
	cfg->tcp_keepalive = true;
	cfg->tcp_keepalive_idle = 31000;
	cfg->tcp_keepalive_interval = 8001;
	cfg->tcp_keepalive_count = 5;
	cfg->tcp_user_timeout = 71234;
	cfg->tcp_sndbuf = 40000;
	cfg->tcp_rcvbuf = 50000;
	assert_int_equal(accept_start(&stage.server, doors, 1, 1, &door), 0);
	fd = dial_at("127.0.0.1", accept_port(door, ACCEPT_TCP));
	until(__atomic_load_n(&accepted, __ATOMIC_SEQ_CST) >= 0);
	assert_int_equal(option(accepted, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 31);
	assert_int_equal(option(accepted, IPPROTO_TCP, TCP_KEEPINTVL), 9);
	assert_int_equal(option(accepted, IPPROTO_TCP, TCP_KEEPCNT), 5);
	assert_int_equal(option(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 71234);
	assert_int_equal(option(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
	/* The kernel doubles both. */
	assert_int_equal(option(accepted, SOL_SOCKET, SO_SNDBUF), 80000);
	assert_int_equal(option(accepted, SOL_SOCKET, SO_RCVBUF), 100000);
	assert_int_equal(close(accepted), 0);
	assert_int_equal(close(fd), 0);
}

static void an_option_that_cannot_be_set_is_a_fault_of_the_start(void **state)
{
	(void)state;
	seam_fail(SEAM_SETSOCKOPT, 1, 1, EDOM); /* the first is listen_open's */
	begin_logging(LOG_ERROR);
	assert_int_equal(start("127.0.0.1:0", 1), -EDOM);
	end_logging();
	assert_null(door);
	assert_non_null(strstr(logged, " event=listen_failed setting=tcp.bind address=127.0.0.1:0"));
}

/* ---- the stop ---- */

static void a_door_that_pauses_can_be_stopped(void **state)
{
	int64_t before = counters_read(COUNT_ACCEPT_PAUSED);
	int fd;

	(void)state;
	begin_logging(LOG_ERROR);
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	seam_fail(SEAM_ACCEPT4, 0, 1000000, EMFILE);
	fd = dial();
	until(counters_read(COUNT_ACCEPT_PAUSED) > before + 1);
	accept_stop(&door);
	end_logging();
	assert_null(door);
	assert_int_equal(close(fd), 0);
}

static void after_the_stop_nobody_connects_and_those_inside_stay(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	uint8_t head[PACKET_HEAD_BYTES];
	char body[300];
	int inside, outside;

	(void)state;
	assert_int_equal(start("127.0.0.1:0", 2), 0);
	inside = dial();
	authenticate(inside);
	accept_stop(&door);
	address.sin_port = htons(port(0));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	outside = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(outside >= 0);
	assert_int_equal(connect(outside, (struct sockaddr *)&address, sizeof(address)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(close(outside), 0);
	packet_encode(head, 1, OP_HEARTBEAT, 2, 0);
	assert_int_equal(write(inside, head, sizeof(head)), sizeof(head));
	assert_int_equal(receive(inside, body, sizeof(body)), OP_HEARTBEAT_REPLY);
	assert_int_equal(close(inside), 0);
	until(connections() == 0);
}

/* More than have one turn, all at once, so that some wait when it is over. */
static void a_crowd_comes_in(void **state)
{
	int fds[100];

	(void)state;
	assert_int_equal(start("127.0.0.1:0", 1), 0);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		fds[i] = dial();
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		authenticate(fds[i]);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		assert_int_equal(close(fds[i]), 0);
	until(connections() == 0);
}

/* Whatever moment of accepting, pausing or parking the stop meets. */
static void a_door_can_be_stopped_at_any_moment(void **state)
{
	(void)state;
	begin_logging(LOG_ERROR);
	for (unsigned i = 0; i < 200; i++) {
		int fds[4];

		assert_int_equal(start("127.0.0.1:0", 1), 0);
		for (unsigned n = 0; n < sizeof(fds) / sizeof(fds[0]); n++)
			fds[n] = dial();
		if (i % 2 == 1)
			seam_fail(SEAM_ACCEPT4, i % 5, 1, EMFILE);
		accept_stop(&door);
		for (unsigned n = 0; n < sizeof(fds) / sizeof(fds[0]); n++)
			assert_int_equal(close(fds[n]), 0);
		seam_reset();
	}
	end_logging();
	until(connections() == 0);
}

#define accept_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define parked_test(name) cmocka_unit_test_setup_teardown(name, set_up_parked, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		parked_test(a_client_is_served_and_sees_the_end),
		parked_test(a_crowd_comes_in),
		parked_test(each_address_is_listened_on_and_said),
		parked_test(who_is_one_too_many_is_told_and_turned_away),
		parked_test(without_files_or_memory_the_door_pauses_says_so_once_and_goes_on),
		parked_test(a_limit_that_is_met_again_and_again_does_not_flood_the_log),
		parked_test(a_client_that_has_gone_before_it_was_accepted_is_no_reason_to_pause),
		parked_test(a_door_that_pauses_can_be_stopped),
		parked_test(a_door_can_be_stopped_at_any_moment),
		parked_test(after_the_stop_nobody_connects_and_those_inside_stay),
		accept_test(a_crowd_comes_in),
		accept_test(a_door_can_be_stopped_at_any_moment),
		accept_test(a_client_is_served_and_sees_the_end),
		accept_test(each_address_is_listened_on_and_said),
		accept_test(with_no_address_there_is_no_door),
		accept_test(a_client_of_ipv6_is_served),
		accept_test(an_address_that_cannot_be_is_an_error_that_names_it),
		accept_test(an_address_that_is_taken_is_an_error),
		accept_test(a_door_that_cannot_open_leaves_nothing_behind),
		accept_test(who_is_one_too_many_is_told_and_turned_away),
		accept_test(without_files_or_memory_the_door_pauses_says_so_once_and_goes_on),
		accept_test(a_limit_that_is_met_again_and_again_does_not_flood_the_log),
		accept_test(without_a_thread_the_client_is_told_and_the_door_pauses),
		accept_test(without_memory_for_a_connection_it_is_closed_and_the_door_goes_on),
		accept_test(a_client_that_has_gone_before_it_was_accepted_is_no_reason_to_pause),
		accept_test(an_option_that_cannot_be_set_is_a_fault_of_the_start),
		accept_test(those_who_are_accepted_inherit_the_options),
		accept_test(a_door_that_pauses_can_be_stopped),
		accept_test(after_the_stop_nobody_connects_and_those_inside_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
