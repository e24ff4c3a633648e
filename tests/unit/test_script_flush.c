/* Tests of scripts that a real Redis has forgotten: nobody notices, and each push arrives once and in order.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "logic/bus.h"
#include "tests/unit/real_redis.h"

#define LOGICS  2
#define THREADS 4 /* of each logic */
#define PUSHES  250
#define LONG_NS (10 * CLOCK_SEC)

static struct real_redis redis;
static struct config cfg;

static int set_up(void **state)
{
	(void)state;
	real_redis_start(&redis);
	real_redis_config(&redis, &cfg);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	real_redis_stop(&redis);
	config_fini(&cfg);
	return 0;
}

static struct redis_pipe *pipe_to_it(void)
{
	const struct redis_options opt = redis_options_of(&cfg, "test");
	struct redis_pipe *pipe = NULL;

	assert_int_equal(redis_pipe_start(&opt, &pipe), 0);
	return pipe;
}

static void next_number_is(struct redis_pipe *pipe, const char *number)
{
	struct redisReply *reply;

	assert_int_equal(script_run(pipe, &script_next_number, clock_now_ns() + LONG_NS, &reply, "%s %s", "7", "60000"),
			 0);
	assert_string_equal(reply->element[0]->str, number);
	freeReplyObject(reply);
}

/* Without one its number would be the clock. */
static void there_is_a_comet(void)
{
	(void)real_redis_say(&redis, "SADD comet:servers c1");
}

static void it_is_done_once_after_a_flush_and_after_a_restart(void **state)
{
	struct redis_pipe *pipe = pipe_to_it();

	(void)state;
	there_is_a_comet();
	next_number_is(pipe, "1");
	next_number_is(pipe, "2");
	assert_string_equal(real_redis_say(&redis, "SCRIPT FLUSH"), "OK");
	next_number_is(pipe, "3");
	next_number_is(pipe, "4");
	real_redis_restart(&redis);
	there_is_a_comet();
	next_number_is(pipe, "1");
	next_number_is(pipe, "2");
	redis_pipe_stop(&pipe);
}

/* ---- pushes ---- */

static atomic_bool over;

struct pusher {
	pthread_t thread;
	const struct bus *bus;
	int logic, number;
	int failed;
};

/* Each waits for its push before the next: so much order is promised. */
static void *push_many(void *arg)
{
	struct pusher *p = arg;

	for (int i = 0; i < PUSHES; i++) {
		struct wire_push push = {.target = WIRE_ALL};
		char body[32];
		int n = snprintf(body, sizeof(body), "%d %d %d", p->logic, p->number, i);

		assert_int_equal(message_new(1000, body, (uint32_t)n, &push.message), 0);
		p->failed += p->bus->push(p->bus->self, NULL, &push) != 0;
		message_unref(&push.message);
	}
	return NULL;
}

static void *flush(void *arg)
{
	redisContext *c = redisConnect("127.0.0.1", redis.port);

	(void)arg;
	while (!atomic_load(&over)) {
		freeReplyObject(redisCommand(c, "SCRIPT FLUSH"));
		(void)usleep(500);
	}
	redisFree(c);
	return NULL;
}

static const char *field(const struct redisReply *entry, const char *name)
{
	const struct redisReply *fields = entry->element[1];

	for (size_t i = 0; i + 1 < fields->elements; i += 2)
		if (strcmp(fields->element[i]->str, name) == 0)
			return fields->element[i + 1]->str;
	fail_msg("an entry without %s", name);
	return NULL;
}

/* As comets read it: of each writer the numbers grow, of each thread nothing is missing. */
static void everything_came_once_and_in_order(void)
{
	struct redisReply *stream = redisCommand(redis.c, "XRANGE comet:push:c1 - +");
	unsigned long long last[LOGICS] = {0};
	int next[LOGICS][THREADS] = {{0}};

	for (size_t i = 0; i < stream->elements; i++) {
		unsigned long long seq = strtoull(field(stream->element[i], "seq"), NULL, 10);
		int logic, thread, n;

		assert_int_equal(sscanf(field(stream->element[i], "body"), "%d %d %d", &logic, &thread, &n), 3);
		if (seq <= last[logic])
			fail_msg("push %llu of logic %d comes behind %llu, and is taken for a duplicate", seq, logic,
				 last[logic]);
		last[logic] = seq;
		assert_int_equal(n, next[logic][thread]++);
	}
	assert_int_equal(stream->elements, LOGICS * THREADS * PUSHES);
	freeReplyObject(stream);
}

static void pushes_come_once_and_in_order_while_scripts_are_flushed(void **state)
{
	struct redis_pipe *pipes[LOGICS];
	struct bus buses[LOGICS];
	struct pusher pushers[LOGICS * THREADS];
	pthread_t flusher;

	(void)state;
	(void)real_redis_say(&redis, "SET comet:generation 5");
	(void)real_redis_say(&redis, "SADD comet:servers c1");
	(void)real_redis_say(&redis, "HSET comet:server:c1 epoch 1 updated 1 sent 0 registering 0");
	cfg.redis_stream_length = 100000;
	for (int i = 0; i < LOGICS; i++) {
		pipes[i] = pipe_to_it();
		assert_int_equal(bus_redis_new(&cfg, pipes[i], i == 0 ? "l1" : "l2", &buses[i]), 0);
	}
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&flusher, NULL, flush, NULL), 0);
	for (int i = 0; i < LOGICS * THREADS; i++) {
		pushers[i] = (struct pusher){.bus = &buses[i / THREADS], .logic = i / THREADS, .number = i % THREADS};
		assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_many, &pushers[i]), 0);
	}
	for (int i = 0; i < LOGICS * THREADS; i++) {
		assert_int_equal(pthread_join(pushers[i].thread, NULL), 0);
		assert_int_equal(pushers[i].failed, 0);
	}
	atomic_store(&over, true);
	assert_int_equal(pthread_join(flusher, NULL), 0);
	for (int i = 0; i < LOGICS; i++) {
		bus_redis_free(&buses[i]);
		redis_pipe_stop(&pipes[i]);
	}
	everything_came_once_and_in_order();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_done_once_after_a_flush_and_after_a_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pushes_come_once_and_in_order_while_scripts_are_flushed, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("script_flush", tests, NULL, NULL);
}
