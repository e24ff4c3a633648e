/* Tests of comet/door/porter, over socket pairs. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comet/close_reason.h"
#include "comet/door/porter.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define HEADER "PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101\r\n"

/* Deadlines: one that a test sees pass, and one that none does. */
#define SOON_NS  (50 * CLOCK_MS)
#define NEVER_NS (3600 * CLOCK_SEC)

static struct porter *porter;
static struct sockaddr_storage balancer;
static int ends[8]; /* the balancer's ends of the sockets */
static unsigned n_ends;

/* What was announced last, on the porter's thread. */
static atomic_uint announced;
static _Atomic(void *) announced_arg;
static in_addr_t announced_address;
static char first_byte;
static atomic_bool hold; /* what announces waits */

static int64_t refused_before;

static int set_up(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	refused_before = counters_read(COUNT_REFUSED);
	announced = 0;
	announced_arg = NULL;
	n_ends = 0;
	((struct sockaddr_in *)&balancer)->sin_family = AF_INET;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (porter != NULL)
		porter_stop(&porter);
	while (n_ends > 0)
		assert_int_equal(close(ends[--n_ends]), 0);
	seam_reset();
	return 0;
}

static void note(void *arg, int fd, const struct sockaddr *peer)
{
	announced_address = ((const struct sockaddr_in *)peer)->sin_addr.s_addr;
	first_byte = '\0';
	(void)recv(fd, &first_byte, 1, MSG_DONTWAIT);
	(void)close(fd);
	announced_arg = arg;
	announced++;
	until(!hold);
}

static void start(int64_t timeout_ns, unsigned most)
{
	assert_int_equal(porter_start(timeout_ns, most, note, &porter), 0);
}

/* One comes and has said this much already; the balancer's end of its socket. */
static int come(const char *said, void *arg)
{
	int pair[2];

	assert_true(n_ends < sizeof(ends) / sizeof(ends[0]));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send(pair[0], said, strlen(said), 0), strlen(said));
	ends[n_ends++] = pair[0];
	porter_take(porter, pair[1], &balancer, arg);
	return pair[0];
}

static bool is_closed(int end)
{
	struct pollfd p = {.fd = end, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

static int64_t refused(void)
{
	return counters_read(COUNT_REFUSED) - refused_before;
}

/* ---- cases ---- */

static void header_is_taken_off_and_the_rest_is_left(void **state)
{
	int what;

	(void)state;
	start(NEVER_NS, 4);
	(void)come(HEADER "x", &what);
	until(announced == 1);
	assert_ptr_equal(announced_arg, &what);
	assert_int_equal(announced_address, inet_addr("192.0.2.7"));
	assert_int_equal(first_byte, 'x');
}

static void header_may_come_later_and_in_pieces(void **state)
{
	int end;

	(void)state;
	start(NEVER_NS, 4);
	end = come("", NULL);
	for (const char *at = HEADER; *at != '\0'; at++)
		assert_int_equal(send(end, at, 1, 0), 1);
	until(announced == 1);
}

/* Nothing makes an event here: the thread must have been told that there is a deadline now. */
static void one_that_is_silent_is_closed_in_time_though_nothing_else_happens(void **state)
{
	int end;

	(void)state;
	start(SOON_NS, 4);
	end = come("", NULL);
	until(is_closed(end));
	until(refused() == 1);
	/* And so is the next, for whom the thread has gone to sleep again. */
	end = come("", NULL);
	until(is_closed(end));
	until(refused() == 2);
}

static void silent_ones_that_fill_the_list_make_room_again(void **state)
{
	int silent[2], one_too_many;

	(void)state;
	start(SOON_NS, 2);
	(void)come(HEADER, NULL);
	until(announced == 1);
	silent[0] = come("", NULL);
	silent[1] = come("", NULL);
	one_too_many = come("", NULL);
	until(is_closed(silent[0]) && is_closed(silent[1]) && is_closed(one_too_many));
	until(refused() == 3);
	(void)come(HEADER, NULL);
	until(announced == 2);
}

static void one_too_many_is_turned_away_at_once(void **state)
{
	int waits;

	(void)state;
	start(NEVER_NS, 1);
	waits = come("", NULL);
	assert_true(is_closed(come(HEADER, NULL)));
	assert_int_equal(refused(), 1);
	assert_false(is_closed(waits));
}

static void what_cannot_be_waited_for_is_turned_away(void **state)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* epoll takes no such file */

	(void)state;
	assert_true(fd >= 0);
	start(NEVER_NS, 1);
	porter_take(porter, fd, &balancer, NULL);
	assert_int_equal(refused(), 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	/* Its place is free again. */
	(void)come(HEADER, NULL);
	until(announced == 1);
}

static void without_memory_it_is_turned_away(void **state)
{
	(void)state;
	start(NEVER_NS, 1);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_true(is_closed(come("", NULL)));
	assert_int_equal(refused(), 1);
}

static void what_is_no_header_is_turned_away(void **state)
{
	int end;

	(void)state;
	start(NEVER_NS, 1);
	end = come("GET / HTTP/1.1\r\n", NULL);
	until(is_closed(end));
	until(refused() == 1);
}

static void stopping_closes_those_that_wait(void **state)
{
	int end;

	(void)state;
	start(NEVER_NS, 1);
	end = come("PROXY ", NULL);
	porter_stop(&porter);
	assert_true(is_closed(end));
}

static void *stop(void *arg)
{
	(void)arg;
	porter_stop(&porter);
	return NULL;
}

/* The thread is asked to stop before it has seen them. */
static void who_has_said_all_at_the_end_is_announced(void **state)
{
	pthread_t stopper;

	(void)state;
	start(NEVER_NS, 5);
	hold = true;
	(void)come(HEADER, NULL);
	until(announced == 1);
	(void)come(HEADER, NULL);
	(void)come("PROXY ", NULL);
	(void)come(HEADER, NULL);
	(void)come(HEADER, NULL);
	assert_int_equal(pthread_create(&stopper, NULL, stop, NULL), 0);
	(void)poll(NULL, 0, 20); /* it has most likely asked by now; if not, that is well, too */
	hold = false;
	assert_int_equal(pthread_join(stopper, NULL), 0);
	assert_int_equal(announced, 4);
	assert_int_equal(refused(), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(header_is_taken_off_and_the_rest_is_left),
		CASE(header_may_come_later_and_in_pieces),
		CASE(one_that_is_silent_is_closed_in_time_though_nothing_else_happens),
		CASE(silent_ones_that_fill_the_list_make_room_again),
		CASE(one_too_many_is_turned_away_at_once),
		CASE(what_cannot_be_waited_for_is_turned_away),
		CASE(without_memory_it_is_turned_away),
		CASE(what_is_no_header_is_turned_away),
		CASE(stopping_closes_those_that_wait),
		CASE(who_has_said_all_at_the_end_is_announced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
