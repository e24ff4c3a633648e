/* Tests of comet/join_body. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/join_body.h"
#include "common/wire/wire.h"
#include "tests/unit/seam.h"

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* One room as it is asked for. */
static struct join_wish wish_of(struct join_ask *ask, const char *body)
{
	const char *wrong;

	assert_int_equal(join_read(body, strlen(body), ask, &wrong), 0);
	assert_int_equal(ask->n, 1);
	return ask->rooms[0];
}

static void assert_wish(const char *body, const char *wrong, uint64_t since, uint64_t last)
{
	struct join_ask ask;
	struct join_wish wish = wish_of(&ask, body);

	if (wrong == NULL)
		assert_null(wish.wrong);
	else
		assert_string_equal(wish.wrong, wrong);
	assert_int_equal(wish.feed.since, since);
	assert_int_equal(wish.feed.last, last);
	join_ask_fini(&ask);
}

static void a_room_is_asked_for_by_its_id_and_a_position(void **state)
{
	(void)state;
	assert_wish("{\"rooms\":[{\"id\":\"chat://1\"}]}", NULL, 0, 0);
	assert_wish("{\"rooms\":[{\"id\":\"chat://1\",\"since\":7,\"last\":3}]}", NULL, 7, 3);
	assert_wish("{\"v\":2,\"rooms\":[{\"id\":\"x\",\"since\":9007199254740991,\"other\":{}}]}", NULL,
		    9007199254740991, 0);
}

static struct join_streams streams_of(const char *token)
{
	struct join_streams streams;

	assert_true(join_streams_asked(token, strlen(token), &streams));
	return streams;
}

static void auth_says_from_where_on_the_user_s_stream_is_wanted(void **state)
{
	static const char *const none[] = {"7", "{}", "{\"streams\":5}", "{\"streams\":[]}", "x\"streams\"", ""};
	static const char *const absent[] = {"{}",
					     "{\"user\":-1}",
					     "{\"user\":true}",
					     "{\"user\":\"x\"}",
					     "{\"user\":9007199254740992}",
					     "{\"user\":null}"};
	struct join_streams streams;
	char token[64];

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_false(join_streams_asked(none[i], strlen(none[i]), &streams));
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		(void)snprintf(token, sizeof(token), "{\"streams\":%s}", absent[i]);
		streams = streams_of(token);
		assert_false(streams.no_user || streams.unacked || streams.since != 0);
	}
	assert_true(streams_of("{\"streams\":{\"user\":false}}").no_user);
	assert_true(streams_of("{\"streams\":{\"user\":\"unacked\"}}").unacked);
	assert_int_equal(streams_of("{\"streams\":{\"user\":9007199254740991}}").since, 9007199254740991);
}

static void welcome_says_where_it_goes_on(void **state)
{
	const struct config cfg = {.protocol_max_body = INT64_MAX, .limits_rooms = INT64_MAX};
	struct join_outcome own = {.place = {.at = 9007199254740991, .replay = UINT32_MAX}, .reload_ms = INT64_MAX};
	char text[JOIN_WELCOME_BYTES];
	size_t n = join_welcome(text, &cfg, NULL);

	(void)state;
	assert_int_equal(n, strlen(text));
	assert_string_equal(text, "{\"v\":1,\"max_body\":9223372036854775807,\"max_rooms\":9223372036854775807}");
	n = join_welcome(text, &cfg, &own);
	assert_int_equal(n, strlen(text));
	assert_non_null(strstr(text, ",\"user\":{\"at\":9007199254740991,\"gap\":false,\"replay\":4294967295}}"));
	own.place.gap = true;
	n = join_welcome(text, &cfg, &own);
	assert_int_equal(n, strlen(text));
	assert_non_null(strstr(text, "\"gap\":true,\"replay\":4294967295,\"reload_ms\":9223372036854775807}}"));
}

static void a_position_is_a_number_below_2_to_the_53(void **state)
{
	static const char *const wrong[] = {"-1", "9007199254740992", "7.0", "1e3", "\"7\"", "null", "true", "[]"};
	char body[100];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		(void)snprintf(body, sizeof(body), "{\"rooms\":[{\"id\":\"chat://1\",\"since\":%s}]}", wrong[i]);
		assert_wish(body, "since", 0, 0);
		(void)snprintf(body, sizeof(body), "{\"rooms\":[{\"id\":\"chat://1\",\"last\":%s}]}", wrong[i]);
		assert_wish(body, "last", 0, 0);
	}
}

static void a_member_without_the_name_of_a_room_is_wrong(void **state)
{
	char body[400], longest[WIRE_ROOM_BYTES + 1];

	(void)state;
	assert_wish("{\"rooms\":[{\"id\":\"a\",\"ticket\":\"t\"}]}", NULL, 0, 0);
	assert_wish("{\"rooms\":[{\"id\":\"a\",\"ticket\":7}]}", "ticket", 0, 0);
	assert_wish("{\"rooms\":[{\"id\":\"a\",\"ticket\":\"t\\nt\"}]}", "ticket", 0, 0);
	assert_wish("{\"rooms\":[{}]}", "id", 0, 0);
	assert_wish("{\"rooms\":[7]}", "id", 0, 0);
	assert_wish("{\"rooms\":[\"chat://1\"]}", "id", 0, 0);
	assert_wish("{\"rooms\":[{\"id\":\"\"}]}", "id", 0, 0);
	assert_wish("{\"rooms\":[{\"id\":\"a\\n\"}]}", "id", 0, 0);
	assert_wish("{\"rooms\":[{\"id\":7}]}", "id", 0, 0);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[WIRE_ROOM_BYTES] = '\0';
	(void)snprintf(body, sizeof(body), "{\"rooms\":[{\"id\":\"%s\"}]}", longest);
	assert_wish(body, "id", 0, 0);
	longest[WIRE_ROOM_BYTES - 1] = '\0';
	(void)snprintf(body, sizeof(body), "{\"rooms\":[{\"id\":\"%s\"}]}", longest);
	assert_wish(body, NULL, 0, 0);
}

static void a_body_that_asks_for_nothing_is_wrong_as_a_whole(void **state)
{
	static const char *const bodies[] = {"",
					     "{",
					     "[]",
					     "7",
					     "{}",
					     "{\"rooms\":7}",
					     "{\"rooms\":{\"id\":\"a\"}}",
					     "\xff",
					     "{\"rooms\":[{\"id\":\"a\",\"since\":18446744073709551616}]}"};
	struct join_ask ask;
	const char *wrong;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(join_read(bodies[i], strlen(bodies[i]), &ask, &wrong), -EBADMSG);
		assert_non_null(wrong);
		assert_int_equal(join_read_leave(bodies[i], strlen(bodies[i]), &ask, &wrong), -EBADMSG);
	}
	assert_int_equal(join_read(NULL, 0, &ask, &wrong), -EBADMSG);
	assert_int_equal(join_read("{\"rooms\":[]}", 12, &ask, &wrong), 0);
	assert_int_equal(ask.n, 0);
	join_ask_fini(&ask);
}

static void leave_names_rooms_and_passes_over_what_is_none(void **state)
{
	static const char body[] = "{\"rooms\":[\"chat://1\",7,\"\",\"live://2\"]}";
	struct join_ask ask;
	const char *wrong;

	(void)state;
	assert_int_equal(join_read_leave(body, strlen(body), &ask, &wrong), 0);
	assert_int_equal(ask.n, 4);
	assert_string_equal(ask.rooms[0].room, "chat://1");
	assert_null(ask.rooms[1].room);
	assert_null(ask.rooms[2].room);
	assert_string_equal(ask.rooms[3].room, "live://2");
	join_ask_fini(&ask);
}

static void assert_says(struct message *m, int32_t op, int32_t seq, const char *body)
{
	struct packet p;

	assert_int_equal(packet_decode(m->v2, 4096, &p), 0);
	assert_int_equal(p.ver, 1);
	assert_int_equal(p.op, op);
	assert_int_equal(p.seq, seq);
	assert_int_equal(m->body_bytes, strlen(body));
	assert_memory_equal(message_body(m), body, strlen(body));
	message_unref(&m);
}

static void each_room_has_its_answer_in_order(void **state)
{
	static const char body[] =
		"{\"rooms\":[{\"id\":\"chat://1\"},{\"id\":\"chat://2\"},{\"id\":\"c\"},{\"id\":\"d\"},5]}";
	const struct join_outcome outcomes[] = {
		{.place = {.at = 1795999887666490, .replay = 1}},
		{.place = {.at = 7, .gap = true}, .reload_ms = 1830},
		{.error = 403, .reason = "not_granted", .retry_ms = -1},
		{.error = 503, .reason = "unavailable", .retry_ms = 12},
		{.error = 400, .reason = "id", .retry_ms = -1},
	};
	struct message *m;
	struct join_ask ask;
	const char *wrong;

	(void)state;
	assert_int_equal(join_read(body, strlen(body), &ask, &wrong), 0);
	assert_int_equal(join_answer(&ask, outcomes, 5, &m), 0);
	assert_says(m, OP_JOIN_REPLY, 5,
		    "{\"rooms\":[{\"id\":\"chat://1\",\"at\":1795999887666490,\"gap\":false,\"replay\":1},"
		    "{\"id\":\"chat://2\",\"at\":7,\"gap\":true,\"replay\":0,\"reload_ms\":1830},"
		    "{\"id\":\"c\",\"error\":403,\"reason\":\"not_granted\"},"
		    "{\"id\":\"d\",\"error\":503,\"reason\":\"unavailable\",\"retry_ms\":12},"
		    "{\"error\":400,\"reason\":\"id\"}]}");
	join_ask_fini(&ask);
}

static void other_answers_and_notices_are_short(void **state)
{
	struct message *m;

	(void)state;
	assert_int_equal(join_answer_wrong(OP_LEAVE_REPLY, "rooms", 6, &m), 0);
	assert_says(m, OP_LEAVE_REPLY, 6, "{\"error\":400,\"reason\":\"rooms\"}");
	assert_int_equal(join_answer_left(3, 7, &m), 0);
	assert_says(m, OP_LEAVE_REPLY, 7, "{\"rooms\":3}");
	assert_int_equal(join_notice_left("a\"b", "not_granted", &m), 0);
	assert_says(m, OP_NOTICE, 0, "{\"room\":\"a\\\"b\",\"left\":\"not_granted\"}");
	assert_int_equal(join_notice_led("chat://1", 9, &m), 0);
	assert_says(m, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":9,\"by\":\"server\"}");
	assert_int_equal(join_notice_gap("chat://1", 9, 100, &m), 0);
	assert_true(m->notice);
	assert_int_equal(m->number, 9);
	assert_says(m, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":9,\"gap\":true,\"reload_ms\":100}");
}

/* Whatever is lacking at whatever place: an error, nothing left, and no answer that lacks something. */
static void without_memory_there_is_no_answer_and_nothing_left(void **state)
{
	static const char body[] = "{\"rooms\":[{\"id\":\"chat://1\"},{\"id\":\"chat://2\",\"since\":5}]}";
	const struct join_outcome outcomes[] = {{.place = {.at = 1}},
						{.place = {.at = 7, .gap = true}, .reload_ms = 1}};
	bool failed = true;

	(void)state;
	for (unsigned after = 0; failed; after++) {
		struct message *m = NULL;
		struct join_ask ask;
		const char *wrong;
		int rc;

		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		if ((rc = join_read(body, strlen(body), &ask, &wrong)) == 0) {
			rc = join_answer(&ask, outcomes, 5, &m);
			join_ask_fini(&ask);
		}
		if (rc == 0)
			message_unref(&m);
		if (rc == 0 && (rc = join_notice_gap("chat://1", 9, 100, &m)) == 0)
			message_unref(&m);
		if (rc == 0 && (rc = join_notice_led("chat://1", 9, &m)) == 0)
			message_unref(&m);
		if (rc == 0 && (rc = join_notice_left("chat://1", "why", &m)) == 0)
			message_unref(&m);
		failed = seam_failed(SEAM_ALLOC) > 0;
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		assert_true(after < 1000);
	}
}

#define body_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		body_test(a_room_is_asked_for_by_its_id_and_a_position),
		body_test(auth_says_from_where_on_the_user_s_stream_is_wanted),
		body_test(welcome_says_where_it_goes_on),
		body_test(a_position_is_a_number_below_2_to_the_53),
		body_test(a_member_without_the_name_of_a_room_is_wrong),
		body_test(a_body_that_asks_for_nothing_is_wrong_as_a_whole),
		body_test(leave_names_rooms_and_passes_over_what_is_none),
		body_test(each_room_has_its_answer_in_order),
		body_test(other_answers_and_notices_are_short),
		body_test(without_memory_there_is_no_answer_and_nothing_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
