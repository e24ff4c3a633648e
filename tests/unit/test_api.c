/* Tests of logic/api*.c: every path and every error of docs/protocol.md, section 7, over memories and a bus that remembers
 * what it was handed. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/version.h"
#include "common/http/http_guard.h"
#include "common/http/http_keys.h"
#include "common/http/http_query.h"
#include "logic/api.h"
#include "tests/unit/seam.h"

/* Longer by one byte than a user may be. */
#define HALF_USER "1234567890123456789012345678901234567890123456789012345678901234"
#define LONG_USER HALF_USER HALF_USER "5"

static struct config cfg;
static struct logic l;
static struct http_keys *keys;
static unsigned own_scopes;   /* of a key called somebody, where it is not 0, */
static const char *own_rooms; /* and its rooms */
static struct http_reply reply;
static char handed[1024]; /* the pushes, a line each */
static int bus_rc;
static struct http_guard guard, *own_guard; /* for the rates of calls inside a call, or NULL */
static bool as_a_browser;                   /* who asks: its Accept has text/html */

static int on_bus(void *self, const char *server, const struct wire_push *push)
{
	static const char *const targets[] = {"keys", "room", "all", "kick"};
	FILE *out;

	assert_null(self);
	if (bus_rc != 0)
		return bus_rc;
	out = fmemopen(handed + strlen(handed), sizeof(handed) - strlen(handed), "w");
	assert_non_null(out);
	(void)fprintf(out, "%s %s", server != NULL ? server : "*", targets[push->target]);
	for (size_t i = 0; i < push->n_keys; i++)
		(void)fprintf(out, " %s", push->keys[i]);
	if (push->room != NULL)
		(void)fprintf(out, " %s", push->room);
	if (push->speed > 0)
		(void)fprintf(out, " speed=%u", push->speed);
	if (push->message != NULL)
		(void)fprintf(out, " op=%d %.*s", push->message->op, (int)push->message->body_bytes,
			      (const char *)message_body(push->message));
	(void)fprintf(out, "\n");
	(void)fclose(out);
	return 0;
}

/* What the bus was handed since the last call. */
static const char *heard(void)
{
	static char text[sizeof(handed)];

	memcpy(text, handed, sizeof(text));
	handed[0] = '\0';
	return text;
}

static void use_key(const char *api_key)
{
	if (keys != NULL)
		http_keys_free(&keys);
	assert_int_equal(http_keys_new(api_key, "", &keys), 0);
}

static int set_up(void **state)
{
	(void)state;
	handed[0] = '\0';
	bus_rc = 0;
	as_a_browser = false;
	reply = (struct http_reply){0};
	if (config_init(&cfg) < 0)
		return -1;
	use_key("");
	own_scopes = 0;
	own_rooms = "";
	l = (struct logic){.cfg = &cfg, .bus = {.push = on_bus}};
	if (auth_new(&cfg, &l.auth) < 0 || registry_memory_new(&l.registry) < 0 ||
	    upstream_memory_new(1 << 20, &l.upstream) < 0)
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	free(reply.body);
	if (l.upstream.self != NULL)
		upstream_memory_free(&l.upstream);
	registry_memory_free(&l.registry);
	http_keys_free(&keys);
	auth_free(&l.auth);
	config_fini(&cfg);
	return 0;
}

/* ---- asking ---- */

/* As http does it; the status, and the reply in `reply`. */
static int ask_with(const char *method, const char *target, const char *body, const char *api_key)
{
	size_t path_bytes = strcspn(target, "?");
	struct http_param *params = NULL;
	struct http_request request = {.method = method, .body = (const uint8_t *)body, .peer = "127.0.0.1"};
	char *own = strdup(target), path[128];

	free(reply.body);
	reply = (struct http_reply){.status = 500, .content_type = "text/plain"};
	(void)snprintf(path, sizeof(path), "%.*s", (int)path_bytes, target);
	request.path = path;
	request.body_bytes = strlen(body);
	request.has_shown_key = api_key != NULL;
	(void)http_keys_find(keys, api_key, &request.key);
	if (own_scopes != 0)
		request.key = (struct http_key){.name = "somebody", .scopes = own_scopes};
	(void)snprintf(request.key.rooms, sizeof(request.key.rooms), "%s", own_rooms);
	request.wants_html = as_a_browser;
	request.guard = own_guard;
	request.bad_params =
		target[path_bytes] == '?' && http_params_decode(own + path_bytes + 1, &params, &request.n_params) < 0;
	request.params = params;
	api_handle(&l, &request, &reply);
	free(params);
	free(own);
	return reply.status;
}

static const char *body_of_reply(void)
{
	if (reply.body == NULL)
		return "";
	assert_int_equal(strlen(reply.body), reply.body_bytes);
	return reply.body;
}

static const char *get(const char *target)
{
	(void)ask_with("GET", target, "", NULL);
	return body_of_reply();
}

static const char *post(const char *target, const char *body)
{
	(void)ask_with("POST", target, body, NULL);
	return body_of_reply();
}

static const char *const OK = "{\"code\":0,\"message\":\"\"}";
static const char *const RET_OK = "{\"ret\":1}";
static const char *const RET_FAULT = "{\"ret\":65535}";

static void is_json_with_status(int status)
{
	assert_int_equal(reply.status, status);
	assert_string_equal(reply.content_type, "application/json; charset=utf-8");
}

/* An error of version 2, with words. */
static void is_error(int status, int code)
{
	json_t *body = json_read(body_of_reply(), reply.body_bytes, 0);

	is_json_with_status(status);
	assert_int_equal(json_integer_value(json_object_get(body, "code")), code);
	assert_true(json_string_length(json_object_get(body, "message")) > 0);
	assert_null(json_object_get(body, "data"));
	json_decref(body);
}

static void join(const char *server, const char *key, int64_t mid)
{
	char token[128];
	struct wire_connect request = {.token = (uint8_t *)token, .peer = ""};
	struct wire_session session;

	request.token_bytes =
		(size_t)snprintf(token, sizeof(token), "{\"mid\":%lld,\"key\":\"%s\"}", (long long)mid, key);
	assert_int_equal(logic_connect(&l, server, &request, &session), 0);
}

/* Where the servers of the next tell() stand, whether they send their clients away, and their doors. */
static char region[8] = "eu";
static bool leaving;
static struct client_ports doors;

static void tell(const char *id, const char *addrs, int64_t weight, int64_t connections,
		 const struct registry_room *rooms, size_t n)
{
	char id_text[16], addrs_text[128];
	const struct registry_server server = {.id = id_text,
					       .region = region,
					       .leaving = leaving,
					       .addrs = addrs_text,
					       .weight = weight,
					       .connections = connections,
					       .addresses = connections / 2,
					       .ports = doors,
					       .updated_ms = 99};

	(void)snprintf(id_text, sizeof(id_text), "%s", id);
	(void)snprintf(addrs_text, sizeof(addrs_text), "%s", addrs);
	assert_int_equal(registry_put_online(&l.registry, &server, rooms, n), 0);
}

/* ---- pushes, version 2 ---- */

static void push_to_keys(void **state)
{
	(void)state;
	join("s", "a", 0);
	join("t", "b", 0);
	join("t", "c", 0);
	assert_string_equal(post("/goim/push/keys?operation=1000&keys=a&keys=c&keys=nobody&keys=&keys=b", "hi"), OK);
	is_json_with_status(200);
	assert_string_equal(heard(), "s keys a op=1000 hi\nt keys b c op=1000 hi\n");
	assert_string_equal(post("/goim/push/keys?operation=-5&keys=nobody", "hi"), OK);
	assert_string_equal(heard(), "");
}

static void a_comma_is_a_part_of_a_key(void **state)
{
	(void)state;
	join("s", "a,b", 0);
	join("s", "a", 0);
	assert_string_equal(post("/goim/push/keys?operation=1000&keys=a%2Cb", "hi"), OK);
	assert_string_equal(heard(), "s keys a,b op=1000 hi\n");
	assert_string_equal(post("/goim/kick?keys=a,b", ""), "{\"code\":0,\"message\":\"\",\"data\":{\"kicked\":1}}");
	assert_string_equal(heard(), "s kick a,b\n");
}

static void push_to_mids(void **state)
{
	(void)state;
	join("s", "a", 7);
	join("s", "b", 7);
	assert_string_equal(post("/goim/push/mids?operation=1000&mids=7,-3&mids=9223372036854775807", ""), OK);
	assert_string_equal(heard(), "s keys a b op=1000 \n");
}

static void join_named(const char *server, const char *key, const char *name)
{
	struct seat seat = {.key = key, .user.name = name};

	assert_int_equal(registry_put(&l.registry, server, &seat, 0, NULL), 0);
}

/* A comma is a part of a name. */
static void push_to_users(void **state)
{
	(void)state;
	join_named("s", "a", "Smith, Ann");
	join_named("s", "b", "007");
	join("s", "c", 7);
	assert_string_equal(post("/goim/push/users?operation=1000&users=Smith,+Ann&users=none", "hi"), OK);
	assert_string_equal(heard(), "s keys a op=1000 hi\n");
	assert_string_equal(post("/goim/push/users?operation=1000&users=007&users=", "hi"), OK);
	assert_string_equal(heard(), "s keys b op=1000 hi\n");
	assert_string_equal(post("/goim/push/users?operation=1000&users=7&users=7,007", "hi"), OK);
	assert_string_equal(heard(), "s keys c op=1000 hi\n");
	assert_string_equal(post("/goim/kick?users=007", ""), "{\"code\":0,\"message\":\"\",\"data\":{\"kicked\":1}}");
	assert_string_equal(heard(), "s kick b\n");
}

static void push_to_a_room(void **state)
{
	(void)state;
	assert_string_equal(post("/goim/push/room?operation=1000&type=live&room=a%20b+c", "hi"), OK);
	assert_string_equal(heard(), "* room live://a b c op=1000 hi\n");
}

static void batch_is_a_push_a_line(void **state)
{
	(void)state;
	join("s1", "a", 7);
	join("s2", "b", 8);
	assert_string_equal(post("/goim/batch",
				 "{\"operation\":1000,\"mids\":[7,8],\"body\":\"one\"}\n"
				 "{\"operation\":1001,\"keys\":[\"a\"],\"body\":\"two\"}\r\n"
				 "{\"operation\":1002,\"users\":\"8\",\"tell\":true,\"body\":\"\"}\n"
				 "{\"operation\":5,\"type\":\"live\",\"room\":\"1\",\"body\":\"three\"}\n"
				 "{\"operation\":5,\"all\":true,\"speed\":9,\"body\":\"four\"}"),
			    "{\"code\":0,\"message\":\"\"}\n{\"code\":0,\"message\":\"\"}\n"
			    "{\"code\":0,\"message\":\"\",\"data\":{\"online\":1,\"offline\":0}}\n"
			    "{\"code\":0,\"message\":\"\"}\n{\"code\":0,\"message\":\"\"}\n");
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.content_type, "application/x-ndjson");
	assert_string_equal(heard(), "s1 keys a op=1000 one\ns2 keys b op=1000 one\ns1 keys a op=1001 two\n"
				     "s2 keys b op=1002 \n* room live://1 op=5 three\n* all speed=9 op=5 four\n");
}

static void query_of_a_batch_is_no_part_of_its_lines(void **state)
{
	(void)state;
	join("s1", "a", 7);
	assert_string_equal(post("/goim/batch?operation=5&x=1&y=2&z=3&all=1",
				 "{\"operation\":1000,\"mids\":[7,8],\"body\":\"\"}\n{\"mids\":7}\n"),
			    "{\"code\":0,\"message\":\"\"}\n"
			    "{\"code\":-400,\"message\":\"operation must be a whole number other than 0\"}\n");
	assert_string_equal(heard(), "s1 keys a op=1000 \n");
}

/* How many of the lines of the answer have this code. */
static size_t lines_with(const char *code)
{
	size_t n = 0;

	for (const char *at = body_of_reply(); (at = strstr(at, code)) != NULL; at++)
		n++;
	return n;
}

static void bad_lines_of_a_batch_are_answered_and_the_others_done(void **state)
{
	(void)state;
	join("s1", "a", 7);
	(void)post(
		"/goim/batch",
		"\n[]\n{\"operation\":1000,\"mids\":[7],\"body\":\"one\"}\n{\"operation\":1000,\"body\":\"\"}\n"
		"{\"operation\":1000,\"mids\":7,\"all\":1,\"body\":\"\"}\n{\"operation\":6,\"mids\":7,\"body\":\"\"}\n"
		"{\"operation\":1000,\"mids\":7,\"idempotency_key\":\"x\",\"body\":\"\"}\n{\"mids\":1.5}\n"
		"{\"operation\":1000,\"mids\":\"7\",\"body\":\"two\"}\n\n");
	assert_int_equal(lines_with("\"code\":-400"), 8);
	assert_int_equal(lines_with("\"code\":0"), 2);
	assert_string_equal(heard(), "s1 keys a op=1000 one\ns1 keys a op=1000 two\n");
	bus_rc = -EAGAIN;
	(void)post("/goim/batch",
		   "{\"operation\":1000,\"mids\":7,\"body\":\"\"}\n{\"operation\":1000,\"mids\":8,\"body\":\"\"}\n");
	assert_int_equal(lines_with("\"code\":-500"), 1); /* nobody is that user */
	assert_int_equal(lines_with("\"code\":0"), 1);
}

static void batch_is_bounded(void **state)
{
	char *lines = malloc(10001 * 2 + 1);

	(void)state;
	(void)post("/goim/batch", "");
	is_error(400, -400);
	assert_non_null(lines);
	for (size_t i = 0; i < 10001; i++)
		memcpy(lines + 2 * i, "{\n", 3);
	(void)post("/goim/batch", lines);
	is_error(413, -413);
	lines[20000] = '\0';
	(void)post("/goim/batch", lines);
	assert_int_equal(lines_with("\"code\":-400"), 10000);
	free(lines);
	(void)get("/goim/batch");
	is_error(405, -405);
}

static bool each_line_is_json(void)
{
	const char *line = reply.body, *end = reply.body + reply.body_bytes, *newline;

	for (; line < end; line = newline + 1) {
		json_t *object;

		if ((newline = memchr(line, '\n', (size_t)(end - line))) == NULL)
			return false;
		object = json_loadb(line, (size_t)(newline - line), 0, NULL);
		json_decref(object);
		if (object == NULL)
			return false;
	}
	return true;
}

static void scope_and_rooms_of_a_key_are_those_of_each_line(void **state)
{
	(void)state;
	own_scopes = HTTP_PUSH_ROOMS;
	own_rooms = "live://*";
	(void)post("/goim/batch", "{\"operation\":1000,\"mids\":7,\"body\":\"\"}\n{\"operation\":1000,\"type\":"
				  "\"live\",\"room\":\"1\",\"body\":\"\"}\n"
				  "{\"operation\":1000,\"type\":\"dm\",\"room\":\"1\",\"body\":\"\"}\n{\"operation\":"
				  "1000,\"all\":1,\"body\":\"\"}\n");
	assert_int_equal(reply.status, 200);
	assert_int_equal(lines_with("\"code\":-403"), 3);
	assert_int_equal(lines_with("push:"), 2);
	assert_true(each_line_is_json());
	assert_string_equal(heard(), "* room live://1 op=1000 \n");
	own_scopes = HTTP_ONLINE;
	(void)post("/goim/batch", "{}");
	is_error(403, -403);
}

/* The first line is in by the call's own rate. */
static void each_line_of_a_batch_counts_for_the_rate(void **state)
{
	static const struct rate rate = {.per_second = 1, .burst_ns = 2 * CLOCK_SEC};

	(void)state;
	assert_int_equal(http_guard_init(&guard, keys, &rate, NULL), 0);
	own_guard = &guard;
	(void)post("/goim/batch",
		   "{\"operation\":1000,\"mids\":7,\"body\":\"\"}\n{\"operation\":1000,\"mids\":7,\"body\":\"\"}\n"
		   "{\"operation\":1000,\"mids\":7,\"body\":\"\"}\n{\"operation\":1000,\"mids\":7,\"body\":\"\"}\n");
	own_guard = NULL;
	http_guard_fini(&guard);
	assert_int_equal(lines_with("\"code\":0"), 3);
	assert_int_equal(lines_with("\"code\":-429"), 1);
	assert_int_equal(lines_with("\"retry_after\":1}"), 1);
	assert_true(each_line_is_json());
}

/* One in flight for each line, up to 128: the order of their ends is that of their beginnings. */
static size_t begun, ended, most;

static int on_begin(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate,
		    struct bus_flight **out)
{
	(void)self;
	(void)names;
	(void)fate;
	push->message->number = ++begun;
	*out = (struct bus_flight *)push->message;
	return bus_rc;
}

static int on_end(void *self, struct bus_flight **flight)
{
	(void)self;
	if (begun - ended > most)
		most = begun - ended;
	assert_int_equal(((struct message *)*flight)->number, ++ended);
	return 0;
}

static void lines_of_a_batch_are_under_way_together_and_answered_in_order(void **state)
{
	static const char line[] = "{\"operation\":1000,\"type\":\"live\",\"room\":\"1\",\"body\":\"\"}\n";
	char *lines = calloc(300, sizeof(line));
	const char *at;

	(void)state;
	begun = ended = most = 0;
	assert_non_null(lines);
	for (size_t i = 0; i < 300; i++)
		memcpy(lines + i * (sizeof(line) - 1),
		       i == 7 ? "{\"operation\":1000,\"type\":\"live\",\"rooms\":\"\",\"body\":\"\"}\n" : line,
		       sizeof(line) - 1);
	l.bus.begin = on_begin;
	l.bus.end = on_end;
	at = post("/goim/batch", lines);
	assert_int_equal(ended, 299);
	assert_int_equal(most, 128);
	for (unsigned long i = 0, n = 0; i < 300; i++) {
		const char *position = strstr(at, "\"position\":"), *end = strchr(at, '\n');

		if (i == 7)
			assert_true(strstr(at, "-400") != NULL && position > end);
		else
			assert_int_equal(strtoul(position + 11, NULL, 10), ++n);
		at = end + 1;
	}
	assert_string_equal(at, "");
	free(lines);
}

/* Each line is answered, or the call with 500: nothing says that a push was made which was not. */
static void batch_without_memory_says_so(void **state)
{
	unsigned failed = 1;

	(void)state;
	join("s1", "a", 7);
	for (unsigned after = 0; failed > 0; after++) {
		handed[0] = '\0';
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		(void)post("/goim/batch", "{\"operation\":1000,\"mids\":[7],\"body\":\"one\",\"tell\":true}\n"
					  "{\"operation\":1000,\"keys\":[\"a\"],\"body\":\"two\"}\n");
		failed = seam_failed(SEAM_ALLOC);
		seam_reset();
		if (reply.status != 200)
			assert_int_equal(reply.status, 500);
		else
			assert_true(lines_with("\"code\":0") + lines_with("\"code\":-500") == 2);
	}
	assert_string_equal(heard(), "s1 keys a op=1000 one\ns1 keys a op=1000 two\n");
}

static void push_to_all(void **state)
{
	(void)state;
	assert_string_equal(post("/goim/push/all?operation=1000", "hi"), OK);
	assert_string_equal(heard(), "* all op=1000 hi\n");
	assert_string_equal(post("/goim/push/all?operation=2147483647&speed=12", "hi"), OK);
	assert_string_equal(heard(), "* all speed=12 op=2147483647 hi\n");
	assert_string_equal(post("/goim/push/all?operation=-2147483648&speed=0", "hi"), OK);
	assert_string_equal(post("/goim/push/all?operation=1&speed=", "hi"), OK);
}

static void kick(void **state)
{
	(void)state;
	join("s", "a", 7);
	join("s", "b", 7);
	assert_string_equal(post("/goim/kick?keys=a&keys=nobody", ""),
			    "{\"code\":0,\"message\":\"\",\"data\":{\"kicked\":1}}");
	assert_string_equal(heard(), "s kick a\n");
	assert_string_equal(post("/goim/kick?mids=7,8", ""), "{\"code\":0,\"message\":\"\",\"data\":{\"kicked\":2}}");
	assert_string_equal(heard(), "s kick a b\n");
	assert_string_equal(post("/goim/kick?mids=8", ""), "{\"code\":0,\"message\":\"\",\"data\":{\"kicked\":0}}");
}

static void what_is_missing_or_does_not_parse_is_400(void **state)
{
	static const char *const posts[] = {
		"/goim/push/keys?keys=a",
		"/goim/push/keys?operation=0&keys=a",
		"/goim/push/keys?operation=&keys=a",
		"/goim/push/keys?operation=x&keys=a",
		"/goim/push/keys?operation=1.5&keys=a",
		"/goim/push/keys?operation=%201&keys=a",
		"/goim/push/keys?operation=%2B1&keys=a",
		"/goim/push/keys?operation=-&keys=a",
		"/goim/push/keys?operation=0x10&keys=a",
		"/goim/push/keys?operation=2147483648&keys=a",
		"/goim/push/keys?operation=-2147483649&keys=a",
		"/goim/push/keys?operation=99999999999999999999&keys=a",
		"/goim/push/keys?operation=2&keys=a",
		"/goim/push/keys?operation=6&keys=a",
		"/goim/push/mids?operation=17&mids=7",
		"/goim/push/room?operation=254&type=live&room=1",
		"/goim/push/all?operation=255",
		"/goim/push/keys?operation=1",
		"/goim/push/keys?operation=1&keys=",
		"/goim/push/keys?operation=1&keys=&keys=",
		"/goim/push/keys?operation=1&keys=a&keys=%zz",
		"/goim/push/mids?mids=7",
		"/goim/push/mids?operation=0&mids=7",
		"/goim/push/mids?operation=1",
		"/goim/push/mids?operation=1&mids=",
		"/goim/push/mids?operation=1&mids=x",
		"/goim/push/mids?operation=1&mids=7&mids=7x",
		"/goim/push/mids?operation=1&mids=7,8.5",
		"/goim/push/mids?operation=1&mids=9223372036854775808",
		"/goim/push/mids?operation=1&mids=7&x=%00",
		"/goim/push/users?users=a",
		"/goim/push/users?operation=1",
		"/goim/push/users?operation=1&users=",
		"/goim/push/users?operation=1&users=a&users=b%0A",
		"/goim/push/users?operation=1&users=%ff",
		("/goim/push/users?operation=1&users=" LONG_USER),
		"/goim/push/room?type=live&room=1",
		"/goim/push/room?operation=1&room=1",
		"/goim/push/room?operation=1&type=&room=1",
		"/goim/push/room?operation=1&type=live",
		"/goim/push/room?operation=1&type=live&room=",
		"/goim/push/room?operation=1&type=live&room=1%",
		"/goim/push/room?operation=1&type=live&room=%ff",
		"/goim/room/join?type=%c3&rooms=1&mids=7",
		"/goim/push/all",
		"/goim/push/all?operation=1&speed=-1",
		"/goim/push/all?operation=1&speed=x",
		"/goim/push/all?operation=1&speed=2147483648",
		"/goim/push/all?operation=1&%",
		"/goim/kick",
		"/goim/kick?keys=",
		"/goim/kick?mids=x",
		"/goim/kick?mids=7&keys=a",
		"/goim/kick?mids=7&keys=",
		"/goim/kick?mids=7&%",
		"/goim/kick?mids=7&users=a",
		"/goim/kick?users=a&keys=a",
		"/goim/kick?users=%7f",
	};
	static const char *const gets[] = {
		"/goim/online/top?limit=1",
		"/goim/online/top?type=&limit=1",
		"/goim/online/top?type=live",
		"/goim/online/top?type=live&limit=0",
		"/goim/online/top?type=live&limit=-1",
		"/goim/online/top?type=live&limit=x",
		"/goim/online/top?type=live&limit=1&%",
		"/goim/online/room?rooms=1",
		"/goim/online/room?type=&rooms=1",
		"/goim/online/room?type=live",
		"/goim/online/room?type=live&rooms=",
		"/goim/online/room?type=live&rooms=1&rooms=%zz",
		"/goim/online/total?%",
		"/goim/connections?after=%ff",
		"/goim/nodes/weighted?platform=%",
		"/goim/nodes/instances?%",
		"/goim/upstream?wait=x",
		"/goim/upstream?wait=-1",
		"/goim/upstream?wait=60001",
		"/goim/upstream?after=x",
		"/goim/upstream?after=-1",
		"/goim/upstream?after=%",
	};

	(void)state;
	join("s", "a", 7);
	for (size_t i = 0; i < sizeof(posts) / sizeof(posts[0]); i++) {
		(void)post(posts[i], "hi");
		is_error(400, -400);
	}
	for (size_t i = 0; i < sizeof(gets) / sizeof(gets[0]); i++) {
		(void)get(gets[i]);
		is_error(400, -400);
	}
	assert_string_equal(heard(), "");
}

static void a_room_longer_than_clients_may_have_is_400(void **state)
{
	char target[512] = "/goim/push/room?operation=1&type=live&room=";
	size_t at = strlen(target);

	(void)state;
	/* With "live://" before it: one less than WIRE_ROOM_BYTES in all. */
	memset(target + at, 'x', WIRE_ROOM_BYTES - 8);
	assert_string_equal(post(target, "hi"), OK);
	target[at + WIRE_ROOM_BYTES - 8] = 'x';
	(void)post(target, "hi");
	is_error(400, -400);
}

static void faults_of_the_server_are_code_500_with_status_200(void **state)
{
	static const char *const posts[] = {"/goim/push/keys?operation=1&keys=a",
					    "/goim/push/mids?operation=1&mids=7",
					    "/goim/push/room?operation=1&type=live&room=1",
					    "/goim/push/all?operation=1",
					    "/goim/kick?keys=a",
					    "/goim/kick?mids=7"};
	static const int codes[] = {-EAGAIN, -ERR_NO_LOGIC, -ENOMEM};

	(void)state;
	join("s", "a", 7);
	for (size_t i = 0; i < sizeof(posts) / sizeof(posts[0]); i++)
		for (size_t k = 0; k < sizeof(codes) / sizeof(codes[0]); k++) {
			bus_rc = codes[k];
			(void)post(posts[i], "hi");
			is_error(200, -500);
		}
}

/* ---- counts and nodes, version 2 ---- */

static void tell_rooms(void)
{
	static char one[] = "live://1", two[] = "live://2", chat[] = "chat://a://b", number[] = "1",
		    three[] = "lively://3";
	const struct registry_room on_s[] = {{one, 3}, {chat, 5}, {number, 2}, {three, 4}};
	const struct registry_room on_t[] = {{one, 4}, {two, 7}};

	tell("s", "10.0.0.1:3101", 10, 14, on_s, 4);
	tell("t", "10.0.0.2:3101", 10, 11, on_t, 2);
}

static void the_fullest_rooms_come_first(void **state)
{
	(void)state;
	assert_string_equal(get("/goim/online/top?type=live&limit=9"), "{\"code\":0,\"message\":\"\",\"data\":[]}");
	tell_rooms();
	assert_string_equal(get("/goim/online/top?type=live&limit=9"),
			    "{\"code\":0,\"message\":\"\",\"data\":[{\"room_id\":\"1\",\"count\":7},{\"room_id\":\"2\","
			    "\"count\":7},{\"room_id\":\"3\",\"count\":4}]}");
	assert_string_equal(get("/goim/online/top?type=live&limit=1"),
			    "{\"code\":0,\"message\":\"\",\"data\":[{\"room_id\":\"1\",\"count\":7}]}");
	assert_string_equal(get("/goim/online/top?type=c&limit=2147483647"),
			    "{\"code\":0,\"message\":\"\",\"data\":[{\"room_id\":\"a://b\",\"count\":5}]}");
	assert_string_equal(get("/goim/online/top?type=none&limit=1"), "{\"code\":0,\"message\":\"\",\"data\":[]}");
}

static void rooms_asked_for_are_counted(void **state)
{
	(void)state;
	tell_rooms();
	assert_string_equal(get("/goim/online/room?type=live&rooms=1&rooms=2&rooms=3"),
			    "{\"code\":0,\"message\":\"\",\"data\":{\"1\":7,\"2\":7,\"3\":0}}");
}

static void a_room_that_cannot_be_has_nobody(void **state)
{
	char target[400] = "/goim/online/room?type=live&rooms=";

	(void)state;
	memset(target + strlen(target), 'x', 300);
	(void)get(target);
	assert_int_equal(reply.status, 200);
	assert_non_null(strstr(body_of_reply(), "xxx\":0}"));
}

static void everybody_is_counted(void **state)
{
	(void)state;
	assert_string_equal(get("/goim/online/total"),
			    "{\"code\":0,\"message\":\"\",\"data\":{\"conn_count\":0,\"ip_count\":0}}");
	tell_rooms();
	assert_string_equal(get("/goim/online/total"),
			    "{\"code\":0,\"message\":\"\",\"data\":{\"conn_count\":25,\"ip_count\":12}}");
}

static void instances_are_listed_as_they_told(void **state)
{
	(void)state;
	assert_string_equal(get("/goim/nodes/instances"), "{\"code\":0,\"message\":\"\",\"data\":[]}");
	tell("s", "10.0.0.1:3101", 10, 14, NULL, 0);
	assert_string_equal(
		get("/goim/nodes/instances"),
		"{\"code\":0,\"message\":\"\",\"data\":[{\"id\":\"s\",\"region\":\"eu\",\"addrs\":\"10.0.0.1:"
		"3101\",\"weight\":10,\"conn_count\":14,\"ip_count\":7,\"updated_ms\":99,\"delivered\":0,\"dropped\":0,"
		"\"ws_port\":0,\"wss_port\":0,\"leaving\":false}"
		"]}");
}

static void set(char **setting, const char *value)
{
	free(*setting);
	*setting = strdup(value);
	assert_non_null(*setting);
}

static void clients_are_told_where_to_connect(void **state)
{
	(void)state;
	set(&cfg.tcp_bind, "0.0.0.0:3101,[::]:3109");
	set(&cfg.websocket_bind, "[::1]:3102");
	set(&cfg.websocket_tls_bind, ":3103");
	cfg.logic_heartbeat = 480000;
	cfg.logic_heartbeat_told = 50000;
	tell("s", "[2001:db8::1]:3101,a.example:3101", 10, 1, NULL, 0);
	assert_string_equal(
		get("/goim/nodes/weighted"),
		"{\"code\":0,\"message\":\"\",\"data\":{\"domain\":\"2001:db8::1\",\"tcp_port\":3101,\"ws_port\":"
		"3102,\"wss_port\":3103,\"heartbeat\":50,\"nodes\":[\"2001:db8::1\"],\"backoff\":{\"max_delay\":"
		"300,\"base_delay\":3,\"factor\":1.8,\"jitter\":0.3},\"heartbeat_max\":9}}");
	set(&cfg.tcp_bind, "");
	set(&cfg.websocket_bind, "nonsense");
	set(&cfg.websocket_tls_bind, "");
	(void)get("/goim/nodes/weighted?platform=web");
	assert_non_null(
		strstr(body_of_reply(), "\"domain\":\"a.example\",\"tcp_port\":3101,\"ws_port\":0,\"wss_port\":0,"));
}

/* Its own settings are comet-logic's, which need not be those of the comets. */
static void ports_are_those_of_the_first_node_as_far_as_it_tells_them(void **state)
{
	(void)state;
	set(&cfg.tcp_bind, ":3101");
	set(&cfg.websocket_bind, ":3102");
	set(&cfg.websocket_tls_bind, "");
	doors = (struct client_ports){.websocket_tls = 8443};
	tell("a", "unix:/run/a,10.0.0.1:443,a.example:444", 10, 1, NULL, 0);
	doors = (struct client_ports){0};
	tell("b", "10.0.0.2", 10, 2, NULL, 0);
	assert_non_null(strstr(get("/goim/nodes/weighted"), "\"tcp_port\":443,\"ws_port\":0,\"wss_port\":8443,"));
	assert_non_null(strstr(get("/goim/nodes/weighted?platform=web"), "\"tcp_port\":444,"));
	assert_int_equal(registry_del_server(&l.registry, "a"), 0);
	assert_non_null(strstr(get("/goim/nodes/weighted"), "\"tcp_port\":3101,\"ws_port\":3102,\"wss_port\":0,"));
}

/* The nodes as `"a","b"`. */
static const char *nodes(const char *target)
{
	static char text[256];
	const char *from = strstr(get(target), "\"nodes\":[");

	assert_non_null(from);
	from += strlen("\"nodes\":[");
	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(from, "]"), from);
	return text;
}

static void the_least_loaded_by_weight_comes_first_and_five_at_most(void **state)
{
	(void)state;
	assert_string_equal(nodes("/goim/nodes/weighted"), "");
	assert_non_null(strstr(body_of_reply(), "\"domain\":\"\""));
	tell("a", "10.0.0.1:1", 10, 10, NULL, 0);
	tell("b", "10.0.0.2:1", 20, 10, NULL, 0);
	tell("c", "10.0.0.3:1", 0, 0, NULL, 0);
	tell("d", "10.0.0.4:1", 10, 10, NULL, 0);
	assert_string_equal(nodes("/goim/nodes/weighted"), "\"10.0.0.3\",\"10.0.0.2\",\"10.0.0.1\",\"10.0.0.4\"");
	tell("e", "10.0.0.5:1,10.0.0.6:1", 10, 99, NULL, 0);
	assert_string_equal(nodes("/goim/nodes/weighted"),
			    "\"10.0.0.3\",\"10.0.0.2\",\"10.0.0.1\",\"10.0.0.4\",\"10.0.0.5\"");
}

static void those_of_the_region_come_first_and_those_that_go_not_at_all(void **state)
{
	(void)state;
	tell("a", "10.0.0.1:1", 10, 1, NULL, 0);
	(void)strcpy(region, "us");
	tell("b", "10.0.0.2:1", 10, 2, NULL, 0);
	tell("c", "10.0.0.3:1", 10, 3, NULL, 0);
	leaving = true;
	tell("d", "10.0.0.4:1", 10, 0, NULL, 0);
	leaving = false;
	(void)strcpy(region, "eu");
	assert_string_equal(nodes("/goim/nodes/weighted"), "\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\"");
	assert_string_equal(nodes("/goim/nodes/weighted?region=us"), "\"10.0.0.2\",\"10.0.0.3\",\"10.0.0.1\"");
	assert_string_equal(nodes("/goim/nodes/weighted?region=asia"), "\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\"");
}

static void pages_get_names_and_others_addresses_or_what_there_is(void **state)
{
	(void)state;
	tell("a", "10.0.0.1", 10, 1, NULL, 0);
	tell("b", "b.example", 10, 2, NULL, 0);
	tell("c", "2001:db8::1", 10, 3, NULL, 0);
	assert_string_equal(nodes("/goim/nodes/weighted"), "\"10.0.0.1\",\"2001:db8::1\"");
	assert_string_equal(nodes("/goim/nodes/weighted?platform=android"), "\"10.0.0.1\",\"2001:db8::1\"");
	assert_string_equal(nodes("/goim/nodes/weighted?platform=web"), "\"b.example\"");
	assert_int_equal(registry_del_server(&l.registry, "b"), 0);
	assert_string_equal(nodes("/goim/nodes/weighted?platform=web"), "\"10.0.0.1\",\"2001:db8::1\"");
}

/* ---- upstream ---- */

static void what_clients_sent_is_handed_out(void **state)
{
	uint8_t text[] = "a \"score\"", binary[] = {0xff, 0, 0x10};
	const struct packet first = {.op = 4096, .body = text, .body_bytes = sizeof(text) - 1};
	const struct packet second = {.op = -2, .body = binary, .body_bytes = sizeof(binary)};
	struct upstream_found found;
	char wanted[512], path[64];

	(void)state;
	assert_string_equal(get("/goim/upstream"), "{\"code\":0,\"message\":\"\",\"data\":[]}");
	assert_int_equal(logic_receive(&l, "s", &(struct seat){.key = "k", .user.mid = 7}, &first), 0);
	assert_int_equal(logic_receive(&l, "s", &(struct seat){.key = "k", .user.name = "Ann"}, &second), 0);
	assert_int_equal(upstream_read(&l.upstream, &(struct upstream_query){"0", 2, 0, NULL}, &found), 0);
	assert_int_equal(found.n, 2);
	(void)snprintf(wanted, sizeof(wanted),
		       "{\"code\":0,\"message\":\"\",\"data\":[{\"id\":\"%s\",\"key\":\"k\",\"mid\":7,\"op\":4096,"
		       "\"body\":\"a \\\"score\\\"\"},{\"id\":\"%s\",\"key\":\"k\",\"mid\":0,\"op\":-2,"
		       "\"user\":\"Ann\",\"body_hex\":\"ff0010\"}]}",
		       found.entries[0].id, found.entries[1].id);
	assert_string_equal(get("/goim/upstream?after=0&wait=1000"), wanted);
	(void)snprintf(path, sizeof(path), "/goim/upstream?after=%s", found.entries[1].id);
	assert_string_equal(get(path), "{\"code\":0,\"message\":\"\",\"data\":[]}");
	upstream_found_fini(&found);
}

static int broken_upstream;

static int read_broken(void *self, const struct upstream_query *query, struct upstream_found *found)
{
	assert_null(self);
	assert_string_equal(query->after, "0");
	assert_int_equal(query->max, 1000);
	assert_int_equal(query->wait_ms, 60000);
	*found = (struct upstream_found){0};
	return broken_upstream;
}

static void faults_of_the_upstream_are_said(void **state)
{
	(void)state;
	upstream_memory_free(&l.upstream);
	l.upstream = (struct upstream){.read = read_broken};
	broken_upstream = -EBUSY;
	(void)get("/goim/upstream?wait=60000");
	is_error(429, -429);
	broken_upstream = -ERR_NO_LOGIC;
	(void)get("/goim/upstream?wait=60000");
	is_error(200, -500);
}

/* ---- version 1 ---- */

static void version_1_pushes_to_a_user(void **state)
{
	(void)state;
	join("s", "a", 7);
	assert_string_equal(post("/1/push?uid=7", "{\"test\": 1}"), RET_OK);
	is_json_with_status(200);
	assert_string_equal(heard(), "s keys a op=5 {\"test\": 1}\n");
	assert_string_equal(post("/1/push?uid=8", "hi"), RET_OK);
	assert_string_equal(heard(), "");
}

static void version_1_pushes_to_users_what_stands_in_the_body(void **state)
{
	(void)state;
	join("s", "a", 7);
	join("s", "b", 8);
	assert_string_equal(post("/1/pushs", "{\"u\":[7,8,9],\"m\":{\"test\":1}}"), RET_OK);
	assert_string_equal(heard(), "s keys a b op=5 {\"test\":1}\n");
	/* As it is written. */
	assert_string_equal(post("/1/pushs", "{\"m\": {\"price\": 0.10, \"a\" :\"\\/\"} ,\"u\":[7]}"), RET_OK);
	assert_string_equal(heard(), "s keys a op=5 {\"price\": 0.10, \"a\" :\"\\/\"}\n");
	assert_string_equal(post("/1/pushs", "{\"m\":\"hi\",\"u\":[]}"), RET_OK);
	assert_string_equal(heard(), "");
}

static void version_1_pushes_to_a_room(void **state)
{
	(void)state;
	assert_string_equal(post("/1/push/room?rid=01&ensure=true", "hi"), RET_OK);
	assert_string_equal(heard(), "* room 1 op=5 hi\n");
	assert_string_equal(post("/1/push/room?rid=-2147483648", "hi"), RET_OK);
	assert_string_equal(heard(), "* room -2147483648 op=5 hi\n");
}

static void version_1_pushes_to_all(void **state)
{
	(void)state;
	assert_string_equal(post("/1/push/all", "hi"), RET_OK);
	assert_string_equal(heard(), "* all op=5 hi\n");
}

static void version_1_counts_rooms_and_servers(void **state)
{
	(void)state;
	assert_string_equal(get("/1/count?type=room"), "{\"data\":[],\"ret\":1}");
	tell_rooms();
	assert_string_equal(get("/1/count?type=room"), "{\"data\":[{\"RoomId\":1,\"Count\":2}],\"ret\":1}");
	assert_string_equal(get("/1/count?type=server"),
			    "{\"data\":[{\"Server\":1,\"Count\":14},{\"Server\":2,\"Count\":11}],\"ret\":1}");
}

static void version_1_forgets_a_server_by_number_or_id(void **state)
{
	(void)state;
	tell_rooms();
	join("s", "a", 7);
	join("t", "b", 7);
	assert_string_equal(post("/1/server/del?server=2", ""), RET_OK);
	assert_string_equal(get("/1/count?type=server"), "{\"data\":[{\"Server\":1,\"Count\":14}],\"ret\":1}");
	(void)post("/1/push?uid=7", "hi");
	assert_string_equal(heard(), "s keys a op=5 hi\n");
	assert_string_equal(post("/1/server/del?server=s", ""), RET_OK);
	assert_string_equal(get("/1/count?type=server"), "{\"data\":[],\"ret\":1}");
	(void)post("/1/push?uid=7", "hi");
	assert_string_equal(heard(), "");
}

static void faults_of_version_1_are_a_ret(void **state)
{
	static const char *const posts[] = {
		"/1/push",
		"/1/push?uid=",
		"/1/push?uid=x",
		"/1/push?uid=7&%",
		"/1/push/room",
		"/1/push/room?rid=x",
		"/1/push/room?rid=2147483648",
		"/1/push/room?rid=1&%zz",
		"/1/push/all?%00",
		"/1/server/del",
		"/1/server/del?server=",
	};
	static const char *const bodies[] = {
		"",
		"{",
		"[]",
		"7",
		"{}",
		"{\"u\":[7]}",
		"{\"m\":1}",
		"{\"u\":7,\"m\":1}",
		"{\"u\":[\"7\"],\"m\":1}",
		"{\"u\":[7.0],\"m\":1}",
		"{\"u\":[7],\"m\":1}x",
	};

	(void)state;
	join("s", "a", 7);
	for (size_t i = 0; i < sizeof(posts) / sizeof(posts[0]); i++) {
		assert_string_equal(post(posts[i], "hi"), RET_FAULT);
		is_json_with_status(200);
	}
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		assert_string_equal(post("/1/pushs", bodies[i]), RET_FAULT);
	assert_string_equal(get("/1/count"), RET_FAULT);
	assert_string_equal(get("/1/count?type=x"), RET_FAULT);
	bus_rc = -EAGAIN;
	assert_string_equal(post("/1/push?uid=7", "hi"), RET_FAULT);
	assert_string_equal(post("/1/pushs", "{\"u\":[7],\"m\":1}"), RET_FAULT);
	assert_string_equal(post("/1/push/room?rid=1", "hi"), RET_FAULT);
	assert_string_equal(post("/1/push/all", "hi"), RET_FAULT);
	assert_string_equal(heard(), "");
}

/* ---- operators ---- */

static void probes_are_answered(void **state)
{
	(void)state;
	assert_string_equal(get("/healthz"), "ok\n");
	assert_int_equal(reply.status, 200);
	assert_string_equal(get("/readyz"), "ready\n");
	assert_int_equal(reply.status, 200);
	assert_non_null(strstr(get("/metrics"), "# TYPE comet_http_requests_total counter"));
	assert_string_equal(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
	assert_non_null(strstr(get("/"), "POST /goim/push/mids"));
	assert_non_null(strstr(get("/help"), "POST /goim/push/mids?operation="));
	assert_non_null(strstr(get("/help"), "GET  /goim/upstream?after="));
	assert_null(strstr(get("/help"), "console.css"));
}

/* ---- the page ---- */

static void a_browser_gets_the_page_and_its_files(void **state)
{
	static const char *const files[][2] = {{"/", "text/html; charset=utf-8"},
					       {"/console/console.js", "text/javascript; charset=utf-8"},
					       {"/console/console.css", "text/css; charset=utf-8"},
					       {"/console/icon.svg", "image/svg+xml"},
					       {"/comet.js", "text/javascript; charset=utf-8"},
					       {"/chat.html", "text/html; charset=utf-8"}};

	(void)state;
	use_key("secret"); /* which they need not */
	as_a_browser = true;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_true(strlen(get(files[i][0])) > 100);
		assert_int_equal(reply.status, 200);
		assert_string_equal(reply.content_type, files[i][1]);
		assert_string_equal(reply.extra_header, "Content-Security-Policy");
		assert_null(strstr(reply.extra_value, "unsafe"));
	}
	assert_non_null(strstr(get("/"), "<title>Comet</title>"));
	(void)post("/comet.js", "");
	assert_int_equal(reply.status, 405);
	assert_string_equal(reply.extra_value, "GET");
	(void)get("/console/../comet.js");
	is_error(401, -401);
}

static int say_long_words(void *arg, char *text, size_t text_bytes)
{
	assert_null(arg);
	memset(text, 'x', text_bytes - 1);
	text[text_bytes - 1] = '\0';
	return -EIO;
}

static void who_is_not_ready_says_why(void **state)
{
	const char *words;

	(void)state;
	l.health.ready = say_long_words;
	words = get("/readyz");
	assert_int_equal(reply.status, 503);
	assert_int_equal(words[0], 'x');
	assert_int_equal(words[strlen(words) - 1], '\n');
}

/* ---- who may ask, and for what ---- */

static void unknown_paths_are_404(void **state)
{
	static const char *const paths[] = {"",         "/goim",   "/goim/push/keys/", "/goim/push", "/2/push",
					    "//",       "/1",      "/GOIM/push/all",   "*",          "/healthz/",
					    "/goim/%2", "/1/push%"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		(void)get(paths[i]);
		is_error(404, -404);
		(void)post(paths[i], "");
		is_error(404, -404);
	}
}

struct method_case {
	const char *method, *path, *allow;
};

static void wrong_methods_are_405_and_told_the_right_one(void **state)
{
	static const struct method_case CASES[] = {
		{"GET", "/goim/push/keys", "POST"},      {"GET", "/goim/push/mids", "POST"},
		{"PUT", "/goim/push/room", "POST"},      {"DELETE", "/goim/push/all", "POST"},
		{"GET", "/goim/kick", "POST"},           {"POST", "/goim/online/top", "GET"},
		{"POST", "/goim/online/room", "GET"},    {"POST", "/goim/online/total", "GET"},
		{"POST", "/goim/nodes/weighted", "GET"}, {"POST", "/goim/nodes/instances", "GET"},
		{"POST", "/goim/upstream", "GET"},       {"get", "/goim/upstream", "GET"},
	};
	static const struct method_case OLD[] = {
		{"GET", "/1/push", "POST"},     {"GET", "/1/pushs", "POST"}, {"GET", "/1/push/room", "POST"},
		{"GET", "/1/push/all", "POST"}, {"POST", "/1/count", "GET"}, {"GET", "/1/server/del", "POST"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		(void)ask_with(CASES[i].method, CASES[i].path, "", NULL);
		is_error(405, -405);
		assert_string_equal(reply.extra_header, "Allow");
		assert_string_equal(reply.extra_value, CASES[i].allow);
	}
	for (size_t i = 0; i < sizeof(OLD) / sizeof(OLD[0]); i++) {
		(void)ask_with(OLD[i].method, OLD[i].path, "", NULL);
		is_json_with_status(405);
		assert_string_equal(body_of_reply(), RET_FAULT);
		assert_string_equal(reply.extra_value, OLD[i].allow);
	}
	assert_int_equal(ask_with("POST", "/metrics", "", NULL), 405);
	assert_string_equal(reply.extra_value, "GET");
}

static void without_the_key_only_probes_and_the_front_page_are_answered(void **state)
{
	static const char *const wrong[] = {NULL, "", "s", "secre", "secret2", "secretsecret", "Secret", "secres"};
	static const char *const paths[] = {"/metrics", "/goim/online/total", "/1/count?type=room", "/nothing"};

	(void)state;
	use_key("secret");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		for (size_t k = 0; k < sizeof(paths) / sizeof(paths[0]); k++) {
			(void)ask_with("GET", paths[k], "", wrong[i]);
			is_error(401, -401);
			assert_string_equal(reply.extra_header, "WWW-Authenticate");
		}
		assert_int_equal(ask_with("GET", "/healthz", "", wrong[i]), 200);
		assert_int_equal(ask_with("GET", "/readyz", "", wrong[i]), 200);
		assert_int_equal(ask_with("GET", "/", "", wrong[i]), 200);
	}
	assert_int_equal(ask_with("GET", "/metrics", "", "secret"), 200);
	assert_int_equal(ask_with("GET", "/nothing", "", "secret"), 404);
	use_key("");
	assert_int_equal(ask_with("GET", "/metrics", "", "whatever"), 200);
}

static void each_path_wants_its_scope(void **state)
{
	static const struct {
		const char *method, *target;
		unsigned scope;
	} all[] = {
		{"POST", "/goim/push/keys?operation=1&keys=k", HTTP_PUSH_KEYS},
		{"POST", "/goim/push/mids?operation=1&mids=7", HTTP_PUSH_USERS},
		{"POST", "/goim/push/users?operation=1&users=7", HTTP_PUSH_USERS},
		{"POST", "/goim/push/room?operation=1&type=a&room=b", HTTP_PUSH_ROOMS},
		{"POST", "/goim/push/all?operation=1", HTTP_PUSH_ALL},
		{"POST", "/goim/kick?keys=k", HTTP_KICK},
		{"GET", "/goim/online/top?type=a&limit=1", HTTP_ONLINE},
		{"GET", "/goim/online/room?type=a&rooms=b", HTTP_ONLINE},
		{"GET", "/goim/online/total", HTTP_ONLINE},
		{"GET", "/goim/nodes/weighted", HTTP_ONLINE},
		{"GET", "/goim/nodes/instances", HTTP_ONLINE},
		{"GET", "/goim/upstream", HTTP_UPSTREAM},
		{"GET", "/goim/stream?type=a&room=b", HTTP_STREAM},
		{"GET", "/goim/stream/position?type=a&rooms=b", HTTP_STREAM},
		{"POST", "/1/push?uid=1", HTTP_PUSH_USERS},
		{"POST", "/1/pushs", HTTP_PUSH_USERS},
		{"POST", "/1/push/room?rid=1", HTTP_PUSH_ROOMS},
		{"POST", "/1/push/all", HTTP_PUSH_ALL},
		{"GET", "/1/count?type=room", HTTP_ONLINE},
		{"POST", "/1/server/del?server=1", HTTP_KICK | HTTP_ADMIN},
		{"GET", "/console.json", HTTP_ONLINE},
		{"GET", "/metrics", HTTP_METRICS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (unsigned scope = 1; (scope & HTTP_ALL) != 0; scope <<= 1) {
			own_scopes = scope;
			if ((scope & all[i].scope) != 0) {
				assert_int_equal(ask_with(all[i].method, all[i].target, "x", "k"), 200);
				continue;
			}
			/* Neither with the right method nor with another. */
			(void)ask_with(all[i].method, all[i].target, "x", "k");
			is_error(403, -403);
			(void)ask_with("DELETE", all[i].target, "x", "k");
			is_error(403, -403);
		}
	own_scopes = HTTP_KICK;
	assert_int_equal(ask_with("GET", "/nothing", "", "k"), 404);
	assert_int_equal(ask_with("GET", "/healthz", "", "k"), 200);
}

static void a_key_with_rooms_sees_and_reaches_no_others(void **state)
{
	(void)state;
	tell_rooms();
	own_scopes = HTTP_PUSH_ROOMS | HTTP_ONLINE;
	own_rooms = "live://1,17";
	assert_int_equal(ask_with("POST", "/goim/push/room?operation=1&type=live&room=1", "x", "k"), 200);
	assert_int_equal(ask_with("POST", "/1/push/room?rid=17", "x", "k"), 200);
	assert_string_equal(heard(), "* room live://1 op=1 x\n* room 17 op=5 x\n");
	(void)ask_with("POST", "/goim/push/room?operation=1&type=live&room=2", "x", "k");
	is_error(403, -403);
	(void)ask_with("POST", "/1/push/room?rid=1", "x", "k");
	is_error(403, -403);
	(void)ask_with("GET", "/goim/online/room?type=live&rooms=1&rooms=2", "", "k");
	is_error(403, -403);
	assert_string_equal(heard(), "");
	assert_int_equal(ask_with("GET", "/goim/online/room?type=live&rooms=1", "", "k"), 200);
	(void)ask_with("GET", "/goim/online/top?type=live&limit=9", "", "k");
	assert_string_equal(body_of_reply(),
			    "{\"code\":0,\"message\":\"\",\"data\":[{\"room_id\":\"1\",\"count\":7}]}");
	(void)ask_with("GET", "/console.json", "", "k");
	assert_non_null(strstr(body_of_reply(), "\"live://1\""));
	assert_null(strstr(body_of_reply(), "\"live://2\""));
}

/* ---- faults below ---- */

static int no_registry_servers(void *self, struct registry_servers *servers)
{
	(void)self;
	*servers = (struct registry_servers){0};
	return -ERR_NO_LOGIC;
}

static int no_registry_rooms(void *self, struct registry_rooms *rooms)
{
	(void)self;
	*rooms = (struct registry_rooms){0};
	return -ERR_NO_LOGIC;
}

static void a_registry_that_is_away_is_said(void **state)
{
	static const char *const gets[] = {"/goim/online/top?type=live&limit=1", "/goim/online/room?type=live&rooms=1",
					   "/goim/online/total", "/goim/nodes/weighted", "/goim/nodes/instances"};

	(void)state;
	l.registry.servers = no_registry_servers;
	l.registry.online = no_registry_rooms;
	for (size_t i = 0; i < sizeof(gets) / sizeof(gets[0]); i++) {
		(void)get(gets[i]);
		is_error(200, -500);
	}
	assert_string_equal(get("/1/count?type=room"), RET_FAULT);
	assert_string_equal(get("/1/count?type=server"), RET_FAULT);
	assert_string_equal(post("/1/server/del?server=1", ""), RET_FAULT);
	(void)post("/goim/push/all?operation=1&speed=5", "hi");
	is_error(200, -500);
}

static void without_a_registry_the_page_is_told_the_rest(void **state)
{
	char told[300];

	(void)state;
	set(&cfg.tcp_bind, "0.0.0.0:3101");
	set(&cfg.websocket_bind, "127.0.0.1:3102");
	l.registry.online = no_registry_rooms;
	(void)snprintf(told, sizeof(told),
		       "{\"code\":0,\"message\":\"\",\"data\":{\"alone\":false,\"version\":\"%s\","
		       "\"tcp_port\":3101,\"ws_port\":3102,\"wss_port\":0,\"registry\":false,\"rooms\":0,\"top\":[],"
		       "\"kept\":[],\"ready\":true,\"words\":\"\"}}",
		       version_text);
	assert_string_equal(get("/console.json"), told);
}

static void the_page_is_told_ports_and_rooms(void **state)
{
	(void)state;
	l.alone = true;
	l.ports = (struct client_ports){40001, 40002, 40003};
	tell_rooms();
	assert_non_null(strstr(get("/console.json"), "\"alone\":true,"));
	assert_non_null(
		strstr(body_of_reply(), "\"tcp_port\":40001,\"ws_port\":40002,\"wss_port\":40003,\"registry\":true,"));
	assert_non_null(strstr(body_of_reply(), "\"top\":[{\"room\":\"live://"));
	assert_non_null(strstr(get("/goim/nodes/weighted"), "\"ws_port\":40002,\"wss_port\":40003,"));
}

/* Whatever allocation fails: an answer, and nothing lost. (jansson's own calls have no seam.) */
static void without_memory_a_fault_is_said(void **state)
{
	static const char *const targets[] = {
		"/goim/push/keys?operation=1&keys=a",
		"/goim/push/mids?operation=1&mids=7",
		"/goim/push/room?operation=1&type=live&room=1",
		"/goim/push/all?operation=1&speed=1",
		"/goim/kick?mids=7",
		"/goim/kick?keys=a",
		"/1/push?uid=7",
		"/1/pushs",
		"/1/push/room?rid=1",
		"/1/push/all",
		"/1/server/del?server=x",
		"/goim/online/top?type=live&limit=1",
		"/goim/online/room?type=live&rooms=1",
		"/goim/online/total",
		"/goim/nodes/weighted",
		"/goim/nodes/instances",
		"/goim/upstream",
		"/1/count?type=room",
		"/1/count?type=server",
		"/metrics",
		"/healthz",
		"/comet.js",
	};

	uint8_t binary[] = {0xff};
	const struct packet sent = {.op = 4096, .body = binary, .body_bytes = sizeof(binary)};

	(void)state;
	tell_rooms();
	join("s", "a", 7);
	assert_int_equal(logic_receive(&l, "s", &(struct seat){.key = "a", .user.mid = 7}, &sent), 0);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		bool is_push = strstr(targets[i], "/push") != NULL || strstr(targets[i], "kick") != NULL ||
			       strstr(targets[i], "del") != NULL;

		for (unsigned after = 0;; after++) {
			char target[128];
			struct http_param *params = NULL;
			struct http_request request = {.method = is_push ? "POST" : "GET",
						       .path = target,
						       .body = (const uint8_t *)"{\"u\":[7],\"m\":1}",
						       .body_bytes = 15,
						       .key = {.scopes = HTTP_ALL}};
			char *query;

			seam_reset();
			free(reply.body);
			reply = (struct http_reply){.status = 500, .content_type = "text/plain"};
			(void)snprintf(target, sizeof(target), "%s", targets[i]);
			query = strchr(target, '?');
			if (query != NULL) {
				*query++ = '\0';
				assert_int_equal(http_params_decode(query, &params, &request.n_params), 0);
			}
			request.params = params;
			seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
			api_handle(&l, &request, &reply);
			free(params);
			if (seam_failed(SEAM_ALLOC) == 0) {
				assert_int_equal(reply.status, 200);
				assert_null(strstr(body_of_reply(), "65535"));
				break;
			}
			seam_reset();
			if (reply.body != NULL && reply.status == 200)
				assert_true(strstr(reply.body, "-500") != NULL || strstr(reply.body, "65535") != NULL ||
					    strstr(reply.body, "body_hex") != NULL);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(push_to_keys),
		CASE(a_comma_is_a_part_of_a_key),
		CASE(push_to_mids),
		CASE(push_to_users),
		CASE(push_to_a_room),
		CASE(push_to_all),
		CASE(batch_is_a_push_a_line),
		CASE(query_of_a_batch_is_no_part_of_its_lines),
		CASE(bad_lines_of_a_batch_are_answered_and_the_others_done),
		CASE(batch_is_bounded),
		CASE(scope_and_rooms_of_a_key_are_those_of_each_line),
		CASE(each_line_of_a_batch_counts_for_the_rate),
		CASE(lines_of_a_batch_are_under_way_together_and_answered_in_order),
		CASE(batch_without_memory_says_so),
		CASE(kick),
		CASE(what_is_missing_or_does_not_parse_is_400),
		CASE(a_room_longer_than_clients_may_have_is_400),
		CASE(faults_of_the_server_are_code_500_with_status_200),
		CASE(the_fullest_rooms_come_first),
		CASE(rooms_asked_for_are_counted),
		CASE(a_room_that_cannot_be_has_nobody),
		CASE(everybody_is_counted),
		CASE(instances_are_listed_as_they_told),
		CASE(clients_are_told_where_to_connect),
		CASE(ports_are_those_of_the_first_node_as_far_as_it_tells_them),
		CASE(the_least_loaded_by_weight_comes_first_and_five_at_most),
		CASE(those_of_the_region_come_first_and_those_that_go_not_at_all),
		CASE(pages_get_names_and_others_addresses_or_what_there_is),
		CASE(what_clients_sent_is_handed_out),
		CASE(faults_of_the_upstream_are_said),
		CASE(version_1_pushes_to_a_user),
		CASE(version_1_pushes_to_users_what_stands_in_the_body),
		CASE(version_1_pushes_to_a_room),
		CASE(version_1_pushes_to_all),
		CASE(version_1_counts_rooms_and_servers),
		CASE(version_1_forgets_a_server_by_number_or_id),
		CASE(faults_of_version_1_are_a_ret),
		CASE(probes_are_answered),
		CASE(a_browser_gets_the_page_and_its_files),
		CASE(the_page_is_told_ports_and_rooms),
		CASE(without_a_registry_the_page_is_told_the_rest),
		CASE(who_is_not_ready_says_why),
		CASE(unknown_paths_are_404),
		CASE(wrong_methods_are_405_and_told_the_right_one),
		CASE(without_the_key_only_probes_and_the_front_page_are_answered),
		CASE(each_path_wants_its_scope),
		CASE(a_key_with_rooms_sees_and_reaches_no_others),
		CASE(a_registry_that_is_away_is_said),
		CASE(without_memory_a_fault_is_said),
#undef CASE
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
