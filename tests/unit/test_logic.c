/* Tests of logic/logic: connects, and the way of a push, over a registry in memory and a bus that remembers what it was
 * handed. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "logic/logic.h"
#include "tests/unit/seam.h"

static struct config cfg;
static struct logic l;
static uint64_t number; /* of the last push to a room */

/* Each push on the bus as a line: "server target keys/sessions ...". */
static char handed[2048];
static int bus_rc; /* what the bus answers; if not 0, it was handed nothing */

/* So often the bus says of pushes to keys at `moved_from` that one has moved; the first time it moves to `moved_to`. */
static int moves;
static const char *moved_from, *moved_key;
static void move(void);

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
	size_t at = strlen(handed);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(handed + at, sizeof(handed) - at, format, args);
	va_end(args);
}

static int on_bus(void *self, const char *server, const struct wire_push *push)
{
	static const char *const targets[] = {"keys", "room", "all", "kick"};

	assert_null(self);
	if (bus_rc != 0)
		return bus_rc;
	if (moves > 0 && push->target == WIRE_KEYS && strcmp(server, moved_from) == 0) {
		moves--;
		move();
		return -ESTALE;
	}
	add("%s %s", server != NULL ? server : "*", targets[push->target]);
	for (size_t i = 0; i < push->n_keys; i++) {
		add("%c%s", i > 0 ? ',' : ' ', push->keys[i]);
		if (push->sessions != NULL)
			add("#%llu", (unsigned long long)push->sessions[i]);
	}
	if (push->target == WIRE_ROOM)
		add(" %s", push->room);
	if (push->speed > 0)
		add(" speed=%u", push->speed);
	if (push->target == WIRE_KICK)
		add(" %s", push->reason == WIRE_REPLACED ? "replaced" : "kicked");
	else
		add(" op=%d %.*s", push->message->op, (int)push->message->body_bytes,
		    (const char *)message_body(push->message));
	add("\n");
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

static int set_up(void **state)
{
	(void)state;
	handed[0] = '\0';
	bus_rc = 0;
	moves = 0;
	if (config_init(&cfg) < 0)
		return -1;
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
	upstream_memory_free(&l.upstream);
	registry_memory_free(&l.registry);
	auth_free(&l.auth);
	config_fini(&cfg);
	return 0;
}

/* Until the next call. */
static const struct logic_message *message(int32_t op, const char *body)
{
	static struct logic_message m;

	m = (struct logic_message){.op = op, .body = body, .body_bytes = strlen(body)};
	return &m;
}

static int try_connect(const char *server, const char *token, struct wire_session *session)
{
	const struct wire_connect request = {
		.token = (const uint8_t *)token, .token_bytes = strlen(token), .peer = "10.0.0.9"};
	int rc = logic_connect(&l, server, &request, session);

	if (rc < 0)
		assert_null(session->accepts);
	return rc;
}

/* The session of a client that is let in; its accepts are freed already. */
static struct wire_session come(const char *server, const char *token)
{
	struct wire_session session;

	assert_int_equal(try_connect(server, token, &session), 0);
	free(session.accepts);
	session.accepts = NULL;
	return session;
}

/* ---- connect ---- */

static void a_client_of_version_2_gets_what_its_token_says(void **state)
{
	struct wire_session session;

	(void)state;
	cfg.logic_heartbeat = 1234;
	assert_int_equal(
		try_connect("s", "{\"mid\":7,\"key\":\"k\",\"room_id\":\"live://1\",\"accepts\":[1,2]}", &session), 0);
	assert_int_equal(session.mid, 7);
	assert_int_equal(session.dialect, DIALECT_V2);
	assert_int_equal(session.heartbeat_ms, 1234);
	assert_string_equal(session.key, "k");
	assert_string_equal(session.room, "live://1");
	assert_int_equal(session.n_accepts, 2);
	assert_int_equal(session.accepts[1], 2);
	assert_true(session.id > 0);
	free(session.accepts);
}

static void a_client_of_version_1_gets_a_numbered_key(void **state)
{
	struct wire_session session;

	(void)state;
	cfg.logic_heartbeat_v1 = 4321;
	session = come("s", "123");
	assert_string_equal(session.key, "123_1");
	assert_string_equal(session.room, "1");
	assert_int_equal(session.mid, 123);
	assert_int_equal(session.dialect, DIALECT_V1);
	assert_int_equal(session.heartbeat_ms, 4321);
	session = come("s", "123");
	assert_string_equal(session.key, "123_2");
	session = come("s", "who knows");
	assert_string_equal(session.key, "0_1");
	assert_string_equal(session.room, "");
}

static void a_client_that_brings_no_key_gets_a_uuid(void **state)
{
	char keys[2][WIRE_KEY_BYTES];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct wire_session session = come("s", "{\"mid\":7}");

		assert_int_equal(strlen(session.key), 36);
		for (unsigned at = 0; at < 36; at++) {
			if (at == 8 || at == 13 || at == 18 || at == 23)
				assert_int_equal(session.key[at], '-');
			else
				assert_non_null(strchr("0123456789abcdef", session.key[at]));
		}
		assert_int_equal(session.key[14], '4');
		assert_non_null(strchr("89ab", session.key[19]));
		memcpy(keys[i], session.key, sizeof(keys[i]));
	}
	assert_string_not_equal(keys[0], keys[1]);
}

static void a_comet_may_say_which_key_is_new(void **state)
{
	static const struct {
		const char *token, *key;
	} clients[] = {{"{\"mid\":7}", "n-1"}, {"{\"mid\":7,\"key\":\"k\"}", "k"}, {"7", "7_1"}};

	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		const struct wire_connect request = {.token = (const uint8_t *)clients[i].token,
						     .token_bytes = strlen(clients[i].token),
						     .peer = "10.0.0.9",
						     .new_key = "n-1"};
		struct wire_session session;

		assert_int_equal(logic_connect(&l, "s", &request, &session), 0);
		assert_string_equal(session.key, clients[i].key);
		assert_int_equal(session.key_is_made, i != 1);
	}
}

static void a_refusal_is_handed_on_with_its_words(void **state)
{
	struct wire_session session;

	(void)state;
	assert_int_equal(try_connect("s", "{\"mid\":\"x\"}", &session), -ERR_REFUSED);
	assert_string_equal(session.refusal, "mid is not a whole number");
}

static void who_is_replaced_on_another_server_is_kicked_by_its_session(void **state)
{
	struct wire_session first = come("s", "{\"key\":\"k\"}");
	char line[64];

	(void)state;
	(void)come("t", "{\"key\":\"k\"}");
	(void)snprintf(line, sizeof(line), "s kick k#%llu replaced\n", (unsigned long long)first.id);
	assert_string_equal(heard(), line);
}

static void who_is_replaced_on_the_same_server_is_that_servers_business(void **state)
{
	(void)state;
	(void)come("s", "{\"key\":\"k\"}");
	(void)come("s", "{\"key\":\"k\"}");
	assert_string_equal(heard(), "");
}

static void a_replaced_connection_that_cannot_be_told_hinders_nobody(void **state)
{
	(void)state;
	(void)come("s", "{\"key\":\"k\"}");
	bus_rc = -EAGAIN;
	(void)come("t", "{\"key\":\"k\"}");
}

static void who_disconnects_is_found_no_more(void **state)
{
	struct wire_session session = come("s", "{\"mid\":7,\"key\":\"k\"}");

	(void)state;
	assert_int_equal(logic_heartbeat(&l, "s", &(struct seat){"k", session.id, {.mid = 7}}, &(uint64_t){0}), 0);
	(void)logic_disconnect(&l, "s", &(struct seat){"k", session.id, {.mid = 7}});
	assert_int_equal(logic_push_users(&l, message(5, "x"), (struct user[]){{.mid = 7}}, 1), 0);
	assert_string_equal(heard(), "");
}

static int says_newer(void *self, const char *server, const struct seat *seat, struct registry_found *old)
{
	(void)self;
	(void)server;
	(void)seat;
	*old = (struct registry_found){0};
	return -ESTALE;
}

/* Its comet did not hear that it was replaced: by its heartbeat logic finds out. */
static void a_heartbeat_of_one_that_was_replaced_kicks_it(void **state)
{
	int (*renew)(void *, const char *, const struct seat *, struct registry_found *) = l.registry.renew;

	(void)state;
	l.registry.renew = says_newer;
	assert_int_equal(logic_heartbeat(&l, "s", &(struct seat){"k", 3, {.mid = 7}}, &(uint64_t){0}), 0);
	assert_string_equal(heard(), "s kick k#3 replaced\n");
	/* It beats again. */
	bus_rc = -EAGAIN;
	assert_int_equal(logic_heartbeat(&l, "s", &(struct seat){"k", 3, {.mid = 7}}, &(uint64_t){0}), 0);
	l.registry.renew = renew;
}

static int cannot_forget(void *self, const char *server, const struct seat *seat)
{
	(void)self;
	(void)server;
	(void)seat;
	return -ERR_NO_LOGIC;
}

static void who_is_not_forgotten_is_said(void **state)
{
	int (*del)(void *, const char *, const struct seat *) = l.registry.del;

	(void)state;
	l.registry.del = cannot_forget;
	assert_int_equal(logic_disconnect(&l, "s", &(struct seat){"k", 3, {.mid = 7}}), -ERR_NO_LOGIC);
	l.registry.del = del;
}

static void without_memory_nobody_is_let_in_and_nothing_is_left(void **state)
{
	static const char *const tokens[] = {"123", "{\"mid\":7,\"key\":\"k\",\"accepts\":[1]}"};

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		/* The first allocation copies the token, which has no reason to give. */
		for (unsigned after = 1;; after++) {
			struct wire_session session;
			struct seat seat;
			int rc;

			seam_reset();
			seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
			rc = try_connect("s", tokens[i], &session);
			if (seam_failed(SEAM_ALLOC) == 0) {
				assert_int_equal(rc, 0);
				free(session.accepts);
				seat = wire_session_seat(&session);
				(void)logic_disconnect(&l, "s", &seat);
				assert_true(after > 4);
				break;
			}
			seam_reset();
			assert_int_equal(rc, -ENOMEM);
			assert_int_equal(
				logic_push_users(&l, message(5, "x"), (struct user[]){{.mid = 7}, {.mid = 123}}, 2), 0);
			assert_string_equal(heard(), "");
		}
	}
}

/* ---- push ---- */

static void pushes_to_users_go_once_to_each_server_with_all_its_keys(void **state)
{
	(void)state;
	(void)come("s", "{\"mid\":7,\"key\":\"a\"}");
	(void)come("t", "{\"mid\":7,\"key\":\"b\"}");
	(void)come("s", "{\"mid\":8,\"key\":\"c\"}");
	(void)come("u", "{\"mid\":9,\"key\":\"d\"}");
	assert_int_equal(
		logic_push_users(&l, message(1000, "hi"), (struct user[]){{.mid = 8}, {.mid = 7}, {.mid = 99}}, 3), 0);
	assert_string_equal(heard(), "s keys a,c op=1000 hi\nt keys b op=1000 hi\n");
}

static void pushes_to_keys_name_those_who_are_there(void **state)
{
	static const char *const keys[] = {"b", "nobody", "a"};

	(void)state;
	(void)come("s", "{\"key\":\"a\"}");
	(void)come("s", "{\"key\":\"b\"}");
	assert_int_equal(logic_push_keys(&l, message(1000, ""), keys, 3), 0);
	assert_string_equal(heard(), "s keys a,b op=1000 \n");
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), keys + 1, 1), 0);
	assert_string_equal(heard(), "");
}

static void a_push_to_nobody_is_accepted_and_counted(void **state)
{
	static const char *const nobody[] = {"x", "y"}, *const some[] = {"x", "a"};
	static const struct user users[] = {{.mid = 8}};
	int64_t before = counters_read(COUNT_PUSHES_TO_NOBODY);

	(void)state;
	come("s", "{\"mid\":7,\"key\":\"a\"}");
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), nobody, 2), 0);
	assert_int_equal(logic_push_users(&l, message(1000, "hi"), users, 1), 0);
	assert_int_equal(counters_read(COUNT_PUSHES_TO_NOBODY), before + 2);
	assert_string_equal(handed, "");
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), some, 2), 0);
	assert_int_equal(counters_read(COUNT_PUSHES_TO_NOBODY), before + 2);
}

static void look_of_bus(void *self, const struct wire_push *push, struct fate *fate)
{
	(void)self;
	fate->online += push->n_keys;
	fate->filtered++;
	fate->knows_filters = true;
}

static void a_push_tells_who_was_there(void **state)
{
	static const char *const keys[] = {"x", "a", "y", "b", "x"};
	bool is_there[5] = {false};
	struct fate fate = {.is_there = is_there};
	struct logic_message m = {.op = 1000, .body = "hi", .body_bytes = 2, .fate = &fate};

	(void)state;
	(void)come("s", "{\"mid\":7,\"key\":\"a\"}");
	(void)come("t", "{\"mid\":7,\"key\":\"b\"}");
	assert_int_equal(logic_push_keys(&l, &m, keys, 5), 0);
	assert_true(fate.knows_online && !fate.knows_filters);
	assert_int_equal(fate.online, 2);
	assert_int_equal(fate.offline, 3);
	assert_true(!is_there[0] && is_there[1] && !is_there[2] && is_there[3] && !is_there[4]);
	fate = (struct fate){0};
	assert_int_equal(logic_push_users(&l, &m, (struct user[]){{.mid = 9}, {.mid = 7}, {.mid = 7}}, 3), 0);
	assert_int_equal(fate.online, 2);
	assert_int_equal(fate.offline, 1);
	/* Each comet that is asked has its part. */
	l.bus.look = look_of_bus;
	fate = (struct fate){0};
	assert_int_equal(logic_push_users(&l, &m, (struct user[]){{.mid = 7}}, 1), 0);
	assert_true(fate.knows_filters);
	assert_int_equal(fate.filtered, 2);
	l.bus.look = NULL;
}

static void people_in_a_room_are_counted_only_for_who_asks(void **state)
{
	const struct registry_server server = {.id = (char[]){"s"}, .region = (char[]){""}, .addrs = (char[]){""}};
	struct registry_room room = {(char[]){"live://1"}, 5};
	struct fate fate = {0};
	struct logic_message m = {.op = 1000, .body = "hi", .body_bytes = 2, .fate = &fate};

	(void)state;
	assert_int_equal(registry_put_online(&l.registry, &server, &room, 1), 0);
	assert_int_equal(logic_push_room(&l, &m, "live://1", &number), 0);
	assert_false(fate.knows_online);
	fate.is_asked = true;
	assert_int_equal(logic_push_room(&l, &m, "live://1", &number), 0);
	assert_true(fate.knows_online);
	assert_int_equal(fate.online, 5);
	assert_int_equal(fate.offline, 0);
	fate = (struct fate){.is_asked = true};
	assert_int_equal(logic_push_room(&l, &m, "live://2", &number), 0);
	assert_int_equal(fate.online, 0);
	assert_int_equal(fate.offline, 1);
}

static void every_push_that_fails_is_counted(void **state)
{
	static const char *const keys[] = {"a"};
	static const struct user users[] = {{.mid = 7}};
	int64_t before = counters_read(COUNT_PUSHES_FAILED);
	size_t n;

	(void)state;
	come("s", "{\"mid\":7,\"key\":\"a\"}");
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), keys, 1), 0);
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), before);
	bus_rc = -ERR_NO_LOGIC;
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), keys, 1), -ERR_NO_LOGIC);
	assert_int_equal(logic_push_users(&l, message(1000, "hi"), users, 1), -ERR_NO_LOGIC);
	assert_int_equal(logic_push_room(&l, message(1000, "hi"), "r", &number), -ERR_NO_LOGIC);
	assert_int_equal(logic_push_all(&l, message(1000, "hi"), 0), -ERR_NO_LOGIC);
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), before + 4);
	/* A kick is no push. */
	assert_int_equal(logic_kick_keys(&l, keys, 1, &n), -ERR_NO_LOGIC);
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), before + 4);
}

static void who_is_named_twice_is_reached_once(void **state)
{
	static const char *const keys[] = {"a", "b", "a", "a"};
	size_t n;

	(void)state;
	(void)come("s", "{\"mid\":7,\"key\":\"a\"}");
	(void)come("t", "{\"mid\":7,\"key\":\"b\"}");
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), keys, 4), 0);
	assert_string_equal(heard(), "s keys a op=1000 hi\nt keys b op=1000 hi\n");
	assert_int_equal(logic_push_users(&l, message(1000, "hi"), (struct user[]){{.mid = 7}, {.mid = 7}}, 2), 0);
	assert_string_equal(heard(), "s keys a op=1000 hi\nt keys b op=1000 hi\n");
	assert_int_equal(logic_kick_users(&l, (struct user[]){{.mid = 7}, {.mid = 7}}, 2, &n), 0);
	assert_int_equal(n, 2);
}

static size_t n_pushes, n_pushed, most_pushed;

static int on_bus_of_many(void *self, const char *server, const struct wire_push *push)
{
	(void)self;
	assert_string_equal(server, "s");
	n_pushes++;
	n_pushed += push->n_keys;
	if (push->n_keys > most_pushed)
		most_pushed = push->n_keys;
	return bus_rc;
}

/* Redis does nothing else while it looks whether they are still there. */
static void a_push_to_many_on_one_server_goes_in_parts(void **state)
{
	const size_t n = 25000;

	(void)state;
	for (size_t i = 0; i < n; i++)
		(void)come("s", "{\"mid\":7}");
	l.bus.push = on_bus_of_many;
	n_pushes = n_pushed = most_pushed = 0;
	assert_int_equal(logic_push_users(&l, message(1000, "hi"), (struct user[]){{.mid = 7}}, 1), 0);
	assert_int_equal(n_pushed, n);
	assert_int_equal(n_pushes, 3);
	assert_int_equal(most_pushed, 10000);
}

static int on_bus_to(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate)
{
	size_t at = strlen(handed);

	(void)self;
	assert_int_equal(push->target, WIRE_KEYS);
	assert_int_equal(push->n_keys, 0);
	fate->online = strcmp(names->v[0], "nobody") != 0;
	(void)snprintf(handed + at, sizeof(handed) - at, "%s %zu %s\n", names->are_users ? "users" : "keys", names->n,
		       names->v[names->n - 1]);
	return bus_rc;
}

/* Beyond so many they are found first, a part at a time. */
static void a_bus_that_finds_them_itself_is_handed_the_names(void **state)
{
	const int64_t before = counters_read(COUNT_PUSHES_TO_NOBODY), failed = counters_read(COUNT_PUSHES_FAILED);
	const char *keys[BUS_NAMES_MAX + 1] = {"nobody", "b"};
	struct user users[BUS_NAMES_MAX + 1] = {{.mid = 7}};

	(void)state;
	l.bus.push_to = on_bus_to;
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), keys, 2), 0);
	assert_string_equal(heard(), "keys 2 b\n");
	assert_int_equal(counters_read(COUNT_PUSHES_TO_NOBODY), before + 1);
	assert_int_equal(logic_push_users(&l, message(1000, "hi"), users, BUS_NAMES_MAX), 0);
	assert_string_equal(heard(), "users 256 0\n");
	assert_int_equal(counters_read(COUNT_PUSHES_TO_NOBODY), before + 1);
	assert_int_equal(logic_push_users(&l, message(1000, "hi"), users, BUS_NAMES_MAX + 1), 0);
	assert_string_equal(heard(), "");
	/* Names that are none are no push to all comets. */
	assert_int_equal(logic_push_users(&l, message(1000, "hi"), users, 0), 0);
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), keys, 0), 0);
	assert_string_equal(heard(), "");
	assert_int_equal(counters_read(COUNT_PUSHES_TO_NOBODY), before + 4);
	bus_rc = -ERR_NO_LOGIC;
	assert_int_equal(logic_push_keys(&l, message(1000, "hi"), keys, 2), -ERR_NO_LOGIC);
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), failed + 1);
}

static const struct wire_push *begun;

static int on_begin(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate,
		    struct bus_flight **out)
{
	(void)self;
	(void)out;
	begun = push;
	if (names != NULL)
		fate->online = strcmp(names->v[0], "nobody") != 0;
	return bus_rc;
}

static int on_end(void *self, struct bus_flight **flight)
{
	(void)self;
	(void)flight;
	begun->message->number = 17;
	return bus_rc;
}

/* With a flight a push returns before the bus has answered. */
static void a_push_in_halves_ends_as_a_whole_one_would(void **state)
{
	const int64_t nobody = counters_read(COUNT_PUSHES_TO_NOBODY), failed = counters_read(COUNT_PUSHES_FAILED);
	const char *const keys[] = {"nobody"};
	struct logic_flight flight;
	struct logic_message m = *message(1000, "hi");

	(void)state;
	l.bus.push_to = on_bus_to;
	l.bus.begin = on_begin;
	l.bus.end = on_end;
	m.flight = &flight;
	assert_int_equal(logic_push_keys(&l, &m, keys, 1), -EINPROGRESS);
	assert_int_equal(counters_read(COUNT_PUSHES_TO_NOBODY), nobody);
	assert_int_equal(logic_push_end(&l, &flight, &number), 0);
	assert_int_equal(counters_read(COUNT_PUSHES_TO_NOBODY), nobody + 1);
	assert_int_equal(logic_push_users(&l, &m, (struct user[]){{.mid = 7}}, 1), -EINPROGRESS);
	assert_int_equal(logic_push_end(&l, &flight, &number), 0);
	assert_int_equal(logic_push_room(&l, &m, "r", &number), -EINPROGRESS);
	assert_int_equal(logic_push_end(&l, &flight, &number), 0);
	assert_int_equal(number, 17);
	assert_int_equal(logic_push_all(&l, &m, 0), -EINPROGRESS);
	bus_rc = -ERR_NO_LOGIC;
	assert_int_equal(logic_push_end(&l, &flight, &number), -ERR_NO_LOGIC);
	assert_int_equal(number, 0);
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), failed + 1);
	assert_int_equal(logic_push_all(&l, &m, 0), -ERR_NO_LOGIC); /* it did not even begin */
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), failed + 2);
	assert_string_equal(heard(), "");
}

static void a_push_to_a_room_goes_to_all_servers(void **state)
{
	(void)state;
	assert_int_equal(logic_push_room(&l, message(1000, "hi"), "live://1", &number), 0);
	assert_string_equal(heard(), "* room live://1 op=1000 hi\n");
}

static void tell_of(const char *server)
{
	char id[8];
	const struct registry_server told = {.id = id};

	(void)snprintf(id, sizeof(id), "%s", server);
	assert_int_equal(logic_renew_online(&l, &told, NULL, 0, NULL, NULL), 0);
}

static void the_speed_of_a_push_to_all_is_shared_by_the_servers(void **state)
{
	(void)state;
	assert_int_equal(logic_push_all(&l, message(1000, "hi"), 0), 0);
	assert_string_equal(heard(), "* all op=1000 hi\n");
	assert_int_equal(logic_push_all(&l, message(1000, "hi"), 10), 0);
	assert_string_equal(heard(), "* all speed=10 op=1000 hi\n");
	tell_of("s");
	assert_int_equal(logic_push_all(&l, message(1000, "hi"), 10), 0);
	assert_string_equal(heard(), "* all speed=10 op=1000 hi\n");
	tell_of("t");
	tell_of("u");
	assert_int_equal(logic_push_all(&l, message(1000, "hi"), 10), 0);
	assert_string_equal(heard(), "* all speed=3 op=1000 hi\n");
	/* 0 would be no limit. */
	assert_int_equal(logic_push_all(&l, message(1000, "hi"), 2), 0);
	assert_string_equal(heard(), "* all speed=1 op=1000 hi\n");
}

static void what_the_bus_refuses_is_handed_on(void **state)
{
	static const char *const key = "a";
	size_t n = 99;

	(void)state;
	(void)come("s", "{\"mid\":7,\"key\":\"a\"}");
	bus_rc = -EAGAIN;
	assert_int_equal(logic_push_keys(&l, message(5, "x"), &key, 1), -EAGAIN);
	assert_int_equal(logic_push_users(&l, message(5, "x"), (struct user[]){{.mid = 7}}, 1), -EAGAIN);
	assert_int_equal(logic_push_room(&l, message(5, "x"), "1", &number), -EAGAIN);
	assert_int_equal(logic_push_all(&l, message(5, "x"), 0), -EAGAIN);
	assert_int_equal(logic_kick_keys(&l, &key, 1, &n), -EAGAIN);
	assert_int_equal(n, 0);
	assert_string_equal(heard(), "");
}

static void move(void)
{
	struct seat seat = {.key = moved_key, .user.mid = 7};

	if (moved_key != NULL)
		assert_int_equal(registry_put(&l.registry, "t", &seat, 0, NULL), 0);
}

static void a_key_that_moves_between_look_and_push_is_looked_for_again(void **state)
{
	static const char *const keys[] = {"a", "b", "c"};

	(void)state;
	(void)come("r", "{\"mid\":7,\"key\":\"a\"}");
	(void)come("s", "{\"mid\":7,\"key\":\"b\"}");
	(void)come("s", "{\"mid\":7,\"key\":\"c\"}");
	(void)heard();
	moves = 1;
	moved_from = "s";
	moved_key = "b";
	assert_int_equal(logic_push_keys(&l, message(5, "x"), keys, 3), 0);
	/* Whom it has reached already it does not reach again. */
	assert_string_equal(heard(), "r keys a op=5 x\ns keys c op=5 x\nt keys b op=5 x\n");
}

static void keys_that_move_again_and_again_are_given_up(void **state)
{
	static const char *const key = "a";

	(void)state;
	(void)come("s", "{\"mid\":7,\"key\":\"a\"}");
	moves = 1000;
	moved_from = "s";
	moved_key = NULL;
	assert_int_equal(logic_push_keys(&l, message(5, "x"), &key, 1), -EAGAIN);
	assert_string_equal(heard(), "");
	assert_true(moves > 900);
}

static int push_keys(void)
{
	static const char *const key = "a";

	return logic_push_keys(&l, message(5, "x"), &key, 1);
}

static int push_mids(void)
{
	return logic_push_users(&l, message(5, "x"), (struct user[]){{.mid = 7}}, 1);
}

static int push_room(void)
{
	return logic_push_room(&l, message(5, "x"), "1", &number);
}

static int push_all(void)
{
	return logic_push_all(&l, message(5, "x"), 9);
}

static int kick(void)
{
	size_t n;
	int rc = logic_kick_users(&l, (struct user[]){{.mid = 7}}, 1, &n);

	assert_true(rc < 0 || n == 1);
	return rc;
}

static int kick_key(void)
{
	static const char *const key = "a";
	size_t n;

	return logic_kick_keys(&l, &key, 1, &n);
}

static void ignore(void *arg, const char *room, int64_t count)
{
	(void)arg;
	(void)room;
	(void)count;
}

static int renew(void)
{
	char id[] = "s";

	return logic_renew_online(&l, &(struct registry_server){.id = id},
				  &(struct wire_room_count){.room = "live://1", .count = 1}, 1, ignore, NULL);
}

static void without_memory_a_push_is_not_accepted(void **state)
{
	static int (*const calls[])(void) = {push_keys, push_mids, push_room, push_all, kick, kick_key, renew};

	(void)state;
	(void)come("s", "{\"mid\":7,\"key\":\"a\"}");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned after = 0;

		for (;; after++) {
			int rc;

			seam_reset();
			seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
			rc = calls[i]();
			if (seam_failed(SEAM_ALLOC) == 0) {
				assert_int_equal(rc, 0);
				(void)heard();
				break;
			}
			assert_int_equal(rc, -ENOMEM);
			assert_string_equal(heard(), "");
		}
		assert_true(after > 0);
	}
}

/* ---- kick ---- */

static void a_kick_names_the_sessions_and_tells_how_many(void **state)
{
	static const char *const keys[] = {"a", "nobody"};
	struct wire_session a = come("s", "{\"mid\":7,\"key\":\"a\"}"), b = come("t", "{\"mid\":7,\"key\":\"b\"}");
	char lines[128];
	size_t n;

	(void)state;
	assert_int_equal(logic_kick_users(&l, (struct user[]){{.mid = 7}}, 1, &n), 0);
	assert_int_equal(n, 2);
	(void)snprintf(lines, sizeof(lines), "s kick a#%llu kicked\nt kick b#%llu kicked\n", (unsigned long long)a.id,
		       (unsigned long long)b.id);
	assert_string_equal(heard(), lines);
	assert_int_equal(logic_kick_keys(&l, keys, 2, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(logic_kick_keys(&l, keys + 1, 1, &n), 0);
	assert_int_equal(n, 0);
}

/* ---- online, upstream ---- */

static void sum_up(void *arg, const char *room, int64_t count)
{
	if (strcmp(room, "live://1") == 0)
		*(int64_t *)arg += count;
}

static void each_server_hears_the_counts_of_all(void **state)
{
	const struct wire_room_count rooms[] = {{"live://1", 3}};
	char s[] = "s", t[] = "t";
	int64_t people = 0;

	(void)state;
	assert_int_equal(logic_renew_online(&l, &(struct registry_server){.id = s}, rooms, 1, sum_up, &people), 0);
	assert_int_equal(people, 3);
	people = 0;
	assert_int_equal(logic_renew_online(&l, &(struct registry_server){.id = t}, rooms, 1, sum_up, &people), 0);
	assert_int_equal(people, 6);
}

static void what_a_client_sends_is_kept_for_the_back_end(void **state)
{
	uint8_t body[] = "up";
	const struct packet p = {.op = 4096, .body = body, .body_bytes = 2};
	struct upstream_found found;

	(void)state;
	assert_int_equal(logic_receive(&l, "s", &(struct seat){.key = "k", .user.mid = 7}, &p), 0);
	assert_int_equal(upstream_read(&l.upstream, &(struct upstream_query){"0", 10, 0, NULL}, &found), 0);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.entries[0].seat.key, "k");
	assert_int_equal(found.entries[0].op, 4096);
	upstream_found_fini(&found);
}

static void who_is_only_believed_does_not_come_in_where_proof_is_asked_for(void **state)
{
	const struct wire_connect request = {
		.token = (const uint8_t *)"7", .token_bytes = 1, .peer = "10.0.0.9", .needs_proof = true};
	struct wire_session session;
	struct wire_renewal renewal;

	(void)state;
	assert_int_equal(logic_connect(&l, "a", &request, &session), -ERR_NO_LOGIC);
	assert_int_equal(logic_reauth(&l, "a", &request, &(struct seat){.key = "k", .user.mid = 7}, &renewal),
			 -ERR_NO_LOGIC);
}

static void a_new_token_is_for_the_same_user(void **state)
{
	struct wire_connect request = {.token = (const uint8_t *)"7", .token_bytes = 1, .peer = "10.0.0.9"};
	struct wire_renewal renewal;

	(void)state;
	assert_int_equal(logic_reauth(&l, "a", &request, &(struct seat){.key = "7_1", .user.mid = 7}, &renewal), 0);
	assert_int_equal(renewal.lifetime_ms, 0);
	assert_int_equal(logic_reauth(&l, "a", &request, &(struct seat){.key = "8_1", .user.mid = 8}, &renewal),
			 -ERR_REFUSED);
	assert_string_equal(renewal.refusal, "the token is another user's or another connection's");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_client_of_version_2_gets_what_its_token_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_of_version_1_gets_a_numbered_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_brings_no_key_gets_a_uuid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_comet_may_say_which_key_is_new, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refusal_is_handed_on_with_its_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_replaced_on_another_server_is_kicked_by_its_session, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_is_replaced_on_the_same_server_is_that_servers_business, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_replaced_connection_that_cannot_be_told_hinders_nobody, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_disconnects_is_found_no_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_heartbeat_of_one_that_was_replaced_kicks_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_not_forgotten_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_nobody_is_let_in_and_nothing_is_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pushes_to_users_go_once_to_each_server_with_all_its_keys, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(pushes_to_keys_name_those_who_are_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_push_to_nobody_is_accepted_and_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_push_tells_who_was_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(people_in_a_room_are_counted_only_for_who_asks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_push_that_fails_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_named_twice_is_reached_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_push_to_many_on_one_server_goes_in_parts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_bus_that_finds_them_itself_is_handed_the_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_push_in_halves_ends_as_a_whole_one_would, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_push_to_a_room_goes_to_all_servers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_speed_of_a_push_to_all_is_shared_by_the_servers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_bus_refuses_is_handed_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_key_that_moves_between_look_and_push_is_looked_for_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(keys_that_move_again_and_again_are_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_a_push_is_not_accepted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_kick_names_the_sessions_and_tells_how_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_server_hears_the_counts_of_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_client_sends_is_kept_for_the_back_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_only_believed_does_not_come_in_where_proof_is_asked_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_new_token_is_for_the_same_user, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
