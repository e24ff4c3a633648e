/* Tests of common/wire/message. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "common/wire/message.h"
#include "tests/unit/dying.h"
#include "tests/unit/seam.h"

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

static void message_is_encoded_for_both_dialects(void **state)
{
	static const uint8_t v1[] = {0, 0, 0, 18, 0, 16, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0};
	static const uint8_t v2[] = {0, 0, 0, 18, 0, 16, 0, 1, 0, 0, 3, 0xe8, 0, 0, 0, 0, 'h', 'i'};
	struct message *m;

	(void)state;
	seam_clock_set(12345, 0);
	assert_int_equal(message_new(1000, "hi", 2, &m), 0);
	assert_int_equal(m->op, 1000);
	assert_int_equal(m->body_bytes, 2);
	assert_int_equal(m->born_ns, 12345);
	assert_memory_equal(m->v1_head, v1, sizeof(v1));
	assert_memory_equal(m->v2, v2, sizeof(v2));
	assert_memory_equal(message_body(m), "hi", 2);
	message_unref(&m);
	assert_null(m);
}

static void message_keeps_a_copy(void **state)
{
	char body[] = "before";
	struct message *m;

	(void)state;
	assert_int_equal(message_new(9, body, 6, &m), 0);
	memset(body, 'x', sizeof(body));
	assert_memory_equal(message_body(m), "before", 6);
	message_unref(&m);
}

static void empty_body_is_a_header_alone(void **state)
{
	struct packet p;
	struct message *m;

	(void)state;
	assert_int_equal(message_new(-7, NULL, 0, &m), 0);
	assert_int_equal(packet_decode(m->v2, 0, &p), 0);
	assert_int_equal(p.op, -7);
	assert_int_equal(packet_decode(m->v1_head, 0, &p), 0);
	assert_int_equal(p.op, OP_SEND_REPLY);
	message_unref(&m);
}

static void body_that_no_header_can_tell_is_refused(void **state)
{
	struct message *m = NULL;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(message_new(1, "", INT32_MAX - 31, &m), -EMSGSIZE);
	assert_int_equal(message_new(1, "", UINT32_MAX, &m), -EMSGSIZE);
	assert_int_equal(seam_failed(SEAM_ALLOC), 0);
	/* The longest that would go asks for memory, which it does not get here. */
	assert_int_equal(message_new(1, "", INT32_MAX - 32, &m), -ENOMEM);
	assert_null(m);
}

static void *ref_and_unref(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		struct message *m = message_ref(arg);

		if (m != arg)
			return arg;
		message_unref(&m);
	}
	return NULL;
}

static void any_thread_may_hold_a_reference(void **state)
{
	pthread_t threads[4];
	struct message *m, *other;
	void *bad;

	(void)state;
	assert_int_equal(message_new(1, "x", 1, &m), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, m), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	other = message_ref(m);
	message_unref(&m);
	/* The other reference still holds it. */
	assert_int_equal(other->magic, MESSAGE_MAGIC);
	assert_memory_equal(message_body(other), "x", 1);
	message_unref(&other);
}

static void unref_something_else(void)
{
	struct message not_one = {.magic = 1};
	struct message *m = &not_one;

	message_unref(&m);
}

static void what_is_no_message_stops_the_program(void **state)
{
	char words[512];

	(void)state;
	assert_int_equal(dying(unref_something_else, words, sizeof(words)), SIGABRT);
	assert_non_null(strstr(words, "does not hold in message_unref"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(message_is_encoded_for_both_dialects, tear_down),
		cmocka_unit_test(message_keeps_a_copy),
		cmocka_unit_test(empty_body_is_a_header_alone),
		cmocka_unit_test_teardown(body_that_no_header_can_tell_is_refused, tear_down),
		cmocka_unit_test(any_thread_may_hold_a_reference),
		cmocka_unit_test(what_is_no_message_stops_the_program),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
