/* Tests of common/base/network. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/network.h"

static void callers_of_one_network_are_one(void **state)
{
	char network[NETWORK_BYTES];

	(void)state;
	assert_string_equal(network_of("10.0.0.9", network), "10.0.0.9");
	assert_string_equal(network_of("::ffff:10.0.0.9", network), "10.0.0.9");
	assert_string_equal(network_of("2001:db8:1:2:3:4:5:6", network), "2001:db8:1:2::/64");
	assert_string_equal(network_of("2001:db8:1:2::1", network), "2001:db8:1:2::/64");
	assert_string_equal(network_of("2001:db8:1:3::1", network), "2001:db8:1:3::/64");
	assert_string_equal(network_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", network), "ffff:ffff:ffff:ffff::/64");
	assert_string_equal(network_of("", network), "");
}

static void names_that_may_be_anybodys_are_no_literals(void **state)
{
	static const char *const literals[] = {"localhost", "LocalHost:3111", "127.0.0.1",  "127.0.0.1:3111",
					       "[::1]",     "[::1]:3111",     "10.1.2.3:80"};
	static const char *const names[] = {"",
					    "evil.test",
					    "evil.test:3111",
					    "127.0.0.1.evil.test",
					    "localhost.evil.test",
					    "[::1",
					    "[evil]",
					    "::1",
					    "127.0.0.1x:80",
					    "0123456789012345678901234567890123456789012345678901234567890123456789"};

	(void)state;
	for (unsigned i = 0; i < sizeof(literals) / sizeof(literals[0]); i++)
		assert_true(network_is_literal(literals[i]));
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(network_is_literal(names[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(callers_of_one_network_are_one),
		cmocka_unit_test(names_that_may_be_anybodys_are_no_literals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
