/* Tests of comet/who and common/wire/who. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/who.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"

#define PEERS 9

static struct stage stage;
static struct fake_transport peers[PEERS];
static struct connection *c[PEERS];

/* "k0" to "k8"; those with an even number are in a room. */
static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	for (unsigned i = 0; i < PEERS; i++) {
		char key[] = {'k', (char)('0' + i), '\0'};

		fake_init(&peers[i]);
		c[i] = stage_member(&stage, &peers[i], key, i % 2 == 0 ? "live://1" : "");
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	for (unsigned i = 0; i < PEERS; i++) {
		stage_leave(&stage, &c[i]);
		fake_fini(&peers[i]);
	}
	stage_down(&stage);
	return 0;
}

/* The numbers of the keys on the page, and a + where more come. */
static const char *listed(const struct who_page *page)
{
	static char text[PEERS + 2];
	size_t n = json_array_size(page->connections);

	memset(text, 0, sizeof(text));
	for (size_t i = 0; i < n; i++)
		text[i] = json_string_value(json_object_get(json_array_get(page->connections, i), "key"))[1];
	if (page->more)
		text[n] = '+';
	return text;
}

static void expect(const struct who_query *query, const char *numbers)
{
	struct who_page page;

	assert_int_equal(who_list(&stage.server, "one", query, &page), 0);
	assert_string_equal(listed(&page), numbers);
	json_decref(page.connections);
}

static void pages_are_in_the_order_of_keys(void **state)
{
	(void)state;
	expect(&(struct who_query){.after = "", .limit = 100}, "012345678");
	expect(&(struct who_query){.after = "", .limit = 9}, "012345678");
	expect(&(struct who_query){.after = "", .limit = 8}, "01234567+");
	expect(&(struct who_query){.after = "", .limit = 1}, "0+");
	expect(&(struct who_query){.after = "k3", .limit = 3}, "456+");
	expect(&(struct who_query){.after = "k8", .limit = 3}, "");
}

static void room_has_its_members(void **state)
{
	(void)state;
	expect(&(struct who_query){.room = "live://1", .after = "", .limit = 100}, "02468");
	expect(&(struct who_query){.room = "live://1", .after = "k2", .limit = 2}, "46+");
	expect(&(struct who_query){.room = "live://2", .after = "", .limit = 100}, "");
}

static void keys_that_are_here_are_found(void **state)
{
	const char *keys[] = {"k7", "k", "k2"};

	(void)state;
	expect(&(struct who_query){.keys = keys, .n_keys = 3, .after = "", .limit = 100}, "27");
	expect(&(struct who_query){.keys = keys, .n_keys = 0, .after = "", .limit = 100}, "");
}

static void who_is_in_a_room_twice_is_listed_once(void **state)
{
	struct membership second = {.connection = c[0]};
	struct bucket *b = server_bucket(&stage.server, "k0");

	(void)state;
	assert_int_equal(bucket_change_room(b, &second, "live://1"), 0);
	expect(&(struct who_query){.room = "live://1", .after = "", .limit = 100}, "02468");
	expect(&(struct who_query){.room = "live://1", .after = "", .limit = 1}, "0+");
	bucket_leave(b, &second);
}

static void who_is_to_be_traced_is_and_is_listed(void **state)
{
	const char *keys[] = {"k2", "nobody"}, *users[] = {"9", "70", "8"};
	struct who_query query = {
		.keys = keys, .n_keys = 2, .trace = WHO_TRACE_KEYS, .trace_ms = 60000, .after = "", .limit = 100};
	const int64_t mid = c[3]->seat.user.mid;

	(void)state;
	expect(&query, "2");
	assert_non_null(c[2]->trace);
	assert_null(c[3]->trace);
	c[3]->seat.user.mid = 70;
	query.keys = users;
	query.n_keys = 3;
	query.trace = WHO_TRACE_USERS;
	expect(&query, "3");
	assert_non_null(c[3]->trace);
	query.trace_ms = 0;
	expect(&query, "3");
	assert_null(c[3]->trace);
	assert_non_null(c[2]->trace);
	c[3]->seat.user.mid = mid;
}

static void memory_that_fails_leaves_no_page(void **state)
{
	struct who_page page;
	int rc = -ENOMEM;

	(void)state;
	for (unsigned i = 0; rc < 0; i++) {
		assert_in_range(i, 0, 1000);
		seam_fail(SEAM_ALLOC, i, 1, 0);
		rc = who_list(&stage.server, "one", &(struct who_query){.after = "", .limit = 4}, &page);
		seam_reset();
		assert_true(rc == 0 || (rc == -ENOMEM && page.connections == NULL));
	}
	assert_string_equal(listed(&page), "0123+");
	json_decref(page.connections);
}

static void question_arrives_as_it_was_sent(void **state)
{
	const char *keys[] = {"a", "b,c"};
	const struct who_question sent = {.id = "7",
					  .reply = "comet:page:l",
					  .expires_ms = 5,
					  .query = {.room = "live://1",
						    .keys = keys,
						    .n_keys = 2,
						    .trace = WHO_TRACE_USERS,
						    .trace_ms = 60000,
						    .queued = 4,
						    .after = "a",
						    .limit = 3}};
	struct who_question got;
	size_t bytes;
	char *text;

	(void)state;
	assert_int_equal(who_question_encode(&sent, &text, &bytes), 0);
	assert_int_equal(who_question_decode(text, bytes, &got), 0);
	assert_string_equal(got.id, "7");
	assert_string_equal(got.reply, "comet:page:l");
	assert_int_equal(got.expires_ms, 5);
	assert_string_equal(got.query.room, "live://1");
	assert_string_equal(got.query.after, "a");
	assert_int_equal(got.query.queued, 4);
	assert_int_equal(got.query.limit, 3);
	assert_int_equal(got.query.n_keys, 2);
	assert_string_equal(got.query.keys[1], "b,c");
	assert_int_equal(got.query.trace, WHO_TRACE_USERS);
	assert_int_equal(got.query.trace_ms, 60000);
	who_question_fini(&got);
	free(text);
}

static void what_is_no_question_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"{\"reply\":\"r\"}",
		"{\"reply\":\"\",\"limit\":1}",
		"{\"reply\":\"r\",\"limit\":1001}",
		"{\"reply\":\"r\",\"limit\":1,\"keys\":5}",
		"{\"reply\":\"r\",\"limit\":1,\"keys\":[5]}",
		"{\"reply\":\"r\",\"limit\":1,\"after\":5}",
		"{\"reply\":\"r\",\"limit\":1,\"room\":5}",
		"{\"reply\":\"r\",\"limit\":1,\"trace\":3}",
		"{\"reply\":\"r\",\"limit\":1,\"trace\":1,\"trace_ms\":9223372036854775807}",
	};
	struct who_question got;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(who_question_decode(texts[i], strlen(texts[i]), &got), -EBADMSG);
		who_question_fini(&got);
	}
}

static void answers_of_several_comets_are_one_page(void **state)
{
	struct who_answer answer = {.id = "7", .server = "one"}, got;
	struct who_page page = {0};
	size_t bytes;
	char *text;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(who_list(&stage.server, "one",
					  &(struct who_query){.after = i == 0 ? "k4" : "", .limit = 4}, &answer.page),
				 0);
		assert_int_equal(who_answer_encode(&answer, &text, &bytes), 0);
		assert_int_equal(who_answer_decode(text, bytes, &got), 0);
		assert_string_equal(got.id, "7");
		assert_string_equal(got.server, "one");
		assert_int_equal(who_page_add(&page, &got.page), 0);
		who_answer_fini(&got);
		free(text);
	}
	assert_true(page.more);
	assert_int_equal(who_page_sort(&page, 6), 0);
	assert_string_equal(listed(&page), "012356+");
	json_decref(page.connections);
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const texts[] = {"",
					    "{}",
					    "{\"connections\":{}}",
					    "{\"connections\":[5]}",
					    "{\"connections\":[{\"key\":5}]}",
					    "{\"id\":5,\"connections\":[]}"};
	struct who_answer got;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(who_answer_decode(texts[i], strlen(texts[i]), &got), -EBADMSG);
		who_answer_fini(&got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_are_in_the_order_of_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(room_has_its_members, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_that_are_here_are_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_to_be_traced_is_and_is_listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_in_a_room_twice_is_listed_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_that_fails_leaves_no_page, set_up, tear_down),
		cmocka_unit_test(question_arrives_as_it_was_sent),
		cmocka_unit_test(what_is_no_question_is_refused),
		cmocka_unit_test_setup_teardown(answers_of_several_comets_are_one_page, set_up, tear_down),
		cmocka_unit_test(what_is_no_answer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
