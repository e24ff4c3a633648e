/* Tests of cluster/bans_redis, over a real Redis: two programs with a copy each. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/arrive.h"
#include "cluster/bans_redis.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/redis/redis_watch.h"
#include "tests/unit/real_redis.h"
#include "tests/unit/until.h"

#define HOUR INT64_C(3600000)

static struct real_redis redis;
static struct config cfg;

static struct program {
	struct bans *bans;
	struct redis_options options;
	struct redis_pipe *pipe;
	struct bans_redis *store;
} one, two;

static void program_start(struct program *p, const char *name)
{
	p->options = arrive_options(&cfg, name);
	assert_int_equal(bans_new(&p->bans), 0);
	assert_int_equal(redis_pipe_start(&p->options, &p->pipe), 0);
	assert_int_equal(bans_redis_start(&cfg, p->pipe, p->bans, &p->store), 0);
}

static void program_stop(struct program *p)
{
	bans_redis_stop(&p->store);
	redis_pipe_stop(&p->pipe);
	bans_free(&p->bans);
}

static int start(void **state)
{
	(void)state;
	real_redis_start(&redis);
	real_redis_config(&redis, &cfg);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	config_fini(&cfg);
	real_redis_stop(&redis);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	(void)real_redis_say(&redis, "FLUSHALL");
	cfg.limits_bans = 1000;
	program_start(&one, "one");
	program_start(&two, "two");
	until(bans_are_known(one.bans) && bans_are_known(two.bans));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	program_stop(&two);
	program_stop(&one);
	return 0;
}

static int put(struct program *p, enum ban_kind kind, const char *name, int64_t for_ms, bool lifted)
{
	struct ban ban = {.kind = kind, .name = name, .until_ms = clock_wall_ms() + for_ms, .lifted = lifted};

	return bans_redis_put(p->store, &ban, 1);
}

static bool is_out(struct program *p, const char *user)
{
	struct ban_found found;

	return bans_find(p->bans, &(struct ban_subject){.user = user}, &found);
}

static void a_ban_counts_at_once_where_it_was_made_and_soon_elsewhere(void **state)
{
	int64_t begun_ns;

	(void)state;
	assert_int_equal(put(&one, BAN_USER, "7", HOUR, false), 0);
	assert_true(is_out(&one, "7"));
	begun_ns = clock_now_ns();
	until(is_out(&two, "7"));
	assert_true(clock_now_ns() - begun_ns < 5 * CLOCK_SEC);
	assert_int_equal(put(&two, BAN_USER, "7", HOUR, true), 0);
	assert_false(is_out(&two, "7"));
	until(!is_out(&one, "7"));
}

static void who_starts_later_reads_all(void **state)
{
	struct program three;

	(void)state;
	/* More than fit one answer. */
	for (unsigned i = 0; i < 10; i++) {
		struct ban list[100];
		char names[100][16];

		for (unsigned k = 0; k < 100; k++) {
			(void)snprintf(names[k], sizeof(names[k]), "%u", 1 + 100 * i + k);
			list[k] = (struct ban){.kind = BAN_USER, .name = names[k], .until_ms = clock_wall_ms() + HOUR};
		}
		assert_int_equal(bans_redis_put(one.store, list, 100), 0);
	}
	program_start(&three, "three");
	until(bans_are_known(three.bans));
	for (unsigned i = 1; i <= 1000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%u", i);
		assert_true(is_out(&three, name));
	}
	assert_int_equal(put(&three, BAN_USER, "1001", HOUR, false), -ENOSPC);
	assert_int_equal(put(&three, BAN_USER, "1000", HOUR, false), 0);
	program_stop(&three);
}

static void a_loss_takes_no_ban_and_brings_none_back(void **state)
{
	static const char behind[] = "1 99999999999999 99999999999999 0 0";

	(void)state;
	assert_int_equal(put(&one, BAN_USER, "7", HOUR, false), 0);
	assert_int_equal(put(&one, BAN_USER, "8", HOUR, false), 0);
	assert_int_equal(put(&one, BAN_USER, "8", HOUR, true), 0);
	until(is_out(&two, "7"));
	real_redis_restart(&redis);
	until(strcmp(real_redis_say(&redis, "HLEN comet:bans"), "2") == 0);
	assert_true(is_out(&one, "7") && is_out(&two, "7"));
	/* An older copy, as a replica that was behind would have it. */
	(void)real_redis_sayv(&redis, 4, (const char *[]){"HSET", "comet:bans", "u:8", behind},
			      (const size_t[]){4, 10, 3, strlen(behind)});
	(void)real_redis_say(&redis, "INCR comet:generation");
	until(strncmp(real_redis_say(&redis, "HGET comet:bans u:8"), "1 9", 3) != 0);
	assert_false(is_out(&one, "8") || is_out(&two, "8"));
}

static void a_ban_without_redis_is_refused(void **state)
{
	struct config away = cfg;
	struct program three = {0};

	(void)state;
	away.redis_addr = (char *)(uintptr_t) "127.0.0.1:1";
	away.redis_timeout = 200;
	three.options = arrive_options(&away, "three");
	assert_int_equal(bans_new(&three.bans), 0);
	assert_int_equal(redis_pipe_start(&three.options, &three.pipe), 0);
	assert_int_equal(bans_redis_start(&away, three.pipe, three.bans, &three.store), 0);
	assert_int_equal(put(&three, BAN_USER, "7", HOUR, false), -ERR_NO_LOGIC);
	assert_false(bans_are_known(three.bans));
	assert_false(is_out(&three, "7"));
	program_stop(&three);
}

/* ---- at random ---- */

#define USERS 8
#define TURNS 200

static void random_bans_are_the_same_everywhere_in_the_end(void **state)
{
	bool out[USERS] = {false};
	char names[USERS][16];

	(void)state;
	srandom(16);
	for (unsigned i = 0; i < USERS; i++)
		(void)snprintf(names[i], sizeof(names[i]), "user %u", i);
	for (unsigned turn = 0; turn < TURNS; turn++) {
		unsigned user = (unsigned)random() % USERS;
		struct program *p = random() % 2 == 0 ? &one : &two;
		bool lifted = random() % 3 == 0;

		if (random() % 67 ==
		    0) { /* both know all by now: what only Redis and one program knew would be lost with both */
			until(bans_count(one.bans, 0) == bans_count(two.bans, 0));
			real_redis_restart(&redis);
		}
		until(put(p, BAN_USER, names[user], HOUR, lifted) == 0);
		out[user] = !lifted;
		assert_int_equal(is_out(p, names[user]), out[user]);
	}
	for (unsigned i = 0; i < USERS; i++)
		until(is_out(&one, names[i]) == out[i] && is_out(&two, names[i]) == out[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_ban_counts_at_once_where_it_was_made_and_soon_elsewhere, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_starts_later_reads_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_loss_takes_no_ban_and_brings_none_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_ban_without_redis_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_bans_are_the_same_everywhere_in_the_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
