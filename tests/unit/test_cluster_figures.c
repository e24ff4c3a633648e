/* Tests of logic/cluster_figures, with a registry of our own. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "logic/cluster_figures.h"
#include "tests/unit/seam.h"

static struct {
	int rc;
	struct registry_server list[2];
	size_t n;
} comets;

static int servers(void *self, struct registry_servers *out)
{
	(void)self;
	*out = (struct registry_servers){0};
	if (comets.rc < 0)
		return comets.rc;
	out->servers = calloc(comets.n + 1, sizeof(*out->servers));
	assert_non_null(out->servers);
	for (; out->n < comets.n; out->n++) {
		out->servers[out->n] = comets.list[out->n];
		out->servers[out->n].id = strdup(comets.list[out->n].id);
		out->servers[out->n].region = strdup("");
		out->servers[out->n].addrs = strdup("");
	}
	return 0;
}

static struct registry registry = {.servers = servers};
static struct cluster_figures *figures;

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(1000 * CLOCK_SEC, INT64_C(1700000000000));
	memset(&comets, 0, sizeof(comets));
	comets.list[0] = (struct registry_server){.id = "one", .connections = 3, .delivered = 1000, .dropped = 10};
	comets.list[1] = (struct registry_server){.id = "two", .connections = 4, .delivered = 500};
	comets.n = 2;
	return cluster_figures_new(&registry, &figures);
}

static int tear_down(void **state)
{
	(void)state;
	cluster_figures_free(&figures);
	seam_reset();
	return 0;
}

static void second(void)
{
	seam_clock_advance(CLOCK_SEC);
	assert_true(cluster_figures_note(figures) > clock_now_ns());
}

static void assert_told(const char *words)
{
	struct counters_text text = {0};

	assert_int_equal(chronicle_expose(cluster_figures_chronicle(figures), false, 300, &text), 0);
	if (strstr(text.text, words) == NULL)
		fail_msg("no %s in %s", words, text.text);
	free(text.text);
}

static void connections_are_summed_up_and_so_is_what_each_comet_has_added(void **state)
{
	(void)state;
	second();
	comets.list[0].delivered += 20;
	comets.list[1].delivered += 7;
	comets.list[0].dropped += 2;
	second();
	assert_told("\"connections\":[7,7]");
	assert_told("\"delivered\":[0,27]");
	assert_told("\"dropped\":[0,2]");
}

static void a_comet_that_was_started_again_has_added_all_that_it_counts(void **state)
{
	(void)state;
	second();
	comets.list[0].delivered = 30;
	second();
	assert_told("\"delivered\":[0,30]");
}

static void a_comet_that_goes_and_comes_takes_and_adds_nothing(void **state)
{
	(void)state;
	second();
	comets.n = 1;
	second();
	comets.n = 2;
	comets.list[1].delivered += 90;
	second();
	comets.list[1].delivered += 1;
	second();
	assert_told("\"connections\":[7,3,7,7]");
	assert_told("\"delivered\":[0,0,0,1]");
}

static void without_redis_seconds_stay_blank_and_it_is_asked_once_a_second(void **state)
{
	(void)state;
	second();
	comets.rc = -ERR_NO_LOGIC;
	for (unsigned i = 0; i < 10; i++) {
		second();
		assert_true(cluster_figures_note(figures) >= clock_now_ns() + CLOCK_SEC);
	}
	comets.rc = 0;
	comets.list[0].delivered += 11000;
	second();
	second();
	assert_told("\"connections\":[7,null,null,null,null,null,null,null,null,null,7,7,7]");
	assert_told("\"delivered\":[0,null,null,null,null,null,null,null,null,null,null,null,0]");
}

static void what_fails_without_redis_is_not_forgotten(void **state)
{
	(void)state;
	second();
	comets.rc = -ERR_NO_LOGIC;
	for (unsigned i = 0; i < 9; i++) {
		count(COUNT_PUSHES_FAILED);
		second();
	}
	comets.rc = 0;
	second();
	assert_told("\"pushes_failed\":[0,1,1,1,1,1,1,1,1,1,0]");
}

static void a_moment_without_redis_is_shared_out(void **state)
{
	(void)state;
	second();
	comets.rc = -ERR_NO_LOGIC;
	second();
	second();
	comets.rc = 0;
	comets.list[0].delivered += 30;
	second();
	assert_told("\"delivered\":[0,10,10,10]");
}

static void without_memory_a_comet_is_met_later(void **state)
{
	(void)state;
	comets.n = 1;
	seam_clock_advance(CLOCK_SEC);
	seam_fail(SEAM_ALLOC, 4, 1, ENOMEM); /* those before are the list's */
	(void)cluster_figures_note(figures);
	assert_int_equal(seam_failed(SEAM_ALLOC), 1);
	comets.list[0].delivered += 5;
	second();
	comets.list[0].delivered += 6;
	second();
	assert_told("\"delivered\":[0,0,6]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(connections_are_summed_up_and_so_is_what_each_comet_has_added, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_comet_that_was_started_again_has_added_all_that_it_counts, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_comet_that_goes_and_comes_takes_and_adds_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_redis_seconds_stay_blank_and_it_is_asked_once_a_second, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_fails_without_redis_is_not_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_moment_without_redis_is_shared_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_a_comet_is_met_later, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("cluster_figures", tests, NULL, NULL);
}
