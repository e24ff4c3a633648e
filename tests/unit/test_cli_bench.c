/* Bodies and packets of comet-cli bench. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli/bench.h"
#include "common/err.h"

static const char run[] = "0123456789abcdef";

static void a_body_is_json_of_the_size_asked_for(void **state)
{
	char body[300];

	(void)state;
	for (size_t n = BENCH_BODY_MIN; n <= sizeof(body); n++) {
		json_t *read;

		memset(body, 0, sizeof(body));
		bench_body_write(body, n, run, UINT32_MAX, INT64_MAX);
		read = json_loadb(body, n, 0, NULL);
		assert_non_null(read);
		assert_string_equal(json_string_value(json_object_get(read, "run")), run);
		json_decref(read);
	}
}

static void a_body_is_read_back(void **state)
{
	static const struct {
		uint32_t n;
		int64_t ns;
	} cases[] = {{0, 0}, {1, 2}, {UINT32_MAX, INT64_MAX}, {4242, 1234567890123456789}};
	char body[BENCH_BODY_MIN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t n;
		int64_t ns;

		bench_body_write(body, sizeof(body), run, cases[i].n, cases[i].ns);
		assert_true(bench_body_read((uint8_t *)body, sizeof(body), run, &n, &ns));
		assert_int_equal(n, cases[i].n);
		assert_true(ns == cases[i].ns);
	}
}

static void a_body_of_somebody_else_is_not_taken(void **state)
{
	char body[BENCH_BODY_MIN];
	uint32_t n;
	int64_t ns;

	(void)state;
	bench_body_write(body, sizeof(body), run, 1, 2);
	assert_false(bench_body_read((uint8_t *)body, sizeof(body), "fedcba9876543210", &n, &ns));
	assert_false(bench_body_read((uint8_t *)body, sizeof(body) - 1, run, &n, &ns));
	for (size_t i = 0; i < 68; i++) { /* up to the end of the time */
		char kept = body[i];

		/* Neither in the names that stand between the columns nor in a digit may anything else pass. */
		if (i >= 24 && (body[i] < '0' || body[i] > '9'))
			continue;
		body[i] = '*';
		assert_false(bench_body_read((uint8_t *)body, sizeof(body), run, &n, &ns));
		body[i] = kept;
	}
}

struct seen {
	int32_t ops[8];
	size_t n;
	size_t body_bytes;
	int say; /* what take returns */
};

static int take(void *arg, const struct packet *p)
{
	struct seen *seen = arg;

	assert_true(seen->n < 8);
	seen->ops[seen->n++] = p->op;
	seen->body_bytes += p->body_bytes;
	return seen->say;
}

static void tcp_hands_out_whole_packets_only(void **state)
{
	const struct bench_wire *tcp = bench_wire_find("tcp");
	uint8_t bytes[BENCH_WIRE_WRAP_BYTES * 2];
	size_t first = tcp->wrap(bytes, 1001, 1, "hello", 5);
	size_t both = first + tcp->wrap(bytes + first, 1002, 1, NULL, 0);

	(void)state;
	for (size_t n = 0; n <= both; n++) {
		struct seen seen = {.say = 0};
		/* Exactly n bytes on the heap, so that a sanitizer sees a read beyond them. */
		uint8_t *copy = malloc(n > 0 ? n : 1);

		assert_non_null(copy);
		memcpy(copy, bytes, n);
		assert_int_equal(tcp->feed(copy, n, take, &seen), n == both ? both : n >= first ? first : 0);
		assert_int_equal(seen.n, n == both ? 2 : n >= first ? 1 : 0);
		assert_int_equal(seen.body_bytes, n >= first ? 5 : 0);
		free(copy);
	}
}

static void tcp_stops_at_what_is_no_packet(void **state)
{
	const struct bench_wire *tcp = bench_wire_find("tcp");
	struct seen seen = {.say = 0};
	uint8_t bytes[64];
	size_t first = tcp->wrap(bytes, 1001, 1, NULL, 0);

	(void)state;
	packet_encode(bytes + first, 1, 1002, 0, BENCH_WIRE_BODY_MAX + 1);
	assert_int_equal(tcp->feed(bytes, first + PACKET_HEAD_BYTES, take, &seen), -ERR_PACKET_BODY);
	memset(bytes + first, 0, PACKET_HEAD_BYTES);
	assert_int_equal(tcp->feed(bytes, first + PACKET_HEAD_BYTES, take, &seen), -ERR_PACKET_LENGTH);
	seen.say = -ERR_EOF;
	assert_int_equal(tcp->feed(bytes, first, take, &seen), -ERR_EOF);
}

static void no_wire_of_that_name_is_null(void **state)
{
	(void)state;
	assert_null(bench_wire_find("pigeon"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_is_json_of_the_size_asked_for),
		cmocka_unit_test(a_body_is_read_back),
		cmocka_unit_test(a_body_of_somebody_else_is_not_taken),
		cmocka_unit_test(tcp_hands_out_whole_packets_only),
		cmocka_unit_test(tcp_stops_at_what_is_no_packet),
		cmocka_unit_test(no_wire_of_that_name_is_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
