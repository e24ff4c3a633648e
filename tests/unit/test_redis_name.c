/* Tests of common/redis/redis_name. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/redis/redis_name.h"

static struct config cfg;

static int set_up(void **state)
{
	(void)state;
	return config_init(&cfg);
}

static int tear_down(void **state)
{
	(void)state;
	config_fini(&cfg);
	return 0;
}

/* Older programs have them, too. */
static void the_names_without_a_setting_are_those_of_the_first_release(void **state)
{
	(void)state;
	assert_string_equal(redis_name_key(&cfg, "push", "comet-1").text, "comet:push:comet-1");
	assert_string_equal(redis_name_key(&cfg, "servers", "").text, "comet:servers");
	assert_string_equal(redis_name_channel(&cfg, "logic", "logic-1").text, "comet:logic:logic-1");
	assert_string_equal(redis_name_beginning(cfg.redis_prefix).text, "comet:");
}

static void a_database_stands_in_the_channels_alone(void **state)
{
	(void)state;
	cfg.redis_db = 3;
	assert_string_equal(redis_name_channel(&cfg, "reply", "comet-1").text, "comet:3:reply:comet-1");
	assert_string_equal(redis_name_key(&cfg, "rooms", "comet-1").text, "comet:rooms:comet-1");
}

static void the_longest_names_fit(void **state)
{
	char of[128];
	const char *text;
	struct redis_name name;

	(void)state;
	memset(of, 'x', sizeof(of) - 1);
	of[sizeof(of) - 1] = '\0';
	cfg.redis_db = 65535;
	assert_int_equal(config_flag(&cfg,
				     "redis.prefix=0123456789012345678901234567890123456789012345678901234567890123",
				     stderr),
			 0);
	name = redis_name_channel(&cfg, "logic", of);
	text = name.text;
	assert_int_equal(strlen(text), 64 + strlen(":65535:logic:") + 127);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_names_without_a_setting_are_those_of_the_first_release, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_database_stands_in_the_channels_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_longest_names_fit, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
