/* Tests of comet/transport/ws_deflate. zlib is asked here directly, for what another end would send and make of it.
 * SPDX-License-Identifier: MIT */
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
#include <zlib.h>

#include "comet/transport/v1_json.h"
#include "comet/transport/ws_deflate.h"
#include "comet/transport/ws_frame.h"
#include "common/base/counters.h"
#include "tests/unit/seam.h"

#define SPACE (1 << 20)

static uint8_t out[SPACE + 1];

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* As a client with a window of 2^bits sends it, at this level of zlib's. */
static size_t deflate_as_client(const void *text, size_t n, int bits, int level, uint8_t *into, size_t space)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)n, .next_out = into, .avail_out = (uInt)space};

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, -bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	assert_true(z.avail_out > 0);
	(void)deflateEnd(&z);
	return z.total_out - 4;
}

/* As a client whose window is 2^bits reads it, which fails where anything refers further back. */
static size_t inflate_as_client(const uint8_t *bytes, size_t n, int bits, uint8_t *into, size_t space)
{
	z_stream z = {.next_out = into};
	uint8_t *copy = malloc(n + 4);
	int rc;

	memcpy(copy, bytes, n);
	memcpy(copy + n, "\0\0\xff\xff", 4);
	z.next_in = copy;
	z.avail_in = (uInt)(n + 4);
	assert_int_equal(inflateInit2(&z, -bits), Z_OK);
	do { /* little at a time, so that it has nothing but its window to look at */
		z.avail_out = space - z.total_out < 64 ? (uInt)(space - z.total_out) : 64;
		rc = inflate(&z, Z_SYNC_FLUSH);
		assert_true(rc == Z_OK || rc == Z_BUF_ERROR);
	} while (z.avail_in > 0 || z.avail_out == 0);
	(void)inflateEnd(&z);
	free(copy);
	return z.total_out;
}

static void fill(uint8_t *text, size_t n, bool is_random)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		text[i] = is_random ? (uint8_t)(x >> 24) : (uint8_t)("0123456789abcdef"[x >> 28]);
	}
}

/* ---- in ---- */

/* From a buffer that ends where the bytes do, into one that does. */
static int inflate_exact(const void *bytes, size_t n, uint32_t most, uint32_t *got)
{
	uint8_t *in = malloc(n + (n == 0)), *into = malloc(most + 1);
	int rc;

	memcpy(in, bytes, n);
	rc = ws_inflate(in, n, into, most, got);
	assert_true(*got <= most + 1);
	memcpy(out, into, *got);
	free(in);
	free(into);
	return rc;
}

static void what_any_client_deflates_comes_whole(void **state)
{
	static uint8_t text[100000], deflated[200000];
	static const size_t sizes[] = {0, 1, 5, 300, 4096, 40000, sizeof(text)};
	uint32_t got;

	(void)state;
	for (unsigned is_random = 0; is_random < 2; is_random++) {
		fill(text, sizeof(text), is_random);
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (int bits = 9; bits <= 15; bits += 3)
				for (int level = 0; level <= 9; level += 3) {
					size_t n = deflate_as_client(text, sizes[i], bits, level, deflated,
								     sizeof(deflated));

					assert_int_equal(inflate_exact(deflated, n, (uint32_t)sizes[i], &got), 0);
					assert_int_equal(got, sizes[i]);
					assert_memory_equal(out, text, got);
				}
	}
}

/* RFC 7692, section 7.2.3. */
static void the_examples_of_the_standard_are_read(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} hello[] = {
		{"\xf2\x48\xcd\xc9\xc9\x07\0", 7},                    /* as zlib has it */
		{"\0\x05\0\xfa\xff\x48\x65\x6c\x6c\x6f\0", 11},       /* not compressed */
		{"\xf3\x48\xcd\xc9\xc9\x07\0\0", 8},                  /* in a block that says that it is the last */
		{"\xf2\x48\x05\0\0\0\xff\xff\xca\xc9\xc9\x07\0", 13}, /* two blocks */
	};
	uint32_t got;

	(void)state;
	for (unsigned i = 0; i < sizeof(hello) / sizeof(hello[0]); i++) {
		assert_int_equal(inflate_exact(hello[i].bytes, hello[i].n, 5, &got), 0);
		assert_int_equal(got, 5);
		assert_memory_equal(out, "Hello", 5);
	}
	assert_int_equal(inflate_exact("\0", 1, 5, &got), 0);
	assert_int_equal(got, 0);
}

static void a_byte_too_many_is_too_big_and_no_more_is_made(void **state)
{
	static uint8_t zeros[SPACE], bomb[4096];
	size_t n = deflate_as_client(zeros, sizeof(zeros), 15, 9, bomb, sizeof(bomb));
	uint32_t got;

	(void)state;
	assert_int_equal(inflate_exact(bomb, n, SPACE, &got), 0);
	assert_int_equal(got, SPACE);
	for (uint32_t most = SPACE - 1; most > 0; most /= 3) {
		assert_int_equal(inflate_exact(bomb, n, most, &got), WS_CODE_TOO_BIG);
		assert_int_equal(got, most + 1);
	}
}

/* A client that refers back to an earlier message keeps state that was not agreed on. */
static void bytes_that_are_not_deflated_are_bad_data(void **state)
{
	static uint8_t text[3000], deflated[4000];
	size_t n;
	uint32_t got;

	(void)state;
	assert_int_equal(inflate_exact("", 0, 10, &got), WS_CODE_BAD_DATA);
	assert_int_equal(inflate_exact("Hello", 5, 10, &got), WS_CODE_BAD_DATA);
	assert_int_equal(inflate_exact("\xff\xff\xff", 3, 10, &got), WS_CODE_BAD_DATA);
	assert_int_equal(inflate_exact("\xf2\0\x11\0\0", 5, 10, &got), WS_CODE_BAD_DATA);
	/* With a last block, and nothing behind it. */
	assert_int_equal(inflate_exact("\xf3\x48\xcd\xc9\xc9\x07\0", 7, 10, &got), WS_CODE_BAD_DATA);
	fill(text, sizeof(text), false);
	n = deflate_as_client(text, sizeof(text), 15, 6, deflated, sizeof(deflated));
	for (size_t cut = 0; cut + 1 < n; cut++)
		assert_int_not_equal(inflate_exact(deflated, cut, sizeof(text), &got), 0);
}

/* ---- out ---- */

static struct message *message_of(const void *body, size_t n)
{
	struct message *m;

	assert_int_equal(message_new(1000, body, (uint32_t)n, &m), 0);
	return m;
}

static void assert_holds(const struct message_form *form, struct message *m, enum dialect dialect, int bits)
{
	const struct message_form *json;
	size_t n;

	assert_non_null(form);
	n = inflate_as_client(form->data, form->bytes, bits, out, sizeof(out));
	switch (dialect) {
	case DIALECT_V2S:
		assert_int_equal(n, PACKET_HEAD_BYTES + message_bytes(m, dialect));
		assert_int_equal(packet_get_i32(out), n);
		assert_memory_equal(out + n - m->body_bytes, message_body(m), m->body_bytes);
		assert_int_equal(out[PACKET_HEAD_BYTES + 7], 4);
		break;
	case DIALECT_V2:
		assert_int_equal(n, 2 * PACKET_HEAD_BYTES + m->body_bytes);
		assert_int_equal(packet_get_i32(out), n);
		assert_int_equal(packet_get_i32(out + 8), OP_RAW);
		assert_memory_equal(out + PACKET_HEAD_BYTES, m->v2, n - PACKET_HEAD_BYTES);
		break;
	case DIALECT_V1:
		assert_int_equal(n, PACKET_HEAD_BYTES + m->body_bytes);
		assert_memory_equal(out, m->v1_head, PACKET_HEAD_BYTES);
		assert_memory_equal(out + PACKET_HEAD_BYTES, message_body(m), m->body_bytes);
		break;
	case DIALECT_V1_JSON:
		json = v1_json_of_message(m);
		assert_int_equal(n, json->bytes + 2);
		assert_int_equal(out[0], '[');
		assert_memory_equal(out + 1, json->data, json->bytes);
		assert_int_equal(out[n - 1], ']');
		break;
	}
}

static void a_message_is_deflated_once_in_each_dialect(void **state)
{
	static uint8_t text[60000];
	static const size_t sizes[] = {WS_DEFLATE_MIN_BYTES, 1000, 5000, sizeof(text)};
	int64_t before = counters_read(COUNT_WEBSOCKET_DEFLATES);

	(void)state;
	fill(text, sizeof(text), false);
	for (unsigned i = 0; i < 4; i++) {
		struct message *m = message_of(text, sizes[i]);

		assert_int_equal(message_number_it(m, "chat://1"), 0);
		for (enum dialect d = DIALECT_V1; d <= DIALECT_V2S; d++) {
			const struct message_form *form = ws_deflated(m, d, SIZE_MAX);

			assert_holds(form, m, d, WS_DEFLATE_BITS);
			assert_true(form->bytes < sizes[i]);
			assert_ptr_equal(ws_deflated(m, d, SIZE_MAX), form);
		}
		message_unref(&m);
	}
	assert_int_equal(counters_read(COUNT_WEBSOCKET_DEFLATES) - before, 4 * 4);
}

static void what_is_short_or_gets_no_shorter_goes_as_it_is(void **state)
{
	static uint8_t text[900000];
	struct message *m;
	int64_t before;

	(void)state;
	m = message_of(text, WS_DEFLATE_MIN_BYTES - 1);
	assert_null(ws_deflated(m, DIALECT_V2, SIZE_MAX));
	message_unref(&m);
	fill(text, sizeof(text), true);
	before = counters_read(COUNT_WEBSOCKET_DEFLATES);
	m = message_of(text, WS_STORED_MAX - PACKET_HEAD_BYTES);
	for (unsigned i = 0; i < 3; i++)
		assert_null(ws_deflated(m, DIALECT_V1, SIZE_MAX));
	assert_int_equal(counters_read(COUNT_WEBSOCKET_DEFLATES) - before, 1);
	message_unref(&m);
	/* But for what is no single block. */
	for (size_t n = WS_STORED_MAX - PACKET_HEAD_BYTES + 1; n < sizeof(text); n *= 2) {
		m = message_of(text, n);
		assert_holds(ws_deflated(m, DIALECT_V1, SIZE_MAX), m, DIALECT_V1, WS_DEFLATE_BITS);
		message_unref(&m);
	}
}

static void what_a_narrow_window_does_not_hold_goes_as_it_is(void **state)
{
	static uint8_t text[70000];
	struct message *longest;

	(void)state;
	memset(text, 'x', sizeof(text));
	longest = message_of(text, sizeof(text));
	for (int bits = 9; bits < WS_DEFLATE_BITS; bits++) {
		size_t window = (size_t)1 << bits, around[] = {0, 16, 32};
		static const char v1_json[] = "[{\"ver\":0,\"op\":5,\"seq\":0,\"body\":\"\"}]";

		for (enum dialect d = DIALECT_V1; d <= DIALECT_V1_JSON; d++) {
			size_t most = window - (d == DIALECT_V1_JSON ? sizeof(v1_json) - 1 : around[d]);
			struct message *fits = message_of(text, most), *long_one = message_of(text, most + 1);

			assert_holds(ws_deflated(fits, d, window), fits, d, bits);
			assert_null(ws_deflated(long_one, d, window));
			assert_holds(ws_deflated(longest, d, window), longest, d, 9);
			assert_non_null(ws_deflated(long_one, d, SIZE_MAX));
			message_unref(&fits);
			message_unref(&long_one);
		}
	}
	message_unref(&longest);
}

/* The frame that was begun must not change its form when it goes on. */
static void without_memory_it_goes_as_it_is_also_later(void **state)
{
	static uint8_t text[1000];

	(void)state;
	for (enum dialect d = DIALECT_V1; d <= DIALECT_V1_JSON; d++) {
		struct message *m = message_of(text, sizeof(text));

		seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
		assert_null(ws_deflated(m, d, SIZE_MAX));
		assert_int_equal(seam_failed(SEAM_ALLOC), 1);
		seam_reset();
		assert_null(ws_deflated(m, d, SIZE_MAX));
		message_unref(&m);
	}
}

/* How long it is with what goes around it is not known then, nor whether a narrow window holds it. */
static void without_memory_a_narrow_window_gets_it_as_it_is_also_later(void **state)
{
	static uint8_t text[70000];
	const size_t lengths[] = {300, 2000, sizeof(text)};

	(void)state;
	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < 3; i++) {
		struct message *m = message_of(text, lengths[i]);

		seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
		assert_null(ws_deflated(m, DIALECT_V1_JSON, 512));
		assert_int_equal(seam_failed(SEAM_ALLOC), 1);
		seam_reset();
		assert_non_null(v1_json_of_message(m));
		assert_null(ws_deflated(m, DIALECT_V1_JSON, 512));
		message_unref(&m);
	}
}

static void *want(void *arg)
{
	return (void *)(uintptr_t)ws_deflated(arg, DIALECT_V2, SIZE_MAX);
}

static void threads_that_want_it_at_the_same_time_share_one(void **state)
{
	static uint8_t text[100000];
	pthread_t threads[8];

	(void)state;
	fill(text, sizeof(text), false);
	for (unsigned round = 0; round < 20; round++) {
		struct message *m = message_of(text, sizeof(text));
		int64_t before = counters_read(COUNT_WEBSOCKET_DEFLATES);
		void *form;

		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, want, m), 0);
		for (unsigned i = 0; i < 8; i++) {
			assert_int_equal(pthread_join(threads[i], &form), 0);
			assert_ptr_equal(form, ws_deflated(m, DIALECT_V2, SIZE_MAX));
		}
		assert_int_equal(counters_read(COUNT_WEBSOCKET_DEFLATES) - before, 1);
		message_unref(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_any_client_deflates_comes_whole, tear_down),
		cmocka_unit_test_teardown(the_examples_of_the_standard_are_read, tear_down),
		cmocka_unit_test_teardown(a_byte_too_many_is_too_big_and_no_more_is_made, tear_down),
		cmocka_unit_test_teardown(bytes_that_are_not_deflated_are_bad_data, tear_down),
		cmocka_unit_test_teardown(a_message_is_deflated_once_in_each_dialect, tear_down),
		cmocka_unit_test_teardown(what_is_short_or_gets_no_shorter_goes_as_it_is, tear_down),
		cmocka_unit_test_teardown(what_a_narrow_window_does_not_hold_goes_as_it_is, tear_down),
		cmocka_unit_test_teardown(without_memory_a_narrow_window_gets_it_as_it_is_also_later, tear_down),
		cmocka_unit_test_teardown(without_memory_it_goes_as_it_is_also_later, tear_down),
		cmocka_unit_test_teardown(threads_that_want_it_at_the_same_time_share_one, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
