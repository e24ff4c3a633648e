/* Tests of comet/admission. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "comet/admission.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/peer.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/seam.h"

static struct admission a;

static int set_up(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

static void init(int64_t connections_max, int64_t per_ip_max)
{
	const struct admission_options opt = {.connections_max = connections_max, .per_ip_max = per_ip_max};

	assert_int_equal(admission_init(&a, &opt), 0);
}

static void address_of(const char *text, struct peer *peer)
{
	*peer = (struct peer){0};
	if (inet_pton(AF_INET, text, &peer->v4.sin_addr) == 1) {
		peer->v4.sin_family = AF_INET;
		return;
	}
	BUG_UNLESS(inet_pton(AF_INET6, text, &peer->v6.sin6_addr) == 1);
	peer->v6.sin6_family = AF_INET6;
}

/* The ticket is what the reason says. */
static enum close_reason enter(const char *address)
{
	enum ticket ticket = TICKET_IN;
	enum close_reason why;
	struct peer peer;

	address_of(address, &peer);
	why = admission_enter(&a, &peer.any, false, &ticket);
	BUG_UNLESS(ticket == (why == CLOSE_NONE ? TICKET_HANDSHAKE : TICKET_NONE));
	return why;
}

static void leave(const char *address, enum ticket ticket)
{
	struct peer peer;

	address_of(address, &peer);
	admission_leave(&a, &peer.any, &ticket);
	BUG_UNLESS(ticket == TICKET_NONE);
	/* Who has none takes nothing away. */
	admission_leave(&a, &peer.any, &ticket);
}

static void assert_load(int64_t connections, int64_t addresses)
{
	int64_t n, from;

	admission_load(&a, &n, &from);
	assert_int_equal(n, connections);
	assert_int_equal(from, addresses);
}

static void whoever_comes_in_is_counted_until_it_leaves(void **state)
{
	int64_t before = counters_read(COUNT_CONNECTIONS);

	(void)state;
	init(10, 0);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	assert_int_equal(enter("::1"), CLOSE_NONE);
	assert_load(3, 2);
	assert_int_equal(counters_read(COUNT_CONNECTIONS), before + 3);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	assert_load(2, 2);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	assert_load(1, 1);
	leave("::1", TICKET_HANDSHAKE);
	assert_load(0, 0);
	assert_int_equal(counters_read(COUNT_CONNECTIONS), before);
	admission_fini(&a);
}

static void no_more_come_in_than_may(void **state)
{
	int64_t before = counters_read_by(COUNT_REFUSED, CLOSE_CONNECTIONS);

	(void)state;
	init(2, 0);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	assert_int_equal(enter("192.0.2.2"), CLOSE_NONE);
	assert_int_equal(enter("192.0.2.3"), CLOSE_CONNECTIONS);
	assert_load(2, 2);
	assert_int_equal(counters_read_by(COUNT_REFUSED, CLOSE_CONNECTIONS), before + 1);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	assert_int_equal(enter("192.0.2.3"), CLOSE_NONE);
	leave("192.0.2.2", TICKET_HANDSHAKE);
	leave("192.0.2.3", TICKET_HANDSHAKE);
	admission_fini(&a);
}

static void no_more_come_in_from_one_address_than_may(void **state)
{
	int64_t before = counters_read_by(COUNT_REFUSED, CLOSE_PER_IP);

	(void)state;
	init(10, 2);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	assert_int_equal(enter("192.0.2.1"), CLOSE_PER_IP);
	assert_int_equal(enter("192.0.2.2"), CLOSE_NONE);
	assert_int_equal(counters_read_by(COUNT_REFUSED, CLOSE_PER_IP), before + 1);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	leave("192.0.2.2", TICKET_HANDSHAKE);
	assert_load(0, 0);
	admission_fini(&a);
}

static void nobody_comes_in_once_it_drains(void **state)
{
	int64_t before = counters_read_by(COUNT_REFUSED, CLOSE_DRAINING);

	(void)state;
	init(10, 0);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	admission_drain(&a);
	assert_int_equal(enter("192.0.2.1"), CLOSE_DRAINING);
	assert_int_equal(counters_read_by(COUNT_REFUSED, CLOSE_DRAINING), before + 1);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	admission_fini(&a);
}

static void without_memory_to_count_it_nobody_comes_in(void **state)
{
	(void)state;
	init(10, 0);
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(enter("192.0.2.1"), CLOSE_NO_MEMORY);
		assert_load(0, 0);
	}
	seam_reset();
	/* Counting another from an address that is there, and leaving, need no memory. */
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	seam_fail(SEAM_ALLOC, 0, 100, ENOMEM);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	admission_fini(&a);
}

static void enter_by(const char *proxy)
{
	enum ticket ticket;
	struct peer peer;

	address_of(proxy, &peer);
	assert_int_equal(admission_enter(&a, &peer.any, true, &ticket), CLOSE_NONE);
}

/* Of a proxy that told whose it is. */
static enum close_reason rename_from(const char *proxy, const char *client)
{
	struct peer from, to;

	address_of(proxy, &from);
	address_of(client, &to);
	return admission_rename(&a, &from.any, &to.any);
}

static void who_a_proxy_names_counts_as_that_client_also_if_it_may_not_stay(void **state)
{
	(void)state;
	init(10, 1);
	for (int i = 0; i < 3; i++)
		enter_by("192.0.2.9");
	assert_int_equal(rename_from("192.0.2.9", "192.0.2.1"), CLOSE_NONE);
	assert_load(3, 2);
	assert_int_equal(rename_from("192.0.2.9", "192.0.2.1"), CLOSE_PER_IP);
	assert_load(3, 2);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(rename_from("192.0.2.9", "192.0.2.2"), CLOSE_NO_MEMORY);
	seam_reset();
	leave("192.0.2.9", TICKET_HANDSHAKE); /* that one is the proxy's still */
	assert_load(2, 1);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	assert_int_equal(enter("192.0.2.1"), CLOSE_PER_IP);
	leave("192.0.2.1", TICKET_HANDSHAKE);
	assert_load(0, 0);
	admission_fini(&a);
}

static void *enter_and_leave(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		enum close_reason why = enter(arg);

		if (why == CLOSE_NONE)
			leave(arg, TICKET_HANDSHAKE);
		else if (why != CLOSE_CONNECTIONS)
			abort();
	}
	return NULL;
}

static void threads_may_enter_and_leave_at_once(void **state)
{
	static char addresses[3][10] = {"192.0.2.1", "192.0.2.1", "192.0.2.2"};
	pthread_t threads[3];

	(void)state;
	init(2, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, enter_and_leave, addresses[i]), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_load(0, 0);
	admission_fini(&a);
}

static void assert_machine_allows(int64_t connections, int64_t callers, const char *limit)
{
	char text[64];

	assert_int_equal(admission_machine_max(callers, false, text, sizeof(text)), connections);
	assert_string_equal(text, limit);
}

static void the_tightest_limit_of_the_machine_is_named(void **state)
{
	struct rlimit before, few;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 4000;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	fake_machine_init();
	assert_machine_allows(3900, 0, "RLIMIT_NOFILE=4000");
	fake_machine_has("/proc/sys/kernel/threads-max", "8000");
	assert_machine_allows(3900, 0, "RLIMIT_NOFILE=4000");
	fake_machine_has("/proc/sys/kernel/pid_max", "5200");
	assert_machine_allows(2500, 0, "kernel.pid_max=5200");
	fake_machine_has("/proc/self/cgroup", "0::/");
	fake_machine_has("/sys/fs/cgroup/pids.max", "2200");
	assert_machine_allows(1000, 0, "pids.max of the cgroup=2200");
	fake_machine_has("/sys/fs/cgroup/pids.max", "100");
	assert_machine_allows(1, 0, "pids.max of the cgroup=100");
	fake_machine_fini();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* They have files and threads, too; but of a small limit at most the half is kept for them. */
static void http_callers_have_their_share_of_the_machine(void **state)
{
	struct rlimit before, few;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 4000;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	fake_machine_init();
	assert_machine_allows(3400, 500, "RLIMIT_NOFILE=4000");
	assert_machine_allows(1950, 10000, "RLIMIT_NOFILE=4000");
	fake_machine_has("/proc/sys/kernel/pid_max", "5200");
	assert_machine_allows(2250, 500, "kernel.pid_max=5200");
	fake_machine_fini();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void memory_maps_bind_where_a_guard_is_one(void **state)
{
	(void)state;
	fake_machine_init();
	fake_machine_has("/proc/sys/vm/max_map_count", "4500");
	seam_fail(SEAM_MADVISE, 0, 2, EINVAL); /* as kernels do that do not know the advice */
	assert_machine_allows(1000, 0, "vm.max_map_count=4500");
	assert_machine_allows(950, 100, "vm.max_map_count=4500");
	fake_machine_fini();
}

#define admission_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void those_who_are_not_through_the_handshake_have_a_limit_of_their_own(void **state)
{
	const struct admission_options opt = {.connections_max = 10, .handshakes_max = 2};
	int64_t before = counters_read_by(COUNT_REFUSED, CLOSE_HANDSHAKES);
	enum ticket first = TICKET_HANDSHAKE;

	(void)state;
	assert_int_equal(admission_init(&a, &opt), 0);
	assert_int_equal(enter("192.0.2.1"), CLOSE_NONE);
	assert_int_equal(enter("192.0.2.2"), CLOSE_NONE);
	assert_int_equal(enter("192.0.2.3"), CLOSE_HANDSHAKES);
	assert_int_equal(counters_read_by(COUNT_REFUSED, CLOSE_HANDSHAKES), before + 1);
	admission_pass(&a, &first);
	assert_int_equal(first, TICKET_IN);
	assert_int_equal(enter("192.0.2.3"), CLOSE_NONE);
	assert_int_equal(enter("192.0.2.4"), CLOSE_HANDSHAKES);
	leave("192.0.2.2", TICKET_HANDSHAKE);
	assert_int_equal(enter("192.0.2.4"), CLOSE_NONE);
	leave("192.0.2.1", TICKET_IN);
	leave("192.0.2.3", TICKET_HANDSHAKE);
	leave("192.0.2.4", TICKET_HANDSHAKE);
	admission_fini(&a);
}

static enum close_reason come_and_go(const char *address)
{
	enum close_reason why = enter(address);

	if (why == CLOSE_NONE)
		leave(address, TICKET_HANDSHAKE);
	return why;
}

static void so_many_a_second_may_come(void **state)
{
	const struct admission_options opt = {.connections_max = 10,
					      .connects = {.per_second = 3, .burst_ns = CLOCK_SEC}};

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	assert_int_equal(admission_init(&a, &opt), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(come_and_go(i % 2 == 0 ? "192.0.2.1" : "192.0.2.2"),
				 i < 3 ? CLOSE_NONE : CLOSE_CONNECTS);
	seam_clock_advance(CLOCK_SEC / 2);
	assert_int_equal(come_and_go("192.0.2.1"), CLOSE_NONE);
	assert_int_equal(come_and_go("192.0.2.1"), CLOSE_CONNECTS);
	admission_fini(&a);
}

static void so_many_a_second_may_come_from_one_address_and_no_more_count_for_all(void **state)
{
	const struct admission_options opt = {.connections_max = 10,
					      .connects = {.per_second = 4, .burst_ns = CLOCK_SEC},
					      .connects_per_ip = {.per_second = 2, .burst_ns = CLOCK_SEC}};

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	assert_int_equal(admission_init(&a, &opt), 0);
	for (int i = 0; i < 9; i++)
		assert_int_equal(come_and_go("192.0.2.1"), i < 2 ? CLOSE_NONE : CLOSE_CONNECTS_PER_IP);
	assert_int_equal(come_and_go("192.0.2.2"), CLOSE_NONE);
	assert_int_equal(come_and_go("192.0.2.3"), CLOSE_NONE);
	assert_int_equal(come_and_go("192.0.2.4"), CLOSE_CONNECTS);
	admission_fini(&a);
}

static void a_network_of_ipv6_is_one_address(void **state)
{
	(void)state;
	init(10, 2);
	assert_int_equal(enter("2001:db8:1:2::1"), CLOSE_NONE);
	assert_int_equal(enter("2001:db8:1:2:ffff:ffff:ffff:ffff"), CLOSE_NONE);
	assert_int_equal(enter("2001:db8:1:2:3::"), CLOSE_PER_IP);
	assert_int_equal(enter("2001:db8:1:3::1"), CLOSE_NONE);
	assert_load(3, 2);
	leave("2001:db8:1:2:ffff:ffff:ffff:ffff", TICKET_HANDSHAKE);
	assert_int_equal(enter("2001:db8:1:2:3::"), CLOSE_NONE);
	leave("2001:db8:1:2::1", TICKET_HANDSHAKE);
	leave("2001:db8:1:2:3::", TICKET_HANDSHAKE);
	leave("2001:db8:1:3::1", TICKET_HANDSHAKE);
	admission_fini(&a);
}

static void without_memory_for_its_table_there_is_no_admission(void **state)
{
	const struct admission_options opt = {.connections_max = 1, .connects_per_ip = {.per_second = 1}};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(admission_init(&a, &opt), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		admission_test(whoever_comes_in_is_counted_until_it_leaves),
		admission_test(no_more_come_in_than_may),
		admission_test(no_more_come_in_from_one_address_than_may),
		admission_test(those_who_are_not_through_the_handshake_have_a_limit_of_their_own),
		admission_test(so_many_a_second_may_come),
		admission_test(so_many_a_second_may_come_from_one_address_and_no_more_count_for_all),
		admission_test(a_network_of_ipv6_is_one_address),
		admission_test(without_memory_for_its_table_there_is_no_admission),
		admission_test(nobody_comes_in_once_it_drains),
		admission_test(without_memory_to_count_it_nobody_comes_in),
		admission_test(who_a_proxy_names_counts_as_that_client_also_if_it_may_not_stay),
		admission_test(threads_may_enter_and_leave_at_once),
		admission_test(the_tightest_limit_of_the_machine_is_named),
		admission_test(http_callers_have_their_share_of_the_machine),
		admission_test(memory_maps_bind_where_a_guard_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
