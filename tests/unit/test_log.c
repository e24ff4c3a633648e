/* Tests of common/base/log. stderr is a pipe, a socket or a file of the test's own while a case runs.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "tests/unit/seam.h"

/* 2026-01-09T10:22:31.480Z */
#define WALL_MS INT64_C(1767954151480)
#define STAMP   "2026-01-09T10:22:31.480Z"

static int real_stderr;
static int reader = -1; /* the other end of what stderr is now */
static char got[1 << 20];

static void become_stderr(int fd)
{
	assert_return_code(dup2(fd, STDERR_FILENO), errno);
	assert_return_code(close(fd), errno);
}

static int set_up(void **state)
{
	int ends[2];

	(void)state;
	seam_clock_set(CLOCK_SEC, WALL_MS);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	real_stderr = dup(STDERR_FILENO);
	reader = ends[0];
	become_stderr(ends[1]);
	log_setup(LOG_INFO, LOG_TEXT);
	return fcntl(reader, F_SETFL, O_NONBLOCK);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	become_stderr(real_stderr);
	log_setup(LOG_INFO, LOG_TEXT);
	if (reader >= 0)
		(void)close(reader);
	reader = -1;
	return 0;
}

/* What was logged since the last call; "" when nothing was. */
static const char *logged(void)
{
	ssize_t n;
	size_t bytes = 0;

	while ((n = read(reader, got + bytes, sizeof(got) - 1 - bytes)) > 0)
		bytes += (size_t)n;
	got[bytes] = '\0';
	return got;
}

static json_t *logged_json(void)
{
	json_t *line = json_loads(logged(), 0, NULL);

	assert_non_null(line);
	return line;
}

static const char *text_of(const json_t *line, const char *name)
{
	return json_string_value(json_object_get(line, name));
}

/* What is said of EVENT_REDIS_CONNECTED, which stands here for any event. */
#define WORDS "Redis is connected event=redis_connected"

static void a_line_has_time_level_object_event_and_fields(void **state)
{
	(void)state;
	LOG(LOG_WARN, log_id("conn", 0x81f2), log_str("key", "user-7"), log_what(EVENT_REDIS_CONNECTED),
	    log_str("reason", "slow_consumer"), log_i64("queued", -80), log_str("room", NULL),
	    log_str_if("words", NULL), LOG_NONE, log_str_if("why", "late"));
	assert_string_equal(logged(), STAMP " warn conn=81f2 key=user-7 " WORDS
					    " reason=slow_consumer queued=-80 room=- why=late\n");
}

static void a_json_line_has_the_same(void **state)
{
	json_t *line;

	(void)state;
	log_setup(LOG_INFO, LOG_JSON);
	LOG(LOG_ERROR, log_id("conn", 0x81f2), log_what(EVENT_REDIS_CONNECTED), log_str("key", "a\"\\\n\x01"),
	    log_i64("n", -80), log_str("room", NULL), log_str_if("words", NULL));
	line = logged_json();
	assert_string_equal(text_of(line, "time"), STAMP);
	assert_string_equal(text_of(line, "level"), "error");
	assert_string_equal(text_of(line, "conn"), "81f2");
	assert_string_equal(text_of(line, "event"), "redis_connected");
	assert_string_equal(text_of(line, "message"), "Redis is connected");
	assert_string_equal(text_of(line, "key"), "a\"\\\n\x01");
	assert_int_equal(json_integer_value(json_object_get(line, "n")), -80);
	assert_true(json_is_null(json_object_get(line, "room")));
	assert_int_equal(json_object_size(line), 8);
	json_decref(line);
}

static void levels_below_the_one_set_up_are_not_written(void **state)
{
	(void)state;
	LOG(LOG_DEBUG, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), "");
	log_setup(LOG_DEBUG, LOG_TEXT);
	assert_true(log_enabled(LOG_DEBUG));
	LOG(LOG_DEBUG, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), STAMP " debug " WORDS "\n");
	log_setup(LOG_ERROR, LOG_TEXT);
	LOG(LOG_WARN, log_what(EVENT_REDIS_CONNECTED));
	LOG(LOG_ERROR, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), STAMP " error " WORDS "\n");
}

static void a_value_cannot_forge_a_line_or_a_field(void **state)
{
	static const struct {
		const char *value;
		const char *text;
	} CASES[] = {
		{"plain", "plain"},
		{"", "\"\""},
		{NULL, "-"},
		{"-", "\"-\""},
		{"two words", "\"two words\""},
		{"a=b", "\"a=b\""},
		{"say \"hi\"", "\"say \\\"hi\\\"\""},
		{"back\\slash", "\"back\\\\slash\""},
		{"x\n" STAMP " error forged", "\"x\\x0a" STAMP " error forged\""},
		{"\x1b[2J", "\"\\x1b[2J\""},               /* clear the screen */
		{"\xc2\x9b[2J", "\"\\x9b[2J\""},           /* the same as one C1 character */
		{"\xe2\x80\xaeright", "\"\\u202eright\""}, /* from right to left */
		{"\xe4\xb8\xad\xe6\x96\x87", "\"\xe4\xb8\xad\xe6\x96\x87\""},
		{"\xff", "\"\\xff\""},
		{"\xe4\xb8", "\"\\xe4\\xb8\""},                   /* ends inside a character */
		{"\xc0\xaf", "\"\\xc0\\xaf\""},                   /* longer than need be */
		{"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},          /* half a pair */
		{"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""}, /* beyond the last one */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char want[256];

		(void)snprintf(want, sizeof(want), STAMP " info " WORDS " key=%s\n", CASES[i].text);
		LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED), log_str("key", CASES[i].value));
		assert_string_equal(logged(), want);
	}
}

static void json_stays_json_whatever_the_bytes_are(void **state)
{
	(void)state;
	log_setup(LOG_INFO, LOG_JSON);
	for (unsigned a = 1; a < 256; a++)
		for (unsigned b = 0; b < 256; b += 5) {
			char value[] = {(char)a, (char)b, 'x', '\0'};
			json_t *line;

			LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED), log_str("key", value));
			line = logged_json();
			assert_non_null(text_of(line, "key"));
			json_decref(line);
		}
}

static void a_line_too_long_is_cut(void **state)
{
	char value[4000];
	const char *line;

	(void)state;
	memset(value, 'a', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED), log_str("key", value), log_i64("n", 1));
	line = logged();
	assert_in_range(strlen(line), 20, 1500);
	assert_string_equal(line + strlen(line) - 4, "...\n");
	LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), STAMP " info " WORDS "\n");
}

/* Lengths around the limit put the cut into the value, into its end, and into each field behind it. */
static void a_json_line_too_long_is_cut_and_stays_json(void **state)
{
	char value[1600];

	(void)state;
	log_setup(LOG_INFO, LOG_JSON);
	for (size_t bytes = 1330; bytes < sizeof(value); bytes++) {
		json_t *line;

		memset(value, bytes % 2 ? '"' : 'a', bytes);
		memset(value, 'a', 1300);
		value[bytes] = '\0';
		LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED), log_str("key", value), log_i64("n", 123456),
		    log_str("room", "r"));
		line = logged_json();
		assert_in_range(strlen(got), 100, 1500);
		assert_true(json_is_true(json_object_get(line, "cut")) || strcmp(text_of(line, "room"), "r") == 0);
		json_decref(line);
	}
}

static void fill_until_lines_are_lost(void)
{
	int64_t before = counters_read(COUNT_LOG_LINES_LOST);

	for (int i = 0; i < 200000 && counters_read(COUNT_LOG_LINES_LOST) == before; i++)
		LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED),
		    log_str("key", "0123456789012345678901234567890123456789"));
	assert_int_equal(counters_read(COUNT_LOG_LINES_LOST), before + 1);
}

static void a_full_pipe_loses_lines_and_counts_them_but_never_waits(void **state)
{
	(void)state;
	fill_until_lines_are_lost();
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0); /* others share that description */
	assert_non_null(strstr(logged(), " info " WORDS " "));
	LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), STAMP " info " WORDS "\n");
}

/* stderr becomes a pipe that we may write to and not open, as one of another user is. */
static void become_a_stranger_s_pipe(void)
{
	const uid_t nobody = 65534;
	bool is_root = geteuid() == 0; /* who may open everything */
	int ends[2];

	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	assert_return_code(fchmod(ends[1], 0), errno);
	(void)close(reader);
	reader = ends[0];
	assert_return_code(fcntl(reader, F_SETFL, O_NONBLOCK), errno);
	become_stderr(ends[1]);
	assert_true(!is_root || seteuid(nobody) == 0);
	assert_int_equal(open("/proc/self/fd/2", O_WRONLY | O_CLOEXEC), -1);
	log_setup(LOG_INFO, LOG_TEXT);
	assert_true(!is_root || seteuid(0) == 0);
}

static void a_full_pipe_of_another_user_loses_lines_and_counts_them_but_never_waits(void **state)
{
	(void)state;
	become_a_stranger_s_pipe();
	(void)alarm(60); /* ends the test where it waits */
	fill_until_lines_are_lost();
	(void)alarm(0);
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	assert_non_null(strstr(logged(), " info " WORDS " "));
	LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), STAMP " info " WORDS "\n");
}

static void a_full_socket_loses_lines_and_counts_them_but_never_waits(void **state)
{
	int ends[2];

	(void)state;
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), errno);
	become_stderr(ends[1]);
	log_setup(LOG_INFO, LOG_TEXT);
	fill_until_lines_are_lost();
	(void)close(ends[0]);
}

static void a_closed_pipe_loses_lines_and_counts_them(void **state)
{
	int64_t before = counters_read(COUNT_LOG_LINES_LOST);

	(void)state;
	(void)close(reader);
	reader = -1;
	LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED));
	LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED));
	assert_int_equal(counters_read(COUNT_LOG_LINES_LOST), before + 2);
}

static void a_file_is_written_to_and_a_later_setup_follows_a_redirection(void **state)
{
	char path[] = "/tmp/test_log.XXXXXX";
	int fd = mkstemp(path);
	char text[128] = "";

	(void)state;
	assert_return_code(fd, errno);
	(void)unlink(path);
	assert_return_code(dup2(fd, STDERR_FILENO), errno);
	log_setup(LOG_INFO, LOG_TEXT);
	LOG(LOG_INFO, log_what(EVENT_REDIS_CONNECTED));
	assert_return_code(pread(fd, text, sizeof(text) - 1, 0), errno);
	assert_string_equal(text, STAMP " info " WORDS "\n");
	assert_string_equal(logged(), "");
	(void)close(fd);
}

#define WRITERS 4
#define LINES   200

static void *write_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		LOG(LOG_INFO, log_str("who", arg), log_what(EVENT_REDIS_CONNECTED), log_i64("line", i));
	return NULL;
}

static void lines_of_many_threads_do_not_mix(void **state)
{
	pthread_t threads[WRITERS];
	char *names[WRITERS] = {"a", "b", "c", "d"};
	int next[WRITERS] = {0};
	unsigned n = 0;

	(void)state;
	assert_return_code(fcntl(STDERR_FILENO, F_SETPIPE_SZ, 1 << 20), errno);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)logged();
	for (char *line = strtok(got, "\n"); line; line = strtok(NULL, "\n"), n++) {
		char want[96];
		int who = line[strlen(STAMP " info who=")] - 'a';

		assert_in_range(who, 0, WRITERS - 1);
		(void)snprintf(want, sizeof(want), STAMP " info who=%s " WORDS " line=%d", names[who], next[who]++);
		assert_string_equal(line, want);
	}
	assert_int_equal(n, WRITERS * LINES);
}

static void a_limit_lets_so_many_lines_a_second_through_and_tells_what_it_left_out(void **state)
{
	static struct log_limit limit = LOG_LIMIT(2);

	(void)state;
	for (int i = 0; i < 5; i++)
		LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), STAMP " warn " WORDS "\n" STAMP " warn " WORDS "\n");
	seam_clock_advance(CLOCK_SEC);
	LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_REDIS_CONNECTED));
	LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), "2026-01-09T10:22:32.480Z warn " WORDS " left_out=3\n"
				      "2026-01-09T10:22:32.480Z warn " WORDS "\n");
}

static void a_level_that_is_off_uses_up_no_limit(void **state)
{
	static struct log_limit limit = LOG_LIMIT(1);

	(void)state;
	LOG_LIMITED(LOG_DEBUG, &limit, log_what(EVENT_REDIS_CONNECTED));
	LOG_LIMITED(LOG_INFO, &limit, log_what(EVENT_REDIS_CONNECTED));
	assert_string_equal(logged(), STAMP " info " WORDS "\n");
}

#define log_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		log_test(a_line_has_time_level_object_event_and_fields),
		log_test(a_json_line_has_the_same),
		log_test(levels_below_the_one_set_up_are_not_written),
		log_test(a_value_cannot_forge_a_line_or_a_field),
		log_test(json_stays_json_whatever_the_bytes_are),
		log_test(a_line_too_long_is_cut),
		log_test(a_json_line_too_long_is_cut_and_stays_json),
		log_test(a_full_pipe_loses_lines_and_counts_them_but_never_waits),
		log_test(a_full_socket_loses_lines_and_counts_them_but_never_waits),
		log_test(a_full_pipe_of_another_user_loses_lines_and_counts_them_but_never_waits),
		log_test(a_closed_pipe_loses_lines_and_counts_them),
		log_test(a_file_is_written_to_and_a_later_setup_follows_a_redirection),
		log_test(lines_of_many_threads_do_not_mix),
		log_test(a_limit_lets_so_many_lines_a_second_through_and_tells_what_it_left_out),
		log_test(a_level_that_is_off_uses_up_no_limit),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
