/* Tests of cluster/lua/: of each script the state before, the arguments, the reply and the state after, in a real Redis.
 *
 * A state is a list of commands, or of commands and what they say, with a NULL at the end. Replies are compared as
 * shell patterns (fnmatch), as real_redis_say writes them: times are "*", and members of sets come in any order. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/script.h"
#include "tests/unit/real_redis.h"

static struct real_redis redis;

/* All of them, and which a test has run. */
static struct row {
	const struct redis_script *script;
	bool was_run;
} rows[] = {
#define script(name, arguments, repeat, definitions) {&script_##name, false},
#include "cluster/script.def"
#undef script
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void like(const char *what, const char *pattern, const char *said)
{
	if (fnmatch(pattern, said, 0) != 0)
		fail_msg("%s says\n  %s\nand not\n  %s", what, said, pattern);
}

/* Commands that make the state. */
#define before(...) run_all((const char *const[]){__VA_ARGS__, NULL})
static void run_all(const char *const *commands)
{
	for (; *commands != NULL; commands++)
		(void)real_redis_say(&redis, *commands);
}

/* A command with blanks in its last word. */
static void put(const char *verb, const char *key, const char *value)
{
	(void)real_redis_sayv(&redis, 3, (const char *[]){verb, key, value}, NULL);
}

/* Each command, and what it says. */
#define after(...) ask_all((const char *const[]){__VA_ARGS__, NULL})
static void ask_all(const char *const *pairs)
{
	for (; *pairs != NULL; pairs += 2)
		like(pairs[0], pairs[1], real_redis_say(&redis, pairs[0]));
}

/* The script with these arguments, of which "" is one. */
#define says(reply, name, ...) run_script(reply, &script_##name, (const char *const[]){__VA_ARGS__, NULL})
static void run_script(const char *reply, const struct redis_script *script, const char *const *arguments)
{
	const char *argv[64] = {"EVAL", script->text, "1", "comet:"};
	size_t bytes[64] = {4, (size_t)(script->end - script->text), 1, 6};
	int argc = 4;

	for (; *arguments != NULL; arguments++) {
		argv[argc] = *arguments;
		bytes[argc++] = strlen(*arguments);
	}
	if (script->arguments < 0)
		assert_true(argc - 4 >= -script->arguments);
	else
		assert_int_equal(argc - 4, script->arguments);
	for (size_t i = 0; i < ROWS; i++)
		rows[i].was_run |= rows[i].script == script;
	like(script->name, reply, real_redis_sayv(&redis, argc, argv, bytes));
}

static int start(void **state)
{
	(void)state;
	real_redis_start(&redis);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	real_redis_stop(&redis);
	return 0;
}

static int empty(void **state)
{
	(void)state;
	before("FLUSHALL");
	return 0;
}

/* Redis's time in ms, so much later. */
static const char *in_ms(int64_t later)
{
	static char texts[4][32];
	static unsigned next;
	long long seconds, micros;
	char *text = texts[next++ % 4];

	assert_int_equal(sscanf(real_redis_say(&redis, "TIME"), "%lld %lld", &seconds, &micros), 2);
	(void)snprintf(text, sizeof(texts[0]), "%lld", seconds * 1000 + micros / 1000 + later);
	return text;
}

/* Redis's time in microseconds, so many seconds later, and to the millisecond. */
static const char *in_us(int64_t later)
{
	static char texts[4][32];
	static unsigned next;
	char *text = texts[next++ % 4];

	(void)snprintf(text, sizeof(texts[0]), "%s000", in_ms(later * 1000));
	return text;
}

/* A comet whose lease was renewed so long ago; data with comets have a generation. */
static void comet(const char *server, const char *epoch, int64_t ago_ms)
{
	char command[256];

	(void)snprintf(command, sizeof(command),
		       "HSET comet:server:%s epoch %s updated %s sent 0 base 0 written 1 registering 0", server, epoch,
		       in_ms(-ago_ms));
	(void)real_redis_say(&redis, command);
	before("SET comet:generation 5 NX");
	(void)snprintf(command, sizeof(command), "SADD comet:servers %s", server);
	(void)real_redis_say(&redis, command);
}

static const char *session_name(const char *key)
{
	static char name[64];

	(void)snprintf(name, sizeof(name), "comet:session:%s", key);
	return name;
}

static void session(const char *key, const char *value)
{
	(void)real_redis_sayv(&redis, 3, (const char *[]){"SET", session_name(key), value}, NULL);
}

/* ---- sessions ---- */

static void connect_registers_a_session_for_a_while(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("ok *", connect, "c1", "k", "7", "60000", "0");
	after("GET comet:session:k", "* 7 100 c1", "SMEMBERS comet:mid:7", "k", "PTTL comet:session:k", "[56]*",
	      "PTTL comet:mid:7", "[56]*");
}

static void connect_of_nobody_in_particular_makes_no_user(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("ok *", connect, "c1", "k", "0", "60000", in_ms(5000));
	after("GET comet:session:k", "* 0 100 c1", "EXISTS comet:mid:0", "0");
}

/* "nan" is no number above 0, and "0x10" is one for tonumber. */
static void users_may_have_names(void **state)
{
	static const char *const names[] = {"Ann",    "007",      "nan",     "0x10",
					    "%2D007", "auth0|5f", "ser://5", "J\xc3\xbcrgen"};

	(void)state;
	comet("c1", "100", 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *name = names[i];
		char set[64], value[64], found[64];

		(void)snprintf(set, sizeof(set), "comet:mid:%s", name);
		(void)snprintf(value, sizeof(value), "* %s 100 c1", name);
		(void)snprintf(found, sizeof(found), "ok * %s c1 *", name);
		says("ok *", connect, "c1", name, name, "60000", "0");
		says(found, find, "5", "3000", "users", name);
		says("ok *", renew, "c1", name, name, "9000000000000001", "60000");
		like("the set", name, real_redis_sayv(&redis, 2, (const char *[]){"SMEMBERS", set}, NULL));
		like("the session", value,
		     real_redis_sayv(&redis, 2, (const char *[]){"GET", session_name(name)}, NULL));
		says("ok", disconnect, "c1", name, name, "9000000000000002");
		like("the set", "", real_redis_sayv(&redis, 2, (const char *[]){"SMEMBERS", set}, NULL));
	}
}

/* A key that goes from one name to another is no longer the first one's. */
static void a_key_leaves_a_name_s_user(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("ok *", connect, "c1", "k", "Ann", "60000", "0");
	says("ok * c1 *", connect, "c1", "k", "Bob", "60000", "0");
	after("EXISTS comet:mid:Ann", "0", "SMEMBERS comet:mid:Bob", "k");
	before("SADD comet:mid:Ann k");
	says("ok *", find, "5", "3000", "users", "Ann");
	after("EXISTS comet:mid:Ann", "0");
}

static void nobodies_are_numbers_below_1(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("ok *", connect, "c1", "k", "-5", "60000", "0");
	after("GET comet:session:k", "* -5 100 c1", "EXISTS comet:mid:-5", "0");
}

static void connect_that_comes_late_changes_nothing(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("late", connect, "c1", "k", "7", "60000", in_ms(-1));
	after("EXISTS comet:session:k comet:mid:7 comet:ids", "0");
}

static void connect_without_a_lease_changes_nothing(void **state)
{
	(void)state;
	says("no lease", connect, "c1", "k", "7", "60000", "0");
	after("EXISTS comet:session:k comet:mid:7 comet:ids", "0");
}

static void connect_replaces_the_session_of_the_same_comet(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 6 100 c1");
	before("SADD comet:mid:6 k");
	says("ok * c1 11", connect, "c1", "k", "7", "60000", "0");
	after("GET comet:session:k", "* 7 100 c1", "EXISTS comet:mid:6", "0", "SMEMBERS comet:mid:7", "k");
}

/* What of it was done the first time is told as replaced, and a kick for it finds nobody. */
static void connect_twice_leaves_one_session(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("ok *", connect, "c1", "k", "7", "60000", "0");
	says("ok * c1 *", connect, "c1", "k", "7", "60000", "0");
	after("KEYS comet:session:*", "comet:session:k", "SMEMBERS comet:mid:7", "k");
}

static void connect_leaves_a_key_where_it_is_served(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 200 c2");
	says("later * 0", connect, "c1", "k", "7", "60000", "0");
	after("GET comet:session:k", "11 7 200 c2", "HGET comet:server:c1 written", "1");
}

static void connect_replaces_what_a_dead_comet_left(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "201", 0);
	session("k", "11 7 200 c2");
	says("ok *", connect, "c1", "k", "7", "60000", "0");
	after("GET comet:session:k", "* 7 100 c1");
}

static void ids_grow_whatever_the_clock_says(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("SET comet:ids 9000000000000000");
	says("ok 9000000000000001 2", connect, "c1", "k", "7", "60000", "0");
	says("ok 9000000000000002 3", connect, "c1", "l", "7", "60000", "0");
	after("GET comet:ids", "9000000000000002");
}

/* An id tells who came later, also where the clock is behind and the last id was lost. */
static void id_of_who_comes_is_above_that_of_who_was_there(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "9000000000000000 7 100 c1");
	says("ok 9000000000000001 2 c1 9000000000000000", connect, "c1", "k", "7", "60000", "0");
	comet("c2", "9000000000000005", 60000);
	says("new 9000000000000006 1*", lease, "c2", "", "3000", "1", "0", "", "1000", "0", "0");
}

/* The ids that were given after it are lost, and may be those of a clock that was ahead. */
static void ids_are_above_those_that_were_lost(void **state)
{
	const char *in_50_s = in_us(50);

	(void)state;
	before("SET comet:generation 5", "HSET comet:redis run gone");
	put("SET", "comet:ids", in_us(-5));
	says("ok *", arrive, NULL);
	assert_true(strtoll(real_redis_say(&redis, "GET comet:ids"), NULL, 10) > strtoll(in_50_s, NULL, 10));
	/* Lost once more: not the same ones again, where the clock is far behind. */
	before("SET comet:ids 9000000000000000", "HSET comet:redis run gone");
	says("ok *", arrive, NULL);
	after("GET comet:ids", "9000000000[0-9]*");
}

/* Whoever is registered again, and the comet itself, was there before those who come. */
static void ids_that_come_back_are_given_once(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("HSET comet:server:c1 registering 1");
	says("ok 0", renew, "c1", "k", "7", "9000000000000000", "60000");
	says("ok 9000000000000001 0", connect, "c1", "l", "7", "60000", "0");
	says("ok 0", renew, "c1", "k", "7", "9000000000000000", "60000");
	says("ok 9000000000000002 0 *", connect, "c1", "l", "7", "60000", "0");
	says("lost 9000000000000010 1*", lease, "c2", "9000000000000010", "3000", "1", "7", "5", "1000", "0", "0");
	says("ok 9000000000[0-9]* 0", connect, "c1", "m", "7", "60000", "0");
}

static void disconnect_leaves_a_mark_for_a_moment(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 100 c1");
	before("SADD comet:mid:7 k l");
	for (int twice = 0; twice < 2; twice++) {
		says("ok", disconnect, "c1", "k", "7", "11");
		after("GET comet:session:k", "11 7 0 c1", "SMEMBERS comet:mid:7", "l", "PTTL comet:session:k", "[19]*");
	}
}

static void disconnect_of_an_older_session_changes_nothing(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "12 7 100 c1");
	says("newer", disconnect, "c1", "k", "7", "11");
	after("GET comet:session:k", "12 7 100 c1");
}

/* It has left before it had moved here: where the key still is it stays. */
static void disconnect_leaves_another_comet_its_key(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 200 c2");
	says("ok", disconnect, "c1", "k", "7", "12");
	after("GET comet:session:k", "11 7 200 c2", "GET comet:left:k", "12", "PTTL comet:left:k", "[19]*");
}

static void disconnect_overwrites_what_a_dead_comet_left(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 200 c2");
	says("ok", disconnect, "c1", "k", "7", "12");
	after("GET comet:session:k", "12 7 0 c1", "EXISTS comet:left:k", "0");
}

static void renew_keeps_a_session(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 100 c1");
	for (int twice = 0; twice < 2; twice++) {
		says(twice ? "ok 3" : "ok 2", renew, "c1", "k", "7", "11", "60000");
		after("GET comet:session:k", "11 7 100 c1", "SMEMBERS comet:mid:7", "k", "PTTL comet:session:k",
		      "[56]????");
	}
}

static void renew_brings_back_what_redis_lost(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("ok 2", renew, "c1", "k", "7", "11", "60000");
	after("GET comet:session:k", "11 7 100 c1", "SMEMBERS comet:mid:7", "k");
}

/* Else its number would grow to the one by which the comet is to see that something is missing. */
static void nothing_is_counted_while_a_comet_is_registering(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("HSET comet:server:c1 registering 1");
	says("ok * 0", connect, "c1", "k", "7", "60000", "0");
	says("ok 0", renew, "c1", "l", "7", "11", "60000");
	after("SMEMBERS comet:mid:7", "[kl] [kl]", "HGET comet:server:c1 written", "1");
}

static void renew_moves_a_key_and_tells_where_from(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 6 200 c2");
	before("SADD comet:mid:6 k");
	says("ok 2 c2 11", renew, "c1", "k", "7", "12", "60000");
	after("GET comet:session:k", "12 7 100 c1", "EXISTS comet:mid:6", "0", "SMEMBERS comet:mid:7", "k");
	says("ok 3", renew, "c1", "k", "7", "12", "60000");
}

static void renew_without_a_lease_changes_nothing(void **state)
{
	(void)state;
	says("no lease", renew, "c1", "k", "7", "11", "60000");
	after("EXISTS comet:session:k comet:mid:7", "0");
}

static void renew_does_not_bring_back_what_has_gone(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 0 c1");
	says("gone", renew, "c1", "k", "7", "11", "60000");
	after("GET comet:session:k", "11 7 0 c1", "EXISTS comet:mid:7", "0");
	session("k", "9 7 200 c2");
	before("SET comet:left:k 11");
	says("gone", renew, "c1", "k", "7", "11", "60000");
	after("GET comet:session:k", "9 7 200 c2");
	says("ok 2", renew, "c1", "k", "7", "12", "60000");
}

static void renew_of_one_that_was_replaced_says_so(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "12 7 200 c2");
	says("newer", renew, "c1", "k", "7", "11", "60000");
	after("GET comet:session:k", "12 7 200 c2");
	/* But the other died. */
	before("DEL comet:server:c2");
	says("ok 2", renew, "c1", "k", "7", "11", "60000");
	after("GET comet:session:k", "11 7 100 c1");
}

static void numbers_in_use_are_stepped_over(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("1", next_number, "7", "60000");
	session("7_2", "11 7 100 c1");
	session("7_3", "11 7 100 c1");
	says("4", next_number, "7", "60000");
	after("GET comet:number:7", "4", "PTTL comet:number:7", "[56]????");
}

/* The count was lost, or is an older one, and whoever has the next number may be registered only in a moment. */
static void no_number_is_given_twice_while_comets_register(void **state)
{
	static const char *const counts[] = {"DEL comet:number:7", "SET comet:number:7 3"};

	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	for (unsigned i = 0; i < 2; i++) {
		before(counts[i], "HSET comet:server:c2 registering 1");
		says("1???????????????", next_number, "7", "60000");
		before("HSET comet:server:c2 registering 0");
		says("1???????????????", next_number, "7", "60000");
	}
	says("1", next_number, "8", "60000");
	/* A comet has asked: where none has a name, they have vanished. */
	before("DEL comet:servers");
	says("1???????????????", next_number, "8", "60000");
}

/* ---- bans ---- */

#define FAR "9999999999999" /* ms: in the year 2286 */

static void ban_keeps_the_newest_of_a_name(void **state)
{
	(void)state;
	says("ok 5 " FAR " " FAR " 0 0", ban, "0", "u:7", "5", FAR, FAR, "0", "0");
	says("ok 5 " FAR " " FAR " 0 0", ban, "0", "u:7", "4", FAR, FAR, "1", "0");
	says("ok 6 1 " FAR " 1 0", ban, "0", "u:7", "6", "1", FAR, "1", "0");
	after("HGETALL comet:bans", ("u:7 6 1 " FAR " 1 0"), "ZCARD comet:bans:came", "1", "ZSCORE comet:bans:end u:7",
	      FAR);
}

static void ban_gives_a_new_one_a_stamp_above_all(void **state)
{
	(void)state;
	says("ok 17?????????????? " FAR " " FAR " 0 0 17?????????????? 8000000000000 " FAR " 0 12", ban, "0", "u:7",
	     "0", FAR, FAR, "0", "0", "t:7", "0", "8000000000000", FAR, "0", "12");
	says("ok 9000000000000000 1 " FAR " 0 0", ban, "0", "u:7", "9000000000000000", "1", FAR, "0", "0");
	says("ok 9000000000000001 2 " FAR " 0 0", ban, "0", "u:7", "0", "2", FAR, "0", "0");
}

/* All of them lost twice within a moment. */
static void ban_gives_a_stamp_above_those_that_were_lost(void **state)
{
	char last[32];

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		before("FLUSHALL");
		says("ok 17*", ban, "0", "u:7", "0", FAR, FAR, "0", "0");
		says("17* 17* 1 17* u:7 *", bans, "0", "0", "10"); /* begins a generation */
		says("ok 17*", ban, "0", "u:7", "0", FAR, FAR, "0", "0");
		(void)snprintf(last, sizeof(last), "%s", real_redis_say(&redis, "GET comet:ids"));
		before("FLUSHALL");
		says("ok 17*", ban, "0", "u:7", "0", FAR, FAR, "0", "0");
		assert_true(strcmp(real_redis_say(&redis, "GET comet:ids"), last) > 0);
	}
}

static void ban_is_kept_for_as_long_as_the_longest_of_its_name(void **state)
{
	(void)state;
	says("ok*", ban, "0", "u:7", "0", FAR, FAR, "0", "0");
	says("ok * 8000000000000 " FAR " 0 0", ban, "0", "u:7", "0", "8000000000000", "8000000000000", "0", "0");
}

/* Whoever writes it has a clock that is behind. */
static void ban_is_lifted_also_by_a_time_that_is_over(void **state)
{
	(void)state;
	says("ok 5 " FAR " " FAR " 0 0", ban, "0", "u:7", "5", FAR, FAR, "0", "0");
	says("ok 17?????????????? 1000 " FAR " 1 0", ban, "0", "u:7", "0", "1000", "1000", "1", "0");
	after("HGET comet:bans u:7", ("17?????????????? 1000 " FAR " 1 0"), "ZSCORE comet:bans:end u:7", FAR);
}

static void ban_beyond_the_most_changes_nothing(void **state)
{
	(void)state;
	says("ok*", ban, "2", "u:7", "0", FAR, FAR, "0", "0");
	says("full", ban, "2", "u:8", "0", FAR, FAR, "0", "0", "u:9", "0", FAR, FAR, "0", "0");
	after("HLEN comet:bans", "1");
	says("ok*", ban, "2", "u:7", "0", FAR, FAR, "1", "0", "u:8", "0", FAR, FAR, "0", "0");
	says("ok*", ban, "2", "u:7", "0", FAR, FAR, "0", "0");
}

static void bans_are_told_from_a_number_on(void **state)
{
	(void)state;
	before("SET comet:generation 100");
	says("100 17* 0", bans, "100", "0", "10");
	says("ok*", ban, "0", "u:7", "5", FAR, FAR, "0", "0", "k:a", "6", FAR, FAR, "0", "0");
	says("100 17* 2 17* u:7 5 " FAR " " FAR " 0 0 17* k:a 6 *", bans, "100", "0", "10");
	says("100 17* 2 17* u:7 5 " FAR " " FAR " 0 0", bans, "100", "0", "1");
	says("100 17* 2", bans, "100", "9000000000000000", "10");
	says("100 17* 2 17* u:7 * k:a *", bans, "99", "9000000000000000",
	     "10"); /* another generation: from the beginning */
}

static void bans_that_are_over_go(void **state)
{
	(void)state;
	before("HSET comet:bans u:7 5_1_2_0_0", "ZADD comet:bans:came 5 u:7", "ZADD comet:bans:end 2 u:7");
	says("17* 17* 0", bans, "0", "0", "10");
	after("EXISTS comet:bans", "0", "EXISTS comet:bans:came", "0", "EXISTS comet:bans:end", "0");
	says("ok ''", ban, "0", "u:7", "5", "1", "2", "0", "0"); /* so does one that comes late */
	after("EXISTS comet:bans", "0");
}

/* ---- finding ---- */

static void find_tells_where_keys_are(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 100 c1");
	session("l", "12 7 99 c1");  /* of an earlier lease */
	session("m", "13 7 100 c2"); /* of a comet that is not there */
	session("n", "14 7 0 c1");   /* gone */
	says("ok * k c1 11 2", find, "", "3000", "keys", "j", "k", "l", "m", "n", "o");
	after("EXISTS comet:generation", "1");
}

static void find_tells_where_users_are(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 100 c1");
	session("l", "12 7 200 c2");
	session("m", "13 8 200 c2"); /* another's by now */
	session("n", "14 7 0 c1");   /* gone */
	before("SADD comet:mid:7 k l m n o");
	says("ok * [kl] c[12] 1[12] 2 [kl] c[12] 1[12] 2", find, "", "3000", "users", "9", "7");
	after("SCARD comet:mid:7", "2");
}

/* While connections may not be registered again, "nobody" would be a lie, and so would "all" of a user's; and a key may have moved
 * since it was where the data have it. */
static void find_is_unsure_after_a_loss(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 100 c1");
	before("SADD comet:mid:7 k");
	(void)real_redis_sayv(&redis, 3, (const char *[]){"SET", "comet:generation", in_ms(-100)}, NULL);
	says("unsure", find, "1", "3000", "keys", "o");
	says("unsure", find, "1?", "3000", "keys", "o");
	says("unsure", find, "1", "3000", "users", "9");
	says("unsure", find, "1", "3000", "users", "7");
	says("unsure", find, "1", "3000", "keys", "k");
	/* To one who knows of no other generation, and when it is old, it is sure. */
	says("ok 1???????????? k c1 11 1", find, "", "3000", "users", "7");
	says("ok 1????????????", find, "", "3000", "keys", "o");
	says("ok 1????????????", find, "1", "99", "keys", "o");
	before("HSET comet:server:c1 registering 1");
	says("unsure", find, "", "3000", "keys", "o");
	says("unsure", find, "", "3000", "users", "7");
	says("unsure", find, "", "3000", "keys", "k");
}

/* One who has known of the generation since all comets said that they are there. */
static void find_does_not_doubt_a_user_who_is_there(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 100 c1");
	before("SADD comet:mid:7 k", "SET comet:generation 5", "HSET comet:server:c1 registering 1");
	says("ok 5 k c1 11 1", find, "5", "3000", "users", "7");
	says("unsure", find, "5?", "3000", "users", "7");
	says("unsure", find, "5?", "3000", "keys", "k");
	before("HSET comet:server:c1 registering 0");
	says("ok 5 k c1 11 1", find, "5?", "3000", "users", "7");
}

static void find_is_unsure_where_a_lease_has_vanished(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 100 c1");
	before("SADD comet:mid:7 k", "SET comet:generation 5", "DEL comet:server:c1");
	says("unsure", find, "4", "3000", "users", "7");
	before("HSET comet:server:c2 registering 1");
	says("unsure", find, "5", "3000", "keys", "k");
	/* With its name it is dead. */
	before("HSET comet:server:c2 registering 0", "SREM comet:servers c1");
	says("ok 5", find, "5", "3000", "keys", "k");
	after("SMEMBERS comet:mid:7", "k");
}

/* Whichever of them is looked at first. */
static void find_is_unsure_where_a_lease_has_vanished_of_which_it_knew(void **state)
{
	static const char *const key[] = {"k", "l"};

	(void)state;
	session("k", "11 7 100 c1");
	session("l", "12 8 200 c2");
	before("SADD comet:mid:7 k", "SADD comet:mid:8 l");
	for (int i = 0; i < 2; i++) {
		comet("c1", "100", 0);
		comet("c2", "200", 0);
		before(i == 0 ? "DEL comet:server:c1" : "DEL comet:server:c2");
		says("unsure", find, "5", "3000", "keys", key[i]);
		says("unsure", find, "5", "3000", "users", i == 0 ? "7" : "8");
		says("ok 5 ? c? 1? 1", find, "5", "3000", "keys", key[1 - i]);
	}
}

static void find_is_unsure_where_no_lease_stands_or_all_names_have_vanished(void **state)
{
	(void)state;
	comet("c1", "100", 4000);
	comet("c2", "200", -4000); /* of a clock that was put back */
	says("unsure", find, "", "3000", "keys", "o");
	comet("c1", "100", 0);
	says("ok 5", find, "", "3000", "keys", "o");
	before("HSET comet:redis comets 2", "DEL comet:servers");
	says("unsure", find, "", "3000", "keys", "o");
	before("HSET comet:redis comets 0");
	says("ok 5", find, "", "3000", "keys", "o");
}

/* They may all be away, and the data anew. */
static void nobody_is_sure_of_data_without_comets_at_first(void **state)
{
	(void)state;
	(void)real_redis_sayv(&redis, 3, (const char *[]){"SET", "comet:generation", in_ms(-100)}, NULL);
	says("unsure", find, "", "3000", "keys", "o");
	says("young", push, "100", "", "3000", "", "", "", "0", "op", "1");
	says("ok 1????????????", find, "", "99", "keys", "o");
	says("ok 1????????????", push, "100", "", "99", "", "", "", "0", "op", "1");
}

static void find_sees_that_keys_were_evicted(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 100 c1");
	before("SADD comet:mid:7 k", "SET comet:generation 5", "HSET comet:redis policy noeviction evicted 3");
	says("ok 5", find, "5", "3000", "keys", "o");
	before("HSET comet:redis policy volatile-lru evicted 0");
	says("ok 5", find, "5", "3000", "keys", "o");
	/* One key more than a comet has seen; as the tests' server evicts none, it is told of one less. */
	before("HSET comet:redis evicted -1");
	says("unsure", find, "5", "3000", "keys", "o");
	says("ok 5 k c1 11 1", find, "5", "3000", "users", "7");
}

static void find_and_push_are_unsure_without_a_generation(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("DEL comet:generation");
	says("unsure", find, "5", "3000", "keys", "o");
	says("young", push, "1000", "1000000", "3000", "5", "", "", "0", "target", "all");
	/* A renewal begins one, or a logic where there is no comet. */
	says("ok 1*", announce, "l1", "3000", "1", "house");
	after("GET comet:generation", "1????????????", "HGET comet:server:c1 registering", "1");
}

/* ---- comets ---- */

/* server, epoch, number, generation, how long ago it renewed, registering, rooms anew */
#define LEASE(server, epoch, number, generation, registering, rooms)                                                   \
	server, epoch, "3000", "1", number, generation, "1000", registering, rooms, "region", "sh"
#define FIRST LEASE("c1", "", "0", "", "0", "0")

static void lease_is_taken_with_a_new_epoch(void **state)
{
	(void)state;
	before("SET comet:ids 9000000000000000", "SET comet:generation 5", "HSET comet:rooms:c1 r 1",
	       "XADD comet:push:c1 * a b");
	says("new 9000000000000001 1???????????? 5 1 1", lease, FIRST);
	after("HMGET comet:server:c1 epoch sent base written registering region", "9000000000000001 0 0 1 0 sh",
	      "HGET comet:server:c1 updated", "1????????????", "SMEMBERS comet:servers", "c1", "HGETALL comet:rooms:c1",
	      "'' #5", "EXISTS comet:push:c1", "0", "HGET comet:redis comets", "1");
}

static void lease_is_kept(void **state)
{
	(void)state;
	comet("c1", "100", 2000);
	before("SET comet:generation 5", "HSET comet:rooms:c1 r 1 '' #5", "HSET comet:server:c1 sent 5");
	(void)real_redis_sayv(&redis, 4, (const char *[]){"HSET", "comet:rooms:c1", "", "#5"}, NULL);
	for (int twice = 0; twice < 2; twice++) {
		says(twice ? "kept 100 1???????????? 5 3 1" : "kept 100 1???????????? 5 2 1", lease,
		     LEASE("c1", "100", "1", "5", "0", "0"));
		after("HMGET comet:server:c1 epoch sent registering region", "100 5 0 sh", "HGET comet:rooms:c1 r",
		      "1");
	}
	/* However late, where nobody else took it. */
	comet("c1", "100", 60000);
	says("kept 100 1???????????? 5 2 1", lease, LEASE("c1", "100", "1", "5", "0", "0"));
	/* And while it registers connections it says so. */
	says("kept 100 1???????????? 5 3 1", lease, LEASE("c1", "100", "1", "5", "1", "0"));
	after("HGET comet:server:c1 registering", "1");
}

static void lease_of_another_that_lives_is_not_taken(void **state)
{
	(void)state;
	comet("c1", "100", 2000);
	says("taken 100 1*", lease, FIRST);
	before("HSET comet:server:c1 leaving 1");
	says("leaving 100 1*", lease, FIRST);
	after("HGET comet:server:c1 region", "nil");
}

static void lease_that_is_over_is_taken(void **state)
{
	(void)state;
	comet("c1", "100", 4000);
	before("HSET comet:rooms:c1 r 1", "HSET comet:server:c1 leaving 1 dropped 5");
	says("new 1* 1*", lease, FIRST);
	after("HGET comet:server:c1 epoch", "1???????????????", "HMGET comet:server:c1 leaving dropped", "nil nil",
	      "HEXISTS comet:rooms:c1 r", "0", "SMEMBERS comet:servers", "c1");
	/* Also one of a clock that was put back by hours. */
	comet("c1", "100", -4000);
	says("new 1* 1*", lease, FIRST);
}

static void lease_that_went_to_another_fences(void **state)
{
	(void)state;
	comet("c1", "101", 60000);
	says("fenced 101 1*", lease, LEASE("c1", "100", "1", "5", "0", "0"));
	after("HGET comet:server:c1 epoch", "101");
}

/* Sessions that were saved are valid again, and until all are, the lease says so. What is not read yet of its stream is read. */
static void lease_that_was_lost_comes_back_with_its_epoch(void **state)
{
	(void)state;
	before("XADD comet:push:c1 * a b", "HSET comet:rooms:c1 r 1");
	says("lost 100 1???????????? 1???????????? 8 0", lease, LEASE("c1", "100", "7", "5", "0", "0"));
	after("HMGET comet:server:c1 epoch registering sent base written", "100 1 0 0 8",
	      "EXISTS comet:push:c1 comet:rooms:c1", "2");
}

/* A comet that was started anew since. What is there is of the process before it. */
static void lease_of_an_earlier_epoch_is_of_older_data(void **state)
{
	(void)state;
	comet("c1", "99", 60000);
	before("XADD comet:push:c1 * a b", "HSET comet:rooms:c1 r 1", "SET comet:generation 5",
	       "HSET comet:server:c1 leaving 1");
	says("lost 100 1???????????? 1???????????? 8 0", lease, LEASE("c1", "100", "7", "5", "0", "0"));
	after("HMGET comet:server:c1 epoch registering sent leaving", "100 1 0 nil",
	      "EXISTS comet:push:c1 comet:rooms:c1", "0");
}

/* Another began the generation that it does not know yet; nothing of its own is missing but the rooms' mark. */
static void lease_under_a_new_generation_asks_for_the_rooms(void **state)
{
	(void)state;
	comet("c1", "100", 1000);
	before("SET comet:generation 6", "HSET comet:server:c1 registering 1 written 7");
	(void)real_redis_sayv(&redis, 4, (const char *[]){"HSET", "comet:rooms:c1", "", "#5"}, NULL);
	says("kept 100 1???????????? 6 8 0", lease, LEASE("c1", "100", "7", "5", "0", "0"));
	after("HGET comet:server:c1 registering", "1");
	/* They were written, but under the one before. */
	says("kept 100 1???????????? 6 9 0", lease, LEASE("c1", "100", "8", "5", "0", "1"));
	says("kept 100 1???????????? 6 10 1", lease, LEASE("c1", "100", "9", "6", "0", "1"));
	after("HGETALL comet:rooms:c1", "'' #6", "HGET comet:server:c1 registering", "0");
	/* The whole hash was lost. */
	before("DEL comet:rooms:c1");
	says("kept 100 1???????????? 6 11 0", lease, LEASE("c1", "100", "10", "6", "0", "0"));
	after("HGET comet:server:c1 registering", "1", "GET comet:generation", "6");
}

/* A logic that started after all data were lost could not know it, and has begun a generation. */
static void lease_of_the_first_comet_that_comes_back_begins_a_generation(void **state)
{
	(void)state;
	before("SET comet:generation 6");
	says("lost 100 1???????????? 1???????????? 8 0", lease, LEASE("c1", "100", "7", "5", "0", "0"));
	after("HGET comet:redis comets", "1");
	/* The next one knows that. */
	before("SET comet:generation 7");
	says("lost 200 1???????????? 7 8 0", lease, LEASE("c2", "200", "7", "5", "0", "0"));
	after("GET comet:generation", "7");
}

/* Nobody has said so: the comet that finds a smaller number begins a generation, under which the others look. */
static void lease_that_finds_a_smaller_number_begins_a_generation(void **state)
{
	(void)state;
	comet("c1", "100", 1000);
	comet("c2", "200", 1000);
	before("SET comet:generation 5", "HSET comet:server:c2 sent 9 written 4");
	says("lost 100 1???????????? 1???????????? 8 0", lease, LEASE("c1", "100", "7", "5", "0", "0"));
	after("HMGET comet:server:c2 registering base written", "1 9 4",
	      "HMGET comet:server:c1 registering base written", "1 0 8");
}

static void lease_whose_name_has_vanished_begins_a_generation(void **state)
{
	(void)state;
	comet("c1", "100", 1000);
	before("SET comet:generation 5", "DEL comet:servers", "HSET comet:redis comets 2");
	says("kept 100 1???????????? 1???????????? 2 0", lease, LEASE("c1", "100", "1", "5", "0", "0"));
	after("SMEMBERS comet:servers", "c1", "HGET comet:redis comets", "1");
}

/* The generation that a renewal begins, whose lease was lost. */
static const char *begins(const char *server, const char *epoch, const char *written, const char *known, int there)
{
	static char texts[4][32];
	static unsigned next;
	char *text = texts[next++ % 4], reply[64];

	(void)snprintf(reply, sizeof(reply), "lost %s 1???????????? [0-9]* %d 0", epoch, there);
	says(reply, lease, LEASE(server, epoch, written, known, "0", "0"));
	(void)snprintf(text, sizeof(texts[0]), "%s", real_redis_say(&redis, "GET comet:generation"));
	return text;
}

/* Keys were evicted, or the clock jumped by more than the times to live: each comet's connections may be among those lost. */
static void lease_after_an_eviction_finds_no_number(void **state)
{
	const char *first, *second;

	(void)state;
	comet("c1", "100", 1000);
	comet("c2", "200", 1000);
	before("SET comet:generation 5", "HSET comet:redis evicted -2");
	first = begins("c1", "100", "1", "5", 2);
	assert_true(atoi(first) > 5);
	after("HMGET comet:server:c2 registering written", "1 0");
	assert_string_equal(begins("c2", "200", "1", "5", 2), first);
	comet("c1", "100", 50000000);
	second = begins("c1", "100", "1", first, 2);
	assert_true(atoi(second) > atoi(first));
	/* A program of before, which has no base, is not asked. */
	before("HDEL comet:server:c2 base", "HSET comet:server:c2 registering 0", "HSET comet:redis evicted -1");
	assert_true(atoi(begins("c1", "100", "2", second, 3)) > atoi(second));
	after("HGET comet:server:c2 registering", "0");
}

/* These data are lost again, and the clock is behind: the generation that follows then is another one. */
static void a_generation_that_is_lost_again_is_another(void **state)
{
	char first[32];
	bool is_another = false;

	(void)state;
	for (unsigned i = 0; i < 10 && !is_another; i++) {
		before("SET comet:generation 9007199000000000", "HSET comet:redis run gone");
		says("ok *", arrive, NULL);
		(void)snprintf(first, sizeof(first), "%s", real_redis_say(&redis, "GET comet:generation"));
		assert_true(strtoll(first, NULL, 10) > INT64_C(9007199000000000));
		before("SET comet:generation 9007199000000000", "HSET comet:redis run gone");
		says("ok *", arrive, NULL);
		is_another = strcmp(first, real_redis_say(&redis, "GET comet:generation")) != 0;
	}
	assert_true(is_another);
}

/* A server that was started again, or is another. */
static void arrive_begins_a_generation_on_another_server(void **state)
{
	(void)state;
	comet("c1", "100", 1000);
	before("SET comet:generation 5", "HSET comet:server:c1 sent 9");
	/* Data of before this was noted. */
	says("ok noeviction", arrive, NULL);
	after("GET comet:generation", "5", "HGET comet:redis policy", "noeviction");
	says("ok noeviction", arrive, NULL);
	after("GET comet:generation", "5");
	before("HSET comet:redis run 123abc");
	says("ok noeviction", arrive, NULL);
	after("GET comet:generation", "1????????????", "HMGET comet:server:c1 registering base written", "1 9 1");
	before("CONFIG SET maxmemory-policy allkeys-lru");
	says("ok allkeys-lru", arrive, NULL);
	before("CONFIG SET maxmemory-policy noeviction");
}

/* All was lost while every connection stayed, and then once more: the first loss must not hide the second. */
static void a_generation_knows_on_which_server_it_began(void **state)
{
	char run[64];

	(void)state;
	says("ok noeviction", arrive, NULL);
	(void)snprintf(run, sizeof(run), "%s", real_redis_say(&redis, "HGET comet:redis run"));
	before("FLUSHALL");
	says("1*", bans, "0", "0", "10");
	after("HGET comet:redis run", run, "EXISTS comet:generation", "1");
	before("SET comet:generation 5", "HSET comet:redis run 123abc"); /* what another server sees of it */
	says("ok noeviction", arrive, NULL);
	after("GET comet:generation", "1????????????", "HGET comet:redis run", run);
}

static void arrive_asks_for_nothing_that_it_may_not_know(void **state)
{
	(void)state;
	before("ACL SETUSER default -info");
	says("ok ''", arrive, NULL);
	comet("c1", "100", 1000);
	says("kept *", lease, LEASE("c1", "100", "1", "5", "0", "0"));
	before("ACL SETUSER default +info");
}

static void load_goes_only_into_a_lease(void **state)
{
	(void)state;
	says("0", load, "c1", "1", "2", "3", "4");
	after("EXISTS comet:server:c1", "0");
	comet("c1", "100", 0);
	says("1", load, "c1", "1", "2", "3", "4");
	after("HMGET comet:server:c1 connections addresses delivered dropped", "1 2 3 4");
}

static void servers_are_those_whose_lease_stands(void **state)
{
	(void)state;
	comet("c1", "100", 1000);
	comet("c2", "200", 4000);
	before("SADD comet:servers c3", "DEL comet:server:c1", "HSET comet:server:c1 epoch 100");
	(void)real_redis_sayv(&redis, 4, (const char *[]){"HSET", "comet:server:c1", "updated", in_ms(-1000)}, NULL);
	says("(c1 epoch 100 updated 1*)", servers, "3000");
}

static void others_are_those_that_take_clients(void **state)
{
	(void)state;
	for (const char *server = "1234567"; *server != '\0'; server++) {
		char name[3] = {'c', *server, '\0'}, command[128];

		comet(name, "100", *server == '4' ? 4000 : 0);
		(void)snprintf(command, sizeof(command),
			       "HSET comet:server:%s addrs host%c:1,other%c:2 weight %c connections 5 region sh", name,
			       *server, *server, *server);
		(void)real_redis_say(&redis, command);
	}
	before("HSET comet:server:c3 leaving 1", "HDEL comet:server:c5 addrs", "SREM comet:servers c7 c6",
	       "SADD comet:servers c8");
	says("(host2:1 2 5 sh)", others, "c1", "3000");
	before("SREM comet:servers c2", "SADD comet:servers c6", "HDEL comet:server:c6 weight connections region");
	says("(host6:1 1 0 '')", others, "c1", "3000");
}

static void trim_up_keeps_the_newest_within_so_many_bytes(void **state)
{
	static char body[4096 + 32] = "XADD comet:up * body ";

	(void)state;
	says("0", trim_up, "100000"); /* nothing is there */
	memset(body + strlen(body), 'b', 4096);
	for (unsigned i = 0; i < 100; i++)
		before(body);
	before("XADD comet:up 99999999999999-0 body newest");
	says("0", trim_up, "1000000");
	after("XLEN comet:up", "101");
	says("[6-9]?", trim_up, "150000");
	after("XREVRANGE comet:up + - COUNT 1", "(99999999999999-0 (body newest))", "XLEN comet:up", "[23]?");
	says("[23]?", trim_up, "1"); /* there is always space for one */
	after("XRANGE comet:up - +", "(99999999999999-0 (body newest))");
	says("0", trim_up, "1");
}

static void remove_takes_all_that_a_comet_has(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("HSET comet:rooms:c1 r 1", "XADD comet:push:c1 * a b");
	session("k", "11 7 100 c1");
	says("1", remove, "c1", "", "");
	says("0", remove, "c1", "", "");
	after("HGET comet:redis comets", "0", "DEL comet:redis comet:generation", "2", "KEYS comet:*",
	      "comet:session:k");
}

static void remove_spares_one_that_is_another_now(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("HSET comet:server:c1 updated 1700000000000");
	says("0", remove, "c1", "99", "");
	says("0", remove, "c1", "100", "1700000000001");
	says("0", remove, "c1", "99", "1700000000000");
	after("SMEMBERS comet:servers", "c1");
	says("1", remove, "c1", "100", "1700000000000");
	comet("c1", "100", 0);
	says("1", remove, "c1", "100", "");
	says("0", remove, "c1", "100", "");
	after("DEL comet:redis comet:generation", "2", "DBSIZE", "0");
}

static void leases_lists_them_and_those_that_vanished(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("HSET comet:server:c1 updated 1700000000000");
	says("c1 100 1700000000000", leases, NULL);
	before("SREM comet:servers c1", "SADD comet:servers c2");
	says("c2 0 0", leases, NULL);
	/* Such a one is removed as others are. */
	says("1", remove, "c2", "0", "0");
	after("EXISTS comet:servers", "0");
}

/* It would find comets silent that are not allowed to say anything. */
static void leases_are_not_told_while_nothing_can_be_written(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("CONFIG SET maxmemory 1");
	says("*OOM*", leases, NULL);
	before("CONFIG SET maxmemory 0");
	says("c1 100 1*", leases, NULL);
}

/* ---- pushes ---- */

#define PUSH "target", "all", "op", "5"

static void push_goes_to_all_comets(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 60000);
	before("HSET comet:server:c2 sent 7");
	says("ok * c[12] [12]00 [18] c[12] [12]00 [18]", push, "1000", "1000000", "3000", "", "", "", "0", PUSH);
	after("XRANGE comet:push:c1 - +", "(* (n 1 target all op 5))", "XRANGE comet:push:c2 - +",
	      "(* (n 8 target all op 5))", "HGET comet:server:c1 sent", "1");
}

static void push_to_a_room_goes_where_it_may_be(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	comet("c3", "300", 4000); /* may have rooms that it could not write down */
	comet("c4", "400", 0);
	before("SET comet:generation 5", "HSET comet:rooms:c1 r 1", "HSET comet:rooms:c2 s 1",
	       "HSET comet:server:c4 registering 1");
	/* Both have told all their rooms. */
	(void)real_redis_sayv(&redis, 4, (const char *[]){"HSET", "comet:rooms:c1", "", "#5"}, NULL);
	(void)real_redis_sayv(&redis, 4, (const char *[]){"HSET", "comet:rooms:c2", "", "#5"}, NULL);
	says("ok * c[134] [134]00 1 c[134] [134]00 1 c[134] [134]00 1", push, "1000", "1000000", "3000", "", "", "r",
	     "0", PUSH);
	after("EXISTS comet:push:c1 comet:push:c3 comet:push:c4", "3", "EXISTS comet:push:c2", "0");
	/* Its rooms may not be all, without the mark that they were written under this generation. */
	before("DEL comet:push:c1 comet:push:c3 comet:push:c4", "SET comet:generation 6");
	says("ok 6 c? ?00 [12] c? ?00 [12] c? ?00 [12] c? ?00 [12]", push, "1000", "1000000", "3000", "6", "", "r", "0",
	     PUSH);
	after("EXISTS comet:push:c1 comet:push:c2 comet:push:c3 comet:push:c4", "4");
}

static void push_is_refused_where_comets_have_vanished(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	before("DEL comet:server:c1");
	says("young", push, "1000", "1000000", "3000", "", "", "r", "0", PUSH);
	says("young", push, "1000", "1000000", "3000", "", "", "", "0", PUSH);
	before("HSET comet:redis comets 2", "DEL comet:servers");
	says("young", push, "1000", "1000000", "3000", "", "", "", "0", PUSH);
	after("EXISTS comet:push:c1 comet:push:c2", "0");
	/* The last has gone as it should. */
	before("HSET comet:redis comets 0");
	says("ok 5", push, "1000", "1000000", "3000", "", "", "", "0", PUSH);
}

static void push_to_finds_and_writes_in_one_step(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 100 c1");
	session("l/\"", "12 7 200 c2");
	session("m", "13 8 100 c1");
	session("of another time", "14 8 99 c1");
	before("SADD comet:mid:8 m");
	(void)real_redis_sayv(&redis, 4, (const char *[]){"SADD", "comet:mid:7", "k", "l/\""}, NULL);
	says("(ok 5 2 '' c1 100 1)", push_to, "13", "1000", "", "3000", "5", "keys", "3", "k", "m", "k", PUSH);
	says("(ok 5 2 '' c? ?00 [12] c? ?00 [12])", push_to, "12", "1000", "1000000", "3000", "5", "users", "2", "7",
	     "7", PUSH);
	says("(ok 5 0 1 )", push_to, "11", "1000", "", "3000", "5", "keys", "1", "of another time", PUSH);
	says("(ok 5 0 1 )", push_to, "11", "1000", "", "3000", "5", "users", "1", "9", PUSH);
	after("XRANGE comet:push:c1 - +",
	      "(* (n 1 keys ?\"k\",\"m\"? target all op 5)) (* (n 2 keys ?\"k\"? target all op 5))",
	      "XRANGE comet:push:c2 - +", "(* (n 1 keys ?\"l?????? target all op 5))", "HGET comet:server:c1 sent",
	      "2");
}

/* The user of an older release has no right to measure; the first of the comets has nothing to be measured. */
static void a_push_that_may_not_measure_writes_nothing(void **state)
{
	(void)state;
	comet("c2", "200", 0);
	session("k", "11 7 200 c2");
	for (int i = 0; i < 2; i++)
		says("ok 5 c2 200 *", push, "1000", "", "3000", "", "", "", "0", PUSH);
	comet("c1", "100", 0);
	before("ACL SETUSER default -memory");
	says("*can't run this command*", push, "1000", "1000000", "3000", "", "", "", "0", PUSH);
	says("*can't run this command*", push_to, "11", "1000", "1000000", "3000", "5", "keys", "1", "k", PUSH);
	/* An error is that of one of many. */
	says("*can't run this command* (ok 5 1 '' c2 200 3)", push_to, "11", "1000", "1000000", "3000", "5", "keys",
	     "1", "k", PUSH, "11", "1000", "", "3000", "5", "keys", "1", "k", PUSH);
	before("ACL SETUSER default +@all");
	after("HGET comet:server:c1 sent", "0", "HGET comet:server:c2 sent", "3", "XLEN comet:push:c2", "3");
}

/* Where it is not sure who is there, it writes nothing. */
static void push_to_is_as_unsure_as_find(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 100 c1");
	before("HSET comet:server:c1 registering 1");
	says("(unsure)", push_to, "11", "1000", "", "3000", "4", "keys", "1", "k", PUSH);
	says("(unsure)", push_to, "12", "1000", "", "3000", "5", "keys", "2", "k", "o", PUSH);
	after("EXISTS comet:push:c1", "0", "HGET comet:server:c1 sent", "0");
	before("HSET comet:server:c1 registering 0");
	says("(ok 5 1 2  c1 100 1)", push_to, "12", "1000", "", "3000", "5?", "keys", "2", "k", "o", PUSH);
}

/* Each has its own answer, and its own fields; what the caller knew of the data is each one's, too. */
static void push_to_writes_many_in_their_order(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 100 c1");
	session("l", "12 8 200 c2");
	before("SADD comet:mid:8 l", "HSET comet:server:c2 registering 1");
	says("(ok 5 1 '' c1 100 1) (ok 5 1 '' c2 200 1) (unsure) (ok 5 1 '' c1 100 2)", push_to, "11", "1000", "",
	     "3000", "5", "keys", "1", "k", "a", "1", "b", "2", "11", "1000", "1000000", "3000", "5", "users", "1", "8",
	     PUSH, "11", "1000", "", "3000", "4", "keys", "1", "k", PUSH, "9", "1000", "", "3000", "5", "keys", "1",
	     "k", "c", "3");
	after("XRANGE comet:push:c1 - +", "(* (n 1 keys ?\"k\"? a 1 b 2)) (* (n 2 keys ?\"k\"? c 3))",
	      "XRANGE comet:push:c2 - +", "(* (n 1 keys ?\"l\"? target all op 5))");
}

/* A word to a comet of what its stream had; the script adds where that stood when the generation began. */
static void push_of_a_word_brings_the_base(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("HSET comet:server:c1 sent 9 base 7");
	says("ok * c1 100 10", push, "1000", "1000000", "3000", "", "c1", "", "0", "target", "lost", "had", "12",
	     "epoch", "100");
	says("ok 5", push, "1000", "1000000", "3000", "", "c1", "", "0", "target", "lost", "had", "12", "epoch", "99");
	/* The data went back to before it was started, or lost it, and it has not come back yet. */
	says("young", push, "1000", "1000000", "3000", "", "c1", "", "0", "target", "lost", "had", "12", "epoch",
	     "101");
	says("young", push, "1000", "1000000", "9000000000000", "", "c2", "", "0", "target", "lost", "had", "12",
	     "epoch", "101");
	says("ok 5", push, "1000", "1000000", "3000", "", "c2", "", "0", "target", "lost", "had", "12", "epoch", "101");
	after("XRANGE comet:push:c1 - +", "(* (n 10 target lost had 12 epoch 100 base 7 generation 5))");
}

#define EVENTS "100 online offline"

static void who_comes_and_goes_is_told_once(void **state)
{
	static const char both[] =
		"(42-0 (kind online * session 11 server c1)) (43-0 (kind offline * session 11 server c1)) "
		"(44-0 (kind online * session 12 server c2)) (45-0 (kind offline * session 12 server c2))";

	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	says("ok *", connect, "c1", "k", "7", "60000", "0", EVENTS);
	after("HVALS comet:there:100", "* 7", "GET comet:events:n", "* * 5", "XRANGE comet:events - +",
	      "(*-0 (kind online time * key k user 7 session * server c1))");
	/* Sessions of whom the test knows the ids. */
	before("DEL comet:events comet:events:n comet:there:100");
	session("k", "11 7 100 c1");
	put("SET", "comet:events:n", "41 40 5");
	says("ok *", renew, "c1", "k", "7", "11", "60000", EVENTS);
	says("ok *", renew, "c1", "k", "7", "11", "60000", EVENTS);       /* a heartbeat */
	says("ok * c1 11", renew, "c2", "k", "7", "12", "60000", EVENTS); /* it has moved */
	says("newer", disconnect, "c1", "k", "7", "11", EVENTS);
	says("ok", disconnect, "c2", "k", "7", "12", EVENTS);
	says("ok", disconnect, "c2", "k", "7", "12", EVENTS);
	after("XRANGE comet:events - +", both, "GET comet:events:n", "45 40 5",
	      "EXISTS comet:there:100 comet:there:200", "0");
	/* A comet that has not heard of its session, nor whose it is, ends it. */
	session("h", "13 7 200 c2");
	before("SADD comet:mid:7 h");
	(void)real_redis_sayv(&redis, 4, (const char *[]){"HSET", "comet:there:200", "h", "13 7"}, NULL);
	says("ok", disconnect, "c2", "h", "0", "9007199254740991", EVENTS);
	after("XREVRANGE comet:events + - COUNT 1", "(46-0 (kind offline time * key h user 7 session 13 server c2))",
	      "SISMEMBER comet:mid:7 h", "0");
	before("XDEL comet:events 46-0");
	/* Whoever wants no events gets none. */
	says("ok *", connect, "c1", "k", "7", "60000", "0");
	says("ok *", connect, "c1", "l", "7", "60000", "0", "100 offline");
	after("XLEN comet:events", "4", "HKEYS comet:there:100", "l");
}

#define ROOM_EVENTS "100 occupied vacated"

static void first_and_last_of_a_room_in_all_comets_are_told(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	put("SET", "comet:events:n", "41 40 5");
	says("1", enter_room, "c1", "a", ROOM_EVENTS);
	says("0", enter_room, "c1", "a", ROOM_EVENTS);
	says("1", enter_room, "c2", "a", ROOM_EVENTS);
	says("1", forget_rooms, "c1", ROOM_EVENTS, "a");
	says("1", forget_rooms, "c2", ROOM_EVENTS, "a", "b");
	after("XRANGE comet:events - +",
	      "(42-0 (kind occupied * room a server c1)) (43-0 (kind vacated * room a server c2))",
	      "EXISTS comet:occupied comet:rooms:c1 comet:rooms:c2", "0");
}

static void rooms_of_a_dead_comet_are_vacated(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	put("SET", "comet:events:n", "41 40 5");
	says("1", enter_room, "c1", "a", "100 vacated");
	says("1", enter_room, "c1", "b", "100 vacated");
	says("1", enter_room, "c2", "b", "100 vacated");
	says("1", remove, "c1", "100", "");
	says("0", bury, ROOM_EVENTS, "1000000", "10");
	says("0", bury, ROOM_EVENTS, "1000000", "10");
	after("XRANGE comet:events - +", "(42-0 (kind vacated * room a server ''))", "HKEYS comet:occupied", "b",
	      "EXISTS comet:vacating", "0");
}

/* After a loss, or where Redis could not be reached as somebody came. */
static void rooms_that_are_written_down_are_told_once(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	put("SET", "comet:events:n", "41 40 5");
	says("3", put_rooms, "c1", "100 occupied", "a", "2", "b", "1", "c", "0");
	says("0", put_rooms, "c1", "100 occupied", "a", "3");
	says("1", put_rooms, "c2", "100 occupied", "a", "1");
	after("HGETALL comet:rooms:c1", "a 3 b 1 c 0", "HKEYS comet:occupied", "a b", "XRANGE comet:events - +",
	      "(42-0 (kind occupied * room a server c1)) (43-0 (kind occupied * room b server c1))");
}

static void numbers_of_events_begin_anew_after_a_loss(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", "comet:events:n", "41 40 4");
	says("ok *", connect, "c1", "k", "7", "60000", "0", EVENTS);
	after("GET comet:events:n", "1?????????????[0-9]* 1?????????????[0-9]* 5");
	/* Not where it stood, since what came since may have been seen; nor where it led to when it was lost before. */
	put("SET", "comet:events:n", "9007199000000000 40 4");
	says("ok *", connect, "c1", "l", "7", "60000", "0", EVENTS);
	after("GET comet:events:n", "90071990[56][0-9]* 9007199060[0-9]* 5");
}

static void sessions_of_a_dead_comet_end(void **state)
{
	static const char four[] =
		"(42-0 (kind offline * key k user 7 session 11 server c1)) (43-0 (kind online * key k *)) "
		"(44-0 (kind offline * key l user 7 session 12 server c1)) (45-0 (kind online * key l *))";

	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	put("SET", "comet:events:n", "41 40 5");
	session("k", "11 7 100 c1");
	session("l", "12 7 100 c1");
	(void)real_redis_sayv(&redis, 6, (const char *[]){"HSET", "comet:there:100", "k", "11 7", "l", "12 7"}, NULL);
	says("0", bury, EVENTS, "1000000", "10");
	says("1", remove, "c1", "100", "");
	after("SMEMBERS comet:gone", "100 c1");
	/* One comes back before. */
	says("ok *", connect, "c2", "k", "7", "60000", "0", EVENTS);
	says("1", bury, EVENTS, "1000000", "10");
	says("0", bury, EVENTS, "1000000", "10");
	says("ok *", connect, "c2", "l", "7", "60000", "0", EVENTS);
	after("XRANGE comet:events - +", four, "EXISTS comet:gone comet:there:100", "0");
}

/* HSCAN walks through so many empty places of a large hash, and then has found nothing, though more is behind them. */
static void all_sessions_of_a_dead_comet_with_many_end(void **state)
{
	enum { MANY = 6000, AT_ONCE = 200 };
	static char keys[MANY][8];
	static const char *words[2 + 2 * MANY] = {"HSET", "comet:there:100"};
	char end[16];
	unsigned rounds = 0;

	(void)state;
	comet("c1", "100", 0);
	put("SET", "comet:events:n", "0 0 5");
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(keys[i], sizeof(keys[i]), "k%u", i);
		words[2 + 2 * i] = keys[i];
		words[3 + 2 * i] = "11 7";
	}
	(void)real_redis_sayv(&redis, 2 + 2 * MANY, words, NULL);
	says("1", remove, "c1", "100", "");
	do {
		says("[01]", bury, EVENTS, "1000000", "200");
		(void)snprintf(end, sizeof(end), "%s", real_redis_say(&redis, "EXISTS comet:gone"));
	} while (strcmp(end, "0") != 0 && ++rounds < 10 * MANY / AT_ONCE);
	after("GET comet:events:n", "6000 0 5", "EXISTS comet:gone comet:there:100 comet:burying", "0");
}

#define LIVES    "3600000 0 600000 86400000"
#define KEPT     "3", "", LIVES
#define NOT_KEPT "", "", ""
#define ROOM_PUSH(body, from, seq)                                                                                     \
	"target", "room", "op", "1000", "body", body, "room", "chat://1", "from", from, "seq", seq
#define PUSH_ROOM(reply, kept, name, body, from, seq)                                                                  \
	says(reply, push_kept, "1000", "1000000", "3000", "", "chat://1", name, kept, ROOM_PUSH(body, from, seq))
#define NUMBER  "comet:n:r:{chat://1}"
#define HISTORY "comet:h:r:{chat://1}"

static void push_to_a_kept_room_gets_the_next_number_and_is_kept(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("HSET comet:rooms:c1 chat://1 1");
	put("SET", NUMBER, "41 5 0");
	PUSH_ROOM("ok 5 42 c1 100 1", KEPT, "", "a", "l", "1");
	PUSH_ROOM("ok 5 43 c1 100 2", KEPT, "", "b b", "l", "2");
	PUSH_ROOM("ok 5 44 c1 100 3", KEPT, "", "c", "m", "2");
	PUSH_ROOM("ok 5 45 c1 100 4", KEPT, "", "", "l", "3");
	after("GET " NUMBER, "45 5 1????????? m 2 l 3", "LRANGE " HISTORY " 0 -1", "1000 2 b b 1000 2 c 1000 3 ",
	      "XRANGE comet:push:c1 - + COUNT 1",
	      "(* (n 1 pos 42 target room op 1000 body a room chat://1 from l seq 1))", "TTL " NUMBER, "108000",
	      "TTL " HISTORY, "750");
}

#define USER_PUSH(body, from, seq) "target", "keys", "op", "1000", "body", body, "user", "7", "from", from, "seq", seq
#define PUSH_USER(reply, name, body, from, seq)                                                                        \
	says(reply, push_user, "1000", "1000000", "3000", "5", "7", name, KEPT, "", USER_PUSH(body, from, seq))
#define OWN_NUMBER  "comet:n:u:{7}"
#define OWN_HISTORY "comet:h:u:{7}"

static void push_to_a_user_is_numbered_kept_and_goes_where_his_keys_are(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	put("SET", OWN_NUMBER, "41 5 0");
	put("SET", "comet:n:r:{7}", "1 5 0"); /* a room of this name is another stream */
	PUSH_USER("ok 5 0 1  42", "", "away", "l", "1");
	session("k", "11 7 100 c1");
	session("m", "12 7 100 c1");
	session("o", "13 7 200 c2");
	before("SADD comet:mid:7 k m o");
	PUSH_USER("ok 5 3 '' 43 c? ?00 1 c? ?00 1", "", "b b", "l", "2");
	after("GET " OWN_NUMBER, "43 5 * l 2", "LRANGE " OWN_HISTORY " 0 -1", "1000 1 away 1000 2 b b",
	      "XRANGE comet:push:c2 - +",
	      "(* (n 1 keys ?\"o\"? pos 43 target keys op 1000 body b b user 7 from l seq 2))", "GET comet:n:r:{7}",
	      "1 5 0", "TTL " OWN_HISTORY, "750");
	/* Its answer was lost; and one that the caller repeats. */
	PUSH_USER("again 5 3 '' 43", "", "b b", "l", "2");
	PUSH_USER("ok 5 3 '' 44 *", "once", "c", "l", "3");
	PUSH_USER("again 5 3 '' 44", "once", "c", "l", "4");
	after("GET comet:i:u:{7}:c:once", "44", "XLEN comet:push:c2", "2");
	says("ok 5 3 '' * c? ?00 3 c? ?00 3", push_user, "1000", "", "3000", "5", "7", "", KEPT, "", "target", "clear",
	     "user", "7", "from", "l", "seq", "5");
	after("EXISTS " OWN_HISTORY, "0");
	before("HSET comet:server:c1 registering 1");
	says("unsure", push_user, "1000", "", "3000", "4", "7", "", KEPT, "", USER_PUSH("d", "l", "6"));
	after("EXISTS " OWN_HISTORY, "0");
}

/* A device that was away longer than its last word lives misses nothing of a history that is there. */
static void what_was_confirmed_lives_as_long_as_the_number(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("2", confirm, "60000", "7", "phone", "41", "8", "phone", "41");
	put("SET", OWN_NUMBER, "41 5 0");
	PUSH_USER("ok 5 0 1  42", "", "away", "l", "1");
	after("TTL comet:ack:u:{7}", "108000", "TTL comet:ack:u:{8}", "60");
	says("1", stay, "86400000", "3600000", "\0017");
	after("TTL comet:ack:u:{7}", "108000");
	before("PEXPIRE comet:ack:u:{7} 60000");
	says("1", stay, "86400000", "3600000", "\0017");
	after("TTL comet:ack:u:{7}", "108000");
	before("PEXPIRE comet:ack:u:{7} 60000");
	says("ok 42 *", resume, "\0017", "41", "10", "86400000", "3600000", "0", "1");
	after("TTL comet:ack:u:{7}", "108000", "TTL comet:ack:u:{8}", "60");
}

static void positions_that_are_confirmed_only_grow_and_of_many_the_lowest_goes(void **state)
{
	char key[16], at[16];

	(void)state;
	says("1", confirm, "60000", "7", "phone", "1796046482292001");
	says("0", confirm, "60000", "7", "phone", "1796046482292000");
	says("1", confirm, "60000", "7", "phone", "1796046482292002");
	says("phone 1796046482292002", confirmed, "7");
	says("", confirmed, "8");
	after("TTL comet:ack:u:{7}", "60");
	for (int i = 0; i < 15; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		(void)snprintf(at, sizeof(at), "%d", 100 + i);
		says("1", confirm, "60000", "7", key, at);
	}
	says("0", confirm, "60000", "7", "late", "99");
	says("1", confirm, "60000", "7", "new", "200");
	after("HLEN comet:ack:u:{7}", "16", "HEXISTS comet:ack:u:{7} k0", "0", "HGET comet:ack:u:{7} new", "200");
}

#define PUSH_TO_CONFIRM(reply, name, within_ms, seq)                                                                   \
	says(reply, push_user, "1000", "1000000", "3000", "5", "7", name, KEPT, within_ms, USER_PUSH("x", "l", seq))
#define UNACKED_EVENTS "100 unacked offline"

static void push_that_nobody_confirmed_in_time_is_told_once(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", OWN_NUMBER, "41 5 0");
	PUSH_TO_CONFIRM("ok 5 0 1  42", "", "30000", "1");
	PUSH_TO_CONFIRM("ok 5 0 1  43", "n", "0", "2");
	PUSH_TO_CONFIRM("ok 5 0 1  44", "", "0", "3");
	PUSH_TO_CONFIRM("ok 5 0 1  45", "", "", "4");
	says("1", confirm, "60000", "7", "phone", "41");
	says("1", confirm, "60000", "7", "pad", "43");
	after("ZCARD comet:awaited", "3");
	says("0", unacked, UNACKED_EVENTS, "100", "10");
	says("0", unacked, UNACKED_EVENTS, "100", "10");
	after("ZCARD comet:awaited", "1", "XRANGE comet:events - +", "(* (kind unacked time * user 7 n 44))");
	/* The same push once more, by its name or because its answer was lost. */
	PUSH_TO_CONFIRM("again 5 0 1  43", "n", "1", "5");
	PUSH_TO_CONFIRM("again 5 0 1  45", "", "1", "4");
	after("ZCARD comet:awaited", "1");
}

static void of_too_many_that_wait_those_due_next_are_told_too_early(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", OWN_NUMBER, "41 5 0");
	PUSH_TO_CONFIRM("ok 5 0 1  42", "", "60000", "1");
	PUSH_TO_CONFIRM("ok 5 0 1  43", "", "30000", "2");
	PUSH_TO_CONFIRM("ok 5 0 1  44", "", "40000", "3");
	says("0", unacked, UNACKED_EVENTS, "3", "10");
	says("1", unacked, UNACKED_EVENTS, "1", "1");
	after("ZCARD comet:awaited", "2", "XRANGE comet:events - +", "(* (kind unacked time * user 7 n 43))");
	says("1", unacked, UNACKED_EVENTS, "1", "1");
	says("0", unacked, UNACKED_EVENTS, "1", "1");
	after("ZRANGE comet:awaited 0 -1", "42 7", "XREVRANGE comet:events + - COUNT 1",
	      "(* (kind unacked time * user 7 n 44))");
}

#define JOIN_KEYS "target", "join", "room", "chat://1", "keys", "[\"k\"]", "from", "l", "seq", "1"

static void comet_has_the_room_that_its_connections_are_led_into(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 100 c1");
	before("HSET comet:rooms:c1 chat://2 41");
	put("SET", NUMBER, "41 5 0");
	says("ok 5 41 c1 100 1", push_join, "1000", "1000000", "3000", "5", "c1", "chat://1", LIVES, "", "1", "k",
	     JOIN_KEYS);
	says("ok 5 '' c1 100 2", push_join, "1000", "", "3000", "5", "c1", "chat://2", "", "", "1", "k", JOIN_KEYS);
	after("HGET comet:rooms:c1 chat://1", "1+", "HGET comet:rooms:c1 chat://2", "41+", "TTL comet:n:r:{chat://1}",
	      "108000", "XRANGE comet:push:c1 - + COUNT 1",
	      "(* (n 1 pos 41 target join room chat://1 keys *k* from l seq 1))");
	/* The next push goes there, and has the next number. */
	PUSH_ROOM("ok 5 42 c? ?00 [13] c? ?00 [13]", KEPT, "", "a", "l", "2");
	/* It moved meanwhile. */
	says("moved", push_join, "1000", "", "3000", "5", "c2", "chat://1", LIVES, "", "1", "k", JOIN_KEYS);
	after("EXISTS comet:rooms:c2", "0", "XLEN comet:push:c2", "1");
}

static void room_that_a_back_end_leads_into_is_not_forgotten(void **state)
{
	(void)state;
	before("HSET comet:rooms:c1 chat://1 3 chat://2 3+ chat://3 1");
	says("2", forget_rooms, "c1", "", "chat://1", "chat://2", "chat://3", "chat://4");
	after("HGETALL comet:rooms:c1", "chat://2 3+");
}

/* The same, measured now. */
#define WITHIN(bytes) "1000", bytes, LIVES

static void history_stays_within_its_bytes_when_it_is_measured(void **state)
{
	char long_one[401], seq[12];

	(void)state;
	(void)memset(long_one, 'x', 400);
	long_one[400] = '\0';
	comet("c1", "100", 0);
	for (int i = 1; i <= 16; i++) {
		(void)snprintf(seq, sizeof(seq), "%d", i);
		PUSH_ROOM("ok 5 *", WITHIN(""), "", long_one, "l", seq);
	}
	after("LLEN " HISTORY, "16");
	/* The oldest go, an eighth at a time. */
	PUSH_ROOM("ok 5 *", WITHIN("4000"), "", "b", "l", "17");
	after("LLEN " HISTORY, "[5-9]", "LINDEX " HISTORY " -1", "1000 17 b");
	/* The message itself counts. */
	PUSH_ROOM("ok 5 *", WITHIN("4000"), "", long_one, "l", "18");
	after("LLEN " HISTORY, "[5-9]");
	/* One that is longer than all stays alone. */
	PUSH_ROOM("ok 5 *", WITHIN("300"), "", long_one, "l", "19");
	after("LLEN " HISTORY, "1", "GET " NUMBER, "1* 5 1????????? l 19");
	PUSH_ROOM("ok 5 *", WITHIN("300"), "", "c", "l", "20");
	after("LRANGE " HISTORY " 0 -1", "1000 20 c");
	/* The history is over. */
	before("DEL " HISTORY);
	PUSH_ROOM("ok 5 *", WITHIN("300"), "", "d", "l", "21");
	after("LRANGE " HISTORY " 0 -1", "1000 21 d");
	/* One that may not measure writes nothing. */
	before("ACL SETUSER default -memory");
	PUSH_ROOM("*can't run this command*", WITHIN("300"), "", "e", "l", "22");
	before("ACL SETUSER default +@all");
	after("LRANGE " HISTORY " 0 -1", "1000 21 d", "GET " NUMBER, "* l 21", "XLEN comet:push:c1", "21");
}

#define OF_16 "16", "", LIVES

static void history_lets_many_go_at_a_time(void **state)
{
	char seq[8];

	(void)state;
	comet("c1", "100", 0);
	put("SET", NUMBER, "41 5 idle");
	for (int i = 1; i <= 19; i++) {
		(void)snprintf(seq, sizeof(seq), "%d", i);
		PUSH_ROOM("ok 5 *", OF_16, "", "b", "l", seq);
		if (i == 18)
			after("LLEN " HISTORY, "18");
	}
	after("LLEN " HISTORY, "16", "LINDEX " HISTORY " 0", "1000 4 b");
}

#define OF_100 "100", "", LIVES

static void history_of_many_keeps_as_many_as_it_says(void **state)
{
	char seq[16];

	(void)state;
	comet("c1", "100", 0);
	put("SET", NUMBER, "41 5 idle");
	for (int i = 1; i <= 113; i++) {
		(void)snprintf(seq, sizeof(seq), "%d", i);
		PUSH_ROOM("ok 5 *", OF_100, "", "b", "l", seq);
	}
	after("LLEN " HISTORY, "100", "LINDEX " HISTORY " 0", "1000 14 b");
}

static void times_to_live_are_renewed_when_a_quarter_has_passed(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", NUMBER, "41 5 idle");
	PUSH_ROOM("ok 5 42 *", KEPT, "", "a", "l", "1");
	before("EXPIRE " NUMBER " 7", "EXPIRE " HISTORY " 7");
	PUSH_ROOM("ok 5 43 *", KEPT, "", "b", "l", "2");
	after("TTL " NUMBER, "7", "TTL " HISTORY, "7");
	put("SET", NUMBER, "43 5 1795000000 l 2");
	PUSH_ROOM("ok 5 44 *", KEPT, "", "c", "l", "3");
	after("TTL " NUMBER, "108000", "TTL " HISTORY, "750");
}

static void push_whose_answer_was_lost_is_not_numbered_twice(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", NUMBER, "41 5 0");
	PUSH_ROOM("ok 5 42 *", KEPT, "", "a", "l", "1");
	PUSH_ROOM("ok 5 43 *", KEPT, "", "b", "l", "2");
	PUSH_ROOM("again 5 42", KEPT, "", "a", "l", "1");
	PUSH_ROOM("again 5 43", KEPT, "", "b", "l", "2");
	PUSH_ROOM("ok 5 44 *", KEPT, "", "c", "m", "1");
	after(("LRANGE " HISTORY " 0 -1"), "1000 1 a 1000 2 b 1000 1 c", "XLEN comet:push:c1", "3");
}

/* The stream's own is that of another push. */
static void push_whose_answer_was_lost_and_then_its_history_has_no_number(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", NUMBER, "41 5 0");
	PUSH_ROOM("ok 5 42 *", KEPT, "", "a", "l", "1");
	PUSH_ROOM("ok 5 43 *", KEPT, "", "b", "m", "1");
	before("DEL " HISTORY);
	PUSH_ROOM("again 5 ''", KEPT, "", "a", "l", "1");
	/* Nor has it one where its caller repeats it. */
	PUSH_ROOM("again 5 ''", KEPT, "order", "a", "l", "1");
	PUSH_ROOM("again 5 ''", KEPT, "order", "a", "l", "2");
	PUSH_ROOM("ok 5 44 *", KEPT, "", "c", "l", "3");
	after("XLEN comet:push:c1", "3");
	after("LINDEX " HISTORY " 0", "1000 3 c", "LLEN " HISTORY, "1");
}

static void push_of_many_writers_is_not_numbered_twice(void **state)
{
	char writers[20][64];

	(void)state;
	comet("c1", "100", 0);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(writers[i], sizeof(writers[i]), "logic-%02d-of-a-name-that-is-so-long-as-some", i);
		PUSH_ROOM("ok 5 *", KEPT, "", "a", writers[i], "1");
		if (i > 0)
			PUSH_ROOM("again 5 *", KEPT, "", "a", writers[i - 1], "1");
	}
	after("XLEN comet:push:c1", "20");
}

static void push_of_a_name_is_made_once(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", NUMBER, "41 5 0");
	PUSH_ROOM("ok 5 42 *", KEPT, "order", "a", "l", "1");
	PUSH_ROOM("again 5 42", KEPT, "order", "b", "l", "2");
	PUSH_ROOM("ok 5 43 *", KEPT, "order-2", "b", "l", "3");
	PUSH_ROOM("ok 5 *", NOT_KEPT, "passing", "b", "l", "4");
	PUSH_ROOM("again 5 ''", NOT_KEPT, "passing", "b", "l", "5");
	/* A caller's name is not our own. */
	PUSH_ROOM("ok 5 44 *", KEPT, "l-1", "a", "l", "6");
	after("XLEN comet:push:c1", "4", "TTL comet:i:r:{chat://1}:c:order", "300");
}

#define DURABLE "3", "", "3600000 1 600000 86400000"

static void numbers_jump_under_a_new_generation_unless_redis_is_durable(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", NUMBER, "9007199000000000 4 0");
	put("RPUSH", HISTORY, "1000 a");
	PUSH_ROOM("ok 5 9007199000000001 *", DURABLE, "", "b", "l", "1");
	put("SET", NUMBER, "9007199000000000 4 0");
	PUSH_ROOM("ok 5 9007199060[0-9][0-9][0-9][0-9][0-9][0-9] *", KEPT, "", "c", "l", "2");
	after("LRANGE " HISTORY " 0 -1", "1000 2 c");
	before("DEL " NUMBER);
	PUSH_ROOM("ok 5 1[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9] *", KEPT, "", "d",
		  "l", "3");
	after("LRANGE " HISTORY " 0 -1", "1000 3 d");
}

#define RESUME(reply, since, last, make) says(reply, resume, "chat://1", since, last, "86400000", "3600000", "0", make)

/* Where a stream jumps to that was at this number of an earlier generation; so it is when all that came since was lost. */
static int64_t jump_from(const char *number)
{
	char was[64];

	(void)snprintf(was, sizeof(was), "%s 4 0", number);
	put("SET", NUMBER, was);
	RESUME("gap *", "1", "0", "0");
	return strtoll(real_redis_say(&redis, "GET " NUMBER), NULL, 10);
}

static void a_number_that_is_lost_again_leads_elsewhere(void **state)
{
	const char *const ahead[] = {"9007199000000000", in_us(60), in_us(0)};
	int64_t was = strtoll(in_us(-2), NULL, 10), first, second;

	(void)state;
	before("SET comet:generation 5");
	for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
		first = jump_from(ahead[i]);
		second = jump_from(ahead[i]);
		assert_true(first > strtoll(ahead[i], NULL, 10) && second > strtoll(ahead[i], NULL, 10));
		assert_true(first != second);
	}
	/* Past what was lost since, and not so far that a number that is gone altogether would begin below it. */
	first = jump_from(in_us(-2));
	assert_in_range(first, was + 2000000, strtoll(in_us(0), NULL, 10) + 1000);
	before("DEL " NUMBER);
	RESUME("made *", "", "0", "1");
	assert_true(strtoll(real_redis_say(&redis, "GET " NUMBER), NULL, 10) > first);
}

static void clear_empties_the_history_and_jumps(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	put("SET", NUMBER, "9007199000000000 5 0");
	put("RPUSH", HISTORY, "1000 a");
	says("ok 5 9007199060[0-9]* *", push_kept, "1000", "1000000", "3000", "", "chat://1", "", KEPT, "target",
	     "clear", "room", "chat://1", "from", "l", "seq", "1");
	/* Its answer was lost. */
	says("again 5 9007199060[0-9]*", push_kept, "1000", "1000000", "3000", "", "chat://1", "", KEPT, "target",
	     "clear", "room", "chat://1", "from", "l", "seq", "1");
	after(("EXISTS " HISTORY), "0", "XRANGE comet:push:c1 - +",
	      "(* (n 1 pos 9007199060[0-9]* target clear room chat://1 from l seq 1))");
}

static void resume_gives_what_is_above_the_position(void **state)
{
	(void)state;
	before("SET comet:generation 5");
	put("SET", NUMBER, "44 5 0");
	put("RPUSH", HISTORY, "1 a");
	put("RPUSH", HISTORY, "1 b");
	put("RPUSH", HISTORY, "1 c");
	RESUME("ok 44", "44", "0", "0");
	RESUME("ok 44 1 c", "43", "0", "0");
	RESUME("ok 44 1 a 1 b 1 c", "41", "0", "0");
	RESUME("gap 44", "40", "0", "0");
	RESUME("gap 44 1 b 1 c", "40", "2", "0");
	RESUME("gap 44", "45", "0", "0");
	RESUME("ok 44", "", "0", "0");
	RESUME("ok 44 1 c", "", "1", "0");
	RESUME("ok 44 1 a 1 b 1 c", "", "9", "0");
	after("TTL " NUMBER, "108000");
}

static void resume_makes_numbers_where_it_may(void **state)
{
	(void)state;
	RESUME("young", "", "9", "1");
	before("SET comet:generation 5");
	RESUME("none", "", "9", "0");
	RESUME("made 1[0-9]*", "", "9", "1");
	after("GET " NUMBER, "1* 5 idle", "TTL " NUMBER, "3600");
	RESUME("ok 1[0-9]*", "", "9", "0");
	/* Of an earlier generation: it jumps, and a position before is a gap. */
	put("SET", NUMBER, "9007199000000000 4 0");
	put("RPUSH", HISTORY, "1 a");
	RESUME("gap 9007199060[0-9]*", "9007199000000000", "0", "0");
	after("EXISTS " HISTORY, "0");
}

static void numbers_of_rooms_with_members_stay(void **state)
{
	(void)state;
	put("SET", "comet:n:r:{a}", "1 5 7 0");
	put("SET", "comet:n:r:{b}", "1 5 idle 0");
	says("2", stay, "86400000", "3600000", "a", "b", "gone");
	after("TTL comet:n:r:{a}", "108000", "TTL comet:n:r:{b}", "3600", "EXISTS comet:n:r:{gone}", "0");
}

static void push_to_keys_goes_only_where_they_are(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 100 c1");
	session("l", "12 7 200 c2");
	session("m", "13 7 199 c2"); /* of an earlier lease: nowhere */
	says("ok * c1 100 1", push, "1000", "1000000", "3000", "", "c1", "", "3", "k", "m", "o", PUSH);
	says("moved", push, "1000", "1000000", "3000", "", "c1", "", "2", "k", "l", PUSH);
	after("XLEN comet:push:c1", "1", "EXISTS comet:push:c2", "0");
	/* Its comet is gone. */
	says("moved", push, "1000", "1000000", "3000", "", "c3", "", "1", "o", PUSH);
	/* A kick names no keys here: it goes to a comet, or nowhere. */
	says("ok *", push, "1000", "1000000", "3000", "", "c3", "", "0", PUSH);
	after("EXISTS comet:push:c3 comet:server:c3", "0");
}

static void push_after_a_loss_is_refused(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	(void)real_redis_sayv(&redis, 3, (const char *[]){"SET", "comet:generation", in_ms(-100)}, NULL);
	says("young", push, "1000", "1000000", "3000", "1", "", "", "0", PUSH);
	after("EXISTS comet:push:c1", "0", "HGET comet:server:c1 sent", "0");
	says("ok * c1 100 1", push, "1000", "1000000", "3000", "", "", "", "0", PUSH);
	says("ok * c1 100 2", push, "1000", "1000000", "99", "1", "", "", "0", PUSH);
	/* A logic that has pushed nothing knows the generation that it was started under. */
	says("young", push, "1000", "1000000", "3000", "1?", "", "", "0", PUSH);
	before("SET comet:generation 5");
	says("ok 5 c1 100 3", push, "1000", "1000000", "3000", "5?", "", "", "0", PUSH);
}

/* One who was replaced elsewhere while his comet was away is told as soon as it is back, or he stays until his next renewal. */
static void a_kick_reaches_a_comet_that_has_come_back_after_a_loss(void **state)
{
	(void)state;
	comet("c1", "100", 200);
	(void)real_redis_sayv(&redis, 3, (const char *[]){"SET", "comet:generation", in_ms(-100)}, NULL);
	says("young", push, "1000", "1000000", "3000", "1", "c1", "", "0", "target", "kick");
	says("young", push, "1000", "1000000", "3000", "1", "c2", "", "0", "target", "kick");
	comet("c1", "100", 50);
	says("ok * c1 100 1", push, "1000", "1000000", "3000", "1", "c1", "", "0", "target", "kick");
	/* What has keys may have to go elsewhere, and what was lost is known only when all are there. */
	says("young", push, "1000", "1000000", "3000", "1", "c1", "", "1", "k", "target", "kick");
	says("young", push, "1000", "1000000", "3000", "1", "c1", "", "0", "target", "lost", "had", "12", "epoch",
	     "100");
	after("XLEN comet:push:c1", "1");
}

static void push_trims_the_stream(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	for (int i = 0; i < 300; i++)
		says("ok * c1 100 *", push, "10", "1000000", "3000", "", "", "", "0", PUSH);
	after("XINFO STREAM comet:push:c1", "length 1?? *", "HGET comet:server:c1 sent", "300");
}

static void push_keeps_the_stream_within_so_many_bytes(void **state)
{
	char body[20001];

	(void)state;
	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	comet("c1", "100", 0);
	for (int i = 0; i < 40; i++)
		says("ok * c1 100 *", push, "1000", "200000", "3000", "", "", "", "0", "target", "all", "body", body);
	after("XLEN comet:push:c1", "[6-9]", "HGET comet:server:c1 sent", "40");
}

/* ---- the layout ---- */

static void schema_is_written_where_there_was_none(void **state)
{
	(void)state;
	comet("c1", "100", 0); /* of a program that wrote no number */
	says("ok 1 house 5", schema, "1", "3000", "house");
	after("GET comet:schema", "1");
	says("ok 1 house 5", schema, "1", "3000", "house");
	before("DEL comet:generation");
	says("ok 1 house 1????????????", schema, "1", "3000", "house");
	after("GET comet:generation", "1????????????");
}

static void schema_of_newer_data_is_told_and_left(void **state)
{
	(void)state;
	before("SET comet:schema 3");
	says("newer 3", schema, "2", "3000", "house");
	after("GET comet:schema", "3");
}

/* Those that wrote no number are of the first layout. */
static void schema_of_older_data_is_raised_when_nobody_writes_it(void **state)
{
	(void)state;
	comet("c1", "100", 2000);
	says("older 1", schema, "2", "3000", "house");
	after("EXISTS comet:schema", "0");
	comet("c1", "100", 4000);
	(void)real_redis_sayv(&redis, 4, (const char *[]){"ZADD", "comet:logics", in_ms(1000), "l1"}, NULL);
	says("older 1", schema, "2", "3000", "house");
	(void)real_redis_sayv(&redis, 4, (const char *[]){"ZADD", "comet:logics", in_ms(-1), "l1"}, NULL);
	says("ok 2 house 5", schema, "2", "3000", "house");
	after("GET comet:schema", "2");
	comet("c1", "100", 0);
	says("ok 2 house 5", schema, "2", "3000", "house");
}

static void a_lease_is_for_the_data_s_layout_only(void **state)
{
	(void)state;
	before("SET comet:schema 2");
	says("newer 2 1*", lease, FIRST);
	after("EXISTS comet:server:c1 comet:ids", "0");
	comet("c1", "100", 2000);
	says("newer 2 1*", lease, LEASE("c1", "100", "1", "5", "0", "0"));
	says("older 2 1*", lease, "c2", "", "3000", "3", "0", "", "0", "0", "0", "region", "sh");
	after("HGET comet:server:c1 region", "nil", "EXISTS comet:server:c2", "0");
	says("kept 100 1*", lease, "c1", "100", "3000", "2", "1", "5", "0", "0", "0", "region", "sh");
}

/* When Redis has lost the number with all else, who comes back first writes it. */
static void a_lost_layout_is_written_again_by_a_lease(void **state)
{
	(void)state;
	says("lost 100 1*", lease, "c1", "100", "3000", "2", "1", "5", "0", "0", "0", "region", "sh");
	after("GET comet:schema", "2");
	before("FLUSHALL");
	says("ok 1*", announce, "l1", "3000", "2", "house");
	after("GET comet:schema", "2");
}

static void a_logic_is_announced_for_the_data_s_layout_only(void **state)
{
	(void)state;
	before("SET comet:schema 2");
	says("newer 2", announce, "l1", "3000", "1", "house");
	comet("c1", "100", 2000);
	says("older 2", announce, "l1", "3000", "3", "house");
	after("EXISTS comet:logics", "0");
}

/* ---- logics ---- */

static void announce_says_until_when(void **state)
{
	(void)state;
	(void)real_redis_sayv(&redis, 4, (const char *[]){"ZADD", "comet:logics", in_ms(-61000), "long-over"}, NULL);
	(void)real_redis_sayv(&redis, 4, (const char *[]){"ZADD", "comet:logics", in_ms(-50000), "over"}, NULL);
	for (int twice = 0; twice < 2; twice++)
		says("ok 1????????????", announce, "l1", "3000", "1", "house");
	after("ZRANGE comet:logics 0 -1", "over l1");
	says("1???????????? over 1???????????? l1 1????????????", instances, NULL);
}

static void instances_tells_the_time_where_there_are_none(void **state)
{
	(void)state;
	says("1????????????", instances, NULL);
}

/* ---- all of them ---- */

static void each_script_was_run(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		if (!rows[i].was_run)
			fail_msg("no test runs %s", rows[i].script->name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(connect_registers_a_session_for_a_while, empty),
		cmocka_unit_test_setup(connect_of_nobody_in_particular_makes_no_user, empty),
		cmocka_unit_test_setup(users_may_have_names, empty),
		cmocka_unit_test_setup(a_key_leaves_a_name_s_user, empty),
		cmocka_unit_test_setup(nobodies_are_numbers_below_1, empty),
		cmocka_unit_test_setup(connect_that_comes_late_changes_nothing, empty),
		cmocka_unit_test_setup(connect_without_a_lease_changes_nothing, empty),
		cmocka_unit_test_setup(connect_replaces_the_session_of_the_same_comet, empty),
		cmocka_unit_test_setup(connect_twice_leaves_one_session, empty),
		cmocka_unit_test_setup(connect_leaves_a_key_where_it_is_served, empty),
		cmocka_unit_test_setup(connect_replaces_what_a_dead_comet_left, empty),
		cmocka_unit_test_setup(ids_grow_whatever_the_clock_says, empty),
		cmocka_unit_test_setup(id_of_who_comes_is_above_that_of_who_was_there, empty),
		cmocka_unit_test_setup(ids_are_above_those_that_were_lost, empty),
		cmocka_unit_test_setup(ids_that_come_back_are_given_once, empty),
		cmocka_unit_test_setup(disconnect_leaves_a_mark_for_a_moment, empty),
		cmocka_unit_test_setup(disconnect_of_an_older_session_changes_nothing, empty),
		cmocka_unit_test_setup(disconnect_leaves_another_comet_its_key, empty),
		cmocka_unit_test_setup(disconnect_overwrites_what_a_dead_comet_left, empty),
		cmocka_unit_test_setup(renew_keeps_a_session, empty),
		cmocka_unit_test_setup(renew_brings_back_what_redis_lost, empty),
		cmocka_unit_test_setup(nothing_is_counted_while_a_comet_is_registering, empty),
		cmocka_unit_test_setup(renew_moves_a_key_and_tells_where_from, empty),
		cmocka_unit_test_setup(renew_without_a_lease_changes_nothing, empty),
		cmocka_unit_test_setup(renew_does_not_bring_back_what_has_gone, empty),
		cmocka_unit_test_setup(renew_of_one_that_was_replaced_says_so, empty),
		cmocka_unit_test_setup(numbers_in_use_are_stepped_over, empty),
		cmocka_unit_test_setup(no_number_is_given_twice_while_comets_register, empty),
		cmocka_unit_test_setup(ban_keeps_the_newest_of_a_name, empty),
		cmocka_unit_test_setup(ban_gives_a_new_one_a_stamp_above_all, empty),
		cmocka_unit_test_setup(ban_gives_a_stamp_above_those_that_were_lost, empty),
		cmocka_unit_test_setup(ban_is_kept_for_as_long_as_the_longest_of_its_name, empty),
		cmocka_unit_test_setup(ban_is_lifted_also_by_a_time_that_is_over, empty),
		cmocka_unit_test_setup(ban_beyond_the_most_changes_nothing, empty),
		cmocka_unit_test_setup(bans_are_told_from_a_number_on, empty),
		cmocka_unit_test_setup(bans_that_are_over_go, empty),
		cmocka_unit_test_setup(find_tells_where_keys_are, empty),
		cmocka_unit_test_setup(find_tells_where_users_are, empty),
		cmocka_unit_test_setup(find_is_unsure_after_a_loss, empty),
		cmocka_unit_test_setup(find_does_not_doubt_a_user_who_is_there, empty),
		cmocka_unit_test_setup(find_is_unsure_where_a_lease_has_vanished, empty),
		cmocka_unit_test_setup(find_is_unsure_where_a_lease_has_vanished_of_which_it_knew, empty),
		cmocka_unit_test_setup(find_is_unsure_where_no_lease_stands_or_all_names_have_vanished, empty),
		cmocka_unit_test_setup(nobody_is_sure_of_data_without_comets_at_first, empty),
		cmocka_unit_test_setup(find_sees_that_keys_were_evicted, empty),
		cmocka_unit_test_setup(find_and_push_are_unsure_without_a_generation, empty),
		cmocka_unit_test_setup(lease_is_taken_with_a_new_epoch, empty),
		cmocka_unit_test_setup(lease_is_kept, empty),
		cmocka_unit_test_setup(lease_of_another_that_lives_is_not_taken, empty),
		cmocka_unit_test_setup(lease_that_is_over_is_taken, empty),
		cmocka_unit_test_setup(lease_that_went_to_another_fences, empty),
		cmocka_unit_test_setup(lease_that_was_lost_comes_back_with_its_epoch, empty),
		cmocka_unit_test_setup(lease_of_an_earlier_epoch_is_of_older_data, empty),
		cmocka_unit_test_setup(lease_under_a_new_generation_asks_for_the_rooms, empty),
		cmocka_unit_test_setup(lease_of_the_first_comet_that_comes_back_begins_a_generation, empty),
		cmocka_unit_test_setup(lease_that_finds_a_smaller_number_begins_a_generation, empty),
		cmocka_unit_test_setup(lease_whose_name_has_vanished_begins_a_generation, empty),
		cmocka_unit_test_setup(lease_after_an_eviction_finds_no_number, empty),
		cmocka_unit_test_setup(a_generation_that_is_lost_again_is_another, empty),
		cmocka_unit_test_setup(arrive_begins_a_generation_on_another_server, empty),
		cmocka_unit_test_setup(a_generation_knows_on_which_server_it_began, empty),
		cmocka_unit_test_setup(arrive_asks_for_nothing_that_it_may_not_know, empty),
		cmocka_unit_test_setup(load_goes_only_into_a_lease, empty),
		cmocka_unit_test_setup(servers_are_those_whose_lease_stands, empty),
		cmocka_unit_test_setup(others_are_those_that_take_clients, empty),
		cmocka_unit_test_setup(trim_up_keeps_the_newest_within_so_many_bytes, empty),
		cmocka_unit_test_setup(remove_takes_all_that_a_comet_has, empty),
		cmocka_unit_test_setup(remove_spares_one_that_is_another_now, empty),
		cmocka_unit_test_setup(leases_lists_them_and_those_that_vanished, empty),
		cmocka_unit_test_setup(leases_are_not_told_while_nothing_can_be_written, empty),
		cmocka_unit_test_setup(push_goes_to_all_comets, empty),
		cmocka_unit_test_setup(push_to_a_room_goes_where_it_may_be, empty),
		cmocka_unit_test_setup(push_is_refused_where_comets_have_vanished, empty),
		cmocka_unit_test_setup(push_to_finds_and_writes_in_one_step, empty),
		cmocka_unit_test_setup(a_push_that_may_not_measure_writes_nothing, empty),
		cmocka_unit_test_setup(push_to_is_as_unsure_as_find, empty),
		cmocka_unit_test_setup(push_to_writes_many_in_their_order, empty),
		cmocka_unit_test_setup(push_of_a_word_brings_the_base, empty),
		cmocka_unit_test_setup(numbers_of_rooms_with_members_stay, empty),
		cmocka_unit_test_setup(resume_makes_numbers_where_it_may, empty),
		cmocka_unit_test_setup(resume_gives_what_is_above_the_position, empty),
		cmocka_unit_test_setup(a_number_that_is_lost_again_leads_elsewhere, empty),
		cmocka_unit_test_setup(clear_empties_the_history_and_jumps, empty),
		cmocka_unit_test_setup(numbers_jump_under_a_new_generation_unless_redis_is_durable, empty),
		cmocka_unit_test_setup(push_of_a_name_is_made_once, empty),
		cmocka_unit_test_setup(history_lets_many_go_at_a_time, empty),
		cmocka_unit_test_setup(history_of_many_keeps_as_many_as_it_says, empty),
		cmocka_unit_test_setup(times_to_live_are_renewed_when_a_quarter_has_passed, empty),
		cmocka_unit_test_setup(push_whose_answer_was_lost_is_not_numbered_twice, empty),
		cmocka_unit_test_setup(push_whose_answer_was_lost_and_then_its_history_has_no_number, empty),
		cmocka_unit_test_setup(push_of_many_writers_is_not_numbered_twice, empty),
		cmocka_unit_test_setup(who_comes_and_goes_is_told_once, empty),
		cmocka_unit_test_setup(first_and_last_of_a_room_in_all_comets_are_told, empty),
		cmocka_unit_test_setup(rooms_of_a_dead_comet_are_vacated, empty),
		cmocka_unit_test_setup(rooms_that_are_written_down_are_told_once, empty),
		cmocka_unit_test_setup(numbers_of_events_begin_anew_after_a_loss, empty),
		cmocka_unit_test_setup(sessions_of_a_dead_comet_end, empty),
		cmocka_unit_test_setup(all_sessions_of_a_dead_comet_with_many_end, empty),
		cmocka_unit_test_setup(history_stays_within_its_bytes_when_it_is_measured, empty),
		cmocka_unit_test_setup(comet_has_the_room_that_its_connections_are_led_into, empty),
		cmocka_unit_test_setup(room_that_a_back_end_leads_into_is_not_forgotten, empty),
		cmocka_unit_test_setup(push_to_a_kept_room_gets_the_next_number_and_is_kept, empty),
		cmocka_unit_test_setup(push_to_a_user_is_numbered_kept_and_goes_where_his_keys_are, empty),
		cmocka_unit_test_setup(what_was_confirmed_lives_as_long_as_the_number, empty),
		cmocka_unit_test_setup(positions_that_are_confirmed_only_grow_and_of_many_the_lowest_goes, empty),
		cmocka_unit_test_setup(push_that_nobody_confirmed_in_time_is_told_once, empty),
		cmocka_unit_test_setup(of_too_many_that_wait_those_due_next_are_told_too_early, empty),
		cmocka_unit_test_setup(push_to_keys_goes_only_where_they_are, empty),
		cmocka_unit_test_setup(push_after_a_loss_is_refused, empty),
		cmocka_unit_test_setup(a_kick_reaches_a_comet_that_has_come_back_after_a_loss, empty),
		cmocka_unit_test_setup(push_trims_the_stream, empty),
		cmocka_unit_test_setup(push_keeps_the_stream_within_so_many_bytes, empty),
		cmocka_unit_test_setup(schema_is_written_where_there_was_none, empty),
		cmocka_unit_test_setup(schema_of_newer_data_is_told_and_left, empty),
		cmocka_unit_test_setup(schema_of_older_data_is_raised_when_nobody_writes_it, empty),
		cmocka_unit_test_setup(a_lease_is_for_the_data_s_layout_only, empty),
		cmocka_unit_test_setup(a_lost_layout_is_written_again_by_a_lease, empty),
		cmocka_unit_test_setup(a_logic_is_announced_for_the_data_s_layout_only, empty),
		cmocka_unit_test_setup(announce_says_until_when, empty),
		cmocka_unit_test_setup(instances_tells_the_time_where_there_are_none, empty),
		cmocka_unit_test(each_script_was_run),
	};

	return cmocka_run_group_tests_name("scripts", tests, start, stop);
}
