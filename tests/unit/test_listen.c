/* Tests of common/base/listen. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/listen.h"

/* What listen_announce prints. */
static const char *announced(int fd, uint16_t *port)
{
	static char line[256];
	int said = memfd_create("stdout", MFD_CLOEXEC), before = dup(STDOUT_FILENO), rc;
	ssize_t n;

	(void)fflush(stdout);
	assert_true(said >= 0 && before >= 0 && dup2(said, STDOUT_FILENO) >= 0);
	rc = listen_announce(fd, "door", port);
	(void)dup2(before, STDOUT_FILENO);
	(void)close(before);
	n = pread(said, line, sizeof(line) - 1, 0);
	line[n > 0 ? n : 0] = '\0';
	(void)close(said);
	assert_int_equal(rc, 0);
	return line;
}

static void each_form_of_an_address_is_listened_on_and_said(void **state)
{
	/* An address, and how its host is said where we know. */
	static const char *const forms[][2] = {
		{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "[::1]"}, {"localhost:0", NULL}, {":0", NULL}};
	char wanted[256];

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		uint16_t port = 0;
		const char *line;
		int fd = -1;

		assert_int_equal(listen_open(forms[i][0], 5, false, &fd), 0);
		line = announced(fd, &port);
		assert_true(port > 0);
		if (forms[i][1] != NULL) {
			(void)snprintf(wanted, sizeof(wanted), "listening door %s:%u\n", forms[i][1], port);
			assert_string_equal(line, wanted);
		}
		assert_int_equal(close(fd), 0);
	}
}

static void an_address_that_cannot_be_is_an_error(void **state)
{
	int fd = -1;

	(void)state;
	assert_int_equal(listen_open("127.0.0.1", 5, false, &fd), -EINVAL);
	assert_int_equal(listen_open("256.0.0.1:0", 5, false, &fd), -EADDRNOTAVAIL);
	assert_int_equal(listen_open("127.0.0.1:http-not", 5, false, &fd), -EADDRNOTAVAIL);
	assert_int_equal(listen_open("203.0.113.1:0", 5, false, &fd), -EADDRNOTAVAIL);
	assert_int_equal(fd, -1);
}

static void a_port_is_taken_unless_both_share_it(void **state)
{
	int first, second;
	char address[64];
	uint16_t port;

	(void)state;
	for (int share = 0; share < 2; share++) {
		assert_int_equal(listen_open("127.0.0.1:0", 5, share, &first), 0);
		(void)announced(first, &port);
		(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
		assert_int_equal(listen_open(address, 5, share, &second), share ? 0 : -EADDRINUSE);
		assert_int_equal(close(first), 0);
		if (share)
			assert_int_equal(close(second), 0);
	}
}

static void what_is_no_socket_has_nothing_to_announce(void **state)
{
	uint16_t port;

	(void)state;
	assert_int_equal(listen_announce(-1, "door", &port), -EBADF);
}

static void errors_of_one_connection_pass(void **state)
{
	(void)state;
	assert_true(listen_error_is_passing(-ECONNABORTED));
	assert_true(listen_error_is_passing(-EHOSTUNREACH));
	assert_true(listen_error_is_passing(-ENONET));
	assert_false(listen_error_is_passing(-EMFILE));
	assert_false(listen_error_is_passing(-ENOMEM));
	assert_false(listen_error_is_passing(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_of_an_address_is_listened_on_and_said),
		cmocka_unit_test(an_address_that_cannot_be_is_an_error),
		cmocka_unit_test(a_port_is_taken_unless_both_share_it),
		cmocka_unit_test(what_is_no_socket_has_nothing_to_announce),
		cmocka_unit_test(errors_of_one_connection_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
