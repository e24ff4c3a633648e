/* Tests of common/wire/wire: requests, replies and entries of streams go there and back. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/wire/wire.h"
#include "tests/unit/seam.h"

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* ---- requests ---- */

static struct wire_request there_and_back(const struct wire_request *request)
{
	struct wire_request back;
	char *text;
	size_t bytes;

	assert_int_equal(wire_request_encode(request, &text, &bytes), 0);
	assert_int_equal(bytes, strlen(text));
	assert_int_equal(wire_request_decode(text, bytes, &back), 0);
	free(text);
	assert_int_equal(back.method, request->method);
	assert_string_equal(back.id, request->id);
	assert_string_equal(back.server, request->server);
	assert_string_equal(back.reply, request->reply);
	assert_int_equal(back.connect.expires_ms, request->connect.expires_ms);
	return back;
}

static struct wire_reply heard_as(const struct wire_reply *reply)
{
	struct wire_reply heard;
	char *text;
	size_t bytes;

	assert_int_equal(wire_reply_encode(reply, &text, &bytes), 0);
	assert_int_equal(wire_reply_decode(text, bytes, &heard), 0);
	free(text);
	assert_string_equal(heard.id, reply->id);
	assert_int_equal(heard.rc, reply->rc);
	return heard;
}

static struct wire_request request_of(enum wire_method method)
{
	return (struct wire_request){
		.method = method,
		.id = "n-1",
		.server = "comet-1",
		.reply = "comet:reply:comet-1",
		.connect = {.expires_ms = 1795490254837},
		.seat = {.key = "user-7", .session_id = UINT64_C(1795490252826586), .user.mid = -3},
	};
}

static void a_connect_carries_any_token(void **state)
{
	static const uint8_t every_byte[] = {0, 1, '"', '\\', 0x7f, 0x80, 0xff, 'a'};
	static const struct {
		const void *bytes;
		size_t n;
	} tokens[] = {{"", 0},         {"{\"mid\":1}", 9}, {every_byte, 8},
		      {every_byte, 7}, {every_byte, 6},    {every_byte + 1, 1},
		      {"\xc3\xa4", 2}, {"\xc3", 1},        {"a\0b", 3}};

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		struct wire_request request = request_of(WIRE_CONNECT), back;

		request.connect.token = tokens[i].bytes;
		request.connect.token_bytes = tokens[i].n;
		request.connect.peer = "10.0.0.9";
		back = there_and_back(&request);
		assert_int_equal(back.connect.token_bytes, tokens[i].n);
		assert_memory_equal(back.connect.token, tokens[i].bytes, tokens[i].n);
		assert_string_equal(back.connect.peer, "10.0.0.9");
		wire_request_fini(&back);
	}
}

static void disconnect_and_heartbeat_name_a_registration(void **state)
{
	(void)state;
	for (enum wire_method method = WIRE_DISCONNECT; method <= WIRE_HEARTBEAT; method++) {
		struct wire_request request = request_of(method), back = there_and_back(&request);

		assert_string_equal(back.seat.key, "user-7");
		assert_true(back.seat.session_id == request.seat.session_id);
		assert_int_equal(back.seat.user.mid, -3);
		wire_request_fini(&back);
	}
}

static void a_user_s_name_goes_along(void **state)
{
	struct wire_request request = request_of(WIRE_HEARTBEAT), back;

	(void)state;
	request.seat.user = (struct user){.name = "auth0|5f_%7 \xc3\xa4"};
	back = there_and_back(&request);
	assert_string_equal(back.seat.user.name, request.seat.user.name);
	assert_int_equal(back.seat.user.mid, 0);
	wire_request_fini(&back);
}

static void a_user_who_is_none_is_refused(void **state)
{
	static const char *const users[] = {"\"\"", "7", "\"a\\u0000b\"", "\"a\\nb\"", "null", "[]"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		struct wire_request back;

		(void)snprintf(text, sizeof(text),
			       "{\"id\":\"1\",\"method\":\"heartbeat\",\"server\":\"s\",\"key\":\"k\",\"user\":%s}",
			       users[i]);
		assert_int_equal(wire_request_decode(text, strlen(text), &back), -EBADMSG);
		wire_request_fini(&back);
	}
}

static void a_packet_keeps_its_header_and_its_bytes(void **state)
{
	struct wire_request request = request_of(WIRE_RECEIVE), back;
	uint8_t body[] = {0xff, 0, 'x'};

	(void)state;
	request.packet =
		(struct packet){.op = -5, .ver = 1, .seq = INT32_MIN, .body = body, .body_bytes = sizeof(body)};
	back = there_and_back(&request);
	assert_int_equal(back.packet.op, -5);
	assert_int_equal(back.packet.ver, 1);
	assert_int_equal(back.packet.seq, INT32_MIN);
	assert_int_equal(back.packet.body_bytes, sizeof(body));
	assert_memory_equal(back.packet.body, body, sizeof(body));
	wire_request_fini(&back);
}

static void rooms_that_json_cannot_name_are_left_out(void **state)
{
	struct wire_request request = request_of(WIRE_RENEW_ONLINE), back;
	const struct wire_room_count rooms[] = {{"live://1", 3}, {"\xff", 9}, {"1", 0}};

	(void)state;
	request.load = (struct wire_load){.connections = 12, .addresses = 7};
	request.rooms = rooms;
	request.n_rooms = 3;
	back = there_and_back(&request);
	assert_int_equal(back.load.connections, 12);
	assert_int_equal(back.load.addresses, 7);
	assert_int_equal(back.n_rooms, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(back.rooms[i].count, strcmp(back.rooms[i].room, "1") == 0 ? 0 : 3);
	wire_request_fini(&back);
}

static void the_upgrade_of_a_websocket_survives(void **state)
{
	static const char headers[] = "Cookie: a=b\nX: \xff\n";
	struct wire_request request = request_of(WIRE_CONNECT), back;

	(void)state;
	request.connect.token = (const uint8_t *)"t";
	request.connect.token_bytes = 1;
	request.connect.peer = "10.0.0.9";
	back = there_and_back(&request);
	assert_int_equal(back.connect.upgrade.query_bytes, 0);
	assert_int_equal(back.connect.upgrade.headers_bytes, 0);
	assert_null(back.connect.new_key);
	wire_request_fini(&back);
	request.connect.new_key = "a-key";
	request.connect.upgrade = (struct upgrade){"a=b", 3, headers, sizeof(headers) - 1, NULL};
	back = there_and_back(&request);
	assert_int_equal(back.connect.upgrade.query_bytes, 3);
	assert_memory_equal(back.connect.upgrade.query, "a=b", 3);
	assert_int_equal(back.connect.upgrade.headers_bytes, sizeof(headers) - 1);
	assert_memory_equal(back.connect.upgrade.headers, headers, sizeof(headers) - 1);
	assert_null(back.connect.upgrade.owned);
	assert_string_equal(back.connect.new_key, "a-key");
	wire_request_fini(&back);
}

static void grants_survive_in_replies(void **state)
{
	static const char bad[] = "{\"id\":\"1\",\"code\":0,\"grants\":{\"rooms\":1}}";
	struct wire_reply reply = {.id = "1"}, heard;
	bool bad_ops;
	json_t *rooms = json_pack("[s]", "a://*");
	char *text;
	size_t bytes;

	(void)state;
	assert_int_equal(grants_read(rooms, NULL, &reply.session.grants, &bad_ops), 0);
	json_decref(rooms);
	assert_int_equal(wire_reply_encode(&reply, &text, &bytes), 0);
	assert_string_equal(text, "{\"id\":\"1\",\"code\":0,\"grants\":{\"rooms\":[\"a://*\"],\"ops\":[]}}");
	assert_int_equal(wire_reply_decode(text, bytes, &heard), 0);
	assert_true(grants_room(heard.session.grants, "a://7"));
	wire_reply_fini(&heard);
	wire_reply_fini(&reply);
	free(text);
	assert_int_equal(wire_reply_decode(bad, sizeof(bad) - 1, &heard), -EBADMSG);
	wire_reply_fini(&heard);
}

static void an_upgrade_that_is_too_long_is_no_request(void **state)
{
	char text[UPGRADE_BYTES + 200];
	struct wire_request back;
	int n = snprintf(text, sizeof(text),
			 "{\"id\":\"1\",\"method\":\"connect\",\"server\":\"c\",\"token\":\"t\",\"query\":\"%0*d\"}",
			 UPGRADE_BYTES + 1, 0);

	(void)state;
	assert_int_equal(wire_request_decode(text, (size_t)n, &back), -EBADMSG);
	wire_request_fini(&back);
}

static void a_new_token_and_its_answer_survive(void **state)
{
	struct wire_request request = request_of(WIRE_REAUTH), back;
	struct wire_reply reply = {.id = "1", .session.lifetime_ms = 5000}, heard;

	(void)state;
	request.connect.token = (const uint8_t *)"a token";
	request.connect.token_bytes = strlen("a token");
	request.connect.peer = "10.0.0.9";
	request.connect.needs_proof = true;
	request.seat = (struct seat){.key = "k", .session_id = 4, .user.mid = 7};
	request.connect.certified = "ann";
	request.connect.certified_ms = 3600000;
	back = there_and_back(&request);
	assert_int_equal(back.connect.token_bytes, strlen("a token"));
	assert_memory_equal(back.connect.token, "a token", strlen("a token"));
	assert_string_equal(back.connect.peer, "10.0.0.9");
	assert_true(back.connect.needs_proof);
	assert_string_equal(back.connect.certified, "ann");
	assert_int_equal(back.connect.certified_ms, 3600000);
	assert_string_equal(back.seat.key, "k");
	assert_int_equal(back.seat.session_id, 4);
	assert_int_equal(back.seat.user.mid, 7);
	wire_request_fini(&back);

	heard = heard_as(&reply);
	assert_int_equal(heard.session.lifetime_ms, 5000);
	wire_reply_fini(&heard);
	/* What says nothing of an end has none. */
	assert_int_equal(wire_reply_decode("{\"id\":\"1\",\"code\":0}", 19, &heard), 0);
	assert_int_equal(heard.session.lifetime_ms, 0);
	wire_reply_fini(&heard);
}

static void a_question_for_rooms_and_its_answer_survive(void **state)
{
	const struct wire_room_count rooms[] = {{"vip://1", 0}, {"vip://2", 0}};
	struct wire_request request = request_of(WIRE_PERMIT), back;
	struct wire_reply reply = {.id = "1"}, heard;

	(void)state;
	request.connect.token = (const uint8_t *)"one\n\xff";
	request.connect.token_bytes = 5;
	request.connect.peer = "10.0.0.9";
	request.seat = (struct seat){.key = "k", .session_id = 4, .user.mid = 7};
	request.rooms = rooms;
	request.n_rooms = 2;
	back = there_and_back(&request);
	assert_int_equal(back.connect.token_bytes, 5);
	assert_memory_equal(back.connect.token, "one\n\xff", 5);
	assert_string_equal(back.seat.key, "k");
	assert_int_equal(back.n_rooms, 2);
	wire_request_fini(&back);

	assert_int_equal(grants_add_pass(&reply.session.grants, "vip://1", 5000), 0);
	heard = heard_as(&reply);
	assert_int_not_equal(grants_room_until(heard.session.grants, "vip://1"), 0);
	assert_int_equal(grants_room_until(heard.session.grants, "vip://2"), 0);
	grants_free(&reply.session.grants);
	wire_reply_fini(&heard);
}

static void requests_that_are_none_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"null",
		"{}",
		"{\"method\":\"connect\"}",
		"{\"method\":\"connect\",\"server\":\"\"}",
		"{\"method\":\"dance\",\"server\":\"a\"}",
		"{\"method\":7,\"server\":\"a\"}",
		"{\"method\":\"connect\",\"server\":[]}",
		"{\"method\":\"connect\",\"server\":\"a\",\"server\":\"b\"}",
		"{\"method\":\"connect\",\"server\":\"a\",\"expires\":-1}",
		"{\"method\":\"connect\",\"server\":\"a\",\"expires\":1.5}",
		"{\"method\":\"connect\",\"server\":\"a\",\"token\":1}",
		"{\"method\":\"connect\",\"server\":\"a\",\"token64\":\"!!!!\"}",
		"{\"method\":\"connect\",\"server\":\"a\",\"token64\":\"QQ\"}",
		"{\"method\":\"connect\",\"server\":\"a\",\"token64\":\"=\"}",
		"{\"method\":\"disconnect\",\"server\":\"a\"}",
		"{\"method\":\"reauth\",\"server\":\"a\",\"token\":\"t\"}",
		"{\"method\":\"reauth\",\"server\":\"a\",\"key\":\"k\",\"token\":1}",
		"{\"method\":\"disconnect\",\"server\":\"a\",\"key\":\"\"}",
		"{\"method\":\"disconnect\",\"server\":\"a\",\"key\":\"k\",\"session\":-1}",
		"{\"method\":\"disconnect\",\"server\":\"a\",\"key\":\"k\",\"mid\":\"1\"}",
		"{\"method\":\"receive\",\"server\":\"a\",\"key\":\"k\",\"op\":2147483648}",
		"{\"method\":\"renew_online\",\"server\":\"a\",\"rooms\":[]}",
		"{\"method\":\"renew_online\",\"server\":\"a\",\"rooms\":{\"r\":\"1\"}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct wire_request request;

		if (wire_request_decode(texts[i], strlen(texts[i]), &request) != -EBADMSG)
			fail_msg("taken for a request: %s", texts[i]);
		wire_request_fini(&request);
	}
}

static void a_key_of_the_longest_length_is_taken_and_none_beyond(void **state)
{
	(void)state;
	for (size_t n = WIRE_KEY_BYTES - 1; n <= WIRE_KEY_BYTES; n++) {
		struct wire_request request = request_of(WIRE_DISCONNECT), back;
		char key[WIRE_KEY_BYTES + 1], *text;
		size_t bytes;

		memset(key, 'k', n);
		key[n] = '\0';
		request.seat.key = key;
		assert_int_equal(wire_request_encode(&request, &text, &bytes), 0);
		assert_int_equal(wire_request_decode(text, bytes, &back), n < WIRE_KEY_BYTES ? 0 : -EBADMSG);
		wire_request_fini(&back);
		free(text);
	}
}

/* ---- replies ---- */

static void a_session_arrives_whole(void **state)
{
	int32_t accepts[] = {1000, -1, INT32_MAX};
	struct wire_reply reply = {
		.id = "n-1",
		.session = {.id = UINT64_C(1795490252826586),
			    .mid = 123,
			    .dialect = DIALECT_V1,
			    .heartbeat_ms = 480000,
			    .takes_over = true,
			    .key = "user-7",
			    .room = "live://1",
			    .accepts = accepts,
			    .n_accepts = 3},
	};
	struct wire_reply back;

	(void)state;
	back = heard_as(&reply);
	assert_string_equal(back.id, "n-1");
	assert_int_equal(back.rc, 0);
	assert_true(back.session.id == reply.session.id);
	assert_int_equal(back.session.mid, 123);
	assert_int_equal(back.session.dialect, DIALECT_V1);
	assert_int_equal(back.session.heartbeat_ms, 480000);
	assert_true(back.session.takes_over);
	assert_string_equal(back.session.key, "user-7");
	assert_string_equal(back.session.room, "live://1");
	assert_int_equal(back.session.n_accepts, 3);
	assert_memory_equal(back.session.accepts, accepts, sizeof(accepts));
	wire_reply_fini(&back);
}

static void a_session_s_user_may_have_a_name(void **state)
{
	struct wire_reply reply = {.id = "1", .session = {.key = "k", .name = "user@example.com"}}, back;

	(void)state;
	back = heard_as(&reply);
	assert_string_equal(back.session.name, "user@example.com");
	assert_string_equal(wire_session_seat(&back.session).user.name, "user@example.com");
	wire_reply_fini(&back);
	assert_null(wire_session_seat(&back.session).user.name);
}

static void a_refusal_keeps_its_words_as_far_as_there_is_room(void **state)
{
	struct wire_reply reply = {.id = "1", .rc = -ERR_REFUSED}, back;
	char longer[400];
	size_t bytes;

	(void)state;
	strcpy(reply.session.refusal, "the token has expired");
	back = heard_as(&reply);
	assert_int_equal(back.rc, -ERR_REFUSED);
	assert_string_equal(back.session.refusal, "the token has expired");
	wire_reply_fini(&back);

	(void)snprintf(longer, sizeof(longer), "{\"id\":\"1\",\"code\":403,\"message\":\"%0300d\"}", 7);
	assert_int_equal(wire_reply_decode(longer, strlen(longer), &back), 0);
	assert_int_equal(strlen(back.session.refusal), WIRE_TEXT_BYTES - 1);
	wire_reply_fini(&back);

	/* Of characters of three bytes as many as are whole. */
	bytes = (size_t)snprintf(longer, sizeof(longer), "{\"id\":\"1\",\"code\":403,\"message\":\"");
	for (int i = 0; i < 100; i++)
		bytes += (size_t)snprintf(longer + bytes, sizeof(longer) - bytes, "\xe2\x82\xac");
	(void)snprintf(longer + bytes, sizeof(longer) - bytes, "\"}");
	assert_int_equal(wire_reply_decode(longer, strlen(longer), &back), 0);
	assert_int_equal(strlen(back.session.refusal), (WIRE_TEXT_BYTES - 1) / 3 * 3);
	wire_reply_fini(&back);
}

static void any_other_code_is_a_logic_that_failed(void **state)
{
	static const char text[] = "{\"id\":\"1\",\"code\":500}";
	struct wire_reply reply = {.id = "1", .rc = -ENOMEM}, back;
	char *encoded;
	size_t bytes;

	(void)state;
	assert_int_equal(wire_reply_decode(text, strlen(text), &back), 0);
	assert_int_equal(back.rc, -ERR_NO_LOGIC);
	wire_reply_fini(&back);
	assert_int_equal(wire_reply_encode(&reply, &encoded, &bytes), 0);
	assert_string_equal(encoded, "{\"id\":\"1\",\"code\":503}");
	free(encoded);
}

static void replies_that_are_none_are_refused(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"id\":\"1\"}",
		"{\"id\":1,\"code\":0}",
		"{\"id\":\"\",\"code\":0}",
		"{\"id\":\"1\",\"code\":\"0\"}",
		"{\"id\":\"1\",\"code\":0,\"session\":\"7\"}",
		"{\"id\":\"1\",\"code\":0,\"accepts\":7}",
		"{\"id\":\"1\",\"code\":0,\"accepts\":[\"7\"]}",
		"{\"id\":\"1\",\"code\":0,\"accepts\":[2147483648]}",
		"{\"id\":\"1\",\"code\":0,\"dialect\":9}",
		"{\"id\":\"1\",\"code\":0,\"heartbeat_ms\":-1}",
		"{\"id\":\"1\",\"code\":0,\"rooms\":7}",
		"{\"id\":\"1\",\"code\":0,\"rooms\":{\"r\":null}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct wire_reply reply;

		if (wire_reply_decode(texts[i], strlen(texts[i]), &reply) != -EBADMSG)
			fail_msg("taken for a reply: %s", texts[i]);
		wire_reply_fini(&reply);
	}
}

/* ---- entries ---- */

/* Encode, then decode from copies that end with no zero byte. */
static void push_there_and_back(const struct wire_push *push, struct wire_pushed *back)
{
	struct wire_field fields[WIRE_ENTRY_FIELDS + 3];
	struct wire_entry entry;
	size_t n;

	*back = (struct wire_pushed){0};
	assert_int_equal(wire_entry_encode(push, &entry), 0);
	for (n = 0; n < entry.n; n++) {
		char *copy = malloc(entry.fields[n].value_bytes + 1);

		assert_non_null(copy);
		memcpy(copy, entry.fields[n].value, entry.fields[n].value_bytes);
		copy[entry.fields[n].value_bytes] = 'X';
		fields[n] = (struct wire_field){entry.fields[n].name, copy, entry.fields[n].value_bytes};
	}
	fields[n++] = (struct wire_field){"from", "logic-1", 7};
	fields[n++] = (struct wire_field){"seq", "42", 2};
	fields[n++] = (struct wire_field){"n", "17", 2};
	assert_int_equal(wire_pushed_decode(fields, n, back), 0);
	assert_memory_equal(back->from, "logic-1", back->from_bytes);
	assert_int_equal(back->from_bytes, 7);
	assert_int_equal(back->seq, 42);
	assert_int_equal(back->number, 17);
	for (size_t i = 0; i < entry.n; i++)
		free((char *)(uintptr_t)fields[i].value);
	wire_entry_fini(&entry);
}

static struct message *message_of(const void *body, uint32_t bytes)
{
	struct message *message;

	assert_int_equal(message_new(1000, body, bytes, &message), 0);
	return message;
}

static void a_push_to_keys_arrives_whole(void **state)
{
	const char *const keys[] = {"a", "user \"7\"", "\xc3\xa4"};
	struct wire_push push = {.target = WIRE_KEYS, .message = message_of("\0\xff!", 3), .keys = keys, .n_keys = 3};
	struct wire_pushed back;

	(void)state;
	push_there_and_back(&push, &back);
	assert_int_equal(back.push.target, WIRE_KEYS);
	assert_int_equal(back.push.message->op, 1000);
	assert_int_equal(back.push.message->body_bytes, 3);
	assert_memory_equal(message_body(back.push.message), "\0\xff!", 3);
	assert_int_equal(back.push.n_keys, 3);
	for (int i = 0; i < 3; i++)
		assert_string_equal(back.push.keys[i], keys[i]);
	assert_null(back.push.sessions);
	wire_pushed_fini(&back);
	message_unref(&push.message);
}

static void a_push_to_a_room_may_name_it_in_any_bytes(void **state)
{
	struct wire_push push = {.target = WIRE_ROOM, .message = message_of("", 0), .room = "live://\xff"};
	struct wire_pushed back;

	(void)state;
	push_there_and_back(&push, &back);
	assert_int_equal(back.push.target, WIRE_ROOM);
	assert_string_equal(back.push.room, "live://\xff");
	assert_int_equal(back.push.message->body_bytes, 0);
	wire_pushed_fini(&back);
	message_unref(&push.message);
}

static void a_push_to_all_keeps_its_speed(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct wire_push push = {
			.target = WIRE_ALL, .message = message_of("x", 1), .speed = i == 0 ? 0 : UINT32_MAX};
		struct wire_pushed back;

		push_there_and_back(&push, &back);
		assert_int_equal(back.push.target, WIRE_ALL);
		assert_true(back.push.speed == push.speed);
		wire_pushed_fini(&back);
		message_unref(&push.message);
	}
}

static void a_kick_names_sessions_and_a_reason(void **state)
{
	const char *const keys[] = {"a", "b"};
	const uint64_t sessions[] = {0, UINT64_C(1795490252826586)};
	struct wire_push push = {
		.target = WIRE_KICK, .keys = keys, .sessions = sessions, .n_keys = 2, .reason = WIRE_REPLACED};
	struct wire_pushed back;

	(void)state;
	push_there_and_back(&push, &back);
	assert_int_equal(back.push.target, WIRE_KICK);
	assert_null(back.push.message);
	assert_memory_equal(back.push.sessions, sessions, sizeof(sessions));
	assert_int_equal(back.push.reason, WIRE_REPLACED);
	wire_pushed_fini(&back);
}

static void a_kick_for_a_reason_of_tomorrow_is_a_kick(void **state)
{
	static const struct wire_field fields[] = {
		{"target", "kick", 4}, {"keys", "[\"a\"]", 5}, {"reason", "replaced at noon", 16}};
	struct wire_pushed pushed;

	(void)state;
	assert_int_equal(wire_pushed_decode(fields, 3, &pushed), 0);
	assert_int_equal(pushed.push.reason, WIRE_KICKED);
	wire_pushed_fini(&pushed);
}

/* All of a user's, or of a list, may be on one comet. */
static void a_push_to_all_keys_of_a_large_comet_comes_back(void **state)
{
	const size_t n = 1000000;
	const char **keys = calloc(n, sizeof(*keys));
	struct wire_push push = {.target = WIRE_KEYS, .message = message_of("x", 1), .keys = keys, .n_keys = n};
	struct wire_entry entry;
	struct wire_pushed back;

	(void)state;
	assert_non_null(keys);
	for (size_t i = 0; i < n; i++)
		keys[i] = "k";
	assert_int_equal(wire_entry_encode(&push, &entry), 0);
	assert_int_equal(wire_pushed_decode((const struct wire_field *)entry.fields, entry.n, &back), 0);
	assert_int_equal(back.push.n_keys, n);
	wire_pushed_fini(&back);
	wire_entry_fini(&entry);
	message_unref(&push.message);
	free(keys);
}

static void a_key_that_is_not_utf_8_cannot_be_pushed_to(void **state)
{
	const char *const keys[] = {"\xff"};
	struct wire_push push = {.target = WIRE_KEYS, .message = message_of("x", 1), .keys = keys, .n_keys = 1};
	struct wire_entry entry;

	(void)state;
	assert_int_equal(wire_entry_encode(&push, &entry), -EINVAL);
	message_unref(&push.message);
}

#define FIELD(name, value)                                                                                             \
	{                                                                                                              \
		name, value, sizeof(value) - 1                                                                         \
	}

static void entries_that_are_none_are_refused(void **state)
{
	static const struct wire_field entries[][4] = {
		{FIELD("op", "1000"), FIELD("body", "x")},
		{FIELD("target", "moon")},
		{FIELD("target", "all")},
		{FIELD("target", "all"), FIELD("op", "")},
		{FIELD("target", "all"), FIELD("op", "2147483648")},
		{FIELD("target", "all"), FIELD("op", "0x10")},
		{FIELD("target", "all"), FIELD("op", "1"), FIELD("speed", "-1")},
		{FIELD("target", "all"), FIELD("op", "1"), FIELD("speed", "4294967296")},
		{FIELD("target", "all"), FIELD("op", "1"), FIELD("seq", "1e3")},
		{FIELD("target", "all"), FIELD("op", "1"), FIELD("n", "99999999999999999999")},
		{FIELD("target", "room"), FIELD("op", "1")},
		{FIELD("target", "room"), FIELD("op", "1"), FIELD("room", "")},
		{FIELD("target", "room"), FIELD("op", "1"), FIELD("room", "a\0b")},
		{FIELD("target", "keys"), FIELD("op", "1")},
		{FIELD("target", "keys"), FIELD("op", "1"), FIELD("keys", "[]")},
		{FIELD("target", "keys"), FIELD("op", "1"), FIELD("keys", "{}")},
		{FIELD("target", "keys"), FIELD("op", "1"), FIELD("keys", "[1]")},
		{FIELD("target", "kick"), FIELD("keys", "[\"a\"]"), FIELD("sessions", "[]")},
		{FIELD("target", "kick"), FIELD("keys", "[\"a\"]"), FIELD("sessions", "[-1]")},
		{FIELD("target", "kick"), FIELD("keys", "[\"a\"]"), FIELD("reason", "")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		struct wire_pushed pushed;
		size_t n = 0;

		while (n < 4 && entries[i][n].name != NULL)
			n++;
		if (wire_pushed_decode(entries[i], n, &pushed) != -EBADMSG)
			fail_msg("entry %zu was taken for a push", i);
		wire_pushed_fini(&pushed);
	}
}

static void fields_that_are_not_known_are_skipped(void **state)
{
	static const struct wire_field fields[] = {FIELD("color", "red"), FIELD("op", "5"), FIELD("target", "all")};
	struct wire_pushed pushed;

	(void)state;
	assert_int_equal(wire_pushed_decode(fields, 3, &pushed), 0);
	assert_int_equal(pushed.push.message->op, 5);
	assert_int_equal(pushed.from_bytes, 0);
	wire_pushed_fini(&pushed);
}

static void a_word_about_what_was_lost_is_no_push(void **state)
{
	static const struct wire_field none[] = {FIELD("target", "lost")},
				       bad[] = {FIELD("target", "lost"), FIELD("had", "-1")};
	struct wire_pushed pushed;
	struct wire_entry entry;

	(void)state;
	wire_entry_had(1ULL << 60, 7, &entry);
	assert_int_equal(wire_pushed_decode(entry.fields, entry.n, &pushed), 0);
	assert_true(pushed.had == 1ULL << 60);
	assert_null(pushed.push.message);
	wire_pushed_fini(&pushed);
	assert_int_equal(wire_pushed_decode(none, 1, &pushed), -EBADMSG);
	assert_int_equal(wire_pushed_decode(bad, 2, &pushed), -EBADMSG);
}

/* ---- without memory ---- */

static void without_memory_nothing_is_left(void **state)
{
	static const struct wire_field fields[] = {FIELD("target", "kick"), FIELD("keys", "[\"a\",\"b\"]"),
						   FIELD("sessions", "[1,2]"), FIELD("reason", "x")};
	struct wire_pushed pushed;
	unsigned after = 0;
	int rc;

	(void)state;
	do {
		seam_reset();
		seam_fail(SEAM_ALLOC, after++, 1, ENOMEM);
		rc = wire_pushed_decode(fields, 4, &pushed);
		assert_true(rc == 0 || rc == -ENOMEM);
		wire_pushed_fini(&pushed);
	} while (seam_failed(SEAM_ALLOC) > 0);
	assert_int_equal(rc, 0);
	assert_true(after > 2);
}

#define wire_test(name) cmocka_unit_test_teardown(name, tear_down)

static void push_to_a_user_s_stream_is_read_as_it_was_written(void **state)
{
	const struct wire_field keys = {"keys", "[\"k\"]", 5}, pos = {"pos", "42", 2};
	struct wire_push push = {.target = WIRE_KEYS, .stream = "\001An%20n"};
	struct wire_field fields[WIRE_ENTRY_FIELDS + 2];
	struct wire_entry entry;
	struct wire_pushed pushed;

	(void)state;
	assert_int_equal(message_new(1000, "x", 1, &push.message), 0);
	assert_int_equal(wire_entry_encode(&push, &entry), 0);
	memcpy(fields, entry.fields, entry.n * sizeof(fields[0]));
	fields[entry.n] = keys;
	fields[entry.n + 1] = pos;
	assert_int_equal(wire_pushed_decode(fields, entry.n + 2, &pushed), 0);
	assert_string_equal(pushed.push.stream, push.stream);
	assert_null(pushed.push.room);
	assert_int_equal(pushed.push.message->number, 42);
	assert_int_equal(pushed.push.n_keys, 1);
	wire_pushed_fini(&pushed);
	wire_entry_fini(&entry);
	message_unref(&push.message);
	/* Without keys, to those who have the stream. */
	push.target = WIRE_CLEAR;
	assert_int_equal(message_new_notice(&push.message), 0);
	assert_int_equal(wire_entry_encode(&push, &entry), 0);
	assert_int_equal(wire_pushed_decode(entry.fields, entry.n, &pushed), 0);
	assert_string_equal(pushed.push.stream, push.stream);
	assert_true(pushed.push.message->notice);
	wire_pushed_fini(&pushed);
	wire_entry_fini(&entry);
	message_unref(&push.message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		wire_test(push_to_a_user_s_stream_is_read_as_it_was_written),
		wire_test(a_connect_carries_any_token),
		wire_test(disconnect_and_heartbeat_name_a_registration),
		wire_test(a_user_s_name_goes_along),
		wire_test(a_user_who_is_none_is_refused),
		wire_test(a_packet_keeps_its_header_and_its_bytes),
		wire_test(rooms_that_json_cannot_name_are_left_out),
		wire_test(the_upgrade_of_a_websocket_survives),
		wire_test(grants_survive_in_replies),
		wire_test(an_upgrade_that_is_too_long_is_no_request),
		wire_test(a_new_token_and_its_answer_survive),
		wire_test(a_question_for_rooms_and_its_answer_survive),
		wire_test(requests_that_are_none_are_refused),
		wire_test(a_key_of_the_longest_length_is_taken_and_none_beyond),
		wire_test(a_session_arrives_whole),
		wire_test(a_session_s_user_may_have_a_name),
		wire_test(a_refusal_keeps_its_words_as_far_as_there_is_room),
		wire_test(any_other_code_is_a_logic_that_failed),
		wire_test(replies_that_are_none_are_refused),
		wire_test(a_push_to_keys_arrives_whole),
		wire_test(a_push_to_all_keys_of_a_large_comet_comes_back),
		wire_test(a_push_to_a_room_may_name_it_in_any_bytes),
		wire_test(a_push_to_all_keeps_its_speed),
		wire_test(a_kick_names_sessions_and_a_reason),
		wire_test(a_kick_for_a_reason_of_tomorrow_is_a_kick),
		wire_test(a_key_that_is_not_utf_8_cannot_be_pushed_to),
		wire_test(entries_that_are_none_are_refused),
		wire_test(fields_that_are_not_known_are_skipped),
		cmocka_unit_test(a_word_about_what_was_lost_is_no_push),
		wire_test(without_memory_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
