/* Tests of logic/registry_redis: what is told of a registration. What Redis makes of the scripts is in tests/chaos.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "logic/registry.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

static struct script {
	atomic_int evals;
	const char *answer;
	atomic_int hashes; /* of rooms, that were asked for */
	atomic_bool holds; /* their answers */
} script;

static struct fake_redis server;
static struct config cfg;
static struct redis_pipe *pipe_;
static struct registry registry;

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (strcmp(argv[0], "HGETALL") == 0) {
		atomic_fetch_add(&s->hashes, 1);
		return atomic_load(&s->holds) ? "" : "*2\r\n$6\r\nlive:1\r\n$1\r\n7\r\n";
	}
	if (!fake_redis_runs(argv, NULL))
		return fake_redis_hello(argc, argv);
	atomic_fetch_add(&s->evals, 1);
	return s->answer;
}

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	pipe_ = fake_redis_pipe(&cfg);
	/* Once this is answered only the test itself allocates. */
	assert_int_equal(redis_pipe_call(pipe_, REDIS_AGAIN, INT64_MAX, NULL, "PING"), 0);
	assert_int_equal(registry_redis_new(&cfg, pipe_, &registry), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	registry_redis_free(&registry);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	return 0;
}

static int put(struct registry_found *old)
{
	struct seat seat = {.key = "k", .user.mid = 5};
	int rc = registry_put(&registry, "c1", &seat, 0, old);

	assert_true(rc != 0 || seat.session_id == 8);
	return rc;
}

static int renew(struct registry_found *old)
{
	return registry_renew(&registry, "c1", &(struct seat){"k", 8, {.mid = 5}}, old);
}

/* With each allocation failing in turn: what Redis has done is done, and nobody has anything to free after an error. */
static void without_memory_it_is_all_or_nothing(int (*call)(struct registry_found *old), const char *says)
{
	unsigned failing = 0;
	int rc;

	script.answer = says;
	do {
		struct registry_found old = {.n = 99};
		int evals = atomic_load(&script.evals);

		seam_fail(SEAM_ALLOC, failing++, 1, ENOMEM);
		rc = call(&old);
		if (atomic_load(&script.evals) == evals)
			assert_int_equal(rc, -ENOMEM);
		else
			assert_int_equal(rc, 0);
		if (seam_failed(SEAM_ALLOC) == 0) {
			assert_int_equal(old.n, 1);
			assert_int_equal(old.written, 3);
			assert_string_equal(old.entries->key, "k");
			assert_string_equal(old.entries->server, "c2");
			assert_int_equal(old.entries->session_id, 7);
			failing = 0;
		} else {
			assert_int_equal(old.n, 0);
			assert_null(old.entries);
		}
		seam_reset();
		registry_found_fini(&old);
	} while (failing != 0);
}

static void put_without_memory_registers_or_fails(void **state)
{
	(void)state;
	without_memory_it_is_all_or_nothing(put, "*5\r\n$2\r\nok\r\n$1\r\n8\r\n$1\r\n3\r\n$2\r\nc2\r\n$1\r\n7\r\n");
}

static void renew_without_memory_registers_or_fails(void **state)
{
	(void)state;
	without_memory_it_is_all_or_nothing(renew, "*4\r\n$2\r\nok\r\n$1\r\n3\r\n$2\r\nc2\r\n$1\r\n7\r\n");
}

static void counts_are_7(void)
{
	struct registry_rooms rooms;

	assert_int_equal(registry_online(&registry, &rooms), 0);
	assert_int_equal(rooms.n, 1);
	assert_int_equal(rooms.rooms[0].count, 7);
	registry_rooms_fini(&rooms);
}

static void *count_in_vain(void *arg)
{
	struct registry_rooms rooms;

	(void)arg;
	assert_int_equal(registry_online(&registry, &rooms), -ERR_NO_LOGIC);
	return NULL;
}

/* Each is as much as Redis has: where it takes it long, others would make it take longer. */
static void counts_are_fetched_by_one_at_a_time(void **state)
{
	pthread_t thread;

	(void)state;
	script.answer = "*1\r\n*3\r\n$2\r\nc1\r\n$7\r\nupdated\r\n$1\r\n1\r\n"; /* the comets */
	counts_are_7();
	assert_int_equal(atomic_load(&script.hashes), 1);
	atomic_store(&script.holds, true);
	seam_clock_advance(5 * CLOCK_SEC);
	assert_int_equal(pthread_create(&thread, NULL, count_in_vain, NULL), 0);
	until(atomic_load(&script.hashes) == 2);
	counts_are_7(); /* those of before */
	seam_clock_advance(10 * CLOCK_SEC);
	(void)count_in_vain(NULL);
	assert_int_equal(atomic_load(&script.hashes), 2);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(put_without_memory_registers_or_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(renew_without_memory_registers_or_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_are_fetched_by_one_at_a_time, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("registry_redis", tests, NULL, NULL);
}
