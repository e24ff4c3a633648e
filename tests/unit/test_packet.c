/* Tests of common/wire/packet. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/wire/packet.h"
#include "tests/unit/seam.h"

#define MAX_BODY 4096

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* ---- operations ---- */

static void the_protocols_own_operations_are_these(void **state)
{
	(void)state;
	for (int32_t op = -300; op < 1000; op++) {
		bool own = op == 2 || op == 3 || (op >= 6 && op <= 17) || op == 254 || op == 255;

		assert_int_equal(packet_op_is_own(op), own);
	}
	assert_false(packet_op_is_own(INT32_MIN));
	assert_false(packet_op_is_own(INT32_MAX));
}

/* ---- the header ---- */

static void header_is_big_endian_byte_by_byte(void **state)
{
	static const uint8_t wanted[PACKET_HEAD_BYTES] = {0x00, 0x01, 0x02, 0x13, 0x00, 0x10, 0x01, 0x02,
							  0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a};
	uint8_t head[PACKET_HEAD_BYTES];

	(void)state;
	packet_encode(head, 0x0102, 0x03040506, 0x0708090a, 0x010203);
	assert_memory_equal(head, wanted, sizeof(head));
}

static void what_is_encoded_is_decoded(void **state)
{
	static const struct packet packets[] = {
		{.ver = 1, .op = 7, .seq = 1, .body_bytes = 0},
		{.ver = -1, .op = -2, .seq = -3, .body_bytes = 1},
		{.ver = INT16_MIN, .op = INT32_MIN, .seq = INT32_MIN, .body_bytes = MAX_BODY},
		{.ver = INT16_MAX, .op = INT32_MAX, .seq = INT32_MAX, .body_bytes = 17},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		const struct packet *in = &packets[i];
		uint8_t head[PACKET_HEAD_BYTES];
		struct packet out;

		packet_encode(head, in->ver, in->op, in->seq, in->body_bytes);
		assert_int_equal(packet_decode(head, MAX_BODY, &out), 0);
		assert_int_equal(out.ver, in->ver);
		assert_int_equal(out.op, in->op);
		assert_int_equal(out.seq, in->seq);
		assert_int_equal(out.body_bytes, in->body_bytes);
		assert_null(out.body);
		assert_false(out.body_owned);
	}
}

static int decode_length(int32_t package_bytes, uint32_t max_body, struct packet *p)
{
	uint8_t head[PACKET_HEAD_BYTES];

	packet_encode(head, 1, OP_AUTH, 5, 0);
	packet_put_i32(head, package_bytes);
	return packet_decode(head, max_body, p);
}

static void length_below_the_header_is_refused(void **state)
{
	static const int32_t lengths[] = {15, 1, 0, -1, -16, INT32_MIN};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(decode_length(lengths[i], MAX_BODY, &p), -ERR_PACKET_LENGTH);
		assert_int_equal(p.body_bytes, 0);
	}
	assert_int_equal(decode_length(16, 0, &p), 0);
}

static void body_above_the_limit_is_refused_and_its_fields_are_told(void **state)
{
	struct packet p;

	(void)state;
	assert_int_equal(decode_length(16 + MAX_BODY, MAX_BODY, &p), 0);
	assert_int_equal(decode_length(16 + MAX_BODY + 1, MAX_BODY, &p), -ERR_PACKET_BODY);
	assert_int_equal(p.body_bytes, MAX_BODY + 1);
	assert_int_equal(p.op, OP_AUTH);
	assert_int_equal(p.seq, 5);
	assert_int_equal(decode_length(INT32_MAX, MAX_BODY, &p), -ERR_PACKET_BODY);
	assert_int_equal(decode_length(INT32_MAX, UINT32_MAX, &p), 0);
	assert_int_equal(decode_length(17, 0, &p), -ERR_PACKET_BODY);
}

static void header_length_other_than_16_is_refused(void **state)
{
	static const uint8_t lengths[][2] = {{0, 0}, {0, 15}, {0, 17}, {1, 16}, {16, 0}, {0xff, 0xf0}};
	uint8_t head[PACKET_HEAD_BYTES];
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		packet_encode(head, 1, OP_AUTH, 1, 0);
		memcpy(head + 4, lengths[i], 2);
		assert_int_equal(packet_decode(head, MAX_BODY, &p), -ERR_PACKET_HEADER);
	}
}

static void integers_survive_the_wire(void **state)
{
	static const int32_t values[] = {0, 1, -1, 255, 256, -256, 0x01020304, INT32_MAX, INT32_MIN};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint8_t bytes[4];

		packet_put_i32(bytes, values[i]);
		assert_int_equal(packet_get_i32(bytes), values[i]);
	}
}

/* ---- the body ---- */

static void kept_body_outlives_the_buffer(void **state)
{
	uint8_t buffer[] = "hello";
	struct packet p = {.body = buffer, .body_bytes = 5};
	const uint8_t *copy;

	(void)state;
	assert_int_equal(packet_keep_body(&p), 0);
	memset(buffer, 'x', sizeof(buffer));
	assert_true(p.body_owned);
	assert_memory_equal(p.body, "hello", 5);
	copy = p.body;
	assert_int_equal(packet_keep_body(&p), 0);
	assert_ptr_equal(p.body, copy);
	packet_drop_body(&p);
}

static void without_memory_a_kept_body_is_empty(void **state)
{
	uint8_t buffer[] = "hello";
	struct packet p = {.body = buffer, .body_bytes = 5};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(packet_keep_body(&p), -ENOMEM);
	assert_null(p.body);
	assert_int_equal(p.body_bytes, 0);
	assert_false(p.body_owned);
}

static void empty_body_needs_no_memory(void **state)
{
	struct packet p = {0};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(packet_keep_body(&p), 0);
	assert_int_equal(packet_set_body(&p, NULL, 0), 0);
	assert_int_equal(seam_failed(SEAM_ALLOC), 0);
	assert_null(p.body);
	assert_false(p.body_owned);
}

static void set_body_frees_the_one_before(void **state)
{
	struct packet p = {0};

	(void)state;
	assert_int_equal(packet_set_body(&p, "first", 5), 0);
	assert_int_equal(packet_set_body(&p, "second", 6), 0);
	assert_memory_equal(p.body, "second", 6);
	assert_int_equal(p.body_bytes, 6);
	/* A part of itself, too. */
	assert_int_equal(packet_set_body(&p, p.body + 3, 3), 0);
	assert_memory_equal(p.body, "ond", 3);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(packet_set_body(&p, "third", 5), -ENOMEM);
	assert_null(p.body);
	assert_int_equal(p.body_bytes, 0);
}

static void dropped_body_is_empty(void **state)
{
	uint8_t buffer[4] = {0};
	struct packet p = {.body = buffer, .body_bytes = sizeof(buffer)};

	(void)state;
	packet_drop_body(&p);
	assert_null(p.body);
	assert_int_equal(p.body_bytes, 0);
	assert_int_equal(packet_set_body(&p, "x", 1), 0);
	packet_drop_body(&p);
	packet_drop_body(&p);
	assert_null(p.body);
	assert_false(p.body_owned);
}

/* ---- names ---- */

/* Clients out there have them: they are never to change. */
static void each_op_has_the_number_that_clients_know(void **state)
{
	(void)state;
	assert_int_equal(OP_HEARTBEAT, 2);
	assert_int_equal(OP_HEARTBEAT_REPLY, 3);
	assert_int_equal(OP_SEND, 4);
	assert_int_equal(OP_SEND_REPLY, 5);
	assert_int_equal(OP_DISCONNECT, 6);
	assert_int_equal(OP_AUTH, 7);
	assert_int_equal(OP_AUTH_REPLY, 8);
	assert_int_equal(OP_RAW, 9);
	assert_int_equal(OP_CHANGE_ROOM, 12);
	assert_int_equal(OP_CHANGE_ROOM_REPLY, 13);
	assert_int_equal(OP_SUB, 14);
	assert_int_equal(OP_SUB_REPLY, 15);
	assert_int_equal(OP_UNSUB, 16);
	assert_int_equal(OP_UNSUB_REPLY, 17);
	assert_int_equal(OP_TEST, 254);
	assert_int_equal(OP_TEST_REPLY, 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_protocols_own_operations_are_these),
		cmocka_unit_test(header_is_big_endian_byte_by_byte),
		cmocka_unit_test(what_is_encoded_is_decoded),
		cmocka_unit_test(length_below_the_header_is_refused),
		cmocka_unit_test(body_above_the_limit_is_refused_and_its_fields_are_told),
		cmocka_unit_test(header_length_other_than_16_is_refused),
		cmocka_unit_test(integers_survive_the_wire),
		cmocka_unit_test_teardown(kept_body_outlives_the_buffer, tear_down),
		cmocka_unit_test_teardown(without_memory_a_kept_body_is_empty, tear_down),
		cmocka_unit_test_teardown(empty_body_needs_no_memory, tear_down),
		cmocka_unit_test_teardown(set_body_frees_the_one_before, tear_down),
		cmocka_unit_test_teardown(dropped_body_is_empty, tear_down),
		cmocka_unit_test(each_op_has_the_number_that_clients_know),
	};

	return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
