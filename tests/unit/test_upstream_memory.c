/* Tests of logic/upstream_memory: what clients sent is kept, handed out in order, and waited for.
 * SPDX-License-Identifier: MIT */
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

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "logic/upstream.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define KEEP 4
/* Never reached but where a case sets out to. */
#define MAX_BYTES 1000
/* So many may wait at one time (upstream_memory.c). */
#define READERS_MAX 64
/* Longer than any test runs. */
#define LONG_MS 60000

static struct upstream u;

static int set_up(void **state)
{
	(void)state;
	return upstream_memory_new(&(struct upstream_bounds){KEEP, MAX_BYTES}, &u);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	upstream_memory_free(&u);
	return u.self != NULL;
}

static int append(const char *key, const char *body)
{
	const struct packet p = {.op = 1000,
				 .body = (uint8_t *)(uintptr_t)body,
				 .body_bytes = (uint32_t)(body != NULL ? strlen(body) : 0)};

	return upstream_append(&u, &(struct seat){.key = key, .mid = 7}, &p);
}

static int read_after(const char *after, size_t max, int64_t wait_ms, struct upstream_found *found)
{
	return upstream_read(&u, &(struct upstream_query){after, max, wait_ms}, found);
}

/* The bodies after this id, without waiting: "a b c". */
static const char *bodies(const char *after, size_t max)
{
	static char text[256];
	struct upstream_found found;
	size_t at = 0;

	assert_int_equal(read_after(after, max, 0, &found), 0);
	text[0] = '\0';
	for (size_t i = 0; i < found.n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i > 0 ? " " : "",
				       (const char *)found.entries[i].body);
	upstream_found_fini(&found);
	assert_null(found.entries);
	assert_int_equal(found.n, 0);
	return text;
}

static void a_packet_comes_out_as_it_went_in(void **state)
{
	const uint8_t body[] = {0, 1, 0xff, 0};
	const struct packet p = {.op = -9, .body = (uint8_t *)(uintptr_t)body, .body_bytes = sizeof(body)};
	struct upstream_found found;

	(void)state;
	assert_int_equal(upstream_append(&u, &(struct seat){.key = "key", .mid = 123}, &p), 0);
	assert_int_equal(append("other", NULL), 0);
	assert_int_equal(read_after("0", 10, 0, &found), 0);
	assert_int_equal(found.n, 2);
	assert_string_equal(found.entries[0].seat.key, "key");
	assert_int_equal(found.entries[0].seat.mid, 123);
	assert_int_equal(found.entries[0].op, -9);
	assert_int_equal(found.entries[0].body_bytes, sizeof(body));
	assert_memory_equal(found.entries[0].body, body, sizeof(body));
	assert_string_equal(found.entries[1].seat.key, "other");
	assert_int_equal(found.entries[1].body_bytes, 0);
	upstream_found_fini(&found);
}

static void each_id_leads_to_what_came_after_it(void **state)
{
	struct upstream_found found;

	(void)state;
	assert_string_equal(bodies("0", 10), "");
	assert_int_equal(append("k", "a"), 0);
	assert_int_equal(append("k", "b"), 0);
	assert_int_equal(append("k", "c"), 0);
	assert_string_equal(bodies("0", 10), "a b c");
	assert_int_equal(read_after("0", 10, 0, &found), 0);
	assert_string_equal(bodies(found.entries[0].id, 10), "b c");
	assert_string_equal(bodies(found.entries[2].id, 10), "");
	upstream_found_fini(&found);
}

static void at_most_so_many_come_at_a_time_the_oldest_first(void **state)
{
	(void)state;
	assert_int_equal(append("k", "a"), 0);
	assert_int_equal(append("k", "b"), 0);
	assert_int_equal(append("k", "c"), 0);
	assert_string_equal(bodies("0", 2), "a b");
	assert_string_equal(bodies("1", 2), "b c");
}

static void the_oldest_go_first(void **state)
{
	static const char *const texts[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(append("k", texts[i]), 0);
	assert_string_equal(bodies("0", 10), "f g h i");
	assert_string_equal(bodies("2", 10), "f g h i");
	assert_string_equal(bodies("6", 10), "g h i");
}

static size_t count_after(const char *after)
{
	struct upstream_found found;
	size_t n;

	assert_int_equal(read_after(after, 10, 0, &found), 0);
	n = found.n;
	upstream_found_fini(&found);
	return n;
}

static void the_oldest_go_first_where_bytes_run_out(void **state)
{
	char large[MAX_BYTES], medium[MAX_BYTES * 2 / 5];
	int64_t before = counters_read(COUNT_UPSTREAM_DROPPED);

	(void)state;
	memset(large, 'l', sizeof(large) - 1);
	memset(medium, 'm', sizeof(medium) - 1);
	large[sizeof(large) - 1] = medium[sizeof(medium) - 1] = '\0';
	assert_int_equal(append("k", "a"), 0);
	assert_int_equal(append("k", "b"), 0);
	assert_string_equal(bodies("0", 10), "a b");
	assert_int_equal(append("k", medium), 0);
	assert_int_equal(counters_read(COUNT_UPSTREAM_DROPPED), before);
	assert_int_equal(append("k", medium), 0);
	assert_true(counters_read(COUNT_UPSTREAM_DROPPED) > before);
	assert_int_equal(count_after("1"), 2);
	/* One that has not room beside any other is kept alone. */
	assert_int_equal(append("k", large), 0);
	assert_int_equal(count_after("0"), 1);
	assert_int_equal(append("k", "c"), 0);
	assert_string_equal(bodies("0", 10), "c");
	assert_string_equal(bodies("6", 10), "");
	assert_int_equal(counters_read(COUNT_UPSTREAM_DROPPED), before + 5);
}

static void an_id_from_before_a_restart_gets_all(void **state)
{
	(void)state;
	assert_int_equal(append("k", "a"), 0);
	assert_string_equal(bodies("2", 10), "a");
	assert_string_equal(bodies("99999999999999999999999999", 10), "a");
}

static void what_is_no_id_is_said(void **state)
{
	static const char *const texts[] = {"", "x", "1x", "-1", "+1", " 1", " -1", "1 ", "0x1", "1-0"};
	struct upstream_found found;

	(void)state;
	assert_int_equal(append("k", "a"), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(read_after(texts[i], 10, 0, &found), -EINVAL);
		assert_int_equal(found.n, 0);
		assert_null(found.entries);
	}
}

/* ---- waiting ---- */

struct reader {
	pthread_t thread;
	atomic_bool done;
	int rc;
	size_t n;
};

static void *wait_for_one(void *arg)
{
	struct reader *reader = arg;
	struct upstream_found found;

	reader->rc = read_after("0", 10, LONG_MS, &found);
	reader->n = found.n;
	upstream_found_fini(&found);
	atomic_store(&reader->done, true);
	return NULL;
}

static void who_waits_gets_the_next_packet(void **state)
{
	struct reader readers[3] = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&readers[i].thread, NULL, wait_for_one, &readers[i]), 0);
	assert_int_equal(append("k", "a"), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		assert_int_equal(readers[i].rc, 0);
		assert_int_equal(readers[i].n, 1);
	}
}

static void a_wait_ends_with_nothing(void **state)
{
	int64_t began = clock_now_ns();
	struct upstream_found found;

	(void)state;
	assert_int_equal(read_after("0", 10, 30, &found), 0);
	assert_int_equal(found.n, 0);
	assert_true(clock_now_ns() - began >= 30 * CLOCK_MS);
	upstream_found_fini(&found);
}

#define TOO_MANY 8

static unsigned done_of(struct reader *readers, unsigned n)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++)
		done += atomic_load(&readers[i].done);
	return done;
}

static void too_many_waiting_are_told_so_and_who_need_not_wait_is_served(void **state)
{
	static struct reader readers[READERS_MAX + TOO_MANY];
	struct upstream_found found;
	unsigned refused = 0;

	(void)state;
	memset(readers, 0, sizeof(readers));
	for (unsigned i = 0; i < READERS_MAX + TOO_MANY; i++)
		assert_int_equal(pthread_create(&readers[i].thread, NULL, wait_for_one, &readers[i]), 0);
	/* Nothing is there yet, so these are the ones refused. */
	until(done_of(readers, READERS_MAX + TOO_MANY) == TOO_MANY);
	assert_int_equal(read_after("0", 10, 1, &found), -EBUSY);
	assert_int_equal(read_after("0", 10, 0, &found), 0);
	assert_int_equal(found.n, 0);
	upstream_found_fini(&found);
	assert_int_equal(append("k", "a"), 0);
	for (unsigned i = 0; i < READERS_MAX + TOO_MANY; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		refused += readers[i].rc == -EBUSY;
		assert_int_equal(readers[i].n, readers[i].rc == 0);
	}
	assert_int_equal(refused, TOO_MANY);
}

/* ---- no memory ---- */

static int make_another(void)
{
	struct upstream other;
	int rc = upstream_memory_new(&(struct upstream_bounds){2, MAX_BYTES}, &other);

	if (rc == 0)
		upstream_memory_free(&other);
	return rc;
}

static int append_one(void)
{
	return append("k", "b");
}

static int read_all(void)
{
	struct upstream_found found;
	int rc = read_after("0", 10, 0, &found);

	assert_true(rc == 0 || found.n == 0);
	upstream_found_fini(&found);
	return rc;
}

static void without_memory_nothing_changes(void **state)
{
	static int (*const calls[])(void) = {make_another, append_one, read_all};

	(void)state;
	assert_int_equal(append("k", "a"), 0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned after = 0;

		for (;; after++) {
			int rc;

			seam_reset();
			seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
			rc = calls[i]();
			if (seam_failed(SEAM_ALLOC) == 0) {
				assert_int_equal(rc, 0);
				break;
			}
			assert_int_equal(rc, -ENOMEM);
		}
		assert_true(after >= 2);
	}
	seam_reset();
	assert_string_equal(bodies("0", 10), "a b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_packet_comes_out_as_it_went_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_id_leads_to_what_came_after_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(at_most_so_many_come_at_a_time_the_oldest_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_go_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_go_first_where_bytes_run_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_id_from_before_a_restart_gets_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_id_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_waits_gets_the_next_packet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_wait_ends_with_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_many_waiting_are_told_so_and_who_need_not_wait_is_served, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_memory_nothing_changes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
