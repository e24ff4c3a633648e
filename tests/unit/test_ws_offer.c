/* Tests of comet/transport/ws_offer. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/ws_offer.h"

#define P "permessage-deflate"

/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
static void read_line(struct ws_offer *o, const char *line)
{
	size_t n = strlen(line);
	char *exact = malloc(n + (n == 0));

	assert_non_null(exact);
	memcpy(exact, line, n);
	ws_offer_read(o, exact, n);
	free(exact);
}

static void assert_taken(const char *line, unsigned server_bits)
{
	struct ws_offer o = {0};

	read_line(&o, line);
	if (!o.taken || o.server_bits != server_bits)
		fail_msg("\"%s\" was %s, with %u bits", line, o.taken ? "taken" : "declined", o.server_bits);
}

static void assert_declined(const char *line)
{
	struct ws_offer o = {0};

	read_line(&o, line);
	if (o.taken)
		fail_msg("\"%s\" was taken", line);
}

static void all_four_parameters_are_known(void **state)
{
	(void)state;
	assert_taken(P, 0);
	assert_taken(P "; server_no_context_takeover", 0);
	assert_taken(P ";client_no_context_takeover", 0);
	assert_taken(P " ;\tclient_max_window_bits", 0);
	assert_taken(P "; client_max_window_bits=8", 0); /* that is for the client to write, and inflates as any */
	assert_taken(P "; client_max_window_bits = 15", 0);
	assert_taken(P "; server_max_window_bits=9", 9);
	assert_taken(P "; server_max_window_bits=\"10\"", 10);
	assert_taken(P "; server_max_window_bits=15; client_max_window_bits; server_no_context_takeover; "
		       "client_no_context_takeover ",
		     15);
}

static void zlib_cannot_write_a_window_of_8_bits(void **state)
{
	(void)state;
	assert_declined(P "; server_max_window_bits=8");
	assert_taken(P "; server_max_window_bits=8, " P "; server_max_window_bits=9", 9);
}

static void a_parameter_that_may_not_be_so_declines_its_offer(void **state)
{
	static const char *const bad[] = {
		"server_no_context_takeover=1",
		"client_no_context_takeover=true",
		"server_no_context_takeover; server_no_context_takeover",
		"client_no_context_takeover; client_no_context_takeover",
		"client_max_window_bits; client_max_window_bits",
		"client_max_window_bits=10; client_max_window_bits=10",
		"server_max_window_bits=10; server_max_window_bits=10",
		"server_max_window_bits",
		"server_max_window_bits=7",
		"server_max_window_bits=16",
		"server_max_window_bits=09",
		"server_max_window_bits=010",
		"server_max_window_bits=1x",
		"server_max_window_bits=-9",
		"server_max_window_bits=110",
		"client_max_window_bits=7",
		"client_max_window_bits=16",
		"client_max_window_bits=08",
		"client_max_window_bits=99999999999999999999",
		"client_max_window_bits=x",
		"server_max_window_bitz=10",
		"Server_no_context_takeover",
		"x",
		"x=1",
	};
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(line, sizeof(line), P "; %s", bad[i]);
		assert_declined(line);
		(void)snprintf(line, sizeof(line), P "; %s; client_max_window_bits=12", bad[i]);
		assert_declined(line);
		(void)snprintf(line, sizeof(line), P "; %s, " P "; server_max_window_bits=11", bad[i]);
		assert_taken(line, 11);
	}
}

static void the_first_offer_that_can_be_taken_is(void **state)
{
	struct ws_offer o = {0};

	(void)state;
	assert_taken("x-webkit-deflate-frame, foo; bar=\"baz\", " P "; server_max_window_bits=12, " P, 12);
	assert_taken(" , ," P "; x, ,, " P ",", 0);
	assert_declined("");
	assert_declined(", ,");
	assert_declined("permessage-deflatex");
	assert_declined("permessage-bzip2; server_no_context_takeover");
	/* Further lines are the same list. */
	read_line(&o, "foo");
	read_line(&o, P "; server_max_window_bits=9");
	read_line(&o, P "; server_max_window_bits=10");
	assert_true(o.taken);
	assert_int_equal(o.server_bits, 9);
}

static void of_a_line_that_is_no_list_nothing_more_is_taken(void **state)
{
	static const char *const broken[] = {
		P ";",
		P "; =",
		P "; ;",
		P " x",
		P "; client_max_window_bits=",
		P "; client_max_window_bits=\"",
		P "; client_max_window_bits=\"\"",
		P "; client_max_window_bits=\"10",
		P "; client_max_window_bits=\"1\\0\"",
		P "; client_max_window_bits=10 11",
		P "=1",
		"\"" P "\"",
		"; " P,
		"(" P ")",
		"\x80" P,
	};
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_declined(broken[i]);
		(void)snprintf(line, sizeof(line), "%s, " P, broken[i]);
		assert_declined(line);
		(void)snprintf(line, sizeof(line), P "; server_max_window_bits=14, %s", broken[i]);
		assert_taken(line, 14);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_four_parameters_are_known),
		cmocka_unit_test(zlib_cannot_write_a_window_of_8_bits),
		cmocka_unit_test(a_parameter_that_may_not_be_so_declines_its_offer),
		cmocka_unit_test(the_first_offer_that_can_be_taken_is),
		cmocka_unit_test(of_a_line_that_is_no_list_nothing_more_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
