/* Tests of common/base/kept. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/kept.h"

static void types_keep_as_they_say(void **state)
{
	struct kept k;

	(void)state;
	assert_int_equal(kept_parse(" chat:200/10m, live:20/30s ,score:1/24h,x:10000/250ms", NULL, &k), 0);
	assert_int_equal(k.n, 4);
	assert_int_equal(kept_of(&k, "chat://1")->messages, 200);
	assert_int_equal(kept_of(&k, "chat://1")->ttl_ms, 600000);
	assert_int_equal(kept_of(&k, "live://")->ttl_ms, 30000);
	assert_int_equal(kept_of(&k, "score://a://b")->ttl_ms, 86400000);
	assert_int_equal(kept_of(&k, "x://1")->ttl_ms, 250);
}

static void other_rooms_keep_nothing(void **state)
{
	static const char *const rooms[] = {"cha://1", "chats://1", "chat", "chat:/1", "://1", "", "1", "CHAT://1"};
	struct kept k;

	(void)state;
	assert_int_equal(kept_parse("chat:1/1s", NULL, &k), 0);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
		assert_null(kept_of(&k, rooms[i]));
	assert_int_equal(kept_parse("  ", NULL, &k), 0);
	assert_null(kept_of(&k, "chat://1"));
}

static void what_is_not_so_written_is_said(void **state)
{
	static const char *const texts[] = {"chat",          "chat:",
					    "chat:1",        "chat:1/",
					    "chat:0/1s",     "chat:-1/1s",
					    "chat:1/0s",     "chat:1/1",
					    "chat:1/1d",     "chat:1/1sx",
					    "chat:1/1s,",    ",chat:1/1s",
					    "chat:10001/1s", "chat:1/169h",
					    "chat://:1/1s",  "chat:1/1s chat2",
					    ":1/1s",         "a b:1/1s",
					    "a:1/1s,a:2/2s", "chat:1 / 1 s",
					    "chat:1/1s;b:1", "chat:99999999999999999999/1s"};
	char longest[KEPT_TYPE_BYTES + 16];
	struct kept k;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(kept_parse(texts[i], NULL, &k), -EINVAL);
	(void)snprintf(longest, sizeof(longest), "%0*d:1/1s", KEPT_TYPE_BYTES, 1);
	assert_int_equal(kept_parse(longest, NULL, &k), -EINVAL);
	assert_int_equal(kept_parse(longest + 1, NULL, &k), 0);
}

static void more_than_there_is_space_for_are_refused(void **state)
{
	char text[KEPT_TYPES_MAX * 24] = "";
	struct kept k;

	(void)state;
	for (int i = 0; i < KEPT_TYPES_MAX; i++)
		(void)snprintf(text + strlen(text), 24, "%st%d:1/1s", i > 0 ? "," : "", i);
	assert_int_equal(kept_parse(text, NULL, &k), 0);
	(void)snprintf(text + strlen(text), 24, ",u:1/1s");
	assert_int_equal(kept_parse(text, NULL, &k), -EINVAL);
}

static void users_keep_all_the_same(void **state)
{
	static const char *const wrong[] = {"50", "50/", "/1h", "x:50/1h", "50/1h,", "0/1h", "50/1h 2", "10001/1h"};
	struct kept k;

	(void)state;
	assert_int_equal(kept_parse("chat:1/1s", " 50 /24h", &k), -EINVAL);
	assert_int_equal(kept_parse("chat:1/1s", " 50/24h ", &k), 0);
	assert_true(kept_has_users(&k));
	assert_int_equal(kept_of_stream(&k, "\001anybody")->messages, 50);
	assert_int_equal(kept_of_stream(&k, "\001anybody")->ttl_ms, 86400000);
	assert_int_equal(kept_of_stream(&k, "chat://1")->messages, 1);
	assert_null(kept_of_stream(&k, "live://1"));
	/* No room is taken for a user. */
	assert_null(kept_of(&k, "\001anybody"));
	assert_null(kept_of(&k, "\001chat://1"));
	assert_int_equal(kept_parse("\001x:1/1s", NULL, &k), -EINVAL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(kept_parse(NULL, wrong[i], &k), -EINVAL);
	assert_int_equal(kept_parse(NULL, "", &k), 0);
	assert_false(kept_has_users(&k));
	assert_null(kept_of_stream(&k, "\001anybody"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_keep_as_they_say),
		cmocka_unit_test(other_rooms_keep_nothing),
		cmocka_unit_test(what_is_not_so_written_is_said),
		cmocka_unit_test(more_than_there_is_space_for_are_refused),
		cmocka_unit_test(users_keep_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
