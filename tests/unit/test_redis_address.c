/* Tests of common/config/redis_address. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/config/redis_address.h"

static void each_form_is_understood(void **state)
{
	static const struct {
		const char *text, *place, *user, *password;
		int64_t db;
	} cases[] = {
		{"127.0.0.1:6379", "127.0.0.1:6379", "", "", -1},
		{"redis.example.org:1", "redis.example.org:1", "", "", -1},
		{"[::1]:6379", "[::1]:6379", "", "", -1},
		{"unix:/run/redis/redis.sock", "unix:/run/redis/redis.sock", "", "", -1},
		{"redis://host", "host:6379", "", "", -1},
		{"redis://[::1]", "[::1]:6379", "", "", -1},
		{"redis://host:1/", "host:1", "", "", -1},
		{"redis://[::1]:2/0", "[::1]:2", "", "", 0},
		{"redis://:sesame@host:1/3", "host:1", "", "sesame", 3},
		{"redis://comet:s%40:/a@h@host:1", "host:1", "comet", "s@:/a@h", -1},
		{"redis://comet@host:1", "host:1", "comet", "", -1},
	};
	struct redis_address a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_null(redis_address_parse(cases[i].text, &a));
		assert_string_equal(a.place, cases[i].place);
		assert_string_equal(a.user, cases[i].user);
		assert_string_equal(a.password, cases[i].password);
		assert_int_equal(a.db, cases[i].db);
	}
}

static void everything_else_is_refused(void **state)
{
	static const char too_long[] =
		"unix:/"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456";
	const char *const bad[] = {
		"",
		"localhost",
		"6379",
		":6379",
		"localhost:",
		"localhost:0",
		"localhost:65536",
		"localhost:6379x",
		"localhost:6379/1",
		"a:1,b:2",
		"a:1 b:2",
		"::1:6379",
		"[::1]",
		"[localhost]:6379",
		"[::1:6379",
		"user@localhost:6379",
		"http://localhost:6379",
		"rediss://localhost:6379",
		"redis://",
		"redis:///1",
		"redis://:x@/1",
		"redis://localhost:6379/x",
		"redis://localhost:6379/1/2",
		"redis://localhost:6379/65536",
		"redis://localhost:6379?db=1",
		"redis://us%4:pw@localhost:6379",
		"redis://us%0aer:pw@localhost:6379",
		"redis://a:1,b:2",
		"unix:",
		"unix:run/redis.sock",
		"/run/redis.sock",
		too_long,
	};
	struct redis_address a;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (redis_address_parse(bad[i], &a) == NULL)
			fail_msg("%s is taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_is_understood),
		cmocka_unit_test(everything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
