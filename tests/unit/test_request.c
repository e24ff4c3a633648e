/* Tests of logic/request: each method reaches its call of logic, and what comes of it is in the reply.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "logic/request.h"
#include "tests/unit/seam.h"

static struct config cfg;
static struct logic l;

static int nobody_hears(void *self, const char *server, const struct wire_push *push)
{
	(void)self;
	(void)server;
	(void)push;
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	if (config_init(&cfg) < 0)
		return -1;
	l = (struct logic){.cfg = &cfg, .bus = {.push = nobody_hears}};
	if (auth_new(&cfg, &l.auth) < 0 || registry_memory_new(&l.registry) < 0 ||
	    upstream_memory_new(1 << 20, &l.upstream) < 0)
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	upstream_memory_free(&l.upstream);
	registry_memory_free(&l.registry);
	auth_free(&l.auth);
	config_fini(&cfg);
	return 0;
}

static struct wire_request request_of(enum wire_method method)
{
	return (struct wire_request){.method = method, .id = "n-1", .server = "s", .reply = ""};
}

static struct wire_reply connect_as(const char *token)
{
	struct wire_request request = request_of(WIRE_CONNECT);
	struct wire_reply reply;

	request.connect = (struct wire_connect){
		.token = (const uint8_t *)token, .token_bytes = strlen(token), .peer = "10.0.0.9"};
	request_answer(&l, &request, &reply);
	assert_string_equal(reply.id, "n-1");
	return reply;
}

static size_t registered(const char *key)
{
	struct registry_found found;
	size_t n;

	assert_int_equal(registry_find_keys(&l.registry, &key, 1, &found), 0);
	n = found.n;
	registry_found_fini(&found);
	return n;
}

static void a_connect_is_answered_with_its_session(void **state)
{
	struct wire_reply reply = connect_as("{\"mid\":7,\"key\":\"k\",\"accepts\":[1000]}");

	(void)state;
	assert_int_equal(reply.rc, 0);
	assert_string_equal(reply.session.key, "k");
	assert_int_equal(reply.session.n_accepts, 1);
	assert_int_equal(registered("k"), 1);
	wire_reply_fini(&reply);
}

static void a_refusal_has_its_words(void **state)
{
	struct wire_reply reply = connect_as("{\"mid\":\"x\"}");

	(void)state;
	assert_int_equal(reply.rc, -ERR_REFUSED);
	assert_string_equal(reply.session.refusal, "mid is not a whole number");
	wire_reply_fini(&reply);
}

static void a_disconnect_forgets_only_its_own_session(void **state)
{
	struct wire_request request = request_of(WIRE_DISCONNECT);
	struct wire_reply reply = connect_as("{\"mid\":7,\"key\":\"k\"}");

	(void)state;
	request.seat = (struct seat){.key = "k", .session_id = reply.session.id + 1, .user.mid = 7};
	wire_reply_fini(&reply);
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.rc, 0);
	assert_int_equal(registered("k"), 1);
	wire_reply_fini(&reply);
	request.seat.session_id--;
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.rc, 0);
	assert_int_equal(registered("k"), 0);
	wire_reply_fini(&reply);
}

static int cannot_renew(void *self, const char *server, const struct seat *seat, struct registry_found *old)
{
	(void)self;
	*old = (struct registry_found){0};
	assert_string_equal(server, "s");
	assert_string_equal(seat->key, "k");
	return -ERR_NO_LOGIC;
}

/* The comet repeats what it is not told to be done. */
static void a_heartbeat_that_fails_is_not_told_to_be_done(void **state)
{
	struct wire_request request = request_of(WIRE_HEARTBEAT);
	struct registry registry = l.registry;
	struct wire_reply reply;

	(void)state;
	request.seat = (struct seat){.key = "k", .session_id = 3};
	l.registry.renew = cannot_renew;
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.rc, -ERR_NO_LOGIC);
	l.registry = registry;
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.rc, 0);
}

static void a_packet_is_there_for_the_back_end(void **state)
{
	struct wire_request request = request_of(WIRE_RECEIVE);
	uint8_t body[] = "score";
	struct upstream_found found;
	struct wire_reply reply;

	(void)state;
	request.seat = (struct seat){.key = "k", .session_id = 3, .user.mid = 7};
	request.packet = (struct packet){.op = 4096, .body = body, .body_bytes = 5};
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.rc, 0);
	assert_int_equal(upstream_read(&l.upstream, &(struct upstream_query){"0", 1, 0, NULL}, &found), 0);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.entries->seat.key, "k");
	assert_int_equal(found.entries->seat.user.mid, 7);
	assert_int_equal(found.entries->op, 4096);
	upstream_found_fini(&found);
}

static void a_new_token_says_how_long_it_may_stay(void **state)
{
	struct wire_request request = request_of(WIRE_REAUTH);
	struct wire_reply reply;

	(void)state;
	request.connect = (struct wire_connect){.token = (const uint8_t *)"8", .token_bytes = 1, .peer = "10.0.0.9"};
	request.seat = (struct seat){.key = "7_1", .session_id = 3, .user.mid = 7};
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.rc, -ERR_REFUSED);
	assert_true(reply.session.refusal[0] != '\0');
	request.connect.token = (const uint8_t *)"7";
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.rc, 0);
	assert_int_equal(reply.session.lifetime_ms, 0);
}

/* Another comet's rooms are nothing to this one, unless it has them, too. */
static void counts_are_of_the_rooms_that_were_named(void **state)
{
	const struct wire_room_count here[] = {{"live://1", 3}, {"live://2", 1}};
	const struct wire_room_count there[] = {{"live://1", 4}, {"live://3", 5}};
	struct wire_request request = request_of(WIRE_RENEW_ONLINE);
	struct wire_reply reply;

	(void)state;
	request.server = "t";
	request.rooms = there;
	request.n_rooms = 2;
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.n_rooms, 2);
	wire_reply_fini(&reply);
	request.server = "s";
	request.rooms = here;
	request_answer(&l, &request, &reply);
	assert_int_equal(reply.rc, 0);
	assert_int_equal(reply.n_rooms, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(reply.rooms[i].count, strcmp(reply.rooms[i].room, "live://1") == 0 ? 7 : 1);
	wire_reply_fini(&reply);
}

static void without_memory_rooms_are_not_counted(void **state)
{
	const struct wire_room_count rooms[] = {{"live://1", 3}, {"live://2", 1}};
	struct wire_request request = request_of(WIRE_RENEW_ONLINE);
	struct wire_reply reply;
	unsigned after = 0, failed;

	(void)state;
	request.rooms = rooms;
	request.n_rooms = 2;
	do {
		seam_fail(SEAM_ALLOC, after++, 1, ENOMEM);
		request_answer(&l, &request, &reply);
		failed = seam_failed(SEAM_ALLOC);
		seam_reset();
		assert_int_equal(reply.rc, failed > 0 ? -ENOMEM : 0);
		assert_int_equal(reply.n_rooms, failed > 0 ? 0 : 2);
		wire_reply_fini(&reply);
	} while (failed > 0);
	assert_true(after > 4);
}

#define request_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		request_test(a_connect_is_answered_with_its_session),
		request_test(a_refusal_has_its_words),
		request_test(a_disconnect_forgets_only_its_own_session),
		request_test(a_heartbeat_that_fails_is_not_told_to_be_done),
		request_test(a_packet_is_there_for_the_back_end),
		request_test(a_new_token_says_how_long_it_may_stay),
		request_test(counts_are_of_the_rooms_that_were_named),
		request_test(without_memory_rooms_are_not_counted),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
