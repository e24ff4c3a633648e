/* Tests of common/base/peer. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/peer.h"

static struct peer peer_of(const char *text)
{
	struct peer peer = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)}};

	if (inet_pton(AF_INET6, text, &peer.v6.sin6_addr) == 1)
		return peer;
	peer = (struct peer){.v4 = {.sin_family = AF_INET, .sin_port = htons(80)}};
	assert_int_equal(inet_pton(AF_INET, text, &peer.v4.sin_addr), 1);
	return peer;
}

static void is_written(const char *address, const char *with_port, const char *without)
{
	const struct peer peer = peer_of(address);
	struct peer copy;
	char text[64];

	peer_set(&copy, &peer.any);
	peer_text(&copy.any, true, text, sizeof(text));
	assert_string_equal(text, with_port);
	peer_text(&copy.any, false, text, sizeof(text));
	assert_string_equal(text, without);
}

static void addresses_are_written_as_people_do(void **state)
{
	(void)state;
	is_written("192.0.2.1", "192.0.2.1:80", "192.0.2.1");
	is_written("::1", "[::1]:80", "::1");
	is_written("::ffff:192.0.2.1", "192.0.2.1:80", "192.0.2.1");
}

static void each_number_of_an_address_is_written(void **state)
{
	struct peer peer = peer_of("0.0.0.0");
	char text[64], wanted[INET_ADDRSTRLEN];

	(void)state;
	for (uint32_t i = 0; i < 256; i++) {
		peer.v4.sin_addr.s_addr = htonl(i << 24 | (255 - i) << 16 | (i ^ 85) << 8 | i);
		assert_non_null(inet_ntop(AF_INET, &peer.v4.sin_addr, wanted, sizeof(wanted)));
		peer_text(&peer.any, false, text, sizeof(text));
		assert_string_equal(text, wanted);
	}
}

static void where_space_is_scarce_an_address_is_cut(void **state)
{
	const struct peer peer = peer_of("192.0.2.1");
	char text[8];

	(void)state;
	peer_text(&peer.any, false, text, sizeof(text));
	assert_string_equal(text, "192.0.2");
}

static void who_came_by_a_path_has_no_address(void **state)
{
	const struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/run/nginx"};
	struct peer peer;
	char text[NETWORK_BYTES];

	(void)state;
	peer_set(&peer, (const struct sockaddr *)&path);
	peer_text(&peer.any, true, text, sizeof(text));
	assert_string_equal(text, "unix");
	peer_network(&peer.any, text);
	assert_string_equal(text, "unix");
}

static void is_of_network(const char *address, const char *wanted)
{
	const struct peer peer = peer_of(address);
	char network[NETWORK_BYTES];

	peer_network(&peer.any, network);
	assert_string_equal(network, wanted);
}

static void callers_of_one_network_are_one(void **state)
{
	(void)state;
	is_of_network("10.0.0.9", "10.0.0.9");
	is_of_network("::ffff:10.0.0.9", "10.0.0.9");
	is_of_network("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
	is_of_network("2001:db8:1:2::1", "2001:db8:1:2::");
	is_of_network("2001:db8:1:3::1", "2001:db8:1:3::");
	is_of_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_as_people_do),
		cmocka_unit_test(each_number_of_an_address_is_written),
		cmocka_unit_test(where_space_is_scarce_an_address_is_cut),
		cmocka_unit_test(who_came_by_a_path_has_no_address),
		cmocka_unit_test(callers_of_one_network_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
