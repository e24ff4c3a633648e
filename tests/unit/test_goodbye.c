/* Tests of comet/goodbye. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "comet/goodbye.h"

#define WORDS "{\"code\":4,\"reason\":\"the server is going away, connect again\""

static struct goodbye goodbye;

static int forget(void **state)
{
	(void)state;
	goodbye = (struct goodbye){0};
	return 0;
}

static bool begins_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static void without_nodes_only_the_reason_is_told(void **state)
{
	char text[GOODBYE_BYTES];

	(void)state;
	(void)goodbye_body(&goodbye, CLOSE_DRAINING, NULL, text, sizeof(text));
	assert_string_equal(text, WORDS "}");
}

static void who_is_sent_away_is_told_where_else_to_go(void **state)
{
	const struct logic_node nodes[] = {{"10.0.0.2:3101", 10, false}};
	char text[GOODBYE_BYTES];
	size_t n;

	(void)state;
	goodbye_set_nodes(&goodbye, nodes, 1);
	n = goodbye_body(&goodbye, CLOSE_DRAINING, NULL, text, sizeof(text));
	assert_int_equal(n, strlen(text));
	assert_string_equal(text, WORDS ",\"nodes\":[\"10.0.0.2:3101\"]}");
	(void)goodbye_body(&goodbye, CLOSE_KICKED, NULL, text, sizeof(text));
	assert_string_equal(text, "{\"code\":1,\"reason\":\"kicked\"}");
}

static void each_begins_with_another_node_by_weight(void **state)
{
	const struct logic_node nodes[] = {{"a:1", 10, false}, {"b:1", 30, false}, {"c:1", 0, false}};
	char text[GOODBYE_BYTES];
	int first[3] = {0};

	(void)state;
	goodbye_set_nodes(&goodbye, nodes, 3);
	for (int i = 0; i < 4100; i++) {
		(void)goodbye_body(&goodbye, CLOSE_DRAINING, NULL, text, sizeof(text));
		first[0] += begins_with(text, WORDS ",\"nodes\":[\"a:1\",\"b:1\",\"c:1\"]}");
		first[1] += begins_with(text, WORDS ",\"nodes\":[\"b:1\",\"c:1\",\"a:1\"]}");
		first[2] += begins_with(text, WORDS ",\"nodes\":[\"c:1\",\"a:1\",\"b:1\"]}");
	}
	assert_int_equal(first[0] + first[1] + first[2], 4100);
	/* Of 41 parts, 10, 30 and 1: a weight below 1 counts as 1. */
	assert_in_range(first[0], 980, 1020);
	assert_in_range(first[1], 2980, 3020);
	assert_in_range(first[2], 90, 110);
}

static void those_of_the_region_come_first_whoever_begins(void **state)
{
	const struct logic_node nodes[] = {
		{"us:1", 90, false}, {"eu:1", 1, true}, {"us:2", 10, false}, {"eu:2", 1, true}};
	char text[GOODBYE_BYTES];
	int first[4] = {0};

	(void)state;
	goodbye_set_nodes(&goodbye, nodes, 4);
	for (int i = 0; i < 1000; i++) {
		(void)goodbye_body(&goodbye, CLOSE_DRAINING, NULL, text, sizeof(text));
		first[0] += begins_with(text, WORDS ",\"nodes\":[\"eu:1\",\"eu:2\",\"us:");
		first[1] += begins_with(text, WORDS ",\"nodes\":[\"eu:2\",\"eu:1\",\"us:");
		first[2] += strstr(text, ",\"us:1\",\"us:2\"]}") != NULL;
		first[3] += strstr(text, ",\"us:2\",\"us:1\"]}") != NULL;
	}
	assert_int_equal(first[0] + first[1], 1000);
	assert_in_range(first[0], 480, 520);
	assert_int_equal(first[2] + first[3], 1000);
	assert_in_range(first[3], 80, 120);
}

static void only_so_many_nodes_are_told_and_all_fit(void **state)
{
	struct logic_node nodes[GOODBYE_NODES + 2];
	char text[GOODBYE_BYTES];
	int told = 0;
	size_t n;

	(void)state;
	for (size_t i = 0; i < GOODBYE_NODES + 2; i++) {
		memset(nodes[i].address, 'x', LOGIC_NODE_BYTES - 1);
		nodes[i].address[LOGIC_NODE_BYTES - 1] = '\0';
		nodes[i].weight = 1000;
		nodes[i].near = i % 2 == 0;
	}
	goodbye_set_nodes(&goodbye, nodes, GOODBYE_NODES + 2);
	n = goodbye_body(&goodbye, CLOSE_DRAINING, NULL, text, sizeof(text));
	assert_int_equal(n, strlen(text));
	for (const char *at = text; (at = strstr(at, "\"xxx")) != NULL; at++)
		told++;
	assert_int_equal(told, GOODBYE_NODES);
	assert_string_equal(text + strlen(text) - 4, "x\"]}");
}

static void what_is_no_address_is_left_out(void **state)
{
	const struct logic_node nodes[] = {
		{"", 1, false}, {"a\"b", 1, false}, {"a\\b", 1, false}, {"a\nb", 1, false}, {"good:1", 1, false}};
	char text[GOODBYE_BYTES];

	(void)state;
	goodbye_set_nodes(&goodbye, nodes, 5);
	(void)goodbye_body(&goodbye, CLOSE_DRAINING, NULL, text, sizeof(text));
	assert_string_equal(text, WORDS ",\"nodes\":[\"good:1\"]}");
}

static void where_there_is_no_room_the_nodes_are_left_out(void **state)
{
	const struct logic_node nodes[] = {{"good:1", 1, false}};
	char text[128];

	(void)state;
	goodbye_set_nodes(&goodbye, nodes, 1);
	(void)goodbye_body(&goodbye, CLOSE_DRAINING, NULL, text, sizeof(text));
	assert_string_equal(text, WORDS "}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_nodes_only_the_reason_is_told, forget),
		cmocka_unit_test_setup(who_is_sent_away_is_told_where_else_to_go, forget),
		cmocka_unit_test_setup(each_begins_with_another_node_by_weight, forget),
		cmocka_unit_test_setup(those_of_the_region_come_first_whoever_begins, forget),
		cmocka_unit_test_setup(only_so_many_nodes_are_told_and_all_fit, forget),
		cmocka_unit_test_setup(what_is_no_address_is_left_out, forget),
		cmocka_unit_test_setup(where_there_is_no_room_the_nodes_are_left_out, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
