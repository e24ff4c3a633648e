/* http_listener: it accepts through bad luck, and stops at once. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/http/http_listener.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

/* What the listener takes, and the file that its stdout goes to. */
static const struct listen_options listen_as = {.backlog = 5};

struct stand {
	struct http_listener *listener;
	atomic_uint taken;
	atomic_int rc; /* what take answers */
	int stdout_was;
	char path[32];
};

static int take(void *arg, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
	struct stand *s = arg;

	assert_int_equal(peer->sa_family, AF_INET);
	assert_int_equal(peer_bytes, sizeof(struct sockaddr_in));
	(void)close(fd);
	atomic_fetch_add(&s->taken, 1);
	return atomic_load(&s->rc);
}

static void stdout_to_file(struct stand *s)
{
	int fd;

	(void)fflush(stdout);
	(void)snprintf(s->path, sizeof(s->path), "/tmp/listener-XXXXXX");
	fd = mkstemp(s->path);
	assert_true(fd >= 0);
	s->stdout_was = dup(STDOUT_FILENO);
	assert_true(s->stdout_was >= 0);
	assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	(void)close(fd);
}

static void stdout_back(struct stand *s, char *text, size_t text_bytes)
{
	FILE *file;

	(void)fflush(stdout);
	assert_int_equal(dup2(s->stdout_was, STDOUT_FILENO), STDOUT_FILENO);
	(void)close(s->stdout_was);
	file = fopen(s->path, "re");
	assert_non_null(file);
	text[fread(text, 1, text_bytes - 1, file)] = '\0';
	(void)fclose(file);
	(void)unlink(s->path);
}

/* Start on a free port; which one, the line says. */
static uint16_t start(struct stand *s)
{
	char line[128];
	unsigned port = 0;
	int rc;

	stdout_to_file(s);
	rc = http_listener_start("127.0.0.1:0", "test", &listen_as, take, s, &s->listener);
	stdout_back(s, line, sizeof(line));
	assert_int_equal(rc, 0);
	assert_int_equal(sscanf(line, "listening test 127.0.0.1:%u\n", &port), 1);
	assert_true(port > 0 && port <= UINT16_MAX);
	return (uint16_t)port;
}

static int dial(uint16_t port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int teardown(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

static void what_comes_is_taken_and_after_the_end_nothing(void **state)
{
	struct stand s = {0};
	uint16_t port = start(&s);
	int fd;

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		fd = dial(port);
		until(atomic_load(&s.taken) == i);
		(void)close(fd);
	}
	http_listener_stop(&s.listener);
	assert_null(s.listener);
	assert_int_equal(dial(port), -1);
}

static void out_of_files_it_pauses_and_goes_on(void **state)
{
	struct stand s = {0};
	int64_t paused = counters_read(COUNT_ACCEPT_PAUSED);
	uint16_t port;
	int fd;

	(void)state;
	seam_fail(SEAM_ACCEPT4, 0, 3, EMFILE);
	port = start(&s);
	fd = dial(port);
	until(atomic_load(&s.taken) == 1);
	assert_int_equal(counters_read(COUNT_ACCEPT_PAUSED) - paused, 3);
	(void)close(fd);
	http_listener_stop(&s.listener);
}

static unsigned times(const char *text, const char *words)
{
	unsigned n = 0;

	for (; (text = strstr(text, words)) != NULL; text++)
		n++;
	return n;
}

static void a_limit_that_is_met_again_and_again_does_not_flood_the_log(void **state)
{
	static char logged[65536];
	struct stand s = {0};
	int64_t paused = counters_read(COUNT_ACCEPT_PAUSED);
	FILE *file = tmpfile();
	int stderr_was = dup(STDERR_FILENO);
	uint16_t port = start(&s);

	(void)state;
	assert_non_null(file);
	/* One second, however long it takes. */
	seam_clock_set(clock_now_ns() - 3600 * CLOCK_SEC, 0);
	assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	log_setup(LOG_INFO, LOG_TEXT);
	for (unsigned i = 0; i < 10; i++) {
		seam_fail(SEAM_ACCEPT4, 0, 1, EMFILE);
		/* The second comes after the failure, at the latest. */
		for (unsigned n = 1; n <= 2; n++) {
			int fd = dial(port);

			until(atomic_load(&s.taken) == 2 * i + n);
			(void)close(fd);
		}
	}
	http_listener_stop(&s.listener);
	log_setup(LOG_ERROR, LOG_TEXT);
	assert_int_equal(dup2(stderr_was, STDERR_FILENO), STDERR_FILENO);
	(void)close(stderr_was);
	rewind(file);
	logged[fread(logged, 1, sizeof(logged) - 1, file)] = '\0';
	(void)fclose(file);
	assert_int_equal(counters_read(COUNT_ACCEPT_PAUSED) - paused, 10);
	assert_int_equal(times(logged, "event=http_accept_paused"), 1);
	assert_int_equal(times(logged, "event=http_accept_resumed"), 1);
}

static void a_connection_that_broke_is_no_reason_to_pause(void **state)
{
	struct stand s = {0};
	int64_t paused = counters_read(COUNT_ACCEPT_PAUSED);
	uint16_t port;
	int fd;

	(void)state;
	seam_fail(SEAM_ACCEPT4, 0, 5, ECONNABORTED);
	port = start(&s);
	fd = dial(port);
	until(atomic_load(&s.taken) == 1);
	assert_int_equal(seam_failed(SEAM_ACCEPT4), 5);
	assert_int_equal(counters_read(COUNT_ACCEPT_PAUSED) - paused, 0);
	(void)close(fd);
	http_listener_stop(&s.listener);
}

static void who_cannot_be_taken_pauses_it_too(void **state)
{
	struct stand s = {.rc = -ENOMEM};
	int64_t paused = counters_read(COUNT_ACCEPT_PAUSED);
	uint16_t port = start(&s);
	int first = dial(port), second;

	(void)state;
	until(counters_read(COUNT_ACCEPT_PAUSED) - paused == 1);
	atomic_store(&s.rc, 0);
	second = dial(port);
	until(atomic_load(&s.taken) == 2);
	(void)close(first);
	(void)close(second);
	http_listener_stop(&s.listener);
}

static void a_pause_does_not_hold_up_the_end(void **state)
{
	struct stand s = {0};
	int64_t paused = counters_read(COUNT_ACCEPT_PAUSED);

	(void)state;
	seam_fail(SEAM_ACCEPT4, 0, UINT32_MAX, EMFILE);
	seam_clock_advance(3600 * CLOCK_SEC); /* so the pause would last for an hour */
	(void)start(&s);
	until(counters_read(COUNT_ACCEPT_PAUSED) - paused == 1);
	http_listener_stop(&s.listener);
}

static void addresses_that_cannot_be_are_errors(void **state)
{
	static const struct {
		const char *address;
		int rc;
	} cases[] = {
		{"127.0.0.1", -EINVAL},
		{"", -EINVAL},
		{"127.0.0.1:http-of-nobody", -ERR_NAME},
		{"[::1:0", -EINVAL},
		{"192.0.2.1:0", -EADDRNOTAVAIL}, /* for documentation only, RFC 5737: no machine has it */
	};
	struct http_listener *l = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(http_listener_start(cases[i].address, "test", &listen_as, take, NULL, &l),
				 cases[i].rc);
	assert_null(l);
}

static void an_address_in_use_is_an_error(void **state)
{
	struct stand s = {0};
	struct http_listener *second = NULL;
	char address[32];

	(void)state;
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", start(&s));
	assert_int_equal(http_listener_start(address, "test", &listen_as, take, &s, &second), -EADDRINUSE);
	assert_null(second);
	http_listener_stop(&s.listener);
}

static void without_memory_or_thread_nothing_is_left(void **state)
{
	struct http_listener *l = NULL;
	int before = dup(STDOUT_FILENO), after;

	(void)state;
	(void)close(before);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(http_listener_start("127.0.0.1:0", "test", &listen_as, take, NULL, &l), -ENOMEM);
	seam_fail(SEAM_SETSOCKOPT, 0, 1, ENOBUFS);
	assert_int_equal(http_listener_start("127.0.0.1:0", "test", &listen_as, take, NULL, &l), -ENOBUFS);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(http_listener_start("127.0.0.1:0", "test", &listen_as, take, NULL, &l), -EAGAIN);
	assert_null(l);
	after = dup(STDOUT_FILENO);
	assert_int_equal(before, after); /* the lowest free one, as before */
	(void)close(after);
}

#define listener_test(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		listener_test(what_comes_is_taken_and_after_the_end_nothing),
		listener_test(out_of_files_it_pauses_and_goes_on),
		listener_test(a_limit_that_is_met_again_and_again_does_not_flood_the_log),
		listener_test(a_connection_that_broke_is_no_reason_to_pause),
		listener_test(who_cannot_be_taken_pauses_it_too),
		listener_test(a_pause_does_not_hold_up_the_end),
		listener_test(addresses_that_cannot_be_are_errors),
		listener_test(an_address_in_use_is_an_error),
		listener_test(without_memory_or_thread_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
