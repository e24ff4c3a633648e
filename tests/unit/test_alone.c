/* Tests of comet/alone: the table and the API of a comet that runs alone lead to the same logic.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/alone.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"

static struct config cfg;
static struct bucket bucket; /* empty: what is pushed goes to take_push */
static struct server server = {.cfg = &cfg, .buckets = &bucket, .n_buckets = 1};
static struct wiring w;
static struct logic_client table;
static unsigned pushed;
static char pushed_key[WIRE_KEY_BYTES];

static int take_push(void *self, const struct wire_push *push)
{
	assert_ptr_equal(self, &pushed);
	pushed++;
	if (push->n_keys > 0)
		(void)snprintf(pushed_key, sizeof(pushed_key), "%s", push->keys[0]);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	pushed = 0;
	bucket_init(&bucket, &server.tallies);
	if (config_init(&cfg) < 0 || alone_wire(&server, "comet-1", take_push, &pushed, &w) < 0)
		return -1;
	table = w.logic;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	w.free(w.self);
	config_fini(&cfg);
	bucket_fini(&bucket);
	return 0;
}

static struct wire_session come(const char *token)
{
	const struct wire_connect request = {
		.token = (const uint8_t *)token, .token_bytes = strlen(token), .peer = "10.0.0.9"};
	struct wire_session session;

	assert_int_equal(logic_client_connect(&table, &request, &session), 0);
	return session;
}

/* The status; what is asked for is to stand in the body. */
static int ask(const char *method, const char *path, struct http_param *params, size_t n, const char *wanted)
{
	const struct http_request request = {.method = method,
					     .path = path,
					     .params = params,
					     .n_params = n,
					     .body = (const uint8_t *)"hi",
					     .body_bytes = 2,
					     .key = {.scopes = HTTP_ALL}};
	struct http_reply reply = {.status = 500};

	w.handle(w.self, &request, &reply);
	assert_non_null(reply.body);
	assert_non_null(strstr(reply.body, wanted));
	free(reply.body);
	return reply.status;
}

static void who_connects_is_pushed_to_until_gone(void **state)
{
	static char operation[] = "operation", one[] = "1000", mids[] = "mids", seven[] = "7";
	struct http_param params[] = {{operation, one}, {mids, seven}};
	struct wire_session session = come("{\"mid\":7,\"key\":\"k\"}");

	(void)state;
	assert_int_equal(ask("POST", "/goim/push/mids", params, 2, "\"code\":0"), 200);
	assert_int_equal(pushed, 1);
	assert_string_equal(pushed_key, "k");
	assert_int_equal(logic_client_heartbeat(&table, &(struct seat){"k", session.id, {.mid = 7}}), 0);
	logic_client_disconnect(&table, &(struct seat){"k", session.id, {.mid = 7}});
	assert_int_equal(ask("POST", "/goim/push/mids", params, 2, "\"code\":0"), 200);
	assert_int_equal(pushed, 1);
}

/* Logic knows the client and the bucket does not yet: the sink, which finds nobody, is asked again when it does. */
static void a_kick_on_the_way_to_the_bucket_is_repeated_there(void **state)
{
	static char keys[] = "keys", k[] = "k";
	struct http_param params[] = {{keys, k}};
	struct wire_session session = come("{\"mid\":7,\"key\":\"k\"}");

	(void)state;
	assert_int_equal(ask("POST", "/goim/kick", params, 1, "\"kicked\":1"), 200);
	assert_int_equal(pushed, 1);
	logic_client_arrived(&table, &(struct seat){.key = "k", .session_id = session.id});
	assert_int_equal(pushed, 2);
	assert_string_equal(pushed_key, "k");
	session = come("{\"mid\":7,\"key\":\"k\"}"); /* who comes after the kick is not meant */
	logic_client_arrived(&table, &(struct seat){.key = "k", .session_id = session.id});
	assert_int_equal(pushed, 2);
}

static void add_up(void *arg, const char *room, int64_t count)
{
	assert_string_equal(room, "live://1");
	*(int64_t *)arg += count;
}

static void counts_and_load_are_told_and_asked_for(void **state)
{
	const struct wire_room_count rooms[] = {{"live://1", 3}};
	const struct wire_load load = {.connections = 5, .addresses = 4};
	int64_t people = 0;

	(void)state;
	assert_int_equal(logic_client_renew_online(&table, &load, rooms, 1, add_up, &people), 0);
	assert_int_equal(people, 3);
	assert_int_equal(ask("GET", "/goim/online/total", NULL, 0, "\"conn_count\":5,\"ip_count\":4"), 200);
	/* Without server.addrs: those bound. */
	assert_int_equal(ask("GET", "/goim/nodes/instances", NULL, 0, "\"id\":\"comet-1\""), 200);
	assert_int_equal(ask("GET", "/goim/nodes/instances", NULL, 0, "\"addrs\":\"127.0.0.1:3101\""), 200);
}

/* A count of the rooms, which only a change brings about, says that it is empty. */
static void a_room_that_nobody_came_into_is_a_change(void **state)
{
	static const char *const room = "live://1";
	unsigned before = atomic_load(&server.tallies.changes);

	(void)state;
	logic_client_expect(&table, room);
	assert_int_not_equal(atomic_load(&server.tallies.changes), before);
	before = atomic_load(&server.tallies.changes);
	logic_client_join(&table, &room, 1);
	assert_int_not_equal(atomic_load(&server.tallies.changes), before);
}

static void what_clients_send_is_there_to_fetch(void **state)
{
	uint8_t body[] = "score";
	const struct packet p = {.op = 4096, .body = body, .body_bytes = 5};

	(void)state;
	assert_int_equal(logic_client_receive(&table, &(struct seat){.key = "k", .user.mid = 7}, &p), 0);
	assert_int_equal(ask("GET", "/goim/upstream", NULL, 0, "\"body\":\"score\""), 200);
}

static void a_draining_comet_is_not_ready_and_still_answers(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "/readyz", NULL, 0, "ready\n"), 200);
	w.draining(w.self);
	assert_int_equal(ask("GET", "/readyz", NULL, 0, "draining\n"), 503);
	assert_int_equal(ask("GET", "/healthz", NULL, 0, "ok\n"), 200);
}

static void without_memory_there_is_none(void **state)
{
	unsigned after = 0;

	(void)state;
	for (;; after++) {
		struct wiring other;
		int rc;

		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = alone_wire(&server, "comet-2", take_push, NULL, &other);
		if (seam_failed(SEAM_ALLOC) == 0) {
			assert_int_equal(rc, 0);
			other.free(other.self);
			break;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_null(other.self);
	}
	assert_true(after >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_connects_is_pushed_to_until_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_kick_on_the_way_to_the_bucket_is_repeated_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_and_load_are_told_and_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_room_that_nobody_came_into_is_a_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_clients_send_is_there_to_fetch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_draining_comet_is_not_ready_and_still_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_there_is_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
