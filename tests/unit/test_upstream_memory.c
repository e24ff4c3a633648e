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

/* Four packets of one user with a body of LARGE, or so. */
#define LARGE     1000
#define MAX_BYTES 5500
/* So many may wait at one time (upstream_memory.c). */
#define READERS_MAX 64
/* Longer than any test runs. */
#define LONG_MS 60000

static struct upstream u;

static int set_up(void **state)
{
	(void)state;
	return upstream_memory_new(MAX_BYTES, &u);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	upstream_memory_free(&u);
	return u.self != NULL;
}

static int append_of(int64_t mid, const char *body, size_t body_bytes)
{
	const struct packet p = {.op = 1000, .body = (uint8_t *)(uintptr_t)body, .body_bytes = (uint32_t)body_bytes};

	return upstream_append(&u, &(struct seat){.key = "k", .user.mid = mid}, &p);
}

static int append(const char *key, const char *body)
{
	const struct packet p = {.op = 1000,
				 .body = (uint8_t *)(uintptr_t)body,
				 .body_bytes = (uint32_t)(body != NULL ? strlen(body) : 0)};

	return upstream_append(&u, &(struct seat){.key = key, .user.mid = 7}, &p);
}

/* A body of LARGE bytes that begins with this text. */
static void append_large(int64_t mid, const char *text)
{
	char body[LARGE] = {0};

	(void)snprintf(body, sizeof(body), "%s", text);
	assert_int_equal(append_of(mid, body, sizeof(body)), 0);
}

static int read_after(const char *after, size_t max, int64_t wait_ms, struct upstream_found *found)
{
	return upstream_read(&u, &(struct upstream_query){after, max, wait_ms, NULL}, found);
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
	assert_int_equal(upstream_append(&u, &(struct seat){.key = "key", .user.mid = 123}, &p), 0);
	assert_int_equal(append("other", NULL), 0);
	assert_int_equal(read_after("0", 10, 0, &found), 0);
	assert_int_equal(found.n, 2);
	assert_string_equal(found.entries[0].seat.key, "key");
	assert_int_equal(found.entries[0].seat.user.mid, 123);
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

/* The id of the packet that came so many after the oldest one. */
static const char *id_of(unsigned n)
{
	static char id[32];
	struct upstream_found found;

	assert_int_equal(read_after("0", 1, 0, &found), 0);
	assert_int_equal(found.n, 1);
	(void)snprintf(id, sizeof(id), "%llu", strtoull(found.entries[0].id, NULL, 10) + n);
	upstream_found_fini(&found);
	return id;
}

static void at_most_so_many_come_at_a_time_the_oldest_first(void **state)
{
	(void)state;
	assert_int_equal(append("k", "a"), 0);
	assert_int_equal(append("k", "b"), 0);
	assert_int_equal(append("k", "c"), 0);
	assert_string_equal(bodies("0", 2), "a b");
	assert_string_equal(bodies(id_of(0), 2), "b c");
}

static void the_oldest_go_first(void **state)
{
	static const char *const texts[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
	int64_t before = counters_read(COUNT_UPSTREAM_DROPPED);

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		append_large(7, texts[i]);
	assert_string_equal(bodies("0", 10), "f g h i");
	assert_string_equal(bodies(id_of(0), 10), "g h i");
	assert_int_equal(counters_read(COUNT_UPSTREAM_DROPPED), before + 5);
}

/* goim's rule, the oldest go first, let one client push out all others' packets in the 24 ms that 4,096 empty ones take. */
static void who_sends_much_pushes_out_nobody_elses(void **state)
{
	(void)state;
	append_large(1, "quiet");
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(append_of(2, "", 0), 0);
	append_large(3, "late");
	assert_string_equal(bodies("0", 1), "quiet");
	for (unsigned i = 0; i < 10; i++)
		append_large(2, "loud");
	assert_string_equal(bodies("0", 10), "quiet late loud loud");
}

/* Their ids count by one: where one is missing a packet was lost. */
static void a_loss_shows_in_the_ids(void **state)
{
	struct upstream_found found;
	uint64_t ids[4];

	(void)state;
	append_large(1, "first");
	for (unsigned i = 0; i < 5; i++)
		append_large(2, "loud");
	assert_int_equal(read_after("0", 10, 0, &found), 0);
	assert_int_equal(found.n, 4);
	for (size_t i = 0; i < 4; i++)
		ids[i] = strtoull(found.entries[i].id, NULL, 10);
	assert_int_equal(ids[1] - ids[0], 3);
	assert_int_equal(ids[2] - ids[1], 1);
	assert_int_equal(ids[3] - ids[2], 1);
	upstream_found_fini(&found);
}

static size_t body_bytes_of_the_only_one(void)
{
	struct upstream_found found;
	size_t bytes;

	assert_int_equal(read_after("0", 10, 0, &found), 0);
	assert_int_equal(found.n, 1);
	bytes = found.entries[0].body_bytes;
	upstream_found_fini(&found);
	return bytes;
}

static void one_that_has_not_room_beside_any_other_is_kept_alone(void **state)
{
	static char large[MAX_BYTES];

	(void)state;
	memset(large, 'l', sizeof(large) - 1);
	assert_int_equal(append("k", "a"), 0);
	assert_int_equal(append("k", "b"), 0);
	assert_int_equal(append_of(8, large, 200), 0);
	assert_int_equal(append("k", large), 0);
	assert_int_equal(body_bytes_of_the_only_one(), sizeof(large) - 1);
	assert_int_equal(append("k", "c"), 0);
	assert_string_equal(bodies("0", 10), "c");
	assert_string_equal(bodies(id_of(0), 10), "");
}

static void an_id_from_before_a_restart_gets_all(void **state)
{
	(void)state;
	assert_int_equal(append("k", "a"), 0);
	assert_string_equal(bodies(id_of(1), 10), "a");
	assert_string_equal(bodies("99999999999999999999999999", 10), "a");
}

/* A back end goes on after a restart of ours with the last id that it had. */
static void ids_grow_over_restarts(void **state)
{
	char last[32];

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(append("k", "before"), 0);
	(void)snprintf(last, sizeof(last), "%s", id_of(9));
	assert_string_equal(bodies(last, 10), "");
	upstream_memory_free(&u);
	seam_clock_advance(CLOCK_SEC);
	assert_int_equal(upstream_memory_new(MAX_BYTES, &u), 0);
	assert_int_equal(append("k", "after"), 0);
	assert_string_equal(bodies(last, 10), "after");
}

static void ids_stay_whole_numbers_of_javascript_whatever_the_clock_says(void **state)
{
	(void)state;
	upstream_memory_free(&u);
	seam_clock_set(CLOCK_SEC, INT64_MAX / CLOCK_MS);
	assert_int_equal(upstream_memory_new(MAX_BYTES, &u), 0);
	assert_int_equal(append("k", "a"), 0);
	assert_true(strtoull(id_of(0), NULL, 10) < UINT64_C(1) << 53);
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
	int rc = upstream_memory_new(MAX_BYTES, &other);

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
		assert_true(after >= 1);
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
		cmocka_unit_test_setup_teardown(who_sends_much_pushes_out_nobody_elses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_loss_shows_in_the_ids, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_has_not_room_beside_any_other_is_kept_alone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_id_from_before_a_restart_gets_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ids_grow_over_restarts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ids_stay_whole_numbers_of_javascript_whatever_the_clock_says, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_id_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_waits_gets_the_next_packet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_wait_ends_with_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_many_waiting_are_told_so_and_who_need_not_wait_is_served, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_memory_nothing_changes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
