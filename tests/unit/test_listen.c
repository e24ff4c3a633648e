/* Tests of common/base/listen. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/listen.h"

static const struct listen_options plain = {.backlog = 5, .unix_mode = 0660};

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

		assert_int_equal(listen_open(forms[i][0], &plain, &fd), 0);
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
	assert_int_equal(listen_open("127.0.0.1", &plain, &fd), -EINVAL);
	assert_int_equal(listen_open("256.0.0.1:0", &plain, &fd), -ERR_NAME);
	assert_int_equal(listen_open("127.0.0.1:http-not", &plain, &fd), -ERR_NAME);
	assert_int_equal(listen_open("203.0.113.1:0", &plain, &fd), -EADDRNOTAVAIL);
	assert_int_equal(fd, -1);
}

static void a_port_is_taken_unless_both_share_it(void **state)
{
	int first, second;
	char address[64];
	uint16_t port;

	(void)state;
	for (int share = 0; share < 2; share++) {
		const struct listen_options opt = {.backlog = 5, .reuse_port = share};

		assert_int_equal(listen_open("127.0.0.1:0", &opt, &first), 0);
		(void)announced(first, &port);
		(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
		assert_int_equal(listen_open(address, &opt, &second), share ? 0 : -EADDRINUSE);
		assert_int_equal(close(first), 0);
		if (share)
			assert_int_equal(close(second), 0);
	}
}

/* ---- IPv4 and IPv6 ---- */

static bool reaches(const char *host, uint16_t port)
{
	struct sockaddr_storage to = {.ss_family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET};
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&to;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&to;
	bool is_v6 = to.ss_family == AF_INET6, reached;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(to.ss_family, host, is_v6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr), 1);
	*(is_v6 ? &v6->sin6_port : &v4->sin_port) = htons(port);
	reached = connect(fd, (struct sockaddr *)&to, is_v6 ? sizeof(*v6) : sizeof(*v4)) == 0;
	assert_int_equal(close(fd), 0);
	return reached;
}

static void a_port_alone_is_that_of_both(void **state)
{
	uint16_t port;
	int fd;

	(void)state;
	assert_int_equal(listen_open(":0", &plain, &fd), 0);
	assert_non_null(strstr(announced(fd, &port), "listening door [::]:"));
	assert_true(reaches("127.0.0.1", port));
	assert_true(reaches("::1", port));
	assert_int_equal(close(fd), 0);
}

/* A free port of both. */
static uint16_t free_port(void)
{
	uint16_t port;
	int fd;

	assert_int_equal(listen_open(":0", &plain, &fd), 0);
	(void)announced(fd, &port);
	assert_int_equal(close(fd), 0);
	return port;
}

static void both_wildcards_of_one_port_are_opened_in_any_order(void **state)
{
	static const char *const hosts[][2] = {{"0.0.0.0", "[::]"}, {"[::]", "0.0.0.0"}, {"127.0.0.1", "[::]"}};
	uint16_t port = free_port();
	char list[64], address[32];
	struct listen_options opt = {.backlog = 5, .list = list};
	int fds[2];

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		(void)snprintf(list, sizeof(list), "%s:%u , %s:%u", hosts[i][0], port, hosts[i][1], port);
		for (int k = 0; k < 2; k++) {
			(void)snprintf(address, sizeof(address), "%s:%u", hosts[i][k], port);
			assert_int_equal(listen_open(address, &opt, &fds[k]), 0);
		}
		assert_true(reaches("127.0.0.1", port));
		assert_true(reaches("::1", port));
		assert_int_equal(close(fds[0]), 0);
		assert_int_equal(close(fds[1]), 0);
	}
}

static void an_ipv6_wildcard_alone_takes_ipv4_as_well(void **state)
{
	char list[] = "127.0.0.1:1,[::]:0";
	struct listen_options opt = {.backlog = 5, .list = list};
	uint16_t port;
	int fd;

	(void)state;
	assert_int_equal(listen_open("[::]:0", &opt, &fd), 0);
	(void)announced(fd, &port);
	assert_true(reaches("127.0.0.1", port));
	assert_int_equal(close(fd), 0);
}

/* ---- paths ---- */

static char folder[] = "/tmp/test_listen.XXXXXX";
static char path[64], unix_address[80];

static int dial_path(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static unsigned mode_of_path(void)
{
	struct stat found;

	return lstat(path, &found) == 0 ? (unsigned)found.st_mode & 07777 : 0;
}

static void a_path_is_listened_on_with_its_mode_and_is_gone_at_the_end(void **state)
{
	static const unsigned modes[] = {0600, 0660, 0666};
	char wanted[128];
	uint16_t port = 1;
	int fd, client;

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const struct listen_options opt = {.backlog = 5, .unix_mode = modes[i]};

		assert_int_equal(listen_open(unix_address, &opt, &fd), 0);
		(void)snprintf(wanted, sizeof(wanted), "listening door unix:%s\n", path);
		assert_string_equal(announced(fd, &port), wanted);
		assert_int_equal(port, 0);
		assert_int_equal(mode_of_path(), modes[i]);
		client = dial_path();
		assert_true(client >= 0);
		assert_int_equal(close(client), 0);
		listen_stop(fd);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(close(fd), 0);
	}
}

static void a_path_is_replaced_only_if_nobody_listens(void **state)
{
	int first, second = -1, client;

	(void)state;
	assert_int_equal(listen_open(unix_address, &plain, &first), 0);
	assert_int_equal(listen_open(unix_address, &plain, &second), -EADDRINUSE);
	client = dial_path(); /* it was not harmed */
	assert_true(client >= 0);
	assert_int_equal(close(client), 0);
	/* As after a crash: the socket's file stays. */
	assert_int_equal(close(first), 0);
	assert_int_equal(dial_path(), -1);
	assert_int_equal(listen_open(unix_address, &plain, &second), 0);
	client = dial_path();
	assert_true(client >= 0);
	assert_int_equal(close(client), 0);
	listen_stop(second);
	assert_int_equal(close(second), 0);
}

static void a_file_that_is_no_socket_stays(void **state)
{
	int fd = -1, file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(file >= 0);
	assert_int_equal(close(file), 0);
	assert_int_equal(listen_open(unix_address, &plain, &fd), -EEXIST);
	assert_int_equal(fd, -1);
	assert_int_equal(unlink(path), 0);
}

static void a_path_that_cannot_be_is_an_error(void **state)
{
	char longer[256] = "unix:/";
	int fd = -1;

	(void)state;
	memset(longer + 6, 'x', 110);
	assert_int_equal(listen_open(longer, &plain, &fd), -EINVAL);
	assert_int_equal(listen_open("unix:", &plain, &fd), -EINVAL);
	assert_int_equal(listen_open("unix:relative", &plain, &fd), -EINVAL);
	assert_int_equal(listen_open("unix:/nowhere/at/all", &plain, &fd), -ENOENT);
	assert_int_equal(fd, -1);
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

static int make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/door", folder);
	(void)snprintf(unix_address, sizeof(unix_address), "unix:%s", path);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_of_an_address_is_listened_on_and_said),
		cmocka_unit_test(an_address_that_cannot_be_is_an_error),
		cmocka_unit_test(a_port_is_taken_unless_both_share_it),
		cmocka_unit_test(a_port_alone_is_that_of_both),
		cmocka_unit_test(both_wildcards_of_one_port_are_opened_in_any_order),
		cmocka_unit_test(an_ipv6_wildcard_alone_takes_ipv4_as_well),
		cmocka_unit_test(a_path_is_listened_on_with_its_mode_and_is_gone_at_the_end),
		cmocka_unit_test(a_path_is_replaced_only_if_nobody_listens),
		cmocka_unit_test(a_file_that_is_no_socket_stays),
		cmocka_unit_test(a_path_that_cannot_be_is_an_error),
		cmocka_unit_test(what_is_no_socket_has_nothing_to_announce),
		cmocka_unit_test(errors_of_one_connection_pass),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
