/* Tests of comet/whitelist. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comet/whitelist.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/wire/wire.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

static char path[] = "/tmp/test_whitelist_XXXXXX";

static int set_up(void **state)
{
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/test_whitelist_XXXXXX");
	if ((fd = mkstemp(path)) < 0)
		return -1;
	return close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return unlink(path);
}

/* What stands in the file. */
static const char *written(void)
{
	static char text[4096];
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	return text;
}

static struct config cfg;

static int init(struct whitelist *w, const char *keys, const char *file)
{
	cfg = (struct config){.whitelist_list = (char *)(uintptr_t)keys,
			      .whitelist_users = (char *)(uintptr_t) "",
			      .whitelist_log = (char *)(uintptr_t)file};
	return whitelist_init(w, &cfg);
}

static const struct channel_options small = {.ring_size = 1, .queue_max = 1};

static bool is_traced(struct whitelist *w, const char *key, int64_t mid)
{
	struct fake_transport peer;
	struct connection *c;
	bool is;

	fake_init(&peer);
	c = fake_connection(&peer, key, 1, &small);
	c->seat.user.mid = mid;
	whitelist_look(w, c);
	is = c->trace == w && c->trace_until_ns > clock_now_ns();
	connection_unref(&c);
	fake_fini(&peer);
	return is;
}

static void keys_on_the_list_are_traced_and_others_are_not(void **state)
{
	struct whitelist w;

	(void)state;
	assert_int_equal(init(&w, "alice, bob ,carol", ""), 0);
	assert_true(is_traced(&w, "alice", 1));
	assert_true(is_traced(&w, "bob", 1));
	assert_true(is_traced(&w, "carol", 1));
	assert_false(is_traced(&w, "dave", 1));
	assert_false(is_traced(&w, "", 1));
	whitelist_fini(&w);
}

static void users_on_the_list_are_traced_whatever_their_keys(void **state)
{
	struct whitelist w;

	(void)state;
	assert_int_equal(init(&w, "", ""), 0);
	whitelist_fini(&w);
	cfg.whitelist_users = (char *)(uintptr_t) "7, 0";
	assert_int_equal(whitelist_init(&w, &cfg), 0);
	assert_true(is_traced(&w, "a", 7));
	assert_true(is_traced(&w, "b", 7));
	assert_false(is_traced(&w, "7", 8));
	assert_false(is_traced(&w, "c", 0)); /* nobody */
	whitelist_fini(&w);
}

static void a_trace_for_a_time_ends_and_outlives_a_reload(void **state)
{
	struct whitelist w;

	(void)state;
	seam_clock_set(CLOCK_SEC, 1);
	assert_int_equal(init(&w, "alice", ""), 0);
	assert_int_equal(whitelist_ask(&w, true, "7", 1000), 0);
	assert_int_equal(whitelist_ask(&w, false, "bob", 5000), 0);
	assert_int_equal(whitelist_ask(&w, false, "alice", 1000), 0);
	assert_true(is_traced(&w, "x", 7));
	assert_true(is_traced(&w, "bob", 1));
	cfg.whitelist_list = (char *)(uintptr_t) "alice,carol";
	assert_int_equal(whitelist_prepare(&w, &cfg), 0);
	whitelist_settle(&w, false);
	assert_false(is_traced(&w, "carol", 1));
	assert_int_equal(whitelist_prepare(&w, &cfg), 0);
	whitelist_settle(&w, true);
	assert_true(is_traced(&w, "carol", 1));
	assert_true(is_traced(&w, "bob", 1));
	seam_clock_set(3 * CLOCK_SEC, 1);
	assert_false(is_traced(&w, "x", 7));
	assert_true(is_traced(&w, "alice", 1)); /* by the settings */
	assert_int_equal(whitelist_ask(&w, false, "bob", 0), 0);
	assert_false(is_traced(&w, "bob", 1));
	assert_int_equal(w.asked.keys.count + w.asked.users.count, 0); /* those that are over have gone */
	whitelist_fini(&w);
}

static void so_many_may_be_traced_at_a_time(void **state)
{
	struct whitelist w;
	char name[16];

	(void)state;
	seam_clock_set(CLOCK_SEC, 1);
	assert_int_equal(init(&w, "", ""), 0);
	for (int i = 0; i < WHITELIST_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(whitelist_ask(&w, i % 2 == 0, name, 1000), 0);
	}
	assert_int_equal(whitelist_ask(&w, true, "one more", 1000), -ENOSPC);
	assert_int_equal(whitelist_ask(&w, true, "0", 2000), 0);
	seam_clock_set(3 * CLOCK_SEC, 1);
	assert_int_equal(whitelist_ask(&w, true, "one more", 1000), 0);
	whitelist_fini(&w);
}

/* From the log to a file, and back; the number stays, since somebody may be writing. */
static void another_file_is_taken_by_a_reload(void **state)
{
	struct whitelist w;
	int fd;

	(void)state;
	assert_int_equal(init(&w, "alice", ""), 0);
	assert_int_equal(w.fd, LOG_OWN_FD);
	cfg.whitelist_log = path;
	assert_int_equal(whitelist_prepare(&w, &cfg), 0);
	whitelist_settle(&w, true);
	fd = w.fd;
	assert_int_equal(write(fd, "x\n", 2), 2);
	assert_string_equal(written(), "x\n");
	cfg.whitelist_log = (char *)(uintptr_t) "/nowhere/at/all";
	assert_int_equal(whitelist_prepare(&w, &cfg), -ENOENT);
	assert_int_equal(w.fd, fd);
	cfg.whitelist_log = (char *)(uintptr_t) "";
	assert_int_equal(whitelist_prepare(&w, &cfg), 0);
	whitelist_settle(&w, true);
	assert_int_equal(w.fd, LOG_OWN_FD);
	cfg.whitelist_log = path;
	assert_int_equal(whitelist_prepare(&w, &cfg), 0);
	whitelist_settle(&w, true);
	assert_int_equal(w.fd, fd);
	whitelist_fini(&w);
}

static void an_empty_list_traces_nobody(void **state)
{
	struct whitelist w;

	(void)state;
	assert_int_equal(init(&w, "", ""), 0);
	assert_false(is_traced(&w, "", 1));
	whitelist_fini(&w);
	/* stderr is not the whitelist's to close. */
	assert_int_not_equal(fcntl(STDERR_FILENO, F_GETFD), -1);
}

static void a_file_that_cannot_be_opened_is_an_error(void **state)
{
	struct whitelist w;

	(void)state;
	assert_int_equal(init(&w, "alice", "/nowhere/at/all"), -ENOENT);
}

/* As logrotate has it: the file is moved away, then the program is told. */
static void a_file_that_was_moved_away_is_made_again(void **state)
{
	char moved[sizeof(path) + 2];
	struct whitelist w;
	struct reload_part part;
	int fd;

	(void)state;
	(void)snprintf(moved, sizeof(moved), "%s.1", path);
	assert_int_equal(init(&w, "alice", path), 0);
	fd = w.fd;
	assert_int_equal(rename(path, moved), 0);
	part = whitelist_reload(&w);
	assert_ptr_equal(part.self, &w);
	assert_int_equal(part.read(part.self), 0);
	part.settle(part.self, false); /* another part was bad */
	assert_int_equal(write(w.fd, "old\n", 4), 4);
	assert_string_equal(written(), "");
	assert_int_equal(part.read(part.self), 0);
	part.settle(part.self, true);
	assert_int_equal(w.fd, fd);
	assert_int_equal(write(w.fd, "new\n", 4), 4);
	assert_string_equal(written(), "new\n");
	assert_int_equal(fcntl(w.fd, F_GETFD), FD_CLOEXEC);
	whitelist_fini(&w);
	assert_int_equal(unlink(moved), 0);
	assert_int_equal(init(&w, "alice", ""), 0);
	assert_null(whitelist_reload(&w).self);
	whitelist_fini(&w);
}

static void without_memory_there_is_no_list(void **state)
{
	struct whitelist w;

	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(init(&w, "alice", ""), -ENOMEM);
	}
}

static void a_trace_is_a_line_with_time_key_and_packet_but_no_body(void **state)
{
	struct packet p = {.ver = 1, .op = 12, .seq = 34, .body = (uint8_t *)"secret", .body_bytes = 6};
	struct fake_transport peer;
	struct connection *c;
	struct whitelist w;
	char wanted[300];

	(void)state;
	log_setup(LOG_INFO, LOG_TEXT);
	seam_clock_set(1, INT64_C(1767954151480));
	assert_int_equal(init(&w, "alice", path), 0);
	fake_init(&peer);
	c = fake_connection(&peer, "alice", 1, &small);
	trace(c, EVENT_TRACE_AUTH, NULL);
	whitelist_look(&w, c);
	trace(c, EVENT_TRACE_AUTH, NULL);
	trace(c, EVENT_TRACE_READ_END, &p);
	(void)snprintf(wanted, sizeof(wanted),
		       "2026-01-09T10:22:31.480Z trace conn=%llx key=alice authentication was read event=trace_auth\n"
		       "2026-01-09T10:22:31.480Z trace conn=%llx key=alice a packet was read event=trace_read_end "
		       "op=12 ver=1 seq=34 body_bytes=6\n",
		       (unsigned long long)c->id, (unsigned long long)c->id);
	assert_string_equal(written(), wanted);
	connection_unref(&c);
	fake_fini(&peer);
	whitelist_fini(&w);
}

static void where_the_log_is_json_a_trace_is_too(void **state)
{
	struct fake_transport peer;
	struct connection *c;
	struct whitelist w;
	char wanted[300];

	(void)state;
	log_setup(LOG_INFO, LOG_JSON);
	seam_clock_set(1, INT64_C(1767954151480));
	assert_int_equal(init(&w, "a\"b", path), 0);
	fake_init(&peer);
	c = fake_connection(&peer, "a\"b", 1, &small);
	whitelist_look(&w, c);
	trace(c, EVENT_TRACE_AUTH, NULL);
	(void)snprintf(
		wanted, sizeof(wanted),
		"{\"time\":\"2026-01-09T10:22:31.480Z\",\"level\":\"trace\",\"conn\":\"%llx\",\"key\":\"a\\\"b\","
		"\"event\":\"trace_auth\",\"message\":\"authentication was read\"}\n",
		(unsigned long long)c->id);
	assert_string_equal(written(), wanted);
	log_setup(LOG_INFO, LOG_TEXT);
	connection_unref(&c);
	fake_fini(&peer);
	whitelist_fini(&w);
}

static void a_line_too_long_is_cut_and_still_a_line(void **state)
{
	char key[WIRE_KEY_BYTES];
	struct whitelist w;
	struct packet p = {.op = 1};

	(void)state;
	log_setup(LOG_INFO, LOG_JSON);
	/* Many lengths, each byte six in the line, so that the cut is in many places: in the key, the words, the numbers. */
	for (size_t n = 180; n < sizeof(key); n++) {
		struct fake_transport peer;
		struct connection *c;
		const char *text;

		memset(key, '\x01', n);
		key[n] = '\0';
		assert_int_equal(truncate(path, 0), 0);
		assert_int_equal(init(&w, key, path), 0);
		fake_init(&peer);
		c = fake_connection(&peer, key, 1, &small);
		whitelist_look(&w, c);
		trace(c, EVENT_TRACE_READ_END, &p);
		text = written();
		assert_in_range(strlen(text), 1000, 1500);
		assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
		connection_unref(&c);
		fake_fini(&peer);
		whitelist_fini(&w);
	}
	assert_non_null(strstr(written(), "\"cut\":true"));
	log_setup(LOG_INFO, LOG_TEXT);
}

static void a_line_that_cannot_be_written_is_counted(void **state)
{
	int64_t before = counters_read(COUNT_LOG_LINES_LOST);
	struct fake_transport peer;
	struct connection *c;
	struct whitelist w;

	(void)state;
	assert_int_equal(init(&w, "alice", "/dev/full"), 0);
	fake_init(&peer);
	c = fake_connection(&peer, "alice", 1, &small);
	whitelist_look(&w, c);
	trace(c, EVENT_TRACE_AUTH, NULL);
	assert_int_equal(counters_read(COUNT_LOG_LINES_LOST), before + 1);
	connection_unref(&c);
	fake_fini(&peer);
	whitelist_fini(&w);
}

/* Trace until lines are lost; the alarm ends a test that would wait for ever. */
static void trace_until_full(const char *where)
{
	int64_t before = counters_read(COUNT_LOG_LINES_LOST);
	struct fake_transport peer;
	struct connection *c;
	struct whitelist w;

	assert_int_equal(init(&w, "alice", where), 0);
	fake_init(&peer);
	c = fake_connection(&peer, "alice", 1, &small);
	whitelist_look(&w, c);
	(void)alarm(UNTIL_SECONDS);
	for (int i = 0; i < 200000 && counters_read(COUNT_LOG_LINES_LOST) == before; i++)
		trace(c, EVENT_TRACE_AUTH, NULL);
	(void)alarm(0);
	assert_int_equal(counters_read(COUNT_LOG_LINES_LOST), before + 1);
	connection_unref(&c);
	fake_fini(&peer);
	whitelist_fini(&w);
}

static void a_stderr_that_nobody_empties_stops_no_thread(void **state)
{
	int ends[2], real = dup(STDERR_FILENO);

	(void)state;
	assert_true(real >= 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	log_setup(LOG_INFO, LOG_TEXT);
	trace_until_full("");
	assert_true(dup2(real, STDERR_FILENO) >= 0);
	log_setup(LOG_INFO, LOG_TEXT);
	assert_int_equal(close(ends[0]) | close(ends[1]) | close(real), 0);
}

static void a_pipe_in_the_file_s_place_that_nobody_empties_stops_no_thread(void **state)
{
	int reader;

	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	trace_until_full(path);
	assert_int_equal(close(reader), 0);
}

#define whitelist_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		whitelist_test(keys_on_the_list_are_traced_and_others_are_not),
		whitelist_test(users_on_the_list_are_traced_whatever_their_keys),
		whitelist_test(a_trace_for_a_time_ends_and_outlives_a_reload),
		whitelist_test(so_many_may_be_traced_at_a_time),
		whitelist_test(another_file_is_taken_by_a_reload),
		whitelist_test(an_empty_list_traces_nobody),
		whitelist_test(a_file_that_was_moved_away_is_made_again),
		whitelist_test(a_file_that_cannot_be_opened_is_an_error),
		whitelist_test(without_memory_there_is_no_list),
		whitelist_test(a_trace_is_a_line_with_time_key_and_packet_but_no_body),
		whitelist_test(where_the_log_is_json_a_trace_is_too),
		whitelist_test(a_line_too_long_is_cut_and_still_a_line),
		whitelist_test(a_line_that_cannot_be_written_is_counted),
		whitelist_test(a_stderr_that_nobody_empties_stops_no_thread),
		whitelist_test(a_pipe_in_the_file_s_place_that_nobody_empties_stops_no_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
