/* A client's rooms: what they ask for, and what comes of the answers. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/client.h"
#include "client/client_rooms.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "tests/unit/seam.h"

#define OLD  1795999887666000 /* a number as a server makes them, of more than 32 bits */
#define BODY 4096

static struct client_rooms *rooms;
static struct client_event got;
static unsigned here; /* the connection */
static char asked[2 * BODY];
static char stored[512]; /* each "room number " */

static unsigned begin_with(uint32_t max_body)
{
	return client_rooms_begin(rooms, &(struct client_welcome){.max_body = max_body, .max_rooms = 100});
}

static void store(void *arg, const char *room, int64_t position)
{
	(void)snprintf((char *)arg + strlen(arg), sizeof(stored) - strlen(arg), "%s %lld ", room, (long long)position);
}

static int begin(void **state)
{
	(void)state;
	stored[0] = '\0';
	rooms = client_rooms_new(&(struct client_rooms_options){.store = store, .arg = stored});
	assert_non_null(rooms);
	here = begin_with(BODY);
	return 0;
}

static int end(void **state)
{
	(void)state;
	seam_reset();
	client_rooms_free(&rooms);
	client_rooms_free(&rooms); /* is NULL by now */
	return 0;
}

static void want(const char *room, int64_t since, int last)
{
	assert_int_equal(client_rooms_join(rooms, &(struct client_wish){room, since, last, NULL}), 0);
}

/* What is asked next, by a packet of this number; 0: nothing. */
static int32_t ask(int32_t seq)
{
	struct client_ask what = {0};
	int rc = client_rooms_ask(rooms, here, clock_now_ns(), seq, &what);

	assert_true(rc >= 0);
	(void)snprintf(asked, sizeof(asked), "%.*s", rc > 0 ? (int)what.body_bytes : 0, rc > 0 ? what.body : "");
	if (rc > 0)
		memcpy(asked, what.body, what.body_bytes);
	free(what.body);
	return rc > 0 ? what.op : 0;
}

static void assert_asked(int32_t seq, int32_t op, const char *body)
{
	assert_int_equal(ask(seq), op);
	assert_string_equal(asked, body);
}

static int show(unsigned connection, int32_t op, int32_t seq, const char *body)
{
	char copy[2048];
	const struct packet p = {
		.ver = 1, .op = op, .seq = seq, .body = (uint8_t *)copy, .body_bytes = (uint32_t)strlen(body)};

	(void)snprintf(copy, sizeof(copy), "%s", body);
	return client_rooms_take(rooms, connection, &p, &got);
}

static int push(unsigned connection, const char *room, int64_t number)
{
	static uint8_t body[300];
	static struct packet p; /* which the event goes on to name */
	const size_t n = strlen(room);

	p = (struct packet){.ver = PACKET_VER_PUSH,
			    .op = 1000,
			    .seq = (int32_t)(uint32_t)number,
			    .body = body,
			    .body_bytes = (uint32_t)(5 + n + 2)};

	packet_put_i32(body, (int32_t)(uint32_t)((uint64_t)number >> 32));
	body[4] = (uint8_t)n;
	memcpy(body + 5, room, n);
	memcpy(body + 5 + n, "hi", 2);
	return client_rooms_take(rooms, connection, &p, &got);
}

/* It is delivered, and the application is done with it. */
static void assert_push(const char *room, int64_t number)
{
	assert_int_equal(push(here, room, number), 1);
	assert_int_equal(got.kind, CLIENT_PUSH);
	assert_int_equal(got.packet->op, 1000);
	assert_string_equal(got.room, room);
	assert_int_equal(got.number, number);
	assert_int_equal(got.body_bytes, 2);
	assert_memory_equal(got.body, "hi", 2);
	client_rooms_done(rooms);
}

static void assert_event(int event, const char *room, int64_t number)
{
	assert_true(client_rooms_news(rooms, &got));
	assert_int_equal(got.kind, event);
	assert_string_equal(got.room, room);
	assert_int_equal(got.number, number);
	client_rooms_done(rooms);
}

static void assert_no_news(void)
{
	assert_false(client_rooms_news(rooms, &got));
}

static int64_t position(const char *room)
{
	return client_rooms_position(rooms, room);
}

/* In chat://1, at that number. */
static void join_at(int64_t at)
{
	char answer[200];

	want("chat://1", 0, 0);
	assert_int_equal(ask(2), OP_JOIN);
	(void)snprintf(answer, sizeof(answer),
		       "{\"rooms\":[{\"id\":\"chat://1\",\"at\":%lld,\"gap\":false,\"replay\":0}]}", (long long)at);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2, answer), 0);
	assert_event(CLIENT_JOINED, "chat://1", at);
	assert_no_news();
}

/* ---- asking ---- */

static void what_is_wanted_is_asked_for_once(void **state)
{
	const struct client_wish fenced = {.room = "chat://\"3\"", .ticket = "t"};

	(void)state;
	assert_int_equal(ask(2), 0);
	want("chat://1", OLD, 0);
	want("score://7", 0, 1);
	assert_int_equal(client_rooms_join(rooms, &fenced), 0);
	assert_asked(2, OP_JOIN,
		     "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666000},{\"id\":\"score://7\",\"last\":1},"
		     "{\"id\":\"chat://\\\"3\\\"\",\"ticket\":\"t\"}]}");
	assert_int_equal(ask(3), 0);
	assert_true(client_rooms_due_ns(rooms, here) == CLIENT_ROOMS_NEVER);
}

static void many_rooms_take_as_few_packets_as_they_fit_into(void **state)
{
	char room[CLIENT_ROOM_BYTES];
	unsigned packets = 0, bytes = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(room, sizeof(room), "chat://%0100u", i);
		want(room, OLD, 0);
	}
	for (int32_t seq = 2; ask(seq) != 0; seq++, packets++) {
		assert_true(strlen(asked) <= BODY);
		bytes += (unsigned)strlen(asked);
	}
	assert_int_equal(packets, (bytes + BODY - 1) / BODY);
}

static void a_wish_that_no_packet_holds_is_told(void **state)
{
	char ticket[BODY];

	(void)state;
	memset(ticket, 't', sizeof(ticket) - 1);
	ticket[sizeof(ticket) - 1] = '\0';
	assert_int_equal(client_rooms_join(rooms, &(struct client_wish){"chat://1", 0, 0, ticket}), 0);
	assert_int_equal(ask(2), 0);
	assert_event(CLIENT_LEFT, "chat://1", 0);
	assert_memory_equal(got.body, "its JOIN is longer", 18);
}

static void wishes_that_no_room_has_are_refused(void **state)
{
	char longest[CLIENT_ROOM_BYTES + 1];

	(void)state;
	memset(longest, 'r', CLIENT_ROOM_BYTES);
	longest[CLIENT_ROOM_BYTES] = '\0';
	assert_int_equal(client_rooms_join(rooms, &(struct client_wish){.room = NULL}), -EINVAL);
	assert_int_equal(client_rooms_join(rooms, &(struct client_wish){.room = longest}), -EINVAL);
	assert_int_equal(client_rooms_join(rooms, &(struct client_wish){.room = "a", .since = -1}), -EINVAL);
	assert_int_equal(client_rooms_join(rooms, &(struct client_wish){.room = "a", .last = -1}), -EINVAL);
	assert_int_equal(client_rooms_leave(rooms, "a"), -ENOENT);
	assert_int_equal(position("a"), 0);
}

/* ---- the rule ---- */

static void pushes_move_the_position_once_the_application_is_done(void **state)
{
	(void)state;
	join_at(OLD);
	assert_int_equal(position("chat://1"), OLD);
	assert_int_equal(push(here, "chat://1", OLD + 1), 1);
	assert_int_equal(position("chat://1"), OLD);
	client_rooms_done(rooms);
	assert_int_equal(position("chat://1"), OLD + 1);
	assert_string_equal(stored, "chat://1 1795999887666000 chat://1 1795999887666001 ");
}

static void repetitions_are_dropped(void **state)
{
	(void)state;
	join_at(OLD);
	assert_push("chat://1", OLD + 1);
	assert_int_equal(push(here, "chat://1", OLD + 1), 0);
	assert_int_equal(push(here, "chat://1", OLD), 0);
	assert_push("chat://1", OLD + 2);
}

static void pushes_without_a_number_are_delivered_and_leave_the_position(void **state)
{
	(void)state;
	join_at(OLD);
	assert_push("chat://1", 0);
	assert_push("", 0);
	assert_push("live://of-op-12", 0);
	assert_int_equal(position("chat://1"), OLD);
}

static void a_jump_of_the_server_is_a_gap(void **state)
{
	(void)state;
	join_at(OLD);
	assert_push("chat://1", OLD + 5);
	assert_event(CLIENT_GAP, "chat://1", OLD + 5);
	assert_push("chat://1", OLD + 6);
	assert_no_news();
}

static void a_notice_of_a_gap_moves_the_position_down_as_well(void **state)
{
	(void)state;
	join_at(OLD);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":7,\"gap\":true,\"reload_ms\":250}"),
			 0);
	assert_event(CLIENT_GAP, "chat://1", 7);
	assert_int_equal(got.wait_ms, 250);
	assert_push("chat://1", 8);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://2\",\"at\":7,\"gap\":true}"), 0);
	assert_no_news();
}

static void the_position_of_a_gap_that_was_not_seen_to_is_not_stored(void **state)
{
	(void)state;
	join_at(OLD);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":7,\"gap\":true}"), 0);
	assert_true(client_rooms_news(rooms, &got));
	here = begin_with(BODY);
	client_rooms_done(rooms);
	assert_asked(2, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666000}]}");
}

static void an_answer_to_a_position_keeps_it(void **state)
{
	(void)state;
	want("chat://1", OLD, 0);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"at\":1795999887666000,\"gap\":false,\"replay\":1}]}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD);
	assert_int_equal(got.replay, 1);
	assert_string_equal(stored, "");
	assert_push("chat://1", OLD + 1);
}

static void an_answer_with_a_gap_is_two_events(void **state)
{
	(void)state;
	want("chat://1", OLD, 0);
	want("live://1", OLD, 0);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"at\":9,\"gap\":true,\"replay\":0,\"reload_ms\":12},"
			      "{\"id\":\"live://1\",\"at\":0,\"gap\":true,\"replay\":0}]}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", 9);
	assert_int_equal(position("chat://1"), OLD); /* the gap is not told yet */
	assert_event(CLIENT_GAP, "chat://1", 9);
	assert_int_equal(got.wait_ms, 12);
	assert_int_equal(position("chat://1"), 9);
	assert_event(CLIENT_JOINED, "live://1", 0);
	assert_event(CLIENT_GAP, "live://1", 0);
	assert_no_news();
	assert_int_equal(position("live://1"), OLD); /* 0 is none */
}

static void pushes_of_rooms_that_are_not_joined_are_dropped(void **state)
{
	(void)state;
	assert_int_equal(push(here, "chat://9", OLD), 0);
	join_at(OLD);
	assert_int_equal(client_rooms_leave(rooms, "chat://1"), 0);
	assert_int_equal(push(here, "chat://1", OLD + 1), 0);
	assert_int_equal(push(here, "chat://1", 0), 0);
	assert_asked(3, OP_LEAVE, "{\"rooms\":[\"chat://1\"]}");
	assert_int_equal(push(here, "chat://1", 0), 0);
	assert_int_equal(show(here, OP_LEAVE_REPLY, 3, "{\"rooms\":1}"), 0);
	assert_int_equal(client_rooms_leave(rooms, "chat://1"), -ENOENT);
	assert_no_news();
}

static void between_two_joins_nothing_is_delivered(void **state)
{
	(void)state;
	join_at(OLD);
	assert_push("chat://1", OLD + 1);
	assert_int_equal(client_rooms_leave(rooms, "chat://1"), 0);
	assert_int_equal(ask(3), OP_LEAVE);
	want("chat://1", 0, 0);
	assert_asked(4, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\"}]}");
	want("chat://1", OLD, 0);
	assert_asked(5, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666000}]}");
	assert_int_equal(show(here, OP_LEAVE_REPLY, 3, "{\"rooms\":1}"), 0);
	assert_int_equal(show(here, OP_JOIN_REPLY, 4, "{\"rooms\":[{\"id\":\"chat://1\",\"at\":5,\"gap\":false}]}"), 0);
	assert_no_news();
	assert_int_equal(push(here, "chat://1", 6), 0);
	assert_int_equal(show(here, OP_JOIN_REPLY, 5,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"at\":1795999887666000,\"gap\":false}]}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD);
	assert_push("chat://1", OLD + 1);
}

static void a_room_that_may_not_be_joined_is_left_and_its_position_stays(void **state)
{
	(void)state;
	want("chat://1", OLD, 0);
	want("chat://2", 0, 0);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"error\":403},"
			      "{\"id\":\"chat://2\",\"error\":429,\"reason\":\"rooms\"}]}"),
			 0);
	assert_event(CLIENT_LEFT, "chat://1", OLD);
	assert_string_equal(got.body, "refused (403)");
	assert_event(CLIENT_LEFT, "chat://2", 0);
	assert_string_equal(got.body, "rooms");
	here = begin_with(BODY);
	assert_int_equal(ask(2), 0);
	want("chat://1", 0, 0);
	assert_asked(3, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666000}]}");
}

/* Whoever prints it as JSON, or shows it, would trip over half a character. */
static void a_long_reason_is_cut_between_two_characters(void **state)
{
	char reason[200] = "", notice[300];

	(void)state;
	for (size_t n = 0; n < 100; n += strlen("ü"))
		memcpy(reason + n, "ü", sizeof("ü"));
	join_at(OLD);
	(void)snprintf(notice, sizeof(notice), "{\"room\":\"chat://1\",\"left\":\"%s\"}", reason);
	assert_int_equal(show(here, OP_NOTICE, 0, notice), 0);
	assert_event(CLIENT_LEFT, "chat://1", OLD);
	assert_true(got.body_bytes > 50);
	assert_true(utf8_is_valid(got.body, got.body_bytes));
}

static void an_answer_that_joins_nothing_is_told_of_each_room(void **state)
{
	(void)state;
	want("chat://1", 0, 0);
	want("chat://2", 0, 0);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2, "{\"error\":400,\"reason\":\"no list\"}"), 0);
	assert_event(CLIENT_LEFT, "chat://1", 0);
	assert_event(CLIENT_LEFT, "chat://2", 0);
	assert_string_equal(got.body, "no list");
}

static void what_the_server_puts_off_is_asked_for_again(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	want("chat://1", 0, 0);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(
		show(here, OP_JOIN_REPLY, 2, "{\"rooms\":[{\"id\":\"chat://1\",\"error\":503,\"retry_ms\":640}]}"), 0);
	assert_no_news();
	assert_int_equal(ask(3), 0);
	assert_int_equal(client_rooms_due_ns(rooms, here), CLOCK_SEC + 640 * CLOCK_MS);
	seam_clock_advance(640 * CLOCK_MS);
	assert_int_equal(ask(4), OP_JOIN);
}

static void a_server_that_says_at_once_is_asked_again_after_half_a_second(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	want("chat://1", 0, 0);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(
		show(here, OP_JOIN_REPLY, 2, "{\"rooms\":[{\"id\":\"chat://1\",\"error\":503,\"retry_ms\":0}]}"), 0);
	seam_clock_advance(499 * CLOCK_MS);
	assert_int_equal(ask(3), 0);
	seam_clock_advance(CLOCK_MS);
	assert_int_equal(ask(4), OP_JOIN);
}

static void the_server_ends_a_membership(void **state)
{
	(void)state;
	join_at(OLD);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"left\":\"expired\"}"), 0);
	assert_event(CLIENT_LEFT, "chat://1", OLD);
	assert_string_equal(got.body, "expired");
	assert_int_equal(push(here, "chat://1", OLD + 1), 0);
}

static void a_back_end_leads_into_rooms(void **state)
{
	(void)state;
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":1795999887666000,\"by\":\"server\"}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD);
	assert_push("chat://1", OLD + 1);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"live://1\",\"at\":0,\"by\":\"server\"}"), 0);
	assert_event(CLIENT_JOINED, "live://1", 0);
	assert_push("live://1", 0);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"left\":\"kicked\"}"), 0);
	assert_event(CLIENT_LEFT, "chat://1", OLD + 1);
	assert_int_equal(client_rooms_wanted(rooms), 1);
	assert_no_news();
	here = begin_with(BODY);
	assert_asked(2, OP_JOIN, "{\"rooms\":[{\"id\":\"live://1\"}]}");
}

static void whoever_is_led_where_he_has_missed_something_asks_for_it(void **state)
{
	(void)state;
	join_at(OLD);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"left\":\"kicked\"}"), 0);
	assert_event(CLIENT_LEFT, "chat://1", OLD);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":1795999887666002,\"by\":\"server\"}"),
			 0);
	assert_no_news();
	assert_int_equal(push(here, "chat://1", OLD + 3), 0);
	assert_asked(3, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666000}]}");
	assert_int_equal(show(here, OP_JOIN_REPLY, 3,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"at\":1795999887666000,\"gap\":false,\"replay\":3}]}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD);
	assert_push("chat://1", OLD + 1);
}

/* What came between the two would come twice, or be left out in silence. */
static void whoever_is_led_where_he_has_asked_already_goes_on_from_the_answer(void **state)
{
	(void)state;
	want("chat://1", 0, 3);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":1795999887666005,\"by\":\"server\"}"),
			 0);
	assert_no_news();
	assert_int_equal(push(here, "chat://1", OLD + 6), 0);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"at\":1795999887666005,\"gap\":false,\"replay\":3}]}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD + 5);
	for (int i = 6; i <= 8; i++)
		assert_push("chat://1", OLD + i);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"left\":\"kicked\"}"), 0);
	assert_event(CLIENT_LEFT, "chat://1", OLD + 8);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":1795999887666008,\"by\":\"server\"}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD + 8);
	assert_no_news();
}

/* A server lets a client into fewer rooms by JOIN than with those. */
static void what_the_application_wants_is_asked_for_before_what_a_back_end_wanted(void **state)
{
	char notice[80];

	(void)state;
	for (int i = 1; i <= 3; i++) {
		(void)snprintf(notice, sizeof(notice), "{\"room\":\"live://%d\",\"at\":0,\"by\":\"server\"}", i);
		assert_int_equal(show(here, OP_NOTICE, 0, notice), 0);
		(void)snprintf(notice, sizeof(notice), "live://%d", i);
		assert_event(CLIENT_JOINED, notice, 0);
	}
	want("chat://1", 0, 0);
	want("live://3", 0, 0);
	here = begin_with(BODY);
	assert_int_equal(ask(2), OP_JOIN);
	assert_memory_equal(asked, "{\"rooms\":[{\"id\":\"chat://1\"},{\"id\":\"live://3\"},",
			    strlen("{\"rooms\":[{\"id\":\"chat://1\"},{\"id\":\"live://3\"},"));
}

/* ---- the user's stream ---- */

static void come(int64_t at, bool gap)
{
	here = client_rooms_begin(
		rooms, &(struct client_welcome){
			       .max_body = BODY, .max_rooms = 100, .has_user = true, .user = {at, gap, 1, 9}});
}

static void assert_acked(int64_t number)
{
	assert_int_equal(ask(9), OP_ACK);
	assert_int_equal((int64_t)packet_get_i32((uint8_t *)asked) << 32 |
				 (uint32_t)packet_get_i32((uint8_t *)asked + 4),
			 number);
}

static void what_is_done_of_the_users_stream_is_confirmed_once_a_second(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	come(OLD, false);
	assert_event(CLIENT_JOINED, "", OLD);
	assert_int_equal(position(""), OLD);
	assert_acked(OLD);
	assert_push("", OLD + 1);
	assert_push("", 0);
	assert_int_equal(push(here, "", OLD + 1), 0);
	assert_int_equal(push(here, "", OLD + 2), 1);
	assert_int_equal(ask(9), 0);
	seam_clock_advance(CLOCK_SEC);
	assert_acked(OLD + 1);
	client_rooms_done(rooms);
	assert_int_equal(client_rooms_due_ns(rooms, here), 3 * CLOCK_SEC);
	assert_int_equal(client_rooms_leave(rooms, ""), -ENOENT);
	assert_int_equal(client_rooms_wanted(rooms), 0);
}

static void the_users_stream_goes_on_from_its_position(void **state)
{
	(void)state;
	want("", OLD, 0);
	assert_int_equal(position(""), OLD);
	come(OLD, false);
	assert_event(CLIENT_JOINED, "", OLD);
	assert_int_equal(got.replay, 1);
	assert_push("", OLD + 1);
	come(OLD + 7, true);
	assert_event(CLIENT_JOINED, "", OLD + 7);
	assert_event(CLIENT_GAP, "", OLD + 7);
	assert_int_equal(got.wait_ms, 9);
	assert_push("", OLD + 8);
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"\",\"at\":1795999887667000,\"gap\":true}"), 0);
	assert_event(CLIENT_GAP, "", 1795999887667000);
	here = begin_with(BODY); /* where it is kept no more */
	assert_event(CLIENT_GAP, "", 0);
	assert_int_equal(position(""), 1795999887667000);
	assert_int_equal(push(here, "", 1795999887667001), 0);
	assert_push("", 0);
	assert_int_equal(ask(9), 0);
}

/* ---- connections ---- */

static void the_next_connection_goes_on_from_the_position(void **state)
{
	(void)state;
	join_at(OLD);
	want("live://1", 0, 3);
	assert_push("chat://1", OLD + 1);
	assert_int_equal(push(here, "chat://1", OLD + 2), 1); /* and the connection is lost before it was done with */
	here = begin_with(BODY);
	assert_asked(2, OP_JOIN,
		     "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666001},{\"id\":\"live://1\",\"last\":3}]}");
	assert_int_equal(push(here, "chat://1", OLD + 2), 0);
}

static void an_old_connection_brings_only_what_follows(void **state)
{
	const unsigned old = here;

	(void)state;
	join_at(OLD);
	here = begin_with(BODY);
	assert_int_equal(push(old, "chat://1", OLD + 2), 0);
	assert_int_equal(push(old, "chat://1", OLD + 1), 1);
	client_rooms_done(rooms);
	assert_int_equal(push(old, "", 0), 1);
	assert_int_equal(show(old, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"at\":7,\"gap\":true}"), 0);
	assert_no_news();
	assert_true(client_rooms_due_ns(rooms, old) == CLIENT_ROOMS_NEVER);
	assert_asked(2, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666001}]}");
}

static void a_server_without_streams_joins_nothing(void **state)
{
	(void)state;
	want("chat://1", OLD, 0);
	here = begin_with(0);
	assert_int_equal(ask(2), 0);
	assert_event(CLIENT_LEFT, "chat://1", OLD);
	assert_string_equal(got.body, "the server knows no streams");
}

static void other_packets_are_none_of_theirs(void **state)
{
	const struct packet cut = {.ver = PACKET_VER_PUSH, .body = (uint8_t[]){0, 0, 0, 0, 9, 'c'}, .body_bytes = 6};

	(void)state;
	assert_int_equal(show(here, 1000, 0, "x"), -ENOENT);
	assert_int_equal(client_rooms_take(rooms, here, &cut, &got), -EPROTO);
}

/* Packets that were never sent are answered, and what nobody can leave is ended. */
static void a_server_that_makes_things_up_ends_nothing_that_it_was_not_asked_for(void **state)
{
	const struct client_welcome welcome = {.max_body = BODY, .has_user = true, .user = {.at = OLD}};

	(void)state;
	here = client_rooms_begin(rooms, &welcome);
	assert_event(CLIENT_JOINED, "", OLD);
	assert_int_equal(ask(1), OP_ACK);
	join_at(OLD);
	show(here, OP_JOIN_REPLY, 0, "{\"error\":400,\"reason\":\"x\"}");
	show(here, OP_JOIN_REPLY, 0, "{\"rooms\":[{\"id\":\"\",\"error\":403}]}");
	show(here, OP_NOTICE, 0, "{\"room\":\"\",\"left\":\"kicked\"}");
	show(here, OP_LEAVE_REPLY, 0, "{\"rooms\":2}");
	assert_no_news();
	assert_push("chat://1", OLD + 1);
	assert_push("", OLD + 1);
}

/* They would grow beyond what a position can be. */
static void numbers_that_no_stream_has_are_not_taken(void **state)
{
	(void)state;
	join_at(OLD);
	assert_int_equal(push(here, "chat://1", INT64_C(1) << 53), -EPROTO);
	assert_int_equal(push(here, "chat://1", INT64_MAX), -EPROTO);
	assert_int_equal(push(here, "chat://1", -1), -EPROTO);
	assert_string_equal(client_rooms_wrong(rooms), "a push is without its head");
	assert_push("chat://1", OLD + 1);
}

/* Whoever believed the half of it would have holes that nobody tells him of. */
static void answers_that_no_good_server_gives_end_the_connection(void **state)
{
	static const char *const members[] = {
		"{\"id\":\"chat://1\"}",
		"{\"id\":\"chat://1\",\"at\":5}",
		"{\"id\":\"chat://1\",\"gap\":false}",
		"{\"id\":\"chat://1\",\"at\":5,\"gap\":0}",
		"{\"id\":\"chat://1\",\"at\":-1,\"gap\":false}",
		"{\"id\":\"chat://1\",\"at\":5.5,\"gap\":false}",
		"{\"id\":\"chat://1\",\"at\":\"5\",\"gap\":false}",
		"{\"id\":\"chat://1\",\"at\":9007199254740992,\"gap\":false}",
		"{\"id\":\"chat://1\",\"at\":5,\"gap\":false,\"replay\":\"1\"}",
		"{\"id\":\"chat://1\",\"at\":5,\"gap\":true,\"reload_ms\":-1}",
		"{\"id\":\"chat://1\",\"error\":\"403\"}",
		"{\"id\":\"chat://1\",\"error\":403,\"reason\":7}",
		"{\"id\":\"chat://1\",\"error\":503,\"retry_ms\":[]}",
		"{\"id\":\"chat://2\",\"at\":5,\"gap\":false}",
		"7",
		"",
	};
	static const char *const notices[] = {
		"",
		"garbage",
		"[]",
		"{\"by\":\"server\",\"at\":1}",
		"{\"room\":\"a\",\"by\":\"server\"}",
		"{\"room\":\"\",\"by\":\"server\",\"at\":1}",
		"{\"room\":7,\"by\":\"server\",\"at\":1}",
		"{\"room\":\"chat://1\",\"left\":null}",
		"{\"room\":\"chat://1\",\"gap\":1,\"at\":7}",
		"{\"room\":\"chat://1\",\"gap\":true}",
		"{\"room\":\"chat://1\",\"gap\":true,\"at\":9223372036854775807}",
		"{\"room\":\"\",\"gap\":true,\"at\":-1}",
	};
	char answer[256];

	(void)state;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		here = begin_with(BODY);
		want("chat://1", 0, 0);
		assert_int_equal(ask(2), OP_JOIN);
		(void)snprintf(answer, sizeof(answer), "{\"rooms\":[%s]}", members[i]);
		assert_int_equal(show(here, OP_JOIN_REPLY, 2, answer), -EPROTO);
		assert_string_equal(client_rooms_wrong(rooms), "the answer to JOIN is none");
		assert_no_news();
	}
	here = begin_with(BODY);
	assert_null(client_rooms_wrong(rooms));
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2, "{\"error\":400,\"reason\":{}}"), -EPROTO);
	here = begin_with(BODY);
	join_at(OLD);
	for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++) {
		assert_int_equal(show(here, OP_NOTICE, 0, notices[i]), -EPROTO);
		assert_string_equal(client_rooms_wrong(rooms), "a NOTICE is none");
		assert_no_news();
	}
	assert_int_equal(show(here, OP_NOTICE, 0, "{\"room\":\"chat://1\",\"of a newer server\":7}"), 0);
	assert_no_news();
}

static int lead(const char *room, const char *what)
{
	char notice[200];

	(void)snprintf(notice, sizeof(notice), "{\"room\":\"%s\",%s}", room, what);
	return show(here, OP_NOTICE, 0, notice);
}

/* As many by back ends as a client may join itself, and those. */
static void a_server_leads_into_no_more_rooms_than_it_lets_in(void **state)
{
	char room[32];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(room, sizeof(room), "a://%d", i);
		assert_int_equal(lead(room, "\"at\":7,\"by\":\"server\""), 0);
		assert_event(CLIENT_JOINED, room, 7);
		assert_int_equal(lead(room, "\"left\":\"kicked\""), 0);
		assert_event(CLIENT_LEFT, room, 7);
	}
	assert_int_equal(position("a://0"), 0); /* what nobody has asked for is forgotten */
	for (int i = 0; i < 200; i++) {
		(void)snprintf(room, sizeof(room), "b://%d", i);
		assert_int_equal(lead(room, "\"at\":0,\"by\":\"server\""), 0);
		assert_event(CLIENT_JOINED, room, 0);
	}
	assert_int_equal(lead("b://0", "\"at\":0,\"by\":\"server\""), 0);
	assert_int_equal(lead("c://1", "\"at\":0,\"by\":\"server\""), -EPROTO);
	assert_int_equal(client_rooms_wanted(rooms), 200);
}

/* ---- the application's state ---- */

static int64_t states[4]; /* what the next calls return */
static unsigned loaded;

static int64_t load(void *arg, const char *room)
{
	assert_ptr_equal(arg, stored);
	assert_string_equal(room, "chat://1");
	return states[loaded++];
}

static void with_states(int64_t first, int64_t second, int64_t third)
{
	const struct client_rooms_options opt = {.store = store, .arg = stored, .state = load};

	client_rooms_free(&rooms);
	loaded = 0;
	states[0] = first;
	states[1] = second;
	states[2] = third;
	assert_non_null(rooms = client_rooms_new(&opt));
	here = begin_with(BODY);
	seam_clock_set(CLOCK_SEC, 0);
}

static void a_state_is_loaded_first_and_after_a_gap_and_pushes_go_on_behind_it(void **state)
{
	(void)state;
	with_states(OLD, OLD + 60, 0);
	want("chat://1", 0, 0);
	assert_asked(2, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666000}]}");
	assert_string_equal(stored, "chat://1 1795999887666000 ");
	assert_int_equal(show(here, OP_JOIN_REPLY, 2,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"at\":1795999887666000,\"gap\":false}]}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD);
	assert_int_equal(lead("chat://1", "\"at\":1795999887666050,\"gap\":true,\"reload_ms\":40"), 0);
	assert_event(CLIENT_GAP, "chat://1", OLD + 50);
	assert_push("chat://1", OLD + 51); /* before the state */
	assert_int_equal(ask(3), 0);
	assert_int_equal(client_rooms_due_ns(rooms, here), CLOCK_SEC + 40 * CLOCK_MS);
	seam_clock_advance(40 * CLOCK_MS);
	assert_asked(4, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666060}]}");
	assert_int_equal(push(here, "chat://1", OLD + 61), 0); /* of the membership that ends: it comes again */
	here = begin_with(BODY);
	assert_asked(5, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666060}]}");
	assert_int_equal(loaded, 2);
}

static void a_wish_does_not_stand_for_the_state_that_a_gap_asks_for(void **state)
{
	(void)state;
	with_states(OLD, OLD + 60, 0);
	want("chat://1", 0, 0);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"at\":1795999887666000,\"gap\":false}]}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD);
	assert_int_equal(lead("chat://1", "\"at\":1795999887666050,\"gap\":true,\"reload_ms\":40"), 0);
	assert_event(CLIENT_GAP, "chat://1", OLD + 50);
	want("chat://1", 0, 0);
	assert_asked(3, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666060}]}");
	assert_int_equal(loaded, 2);
}

static void a_position_is_not_stored_before_the_state_after_a_gap_is_loaded(void **state)
{
	(void)state;
	with_states(OLD, OLD + 60, 0);
	want("chat://1", 0, 0);
	assert_int_equal(ask(2), OP_JOIN);
	assert_int_equal(show(here, OP_JOIN_REPLY, 2,
			      "{\"rooms\":[{\"id\":\"chat://1\",\"at\":1795999887666000,\"gap\":false}]}"),
			 0);
	assert_event(CLIENT_JOINED, "chat://1", OLD);
	assert_int_equal(lead("chat://1", "\"at\":1795999887666050,\"gap\":true,\"reload_ms\":40"), 0);
	assert_event(CLIENT_GAP, "chat://1", OLD + 50);
	assert_push("chat://1", OLD + 51);
	assert_string_equal(stored, "chat://1 1795999887666000 ");
	seam_clock_advance(40 * CLOCK_MS);
	assert_int_equal(ask(3), OP_JOIN);
	assert_string_equal(stored, "chat://1 1795999887666000 chat://1 1795999887666060 ");
}

static void of_a_room_into_which_a_back_end_leads_the_state_is_loaded(void **state)
{
	(void)state;
	with_states(OLD, 0, 0);
	assert_int_equal(lead("chat://1", "\"at\":1795999887666003,\"by\":\"server\""), 0);
	assert_no_news();
	assert_asked(2, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666000}]}");
	assert_int_equal(loaded, 1);
}

static void a_state_that_cannot_be_loaded_now_is_asked_for_again(void **state)
{
	(void)state;
	with_states(-1, 0, OLD);
	want("chat://1", 0, 0);
	assert_int_equal(ask(2), 0);
	assert_int_equal(client_rooms_due_ns(rooms, here), 4 * CLOCK_SEC);
	seam_clock_advance(3 * CLOCK_SEC);
	assert_asked(3, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\"}]}");
	assert_string_equal(stored, "");
	here = begin_with(BODY);
	assert_asked(4, OP_JOIN, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":1795999887666000}]}");
	assert_int_equal(loaded, 3);
}

static void what_is_not_confirmed_is_asked_for_only_without_a_position(void **state)
{
	const struct client_rooms_options opt = {.unacked = true};

	(void)state;
	assert_false(client_rooms_unacked(rooms));
	client_rooms_free(&rooms);
	assert_non_null(rooms = client_rooms_new(&opt));
	assert_true(client_rooms_unacked(rooms));
	here = client_rooms_begin(
		rooms, &(struct client_welcome){.max_body = BODY, .has_user = true, .user = {OLD, true, 3, 9}});
	assert_event(CLIENT_JOINED, "", OLD);
	assert_true(client_rooms_unacked(rooms)); /* the gap is not told yet */
	assert_event(CLIENT_GAP, "", OLD);
	assert_false(client_rooms_unacked(rooms));
	assert_push("", OLD + 1);
}

static void without_memory_nothing_is_wanted_or_asked(void **state)
{
	const struct client_wish wish = {.room = "chat://1", .ticket = "t"};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_null(client_rooms_new(&(struct client_rooms_options){.store = NULL}));
	for (unsigned after = 0; after < 2; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(client_rooms_join(rooms, &wish), -ENOMEM);
		assert_int_equal(ask(2), 0);
	}
	seam_reset();
	want("chat://1", OLD, 0);
	assert_int_equal(ask(2), OP_JOIN);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		test(what_is_wanted_is_asked_for_once),
		test(many_rooms_take_as_few_packets_as_they_fit_into),
		test(a_wish_that_no_packet_holds_is_told),
		test(wishes_that_no_room_has_are_refused),
		test(pushes_move_the_position_once_the_application_is_done),
		test(repetitions_are_dropped),
		test(pushes_without_a_number_are_delivered_and_leave_the_position),
		test(a_jump_of_the_server_is_a_gap),
		test(a_notice_of_a_gap_moves_the_position_down_as_well),
		test(the_position_of_a_gap_that_was_not_seen_to_is_not_stored),
		test(an_answer_to_a_position_keeps_it),
		test(an_answer_with_a_gap_is_two_events),
		test(pushes_of_rooms_that_are_not_joined_are_dropped),
		test(between_two_joins_nothing_is_delivered),
		test(a_room_that_may_not_be_joined_is_left_and_its_position_stays),
		test(a_long_reason_is_cut_between_two_characters),
		test(an_answer_that_joins_nothing_is_told_of_each_room),
		test(what_the_server_puts_off_is_asked_for_again),
		test(a_server_that_says_at_once_is_asked_again_after_half_a_second),
		test(the_server_ends_a_membership),
		test(a_back_end_leads_into_rooms),
		test(whoever_is_led_where_he_has_missed_something_asks_for_it),
		test(whoever_is_led_where_he_has_asked_already_goes_on_from_the_answer),
		test(what_the_application_wants_is_asked_for_before_what_a_back_end_wanted),
		test(what_is_done_of_the_users_stream_is_confirmed_once_a_second),
		test(the_users_stream_goes_on_from_its_position),
		test(the_next_connection_goes_on_from_the_position),
		test(an_old_connection_brings_only_what_follows),
		test(a_server_without_streams_joins_nothing),
		test(other_packets_are_none_of_theirs),
		test(a_server_that_makes_things_up_ends_nothing_that_it_was_not_asked_for),
		test(numbers_that_no_stream_has_are_not_taken),
		test(answers_that_no_good_server_gives_end_the_connection),
		test(a_server_leads_into_no_more_rooms_than_it_lets_in),
		test(a_state_is_loaded_first_and_after_a_gap_and_pushes_go_on_behind_it),
		test(a_state_that_cannot_be_loaded_now_is_asked_for_again),
		test(a_wish_does_not_stand_for_the_state_that_a_gap_asks_for),
		test(a_position_is_not_stored_before_the_state_after_a_gap_is_loaded),
		test(of_a_room_into_which_a_back_end_leads_the_state_is_loaded),
		test(what_is_not_confirmed_is_asked_for_only_without_a_position),
		test(without_memory_nothing_is_wanted_or_asked),
	};
#undef test

	return cmocka_run_group_tests(tests, NULL, NULL);
}
