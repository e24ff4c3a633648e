/* Tests of common/wire/bans. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/wire/bans.h"
#include "tests/unit/seam.h"

#define NOW_MS INT64_C(1795490252000)
#define HOUR   INT64_C(3600000)

static struct bans *bans;

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, NOW_MS);
	return bans_new(&bans);
}

static int tear_down(void **state)
{
	(void)state;
	bans_free(&bans);
	seam_reset();
	return 0;
}

static int take(enum ban_kind kind, const char *name, uint64_t stamp, int64_t until_ms)
{
	const struct ban ban = {.kind = kind, .name = name, .stamp = stamp, .until_ms = until_ms};

	return bans_take(bans, &ban, 1, 0, NULL);
}

static int lift(enum ban_kind kind, const char *name, uint64_t stamp, int64_t until_ms)
{
	const struct ban ban = {.kind = kind, .name = name, .stamp = stamp, .until_ms = until_ms, .lifted = true};

	return bans_take(bans, &ban, 1, 0, NULL);
}

static bool is_out(const char *address, const char *key, const char *user, int64_t issued_s)
{
	struct ban_found found;
	struct cidr peer;

	if (address != NULL)
		assert_null(cidr_read(address, &peer));
	return bans_find(bans, &(struct ban_subject){address != NULL ? &peer : NULL, key, user, issued_s}, &found);
}

/* ---- one ban ---- */

static void nobody_is_kept_out_at_first(void **state)
{
	(void)state;
	assert_false(is_out("10.0.0.1", "key", "1", 0));
	assert_int_equal(bans_count(bans, NOW_MS), 0);
}

static void users_and_keys_have_name_spaces_of_their_own(void **state)
{
	(void)state;
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + HOUR), 0);
	assert_true(is_out(NULL, "key", "1", 0));
	assert_false(is_out(NULL, "1", "2", 0));
	assert_int_equal(take(BAN_KEY, "tablet", 1, NOW_MS + HOUR), 0);
	assert_true(is_out(NULL, "tablet", "2", 0));
	assert_false(is_out(NULL, "phone", "tablet", 0));
}

static void a_network_keeps_out_its_addresses(void **state)
{
	struct ban_found found;
	struct cidr peer;

	(void)state;
	assert_int_equal(take(BAN_NETWORK, "10.1.0.0/16", 1, NOW_MS + HOUR), 0);
	assert_int_equal(take(BAN_NETWORK, "2001:db8::/33", 1, NOW_MS + 2 * HOUR), 0);
	assert_true(is_out("10.1.255.255", NULL, NULL, 0));
	assert_false(is_out("10.2.0.0", NULL, NULL, 0));
	assert_true(is_out("::ffff:10.1.0.7", NULL, NULL, 0));
	assert_false(is_out("2001:db8:8000::1", NULL, NULL, 0));
	assert_null(cidr_read("2001:db8:7fff::1", &peer));
	assert_true(bans_find(bans, &(struct ban_subject){.address = &peer, .user = "1"}, &found));
	assert_string_equal(found.network, "2001:db8::/33");
	assert_int_equal(found.until_ms, NOW_MS + 2 * HOUR);
}

static void tokens_issued_before_are_no_good(void **state)
{
	const struct ban ban = {
		.kind = BAN_TOKENS, .name = "1", .stamp = 1, .until_ms = NOW_MS + HOUR, .before_s = 1000};

	(void)state;
	assert_int_equal(bans_take(bans, &ban, 1, 0, NULL), 0);
	assert_true(is_out(NULL, "k", "1", 999));
	assert_true(is_out(NULL, "k", "1", 0));
	assert_false(is_out(NULL, "k", "1", 1000));
	assert_false(is_out(NULL, "k", "2", 999));
}

static void a_ban_ends_by_itself(void **state)
{
	(void)state;
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + HOUR), 0);
	assert_int_equal(take(BAN_NETWORK, "10.0.0.0/8", 1, NOW_MS + HOUR), 0);
	seam_clock_advance(HOUR * CLOCK_MS - CLOCK_MS);
	assert_true(is_out(NULL, NULL, "1", 0));
	seam_clock_advance(CLOCK_MS);
	assert_false(is_out("10.0.0.1", NULL, "1", 0));
	assert_int_equal(bans_count(bans, NOW_MS + HOUR), 0);
}

static void each_is_dropped_at_its_end_in_whichever_order_they_came(void **state)
{
	(void)state;
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + 2 * HOUR), 0);
	assert_int_equal(take(BAN_USER, "2", 2, NOW_MS + HOUR), 0);
	assert_int_equal(take(BAN_USER, "3", 3, NOW_MS + 3 * HOUR), 0);
	assert_int_equal(bans_count(bans, NOW_MS + HOUR - 1), 3);
	assert_int_equal(bans_count(bans, NOW_MS + HOUR), 2);
	assert_int_equal(bans_count(bans, NOW_MS + 2 * HOUR - 1), 2);
	assert_int_equal(bans_count(bans, NOW_MS + 2 * HOUR), 1);
	assert_int_equal(bans_count(bans, NOW_MS + 3 * HOUR), 0);
	assert_int_equal(take(BAN_USER, "1", 4, NOW_MS + 4 * HOUR), 0);
	assert_int_equal(bans_count(bans, NOW_MS + 4 * HOUR), 0);
}

/* ---- the newer one counts ---- */

static void the_newest_of_one_name_counts_in_whichever_order_they_come(void **state)
{
	bool older;
	const struct ban old = {.kind = BAN_USER, .name = "1", .stamp = 3, .until_ms = NOW_MS + HOUR};

	(void)state;
	assert_int_equal(take(BAN_USER, "1", 5, NOW_MS + HOUR), 0);
	assert_int_equal(lift(BAN_USER, "1", 4, NOW_MS + HOUR), 0);
	assert_true(is_out(NULL, NULL, "1", 0));
	assert_int_equal(lift(BAN_USER, "1", 6, NOW_MS + HOUR), 0);
	assert_false(is_out(NULL, NULL, "1", 0));
	assert_int_equal(bans_take(bans, &old, 1, 0, &older), 0);
	assert_true(older);
	assert_false(is_out(NULL, NULL, "1", 0));
}

static void a_lifted_ban_is_remembered_until_no_copy_of_it_can_stand(void **state)
{
	(void)state;
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + 3 * HOUR), 0);
	assert_int_equal(take(BAN_USER, "1", 2, NOW_MS + HOUR), 0); /* shortened */
	seam_clock_advance(2 * HOUR * CLOCK_MS);
	assert_false(is_out(NULL, NULL, "1", 0));
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + 3 * HOUR), 0); /* a Redis that lost data has the first one */
	assert_false(is_out(NULL, NULL, "1", 0));
	assert_int_equal(bans_count(bans, NOW_MS + 3 * HOUR), 0);
}

static void stamps_grow_also_when_the_clock_does_not(void **state)
{
	uint64_t first;

	(void)state;
	first = bans_next_stamp(bans);
	assert_true(first == (uint64_t)NOW_MS * 1000);
	assert_true(bans_next_stamp(bans) == first + 1);
	assert_int_equal(take(BAN_USER, "1", first + 100, NOW_MS + HOUR), 0);
	assert_true(bans_next_stamp(bans) == first + 101);
}

/* ---- bounds ---- */

static void there_are_no_more_than_the_limit(void **state)
{
	const struct ban three[] = {
		{.kind = BAN_USER, .name = "1", .stamp = 1, .until_ms = NOW_MS + HOUR},
		{.kind = BAN_USER, .name = "2", .stamp = 1, .until_ms = NOW_MS + 2 * HOUR},
		{.kind = BAN_KEY, .name = "2", .stamp = 1, .until_ms = NOW_MS + 2 * HOUR},
	};
	struct ban again = three[0];

	(void)state;
	again.stamp = 2;
	assert_int_equal(bans_take(bans, three, 3, 2, NULL), -ENOSPC);
	assert_int_equal(bans_count(bans, NOW_MS), 0);
	assert_int_equal(bans_take(bans, three, 2, 2, NULL), 0);
	assert_int_equal(bans_take(bans, three + 2, 1, 2, NULL), -ENOSPC);
	assert_int_equal(bans_take(bans, &again, 1, 2, NULL), 0);
	seam_clock_advance(HOUR * CLOCK_MS); /* the first is over */
	assert_int_equal(bans_take(bans, three + 2, 1, 2, NULL), 0);
}

static void a_ban_without_memory_is_an_error(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + HOUR), -ENOMEM);
	assert_int_equal(take(BAN_USER, "2", 1, NOW_MS + HOUR), 0);
	seam_fail(SEAM_ALLOC, 1, 1, ENOMEM);
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + HOUR), -ENOMEM);
	assert_false(is_out(NULL, NULL, "1", 0));
}

static unsigned n_heard;

static void hear(void *arg)
{
	(void)arg;
	n_heard++;
}

static void news_are_heard_and_what_is_known_is_none(void **state)
{
	(void)state;
	n_heard = 0;
	bans_listen(bans, hear, NULL);
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + HOUR), 0);
	assert_int_equal(n_heard, 1);
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + HOUR), 0);
	assert_int_equal(n_heard, 1);
}

static void a_copy_has_all_of_them(void **state)
{
	struct ban *list;
	size_t n;

	(void)state;
	assert_int_equal(take(BAN_USER, "1", 1, NOW_MS + HOUR), 0);
	assert_int_equal(lift(BAN_KEY, "k", 2, NOW_MS + HOUR), 0);
	assert_int_equal(bans_copy(bans, &list, &n), 0);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(list[i].name, list[i].kind == BAN_USER ? "1" : "k");
		assert_int_equal(list[i].lifted, list[i].kind == BAN_KEY);
	}
	free(list);
}

/* ---- all together, beside a simple model ---- */

#define NAMES 6
#define TURNS 20000

static const char *const networks[NAMES] = {"10.0.0.0/8",    "10.1.0.0/16",   "10.1.2.3/32",
					    "2001:db8::/32", "2001:db8::/64", "0.0.0.0/0"};
static const char *const peers[NAMES] = {"10.1.2.3",  "10.1.2.4",    "10.2.0.1",
					 "192.0.2.1", "2001:db8::1", "2001:db8:1::1"};

/* model[kind][name]: the newest ban of each. */
static struct ban model[BAN_KINDS][NAMES];

static bool model_has(enum ban_kind kind, unsigned name, int64_t issued_s)
{
	const struct ban *ban = &model[kind][name];

	return ban->stamp > 0 && !ban->lifted && ban->until_ms > clock_wall_ms() &&
	       (kind != BAN_TOKENS || issued_s < ban->before_s);
}

static bool holds(const char *network, const char *peer)
{
	struct cidr n, p;

	assert_null(cidr_read(network, &n));
	assert_null(cidr_read(peer, &p));
	return cidr_holds(&n, p.family, p.bytes);
}

static bool model_keeps_out(unsigned peer, unsigned key, unsigned user, int64_t issued_s)
{
	for (unsigned i = 0; i < NAMES; i++)
		if (model_has(BAN_NETWORK, i, 0) && holds(networks[i], peers[peer]))
			return true;
	return model_has(BAN_USER, user, 0) || model_has(BAN_KEY, key, 0) || model_has(BAN_TOKENS, user, issued_s);
}

static void change_at_random(const char *const names[NAMES])
{
	enum ban_kind kind = (enum ban_kind)(random() % BAN_KINDS);
	unsigned name = (unsigned)random() % NAMES;
	struct ban ban = {
		.kind = kind,
		.name = kind == BAN_NETWORK ? networks[name] : names[name],
		.stamp = 1 + (uint64_t)random() % TURNS,
		.until_ms = clock_wall_ms() + random() % HOUR,
		.before_s = kind == BAN_TOKENS ? random() % 100 : 0,
		.lifted = random() % 3 == 0,
	};
	struct ban *was = &model[kind][name];

	/* Remembered for as long as the longest of its name: the others come in any order. */
	ban.keep_ms = NOW_MS + 1000 * HOUR;
	assert_int_equal(bans_take(bans, &ban, 1, 0, NULL), 0);
	if (ban.stamp > was->stamp)
		*was = ban;
}

static void random_bans_keep_out_whom_they_say(void **state)
{
	static const char *const names[NAMES] = {"1", "2", "3", "a", "b", "c"};
	unsigned n_out = 0;

	(void)state;
	memset(model, 0, sizeof(model));
	srandom(16);
	for (unsigned turn = 0; turn < TURNS; turn++) {
		unsigned peer = (unsigned)random() % NAMES, key = (unsigned)random() % NAMES,
			 user = (unsigned)random() % NAMES;
		int64_t issued_s = random() % 100;
		bool out = model_keeps_out(peer, key, user, issued_s);

		assert_int_equal(is_out(peers[peer], names[key], names[user], issued_s), out);
		n_out += out;
		if (random() % 4 == 0)
			change_at_random(names);
		if (random() % 16 == 0) /* so that the newest are not all late stamps */
			seam_clock_advance(random() % (HOUR / 8) * CLOCK_MS);
		if (turn % 500 == 499) {
			memset(model, 0, sizeof(model));
			bans_free(&bans);
			assert_int_equal(bans_new(&bans), 0);
		}
	}
	assert_true(n_out > TURNS / 10 && n_out < TURNS - TURNS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_is_kept_out_at_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(users_and_keys_have_name_spaces_of_their_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_network_keeps_out_its_addresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tokens_issued_before_are_no_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_ban_ends_by_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_is_dropped_at_its_end_in_whichever_order_they_came, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_newest_of_one_name_counts_in_whichever_order_they_come, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_lifted_ban_is_remembered_until_no_copy_of_it_can_stand, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(stamps_grow_also_when_the_clock_does_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(there_are_no_more_than_the_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_ban_without_memory_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(news_are_heard_and_what_is_known_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_copy_has_all_of_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_bans_keep_out_whom_they_say, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
