/* Tests of logic/registry_memory: who is where, in a program that runs alone. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logic/registry.h"
#include "tests/unit/seam.h"

static struct registry r;

static int set_up(void **state)
{
	(void)state;
	return registry_memory_new(&r);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	registry_memory_free(&r);
	return r.self != NULL;
}

static int put(const char *server, const char *key, int64_t mid, uint64_t *session_id, struct registry_found *old)
{
	struct seat seat = {.key = key, .user.mid = mid};
	int rc = registry_put(&r, server, &seat, 0, old);

	*session_id = seat.session_id;
	return rc;
}

/* Register where that must work; the session's id. */
static uint64_t join(const char *server, const char *key, int64_t mid)
{
	uint64_t id;

	assert_int_equal(put(server, key, mid, &id, NULL), 0);
	return id;
}

static void leave(const char *server, const char *key, int64_t mid, uint64_t id)
{
	assert_int_equal(registry_del(&r, server, &(struct seat){key, id, {.mid = mid}}), 0);
}

/* The entries as "key@server key@server", freed. */
static const char *written(struct registry_found *found)
{
	static char text[512];
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < found->n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s@%s", i > 0 ? " " : "", found->entries[i].key,
				       found->entries[i].server);
	registry_found_fini(found);
	assert_null(found->entries);
	assert_int_equal(found->n, 0);
	return text;
}

static const char *of_mid(int64_t mid)
{
	struct registry_found found;

	assert_int_equal(registry_find_users(&r, &(struct user){.mid = mid}, 1, &found), 0);
	return written(&found);
}

static const char *of_key(const char *key)
{
	struct registry_found found;

	assert_int_equal(registry_find_keys(&r, &key, 1, &found), 0);
	return written(&found);
}

/* ---- sessions ---- */

static void a_user_may_have_a_name(void **state)
{
	static const struct user users[] = {{.name = "007"}, {.mid = 7}, {.name = "7 "}};
	struct seat seat = {.key = "named", .user.name = "007"};
	struct registry_found found;

	(void)state;
	(void)join("s", "k", 7);
	assert_int_equal(registry_put(&r, "s", &seat, 0, NULL), 0);
	assert_string_equal(of_mid(7), "k@s");
	assert_int_equal(registry_find_users(&r, users, 1, &found), 0);
	assert_string_equal(written(&found), "named@s");
	assert_int_equal(registry_find_users(&r, users, 3, &found), 0);
	assert_string_equal(written(&found), "named@s k@s");
	assert_int_equal(registry_del(&r, "s", &seat), 0);
	assert_int_equal(registry_find_users(&r, users, 1, &found), 0);
	assert_string_equal(written(&found), "");
}

static void a_registration_is_found_by_key_and_by_user(void **state)
{
	(void)state;
	(void)join("comet-1", "k", 7);
	assert_string_equal(of_key("k"), "k@comet-1");
	assert_string_equal(of_mid(7), "k@comet-1");
	assert_string_equal(of_key("other"), "");
	assert_string_equal(of_mid(8), "");
}

static void a_user_has_many_connections(void **state)
{
	static const struct user users[] = {{.mid = 8}, {.mid = 7}, {.mid = 99}};
	struct registry_found found;
	uint64_t middle;

	(void)state;
	(void)join("s", "a", 7);
	middle = join("s", "b", 7);
	(void)join("s", "c", 7);
	(void)join("s", "d", 8);
	assert_int_equal(registry_find_users(&r, users, 3, &found), 0);
	assert_string_equal(written(&found), "d@s c@s b@s a@s");
	leave("s", "b", 7, middle);
	assert_string_equal(of_mid(7), "c@s a@s");
}

static void several_keys_are_found_in_the_order_asked(void **state)
{
	static const char *const keys[] = {"b", "nobody", "a"};
	struct registry_found found;

	(void)state;
	(void)join("s", "a", 0);
	(void)join("t", "b", 0);
	assert_int_equal(registry_find_keys(&r, keys, 3, &found), 0);
	assert_string_equal(written(&found), "b@t a@s");
}

static void nobody_is_user_0(void **state)
{
	static const struct user users[] = {{.mid = 0}, {.mid = -5}};
	struct registry_found found;

	(void)state;
	(void)join("s", "a", 0);
	(void)join("s", "b", -5);
	assert_int_equal(registry_find_users(&r, users, 2, &found), 0);
	assert_string_equal(written(&found), "");
	assert_string_equal(of_key("b"), "b@s");
}

static void a_key_that_comes_again_replaces_the_one_before(void **state)
{
	struct registry_found old;
	uint64_t first, second;

	(void)state;
	assert_int_equal(put("s", "k", 7, &first, &old), 0);
	assert_int_equal(old.n, 0);
	assert_int_equal(put("t", "k", 7, &second, &old), 0);
	assert_true(second > first);
	assert_int_equal(old.n, 1);
	assert_int_equal(old.entries[0].session_id, first);
	assert_string_equal(written(&old), "k@s");
	assert_string_equal(of_mid(7), "k@t");
}

static void a_key_may_change_its_user(void **state)
{
	(void)state;
	(void)join("s", "k", 7);
	(void)join("s", "k", 8);
	assert_string_equal(of_mid(7), "");
	assert_string_equal(of_mid(8), "k@s");
	(void)join("s", "k", 0);
	assert_string_equal(of_mid(8), "");
	assert_string_equal(of_key("k"), "k@s");
}

static void who_was_replaced_takes_nothing_away_when_leaving(void **state)
{
	uint64_t first = join("s", "k", 7), second = join("s", "k", 7);

	(void)state;
	leave("s", "k", 7, first);
	assert_string_equal(of_key("k"), "k@s");
	leave("s", "k", 7, second);
	assert_string_equal(of_key("k"), "");
	assert_string_equal(of_mid(7), "");
	leave("s", "k", 7, second);
}

static void a_session_is_never_numbered_twice(void **state)
{
	uint64_t first = join("s", "k", 7);

	(void)state;
	leave("s", "k", 7, first);
	assert_true(join("s", "k", 7) > first);
}

static void renewing_finds_nothing_wrong(void **state)
{
	uint64_t id = join("s", "k", 7);

	(void)state;
	assert_int_equal(registry_renew(&r, "s", &(struct seat){"k", id, {.mid = 7}}, NULL), 0);
	assert_string_equal(of_key("k"), "k@s");
}

static void forgetting_a_server_forgets_its_sessions_only(void **state)
{
	(void)state;
	(void)join("s", "a", 7);
	(void)join("t", "b", 7);
	(void)join("s", "c", 8);
	assert_int_equal(registry_del_server(&r, "s"), 0);
	assert_string_equal(of_mid(7), "b@t");
	assert_string_equal(of_mid(8), "");
	assert_string_equal(of_key("c"), "");
	assert_int_equal(registry_del_server(&r, "nobody"), 0);
}

/* ---- numbers ---- */

static uint64_t number(int64_t mid)
{
	uint64_t n = 0;

	assert_int_equal(registry_next_number(&r, mid, &n), 0);
	return n;
}

static void connections_of_a_user_are_numbered(void **state)
{
	(void)state;
	assert_int_equal(number(7), 1);
	assert_int_equal(number(7), 2);
	assert_int_equal(number(8), 1);
	assert_int_equal(number(0), 1);
}

/* A client may say any mid, and those below 1 are nobody's: none of them may be remembered. */
static void who_is_no_user_is_numbered_and_not_remembered(void **state)
{
	const uint64_t first = number(-1);

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(number(-2), first + 1);
	assert_int_equal(number(INT64_MIN), first + 2);
	assert_int_equal(number(-1), first + 3);
}

/* Else two connections could get the same key: one that has its number and is not registered yet, and one that comes when
 * the user's last registration has just been forgotten. */
static void a_number_is_not_given_again_when_all_connections_of_the_user_have_left(void **state)
{
	uint64_t id, first = number(7), second = number(7), third;

	(void)state;
	id = join("s", "7_2", 7);
	leave("s", "7_2", 7, id);
	third = number(7);
	assert_true(third > second && second > first);
	id = join("s", "7_3", 7);
	assert_int_equal(registry_del_server(&r, "s"), 0);
	assert_true(number(7) > third);
	(void)id;
}

/* ---- servers and rooms ---- */

static void tell(const char *id, int64_t connections, const struct registry_room *rooms, size_t n)
{
	char id_text[32], region[] = "eu", addrs[] = "a.example:1,10.0.0.1:1";
	const struct registry_server server = {.id = id_text,
					       .region = region,
					       .addrs = addrs,
					       .weight = 10,
					       .connections = connections,
					       .addresses = connections / 2,
					       .updated_ms = 123};

	(void)snprintf(id_text, sizeof(id_text), "%s", id);
	assert_int_equal(registry_put_online(&r, &server, rooms, n), 0);
}

/* The count of a room over all, -1 where it is not named. */
static int64_t people_in(const char *room)
{
	struct registry_rooms rooms;
	int64_t count = -1;

	assert_int_equal(registry_online(&r, &rooms), 0);
	for (size_t i = 0; i < rooms.n; i++)
		if (strcmp(rooms.rooms[i].room, room) == 0)
			count = rooms.rooms[i].count;
	registry_rooms_fini(&rooms);
	assert_null(rooms.rooms);
	return count;
}

static void rooms_are_summed_over_servers(void **state)
{
	static char live[] = "live://1", chat[] = "chat://1", empty[] = "live://0";
	const struct registry_room on_s[] = {{live, 3}, {chat, 1}, {empty, 0}};
	const struct registry_room on_t[] = {{live, 4}};

	(void)state;
	assert_int_equal(people_in(live), -1);
	tell("s", 10, on_s, 3);
	tell("t", 10, on_t, 1);
	assert_int_equal(people_in(live), 7);
	assert_int_equal(people_in(chat), 1);
	assert_int_equal(people_in(empty), -1);
	/* What is told replaces what was told before. */
	tell("s", 10, on_t, 1);
	assert_int_equal(people_in(live), 8);
	assert_int_equal(people_in(chat), -1);
	assert_int_equal(registry_del_server(&r, "t"), 0);
	assert_int_equal(people_in(live), 4);
}

static void servers_are_listed_as_they_told(void **state)
{
	struct registry_servers servers;

	(void)state;
	assert_int_equal(registry_servers(&r, &servers), 0);
	assert_int_equal(servers.n, 0);
	registry_servers_fini(&servers);
	tell("s", 10, NULL, 0);
	tell("s", 12, NULL, 0);
	assert_int_equal(registry_servers(&r, &servers), 0);
	assert_int_equal(servers.n, 1);
	assert_string_equal(servers.servers[0].id, "s");
	assert_string_equal(servers.servers[0].region, "eu");
	assert_string_equal(servers.servers[0].addrs, "a.example:1,10.0.0.1:1");
	assert_int_equal(servers.servers[0].weight, 10);
	assert_int_equal(servers.servers[0].connections, 12);
	assert_int_equal(servers.servers[0].addresses, 6);
	assert_int_equal(servers.servers[0].updated_ms, 123);
	registry_servers_fini(&servers);
	assert_int_equal(servers.n, 0);
}

/* ---- no memory ---- */

static int put_again(void)
{
	struct registry_found old;
	uint64_t id;
	int rc = put("t", "k", 8, &id, &old);

	assert_int_equal(old.n, rc == 0);
	registry_found_fini(&old);
	return rc;
}

static int find_one(void)
{
	static const struct user users[] = {{.mid = 7}, {.mid = 8}};
	struct registry_found found;
	int rc = registry_find_users(&r, users, 2, &found);

	assert_int_equal(found.n, rc == 0);
	registry_found_fini(&found);
	return rc;
}

static int find_key(void)
{
	static const char *const key = "k";
	struct registry_found found;
	int rc = registry_find_keys(&r, &key, 1, &found);

	registry_found_fini(&found);
	return rc;
}

static int give_number(void)
{
	uint64_t n;

	return registry_next_number(&r, 9, &n);
}

static int put_online(void)
{
	char id[] = "s", room[] = "live://2";
	const struct registry_room rooms[] = {{room, 1}};

	return registry_put_online(&r, &(struct registry_server){.id = id}, rooms, 1);
}

static int list_online(void)
{
	struct registry_rooms rooms;
	int rc = registry_online(&r, &rooms);

	registry_rooms_fini(&rooms);
	return rc;
}

static int list_servers(void)
{
	struct registry_servers servers;
	int rc = registry_servers(&r, &servers);

	registry_servers_fini(&servers);
	return rc;
}

static int forget_server(void)
{
	return registry_del_server(&r, "s");
}

static int make_another(void)
{
	struct registry other;
	int rc = registry_memory_new(&other);

	if (rc == 0)
		registry_memory_free(&other);
	return rc;
}

static void without_memory_a_call_changes_nothing(void **state)
{
	static int (*const calls[])(void) = {find_one,    find_key,     give_number, make_another, put_online,
					     list_online, list_servers, put_again,   forget_server};
	static char live[] = "live://1";
	const struct registry_room rooms[] = {{live, 3}};

	(void)state;
	tell("s", 1, rooms, 1);
	(void)join("s", "k", 7);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned after = 0;

		for (;; after++) {
			int rc;

			seam_reset();
			seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
			rc = calls[i]();
			if (seam_failed(SEAM_ALLOC) == 0) {
				assert_int_equal(rc, 0);
				break;
			}
			seam_reset();
			assert_int_equal(rc, -ENOMEM);
			if (calls[i] == put_again) {
				assert_string_equal(of_mid(7), "k@s");
				assert_string_equal(of_mid(8), "");
			} else if (calls[i] == put_online) {
				assert_int_equal(people_in(live), 3);
			}
		}
		assert_true(after > 0);
	}
}

/* ---- many threads ---- */

#define THREADS 4
#define ROUNDS  2000

static void *come_and_go(void *arg)
{
	const char *own = arg;
	const int64_t mid = 7;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct registry_found found;
		uint64_t id, other;

		if (put("s", own, mid, &id, NULL) < 0 || put("s", "shared", mid, &other, NULL) < 0 ||
		    registry_find_users(&r, &(struct user){.mid = mid}, 1, &found) < 0)
			return NULL;
		registry_found_fini(&found);
		if (registry_del(&r, "s", &(struct seat){"shared", other, {.mid = mid}}) < 0 ||
		    registry_del(&r, "s", &(struct seat){own, id, {.mid = mid}}) < 0)
			return NULL;
	}
	return arg;
}

static void many_threads_leave_nothing_behind(void **state)
{
	static char names[THREADS][2] = {"a", "b", "c", "d"};
	pthread_t threads[THREADS];
	void *result;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, names[i]), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, names[i]);
	}
	assert_string_equal(of_mid(7), "");
	assert_string_equal(of_key("shared"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_user_may_have_a_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_registration_is_found_by_key_and_by_user, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_user_has_many_connections, set_up, tear_down),
		cmocka_unit_test_setup_teardown(several_keys_are_found_in_the_order_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_user_0, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_key_that_comes_again_replaces_the_one_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_key_may_change_its_user, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_was_replaced_takes_nothing_away_when_leaving, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_session_is_never_numbered_twice, set_up, tear_down),
		cmocka_unit_test_setup_teardown(renewing_finds_nothing_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forgetting_a_server_forgets_its_sessions_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(connections_of_a_user_are_numbered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_no_user_is_numbered_and_not_remembered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_number_is_not_given_again_when_all_connections_of_the_user_have_left,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(rooms_are_summed_over_servers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(servers_are_listed_as_they_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_a_call_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_threads_leave_nothing_behind, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
