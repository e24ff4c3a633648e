/* Tests of common/base/strmap. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/strmap.h"
#include "tests/unit/seam.h"

static struct strmap map;
static int values[1000]; /* their addresses are the values */

static int set_up(void **state)
{
	(void)state;
	strmap_init(&map);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	strmap_fini(&map);
	return 0;
}

static const char *key_of(int i)
{
	static char key[32];

	(void)snprintf(key, sizeof(key), "key-%d", i);
	return key;
}

static void put_many(int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(strmap_put(&map, key_of(i), &values[i], NULL), 0);
}

static void empty_map_finds_nothing_and_owns_nothing(void **state)
{
	struct strmap_cursor cursor = {0};
	const char *key;
	void *value;

	(void)state;
	assert_null(strmap_get(&map, "a"));
	assert_null(strmap_del(&map, "a"));
	assert_int_equal(strmap_next(&map, &cursor, &key, &value), 0);
	assert_null(map.slots);
}

static void what_is_put_is_found_until_deleted(void **state)
{
	void *old = &map;

	(void)state;
	assert_int_equal(strmap_put(&map, "a", &values[0], &old), 0);
	assert_null(old);
	assert_int_equal(strmap_put(&map, "", &values[1], NULL), 0);
	assert_ptr_equal(strmap_get(&map, "a"), &values[0]);
	assert_ptr_equal(strmap_get(&map, ""), &values[1]);
	assert_null(strmap_get(&map, "b"));
	assert_int_equal(map.count, 2);
	assert_ptr_equal(strmap_del(&map, "a"), &values[0]);
	assert_null(strmap_get(&map, "a"));
	assert_null(strmap_del(&map, "a"));
	assert_ptr_equal(strmap_get(&map, ""), &values[1]);
	assert_int_equal(map.count, 1);
}

static void put_again_hands_back_the_old_value(void **state)
{
	void *old;

	(void)state;
	assert_int_equal(strmap_put(&map, "a", &values[0], NULL), 0);
	assert_int_equal(strmap_put(&map, "a", &values[1], &old), 0);
	assert_ptr_equal(old, &values[0]);
	assert_int_equal(strmap_put(&map, "a", &values[2], NULL), 0);
	assert_ptr_equal(strmap_get(&map, "a"), &values[2]);
	assert_int_equal(map.count, 1);
}

static void keys_are_copied(void **state)
{
	char key[] = "mine";

	(void)state;
	assert_int_equal(strmap_put(&map, key, &values[0], NULL), 0);
	key[0] = 'f';
	assert_ptr_equal(strmap_get(&map, "mine"), &values[0]);
	assert_null(strmap_get(&map, "fine"));
}

static void table_follows_the_load_both_ways(void **state)
{
	size_t most;

	(void)state;
	put_many(1000);
	most = map.n_slots;
	assert_in_range(most, 1000, 2048);
	for (int i = 0; i < 1000; i++)
		assert_ptr_equal(strmap_get(&map, key_of(i)), &values[i]);
	for (int i = 0; i < 998; i++)
		assert_ptr_equal(strmap_del(&map, key_of(i)), &values[i]);
	assert_in_range(map.n_slots, 1, 16);
	assert_ptr_equal(strmap_get(&map, key_of(998)), &values[998]);
	assert_ptr_equal(strmap_get(&map, key_of(999)), &values[999]);
}

static void walk_sees_each_once(void **state)
{
	struct strmap_cursor cursor = {0};
	bool seen[300] = {false};
	const char *key;
	void *value;
	int n = 0;

	(void)state;
	put_many(300);
	while (strmap_next(&map, &cursor, &key, &value)) {
		ptrdiff_t i = (int *)value - values;

		assert_in_range(i, 0, 299);
		assert_false(seen[i]);
		assert_string_equal(key, key_of((int)i));
		seen[i] = true;
		n++;
	}
	assert_int_equal(n, 300);
	/* Once at the end it stays there. */
	assert_int_equal(strmap_next(&map, &cursor, &key, &value), 0);
}

static void drop(void *value)
{
	*(int *)value += 1;
}

static void all_are_dropped_once_and_an_empty_map_is_left(void **state)
{
	(void)state;
	put_many(300);
	strmap_drop_all(&map, drop);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(values[i], i < 300);
	memset(values, 0, sizeof(values));
	assert_int_equal(map.count, 0);
	assert_null(strmap_get(&map, key_of(7)));
	put_many(2);
	assert_ptr_equal(strmap_get(&map, key_of(1)), &values[1]);
}

/* Nearly all go: a table that shrank meanwhile would end the walk early. */
static void walk_may_delete_where_it_stands(void **state)
{
	struct strmap_cursor cursor = {0};
	const char *key;
	void *value;
	int n = 0;

	(void)state;
	put_many(300);
	for (; strmap_next(&map, &cursor, &key, &value); n++)
		if ((int *)value - values >= 10)
			assert_ptr_equal(strmap_del_walked(&map, key), value);
	assert_int_equal(n, 300);
	assert_int_equal(map.count, 10);
	assert_in_range(map.n_slots, 300, 512);
	strmap_shrink(&map);
	assert_in_range(map.n_slots, 10, 40);
	for (int i = 0; i < 300; i++)
		assert_ptr_equal(strmap_get(&map, key_of(i)), i < 10 ? &values[i] : NULL);
}

/* Against the plainest map there is: an array. */
static void any_mix_of_calls_agrees_with_a_plain_array(void **state)
{
	void *plain[64] = {NULL};
	unsigned random = 1;
	size_t count = 0;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		void *old, *value = &values[step % 1000];
		unsigned i;

		random = random * 1103515245 + 12345;
		i = random >> 16 & 63;
		if (random >> 24 & 1) {
			assert_int_equal(strmap_put(&map, key_of((int)i), value, &old), 0);
			count += old == NULL;
			assert_ptr_equal(old, plain[i]);
			plain[i] = value;
		} else {
			old = strmap_del(&map, key_of((int)i));
			count -= old != NULL;
			assert_ptr_equal(old, plain[i]);
			plain[i] = NULL;
		}
		assert_int_equal(map.count, count);
	}
	for (int i = 0; i < 64; i++)
		assert_ptr_equal(strmap_get(&map, key_of(i)), plain[i]);
}

/* ---- without memory ---- */

static void put_without_memory_changes_nothing(void **state)
{
	void *old = &map;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM); /* the table */
	assert_int_equal(strmap_put(&map, "a", &values[0], &old), -ENOMEM);
	assert_null(old);
	assert_null(map.slots);
	seam_fail(SEAM_ALLOC, 1, 1, ENOMEM); /* the node */
	assert_int_equal(strmap_put(&map, "a", &values[0], NULL), -ENOMEM);
	assert_int_equal(map.count, 0);
	assert_null(strmap_get(&map, "a"));
	assert_int_equal(seam_failed(SEAM_ALLOC), 2);
	assert_int_equal(strmap_put(&map, "a", &values[0], NULL), 0);
	/* A key that is there needs none. */
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(strmap_put(&map, "a", &values[1], NULL), 0);
}

static void table_that_cannot_grow_still_serves(void **state)
{
	size_t before;

	(void)state;
	put_many(1);
	before = map.n_slots;
	put_many((int)before);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM); /* the larger table */
	assert_int_equal(strmap_put(&map, "one more", &values[999], NULL), 0);
	assert_int_equal(seam_failed(SEAM_ALLOC), 1);
	assert_int_equal(map.n_slots, before);
	assert_int_equal(map.count, before + 1);
	assert_ptr_equal(strmap_get(&map, "one more"), &values[999]);
	for (int i = 0; i < (int)before; i++)
		assert_ptr_equal(strmap_get(&map, key_of(i)), &values[i]);
	/* It grows with the next one. */
	assert_int_equal(strmap_put(&map, "and one", &values[998], NULL), 0);
	assert_int_equal(map.n_slots, before * 2);
}

static void table_that_cannot_shrink_still_serves(void **state)
{
	(void)state;
	put_many(100);
	seam_fail(SEAM_ALLOC, 0, UINT_MAX, ENOMEM);
	for (int i = 0; i < 99; i++)
		assert_ptr_equal(strmap_del(&map, key_of(i)), &values[i]);
	assert_true(seam_failed(SEAM_ALLOC) > 0);
	assert_ptr_equal(strmap_get(&map, key_of(99)), &values[99]);
}

/* ---- the hash ---- */

static uint64_t hash_in_another_process(void)
{
	char self[PATH_MAX], command[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	unsigned long long hash = 0;
	FILE *other;

	assert_true(n > 0);
	self[n] = '\0';
	(void)snprintf(command, sizeof(command), "'%s' --hash", self);
	other = popen(command, "r"); /* NOLINT(cert-env33-c): our own name */
	assert_non_null(other);
	assert_int_equal(fscanf(other, "%llx", &hash), 1); /* NOLINT(cert-err34-c): written by ourselves */
	assert_int_equal(pclose(other), 0);
	return hash;
}

static void hash_differs_from_process_to_process(void **state)
{
	(void)state;
	assert_true(strmap_hash("user-7") == strmap_hash("user-7"));
	assert_true(strmap_hash("user-7") != strmap_hash("user-8"));
	assert_true(strmap_hash("user-7") != hash_in_another_process());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty_map_finds_nothing_and_owns_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_put_is_found_until_deleted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(put_again_hands_back_the_old_value, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_are_copied, set_up, tear_down),
		cmocka_unit_test_setup_teardown(table_follows_the_load_both_ways, set_up, tear_down),
		cmocka_unit_test_setup_teardown(walk_sees_each_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_are_dropped_once_and_an_empty_map_is_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(walk_may_delete_where_it_stands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(any_mix_of_calls_agrees_with_a_plain_array, set_up, tear_down),
		cmocka_unit_test_setup_teardown(put_without_memory_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(table_that_cannot_grow_still_serves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(table_that_cannot_shrink_still_serves, set_up, tear_down),
		cmocka_unit_test(hash_differs_from_process_to_process),
	};

	if (argc > 1 && strcmp(argv[1], "--hash") == 0) {
		(void)printf("%llx\n", (unsigned long long)strmap_hash("user-7"));
		return 0;
	}
	return cmocka_run_group_tests_name("strmap", tests, NULL, NULL);
}
