/* Tests of common/config/origins. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/config/config.h"
#include "common/config/origins.h"

/* From memory of exactly that size, so that the sanitizer sees a read beyond it. */
static bool lets_in(const struct origins *o, const char *origin, const char *host)
{
	size_t n = strlen(origin), host_bytes = strlen(host);
	char *exact = malloc(n + (n == 0)), *exact_host = malloc(host_bytes + (host_bytes == 0));
	bool in;

	memcpy(exact, origin, n);
	memcpy(exact_host, host, host_bytes);
	in = origins_let_in(o, exact, n, exact_host, host_bytes);
	free(exact);
	free(exact_host);
	return in;
}

static void a_page_comes_in_whose_origin_is_listed(void **state)
{
	static const struct {
		const char *list, *origin;
		bool in;
	} cases[] = {
		{"", "https://a.test", true},
		{"", "null", true},
		{"*", "https://a.test", true},
		{"*", "null", true},
		{"https://a.test, *", "https://b.test", true},
		{"https://b.test, https://a.test", "HTTPS://a.test", true},
		{"https://a.test", "https://a.test.evil", false},
		{"https://a.test", "https://a.tes", false},
		{"https://a.test", "https://a.test:443", false},
		{"https://a.test", "http://a.test", false},
		{"https://a.test", "null", false},
		{"https://a.test", "", false},
		{"null", "null", true},
		{"https://*.a.test", "https://b.a.test", true},
		{"https://*.a.test", "https://c.b.A.TEST", true},
		{"https://*.a.test", "https://a.test", false},
		{"https://*.a.test", "https://.a.test", false},
		{"https://*.a.test", "https://evil-a.test", false},
		{"https://*.a.test", "http://b.a.test", false},
		{"https://*.a.test", "https://b.a.test:8443", false},
		{"https://*.a.test", "https://evil.test/.a.test", false},
		{"https://*.a.test", "https://evil.test:1.a.test", false},
		{"https://*.a.test:8443", "https://b.a.test:8443", true},
		{"https://*.a.test:8443", "https://b.a.test", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct origins o = {.list = cases[i].list};

		assert_int_equal(lets_in(&o, cases[i].origin, "x"), cases[i].in);
	}
}

static void only_pages_of_this_machine_come_in_where_anybody_is_believed(void **state)
{
	static const char *const in[] = {"http://localhost",       "http://localhost:8080", "https://127.0.0.1:1",
					 "http://127.9.9.9",       "http://[::1]:3111",     "http://chat.test",
					 "https://chat.test:8443", "http://CHAT.test:1"};
	static const char *const out[] = {"null",
					  "",
					  "http://",
					  "https://evil.test",
					  "http://localhost.evil.test",
					  "http://127.0.0.1.evil.test",
					  "http://evil.test/localhost",
					  "http://localhost@evil.test",
					  "http://chat.test.evil.test",
					  "http://10.0.0.1"};
	const struct origins o = {.list = "", .loopback_only = true};
	const struct origins listed = {.list = "https://evil.test", .loopback_only = true};

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		assert_true(lets_in(&o, in[i], "chat.test:3102"));
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		assert_false(lets_in(&o, out[i], "chat.test:3102"));
	assert_false(lets_in(&o, "http://", ""));
	assert_false(lets_in(&o, "http://:80", ":3102"));
	assert_true(lets_in(&listed, "https://evil.test", "127.0.0.1"));
	assert_false(lets_in(&listed, "http://localhost", "localhost"));
}

static void set(struct config *cfg, const char *assignment)
{
	assert_int_equal(config_flag(cfg, assignment, stderr), 0);
}

static void where_others_can_connect_an_empty_list_is_all(void **state)
{
	struct config cfg;

	(void)state;
	assert_int_equal(config_init(&cfg), 0);
	assert_true(origins_of(&cfg).loopback_only);
	set(&cfg, "websocket.tls_bind=[::1]:1, 127.0.0.2:2");
	assert_true(origins_of(&cfg).loopback_only);
	set(&cfg, "websocket.tls_bind=127.0.0.1:1, 10.0.0.1:2");
	assert_false(origins_of(&cfg).loopback_only);
	set(&cfg, "websocket.tls_bind=");
	set(&cfg, "auth.mode=jwt");
	assert_false(origins_of(&cfg).loopback_only);
	config_fini(&cfg);
}

static void an_entry_that_cannot_match_has_a_nearest_that_can(void **state)
{
	static const struct {
		const char *entry, *nearest;
	} cases[] = {
		{"*", "*"},
		{"null", "null"},
		{"https://a.test", "https://a.test"},
		{"HTTPS://A.test:8443", "HTTPS://A.test:8443"},
		{"https://*.a.test", "https://*.a.test"},
		{"http://[::1]:8080", "http://[::1]:8080"},
		{"capacitor://localhost", "capacitor://localhost"},
		{"chrome-extension://abcdef", "chrome-extension://abcdef"},
		{"https://a.test/", "https://a.test"},
		{"https://a.test/sub?x#y", "https://a.test"},
		{"https://a.test:443", "https://a.test"},
		{"http://a.test:80/", "http://a.test"},
		{"http://a.test:443", "http://a.test:443"},
		{"https://a.test:", "https://a.test"},
		{"https://a.test:08443", "https://a.test:8443"},
		{"a.test", "https://a.test"},
		{"://a.test", "https://a.test"},
		{"a.test:8443", "https://a.test:8443"},
		{"a.test:80", "http://a.test"},
		{"*.a.test", "https://*.a.test"},
		{"https://*a.test", "https://*.a.test"},
		{"localhost:8080", "http://localhost:8080"},
		{"wss://a.test:443/sub", "https://a.test"},
		{"ws://a.test", "http://a.test"},
		{"http://[0:0::1]", "http://[::1]"},
		{"http://[a.test]", "http://a.test"},
	};
	static const char *const none[] = {
		"https://",
		"https://*",
		"https://a.*.test",
		"https://a.test:x",
		"https://a.test:99999",
		"https://u@a.test",
		"https://a b",
		"https://b\xfc.test",
		"*://a.test",
		"/a.test",
		"https://[::1",
		"https://a.test:1:2",
	};
	char nearest[ORIGIN_BYTES], longest[ORIGIN_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(origins_nearest(cases[i].entry, nearest));
		assert_string_equal(nearest, cases[i].nearest);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_false(origins_nearest(none[i], nearest));
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(origins_nearest(longest, nearest));
	memcpy(longest, "https://", 8);
	assert_false(origins_nearest(longest, nearest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_comes_in_whose_origin_is_listed),
		cmocka_unit_test(only_pages_of_this_machine_come_in_where_anybody_is_believed),
		cmocka_unit_test(where_others_can_connect_an_empty_list_is_all),
		cmocka_unit_test(an_entry_that_cannot_match_has_a_nearest_that_can),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
