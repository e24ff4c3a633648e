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

/* ---- for clients with streams ---- */

static size_t pieces_of(const struct message *m, enum dialect dialect, uint8_t out[64])
{
	struct message_piece pieces[MESSAGE_PIECES];
	unsigned pieces_n = message_pieces(m, dialect, pieces);
	size_t n = 0;

	for (unsigned i = 0; i < pieces_n; i++) {
		memcpy(out + n, pieces[i].bytes, pieces[i].n);
		n += pieces[i].n;
	}
	assert_int_equal(message_bytes(m, dialect), n);
	return n;
}

static void a_numbered_push_has_its_number_in_two_halves_and_its_room(void **state)
{
	/* The example of docs/protocol.md: 1795999887666491. */
	static const uint8_t wanted[] = "\x00\x00\x00\x22\x00\x10\x00\x04\x00\x00\x03\xe8\xcf\x52\x2d\x3b"
					"\x00\x06\x61\x73\x08"
					"chat://1hello";
	struct message *m;
	uint8_t got[64];

	(void)state;
	assert_int_equal(message_new(1000, "hello", 5, &m), 0);
	m->number = 1795999887666491;
	assert_int_equal(pieces_of(m, DIALECT_V2S, got), PACKET_HEAD_BYTES + 5); /* nobody has asked */
	assert_int_equal(message_number_it(m, "chat://1"), 0);
	assert_int_equal(message_number_it(m, "chat://1"), 0);
	assert_int_equal(pieces_of(m, DIALECT_V2S, got), sizeof(wanted) - 1);
	assert_memory_equal(got, wanted, sizeof(wanted) - 1);
	/* For all others it is what it was. */
	assert_int_equal(pieces_of(m, DIALECT_V2, got), PACKET_HEAD_BYTES + 5);
	assert_memory_equal(got, m->v2, PACKET_HEAD_BYTES + 5);
	assert_int_equal(pieces_of(m, DIALECT_V1, got), PACKET_HEAD_BYTES + 5);
	assert_memory_equal(got, m->v1_head, PACKET_HEAD_BYTES);
	message_unref(&m);
}

static void without_its_number_a_push_has_a_twin(void **state)
{
	struct message *m, *twin, *plain;
	uint8_t got[64];

	(void)state;
	assert_int_equal(message_new(1000, "hello", 5, &m), 0);
	m->number = 7;
	twin = message_unnumbered(m);
	assert_ptr_equal(message_unnumbered(m), twin);
	assert_int_equal(twin->op, 1000);
	assert_int_equal(twin->born_ns, m->born_ns);
	assert_int_equal(message_number_it(twin, "chat://1"), 0);
	assert_int_equal(pieces_of(twin, DIALECT_V2S, got), PACKET_HEAD_BYTES + 4 + 1 + 8 + 5);
	assert_memory_equal(got + 12, "\0\0\0\0\0\0\0\0", 8);
	message_unref(&m); /* and its twin with it */
	assert_int_equal(message_new(1000, "hello", 5, &plain), 0);
	assert_ptr_equal(message_unnumbered(plain), plain);
	message_unref(&plain);
}

static void without_memory_a_push_has_no_form_for_streams(void **state)
{
	struct message *m;

	(void)state;
	assert_int_equal(message_new(1000, "hello", 5, &m), 0);
	m->number = 7;
	seam_fail(SEAM_ALLOC, 0, 2, ENOMEM);
	assert_int_equal(message_number_it(m, "chat://1"), -ENOMEM);
	assert_null(message_unnumbered(m));
	assert_int_equal(message_number_it(m, "chat://1"), 0);
	message_unref(&m);
}

static void an_answer_among_pushes_is_a_packet_as_it_stands(void **state)
{
	static const uint8_t wanted[] = "\0\0\0\x12\0\x10\0\x01\0\0\0\x13\0\0\0\x05{}";
	struct message *m;
	uint8_t got[64];

	(void)state;
	assert_int_equal(message_answer(OP_JOIN_REPLY, 5, "{}", 2, &m), 0);
	assert_int_equal(pieces_of(m, DIALECT_V2S, got), sizeof(wanted) - 1);
	assert_memory_equal(got, wanted, sizeof(wanted) - 1);
	message_unref(&m);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(message_answer(OP_JOIN_REPLY, 5, "{}", 2, &m), -ENOMEM);
}

static void *make_forms(void *arg)
{
	struct message *m = arg, *twin = message_unnumbered(m);

	if (twin == NULL || message_number_it(m, "chat://1") != 0 || message_number_it(twin, "chat://1") != 0)
		return arg;
	return NULL;
}

static void many_threads_may_want_its_forms_at_once(void **state)
{
	pthread_t threads[4];
	void *bad;

	(void)state;
	for (int round = 0; round < 50; round++) {
		struct message *m;

		assert_int_equal(message_new(1, "x", 1, &m), 0);
		m->number = 7;
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, make_forms, m), 0);
		for (int i = 0; i < 4; i++) {
			assert_int_equal(pthread_join(threads[i], &bad), 0);
			assert_null(bad);
		}
		message_unref(&m);
	}
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
		cmocka_unit_test(a_numbered_push_has_its_number_in_two_halves_and_its_room),
		cmocka_unit_test(without_its_number_a_push_has_a_twin),
		cmocka_unit_test_teardown(without_memory_a_push_has_no_form_for_streams, tear_down),
		cmocka_unit_test_teardown(an_answer_among_pushes_is_a_packet_as_it_stands, tear_down),
		cmocka_unit_test(many_threads_may_want_its_forms_at_once),
		cmocka_unit_test(any_thread_may_hold_a_reference),
		cmocka_unit_test(what_is_no_message_stops_the_program),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
