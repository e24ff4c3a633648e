/* Tests of logic_client/redis_lease: which rooms Redis is told of, and who has the lease. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "logic_client/redis_lease.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"

/* More than fit into the smallest table of a map. */
#define ROOMS 30
/* As many as are under way at one time. */
#define ROUND   32768
#define SLOW_NS (4 * CLOCK_SEC)

/* What Redis has been told. */
static struct script {
	atomic_int rooms; /* set, less those deleted */
	atomic_int joins;
	atomic_bool silent; /* to what fills the pipe */
	atomic_int refused; /* of the writes of rooms to come the one that is refused, from 1; 0: none */
	atomic_int held;    /* so often another has the lease; the last of these answers takes SLOW_NS */
} script;

static struct fake_redis server;
static struct config cfg;
static struct cluster_member member;
static struct redis_clock clock_;
static struct redis_pipe *pipe_;
static struct redis_lease *lease;

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (fake_redis_runs(argv, "lease") && atomic_load(&s->held) > 0) {
		if (atomic_fetch_sub(&s->held, 1) == 1)
			seam_clock_advance(SLOW_NS);
		return "*6\r\n$5\r\ntaken\r\n$3\r\n999\r\n$13\r\n1700000000000\r\n$1\r\n0\r\n$1\r\n0\r\n$1\r\n0\r\n";
	}
	if (fake_redis_runs(argv, "lease"))
		return "*6\r\n$3\r\nnew\r\n$4\r\n1000\r\n$13\r\n1700000000000\r\n$1\r\n5\r\n$1\r\n1\r\n$1\r\n1\r\n";
	if ((strcmp(argv[0], "HSET") == 0 || fake_redis_runs(argv, "forget_rooms")) && atomic_load(&s->refused) > 0 &&
	    atomic_fetch_sub(&s->refused, 1) == 1)
		return "-ERR not now\r\n";
	if (fake_redis_runs(argv, "forget_rooms"))
		atomic_fetch_sub(&s->rooms, argc - 6); /* EVALSHA, its name, 1, the prefix, server, no events, rooms */
	if (fake_redis_runs(argv, NULL))
		return ":1\r\n";
	if (strcmp(argv[0], "HSETNX") == 0) {
		atomic_fetch_add(&s->joins, 1);
		return ":1\r\n";
	}
	if (strcmp(argv[0], "FILL") == 0)
		return atomic_load(&s->silent) ? "" : "+OK\r\n";
	if (strcmp(argv[0], "HSET") == 0)
		atomic_fetch_add(&s->rooms, (argc - 2) / 2);
	else
		return fake_redis_hello(argc, argv);
	return ":1\r\n";
}

static void lost(void *self, unsigned loss)
{
	(void)self;
	(void)loss;
}

static const struct redis_lease_owner owner = {.lost = lost};

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	cfg.redis_lease = 60000; /* its thread has nothing to do meanwhile */
	cfg.redis_timeout = 300;
	member = (struct cluster_member){.cfg = &cfg, .server_id = "c", .addrs = ""};
	pipe_ = fake_redis_pipe(&cfg);
	assert_int_equal(redis_lease_start(&member, pipe_, &clock_, &owner, &lease), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	redis_lease_stop(&lease);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	return 0;
}

static void join(const char *room)
{
	redis_lease_join(lease, &room, 1);
}

static void report(size_t n)
{
	struct wire_room_count rooms[ROOMS];
	char names[ROOMS][32];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "live://%zu", i);
		rooms[i] = (struct wire_room_count){names[i], 1};
	}
	assert_int_equal(redis_lease_report(lease, &(struct wire_load){.taken_ns = INT64_MAX}, rooms, n), 0);
}

static void rooms_of_the_last_report_are_written_and_no_others(void **state)
{
	(void)state;
	report(ROOMS);
	assert_int_equal(atomic_load(&script.rooms), ROOMS);
	report(2);
	assert_int_equal(atomic_load(&script.rooms), 2);
	report(0);
	assert_int_equal(atomic_load(&script.rooms), 0);
	report(ROOMS);
	assert_int_equal(atomic_load(&script.rooms), ROOMS);
}

static void room_is_written_down_once(void **state)
{
	(void)state;
	join("live://1");
	assert_int_equal(atomic_load(&script.joins), 1);
	join("live://1");
	assert_int_equal(atomic_load(&script.joins), 1);
}

/* More than are under way at one time. */
#define JOINED 300

static void each_of_many_rooms_is_written_down_once(void **state)
{
	const char *rooms[JOINED];
	char names[JOINED][32];

	(void)state;
	for (size_t i = 0; i < JOINED; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "live://%zu", i);
		rooms[i] = names[i];
	}
	join(rooms[200]);
	seam_fail(SEAM_ALLOC, 0, 3, ENOMEM);
	redis_lease_join(lease, rooms, JOINED);
	assert_int_equal(seam_failed(SEAM_ALLOC), 3);
	assert_int_equal(atomic_load(&script.joins), JOINED);
	redis_lease_join(lease, rooms, JOINED);
	assert_int_equal(atomic_load(&script.joins), JOINED);
}

/* Or the client would be told that it is in a room whose pushes do not come here. */
static void room_is_written_down_once_there_is_memory(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 3, ENOMEM);
	join("live://1");
	assert_int_equal(seam_failed(SEAM_ALLOC), 3);
	assert_int_equal(atomic_load(&script.joins), 1);
}

static void room_is_written_down_once_there_is_room_in_the_pipe(void **state)
{
	static char body[32768];
	int64_t deadline = clock_now_ns() + 60 * CLOCK_SEC;
	int rc;

	(void)state;
	memset(body, 'x', sizeof(body));
	atomic_store(&script.silent, true);
	while ((rc = redis_pipe_post(pipe_, deadline, "FILL %b", body, sizeof(body))) == 0)
		;
	assert_int_equal(rc, -EAGAIN);
	/* What is under way has its time to be over yet, and until then there is no room. */
	atomic_store(&script.silent, false);
	join("live://1");
	assert_int_equal(atomic_load(&script.joins), 1);
}

/* It was true when Redis said so, before the lease of the one that is gone ran out. */
/* So many rooms, of which the first ones have two members. What came of the report. */
static int report_many(size_t n, size_t pairs)
{
	struct wire_room_count *rooms = calloc(n + 1, sizeof(*rooms));
	char(*names)[32] = calloc(n + 1, sizeof(*names));
	int rc;

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "live://%zu", i);
		rooms[i] = (struct wire_room_count){names[i], i < pairs ? 2 : 1};
	}
	rc = redis_lease_report(lease, &(struct wire_load){.taken_ns = INT64_MAX}, rooms, n);
	free(names);
	free(rooms);
	return rc;
}

/* With so many that Redis does not take all of them in time, nothing would ever be written, nor the lease renewed. */
static void what_is_refused_is_written_again_and_nothing_else(void **state)
{
	(void)state;
	atomic_store(&script.refused, 2);
	assert_int_equal(report_many(1000, 0), -ERR_NO_LOGIC);
	assert_int_equal(report_many(1000, 0), 0);
	assert_int_equal(atomic_load(&script.rooms), 1000);
	atomic_store(&script.refused, 2);
	assert_int_equal(report_many(0, 0), -ERR_NO_LOGIC);
	assert_int_equal(report_many(0, 0), 0);
	assert_int_equal(atomic_load(&script.rooms), 0);
}

static void more_rooms_than_are_under_way_at_a_time_are_each_written_once(void **state)
{
	(void)state;
	redis_lease_stop(&lease);
	redis_pipe_stop(&pipe_);
	cfg.redis_timeout = 60000; /* it is no question of time, */
	cfg.redis_lease = 600000;  /* and the lease's own thread writes nothing */
	pipe_ = fake_redis_pipe(&cfg);
	assert_int_equal(redis_lease_start(&member, pipe_, &clock_, &owner, &lease), 0);
	assert_int_equal(report_many(40000, 0), 0);
	assert_int_equal(atomic_load(&script.rooms), 40000);
	assert_int_equal(report_many(40000, ROUND), 0);
	assert_int_equal(atomic_load(&script.rooms), 40000 + ROUND);
	assert_int_equal(report_many(0, 0), 0);
	assert_int_equal(atomic_load(&script.rooms), ROUND); /* which were written twice */
}

static void answer_that_comes_late_does_not_prove_that_another_renews_its_lease(void **state)
{
	(void)state;
	redis_lease_stop(&lease);
	cfg.redis_lease = 2000;
	cfg.redis_timeout = 60000;
	atomic_store(&script.held, 2);
	assert_int_equal(redis_lease_start(&member, pipe_, &clock_, &owner, &lease), 0);
	assert_int_equal(atomic_load(&script.held), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rooms_of_the_last_report_are_written_and_no_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(room_is_written_down_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_of_many_rooms_is_written_down_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(room_is_written_down_once_there_is_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(room_is_written_down_once_there_is_room_in_the_pipe, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_refused_is_written_again_and_nothing_else, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_rooms_than_are_under_way_at_a_time_are_each_written_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(answer_that_comes_late_does_not_prove_that_another_renews_its_lease,
						set_up, tear_down),
	};

	return cmocka_run_group_tests_name("redis_lease", tests, NULL, NULL);
}
