/* Who has seen what, in comet-cli bench. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/sequence.h"

#define MAX 200

static uint64_t bits[SEQUENCE_WORDS(MAX)], sent[SEQUENCE_WORDS(MAX)];
static struct sequence s;

static int empty(void **state)
{
	(void)state;
	memset(bits, 0, sizeof(bits));
	memset(sent, 0, sizeof(sent));
	s = (struct sequence){.bits = bits};
	return 0;
}

static void all_in_order_is_next_each_time(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < MAX; n++)
		assert_int_equal(sequence_take(&s, n), SEQUENCE_NEXT);
}

static void a_gap_is_no_fault_of_what_comes_after(void **state)
{
	(void)state;
	assert_int_equal(sequence_take(&s, 5), SEQUENCE_NEXT);
	assert_int_equal(sequence_take(&s, 199), SEQUENCE_NEXT);
}

static void a_late_one_is_reordered_once_and_then_a_duplicate(void **state)
{
	(void)state;
	assert_int_equal(sequence_take(&s, 1), SEQUENCE_NEXT);
	assert_int_equal(sequence_take(&s, 0), SEQUENCE_REORDERED);
	assert_int_equal(sequence_take(&s, 0), SEQUENCE_DUPLICATE);
	assert_int_equal(sequence_take(&s, 1), SEQUENCE_DUPLICATE);
	assert_int_equal(sequence_take(&s, 2), SEQUENCE_NEXT);
}

static void missing_is_what_was_sent_and_never_came(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < MAX; n++)
		sent[n / 64] |= UINT64_C(1) << n % 64;
	assert_int_equal(sequence_missing(&s, sent, SEQUENCE_WORDS(MAX)), MAX);
	for (uint32_t n = 0; n < MAX; n += 2)
		sequence_take(&s, n);
	assert_int_equal(sequence_missing(&s, sent, SEQUENCE_WORDS(MAX)), MAX / 2);
}

static void what_was_not_sent_is_not_missing(void **state)
{
	(void)state;
	sent[0] = 1 << 3;
	sequence_take(&s, 7);
	assert_int_equal(sequence_missing(&s, sent, SEQUENCE_WORDS(MAX)), 1);
	sequence_take(&s, 3);
	assert_int_equal(sequence_missing(&s, sent, SEQUENCE_WORDS(MAX)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_in_order_is_next_each_time, empty),
		cmocka_unit_test_setup(a_gap_is_no_fault_of_what_comes_after, empty),
		cmocka_unit_test_setup(a_late_one_is_reordered_once_and_then_a_duplicate, empty),
		cmocka_unit_test_setup(missing_is_what_was_sent_and_never_came, empty),
		cmocka_unit_test_setup(what_was_not_sent_is_not_missing, empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
