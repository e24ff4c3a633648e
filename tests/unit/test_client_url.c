/* Where a client goes to, as one word. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/client_tls.h"
#include "client/client_url.h"
#include "client/client_ws.h"

static void assert_url(const char *text, const char *host, const char *port, const char *path)
{
	struct client_url url;

	assert_int_equal(client_url_parse(text, &url), 0);
	assert_string_equal(url.host, host);
	assert_string_equal(url.port, port);
	if (path != NULL)
		assert_string_equal(url.path, path);
}

static void a_url_says_host_port_and_path(void **state)
{
	(void)state;
	assert_url("ws://example.com:3102/sub", "example.com", "3102", "/sub");
	assert_url("wss://example.com:1/a/b?c=d&e=%20", "example.com", "1", "/a/b?c=d&e=%20");
	assert_url("ws://127.0.0.1:65535/", "127.0.0.1", "65535", "/");
	assert_url("wss://[::1]:3103/sub", "::1", "3103", "/sub");
	assert_url("tcp://10.0.0.1:4000", "10.0.0.1", "4000", NULL);
	assert_url("tls://[fe80::1]:4000/", "fe80::1", "4000", NULL);
}

static void what_is_left_out_is_the_usual(void **state)
{
	(void)state;
	assert_url("ws://h", "h", "80", "/sub");
	assert_url("wss://h", "h", "443", "/sub");
	assert_url("wss://[::1]", "::1", "443", "/sub");
	assert_url("tcp://h", "h", "3101", NULL);
}

static void what_is_no_url_of_ours_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"ws",
		"ws:",
		"ws://",
		"ws:///sub",
		"http://h/sub",
		"WS://h/sub",
		"h:3102",
		"ws://h:/sub",
		"ws://h:0/sub",
		"ws://h:65536",
		"ws://h:999999",
		"ws://h:-1",
		"ws://h:1x",
		"ws://h:1:2",
		"ws://u@h",
		"ws://u:p@h",
		"ws://[::1",
		"ws://[]",
		"ws://[::1]x",
		"ws://[::1]1",
		"ws://::1/sub",
		"ws://h?a=b",
		"ws://h/sub#x",
		"ws://h/a b",
		"ws://h/a\r\nX: y",
		"ws://h/\xc3\xa9",
		"ws://h/\x7f",
		"tls://h",
		"tls://h:1/sub",
		"tcp://h/sub",
	};
	struct client_url url;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (client_url_parse(wrong[i], &url) != -EINVAL)
			fail_msg("\"%s\" was taken", wrong[i]);
}

static void what_is_too_long_is_refused(void **state)
{
	struct client_url url;
	char text[2000];

	(void)state;
	snprintf(text, sizeof(text), "ws://%0253d/sub", 0);
	assert_int_equal(client_url_parse(text, &url), 0);
	snprintf(text, sizeof(text), "ws://%0254d/sub", 0);
	assert_int_equal(client_url_parse(text, &url), -EINVAL);
	snprintf(text, sizeof(text), "ws://h/%01022d", 0);
	assert_int_equal(client_url_parse(text, &url), 0);
	snprintf(text, sizeof(text), "ws://h/%01023d", 0);
	assert_int_equal(client_url_parse(text, &url), -EINVAL);
}

static void the_scheme_says_what_carries_the_bytes(void **state)
{
	static const struct {
		const char *text;
		client_link_open *open;
		bool tls;
	} ways[] = {{"tcp://h", NULL, false},
		    {"tls://h:1", client_tls_open, true},
		    {"ws://h", client_ws_open, false},
		    {"wss://h", client_ws_open, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct client_options opt = {.cancel_fd = -1};
		struct client_url url;

		assert_int_equal(client_url_parse(ways[i].text, &url), 0);
		client_url_aim(&url, &opt);
		assert_true(opt.open == ways[i].open);
		assert_int_equal(opt.tls, ways[i].tls);
		assert_string_equal(opt.host, "h");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_says_host_port_and_path),
		cmocka_unit_test(what_is_left_out_is_the_usual),
		cmocka_unit_test(what_is_no_url_of_ours_is_refused),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(the_scheme_says_what_carries_the_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
