/* Tests of common/http/forwarded. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/http/forwarded.h"

#define TRUSTED "10.0.0.0/8,fd00::/8"

static struct forwarded f;

/* "address port", or "" */
static const char *client(void)
{
	static char text[80];
	const struct sockaddr *found = forwarded_client(&f);
	char host[INET6_ADDRSTRLEN];

	if (found == NULL)
		return "";
	if (found->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)found;

		(void)snprintf(text, sizeof(text), "%s %u", inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)),
			       ntohs(v4->sin_port));
	} else {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)found;

		(void)snprintf(text, sizeof(text), "%s %u", inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)),
			       ntohs(v6->sin6_port));
	}
	return text;
}

static const char *of(enum forwarded_header header, const char *first, const char *second)
{
	f = forwarded_start(header, TRUSTED);
	forwarded_take(&f, first, strlen(first));
	if (second != NULL)
		forwarded_take(&f, second, strlen(second));
	return client();
}

static const char *x_for(const char *value)
{
	return of(FORWARDED_X_FOR, value, NULL);
}

static const char *standard(const char *value)
{
	return of(FORWARDED_STANDARD, value, NULL);
}

static void the_last_that_is_not_trusted_is_the_client(void **state)
{
	(void)state;
	assert_string_equal(x_for("192.0.2.1"), "192.0.2.1 0");
	assert_string_equal(x_for("203.0.113.9, 192.0.2.1"), "192.0.2.1 0");
	assert_string_equal(x_for("203.0.113.9,192.0.2.1 , 10.1.1.1,\t10.1.1.2"), "192.0.2.1 0");
	assert_string_equal(x_for("2001:db8::1, fd00::2"), "2001:db8::1 0");
}

static void where_all_are_trusted_it_is_the_first(void **state)
{
	(void)state;
	assert_string_equal(x_for("10.0.0.1, 10.0.0.2"), "10.0.0.1 0");
}

static void several_lines_are_one(void **state)
{
	(void)state;
	assert_string_equal(of(FORWARDED_X_FOR, "203.0.113.9", "192.0.2.1, 10.0.0.1"), "192.0.2.1 0");
	assert_string_equal(of(FORWARDED_X_FOR, "203.0.113.9, 192.0.2.1", "10.0.0.1"), "192.0.2.1 0");
	assert_string_equal(of(FORWARDED_STANDARD, "for=203.0.113.9", "for=192.0.2.1;by=10.0.0.1"), "192.0.2.1 0");
}

static void each_form_of_an_address_is_read(void **state)
{
	(void)state;
	assert_string_equal(x_for("192.0.2.1:1234"), "192.0.2.1 1234");
	assert_string_equal(x_for("[2001:db8::1]"), "2001:db8::1 0");
	assert_string_equal(x_for("[2001:db8::1]:1234"), "2001:db8::1 1234");
	assert_string_equal(standard("for=192.0.2.1"), "192.0.2.1 0");
	assert_string_equal(standard("FOR=\"192.0.2.1:99\";proto=https"), "192.0.2.1 99");
	assert_string_equal(standard("proto=https; for=\"[2001:db8::1]:99\" ;host=a.example"), "2001:db8::1 99");
}

static void nobody_behind_whom_there_is_nothing_certain_is_the_client(void **state)
{
	static const char *const nothing[] = {"",
					      " , ",
					      "unknown",
					      "_hidden",
					      "192.0.2.256",
					      "192.0.2.1 192.0.2.2",
					      "localhost",
					      "1.2.3.4, unknown",
					      "[::1",
					      "\"192.0.2.1\""};

	(void)state;
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		assert_string_equal(x_for(nothing[i]), "");
	assert_string_equal(x_for("192.0.2.1, unknown, 10.0.0.1"), "10.0.0.1 0");
	assert_string_equal(standard("for=192.0.2.1, by=10.0.0.1"), "");
	assert_string_equal(standard("for=unknown"), "");
	assert_string_equal(standard("192.0.2.1"), "");
	assert_string_equal(standard("for"), "");
	assert_string_equal(standard("for="), "");
}

/* They may write in front of what a proxy writes whatever they like. */
static void strangers_cannot_hide_the_address_behind_theirs(void **state)
{
	static const char *const before[] = {"\"",      "for=\"", "for=\"\\", "10.0.0.1", "for=10.0.0.1;",
					     "unknown", ";;;",    "=",        "[",        ":::"};
	char value[128];

	(void)state;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		(void)snprintf(value, sizeof(value), "%s, 192.0.2.1", before[i]);
		assert_string_equal(x_for(value), "192.0.2.1 0");
		(void)snprintf(value, sizeof(value), "%s, for=192.0.2.1", before[i]);
		assert_string_equal(standard(value), "192.0.2.1 0");
	}
}

static void names_are_those_of_the_headers(void **state)
{
	(void)state;
	assert_string_equal(forwarded_name(FORWARDED_X_FOR), "X-Forwarded-For");
	assert_string_equal(forwarded_name(FORWARDED_STANDARD), "Forwarded");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_that_is_not_trusted_is_the_client),
		cmocka_unit_test(where_all_are_trusted_it_is_the_first),
		cmocka_unit_test(several_lines_are_one),
		cmocka_unit_test(each_form_of_an_address_is_read),
		cmocka_unit_test(nobody_behind_whom_there_is_nothing_certain_is_the_client),
		cmocka_unit_test(strangers_cannot_hide_the_address_behind_theirs),
		cmocka_unit_test(names_are_those_of_the_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
