/* Tests of comet/operator. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/accepts.h"
#include "comet/operator.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

static struct stage stage;
static struct fake_transport peer;
static struct connection *c;
static struct packet p;

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	fake_init(&peer);
	c = stage_member(&stage, &peer, "key", "");
	c->channel.accepts.all = false;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	packet_drop_body(&p);
	stage_leave(&stage, &c);
	fake_fini(&peer);
	stage_down(&stage);
	return 0;
}

/* A packet as it was read: its body is the transport's. */
static int act_bytes(int32_t op, const void *body, size_t n)
{
	static uint8_t buffer[5000];

	packet_drop_body(&p);
	assert_true(n <= sizeof(buffer));
	memcpy(buffer, body, n);
	p = (struct packet){.ver = 3, .op = op, .seq = 44, .body = n > 0 ? buffer : NULL, .body_bytes = (uint32_t)n};
	return operate(&stage.server, c, &p);
}

static int act(int32_t op, const char *body)
{
	return act_bytes(op, body, strlen(body));
}

/* The reply, whose body outlives what the transport reads next. */
static void assert_reply(int32_t op, const char *body)
{
	assert_int_equal(p.op, op);
	assert_int_equal(p.ver, 3);
	assert_int_equal(p.seq, 44);
	assert_int_equal(p.body_bytes, strlen(body));
	if (p.body_bytes > 0) {
		assert_true(p.body_owned);
		assert_memory_equal(p.body, body, p.body_bytes);
	}
}

static bool accepts(int32_t op)
{
	struct message *m;
	int rc;

	assert_int_equal(message_new(op, NULL, 0, &m), 0);
	rc = channel_push(&c->channel, m, true);
	message_unref(&m);
	if (rc != -ENOMSG) {
		struct haul h;

		assert_int_equal(rc, 1);
		assert_true(channel_take(&c->channel, &h));
		h.messages_done = h.n_messages;
		channel_done_and_release(&c->channel, &h, false);
	}
	return rc != -ENOMSG;
}

/* ---- heartbeats ---- */

static void a_heartbeat_tells_how_many_are_in_the_room(void **state)
{
	(void)state;
	p = (struct packet){.ver = 3, .op = OP_HEARTBEAT, .seq = 44, .body = (uint8_t *)"ignored", .body_bytes = 7};
	assert_int_equal(operate_heartbeat(&stage.server, c, &p), 0);
	assert_int_equal(p.op, OP_HEARTBEAT_REPLY);
	assert_int_equal(p.body_bytes, 4);
	assert_int_equal(packet_get_i32(p.body), 0);
	assert_int_equal(act(OP_CHANGE_ROOM, "live://1"), 0);
	atomic_store(&c->place.room->tally->elsewhere, 41);
	assert_int_equal(operate_heartbeat(&stage.server, c, &p), 0);
	assert_int_equal(packet_get_i32(p.body), 42);
}

static void a_v1_heartbeat_is_answered_with_no_body(void **state)
{
	(void)state;
	c->dialect = DIALECT_V1;
	p = (struct packet){.op = OP_HEARTBEAT, .body = (uint8_t *)"ignored", .body_bytes = 7};
	assert_int_equal(operate_heartbeat(&stage.server, c, &p), 0);
	assert_int_equal(p.op, OP_HEARTBEAT_REPLY);
	assert_int_equal(p.body_bytes, 0);
}

static void without_memory_for_the_count_the_heartbeat_fails(void **state)
{
	(void)state;
	p = (struct packet){.op = OP_HEARTBEAT};
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(operate_heartbeat(&stage.server, c, &p), -ENOMEM);
}

/* ---- rooms ---- */

static void a_change_of_room_is_echoed(void **state)
{
	(void)state;
	assert_int_equal(act(OP_CHANGE_ROOM, "live://1"), 0);
	assert_reply(OP_CHANGE_ROOM_REPLY, "live://1");
	assert_string_equal(stage.logic.joined_room, "live://1");
	assert_string_equal(c->place.room->tally->id, "live://1");
	assert_int_equal(act(OP_CHANGE_ROOM, ""), 0);
	assert_reply(OP_CHANGE_ROOM_REPLY, "");
	assert_int_equal(stage.logic.joined, 1); /* nobody joins no room */
	assert_null(c->place.room);
}

static void a_room_that_no_room_may_be_called_is_refused(void **state)
{
	char name[WIRE_ROOM_BYTES];

	(void)state;
	memset(name, 'r', sizeof(name));
	assert_int_equal(act_bytes(OP_CHANGE_ROOM, name, sizeof(name) - 1), 0);
	assert_int_equal(act_bytes(OP_CHANGE_ROOM, name, sizeof(name)), -EBADMSG);
	assert_int_equal(act_bytes(OP_CHANGE_ROOM, "live\0//1", 8), -EBADMSG);
	assert_int_equal(act(OP_CHANGE_ROOM, "a\r\nb"), -EBADMSG);
	assert_int_equal(act(OP_CHANGE_ROOM, "a\x7f"), -EBADMSG);
	assert_int_equal(act(OP_CHANGE_ROOM, "live://\xff"), -EBADMSG);
	/* What is no ASCII is nobody's business, nor are the marks of other systems. */
	assert_int_equal(act(OP_CHANGE_ROOM, "caf\xc3\xa9 #*{}"), 0);
	assert_string_equal(c->place.room->tally->id, "caf\xc3\xa9 #*{}");
}

static void a_change_of_room_without_memory_fails(void **state)
{
	unsigned after = 0;
	int rc;

	(void)state;
	for (;; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = act(OP_CHANGE_ROOM, "live://1");
		if (seam_failed(SEAM_ALLOC) == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(bucket_change_room(server_bucket(&stage.server, c->seat.key), &c->place, NULL), 0);
	}
	assert_int_equal(rc, 0);
	assert_true(after > 4);
}

/* ---- accepted operations ---- */

static void sub_adds_and_unsub_takes_away(void **state)
{
	(void)state;
	assert_int_equal(act(OP_SUB, "1000,-5,2147483647,-2147483648"), 0);
	assert_reply(OP_SUB_REPLY, "1000,-5,2147483647,-2147483648");
	assert_true(accepts(1000));
	assert_true(accepts(-5));
	assert_true(accepts(INT32_MAX));
	assert_true(accepts(INT32_MIN));
	assert_false(accepts(1001));
	assert_int_equal(act(OP_UNSUB, "-5,7"), 0);
	assert_reply(OP_UNSUB_REPLY, "-5,7");
	assert_false(accepts(-5));
	assert_true(accepts(1000));
	assert_int_equal(act(OP_SUB, ""), 0);
	assert_reply(OP_SUB_REPLY, "");
}

static void a_malformed_list_changes_nothing_and_is_echoed(void **state)
{
	static const char *const lists[] = {",",
					    "1000,",
					    ",1000",
					    "1000,,1001",
					    "1000,abc",
					    "1000;",
					    " 1000",
					    "1000,\t7",
					    "1000,2147483648",
					    "1000,-2147483649",
					    "1000.",
					    "1000,1e3",
					    "0x3e8,1000",
					    "1000,00000000000000000007"};

	(void)state;
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_int_equal(act(OP_SUB, lists[i]), 0);
		assert_reply(OP_SUB_REPLY, lists[i]);
		assert_false(accepts(1000));
		assert_int_equal(c->channel.accepts.n, 0);
	}
}

/* A C string ends there, a body does not. */
static void a_zero_byte_in_a_list_is_malformed(void **state)
{
	(void)state;
	assert_int_equal(act_bytes(OP_SUB, "1000\0x,1001", 11), 0);
	assert_int_equal(c->channel.accepts.n, 0);
	assert_int_equal(act_bytes(OP_SUB, "1000\0", 5), 0);
	assert_int_equal(c->channel.accepts.n, 0);
}

static void a_list_longer_than_allowed_changes_nothing(void **state)
{
	char list[WIRE_ACCEPTS_MAX * 5 + 6];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < WIRE_ACCEPTS_MAX; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%d", i > 0 ? "," : "", 1000 + i);
	assert_int_equal(act(OP_SUB, list), 0);
	assert_int_equal(c->channel.accepts.n, WIRE_ACCEPTS_MAX);
	/* One more than a connection may accept. */
	assert_int_equal(act(OP_SUB, "1"), 0);
	assert_false(accepts(1));
	assert_int_equal(act(OP_UNSUB, list), 0);
	assert_int_equal(c->channel.accepts.n, 0);
	/* One more than a list may name. */
	(void)snprintf(list + n, sizeof(list) - n, ",1");
	assert_int_equal(act(OP_SUB, list), 0);
	assert_int_equal(c->channel.accepts.n, 0);
}

static void a_sub_without_memory_fails(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(act(OP_SUB, "1000"), -ENOMEM);
	}
	assert_int_equal(act(OP_SUB, "1000"), 0);
}

/* ---- everything else ---- */

static void an_applications_packet_goes_to_logic_and_is_answered_with_no_body(void **state)
{
	(void)state;
	assert_int_equal(act(4711, "to the back end"), 0);
	assert_reply(4711, "");
	assert_int_equal(atomic_load(&stage.logic.received), 1);
	assert_int_equal(stage.logic.received_op, 4711);
	assert_string_equal(stage.logic.received_body, "to the back end");
	/* To v2 this is nobody's, either. */
	assert_int_equal(act(OP_SEND, "x"), 0);
	assert_reply(OP_SEND, "");
	assert_int_equal(atomic_load(&stage.logic.received), 2);
}

static void without_logic_it_is_answered_all_the_same_and_counted(void **state)
{
	int64_t before = counters_read(COUNT_LOGIC_FAILED);

	(void)state;
	stage.logic.receive_rc = -ERR_NO_LOGIC;
	assert_int_equal(act(4711, "to the back end"), 0);
	assert_reply(4711, "");
	assert_int_equal(counters_read(COUNT_LOGIC_FAILED), before + 1);
}

static void v1_echoes_what_is_sent_and_knows_a_test(void **state)
{
	(void)state;
	for (int d = 0; d < 2; d++) {
		c->dialect = d == 0 ? DIALECT_V1 : DIALECT_V1_JSON;
		assert_int_equal(act(OP_SEND, "{\"a\":1}"), 0);
		assert_reply(OP_SEND_REPLY, "{\"a\":1}");
		assert_int_equal(act(OP_TEST, "x"), 0);
		assert_reply(OP_TEST_REPLY, "{\"test\":\"come on\"}");
	}
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(act(OP_SEND, "x"), -ENOMEM);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(act(OP_TEST, "x"), -ENOMEM);
}

static void v1_closes_for_an_operation_that_it_does_not_have(void **state)
{
	(void)state;
	c->dialect = DIALECT_V1;
	assert_int_equal(act(OP_AUTH, ""), -ERR_PACKET_OP);
	assert_int_equal(act(OP_SUB, "1000"), -ERR_PACKET_OP);
	assert_int_equal(act(4711, ""), -ERR_PACKET_OP);
	assert_int_equal(atomic_load(&stage.logic.received), 0);
}

/* ---- a new token ---- */

/* A connection that ends at some time: deadlines are the timer's. */
static void expire_in(int64_t lifetime_ms)
{
	assert_int_equal(
		timer_add(round_timer(&stage.server.round, 0), &c->deadline, clock_now_ns() + 3600 * CLOCK_SEC), 0);
	atomic_store(&c->in_handshake, false);
	c->heartbeat_ns = 3600 * CLOCK_SEC;
	connection_heard(c);
	connection_set_lifetime(c, lifetime_ms);
}

static void a_new_token_puts_the_end_off_and_is_answered_with_op_8(void **state)
{
	int64_t before = counters_read(COUNT_REAUTHENTICATED);

	(void)state;
	expire_in(60000);
	stage.logic.renewal.lifetime_ms = 1800000;
	for (int d = 0; d < 2; d++) {
		c->dialect = d == 0 ? DIALECT_V2 : DIALECT_V1;
		assert_int_equal(act(OP_AUTH, "the new token"), 0);
		assert_reply(OP_AUTH_REPLY, "");
	}
	assert_string_equal(stage.logic.token, "the new token");
	assert_string_equal(stage.logic.reauth_key, "key");
	assert_true(atomic_load(&c->expires_ns) > clock_now_ns() + 1700 * CLOCK_SEC);
	assert_int_equal(counters_read(COUNT_REAUTHENTICATED), before + 2);
	assert_int_equal(atomic_load(&stage.logic.received), 0);
	timer_del(&c->deadline);
}

static void a_new_token_that_is_refused_ends_it_with_logics_words(void **state)
{
	int64_t before = counters_read(COUNT_AUTH_REFUSED);

	(void)state;
	expire_in(60000);
	stage.logic.reauth_rc = -ERR_REFUSED;
	(void)snprintf(stage.logic.renewal.refusal, sizeof(stage.logic.renewal.refusal), "another user's");
	assert_int_equal(act(OP_AUTH, "x"), -ERR_REFUSED);
	assert_int_equal(atomic_load(&c->reason), CLOSE_AUTH_REFUSED);
	assert_string_equal(c->refusal, "another user's");
	assert_int_equal(counters_read(COUNT_AUTH_REFUSED), before + 1);
	timer_del(&c->deadline);
}

static void without_logic_a_new_token_changes_nothing_and_comes_back_as_op_7(void **state)
{
	int64_t before = counters_read(COUNT_LOGIC_FAILED), expires;

	(void)state;
	expire_in(60000);
	expires = atomic_load(&c->expires_ns);
	stage.logic.reauth_rc = -ERR_NO_LOGIC;
	assert_int_equal(act(OP_AUTH, "x"), 0);
	assert_reply(OP_AUTH, "");
	assert_false(connection_is_closing(c));
	assert_int_equal(atomic_load(&c->expires_ns), expires);
	assert_int_equal(counters_read(COUNT_LOGIC_FAILED), before + 1);
	timer_del(&c->deadline);
}

static void heartbeats_that_wait_for_a_new_token_are_not_missed(void **state)
{
	(void)state;
	expire_in(60000);
	stage.cfg.logic_timeout = 3000;
	stage.logic.renewal.lifetime_ms = 60000;
	seam_clock_set(clock_now_ns(), 0);
	c->heartbeat_ns = CLOCK_SEC;
	connection_heard(c);
	assert_int_equal(act(OP_AUTH, "the new token"), 0);
	assert_int_equal(atomic_load(&c->heartbeat_due_ns), clock_now_ns() + 6 * CLOCK_SEC);
	assert_int_equal(atomic_load(&c->deadline.deadline_ns), clock_now_ns() + 6 * CLOCK_SEC);
	c->heartbeat_ns = 60 * CLOCK_SEC;
	connection_heard(c);
	assert_int_equal(act(OP_AUTH, "the new token"), 0);
	assert_int_equal(atomic_load(&c->heartbeat_due_ns), clock_now_ns() + 60 * CLOCK_SEC);
	timer_del(&c->deadline);
}

static void a_token_that_nobody_needs_goes_nowhere(void **state)
{
	(void)state;
	assert_int_equal(act(OP_AUTH, "a token"), 0);
	assert_reply(OP_AUTH, "");
	c->dialect = DIALECT_V1;
	assert_int_equal(act(OP_AUTH, "a token"), -ERR_PACKET_OP);
	assert_int_equal(atomic_load(&stage.logic.reauths), 0);
	assert_int_equal(atomic_load(&stage.logic.received), 0);
}

/* ---- what a v1 client accepts, while it brings new tokens ---- */

static struct look {
	atomic_bool over;
	atomic_uint looks;
	unsigned misses;
} look;

static void *look_for_op_7(void *arg)
{
	while (!atomic_load(&look.over)) {
		lock_take(&c->channel.lock);
		look.misses += !accepts_has(&c->channel.accepts, 7);
		lock_drop(&c->channel.lock);
		look.looks++;
	}
	return arg;
}

static void open_ops(const char *list)
{
	free(stage.cfg.auth_ops_open);
	stage.cfg.auth_ops_open = strdup(list);
	assert_non_null(stage.cfg.auth_ops_open);
}

static void what_a_new_token_grants_as_well_is_accepted_meanwhile(void **state)
{
	static const char *const granted[] = {"*", "7", "6,7,8"};
	unsigned misses[3];
	pthread_t thread;

	(void)state;
	expire_in(60000);
	c->dialect = DIALECT_V1;
	stage.logic.renewal.lifetime_ms = 1800000;
	stage.cfg.auth_ops = CONFIG_OPS_TOKEN;
	for (size_t i = 0; i < sizeof(granted) / sizeof(granted[0]); i++) {
		open_ops(granted[i]);
		assert_int_equal(act(OP_AUTH, "the new token"), 0);
		atomic_store(&look.over, false);
		atomic_store(&look.looks, 0);
		look.misses = 0;
		assert_int_equal(pthread_create(&thread, NULL, look_for_op_7, NULL), 0);
		until(atomic_load(&look.looks) > 0); /* on a busy machine that may take longer than all tokens */
		for (unsigned n = 0; n < 20000; n++)
			assert_int_equal(act(OP_AUTH, "the new token"), 0);
		atomic_store(&look.over, true);
		assert_int_equal(pthread_join(thread, NULL), 0);
		misses[i] = look.misses;
	}
	/* Fewer from now on. */
	open_ops("8");
	assert_int_equal(act(OP_AUTH, "the new token"), 0);
	timer_del(&c->deadline);
	assert_true(accepts_has(&c->channel.accepts, 8));
	assert_false(accepts_has(&c->channel.accepts, 7));
	for (size_t i = 0; i < sizeof(granted) / sizeof(granted[0]); i++)
		assert_int_equal(misses[i], 0);
}

#define operator_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void no_more_ops_than_the_setting_says(void **state)
{
	int64_t before = counters_read_by(COUNT_LIMITED, LIMIT_ACCEPTS);

	(void)state;
	stage.cfg.limits_accepts = 2;
	assert_int_equal(act(OP_SUB, "1000,1001"), 0);
	assert_int_equal(act(OP_SUB, "1000"), 0);
	assert_int_equal(counters_read_by(COUNT_LIMITED, LIMIT_ACCEPTS), before);
	assert_int_equal(act(OP_SUB, "1002"), 0);
	assert_reply(OP_SUB_REPLY, "1002");
	assert_int_equal(c->channel.accepts.n, 2);
	assert_int_equal(counters_read_by(COUNT_LIMITED, LIMIT_ACCEPTS), before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		operator_test(no_more_ops_than_the_setting_says),
		operator_test(a_heartbeat_tells_how_many_are_in_the_room),
		operator_test(a_v1_heartbeat_is_answered_with_no_body),
		operator_test(without_memory_for_the_count_the_heartbeat_fails),
		operator_test(a_change_of_room_is_echoed),
		operator_test(a_room_that_no_room_may_be_called_is_refused),
		operator_test(a_change_of_room_without_memory_fails),
		operator_test(sub_adds_and_unsub_takes_away),
		operator_test(a_malformed_list_changes_nothing_and_is_echoed),
		operator_test(a_zero_byte_in_a_list_is_malformed),
		operator_test(a_list_longer_than_allowed_changes_nothing),
		operator_test(a_sub_without_memory_fails),
		operator_test(an_applications_packet_goes_to_logic_and_is_answered_with_no_body),
		operator_test(without_logic_it_is_answered_all_the_same_and_counted),
		operator_test(v1_echoes_what_is_sent_and_knows_a_test),
		operator_test(v1_closes_for_an_operation_that_it_does_not_have),
		operator_test(a_new_token_puts_the_end_off_and_is_answered_with_op_8),
		operator_test(a_new_token_that_is_refused_ends_it_with_logics_words),
		operator_test(without_logic_a_new_token_changes_nothing_and_comes_back_as_op_7),
		operator_test(heartbeats_that_wait_for_a_new_token_are_not_missed),
		operator_test(a_token_that_nobody_needs_goes_nowhere),
		operator_test(what_a_new_token_grants_as_well_is_accepted_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
