/* Tests of common/redis/redis_dial. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/redis/redis_dial.h"

#define TIMEOUT_MS 2000

/* The resolver of this test knows the name "both", with two addresses; others go to the machine's. */
static struct sockaddr_in v4 = {.sin_family = AF_INET};
static struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
static struct addrinfo second = {.ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&v6, .ai_addrlen = sizeof(v6)};
static struct addrinfo first = {
	.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&v4, .ai_addrlen = sizeof(v4), .ai_next = &second};

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **all)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (strcmp(node, "both") == 0 && hints->ai_family == AF_UNSPEC) {
		*all = &first;
		return 0;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, all);
}

void freeaddrinfo(struct addrinfo *all)
{
	void (*real)(struct addrinfo *);

	if (all == &first)
		return;
	*(void **)&real = dlsym(RTLD_NEXT, "freeaddrinfo");
	real(all);
}

/* -1: this machine has no such addresses. */
static int listen_at(struct sockaddr *at, socklen_t bytes)
{
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (bind(fd, at, bytes) < 0 || listen(fd, 4) < 0)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int port_of(int fd)
{
	struct sockaddr_in6 at = {0};
	socklen_t bytes = sizeof(at);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
	return ntohs(at.sin6_port); /* sin_port of version 4 is at the same place */
}

static void reaches(const char *place)
{
	redisContext *c;

	assert_int_equal(redis_dial(place, TIMEOUT_MS, &c), 0);
	redisFree(c);
}

static void both_families_of_a_name_are_tried(void **state)
{
	char place[64];
	int fd, port;
	redisContext *c;

	(void)state;
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &v4.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET6, "::1", &v6.sin6_addr), 1);
	if ((fd = listen_at((struct sockaddr *)&v6, sizeof(v6))) < 0)
		skip();
	port = port_of(fd);
	(void)snprintf(place, sizeof(place), "both:%d", port);
	reaches(place);
	(void)snprintf(place, sizeof(place), "[::1]:%d", port);
	reaches(place);
	(void)close(fd);
	(void)snprintf(place, sizeof(place), "both:%d", port);
	assert_int_equal(redis_dial(place, TIMEOUT_MS, &c), -ECONNREFUSED);
}

static void a_socket_in_a_folder_is_reached(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char folder[] = "/tmp/test_redis_dial.XXXXXX", place[128];
	redisContext *c;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/sock", folder);
	fd = listen_at((struct sockaddr *)&at, sizeof(at));
	assert_true(fd >= 0);
	(void)snprintf(place, sizeof(place), "unix:%s", at.sun_path);
	reaches(place);
	(void)close(fd);
	(void)unlink(at.sun_path);
	(void)rmdir(folder);
	assert_int_equal(redis_dial(place, TIMEOUT_MS, &c), -ENOENT);
}

static void places_without_a_host_or_a_port_are_none(void **state)
{
	redisContext *c;

	(void)state;
	assert_int_equal(redis_dial("localhost", TIMEOUT_MS, &c), -EINVAL);
	assert_int_equal(redis_dial(":1", TIMEOUT_MS, &c), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families_of_a_name_are_tried),
		cmocka_unit_test(a_socket_in_a_folder_is_reached),
		cmocka_unit_test(places_without_a_host_or_a_port_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
