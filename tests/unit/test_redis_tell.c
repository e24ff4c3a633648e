/* Tests of logic_client/redis_tell: what is told, and in which order. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "logic_client/redis_calls.h"
#include "logic_client/redis_tell.h"
#include "tests/unit/fake_logic.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

static struct script {
	atomic_bool is_up;  /* there is a logic ... */
	atomic_bool cannot; /* ... which cannot do what it is asked for */
	atomic_int asked;
	atomic_bool subscribed;
	char never;     /* a key that it cannot do anything about */
	char keys[256]; /* those of the requests that it has done, a space after each */
} script;

static struct fake_redis server;
static struct config cfg;
static struct redis_clock clock_;
static struct redis_pipe *pipe_;
static struct redis_calls *calls;
static struct redis_tell *tell;

static const char *publish(struct script *s, const char *request)
{
	char id[FAKE_LOGIC_ID_BYTES];
	const char *key = strstr(request, "\"key\":\"");
	bool done = !atomic_load(&s->cannot) && key != NULL && key[strlen("\"key\":\"")] != s->never;
	size_t n = strlen(s->keys);

	fake_logic_id(request, id);
	if (done && n + 2 < sizeof(s->keys))
		(void)snprintf(s->keys + n, sizeof(s->keys) - n, "%c ", key[strlen("\"key\":\"")]);
	fake_logic_reply(&server, id, done ? "\"code\":0,\"message\":\"\"" : "\"code\":500,\"message\":\"\"");
	atomic_fetch_add(&s->asked, 1);
	return ":1\r\n";
}

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (strcmp(argv[0], "SUBSCRIBE") == 0) {
		atomic_store(&s->subscribed, true);
		return "";
	}
	if (strcmp(argv[0], "PUBLISH") == 0)
		return publish(s, argv[2]);
	if (fake_redis_runs(argv, "instances"))
		return atomic_load(&s->is_up) ? FAKE_LOGIC_ONE : FAKE_LOGIC_NOBODY;
	return fake_redis_hello(argc, argv);
}

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	memset(&clock_, 0, sizeof(clock_));
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	cfg.logic_timeout = 10000; /* nothing is asked twice because this machine was busy */
	pipe_ = fake_redis_pipe(&cfg);
	/* No reply can be late. */
	assert_int_equal(redis_calls_start(&cfg, "c", pipe_, &clock_, &(struct redis_calls_owner){0}, &calls), 0);
	assert_int_equal(redis_tell_start(&cfg, calls, &tell), 0);
	until(redis_clock_ms(&clock_) != 0 && atomic_load(&script.subscribed));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	redis_calls_stop(calls);
	redis_tell_stop(&tell);
	redis_calls_free(&calls);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	seam_reset();
	return 0;
}

static int add(enum wire_method method, const char *key)
{
	return redis_tell_add(tell, method, &(struct seat){.key = key, .session_id = 1});
}

static void add_all(const char *keys)
{
	for (; *keys != '\0'; keys++)
		assert_int_equal(add(WIRE_DISCONNECT, (const char[]){*keys, '\0'}), 0);
}

static void what_is_added_is_told_in_its_order(void **state)
{
	(void)state;
	add_all("abc");
	assert_int_equal(redis_tell_count(tell), 3);
	atomic_store(&script.is_up, true);
	until(redis_tell_count(tell) == 0);
	add_all("de");
	until(redis_tell_count(tell) == 0);
	assert_string_equal(script.keys, "a b c d e ");
}

#define UNHEARD_MAX 16384

static int add_unheard(void)
{
	return redis_tell_add(tell, WIRE_DISCONNECT, &(struct seat){.key = "u", .session_id = SEAT_ANY_SESSION});
}

/* They may come all the time while there is no logic. */
static void of_clients_who_were_not_heard_few_wait(void **state)
{
	(void)state;
	for (int i = 0; i < UNHEARD_MAX; i++)
		assert_int_equal(add_unheard(), 0);
	assert_int_equal(add_unheard(), -ENOBUFS);
	assert_int_equal(add(WIRE_HEARTBEAT, "h"), 0);
	assert_int_equal(add(WIRE_DISCONNECT, "d"), 0);
	atomic_store(&script.is_up, true);
	until(add_unheard() == 0);
}

static void what_is_not_confirmed_is_told_again(void **state)
{
	(void)state;
	add_all("abc");
	atomic_store(&script.cannot, true);
	atomic_store(&script.is_up, true);
	until(atomic_load(&script.asked) >= 6);
	assert_int_equal(redis_tell_count(tell), 3);
	atomic_store(&script.cannot, false);
	until(redis_tell_count(tell) == 0);
	/* Which of them is first depends on the moment. */
	assert_int_equal(strlen(script.keys), strlen("a b c "));
	for (const char *key = "abc"; *key != '\0'; key++)
		assert_non_null(strchr(script.keys, *key));
}

static void what_was_added_before_is_told_apart_from_what_was_added_later(void **state)
{
	uint64_t last;

	(void)state;
	assert_true(redis_tell_has_told(tell, redis_tell_last(tell)));
	add_all("abc");
	last = redis_tell_last(tell);
	assert_false(redis_tell_has_told(tell, last));
	atomic_store(&script.is_up, true);
	until(redis_tell_has_told(tell, last));
	atomic_store(&script.cannot, true);
	add_all("d");
	until(atomic_load(&script.asked) >= 5);
	assert_true(redis_tell_has_told(tell, last));
	assert_false(redis_tell_has_told(tell, redis_tell_last(tell)));
}

static void what_logic_never_confirms_is_given_up_while_it_confirms_others(void **state)
{
	uint64_t last;

	(void)state;
	script.never = 'x';
	add_all("x");
	last = redis_tell_last(tell);
	atomic_store(&script.is_up, true);
	/* Alone it may be the first of many that fail. */
	until(atomic_load(&script.asked) >= 3);
	assert_false(redis_tell_has_told(tell, last));
	for (int i = 0; i < 1000 && !redis_tell_has_told(tell, last); i++) {
		add_all("a");
		until(redis_tell_count(tell) <= 1);
	}
	until(redis_tell_count(tell) == 0);
	assert_null(strchr(script.keys, 'x'));
}

/* A comet of a million connections is without logic for some minutes. */
static void heartbeats_leave_room_for_disconnects(void **state)
{
	int rc;

	(void)state;
	while ((rc = add(WIRE_HEARTBEAT, "k")) == 0)
		;
	assert_int_equal(rc, -ENOBUFS);
	for (int i = 0; i < 100; i++)
		assert_int_equal(add(WIRE_DISCONNECT, "k"), 0);
	assert_int_equal(add(WIRE_HEARTBEAT, "k"), -ENOBUFS);
}

/* One that started without what it tells with would take a million disconnects and tell none. */
static void without_memory_it_does_not_start(void **state)
{
	struct redis_tell *other = NULL;

	(void)state;
	for (unsigned after = 0; after < 3; after++) {
		seam_fail(SEAM_ALLOC, after, UINT32_MAX, ENOMEM); /* other threads may come in between */
		assert_int_equal(redis_tell_start(&cfg, calls, &other), -ENOMEM);
		assert_null(other);
		seam_reset();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_added_is_told_in_its_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_clients_who_were_not_heard_few_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_confirmed_is_told_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_added_before_is_told_apart_from_what_was_added_later, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_logic_never_confirms_is_given_up_while_it_confirms_others, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(heartbeats_leave_room_for_disconnects, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_it_does_not_start, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("redis_tell", tests, NULL, NULL);
}
