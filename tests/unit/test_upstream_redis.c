/* Tests of logic/upstream_redis, with a real Redis: its bounds, and each user's share. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "logic/upstream.h"
#include "tests/unit/real_redis.h"
#include "tests/unit/seam.h"

#define BYTES (1 << 20)
#define BODY  4096

static struct real_redis redis;
static struct config cfg;
static struct redis_pipe *pipe_;
static struct upstream u;

static int start(void **state)
{
	(void)state;
	real_redis_start(&redis);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	real_redis_stop(&redis);
	return 0;
}

static int set_up(void **state)
{
	struct redis_options options;

	(void)state;
	(void)real_redis_say(&redis, "FLUSHALL");
	real_redis_config(&redis, &cfg);
	cfg.redis_upstream_bytes = BYTES;
	options = redis_options_of(&cfg, "calls");
	assert_int_equal(redis_pipe_start(&options, &pipe_), 0);
	assert_int_equal(upstream_redis_new(&cfg, pipe_, &u), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	upstream_redis_free(&u);
	redis_pipe_stop(&pipe_);
	config_fini(&cfg);
	return 0;
}

static int append(int64_t mid, uint32_t body_bytes)
{
	static uint8_t body[BODY];
	const struct packet p = {.op = 1000, .body = body, .body_bytes = body_bytes};

	return upstream_append(&u, &(struct seat){.key = "k", .user.mid = mid}, &p);
}

static long long say_number(const char *command)
{
	return strtoll(real_redis_say(&redis, command), NULL, 10);
}

/* Bounded by entries alone it was 430 MB with bodies of 4 KiB. */
static void the_stream_stays_within_its_bytes(void **state)
{
	int64_t before = counters_read(COUNT_UPSTREAM_DROPPED);

	(void)state;
	for (int64_t mid = 1; mid <= 2000; mid++) {
		assert_int_equal(append(mid, BODY), 0);
		if (mid % 100 == 0)
			assert_true(say_number("MEMORY USAGE comet:up SAMPLES 0") < BYTES + BYTES / 8);
	}
	assert_true(say_number("XLEN comet:up") > BYTES / (BODY + 1000) / 2);
	assert_int_equal(counters_read(COUNT_UPSTREAM_DROPPED) - before, 2000 - say_number("XLEN comet:up"));
}

/* Left by a logic whose redis.upstream_bytes was larger. */
static void a_stream_that_is_too_large_is_trimmed_at_once(void **state)
{
	static char command[BODY + 64] = "XADD comet:up * body ";

	(void)state;
	memset(command + strlen(command), 'b', BODY);
	for (unsigned i = 0; i < 1000; i++)
		(void)real_redis_say(&redis, command);
	assert_int_equal(append(1, 0), 0);
	assert_true(say_number("MEMORY USAGE comet:up SAMPLES 0") <= BYTES);
}

static void a_user_s_name_stands_in_its_entries(void **state)
{
	static uint8_t body[] = "hi";
	const struct packet p = {.op = 1000, .body = body, .body_bytes = 2};
	struct upstream_found found;

	(void)state;
	assert_int_equal(upstream_append(&u, &(struct seat){.key = "k", .user.name = "a_b c%s"}, &p), 0);
	assert_int_equal(upstream_append(&u, &(struct seat){.key = "k", .user.mid = 7}, &p), 0);
	assert_int_equal(upstream_read(&u, &(struct upstream_query){"0", 2, 0, NULL}, &found), 0);
	assert_int_equal(found.n, 2);
	assert_string_equal(found.entries[0].seat.user.name, "a_b c%s");
	assert_null(found.entries[1].seat.user.name);
	assert_int_equal(found.entries[1].seat.user.mid, 7);
	upstream_found_fini(&found);
}

static void one_user_gets_no_more_than_a_share(void **state)
{
	int64_t before = counters_read(COUNT_UPSTREAM_DROPPED);

	(void)state;
	seam_clock_set(clock_now_ns(), clock_wall_ms());
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(append(7, BODY), 0);
	assert_int_equal(append(8, BODY), 0);
	assert_int_equal(say_number("XLEN comet:up"), BYTES / 16 / (BODY + 71) + 1);
	assert_int_equal(counters_read(COUNT_UPSTREAM_DROPPED) - before, 100 - BYTES / 16 / (BODY + 71));
	seam_clock_advance(60 * CLOCK_SEC);
	assert_int_equal(append(7, BODY), 0);
	assert_int_equal(say_number("XLEN comet:up"), BYTES / 16 / (BODY + 71) + 2);
}

static void without_rights_to_measure_packets_go_up(void **state)
{
	(void)state;
	(void)real_redis_say(&redis, "XADD comet:up * body before");
	(void)real_redis_say(&redis, "ACL SETUSER default -memory");
	assert_int_equal(append(7, BODY), 0);
	assert_int_equal(append(7, BODY), 0);
	(void)real_redis_say(&redis, "ACL SETUSER default +memory");
	assert_int_equal(say_number("XLEN comet:up"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_stream_stays_within_its_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stream_that_is_too_large_is_trimmed_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_user_s_name_stands_in_its_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_user_gets_no_more_than_a_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_rights_to_measure_packets_go_up, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("upstream_redis", tests, start, stop);
}
