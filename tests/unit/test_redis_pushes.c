/* Tests of logic_client/redis_pushes: a stream is read into the sink. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/config/config.h"
#include "logic_client/kicks.h"
#include "logic_client/redis_pushes.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

/* More than fit into the smallest table of a map. */
#define WRITERS 40
/* Its first entry is the tenth. */
#define TRIMMED 9

/* A stream with one entry of each writer, which is read once. */
static struct script {
	char stream[WRITERS * 256];
	atomic_int reads;
	bool twice;        /* the second read gets it again */
	const char *then;  /* or this */
	atomic_int others; /* so often the lease is another's */
} script;

static struct fake_redis server;
static struct config cfg;
static struct kicks kicks;
static struct cluster_member member;
static struct redis_pushes *pushes;
static atomic_int arrived;

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;
	int reads;

	if (strcmp(argv[0], "HGET") == 0)
		return atomic_fetch_sub(&s->others, 1) > 0 ? "$1\r\n6\r\n" : "$1\r\n7\r\n";
	if (strcmp(argv[0], "XREAD") != 0)
		return fake_redis_hello(argc, argv);
	reads = atomic_fetch_add(&s->reads, 1);
	if (reads == 0 || (reads == 1 && s->twice))
		return s->stream;
	if (reads == 1 && s->then != NULL)
		return s->then;
	return ""; /* it blocks */
}

static int sink(void *self, const struct wire_push *push)
{
	(void)self;
	(void)push;
	atomic_fetch_add(&arrived, 1);
	return 0;
}

static int set_up(void **state)
{
	size_t n;

	(void)state;
	memset(&script, 0, sizeof(script));
	n = (size_t)snprintf(script.stream, sizeof(script.stream), "*1\r\n*2\r\n$12\r\ncomet:push:c\r\n*%d\r\n",
			     WRITERS);
	for (int i = 0; i < WRITERS; i++)
		n += (size_t)snprintf(script.stream + n, sizeof(script.stream) - n,
				      "*2\r\n$5\r\n10-%02d\r\n*12\r\n$1\r\nn\r\n$2\r\n%02d\r\n"
				      "$6\r\ntarget\r\n$3\r\nall\r\n$2\r\nop\r\n$4\r\n1000\r\n$4\r\nbody\r\n$1\r\nx\r\n"
				      "$4\r\nfrom\r\n$8\r\nlogic-%02d\r\n$3\r\nseq\r\n$1\r\n1\r\n",
				      i + 10, i + 10, i);
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	kicks_init(&kicks, CLOCK_SEC);
	member = (struct cluster_member){.cfg = &cfg, .server_id = "c"};
	atomic_store(&arrived, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	redis_pushes_stop(&pushes);
	kicks_fini(&kicks);
	fake_redis_stop(&server);
	config_fini(&cfg);
	seam_reset();
	return 0;
}

/* Whether the numbers of all these writers are freed says the sanitizer. */
static void each_writers_push_arrives(void **state)
{
	(void)state;
	assert_int_equal(redis_pushes_start(&member, "7", sink, NULL, &kicks, &pushes), 0);
	until(atomic_load(&arrived) == WRITERS);
}

/* The data are of before this comet had the name. */
static void a_stream_of_another_is_not_read(void **state)
{
	(void)state;
	atomic_store(&script.others, 3);
	assert_int_equal(redis_pushes_start(&member, "7", sink, NULL, &kicks, &pushes), 0);
	until(atomic_load(&script.others) == 1);
	assert_int_equal(atomic_load(&script.reads), 0);
	until(atomic_load(&arrived) == WRITERS);
	assert_true(atomic_load(&script.others) < 0);
}

static void what_comes_twice_is_left_out(void **state)
{
	(void)state;
	script.twice = true;
	assert_int_equal(redis_pushes_start(&member, "7", sink, NULL, &kicks, &pushes), 0);
	until(atomic_load(&script.reads) >= 3);
	assert_int_equal(atomic_load(&arrived), WRITERS);
}

#define LOST_ENTRY(id, n, from, had)                                                                                   \
	"*2\r\n$5\r\n" id "\r\n*10\r\n$1\r\nn\r\n$1\r\n" n "\r\n$6\r\ntarget\r\n$4\r\nlost\r\n"                        \
	"$3\r\nhad\r\n$2\r\n" had "\r\n$4\r\nfrom\r\n$2\r\n" from "\r\n$3\r\nseq\r\n$1\r\n9\r\n"

/* What was read went up to 49. Two writers know of more, and one of less; the first of them says so twice. */
static void what_redis_lost_unread_is_counted_once(void **state)
{
	int64_t before = counters_read(COUNT_PUSH_GAP);

	(void)state;
	script.then = "*1\r\n*2\r\n$12\r\ncomet:push:c\r\n*4\r\n" LOST_ENTRY("20-01", "1", "w1", "55")
		LOST_ENTRY("20-02", "2", "w1", "55") LOST_ENTRY("20-03", "3", "w2", "50")
			LOST_ENTRY("20-04", "4", "w3", "60");
	assert_int_equal(redis_pushes_start(&member, "7", sink, NULL, &kicks, &pushes), 0);
	until(atomic_load(&script.reads) >= 3);
	assert_int_equal(counters_read(COUNT_PUSH_GAP) - before, TRIMMED + 11);
	assert_int_equal(atomic_load(&arrived), WRITERS);
}

#define WORD_ENTRY(id, n, seq, had, base, generation)                                                                  \
	"*2\r\n$5\r\n" id "\r\n*14\r\n$1\r\nn\r\n$2\r\n" n "\r\n$6\r\ntarget\r\n$4\r\nlost\r\n"                        \
	"$3\r\nhad\r\n$2\r\n" had "\r\n$4\r\nfrom\r\n$2\r\nw1\r\n$3\r\nseq\r\n$1\r\n" seq                              \
	"\r\n$4\r\nbase\r\n$2\r\n" base "\r\n$10\r\ngeneration\r\n$1\r\n" generation "\r\n"

/* Data that went back: the stream still had entries that were not read, up to 52; of 50 to 60, eight were lost. Under the next
 * generation the numbers go on, and nothing was. */
static void what_the_stream_still_had_is_not_counted(void **state)
{
	int64_t before = counters_read(COUNT_PUSH_GAP);

	(void)state;
	script.then = "*1\r\n*2\r\n$12\r\ncomet:push:c\r\n*3\r\n" WORD_ENTRY("20-01", "50", "1", "60", "52", "5")
		WORD_ENTRY("20-02", "51", "2", "58", "52", "5") WORD_ENTRY("20-03", "52", "3", "51", "51", "6");
	assert_int_equal(redis_pushes_start(&member, "7", sink, NULL, &kicks, &pushes), 0);
	until(atomic_load(&script.reads) >= 3);
	assert_int_equal(counters_read(COUNT_PUSH_GAP) - before, TRIMMED + 8);
}

/* And what was read of what the stream has no more was not lost. */
static void what_was_read_is_not_counted(void **state)
{
	int64_t before = counters_read(COUNT_PUSH_GAP);

	(void)state;
	script.then = "*1\r\n*2\r\n$12\r\ncomet:push:c\r\n*1\r\n" WORD_ENTRY("20-01", "46", "1", "60", "45", "5");
	assert_int_equal(redis_pushes_start(&member, "7", sink, NULL, &kicks, &pushes), 0);
	until(atomic_load(&script.reads) >= 3);
	assert_int_equal(counters_read(COUNT_PUSH_GAP) - before, TRIMMED + 11);
}

/* Of another one's stream: it has a name that was another's before, and lost nothing. */
static void who_lost_nothing_counts_nothing(void **state)
{
	int64_t before = counters_read(COUNT_PUSH_GAP);

	(void)state;
	script.then = "*1\r\n*2\r\n$12\r\ncomet:push:c\r\n*1\r\n*2\r\n$5\r\n20-01\r\n*6\r\n$1\r\nn\r\n$2\r\n50\r\n"
		      "$6\r\ntarget\r\n$4\r\nlost\r\n$3\r\nhad\r\n$2\r\n90\r\n";
	assert_int_equal(redis_pushes_start(&member, "7", sink, NULL, &kicks, &pushes), 0);
	until(atomic_load(&script.reads) >= 3);
	assert_int_equal(counters_read(COUNT_PUSH_GAP) - before, TRIMMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_writers_push_arrives, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stream_of_another_is_not_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_comes_twice_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_redis_lost_unread_is_counted_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_stream_still_had_is_not_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_read_is_not_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_lost_nothing_counts_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("redis_pushes", tests, NULL, NULL);
}
