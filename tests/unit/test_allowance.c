/* Tests of comet/allowance: on a clock that stands until a test moves it. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "comet/allowance.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"

static struct stage stage;
static struct fake_transport peer;
static struct connection *c;
static int64_t now;

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage.cfg.limits_packets = 10;
	stage.cfg.limits_bytes = 1000;
	stage.cfg.limits_burst = 1000;
	stage_up(&stage);
	fake_init(&peer);
	c = stage_member(&stage, &peer, "key", "");
	now = clock_now_ns();
	seam_clock_set(now, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	stage_leave(&stage, &c);
	fake_fini(&peer);
	stage_down(&stage);
	return 0;
}

/* So many packets more are read at once, and after the next one there is a wait of so long. */
static void is_held_back_after(unsigned n, int32_t op, uint32_t body_bytes, int64_t wait_ns)
{
	const struct packet p = {.op = op, .body_bytes = body_bytes};

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(allowance_use(&stage.server, c, &p), 0);
	assert_int_equal(allowance_use(&stage.server, c, &p), now + wait_ns);
}

static int64_t limited(enum connection_limit which)
{
	return counters_read_by(COUNT_LIMITED, which);
}

static void who_sends_too_many_packets_waits_and_goes_on(void **state)
{
	int64_t before = limited(LIMIT_PACKETS);

	(void)state;
	is_held_back_after(10, 4096, 0, CLOCK_SEC / 10);
	assert_int_equal(limited(LIMIT_PACKETS), before + 1);
	now += CLOCK_SEC / 5;
	seam_clock_advance(CLOCK_SEC / 5);
	is_held_back_after(1, 4096, 0, CLOCK_SEC / 10);
}

static void the_longer_wait_counts(void **state)
{
	int64_t packets = limited(LIMIT_PACKETS), bytes = limited(LIMIT_BYTES);

	(void)state;
	is_held_back_after(0, 4096, 2000 - PACKET_HEAD_BYTES, CLOCK_SEC);
	assert_int_equal(limited(LIMIT_BYTES), bytes + 1);
	assert_int_equal(limited(LIMIT_PACKETS), packets);
}

static void new_tokens_have_a_limit_of_their_own(void **state)
{
	int64_t before = limited(LIMIT_RENEWALS);

	(void)state;
	is_held_back_after(1, OP_AUTH, 0, CLOCK_SEC);
	assert_int_equal(limited(LIMIT_RENEWALS), before + 1);
}

static void packets_for_a_back_end_have_a_limit_of_their_own(void **state)
{
	int64_t before = limited(LIMIT_UPSTREAM);

	(void)state;
	stage.server.packets.per_second = 0;
	stage.server.bytes.per_second = 0;
	rate_change(&stage.server.upstream, &(struct rate){20, CLOCK_SEC});
	assert_int_equal(ranges_parse("1000-1999", &stage.server.upstream_ops->ops), 0);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(allowance_use(&stage.server, c, &(struct packet){.op = OP_HEARTBEAT}), 0);
		assert_int_equal(allowance_use(&stage.server, c, &(struct packet){.op = OP_CHANGE_ROOM}), 0);
		assert_int_equal(allowance_use(&stage.server, c, &(struct packet){.op = 2000}), 0);
	}
	is_held_back_after(20, 1500, 0, CLOCK_SEC / 20);
	assert_int_equal(limited(LIMIT_UPSTREAM), before + 1);
}

/* Also where no limit is set: a thousand at once, and then a hundred a second. */
static void what_is_no_packet_has_a_limit_of_its_own(void **state)
{
	const struct packet p = {.kind = PACKET_NOTHING, .op = OP_AUTH};
	int64_t frames = limited(LIMIT_FRAMES), renewals = limited(LIMIT_RENEWALS);
	unsigned at_once = 0;

	(void)state;
	stage.server.packets.per_second = 0;
	stage.server.bytes.per_second = 0;
	while (at_once < 2000 && allowance_use(&stage.server, c, &p) == 0)
		at_once++;
	assert_in_range(at_once, 999, 1001);
	assert_int_equal(limited(LIMIT_FRAMES), frames + 1);
	assert_int_equal(limited(LIMIT_RENEWALS), renewals);
}

static void what_is_no_packet_counts_for_limits_packets(void **state)
{
	const struct packet p = {.kind = PACKET_PING};
	int64_t before = limited(LIMIT_PACKETS);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(allowance_use(&stage.server, c, &p), 0);
	assert_int_equal(allowance_use(&stage.server, c, &p), now + CLOCK_SEC / 10);
	assert_int_equal(limited(LIMIT_PACKETS), before + 1);
}

static void without_limits_nobody_waits(void **state)
{
	const struct packet p = {.op = 4096, .body_bytes = 1000};

	(void)state;
	stage.server.packets.per_second = 0;
	stage.server.bytes.per_second = 0;
	stage.server.upstream.per_second = 0;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(allowance_use(&stage.server, c, &p), 0);
}

#define allowance_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		allowance_test(who_sends_too_many_packets_waits_and_goes_on),
		allowance_test(the_longer_wait_counts),
		allowance_test(new_tokens_have_a_limit_of_their_own),
		allowance_test(packets_for_a_back_end_have_a_limit_of_their_own),
		allowance_test(what_is_no_packet_has_a_limit_of_its_own),
		allowance_test(what_is_no_packet_counts_for_limits_packets),
		allowance_test(without_limits_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
