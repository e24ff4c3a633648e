/* Tests of logic/reap_redis: whom it takes for dead. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "logic/reap.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

/* More than fit into the smallest table of a map. */
#define COMETS    40
#define LEASE_MS  150
#define FORGET_MS 600

/* Leases that nobody renews. */
static struct script {
	char leases[COMETS * 64];
	atomic_int looks, buried;
	atomic_bool silent; /* looks are heard and not answered */
} script;

static struct fake_redis server;
static struct redis_pipe *pipe_;
static struct reap *reap;
static struct config cfg;

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (fake_redis_runs(argv, "remove")) {
		atomic_fetch_add(&s->buried, 1);
		return ":1\r\n";
	}
	if (!fake_redis_runs(argv, "leases"))
		return fake_redis_hello(argc, argv);
	if (atomic_load(&s->silent))
		return "";
	atomic_fetch_add(&s->looks, 1);
	return s->leases;
}

static int set_up(void **state)
{
	size_t n;

	(void)state;
	memset(&script, 0, sizeof(script));
	n = (size_t)snprintf(script.leases, sizeof(script.leases), "*%d\r\n", 3 * COMETS);
	for (int i = 0; i < COMETS; i++)
		n += (size_t)snprintf(script.leases + n, sizeof(script.leases) - n,
				      "$8\r\ncomet-%02d\r\n$4\r\n1000\r\n$2\r\n%02d\r\n", i, i);
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	cfg.redis_lease = LEASE_MS;
	cfg.redis_forget = FORGET_MS;
	cfg.redis_timeout = 100;
	pipe_ = fake_redis_pipe(&cfg);
	assert_int_equal(reap_start(&cfg, pipe_, NULL, &reap), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	reap_stop(&reap);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	seam_reset();
	return 0;
}

static void leases_that_nobody_renews_are_removed(void **state)
{
	(void)state;
	until(atomic_load(&script.looks) >= 2);
	until(atomic_load(&script.buried) >= COMETS);
}

/* While Redis was away nobody could renew a lease, so all comets get their time anew. */
static void nobody_is_dead_because_redis_was_away(void **state)
{
	int64_t until_ns;
	int looks;

	(void)state;
	until(atomic_load(&script.looks) >= 1);
	atomic_store(&script.silent, true);
	until_ns = clock_now_ns() + (FORGET_MS + LEASE_MS) * CLOCK_MS;
	until(clock_now_ns() > until_ns);
	/* Those that were slow before it was silent are none of this test's. */
	looks = atomic_load(&script.looks);
	atomic_store(&script.buried, 0);
	atomic_store(&script.silent, false);
	/* The second look comes after the end of the first, so whoever is buried by the first one is known by then. */
	until(atomic_load(&script.looks) >= looks + 2);
	assert_int_equal(atomic_load(&script.buried), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leases_that_nobody_renews_are_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_dead_because_redis_was_away, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("reap_redis", tests, NULL, NULL);
}
