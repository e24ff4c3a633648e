/* Tests of comet/transport/ws_frame. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/ws_frame.h"

#define LONGEST 70000

/* What a client has sent and was not taken off, in a buffer that ends where it does. */
struct line {
	struct ws_in in;
	uint8_t *bytes;
	size_t n;
};

static void send_raw(struct line *l, const void *bytes, size_t n)
{
	l->bytes = realloc(l->bytes, l->n + n);
	assert_non_null(l->bytes);
	memcpy(l->bytes + l->n, bytes, n);
	l->n += n;
}

/* A frame, its header saying `says` bytes in a length of `wide` bytes: 0, 2 or 8. */
static void send_frame(struct line *l, uint8_t first, const void *payload, size_t n, uint64_t says, unsigned wide)
{
	static const uint8_t mask[4] = {0x11, 0x00, 0xfe, 0x7c};
	uint8_t head[WS_HEAD_IN_BYTES] = {first, (uint8_t)(0x80 | (wide == 0 ? says : wide == 2 ? 126 : 127))};

	for (unsigned i = 0; i < wide; i++)
		head[2 + i] = (uint8_t)(says >> 8 * (wide - 1 - i));
	memcpy(head + 2 + wide, mask, 4);
	send_raw(l, head, 6 + wide);
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = ((const uint8_t *)payload)[i] ^ mask[i % 4];

		send_raw(l, &byte, 1);
	}
}

static void send_piece(struct line *l, bool fin, enum ws_opcode opcode, const char *text)
{
	size_t n = strlen(text);

	send_frame(l, (uint8_t)((fin ? 0x80 : 0) | opcode), text, n, n, n < 126 ? 0 : n < 65536 ? 2 : 8);
}

static uint8_t carried[WS_CONTROL_BYTES]; /* what the last one carried */

static int next(struct line *l, struct ws_event *e)
{
	bool whole = ws_in_is_whole(&l->in, l->bytes, l->n, LONGEST);
	int rc = ws_in_next(&l->in, l->bytes, l->n, LONGEST, e);

	assert_int_equal(whole, rc != 0 || e->kind != WS_NEED);
	if (rc == 0) {
		assert_true(e->gone <= l->n);
		if (e->kind == WS_CONTROL) {
			memcpy(carried, e->control, e->bytes);
			ws_in_drop(&l->in, l->bytes, e);
		}
		l->n -= e->gone;
		if (e->gone > 0)
			memmove(l->bytes, l->bytes + e->gone, l->n);
	}
	return rc;
}

static void assert_message(struct line *l, enum ws_opcode opcode, const char *text)
{
	struct ws_event e;

	assert_int_equal(next(l, &e), 0);
	assert_int_equal(e.kind, WS_MESSAGE);
	assert_int_equal(e.opcode, opcode);
	assert_int_equal(e.bytes, strlen(text));
	assert_memory_equal(l->bytes, text, e.bytes);
	l->n -= e.bytes;
	memmove(l->bytes, l->bytes + e.bytes, l->n);
}

static void assert_kind(struct line *l, enum ws_kind kind)
{
	struct ws_event e;

	assert_int_equal(next(l, &e), 0);
	assert_int_equal(e.kind, kind);
}

static void assert_control(struct line *l, enum ws_opcode opcode, const char *text)
{
	struct ws_event e;

	assert_int_equal(next(l, &e), 0);
	assert_int_equal(e.kind, WS_CONTROL);
	assert_int_equal(e.opcode, opcode);
	assert_int_equal(e.bytes, strlen(text));
	assert_memory_equal(carried, text, e.bytes);
}

static int set_up(void **state)
{
	return (*state = calloc(1, sizeof(struct line))) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	struct line *l = *state;

	free(l->bytes);
	free(l);
	return 0;
}

/* ---- in ---- */

static void frames_of_all_lengths_are_read(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, LONGEST};
	static char text[LONGEST + 1];
	struct line *l = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t k = 0; k < sizes[i]; k++)
			text[k] = (char)('a' + k % 23);
		text[sizes[i]] = '\0';
		send_piece(l, true, i % 2 == 0 ? WS_BINARY : WS_TEXT, text);
		assert_message(l, i % 2 == 0 ? WS_BINARY : WS_TEXT, text);
		assert_int_equal(l->n, 0);
	}
}

static void a_frame_that_is_not_whole_says_how_much_it_needs(void **state)
{
	struct line all = {0}, *l = *state;
	struct ws_event e;

	send_piece(&all, true, WS_BINARY, "0123456789");
	for (size_t i = 0; i < all.n; i++) {
		assert_int_equal(next(l, &e), 0);
		assert_int_equal(e.kind, WS_NEED);
		assert_int_equal(e.need, i < 2 ? 2 : i < 6 ? 6 : 16);
		send_raw(l, all.bytes + i, 1);
	}
	assert_message(l, WS_BINARY, "0123456789");
	free(all.bytes);
}

static void fragments_are_one_message_whatever_stands_between(void **state)
{
	struct line *l = *state;

	send_piece(l, false, WS_TEXT, "one ");
	send_piece(l, true, WS_PING, "are you there");
	send_piece(l, false, WS_CONTINUATION, "");
	send_piece(l, false, WS_CONTINUATION, "two \xc3");
	send_piece(l, true, WS_PONG, "");
	send_piece(l, true, WS_CONTINUATION, "\xa9");
	send_piece(l, true, WS_BINARY, "next");
	assert_kind(l, WS_FRAGMENT);
	assert_control(l, WS_PING, "are you there");
	assert_kind(l, WS_FRAGMENT);
	assert_kind(l, WS_FRAGMENT);
	assert_control(l, WS_PONG, "");
	assert_message(l, WS_TEXT, "one two \xc3\xa9");
	assert_message(l, WS_BINARY, "next");
	assert_kind(l, WS_NEED);
}

static void text_that_begins_with_a_zero_byte_is_packets(void **state)
{
	struct line *l = *state;
	struct ws_event e;

	send_frame(l, 0x80 | WS_TEXT, "\0\0\0\xff", 4, 4, 0);
	assert_int_equal(next(l, &e), 0);
	assert_int_equal(e.kind, WS_MESSAGE);
	assert_int_equal(e.opcode, WS_BINARY);
	assert_int_equal(e.bytes, 4);
	assert_memory_equal(l->bytes, "\0\0\0\xff", 4);
}

static int code_of(const void *bytes, size_t n)
{
	struct line l = {0};
	struct ws_event e;
	int rc;

	send_raw(&l, bytes, n);
	rc = next(&l, &e);
	free(l.bytes);
	return rc;
}

static void every_first_pair_of_bytes_is_allowed_or_not(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		const uint8_t head[] = {(uint8_t)(i >> 8), (uint8_t)i};
		uint8_t opcode = head[0] & 15, length = head[1] & 127;
		bool control = opcode > 7, fin = (head[0] & 0x80) != 0, masked = (head[1] & 0x80) != 0;
		bool good = (head[0] & 0x70) == 0 && masked && (opcode < 3 || (opcode > 7 && opcode < 11)) &&
			    (!control || (fin && length < 126));

		/* That a continuation continues nothing is seen when the header is whole. */
		assert_int_equal(code_of(head, 2), good ? 0 : WS_CODE_PROTOCOL);
	}
}

static void assert_refused(struct line *l, int code)
{
	struct ws_event e;

	assert_int_equal(next(l, &e), code);
	l->n = 0;
	l->in = (struct ws_in){.deflate = l->in.deflate};
}

/* RFC 7692, section 6: RSV1 of the first frame, where it was agreed on. */
static void only_a_messages_first_frame_says_that_it_is_deflated(void **state)
{
	struct line *l = *state;
	struct ws_event e;

	send_piece(l, true, WS_DEFLATED | WS_BINARY, "x");
	assert_refused(l, WS_CODE_PROTOCOL);
	l->in.deflate = true;
	for (unsigned round = 0; round < 2; round++) {
		send_piece(l, false, WS_DEFLATED | WS_TEXT, "\xff");
		send_piece(l, true, WS_PING, "");
		send_piece(l, true, WS_CONTINUATION, "\xfe");
		assert_kind(l, WS_FRAGMENT);
		assert_kind(l, WS_CONTROL);
		assert_int_equal(next(l, &e), 0);
		assert_int_equal(e.kind, WS_MESSAGE);
		assert_true(e.deflated);
		assert_int_equal(e.opcode, WS_TEXT); /* what it is like shows when it is inflated */
		l->n = 0;
		send_piece(l, true, WS_BINARY, "x"); /* the next need not be */
		assert_int_equal(next(l, &e), 0);
		assert_false(e.deflated);
		l->n = 0;
	}
	send_piece(l, true, WS_DEFLATED | WS_PING, "x");
	assert_refused(l, WS_CODE_PROTOCOL);
	send_piece(l, true, WS_DEFLATED | WS_CLOSE, "");
	assert_refused(l, WS_CODE_PROTOCOL);
	send_piece(l, false, WS_BINARY, "x");
	send_piece(l, true, WS_DEFLATED | WS_CONTINUATION, "x");
	assert_kind(l, WS_FRAGMENT);
	assert_refused(l, WS_CODE_PROTOCOL);
	send_piece(l, true, 0x20 | WS_BINARY, "x");
	assert_refused(l, WS_CODE_PROTOCOL);
	send_piece(l, true, 0x50 | WS_BINARY, "x");
	assert_refused(l, WS_CODE_PROTOCOL);
}

static void lengths_are_as_short_as_they_can_be(void **state)
{
	struct line *l = *state;

	send_frame(l, 0x80 | WS_BINARY, "x", 1, 125, 2);
	assert_refused(l, WS_CODE_PROTOCOL);
	send_frame(l, 0x80 | WS_BINARY, "x", 1, 65535, 8);
	assert_refused(l, WS_CODE_PROTOCOL);
	send_frame(l, 0x80 | WS_BINARY, "x", 1, UINT64_C(1) << 63, 8);
	assert_refused(l, WS_CODE_PROTOCOL);
	send_frame(l, 0x80 | WS_BINARY, "x", 1, UINT64_MAX >> 1, 8);
	assert_refused(l, WS_CODE_TOO_BIG);
}

static void fragments_come_in_their_order(void **state)
{
	struct line *l = *state;

	send_piece(l, true, WS_CONTINUATION, "x");
	assert_refused(l, WS_CODE_PROTOCOL);
	send_piece(l, false, WS_BINARY, "x");
	send_piece(l, false, WS_BINARY, "x");
	assert_kind(l, WS_FRAGMENT);
	assert_refused(l, WS_CODE_PROTOCOL);
}

static void a_message_is_too_long_before_it_is_read(void **state)
{
	struct line *l = *state;

	send_frame(l, 0x80 | WS_BINARY, "", 0, LONGEST + 1, 8);
	assert_refused(l, WS_CODE_TOO_BIG);
	send_piece(l, false, WS_BINARY, "0123456789");
	send_frame(l, WS_CONTINUATION, "", 0, LONGEST - 9, 8);
	assert_kind(l, WS_FRAGMENT);
	assert_refused(l, WS_CODE_TOO_BIG);
}

static void so_many_empty_fragments_and_no_more(void **state)
{
	struct line *l = *state;

	for (unsigned round = 0; round < 2; round++) {
		send_piece(l, false, WS_BINARY, "");
		for (unsigned i = 1; i < WS_EMPTY_FRAGMENTS; i++)
			send_piece(l, false, WS_CONTINUATION, "");
		for (unsigned i = 0; i < WS_EMPTY_FRAGMENTS; i++)
			assert_kind(l, WS_FRAGMENT);
		if (round == 0) {
			send_piece(l, true, WS_CONTINUATION, ""); /* the end is worth something */
			assert_message(l, WS_BINARY, "");
		}
	}
	send_piece(l, false, WS_CONTINUATION, "");
	assert_refused(l, WS_CODE_POLICY);
}

/* Each of them moves all of the message that is there. */
static void so_many_frames_from_the_first_of_a_message_to_its_last_and_no_more(void **state)
{
	struct line *l = *state;

	for (unsigned round = 0; round < 2; round++) {
		send_piece(l, false, WS_BINARY, "x");
		assert_kind(l, WS_FRAGMENT);
		for (unsigned i = 2; i < WS_MESSAGE_FRAMES; i++) {
			send_piece(l, i % 2 == 0, i % 2 == 0 ? WS_PING : WS_CONTINUATION, "x");
			assert_kind(l, i % 2 == 0 ? WS_CONTROL : WS_FRAGMENT);
		}
		send_piece(l, round == 0, WS_CONTINUATION, "x");
		assert_kind(l, round == 0 ? WS_MESSAGE : WS_FRAGMENT);
		l->n = round == 0 ? 0 : l->n;
	}
	send_piece(l, true, WS_CLOSE, "");
	assert_kind(l, WS_CONTROL);
	send_piece(l, true, WS_PONG, "x");
	assert_refused(l, WS_CODE_POLICY);
}

static void text_is_utf8_also_across_fragments(void **state)
{
	struct line *l = *state;

	send_piece(l, true, WS_TEXT, "\"\xff\"");
	assert_refused(l, WS_CODE_BAD_DATA);
	send_piece(l, false, WS_TEXT, "\xe2");
	send_piece(l, true, WS_CONTINUATION, "x");
	assert_kind(l, WS_FRAGMENT);
	assert_refused(l, WS_CODE_BAD_DATA);
	send_piece(l, true, WS_TEXT, "\xc3");
	assert_refused(l, WS_CODE_BAD_DATA);
	send_piece(l, true, WS_BINARY, "\xff");
	assert_message(l, WS_BINARY, "\xff");
}

static int answer_to(int code, const char *words)
{
	uint8_t payload[64] = {(uint8_t)(code >> 8), (uint8_t)code};

	memcpy(payload + 2, words, strlen(words));
	return ws_close_answer(payload, 2 + strlen(words));
}

static void a_close_is_answered_with_its_code_if_that_may_be(void **state)
{
	(void)state;
	assert_int_equal(ws_close_answer(NULL, 0), WS_CODE_NORMAL);
	assert_int_equal(ws_close_answer((const uint8_t *)"\x03", 1), WS_CODE_PROTOCOL);
	for (int code = 0; code < 65536; code++) {
		bool good = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
			    (code >= 3000 && code <= 4999);

		assert_int_equal(answer_to(code, "words"), good ? code : WS_CODE_PROTOCOL);
	}
	assert_int_equal(answer_to(1000, "\xff"), WS_CODE_BAD_DATA);
}

/* ---- out ---- */

static void headers_are_as_short_as_they_can_be(void **state)
{
	static const struct {
		uint64_t payload;
		size_t n;
		uint8_t bytes[WS_HEAD_OUT_BYTES];
	} cases[] = {
		{0, 2, {0x82, 0}},
		{125, 2, {0x82, 125}},
		{126, 4, {0x82, 126, 0, 126}},
		{65535, 4, {0x82, 126, 0xff, 0xff}},
		{65536, 10, {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
		{UINT64_C(0x123456789a), 10, {0x82, 127, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a}},
	};
	uint8_t out[WS_HEAD_OUT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ws_head_put(out, WS_BINARY, cases[i].payload), cases[i].n);
		assert_memory_equal(out, cases[i].bytes, cases[i].n);
	}
}

static void a_close_has_its_code_and_as_many_words_as_fit(void **state)
{
	uint8_t out[2 + WS_CONTROL_BYTES];
	char words[200];

	(void)state;
	assert_int_equal(ws_close_put(out, 1001, "draining"), 12);
	assert_memory_equal(out,
			    "\x88\x0a\x03\xe9"
			    "draining",
			    12);
	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	assert_int_equal(ws_close_put(out, 1001, words), sizeof(out));
	assert_int_equal(out[1], WS_CONTROL_BYTES);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(frames_of_all_lengths_are_read),
		test(a_frame_that_is_not_whole_says_how_much_it_needs),
		test(fragments_are_one_message_whatever_stands_between),
		test(text_that_begins_with_a_zero_byte_is_packets),
		test(every_first_pair_of_bytes_is_allowed_or_not),
		test(only_a_messages_first_frame_says_that_it_is_deflated),
		test(lengths_are_as_short_as_they_can_be),
		test(fragments_come_in_their_order),
		test(a_message_is_too_long_before_it_is_read),
		test(so_many_empty_fragments_and_no_more),
		test(so_many_frames_from_the_first_of_a_message_to_its_last_and_no_more),
		test(text_is_utf8_also_across_fragments),
		test(a_close_is_answered_with_its_code_if_that_may_be),
		test(headers_are_as_short_as_they_can_be),
		test(a_close_has_its_code_and_as_many_words_as_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
