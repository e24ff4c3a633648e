/* Tests of logic/bus_redis: what a push brings to its script, and what comes of the answers. What the script does is in
 * test_scripts. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "logic/bus.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"

/* EVAL or EVALSHA, the script, and its one key. */
#define ARGS 4

static struct script {
	const char *answers[4]; /* to one call after another; NULL: said() */
	unsigned calls;         /* the server's, and read when a push has returned */
	bool forgets;           /* no script is ever found */
	char heard[2048];       /* arguments, from the generation on, a space between; a line a call */
} script;

static struct fake_redis server;
static struct config cfg;
static struct redis_pipe *pipe_;
static struct bus bus;

/* Nobody got it. */
#define OK_1000   "*2\r\n$2\r\nok\r\n$4\r\n1000\r\n"
#define OK_NUMBER "*3\r\n$2\r\nok\r\n$4\r\n1000\r\n$16\r\n1795999887666491\r\n"
#define AGAIN     "*3\r\n$5\r\nagain\r\n$4\r\n1000\r\n$1\r\n7\r\n"
#define MOVED     "*1\r\n$5\r\nmoved\r\n"
#define YOUNG     "*1\r\n$5\r\nyoung\r\n"
#define NO_SCRIPT "-NOSCRIPT No matching script. Please use EVAL.\r\n"
/* Entry 41 of the stream of c1, whose lease has epoch 7; and 1, when Redis had lost its data. */
#define OK_41 "*5\r\n$2\r\nok\r\n$4\r\n1000\r\n$2\r\nc1\r\n$1\r\n7\r\n$2\r\n41\r\n"
/* The same of a push to two names, of which the second is nobody; each of many has an answer of its own. */
#define OK_TO_41 "*1\r\n*7\r\n$2\r\nok\r\n$4\r\n1000\r\n$1\r\n3\r\n$2\r\n2 \r\n$2\r\nc1\r\n$1\r\n7\r\n$2\r\n41\r\n"
#define OK_LOST  "*5\r\n$2\r\nok\r\n$4\r\n2000\r\n$2\r\nc1\r\n$1\r\n7\r\n$1\r\n1\r\n"

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;
	const char *says;
	size_t at = strlen(s->heard);

	if (strncmp(argv[0], "EVAL", 4) != 0)
		return fake_redis_hello(argc, argv);
	if (s->forgets)
		return NO_SCRIPT;
	/* of push_to behind the number of the arguments */
	for (int i = ARGS + 3 + fake_redis_runs(argv, "push_to"); i < argc; i++)
		at += (size_t)snprintf(s->heard + at, sizeof(s->heard) - at, "%s%s", argv[i],
				       i + 1 < argc ? " " : "\n");
	says = s->calls < sizeof(s->answers) / sizeof(s->answers[0]) ? s->answers[s->calls] : NULL;
	s->calls++;
	return says != NULL ? says : OK_1000;
}

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	pipe_ = fake_redis_pipe(&cfg);
	/* Once this is answered only the test itself allocates. */
	assert_int_equal(redis_pipe_call(pipe_, REDIS_AGAIN, INT64_MAX, NULL, "PING"), 0);
	assert_int_equal(bus_redis_new(&cfg, pipe_, "logic-1", &bus), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	bus_redis_free(&bus);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	return 0;
}

/* What Redis heard since the last call. */
static const char *heard(void)
{
	static char text[sizeof(script.heard)];

	memcpy(text, script.heard, sizeof(text));
	script.heard[0] = '\0';
	return text;
}

static int push(const char *to, const struct wire_push *what)
{
	struct wire_push whole = *what;
	int rc;

	if (whole.target != WIRE_KICK)
		assert_int_equal(message_new(1000, "hi", 2, &whole.message), 0);
	rc = bus_push(&bus, to, &whole);
	if (whole.message != NULL)
		message_unref(&whole.message);
	return rc;
}

static int push_to_all(void)
{
	return push(NULL, &(struct wire_push){.target = WIRE_ALL});
}

static void a_push_to_keys_brings_them_twice(void **state)
{
	const char *const keys[] = {"a", "b"};

	(void)state;
	assert_int_equal(push("c1", &(struct wire_push){.target = WIRE_KEYS, .keys = keys, .n_keys = 2}), 0);
	assert_string_equal(heard(), " c1  2 a b target keys op 1000 body hi keys [\"a\",\"b\"] from logic-1 seq 1\n");
}

static int push_to(bool are_users, const char *const *names, size_t n, struct fate *fate)
{
	struct wire_push what = {.target = WIRE_KEYS};
	int rc;

	assert_int_equal(message_new(1000, "hi", 2, &what.message), 0);
	rc = bus_push_to(&bus, &(struct bus_names){.are_users = are_users, .v = names, .n = n}, &what, fate);
	message_unref(&what.message);
	return rc;
}

/* Its own generation is known once it is sure that all are there, as finding knows it, and not by other pushes. */
static void a_push_to_those_named_finds_them_itself(void **state)
{
	const char *const names[] = {"a", "b"};
	bool is_there[2] = {false};
	struct fate fate = {.is_there = is_there};

	(void)state;
	script.answers[1] = OK_TO_41;
	script.answers[2] = "*1\r\n*4\r\n$2\r\nok\r\n$4\r\n1000\r\n$1\r\n0\r\n$2\r\n1 \r\n";
	assert_int_equal(push_to_all(), 0);
	(void)heard();
	assert_int_equal(push_to(false, names, 2, &fate), 0);
	assert_int_equal(fate.online, 3);
	assert_int_equal(fate.offline, 1);
	assert_true(is_there[0] && !is_there[1]);
	assert_string_equal(heard(), " keys 2 a b target keys op 1000 body hi from logic-1 seq 2\n");
	assert_int_equal(push_to(true, names, 1, &fate), 0);
	assert_int_equal(fate.online, 0);
	assert_string_equal(heard(), "1000 users 1 a target keys op 1000 body hi from logic-1 seq 3\n");
	script.answers[3] = "*1\r\n*1\r\n$6\r\nunsure\r\n";
	assert_int_equal(push_to(true, names, 1, &fate), -ERR_NO_LOGIC);
}

/* Two are written before either is waited for. One that Redis certainly did not write fails: made again it would come behind those
 * that were begun after it. */
static void pushes_in_halves_keep_their_order(void **state)
{
	const char *const names[] = {"a"};
	const struct bus_names to = {.v = names, .n = 1};
	struct wire_push first = {.target = WIRE_KEYS}, second = {.target = WIRE_ALL};
	struct bus_flight *flights[2];
	struct fate fate = {0};

	(void)state;
	assert_int_equal(message_new(1000, "hi", 2, &first.message), 0);
	second.message = message_ref(first.message);
	script.answers[0] = OK_TO_41;
	script.answers[2] = "-NOSCRIPT No matching script.\r\n";
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(bus.begin(bus.self, &to, &first, &fate, &flights[0]), 0);
		assert_int_equal(bus.begin(bus.self, NULL, &second, NULL, &flights[1]), 0);
		assert_int_equal(bus.end(bus.self, &flights[0]), round == 0 ? 0 : -ERR_NO_LOGIC);
		assert_int_equal(bus.end(bus.self, &flights[1]), 0);
		assert_null(flights[1]);
	}
	assert_int_equal(fate.online, 3);
	assert_int_equal(script.calls, 4);
	message_unref(&first.message);
	message_unref(&second.message);
}

static void halves_without_memory_are_nothing(void **state)
{
	struct wire_push push_ = {.target = WIRE_ALL};
	struct bus_flight *flight;
	int rc = -ENOMEM;

	(void)state;
	assert_int_equal(message_new(1000, "hi", 2, &push_.message), 0);
	for (unsigned i = 0; rc == -ENOMEM; i++) {
		seam_fail(SEAM_ALLOC, i, 1, ENOMEM);
		rc = bus.begin(bus.self, NULL, &push_, NULL, &flight);
		seam_reset();
		assert_true(i > 0 || rc == -ENOMEM);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(bus.end(bus.self, &flight), 0);
	message_unref(&push_.message);
}

/* A kick names connections: its key may be anywhere by now. */
static void a_kick_goes_where_its_connections_were(void **state)
{
	const char *const keys[] = {"a"};
	const uint64_t sessions[] = {7};
	const struct wire_push kick = {
		.target = WIRE_KICK, .keys = keys, .sessions = sessions, .n_keys = 1, .reason = WIRE_REPLACED};

	(void)state;
	assert_int_equal(push("c1", &kick), 0);
	assert_string_equal(heard(),
			    " c1  0 target kick reason replaced keys [\"a\"] sessions [7] from logic-1 seq 1\n");
}

static void pushes_are_numbered_and_say_what_we_knew_of_redis(void **state)
{
	(void)state;
	bus_redis_begin(&bus, "999?");
	assert_int_equal(push(NULL, &(struct wire_push){.target = WIRE_ROOM, .room = "live://1"}), 0);
	assert_int_equal(push_to_all(), 0);
	assert_string_equal(heard(), "999?  live://1 0 target room op 1000 body hi room live://1 from logic-1 seq 1\n"
				     "1000   0 target all op 1000 body hi from logic-1 seq 2\n");
}

static void a_kept_push_to_a_room_has_the_number_of_the_answer(void **state)
{
	struct wire_push to_room = {.target = WIRE_ROOM, .room = "chat://1", .name = "order-17"};

	(void)state;
	bus_redis_free(&bus);
	free(cfg.stream_rooms);
	cfg.stream_rooms = strdup("chat:3/10m");
	assert_int_equal(bus_redis_new(&cfg, pipe_, "logic-1", &bus), 0);
	assert_int_equal(message_new(1000, "hi", 2, &to_room.message), 0);
	script.answers[0] = OK_NUMBER;
	assert_int_equal(bus_push(&bus, NULL, &to_room), 0);
	assert_int_equal(to_room.message->number, 1795999887666491);
	assert_string_equal(heard(), " chat://1 order-17 3  3600000 0 600000 86400000 target room op 1000 body hi "
				     "room chat://1 from logic-1 seq 1\n");
	script.answers[1] = AGAIN;
	assert_int_equal(bus_push(&bus, NULL, &to_room), 0);
	assert_int_equal(to_room.message->number, 7);
	(void)heard();
	to_room.unkept = true;
	assert_int_equal(bus_push(&bus, NULL, &to_room), 0);
	assert_int_equal(to_room.message->number, 0);
	assert_string_equal(heard(),
			    "1000 chat://1 order-17    target room op 1000 body hi room chat://1 from logic-1 seq 3\n");
	/* A history so small is measured with each push. */
	bus_redis_free(&bus);
	cfg.stream_bytes = 1024;
	assert_int_equal(bus_redis_new(&cfg, pipe_, "logic-1", &bus), 0);
	to_room.unkept = false;
	assert_int_equal(bus_push(&bus, NULL, &to_room), 0);
	assert_string_equal(heard(), " chat://1 order-17 3 1024 3600000 0 600000 86400000 target room op 1000 body hi "
				     "room chat://1 from logic-1 seq 1\n");
	message_unref(&to_room.message);
}

static void what_the_script_says_is_told(void **state)
{
	static const struct {
		const char *says;
		int rc;
	} cases[] = {{MOVED, -ESTALE},          {YOUNG, -ERR_NO_LOGIC},    {"-ERR something\r\n", -ERR_NO_LOGIC},
		     {":1\r\n", -ERR_NO_LOGIC}, {"*0\r\n", -ERR_NO_LOGIC}, {OK_1000, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		script.calls = 0;
		script.answers[0] = cases[i].says;
		assert_int_equal(push_to_all(), cases[i].rc);
	}
}

/* Those behind it may have been written under their numbers, and a comet leaves out what is not above them. */
static void a_push_that_was_not_written_gets_a_new_number(void **state)
{
	(void)state;
	script.answers[1] = NO_SCRIPT;
	assert_int_equal(push_to_all(), 0);
	(void)heard();
	assert_int_equal(push_to_all(), 0);
	assert_string_equal(heard(), "1000   0 target all op 1000 body hi from logic-1 seq 2\n"
				     "1000   0 target all op 1000 body hi from logic-1 seq 3\n");
}

static void a_push_whose_script_is_never_found_fails_in_time(void **state)
{
	int64_t begun = clock_now_ns();

	(void)state;
	bus_redis_free(&bus);
	cfg.redis_push_timeout = 100;
	assert_int_equal(bus_redis_new(&cfg, pipe_, "logic-1", &bus), 0);
	script.forgets = true;
	assert_int_equal(push_to_all(), -ERR_NO_LOGIC);
	assert_true(clock_now_ns() - begun < 2 * CLOCK_SEC);
}

static void a_comet_is_told_what_redis_lost(void **state)
{
	(void)state;
	script.answers[0] = OK_41;
	script.answers[1] = OK_LOST;
	assert_int_equal(push_to_all(), 0);
	(void)heard();
	assert_int_equal(push_to_all(), 0);
	assert_string_equal(heard(), "1000   0 target all op 1000 body hi from logic-1 seq 2\n"
				     "2000 c1  0 target lost had 41 epoch 7 from logic-1 seq 3\n");
	assert_int_equal(push_to_all(), 0);
	assert_string_equal(heard(), "1000   0 target all op 1000 body hi from logic-1 seq 4\n");
}

static void what_could_not_be_told_is_told_with_the_next_push(void **state)
{
	(void)state;
	script.answers[0] = OK_41;
	script.answers[1] = OK_LOST;
	script.answers[2] = YOUNG;
	script.answers[3] = OK_LOST;
	assert_int_equal(push_to_all(), 0);
	assert_int_equal(push_to_all(), 0); /* the word fails, and the push does not */
	(void)heard();
	assert_int_equal(push_to_all(), 0);
	assert_string_equal(heard(), "2000   0 target all op 1000 body hi from logic-1 seq 4\n"
				     "2000 c1  0 target lost had 41 epoch 7 from logic-1 seq 5\n");
}

static void without_memory_a_push_is_accepted_or_fails(void **state)
{
	const char *const keys[] = {"a", "b"};
	const struct wire_push to_keys = {.target = WIRE_KEYS, .keys = keys, .n_keys = 2};
	unsigned failing = 1, failed; /* the message is the test's */

	(void)state;
	do {
		unsigned calls = script.calls;
		int rc;

		seam_fail(SEAM_ALLOC, failing++, 1, ENOMEM);
		rc = push("c1", &to_keys);
		failed = seam_failed(SEAM_ALLOC);
		seam_reset();
		assert_int_equal(rc, script.calls > calls ? 0 : -ENOMEM);
	} while (failed > 0);
	assert_true(failing > 4);
}

#define bus_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bus_test(a_push_to_keys_brings_them_twice),
		bus_test(a_push_to_those_named_finds_them_itself),
		bus_test(pushes_in_halves_keep_their_order),
		bus_test(halves_without_memory_are_nothing),
		bus_test(a_kick_goes_where_its_connections_were),
		bus_test(pushes_are_numbered_and_say_what_we_knew_of_redis),
		bus_test(a_kept_push_to_a_room_has_the_number_of_the_answer),
		bus_test(what_the_script_says_is_told),
		bus_test(a_push_that_was_not_written_gets_a_new_number),
		bus_test(a_push_whose_script_is_never_found_fails_in_time),
		bus_test(a_comet_is_told_what_redis_lost),
		bus_test(what_could_not_be_told_is_told_with_the_next_push),
		bus_test(without_memory_a_push_is_accepted_or_fails),
	};

	return cmocka_run_group_tests_name("bus_redis", tests, NULL, NULL);
}
