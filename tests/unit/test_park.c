/* Tests of common/base/park, over real sockets and the real epoll. After each case no thread is left.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "tests/unit/seam.h"
#include "tests/unit/tcp_pair.h"
#include "tests/unit/until.h"

#define WORKS 80

static struct park *lot;

/* What is parked here; `then` says what it does when it is resumed. */
struct work {
	struct parked parked;
	void (*_Atomic then)(struct work *w);
	int near, far; /* its socket's two ends */
	atomic_uint resumed;
	atomic_uint took; /* bytes read, or anything else that it counts */
	atomic_uint running;
	atomic_bool released;
};

static struct work works[WORKS];
static atomic_bool gate_open;
static atomic_uint at_gate;

static void resume(struct parked *p)
{
	struct work *w = OBJ_OF(p, struct work, parked);

	BUG_UNLESS(atomic_fetch_add(&w->running, 1) == 0); /* or two threads have it at once */
	atomic_fetch_add(&w->resumed, 1);
	atomic_load (&w->then)(w);
}

static void begin(unsigned waiters, unsigned blocked_max)
{
	const struct park_options opt = {"waiter", THREAD_CONNECTION, waiters, blocked_max, resume, 0};

	assert_int_equal(park_start(&opt, &lot), 0);
}

static int set_up(void **state)
{
	(void)state;
	memset(works, 0, sizeof(works));
	atomic_store(&gate_open, false);
	atomic_store(&at_gate, 0);
	for (unsigned i = 0; i < WORKS; i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
		works[i].near = ends[0];
		works[i].far = ends[1];
		atomic_store(&works[i].running, 1); /* the test runs it until it parks it */
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	atomic_store(&gate_open, true);
	for (unsigned i = 0; i < WORKS; i++)
		atomic_store(&works[i].released, true);
	if (lot != NULL)
		park_stop(&lot);
	until(thread_reap() == 0);
	thread_fini();
	for (unsigned i = 0; i < WORKS; i++) {
		(void)close(works[i].near);
		(void)close(works[i].far);
	}
	return counters_read(COUNT_THREADS) == 0 ? 0 : -1;
}

/* ---- what works do ---- */

static void on_socket(struct work *w)
{
	atomic_fetch_sub(&w->running, 1);
	BUG_UNLESS(park_on_socket(lot, &w->parked, w->near, EPOLLIN | EPOLLRDHUP) == 0);
}

static void asleep(struct work *w)
{
	atomic_fetch_sub(&w->running, 1);
	park_asleep(lot, &w->parked);
}

static void read_one(struct work *w)
{
	char byte;

	if (read(w->near, &byte, 1) == 1)
		atomic_fetch_add(&w->took, 1);
	on_socket(w);
}

static void on_stream(struct work *w, bool drained)
{
	atomic_fetch_sub(&w->running, 1);
	BUG_UNLESS(park_on_stream(lot, &w->parked, w->near, drained) == 0);
}

/* Takes so many bytes at a time that one that comes alone is all that was there. The end counts as a hundred. */
static void read_stream(struct work *w)
{
	char bytes[2];
	ssize_t n = read(w->near, bytes, sizeof(bytes));

	if (n > 0)
		atomic_fetch_add(&w->took, (unsigned)n);
	if (n != 0) {
		on_stream(w, n < (ssize_t)sizeof(bytes));
		return;
	}
	atomic_fetch_add(&w->took, 100);
	park_forget(lot, &w->parked);
	asleep(w);
}

static void wait_for(const atomic_bool *flag)
{
	const struct timespec moment = {.tv_nsec = 200000};

	while (!atomic_load(flag))
		(void)nanosleep(&moment, NULL);
}

/* It takes long, and says so or not. */
static void wait_for_release(struct work *w)
{
	atomic_fetch_add(&at_gate, 1);
	wait_for(&w->released);
	atomic_fetch_sub(&at_gate, 1);
	asleep(w);
}

static void go_long(struct work *w)
{
	park_go_long();
	wait_for_release(w);
}

static void go_long_later(struct work *w)
{
	atomic_fetch_add(&at_gate, 1);
	wait_for(&w->released);
	park_go_long();
	wait_for(&gate_open);
	atomic_fetch_sub(&at_gate, 1);
	asleep(w);
}

static void wait_at_gate(struct work *w)
{
	atomic_fetch_add(&w->took, 1);
	atomic_fetch_add(&at_gate, 1);
	wait_for(&gate_open);
	atomic_fetch_sub(&at_gate, 1);
}

/* Waits at the gate once, if it may, and then for its socket. */
static void block(struct work *w)
{
	if (atomic_load(&w->took) == 0) {
		atomic_fetch_sub(&w->running, 1);
		if (!park_block(lot, &w->parked))
			return;
		atomic_fetch_add(&w->running, 1);
		wait_at_gate(w);
		park_unblock(lot);
	}
	on_socket(w);
}

/* As something does that it calls, which knows nothing of it; within a wait of that, once more. */
static void wait_below(struct work *w)
{
	if (atomic_load(&w->took) == 0) {
		park_wait_begin();
		park_wait_begin();
		wait_at_gate(w);
		park_wait_end();
		park_wait_end();
	}
	on_socket(w);
}

/* Something may come while it runs, and another is on watch. */
static void read_and_wait(struct work *w)
{
	char bytes[2];

	BUG_UNLESS(read(w->near, bytes, sizeof(bytes)) == 1);
	atomic_store(&w->then, read_stream);
	park_go_long();
	wait_at_gate(w);
	on_stream(w, true);
}

static void leave_and_wait(struct work *w)
{
	park_go_long();
	park_forget(lot, &w->parked);
	wait_at_gate(w);
	asleep(w);
}

static atomic_uint depth, depth_max, within;

static void serve_others(struct work *w)
{
	unsigned now = atomic_fetch_add(&depth, 1) + 1;

	if (now > atomic_load(&depth_max))
		atomic_store(&depth_max, now);
	atomic_fetch_add(&within, park_is_nested());
	while (park_serve_another())
		;
	atomic_fetch_sub(&depth, 1);
	asleep(w);
}

static atomic_uint passed, passed_by; /* those who were served so far, and before one who does not nest */

static void serve_others_or_leave(struct work *w)
{
	if (w != &works[1] || !park_is_nested()) {
		if (w == &works[1])
			atomic_store(&passed_by, atomic_load(&passed));
		atomic_fetch_add(&passed, 1);
		serve_others(w);
		return;
	}
	atomic_fetch_sub(&w->running, 1);
	park_leave(lot, &w->parked);
}

static void serve_others_later(struct work *w)
{
	wait_for(&w->released);
	serve_others(w);
}

static void yield_for_ever(struct work *w)
{
	if (atomic_load(&gate_open)) {
		atomic_store(&w->took, 1);
		on_socket(w);
		return;
	}
	atomic_fetch_sub(&w->running, 1);
	park_yield(lot, &w->parked);
}

static void send_bytes(struct work *w, unsigned n)
{
	while (n-- > 0)
		assert_int_equal(write(w->far, "x", 1), 1);
}

static void start(struct work *w, void (*then)(struct work *w))
{
	atomic_store(&w->then, then);
	on_socket(w);
}

static unsigned threads(void)
{
	return park_count(lot).threads;
}

static unsigned blocked(void)
{
	return park_count(lot).blocked;
}

/* ---- sockets ---- */

static void a_socket_that_is_ready_resumes_what_waits_for_it(void **state)
{
	(void)state;
	begin(2, 4);
	start(&works[0], read_one);
	start(&works[1], read_one);
	send_bytes(&works[1], 1);
	until(atomic_load(&works[1].took) == 1);
	assert_int_equal(atomic_load(&works[0].resumed), 0);
	send_bytes(&works[1], 1);
	until(atomic_load(&works[1].took) == 2);
}

static void bytes_that_came_before_it_parked_count(void **state)
{
	(void)state;
	begin(1, 4);
	send_bytes(&works[0], 3);
	start(&works[0], read_one);
	until(atomic_load(&works[0].took) == 3);
}

static void the_end_of_a_socket_resumes_it(void **state)
{
	(void)state;
	begin(1, 4);
	start(&works[0], asleep); /* so that it does not come again and again */
	(void)shutdown(works[0].far, SHUT_WR);
	until(atomic_load(&works[0].resumed) == 1);
}

static void a_socket_that_cannot_be_watched_stays_its_callers(void **state)
{
	(void)state;
	begin(1, 4);
	assert_int_equal(park_on_socket(lot, &works[0].parked, -1, EPOLLIN), -EBADF);
	start(&works[0], read_one);
	send_bytes(&works[0], 1);
	until(atomic_load(&works[0].took) == 1);
}

/* ---- streams ---- */

static void begin_with_one_at_rest(void)
{
	begin(2, 4);
	until(park_count(lot).awake == 1);
}

static void start_stream(struct work *w, void (*then)(struct work *w))
{
	atomic_store(&w->then, then);
	on_stream(w, true);
}

static void a_stream_resumes_its_reader_each_time_that_something_comes(void **state)
{
	(void)state;
	begin(2, 4);
	send_bytes(&works[0], 1); /* before, too */
	start_stream(&works[0], read_stream);
	for (unsigned i = 1; i <= 50; i++) {
		until(atomic_load(&works[0].took) == i);
		send_bytes(&works[0], 1);
	}
	until(atomic_load(&works[0].took) == 51);
}

static void what_is_left_in_a_stream_is_read_in_the_next_turn(void **state)
{
	(void)state;
	begin(1, 4);
	send_bytes(&works[0], 7);
	start_stream(&works[0], read_stream);
	until(atomic_load(&works[0].took) == 7);
	send_bytes(&works[0], 4);
	until(atomic_load(&works[0].took) == 11);
}

static void the_end_behind_the_last_bytes_of_a_stream_is_found(void **state)
{
	(void)state;
	begin(1, 4);
	send_bytes(&works[0], 1);
	(void)shutdown(works[0].far, SHUT_WR);
	start_stream(&works[0], read_stream);
	until(atomic_load(&works[0].took) == 101);
}

static void what_comes_in_a_stream_while_its_reader_runs_is_found(void **state)
{
	(void)state;
	begin_with_one_at_rest();
	start_stream(&works[0], read_and_wait);
	start_stream(&works[1], read_stream);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	send_bytes(&works[0], 1);
	send_bytes(&works[1], 1);
	until(atomic_load(&works[1].took) == 1); /* so the other was seen, too */
	assert_int_equal(atomic_load(&works[0].resumed), 1);
	atomic_store(&gate_open, true);
	until(atomic_load(&works[0].took) == 2);
}

static void over_tcp(struct work *w)
{
	int ends[2];

	(void)close(w->near);
	(void)close(w->far);
	tcp_pair(ends);
	w->near = ends[0];
	w->far = ends[1];
}

static void send_around_an_urgent_byte(struct work *w)
{
	send_bytes(w, 1);
	BUG_UNLESS(send(w->far, "!", 1, MSG_OOB) == 1);
	send_bytes(w, 1);
}

/* A read ends there, as if that were all. */
static void what_stands_behind_an_urgent_byte_is_found(void **state)
{
	(void)state;
	begin_with_one_at_rest();
	over_tcp(&works[0]);
	send_around_an_urgent_byte(&works[0]);
	start_stream(&works[0], read_stream);
	until(atomic_load(&works[0].took) == 2);
}

static void what_stands_behind_an_urgent_byte_that_comes_while_its_reader_runs_is_found(void **state)
{
	(void)state;
	begin_with_one_at_rest();
	over_tcp(&works[0]);
	start_stream(&works[0], read_and_wait);
	start_stream(&works[1], read_stream);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	send_around_an_urgent_byte(&works[0]);
	send_bytes(&works[1], 1);
	until(atomic_load(&works[1].took) == 1); /* so the other was seen, too */
	atomic_store(&gate_open, true);
	until(atomic_load(&works[0].took) == 3);
}

static void who_has_left_is_found_no_more(void **state)
{
	(void)state;
	begin_with_one_at_rest();
	start_stream(&works[0], leave_and_wait);
	start_stream(&works[1], read_stream);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	send_bytes(&works[0], 1);
	send_bytes(&works[1], 1);
	until(atomic_load(&works[1].took) == 1);
	assert_int_equal(works[0].parked.owed, 0);
	/* Its descriptor is another's, which is not taken for it. */
	assert_int_equal(dup2(works[2].near, works[0].near), works[0].near);
	(void)close(works[2].near);
	works[2].near = works[0].near;
	works[0].near = -1;
	start_stream(&works[2], read_stream);
	send_bytes(&works[2], 1);
	until(atomic_load(&works[2].took) == 1);
	atomic_store(&gate_open, true);
	until(atomic_load(&at_gate) == 0);
	assert_int_equal(atomic_load(&works[0].resumed), 1);
}

static void a_stream_that_cannot_be_watched_stays_its_callers(void **state)
{
	(void)state;
	begin(1, 4);
	assert_int_equal(park_on_stream(lot, &works[0].parked, -1, true), -EBADF);
	(void)close(works[1].far);
	assert_int_equal(park_on_stream(lot, &works[0].parked, works[1].far, true), -EBADF);
	start_stream(&works[0], read_stream);
	send_bytes(&works[0], 1);
	until(atomic_load(&works[0].took) == 1);
}

/* The table of a park is made for as many descriptors as the process may have then. The limit stays for the cases behind this one. */
static void a_stream_whose_descriptor_has_no_place_is_watched_each_time(void **state)
{
	const rlim_t max = 4 * WORKS;
	const struct rlimit files = {max, max};
	int beyond = fcntl(works[0].near, F_DUPFD_CLOEXEC, (int)max);

	(void)state;
	assert_true(beyond >= 0);
	(void)close(works[0].near);
	works[0].near = beyond;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	begin(1, 4);
	start_stream(&works[0], read_stream);
	for (unsigned i = 1; i <= 3; i++) {
		send_bytes(&works[0], 2);
		until(atomic_load(&works[0].took) == 2 * i);
	}
	(void)shutdown(works[0].far, SHUT_WR);
	until(atomic_load(&works[0].took) == 106);
}

/* ---- sleep ---- */

static void who_is_woken_goes_on(void **state)
{
	(void)state;
	begin(1, 4);
	atomic_store(&works[0].then, asleep);
	asleep(&works[0]);
	park_wake(lot, &works[0].parked);
	until(atomic_load(&works[0].resumed) == 1);
}

static void a_wake_that_comes_before_the_sleep_ends_it(void **state)
{
	(void)state;
	begin(1, 4);
	atomic_store(&works[0].then, asleep);
	park_wake(lot, &works[0].parked);
	park_wake(lot, &works[0].parked);
	asleep(&works[0]);
	until(atomic_load(&works[0].resumed) == 1);
	/* Once: the next sleep is one. */
	atomic_store(&works[1].then, asleep);
	asleep(&works[1]);
	park_wake(lot, &works[1].parked);
	until(atomic_load(&works[1].resumed) == 1);
	assert_int_equal(atomic_load(&works[0].resumed), 1);
}

static void all_who_are_woken_at_once_go_on(void **state)
{
	(void)state;
	begin(2, 4);
	for (unsigned i = 0; i < WORKS; i++) {
		atomic_store(&works[i].then, asleep);
		asleep(&works[i]);
	}
	for (unsigned i = 0; i < WORKS; i++)
		park_wake(lot, &works[i].parked);
	for (unsigned i = 0; i < WORKS; i++)
		until(atomic_load(&works[i].resumed) == 1);
}

static void who_yields_lets_sockets_come_first(void **state)
{
	(void)state;
	begin(1, 4);
	for (unsigned i = 1; i < 4; i++) {
		atomic_fetch_sub(&works[i].running, 1);
		atomic_store(&works[i].then, yield_for_ever);
		park_yield(lot, &works[i].parked);
	}
	start(&works[0], read_one);
	for (unsigned i = 1; i <= 50; i++) {
		send_bytes(&works[0], 1);
		until(atomic_load(&works[0].took) == i);
	}
	for (unsigned i = 1; i < 4; i++)
		assert_true(atomic_load(&works[i].resumed) > 0);
	atomic_store(&gate_open, true);
	for (unsigned i = 1; i < 4; i++)
		until(atomic_load(&works[i].took) == 1);
}

/* ---- what takes long ---- */

static void nothing_is_found_twice_though_one_finds_many(void **state)
{
	(void)state;
	begin(1, 4);
	start(&works[0], wait_for_release);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	for (unsigned i = 1; i < WORKS; i++) {
		start(&works[i], read_one);
		send_bytes(&works[i], 1);
	}
	atomic_store(&works[0].released, true);
	for (unsigned i = 1; i < WORKS; i++)
		until(atomic_load(&works[i].took) == 1);
	for (unsigned i = 1; i < WORKS; i++)
		assert_int_equal(atomic_load(&works[i].resumed), 1);
	assert_int_equal(threads(), 1);
}

static void while_one_takes_long_another_looks(void **state)
{
	(void)state;
	begin_with_one_at_rest();
	start(&works[0], go_long);
	start(&works[1], read_one);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	send_bytes(&works[1], 1);
	until(atomic_load(&works[1].took) == 1);
	assert_int_equal(blocked(), 0);
	assert_int_equal(threads(), 2);
}

/* It was woken while nobody was on watch, by one who thinks that he will soon be back. */
static void who_is_woken_before_one_goes_long_goes_on(void **state)
{
	(void)state;
	begin_with_one_at_rest();
	atomic_store(&works[1].then, asleep);
	asleep(&works[1]);
	start(&works[0], go_long_later);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	park_wake(lot, &works[1].parked);
	atomic_store(&works[0].released, true);
	until(atomic_load(&works[1].resumed) == 1);
	assert_int_equal(atomic_load(&at_gate), 1);
}

/* The first of many does not say how long it takes. */
static void when_many_are_ready_another_takes_part(void **state)
{
	(void)state;
	begin_with_one_at_rest();
	start(&works[0], wait_for_release);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	for (unsigned i = 1; i < WORKS; i++) {
		start(&works[i], i == 1 ? wait_for_release : read_one);
		send_bytes(&works[i], 1);
	}
	atomic_store(&works[0].released, true);
	for (unsigned i = 2; i < WORKS; i++)
		until(atomic_load(&works[i].took) == 1);
	until(atomic_load(&at_gate) == 1);
}

/* ---- blocking ---- */

static void while_one_blocks_another_waits_in_its_place(void **state)
{
	(void)state;
	begin(1, 4);
	start(&works[0], block);
	start(&works[1], read_one);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	send_bytes(&works[1], 1);
	until(atomic_load(&works[1].took) == 1);
	assert_int_equal(threads(), 2);
	assert_int_equal(blocked(), 1);
	atomic_store(&gate_open, true);
	until(blocked() == 0);
}

static void a_spare_thread_is_used_again_and_ends_in_the_end(void **state)
{
	int64_t since;

	(void)state;
	begin(1, 4);
	atomic_store(&gate_open, true);
	for (unsigned i = 0; i < 5; i++) {
		start(&works[i], block);
		send_bytes(&works[i], 1);
		until(atomic_load(&works[i].took) == 1 && blocked() == 0);
		(void)shutdown(works[i].near, SHUT_RDWR);
		atomic_store(&works[i].then, asleep);
	}
	assert_true(threads() <= 3);
	since = clock_now_ns();
	until(threads() == 1);
	assert_true(clock_now_ns() - since > CLOCK_SEC);
}

static void no_more_than_so_many_block_and_the_others_wait_for_their_turn(void **state)
{
	(void)state;
	begin(1, 2);
	for (unsigned i = 0; i < 6; i++) {
		start(&works[i], block);
		send_bytes(&works[i], 1);
	}
	start(&works[6], read_one);
	until(atomic_load(&at_gate) == 2);
	send_bytes(&works[6], 1);
	until(atomic_load(&works[6].took) == 1);
	assert_int_equal(threads(), 3);
	assert_int_equal(atomic_load(&at_gate), 2);
	atomic_store(&gate_open, true);
	for (unsigned i = 0; i < 6; i++)
		until(atomic_load(&works[i].took) == 1);
	until(blocked() == 0);
}

/* The first holds the only thread until all others are ready. */
static void be_ready_at_once(unsigned n, void (*then)(struct work *w))
{
	atomic_store(&depth_max, 0);
	atomic_store(&within, 0);
	for (unsigned i = 0; i < n; i++) {
		atomic_store(&works[i].then, i == 0 ? serve_others_later : then);
		asleep(&works[i]);
	}
	park_wake(lot, &works[0].parked);
	until(atomic_load(&works[0].resumed) == 1);
	for (unsigned i = 1; i < n; i++)
		park_wake(lot, &works[i].parked);
	atomic_store(&works[0].released, true);
	for (unsigned i = 1; i < n; i++)
		until(atomic_load(&works[i].resumed) > 0);
	until(atomic_load(&depth) == 0);
}

static void what_is_ready_is_served_in_the_place_of_a_wait(void **state)
{
	const struct park_options opt = {"waiter", THREAD_SERVICE, 1, 4, resume, 3};

	(void)state;
	assert_false(park_serve_another()); /* no thread of a park */
	assert_int_equal(park_start(&opt, &lot), 0);
	be_ready_at_once(9, serve_others);
	assert_int_equal(atomic_load(&depth_max), 4);
	assert_int_equal(atomic_load(&within), 8);
}

static void who_is_not_to_be_nested_is_the_next_of_all(void **state)
{
	const struct park_options opt = {"waiter", THREAD_SERVICE, 1, 4, resume, 3};

	(void)state;
	atomic_store(&passed, 0);
	assert_int_equal(park_start(&opt, &lot), 0);
	be_ready_at_once(9, serve_others_or_leave);
	assert_int_equal(atomic_load(&works[1].resumed), 2);
	assert_int_equal(atomic_load(&passed_by), 0);
}

static void where_nothing_may_be_nested_each_is_served_by_itself(void **state)
{
	(void)state;
	begin(1, 4);
	be_ready_at_once(9, serve_others);
	assert_int_equal(atomic_load(&within), 0);
}

static void who_is_woken_while_it_waits_for_its_turn_goes_on(void **state)
{
	(void)state;
	begin(1, 1);
	for (unsigned i = 0; i < 3; i++) {
		start(&works[i], block);
		send_bytes(&works[i], 1);
		until(atomic_load(&works[i].resumed) == 1);
	}
	until(atomic_load(&at_gate) == 1);
	atomic_store(&works[1].then, asleep); /* it has changed its mind, and its wake is not the next one's turn */
	park_wake(lot, &works[1].parked);
	until(atomic_load(&works[1].resumed) == 2);
	assert_int_equal(atomic_load(&works[2].took), 0);
	atomic_store(&gate_open, true);
	until(atomic_load(&works[2].took) == 1);
}

static void who_has_its_turn_and_does_not_block_lets_the_next(void **state)
{
	(void)state;
	begin(1, 1);
	for (unsigned i = 0; i < 4; i++) {
		start(&works[i], block);
		send_bytes(&works[i], 1);
		until(atomic_load(&works[i].resumed) == 1);
	}
	until(atomic_load(&at_gate) == 1);
	atomic_store(&works[1].then, asleep);
	atomic_store(&works[2].then, asleep);
	atomic_store(&gate_open, true);
	until(atomic_load(&works[3].took) == 1);
}

static void without_a_thread_the_only_one_blocks_all_the_same(void **state)
{
	(void)state;
	begin(1, 4);
	start(&works[0], block);
	start(&works[1], read_one);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	assert_int_equal(threads(), 1);
	send_bytes(&works[1], 1);
	atomic_store(&gate_open, true);
	until(atomic_load(&works[1].took) == 1);
}

static void without_a_thread_the_last_that_waits_goes_on_waiting(void **state)
{
	(void)state;
	begin(1, 4);
	for (unsigned i = 0; i < 2; i++)
		start(&works[i], block);
	start(&works[2], read_one);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	send_bytes(&works[1], 1);
	until(seam_failed(SEAM_PTHREAD_CREATE) == 1);
	send_bytes(&works[2], 1);
	until(atomic_load(&works[2].took) == 1);
	assert_int_equal(atomic_load(&works[1].took), 0);
	atomic_store(&gate_open, true);
	until(atomic_load(&works[1].took) == 1);
}

static void wake_and_block(struct work *w)
{
	park_wake(lot, &w->parked);
	block(w);
}

/* Nobody comes to wake it a second time. */
static void without_a_thread_a_wake_that_came_before_is_not_lost(void **state)
{
	(void)state;
	begin(1, 4);
	start(&works[0], block);
	start(&works[1], wake_and_block);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	send_bytes(&works[1], 1);
	until(atomic_load(&works[1].resumed) == 2);
	atomic_store(&gate_open, true);
	until(atomic_load(&works[1].took) == 1);
}

static void while_one_waits_somewhere_below_another_takes_its_place(void **state)
{
	(void)state;
	park_wait_begin(); /* of a thread that is no waiter */
	begin(1, 4);
	for (unsigned i = 0; i < 2; i++)
		start(&works[i], wait_below);
	start(&works[2], read_one);
	for (unsigned i = 0; i < 2; i++)
		send_bytes(&works[i], 1);
	until(atomic_load(&at_gate) == 2);
	assert_int_equal(blocked(), 2);
	send_bytes(&works[2], 1);
	until(atomic_load(&works[2].took) == 1);
	park_wait_end();
	atomic_store(&gate_open, true);
	until(blocked() == 0);
}

/* At first it makes two others ready, and lets them go first. */
static void make_ready_and_yield(struct work *w)
{
	if (atomic_fetch_add(&w->took, 1) > 0) {
		asleep(w);
		return;
	}
	for (unsigned i = 2; i < 4; i++)
		BUG_UNLESS(write(works[i].far, "x", 1) == 1);
	atomic_fetch_sub(&w->running, 1);
	park_yield(lot, &w->parked);
}

/* One thread looks for those who are ready, and is held back with two of them; meanwhile another goes on watch. */
static void who_is_on_watch_takes_what_one_who_waits_has_found(void **state)
{
	(void)state;
	begin(2, 4);
	start(&works[0], go_long);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	start(&works[1], make_ready_and_yield);
	start(&works[2], wait_below);
	start(&works[3], wait_below);
	seam_hold_looks(true);
	send_bytes(&works[1], 1);
	until(seam_looks_held() == 1);
	atomic_store(&works[0].released, true);
	until(atomic_load(&works[1].took) == 2 && seam_watching() == 1);
	seam_hold_looks(false);
	until(atomic_load(&works[2].took) == 1 && atomic_load(&works[3].took) == 1);
	atomic_store(&gate_open, true);
	until(blocked() == 0);
}

static void without_a_thread_who_waits_below_waits_all_the_same(void **state)
{
	(void)state;
	begin(1, 4);
	start(&works[0], wait_below);
	start(&works[1], read_one);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	send_bytes(&works[0], 1);
	until(atomic_load(&at_gate) == 1);
	send_bytes(&works[1], 1);
	atomic_store(&gate_open, true);
	until(atomic_load(&works[1].took) == 1 && blocked() == 0);
	assert_int_equal(threads(), 1);
}

/* ---- start ---- */

static void without_memory_or_threads_there_is_no_park(void **state)
{
	const struct park_options opt = {"waiter", THREAD_CONNECTION, 2, 1, resume, 0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) { /* itself, and its table of sockets */
		seam_fail(SEAM_ALLOC, i, 1, ENOMEM);
		assert_int_equal(park_start(&opt, &lot), -ENOMEM);
		assert_null(lot);
	}
	for (unsigned i = 0; i < 2; i++) {
		seam_fail(SEAM_PTHREAD_CREATE, i, 1, EAGAIN);
		assert_int_equal(park_start(&opt, &lot), -EAGAIN);
		assert_null(lot);
	}
}

/* ---- all at once ---- */

#define ROUNDS 3000
#define LIVES  8

static atomic_uint work_done;

/* Sleeps, waits for its socket, yields, or blocks for a moment, by turns; each of them has its own waker. */
static void live(struct work *w)
{
	char bytes[64];

	while (read(w->near, bytes, sizeof(bytes)) > 0)
		;
	if (atomic_fetch_add(&w->took, 1) == ROUNDS) {
		atomic_fetch_add(&work_done, 1);
		return; /* nobody's: it is not parked again */
	}
	switch (atomic_load(&w->took) % 5) {
	case 0:
	case 1:
		asleep(w);
		return;
	case 2:
		atomic_fetch_sub(&w->running, 1);
		park_yield(lot, &w->parked);
		return;
	case 3:
		atomic_fetch_sub(&w->running, 1);
		if (!park_block(lot, &w->parked))
			return;
		atomic_fetch_add(&w->running, 1);
		(void)sched_yield();
		park_unblock(lot);
		break;
	default:
		break;
	}
	on_socket(w);
}

/* Both kinds of waking, until all have lived; a wake too many does no harm. */
static void *stir(void *arg)
{
	(void)arg;
	while (atomic_load(&work_done) < LIVES)
		for (unsigned i = 0; i < LIVES; i++) {
			park_wake(lot, &works[i].parked);
			(void)send(works[i].far, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	return NULL;
}

static void one_thread_at_a_time_has_each_and_none_is_forgotten(void **state)
{
	pthread_t stirrer;

	(void)state;
	begin(2, 2);
	atomic_store(&work_done, 0);
	for (unsigned i = 0; i < LIVES; i++)
		start(&works[i], live);
	assert_int_equal(pthread_create(&stirrer, NULL, stir, NULL), 0);
	until(atomic_load(&work_done) == LIVES);
	assert_int_equal(pthread_join(stirrer, NULL), 0);
	until(threads() == 2);
	assert_int_equal(blocked(), 0);
}

#define park_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A server has one for each client, and few bytes more would be sixteen of malloc's. */
static void what_is_parked_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct parked) <= 2 * sizeof(void *) + 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		park_test(a_socket_that_is_ready_resumes_what_waits_for_it),
		park_test(bytes_that_came_before_it_parked_count),
		park_test(the_end_of_a_socket_resumes_it),
		park_test(a_socket_that_cannot_be_watched_stays_its_callers),
		park_test(a_stream_resumes_its_reader_each_time_that_something_comes),
		park_test(what_is_left_in_a_stream_is_read_in_the_next_turn),
		park_test(the_end_behind_the_last_bytes_of_a_stream_is_found),
		park_test(what_comes_in_a_stream_while_its_reader_runs_is_found),
		park_test(what_stands_behind_an_urgent_byte_is_found),
		park_test(what_stands_behind_an_urgent_byte_that_comes_while_its_reader_runs_is_found),
		park_test(who_has_left_is_found_no_more),
		park_test(a_stream_that_cannot_be_watched_stays_its_callers),
		park_test(a_stream_whose_descriptor_has_no_place_is_watched_each_time),
		park_test(who_is_woken_goes_on),
		park_test(a_wake_that_comes_before_the_sleep_ends_it),
		park_test(all_who_are_woken_at_once_go_on),
		park_test(who_yields_lets_sockets_come_first),
		park_test(nothing_is_found_twice_though_one_finds_many),
		park_test(while_one_takes_long_another_looks),
		park_test(who_is_woken_before_one_goes_long_goes_on),
		park_test(when_many_are_ready_another_takes_part),
		park_test(while_one_blocks_another_waits_in_its_place),
		park_test(a_spare_thread_is_used_again_and_ends_in_the_end),
		park_test(no_more_than_so_many_block_and_the_others_wait_for_their_turn),
		park_test(what_is_ready_is_served_in_the_place_of_a_wait),
		park_test(who_is_not_to_be_nested_is_the_next_of_all),
		park_test(where_nothing_may_be_nested_each_is_served_by_itself),
		park_test(who_is_woken_while_it_waits_for_its_turn_goes_on),
		park_test(who_has_its_turn_and_does_not_block_lets_the_next),
		park_test(without_a_thread_the_only_one_blocks_all_the_same),
		park_test(without_a_thread_the_last_that_waits_goes_on_waiting),
		park_test(without_a_thread_a_wake_that_came_before_is_not_lost),
		park_test(while_one_waits_somewhere_below_another_takes_its_place),
		park_test(who_is_on_watch_takes_what_one_who_waits_has_found),
		park_test(without_a_thread_who_waits_below_waits_all_the_same),
		park_test(without_memory_or_threads_there_is_no_park),
		park_test(what_is_parked_is_small),
		park_test(one_thread_at_a_time_has_each_and_none_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
