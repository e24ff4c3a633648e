/* Tests of logic/shares: packets stay in order, and who has most loses first. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logic/shares.h"
#include "tests/unit/seam.h"

static struct shares s;
static uint64_t number;

static void drop(struct kept *kept)
{
	seat_fini(&kept->entry.seat);
	free(kept->entry.body);
	free(kept);
}

static int set_up(void **state)
{
	(void)state;
	number = 0;
	shares_init(&s);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	shares_fini(&s, drop);
	return s.bytes != 0;
}

static int put(int64_t mid, const char *key, size_t body_bytes)
{
	struct kept *kept = calloc(1, sizeof(*kept));
	int rc;

	assert_non_null(kept);
	assert_int_equal(seat_copy(&(struct seat){.key = key, .user.mid = mid}, &kept->entry.seat), 0);
	kept->entry.body = calloc(1, body_bytes + 1);
	kept->entry.body_bytes = body_bytes;
	if ((rc = shares_put(&s, kept, number + 1)) < 0)
		drop(kept);
	else
		number++;
	return rc;
}

/* The number of the one that goes; 0: nobody has any. */
static uint64_t take(void)
{
	struct kept *kept = shares_take(&s);
	uint64_t which = kept != NULL ? kept->number : 0;

	if (kept != NULL)
		drop(kept);
	return which;
}

/* The numbers that are kept above this one: "1 2 5". */
static const char *kept_after(uint64_t after)
{
	static char text[4096];
	size_t at = shares_find(&s, after), n = 0;
	const struct kept *kept;

	text[0] = '\0';
	while ((kept = shares_next(&s, &at)) != NULL)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%llu", n > 0 ? " " : "",
				      (unsigned long long)kept->number);
	return text;
}

static void packets_come_out_in_their_order(void **state)
{
	(void)state;
	assert_string_equal(kept_after(0), "");
	assert_int_equal(put(1, "a", 10), 0);
	assert_int_equal(put(2, "b", 10), 0);
	assert_int_equal(put(1, "c", 10), 0);
	assert_string_equal(kept_after(0), "1 2 3");
	assert_string_equal(kept_after(1), "2 3");
	assert_string_equal(kept_after(3), "");
	assert_string_equal(kept_after(UINT64_MAX), "");
}

static void who_has_most_loses_his_oldest(void **state)
{
	(void)state;
	assert_int_equal(put(1, "a", 100), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(put(2, "b", 100), 0); /* on several connections, too */
	assert_int_equal(put(3, "c", 100), 0);
	assert_int_equal(take(), 2);
	assert_int_equal(take(), 3);
	assert_string_equal(kept_after(0), "1 4 5 6 7 8 9 10");
	assert_int_equal(put(1, "a", 20000), 0);
	assert_int_equal(take(), 1);
	assert_int_equal(take(), 11);
	assert_int_equal(take(), 4);
	assert_string_equal(kept_after(4), "5 6 7 8 9 10");
}

static void a_connection_of_no_user_stands_for_itself(void **state)
{
	(void)state;
	assert_int_equal(put(7, "7", 10), 0);
	assert_int_equal(put(0, "7", 10), 0);
	assert_int_equal(put(0, "8", 10), 0);
	assert_int_equal(s.users.count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_not_equal(take(), 0);
	assert_int_equal(take(), 0);
	assert_int_equal(s.users.count, 0);
	assert_int_equal(s.bytes, 0);
}

/* A flood of millions beside a packet that stays: what is kept about those that went does not grow. */
static void a_flood_leaves_others_packets_and_no_memory(void **state)
{
	(void)state;
	assert_int_equal(put(1, "quiet", 10), 0);
	for (unsigned i = 0; i < 1000000; i++) {
		assert_int_equal(put(2, "loud", 0), 0);
		if (s.bytes > 100000)
			assert_int_not_equal(take(), 1);
	}
	assert_true(s.slots_space <= 2048);
	assert_int_equal(shares_next(&s, &(size_t){shares_find(&s, 0)})->number, 1);
	assert_int_equal(shares_next(&s, &(size_t){shares_find(&s, number - 1)})->number, number);
}

/* Of many at random: the one that goes is its user's oldest, and nobody has more than an eighth more. */
static void the_one_that_goes_is_of_one_who_has_most(void **state)
{
	size_t bytes[8] = {0};
	uint32_t random = 1;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		random = random * 1664525 + 1013904223;
		unsigned user = (random >> 16) % 8;
		size_t body = (random >> 8) % (100 << user);

		assert_int_equal(put(user + 1, "k", body), 0);
		bytes[user] += shares_cost(shares_next(&s, &(size_t){shares_find(&s, number - 1)}));
		if (i < 1000)
			continue;
		struct kept *kept = shares_take(&s);
		size_t most = 0, had = bytes[kept->entry.seat.user.mid - 1];

		for (unsigned k = 0; k < 8; k++)
			most = bytes[k] > most ? bytes[k] : most;
		assert_true(had + had / 8 + 1 >= most);
		bytes[kept->entry.seat.user.mid - 1] -= shares_cost(kept);
		size_t at = shares_find(&s, 0);
		for (const struct kept *k; (k = shares_next(&s, &at)) != NULL && k->number < kept->number;)
			assert_int_not_equal(k->entry.seat.user.mid, kept->entry.seat.user.mid);
		drop(kept);
	}
}

static void without_memory_nothing_changes(void **state)
{
	size_t bytes;

	(void)state;
	for (unsigned i = 0; i < 64; i++) /* the next one needs more slots */
		assert_int_equal(put(1, "a", 10), 0);
	bytes = s.bytes;
	for (unsigned after = 3;; after++) { /* behind those of the packet itself */
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		if (put(2, "b", 10) == 0)
			break;
		assert_int_equal(s.users.count, 1);
		assert_int_equal(s.bytes, bytes);
		assert_int_equal(s.n_kept, 64);
	}
	assert_int_equal(seam_failed(SEAM_ALLOC), 0);
	assert_int_equal(s.n_kept, 65);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(packets_come_out_in_their_order),           CASE(who_has_most_loses_his_oldest),
		CASE(a_connection_of_no_user_stands_for_itself), CASE(a_flood_leaves_others_packets_and_no_memory),
		CASE(the_one_that_goes_is_of_one_who_has_most),  CASE(without_memory_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
