/* Tests of common/base/address. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/address.h"

#define HOST_OF_255                                                                                                    \
	"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh" \
	"hhhh"                                                                                                         \
	"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh" \
	"hhhh"                                                                                                         \
	"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"

static struct address parsed(const char *text)
{
	struct address a;

	if (address_parse(text, &a) != 0)
		fail_msg("\"%s\" is an address", text);
	return a;
}

static void each_form_is_taken_apart(void **state)
{
	static const struct address_case {
		const char *text, *host, *port;
		int number;
	} cases[] = {
		{"127.0.0.1:3101", "127.0.0.1", "3101", 3101},
		{"[::1]:3101", "::1", "3101", 3101},
		{"[fe80::1%eth0]:80", "fe80::1%eth0", "80", 80},
		{"comet.example.com:65535", "comet.example.com", "65535", 65535},
		{"localhost:0", "localhost", "0", 0},
		{"0.0.0.0:00080", "0.0.0.0", "00080", 80},
		/* No host: all addresses, or what the caller makes of it. */
		{":80", "", "80", 80},
		{"[]:80", "", "80", 80},
		{"", "", "", -1},
		{":", "", "", -1},
		/* A host alone. */
		{"comet-1", "comet-1", "", -1},
		{"127.0.0.1", "127.0.0.1", "", -1},
		{"::1", "::1", "", -1},
		{"::1:6379", "::1:6379", "", -1},
		{"[::1]", "::1", "", -1},
		{"comet-1:", "comet-1", "", -1},
		{"[::1]:", "::1", "", -1},
		/* Ports that are no numbers. */
		{"comet-1:http", "comet-1", "http", -1},
		{"comet-1:80x", "comet-1", "80x", -1},
		{"comet-1:-80", "comet-1", "-80", -1},
		{"comet-1:+80", "comet-1", "+80", -1},
		{"comet-1: 80", "comet-1", " 80", -1},
		{"comet-1:65536", "comet-1", "65536", -1},
		{"comet-1:000080", "comet-1", "000080", -1},
		{"comet-1:99999999999999999999", "comet-1", "99999999999999999999", -1},
		{HOST_OF_255 ":1", HOST_OF_255, "1", 1},
	};

	(void)state;
	assert_int_equal(strlen(HOST_OF_255), 255);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address a = parsed(cases[i].text);

		assert_string_equal(a.host, cases[i].host);
		assert_string_equal(a.port, cases[i].port);
		assert_int_equal(a.number, cases[i].number);
	}
}

static void all_other_forms_are_none(void **state)
{
	static const char *const forms[] = {
		"[",
		"[::1",
		"[::1:80",
		"[::1]80",
		"[::1]x:80",
		"[::1]:80:90",
		"[::1]::1",
		HOST_OF_255 "h:1",
		HOST_OF_255 "h",
		"comet-1:12345678901234567890123456789012",
	};
	struct address a;

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		a = (struct address){.host = "left", .port = "over", .number = 7};
		if (address_parse(forms[i], &a) != -EINVAL)
			fail_msg("\"%s\" is no address", forms[i]);
		assert_string_equal(a.host, "");
		assert_string_equal(a.port, "");
		assert_int_equal(a.number, -1);
	}
}

static void loopback_is_known_by_its_address(void **state)
{
	static const char *const loopback[] = {"127.0.0.1:1", "127.1.2.3",   "[::1]:1",
					       "::1",         "localhost:1", "localhost"};
	static const char *const others[] = {
		"128.0.0.1:1", "0.0.0.0:1",          "[::]:1",        "[::2]:1", "127.0.0:1",
		"127.0.0.1x",  "127.evil.example:1", "::ffff:7f00:1", ":1",      "Localhost.example"};

	(void)state;
	for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++) {
		struct address a = parsed(loopback[i]);

		assert_true(address_is_loopback(&a));
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct address a = parsed(others[i]);

		assert_false(address_is_loopback(&a));
	}
}

static void wildcards_stand_for_every_address(void **state)
{
	static const char *const wildcards[] = {"0.0.0.0:1", "0.0.0.0", "[::]:1", "[::]", "::", "*:1", "*", ":1", ""};
	static const char *const others[] = {"10.0.0.0:1", "[::1]:1", "comet-1", "**", "0.0.0.0.example:1"};

	(void)state;
	for (size_t i = 0; i < sizeof(wildcards) / sizeof(wildcards[0]); i++) {
		struct address a = parsed(wildcards[i]);

		assert_true(address_is_wildcard(&a));
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct address a = parsed(others[i]);

		assert_false(address_is_wildcard(&a));
	}
}

static void an_address_is_told_from_a_name(void **state)
{
	static const char *const literal[] = {"10.0.0.1:1", "10.0.0.1", "[fe80::1]:1", "fe80::1", "::", "0.0.0.0"};
	static const char *const names[] = {"comet-1:1", "localhost", "10.0.0.1.example", "10.0.0:1", "", "*", "a:b:c"};

	(void)state;
	for (size_t i = 0; i < sizeof(literal) / sizeof(literal[0]); i++) {
		struct address a = parsed(literal[i]);

		assert_true(address_is_literal(&a));
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct address a = parsed(names[i]);

		assert_false(address_is_literal(&a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_is_taken_apart),         cmocka_unit_test(all_other_forms_are_none),
		cmocka_unit_test(loopback_is_known_by_its_address), cmocka_unit_test(wildcards_stand_for_every_address),
		cmocka_unit_test(an_address_is_told_from_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
