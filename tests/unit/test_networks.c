/* Tests of common/config/networks. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/config/networks.h"

static bool hold(const char *list, const char *text)
{
	struct sockaddr_storage address = {.ss_family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET};
	void *bytes = address.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&address)->sin6_addr
						    : (void *)&((struct sockaddr_in *)&address)->sin_addr;

	assert_int_equal(inet_pton(address.ss_family, text, bytes), 1);
	return networks_hold(list, (struct sockaddr *)&address);
}

static void an_address_is_held_by_its_network_and_by_no_other(void **state)
{
	(void)state;
	assert_true(hold("10.0.0.0/8", "10.255.0.1"));
	assert_false(hold("10.0.0.0/8", "11.0.0.1"));
	assert_true(hold("192.0.2.128/25", "192.0.2.128"));
	assert_false(hold("192.0.2.128/25", "192.0.2.127"));
	assert_true(hold("192.0.2.7", "192.0.2.7"));
	assert_false(hold("192.0.2.7", "192.0.2.6"));
	assert_true(hold("0.0.0.0/0", "203.0.113.9"));
	assert_false(hold("0.0.0.0/0", "2001:db8::1"));
	assert_true(hold("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(hold("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(hold("::1", "::1"));
	assert_false(hold("::/0", "10.0.0.1"));
}

static void each_of_a_list_counts_and_of_none_nobody(void **state)
{
	(void)state;
	assert_true(hold("10.0.0.0/8, 172.16.0.0/12 ,fd00::/8", "172.31.255.255"));
	assert_true(hold("10.0.0.0/8, 172.16.0.0/12 ,fd00::/8", "fdff::1"));
	assert_false(hold("10.0.0.0/8, 172.16.0.0/12 ,fd00::/8", "172.32.0.0"));
	assert_false(hold("", "127.0.0.1"));
}

static void an_ipv4_address_mapped_into_ipv6_is_that_address(void **state)
{
	(void)state;
	assert_true(hold("10.0.0.0/8", "::ffff:10.1.2.3"));
	assert_false(hold("::ffff:0:0/96", "::ffff:10.1.2.3"));
}

static void an_address_of_another_family_is_in_no_network(void **state)
{
	struct sockaddr_un path = {.sun_family = AF_UNIX};

	(void)state;
	assert_false(networks_hold("0.0.0.0/0,::/0", (struct sockaddr *)&path));
}

static void faults_are_said_and_hold_nobody(void **state)
{
	static const char *const faults[] = {"10.0.0.0/33",
					     "10.0.0.0/",
					     "10.0.0.0/x",
					     "10.0.0.0/-1",
					     "10.0.0/8",
					     "::1/129",
					     "example.com",
					     "10.0.0.1/8",
					     "2001:db8::1/32",
					     "/8",
					     "10.0.0.0/8/8",
					     "10.0.0.0/0008",
					     "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee"};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		assert_non_null(networks_fault(faults[i]));
		assert_false(hold(faults[i], "10.0.0.1"));
	}
	assert_null(networks_fault("10.0.0.0/8"));
	assert_null(networks_fault("0.0.0.0/0"));
	assert_null(networks_fault("2001:db8::/32"));
	assert_true(hold("10.0.0.0/33,10.0.0.1", "10.0.0.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_held_by_its_network_and_by_no_other),
		cmocka_unit_test(each_of_a_list_counts_and_of_none_nobody),
		cmocka_unit_test(an_ipv4_address_mapped_into_ipv6_is_that_address),
		cmocka_unit_test(an_address_of_another_family_is_in_no_network),
		cmocka_unit_test(faults_are_said_and_hold_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
