/* Tests of logic/tidings_memory: events are kept, handed out in order, and what is gone is told. SPDX-License-Identifier: MIT */
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

#include "common/base/counters.h"
#include "common/config/event_kinds.h"
#include "logic/tidings.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define LONG_MS 60000

static struct config cfg;
static struct tidings t;

static void set_kinds(const char *kinds)
{
	free(cfg.events_kinds);
	cfg.events_kinds = strdup(kinds);
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(config_init(&cfg), 0);
	set_kinds("online, offline");
	cfg.events_length = 4;
	return tidings_memory_new(&cfg, "c1", &t);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	tidings_memory_free(&t);
	config_fini(&cfg);
	return 0;
}

static void tell(const char *kind, const char *key)
{
	tidings_memory_tell(&t, &(struct tiding){.kind = kind, .key = key, .user = "7", .session = 5});
}

/* After this position: "key key", where "lost N" stands for those that are gone; *last gets the last id. */
static const char *read_from(const char *after, size_t max, uint64_t *last)
{
	static char text[256];
	const struct upstream_query query = {.after = after, .max = max};
	json_t *list, *one;
	size_t i, n = 0;

	text[0] = '\0';
	assert_int_equal(tidings_read(&t, &query, &list), 0);
	json_array_foreach(list, i, one)
	{
		const char *key = json_string_value(json_object_get(one, "key"));

		if (key != NULL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " " : "", key);
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%slost %d", n > 0 ? " " : "",
					      (int)json_integer_value(json_object_get(one, "lost")));
		*last = strtoull(json_string_value(json_object_get(one, "id")), NULL, 10);
	}
	json_decref(list);
	return text;
}

static const char *id_text(uint64_t id)
{
	static char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	return text;
}

static void events_are_read_in_their_order_and_again(void **state)
{
	uint64_t last = 0;

	(void)state;
	assert_string_equal(read_from("0", 10, &last), "");
	tell("online", "a");
	tell("offline", "b");
	tell("vacated", "c"); /* which nobody wants */
	assert_string_equal(read_from("0", 10, &last), "a b");
	assert_string_equal(read_from("0", 1, &last), "a");
	assert_string_equal(read_from(id_text(last), 10, &last), "b");
	assert_string_equal(read_from(id_text(last), 10, &last), "");
}

static void who_is_behind_is_told_how_many_are_gone(void **state)
{
	int64_t lost = counters_read(COUNT_EVENTS_LOST);
	uint64_t first = 0, last = 0;
	char text[] = {'a', 0};

	(void)state;
	tell("online", "a");
	assert_string_equal(read_from("0", 10, &first), "a");
	for (text[0] = 'b'; text[0] <= 'g'; text[0]++)
		tell("online", text);
	assert_string_equal(read_from(id_text(first), 10, &last), "lost 2 d e f g");
	assert_int_equal(last, first + 6);
	assert_string_equal(read_from(id_text(first + 2), 10, &last), "d e f g");
	assert_string_equal(read_from("0", 10, &last), "d e f g");
	assert_string_equal(read_from("5", 1, &last), "lost -1 d"); /* of another life */
	assert_string_equal(read_from(id_text(first + 1000), 1, &last), "lost -1 d");
	assert_int_equal(counters_read(COUNT_EVENTS_LOST), lost + 4);
}

static void events_stay_within_their_bytes(void **state)
{
	uint64_t last = 0;

	(void)state;
	tidings_memory_free(&t);
	cfg.events_bytes = 300;
	assert_int_equal(tidings_memory_new(&cfg, "c1", &t), 0);
	for (int i = 0; i < 4; i++)
		tell("online", "a");
	assert_string_equal(read_from("0", 10, &last), "a a");
}

static void event_without_memory_is_a_lost_one(void **state)
{
	uint64_t first = 0, last = 0;

	(void)state;
	tell("online", "a");
	(void)read_from("0", 1, &first);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	tell("online", "b");
	seam_reset();
	tell("online", "c");
	assert_string_equal(read_from(id_text(first), 10, &last), "lost 1 c");
}

static void *wait_for_one(void *arg)
{
	const struct upstream_query query = {.after = arg, .max = 10, .wait_ms = LONG_MS};
	json_t *list = NULL;

	assert_int_equal(tidings_read(&t, &query, &list), 0);
	return list;
}

static void reader_waits_until_one_comes_or_it_is_stopped(void **state)
{
	pthread_t waiter;
	void *list;

	(void)state;
	assert_int_equal(pthread_create(&waiter, NULL, wait_for_one, "0"), 0);
	tell("online", "a");
	assert_int_equal(pthread_join(waiter, &list), 0);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	tidings_memory_free(&t);
	assert_int_equal(tidings_memory_new(&cfg, "c1", &t), 0);
	assert_int_equal(pthread_create(&waiter, NULL, wait_for_one, "0"), 0);
	tidings_stop(&t);
	assert_int_equal(pthread_join(waiter, &list), 0);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void strange_positions_are_refused(void **state)
{
	static const char *const bad[] = {"", "x", "-1", "1-0", " 1", "9999999999999999999"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *list;

		assert_int_equal(tidings_read(&t, &(struct upstream_query){.after = bad[i], .max = 1}, &list), -EINVAL);
		assert_null(list);
	}
}

static void reading_without_memory_fails_and_leaves_nothing(void **state)
{
	const struct upstream_query query = {.after = "5", .max = 10};
	bool failed = true;

	(void)state;
	tell("online", "a");
	for (unsigned after = 0; failed; after++) {
		json_t *list;
		int rc;

		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = tidings_read(&t, &query, &list);
		failed = seam_failed(SEAM_ALLOC) > 0;
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		json_decref(list);
		assert_true(after < 1000);
	}
}

static void nothing_is_kept_where_no_kind_is_wanted(void **state)
{
	struct tidings none;
	char *words;

	(void)state;
	set_kinds("");
	assert_int_equal(tidings_memory_new(&cfg, "c1", &none), 0);
	assert_null(none.self);
	tidings_memory_tell(&none, &(struct tiding){.kind = "online"});
	tidings_memory_free(&none);
	assert_int_equal(event_kinds_words(&cfg, &words), 0);
	assert_null(words);
}

static void words_for_scripts_are_there_or_memory_is_missing(void **state)
{
	char *words;

	(void)state;
	set_kinds("online, offline,vacated");
	cfg.events_length = INT64_MAX;
	assert_int_equal(event_kinds_words(&cfg, &words), 0);
	assert_string_equal(words, "9223372036854775807 online offline vacated");
	free(words);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(event_kinds_words(&cfg, &words), -ENOMEM);
	assert_int_equal(seam_failed(SEAM_ALLOC), 1);
	assert_null(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(words_for_scripts_are_there_or_memory_is_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_are_read_in_their_order_and_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_behind_is_told_how_many_are_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_stay_within_their_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(event_without_memory_is_a_lost_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reader_waits_until_one_comes_or_it_is_stopped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strange_positions_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reading_without_memory_fails_and_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_kept_where_no_kind_is_wanted, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("tidings_memory", tests, NULL, NULL);
}
