/* Tests of common/base/counters. Counters are the process's own and only grow: each case looks at what it added itself.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/version.h"
#include "tests/unit/dying.h"
#include "tests/unit/seam.h"

enum { THREADS = 20 }; /* more than shards */

static struct counters_text out;

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	free(out.text);
	out = (struct counters_text){0};
	return 0;
}

/* ---- counting ---- */

static void *count_some(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		count(COUNT_DELIVERED);
		count_add(COUNT_BYTES_OUT, 7);
		count_by(COUNT_DROPPED, i % 2 == 0 ? 3 : 4);
		count(COUNT_QUEUED);
		count_add(COUNT_QUEUED, -1);
	}
	return arg;
}

static void nothing_counted_is_lost_between_threads(void **state)
{
	int64_t delivered = counters_read(COUNT_DELIVERED);
	int64_t bytes = counters_read(COUNT_BYTES_OUT);
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_some, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(counters_read(COUNT_DELIVERED) - delivered, THREADS * 1000);
	assert_int_equal(counters_read(COUNT_BYTES_OUT) - bytes, THREADS * 7000);
	assert_int_equal(counters_read_by(COUNT_DROPPED, 3), THREADS * 500);
	assert_int_equal(counters_read_by(COUNT_DROPPED, 4), THREADS * 500);
	assert_int_equal(counters_read_by(COUNT_DROPPED, 5), 0);
	assert_int_equal(counters_read(COUNT_DROPPED), THREADS * 1000);
	assert_int_equal(counters_read(COUNT_QUEUED), 0);
}

static void *leave_a_room(void *arg)
{
	count_add(COUNT_ROOMS, -3);
	return arg;
}

static void gauge_goes_down_on_another_thread_than_up(void **state)
{
	pthread_t thread;

	(void)state;
	count_add(COUNT_ROOMS, 5);
	assert_int_equal(pthread_create(&thread, NULL, leave_a_room, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(counters_read(COUNT_ROOMS), 2);
	count_add(COUNT_ROOMS, -2);
	assert_int_equal(counters_read(COUNT_ROOMS), 0);
}

/* ---- histograms ---- */

static void *observe_much(void *arg)
{
	for (int i = 0; i < 1000; i++)
		count_observe(COUNT_BATCH, 1 + i % 40);
	return arg;
}

static void no_value_of_a_histogram_is_lost_between_threads(void **state)
{
	pthread_t threads[THREADS];
	int64_t n = counters_read(COUNT_BATCH), sum = counters_read_sum(COUNT_BATCH);

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, observe_much, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(counters_read(COUNT_BATCH) - n, THREADS * 1000);
	assert_int_equal(counters_read_sum(COUNT_BATCH) - sum, THREADS * 25 * 40 * 41 / 2);
}

static void count_observed(void)
{
	count_observe(COUNT_DELIVERED, 1);
}

static void sum_of_a_counter(void)
{
	(void)counters_read_sum(COUNT_DELIVERED);
}

static void value_for_a_counter_stops_the_program(void **state)
{
	char words[512];

	(void)state;
	assert_int_equal(dying(count_observed, words, sizeof(words)), SIGABRT);
	assert_int_equal(dying(sum_of_a_counter, words, sizeof(words)), SIGABRT);
}

static void label_above_the_last_cell(void)
{
	count_by(COUNT_DROPPED, COUNTER_LABELS_MAX);
}

static void label_of_a_plain_counter(void)
{
	count_by(COUNT_DELIVERED, 0);
}

static void name_too_many(void)
{
	static const char *const names[COUNTER_LABELS_MAX + 1];

	counters_label(COUNT_DROPPED, names, COUNTER_LABELS_MAX + 1);
}

static void label_that_does_not_exist_stops_the_program(void **state)
{
	char words[512];

	(void)state;
	assert_int_equal(dying(label_above_the_last_cell, words, sizeof(words)), SIGABRT);
	assert_int_equal(dying(label_of_a_plain_counter, words, sizeof(words)), SIGABRT);
	assert_int_equal(dying(name_too_many, words, sizeof(words)), SIGABRT);
}

/* ---- the text ---- */

static const char *line_of(const char *start)
{
	const char *line = out.text;

	while (line != NULL && strncmp(line, start, strlen(start)) != 0)
		line = (line = strchr(line, '\n')) != NULL ? line + 1 : NULL;
	return line;
}

/* What stands behind the name (with its labels). */
static double value_of(const char *name)
{
	const char *line = line_of(name);

	assert_non_null(line);
	assert_int_equal(line[strlen(name)], ' ');
	return strtod(line + strlen(name) + 1, NULL);
}

static void labels_are_named_escaped_or_left_out(void **state)
{
	static const char *const names[] = {"plain", NULL, "a\"b\\c\nd"};

	(void)state;
	counters_label(COUNT_ACCEPTED, names, 3);
	count_by(COUNT_ACCEPTED, 0);
	count_by_add(COUNT_ACCEPTED, 1, 5);
	count_by_add(COUNT_ACCEPTED, 2, 3);
	counters_expose(&out);
	assert_int_equal(out.failed, 0);
	assert_true(value_of("comet_accepted_total{listener=\"plain\"}") == 1);
	assert_true(value_of("comet_accepted_total{listener=\"a\\\"b\\\\c\\nd\"}") == 3);
	assert_null(strstr(out.text, "} 5\n"));
}

/* A bound belongs to its bucket, each bucket holds those below, seconds are told as such. */
static void histogram_is_told_in_buckets(void **state)
{
	(void)state;
	count_observe(COUNT_QUEUE_DEPTH, 1);
	count_observe(COUNT_QUEUE_DEPTH, 2);
	count_observe(COUNT_QUEUE_DEPTH, 3);
	count_observe(COUNT_QUEUE_DEPTH, 1000000);
	count_observe(COUNT_HANDSHAKE, 5 * CLOCK_MS);
	count_observe(COUNT_HANDSHAKE, 5 * CLOCK_MS + 1);
	counters_expose(&out);
	assert_non_null(line_of("# TYPE comet_queue_depth histogram\n"));
	assert_true(value_of("comet_queue_depth_bucket{le=\"1\"}") == 1);
	assert_true(value_of("comet_queue_depth_bucket{le=\"2\"}") == 2);
	assert_true(value_of("comet_queue_depth_bucket{le=\"4\"}") == 3);
	assert_true(value_of("comet_queue_depth_bucket{le=\"1024\"}") == 3);
	assert_true(value_of("comet_queue_depth_bucket{le=\"+Inf\"}") == 4);
	assert_true(value_of("comet_queue_depth_count") == 4);
	assert_true(value_of("comet_queue_depth_sum") == 1000006);
	assert_true(value_of("comet_handshake_seconds_bucket{le=\"0.001\"}") == 0);
	assert_true(value_of("comet_handshake_seconds_bucket{le=\"0.005\"}") == 1);
	assert_true(value_of("comet_handshake_seconds_bucket{le=\"2.5\"}") == 2);
	assert_true(value_of("comet_handshake_seconds_sum") == 0.010000001);
}

/* "# TYPE name kind": the name, and whether it only grows. */
static void check_type(const char *line, char *name, size_t name_bytes)
{
	char kind[16];

	assert_int_equal(sscanf(line, "# TYPE %99s %15s", name, kind), 2);
	assert_true(strlen(name) < name_bytes);
	assert_true(strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0 || strcmp(kind, "histogram") == 0);
	/* promtool: a counter ends in _total, and nothing else does. */
	assert_int_equal(strcmp(kind, "counter") == 0,
			 strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0);
}

/* name{label="value",...} number, of the family named last. */
static void check_sample(const char *line, const char *family)
{
	size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz_"), bare = strlen(family);
	char *end;

	assert_true(n >= bare);
	assert_memory_equal(line, family, bare);
	if (n > bare) {
		char type[120];

		(void)snprintf(type, sizeof(type), "# TYPE %s histogram\n", family);
		assert_non_null(line_of(type));
		assert_true(strncmp(line + bare, "_bucket{", 8) == 0 || strncmp(line + bare, "_sum ", 5) == 0 ||
			    strncmp(line + bare, "_count ", 7) == 0);
	}
	line += n;
	if (*line == '{') {
		bool quoted = false;

		for (line++; quoted || *line != '}'; line++) {
			assert_true(*line != '\0' && *line != '\n');
			if (*line == '\\')
				line++;
			else if (*line == '"')
				quoted = !quoted;
		}
		line++;
	}
	assert_int_equal(*line, ' ');
	(void)strtod(line + 1, &end);
	assert_true(end > line + 1);
	assert_int_equal(*end, '\n');
}

static void text_follows_the_rules_of_the_format(void **state)
{
	char name[100] = "", help[100] = "", once[120], build[160];
	unsigned families = 0;

	(void)state;
	counters_expose(&out);
	assert_int_equal(out.failed, 0);
	assert_int_equal(out.bytes, strlen(out.text));
	assert_int_equal(out.text[out.bytes - 1], '\n');
	for (const char *line = out.text; *line != '\0'; line = strchr(line, '\n') + 1) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(line, "# HELP %99s", help), 1);
			(void)snprintf(once, sizeof(once), "# HELP %s ", help);
			assert_ptr_equal(line_of(once), line);
			families++;
		} else if (strncmp(line, "# TYPE ", 7) == 0) {
			check_type(line, name, sizeof(name));
			assert_string_equal(name, help);
		} else {
			check_sample(line, name);
		}
	}
	/* Every metric of the table, the build and the process. */
	assert_int_equal(families, COUNT_MAX + 1 + 7);
	(void)snprintf(build, sizeof(build), "comet_build_info{version=\"%s\",commit=\"%s\"} 1", version_text,
		       version_commit);
	assert_non_null(line_of(build));
}

static void process_is_told_as_the_kernel_sees_it(void **state)
{
	double files;
	int fd;

	(void)state;
	counters_expose(&out);
	files = value_of("process_open_fds");
	assert_true(files >= 3);
	assert_true(value_of("process_max_fds") >= files);
	assert_true(value_of("process_virtual_memory_bytes") > value_of("process_resident_memory_bytes"));
	assert_true(value_of("process_threads") >= 1);
	assert_true(value_of("process_resident_memory_bytes") > 100000);
	assert_true(value_of("process_cpu_seconds_total") >= 0);
	assert_true(value_of("process_start_time_seconds") <= (double)time(NULL) + 2);
	assert_true(value_of("process_start_time_seconds") > (double)time(NULL) - 3600);
	free(out.text);
	out = (struct counters_text){0};
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	counters_expose(&out);
	assert_int_equal(close(fd), 0);
	assert_true(value_of("process_open_fds") == files + 1);
}

static void text_grows_as_it_must(void **state)
{
	char piece[101];

	(void)state;
	memset(piece, 'x', 100);
	piece[100] = '\0';
	for (int i = 0; i < 1000; i++)
		counters_text_add(&out, "%s", piece);
	assert_int_equal(out.failed, 0);
	assert_int_equal(out.bytes, 100000);
	assert_int_equal(strlen(out.text), 100000);
}

/* Each allocation in turn. */
static void without_memory_the_text_says_that_it_failed(void **state)
{
	unsigned n = 0;
	bool failed = true;

	(void)state;
	for (; failed; n++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, n, 1, ENOMEM);
		counters_expose(&out);
		failed = seam_failed(SEAM_ALLOC) > 0;
		assert_int_equal(out.failed, failed);
		free(out.text);
		out = (struct counters_text){0};
	}
	assert_true(n > 2);
	/* It stays failed: half a text is none. */
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	counters_text_add(&out, "first");
	counters_text_add(&out, "second");
	assert_int_equal(out.failed, 1);
	assert_int_equal(out.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_counted_is_lost_between_threads),
		cmocka_unit_test(gauge_goes_down_on_another_thread_than_up),
		cmocka_unit_test(no_value_of_a_histogram_is_lost_between_threads),
		cmocka_unit_test(value_for_a_counter_stops_the_program),
		cmocka_unit_test(label_that_does_not_exist_stops_the_program),
		cmocka_unit_test_teardown(histogram_is_told_in_buckets, tear_down),
		cmocka_unit_test_teardown(labels_are_named_escaped_or_left_out, tear_down),
		cmocka_unit_test_teardown(text_follows_the_rules_of_the_format, tear_down),
		cmocka_unit_test_teardown(process_is_told_as_the_kernel_sees_it, tear_down),
		cmocka_unit_test_teardown(text_grows_as_it_must, tear_down),
		cmocka_unit_test_teardown(without_memory_the_text_says_that_it_failed, tear_down),
	};

	return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
