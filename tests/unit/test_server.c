/* Tests of comet/server: what is shared, and how everybody is sent away. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/serve.h"
#include "comet/server.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

#define PEERS 6

static struct stage stage;
static struct fake_transport peers[PEERS];

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	for (unsigned i = 0; i < PEERS; i++)
		fake_init(&peers[i]);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	stage_down(&stage);
	for (unsigned i = 0; i < PEERS; i++)
		fake_fini(&peers[i]);
	return 0;
}

static void log_in(unsigned i)
{
	(void)snprintf(stage.logic.session.key, sizeof(stage.logic.session.key), "key-%u", i);
	assert_int_equal(serve_start(&stage.server, stage_guest(&stage, &peers[i])), 0);
	fake_send(&peers[i], OP_AUTH, 1, "");
	until(fake_got_op(&peers[i], OP_AUTH_REPLY) == 1);
}

/* ---- what is shared ---- */

static void keys_spread_over_all_buckets_and_each_stays_with_its_own(void **state)
{
	unsigned in[4] = {0};

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "user-%u", i);
		in[server_bucket(&stage.server, key) - stage.server.buckets]++;
		assert_ptr_equal(server_bucket(&stage.server, key), server_bucket(&stage.server, key));
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(in[i] > 50);
}

static void reload(char *ops)
{
	stage.cfg.limits_upstream_ops = ops;
	assert_int_equal(server_prepare(&stage.server, &stage.cfg), 0);
	server_settle(&stage.server, true);
}

static void reloads_that_change_nothing_keep_nothing(void **state)
{
	static char wide[] = "4,1000-1999", narrow[] = "4";
	char *const before = stage.cfg.limits_upstream_ops;
	const struct upstream_ops *ops;

	(void)state;
	reload(wide);
	ops = stage.server.upstream_ops;
	reload(wide);
	assert_ptr_equal(stage.server.upstream_ops, ops);
	reload(narrow);
	assert_false(ranges_have(&stage.server.upstream_ops->ops, 1000));
	assert_ptr_equal(stage.server.upstream_ops->before, ops);
	reload(before);
}

/* The roster's links hold whoever leaves first. */
static void connections_enter_and_leave_in_any_order(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 6; order++) {
		static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
		struct connection *c[3];

		for (unsigned i = 0; i < 3; i++) {
			fake_fini(&peers[i]);
			fake_init(&peers[i]);
			c[i] = stage_guest(&stage, &peers[i]);
			server_enter(&stage.server, c[i]);
		}
		assert_int_equal(stage.server.on_roster, 3);
		for (unsigned i = 0; i < 3; i++) {
			struct connection **gone = &c[orders[order][i]];

			server_leave(&stage.server, *gone);
			connection_unref(gone);
		}
		assert_int_equal(stage.server.on_roster, 0);
		assert_null(stage.server.roster);
	}
}

static void a_server_that_cannot_start_leaves_nothing_behind(void **state)
{
	struct config cfg = stage.cfg;
	struct server other;
	unsigned after = 0;
	int rc;

	(void)state;
	cfg.whitelist_list = (char *)(uintptr_t) "alice";
	for (;; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = server_init(&other, &cfg, 1);
		if (seam_failed(SEAM_ALLOC) == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_null(other.cfg);
	}
	seam_reset();
	assert_int_equal(rc, 0);
	assert_true(after > 4);
	server_fini(&other);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(server_init(&other, &cfg, 1), -EAGAIN);
	assert_null(other.cfg);
	cfg.whitelist_log = (char *)(uintptr_t) "/nowhere/at/all";
	assert_int_equal(server_init(&other, &cfg, 1), -ENOENT);
	assert_null(other.cfg);
}

static void without_a_setting_the_machine_limits_the_connections(void **state)
{
	struct config cfg = stage.cfg;
	struct server other;
	char text[64];

	(void)state;
	cfg.limits_connections = 0;
	assert_int_equal(server_init(&other, &cfg, 1), 0);
	assert_int_equal(other.admission.opt.connections_max,
			 admission_machine_max(cfg.http_callers, true, text, sizeof(text)));
	server_fini(&other);
}

/* ---- drain ---- */

struct drain {
	pthread_t thread;
	int64_t over_ms;
	bool all_gone;
	atomic_bool done;
};

static void *run_drain(void *arg)
{
	struct drain *d = arg;

	d->all_gone = server_drain(&stage.server, d->over_ms, 0);
	atomic_store(&d->done, true);
	return NULL;
}

static void start_drain(struct drain *d, int64_t over_ms)
{
	*d = (struct drain){.over_ms = over_ms};
	assert_int_equal(pthread_create(&d->thread, NULL, run_drain, d), 0);
}

static void assert_drained(struct drain *d)
{
	assert_int_equal(pthread_join(d->thread, NULL), 0);
	assert_true(d->all_gone);
}

static const char words[] = "{\"code\":4,\"reason\":\"the server is going away, connect again\"}";

static void a_drain_of_nobody_is_over_at_once(void **state)
{
	enum ticket none;

	(void)state;
	assert_true(server_drain(&stage.server, 3600000, 0));
	assert_int_equal(admission_enter(&stage.server.admission, &peers[0].peer.any, false, &none), CLOSE_DRAINING);
}

static void everybody_is_told_and_the_drain_ends_when_the_last_has_gone(void **state)
{
	struct drain d;

	(void)state;
	for (unsigned i = 0; i < PEERS; i++)
		log_in(i);
	start_drain(&d, 0);
	for (unsigned i = 0; i < PEERS; i++) {
		until(fake_is_finished(&peers[i]));
		assert_int_equal(fake_packet(&peers[i], 1)->op, OP_DISCONNECT);
		assert_string_equal(fake_packet(&peers[i], 1)->body, words);
		assert_false(atomic_load(&d.done));
		fake_end(&peers[i], -ERR_EOF);
	}
	assert_drained(&d);
	assert_int_equal(atomic_load(&stage.logic.disconnects), PEERS);
}

static unsigned told(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PEERS; i++)
		n += fake_is_finished(&peers[i]);
	return n;
}

static void goodbyes_are_spread_over_the_time(void **state)
{
	int64_t start;
	struct drain d;

	(void)state;
	for (unsigned i = 0; i < PEERS; i++)
		log_in(i);
	start = clock_now_ns();
	start_drain(&d, 300);
	until(told() > 0);
	until(told() == PEERS);
	/* The last of six is due after five sixths, and may go out 10 ms early. */
	assert_true(clock_now_ns() - start >= 240 * CLOCK_MS);
	for (unsigned i = 0; i < PEERS; i++)
		fake_end(&peers[i], -ERR_EOF);
	assert_drained(&d);
}

static void who_left_early_does_not_make_the_drain_wait(void **state)
{
	struct drain d;

	(void)state;
	for (unsigned i = 0; i < PEERS; i++)
		log_in(i);
	start_drain(&d, 3600000);
	until(told() == 1);
	for (unsigned i = 0; i < PEERS; i++)
		fake_end(&peers[i], -ERR_EOF);
	assert_drained(&d);
}

/* Not online yet, so nobody can tell it goodbye: it is ended hard, and does not hold up the end for its own deadline. */
static void who_is_in_the_handshake_is_ended_too(void **state)
{
	(void)state;
	assert_int_equal(serve_start(&stage.server, stage_guest(&stage, &peers[0])), 0);
	assert_true(server_drain(&stage.server, 0, 0));
	assert_true(fake_is_shut(&peers[0]));
	assert_int_equal(fake_got(&peers[0]), 0);
}

static void who_does_not_read_its_goodbye_is_ended_hard(void **state)
{
	struct message *m;
	struct connection *c;
	int64_t before = counters_read_by(COUNT_CLOSED, CLOSE_DRAINING);

	(void)state;
	log_in(0);
	fake_take(&peers[0], 0);
	c = bucket_get(server_bucket(&stage.server, "key-0"), "key-0");
	assert_int_equal(message_new(1000, NULL, 0, &m), 0);
	if (channel_push(&c->channel, m, false) == 1) {
		struct haul h;

		(void)channel_take(&c->channel, &h);
		channel_done_and_release(&c->channel, &h, true);
	}
	message_unref(&m);
	connection_unref(&c);
	assert_true(server_drain(&stage.server, 0, 0));
	assert_true(fake_is_shut(&peers[0]));
	assert_int_equal(counters_read_by(COUNT_CLOSED, CLOSE_DRAINING), before + 1);
}

static void without_memory_to_list_them_all_are_ended_hard(void **state)
{
	(void)state;
	log_in(0);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_true(server_drain(&stage.server, 0, 0));
	assert_int_equal(seam_failed(SEAM_ALLOC), 1);
	assert_true(fake_is_shut(&peers[0]));
}

static void without_any_memory_all_are_ended_hard_all_the_same(void **state)
{
	(void)state;
	log_in(0);
	seam_fail(SEAM_ALLOC, 0, 2, ENOMEM); /* for those online, then for those left */
	assert_true(server_drain(&stage.server, 0, 0));
	assert_int_equal(seam_failed(SEAM_ALLOC), 2);
	assert_true(fake_is_shut(&peers[0]));
}

#define server_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		server_test(keys_spread_over_all_buckets_and_each_stays_with_its_own),
		server_test(reloads_that_change_nothing_keep_nothing),
		server_test(connections_enter_and_leave_in_any_order),
		server_test(a_server_that_cannot_start_leaves_nothing_behind),
		server_test(without_a_setting_the_machine_limits_the_connections),
		server_test(a_drain_of_nobody_is_over_at_once),
		server_test(everybody_is_told_and_the_drain_ends_when_the_last_has_gone),
		server_test(goodbyes_are_spread_over_the_time),
		server_test(who_left_early_does_not_make_the_drain_wait),
		server_test(who_is_in_the_handshake_is_ended_too),
		server_test(who_does_not_read_its_goodbye_is_ended_hard),
		server_test(without_memory_to_list_them_all_are_ended_hard),
		server_test(without_any_memory_all_are_ended_hard_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
