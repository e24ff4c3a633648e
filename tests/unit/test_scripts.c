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
#define script(name, arguments, repeat) {&script_##name, false},
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
	const char *argv[40] = {"EVAL", script->text, "1", "comet:"};
	size_t bytes[40] = {4, (size_t)(script->end - script->text), 1, 6};
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

/* A comet whose lease was renewed so long ago. */
static void comet(const char *server, const char *epoch, int64_t ago_ms)
{
	char command[256];

	(void)snprintf(command, sizeof(command), "HSET comet:server:%s epoch %s updated %s sent 0 registering 0",
		       server, epoch, in_ms(-ago_ms));
	(void)real_redis_say(&redis, command);
	(void)snprintf(command, sizeof(command), "SADD comet:servers %s", server);
	(void)real_redis_say(&redis, command);
}

static void session(const char *key, const char *value)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "comet:session:%s", key);
	(void)real_redis_sayv(&redis, 3, (const char *[]){"SET", name, value}, NULL);
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
	says("later *", connect, "c1", "k", "7", "60000", "0");
	after("GET comet:session:k", "11 7 200 c2");
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
	says("ok 9000000000000001", connect, "c1", "k", "7", "60000", "0");
	says("ok 9000000000000002", connect, "c1", "l", "7", "60000", "0");
	after("GET comet:ids", "9000000000000002");
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
		says("ok", renew, "c1", "k", "7", "11", "60000");
		after("GET comet:session:k", "11 7 100 c1", "SMEMBERS comet:mid:7", "k", "PTTL comet:session:k",
		      "[56]????");
	}
}

static void renew_brings_back_what_redis_lost(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	says("ok", renew, "c1", "k", "7", "11", "60000");
	after("GET comet:session:k", "11 7 100 c1", "SMEMBERS comet:mid:7", "k");
}

static void renew_moves_a_key_and_tells_where_from(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 6 200 c2");
	before("SADD comet:mid:6 k");
	says("ok c2 11", renew, "c1", "k", "7", "12", "60000");
	after("GET comet:session:k", "12 7 100 c1", "EXISTS comet:mid:6", "0", "SMEMBERS comet:mid:7", "k");
	says("ok", renew, "c1", "k", "7", "12", "60000");
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
	says("ok", renew, "c1", "k", "7", "12", "60000");
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
	says("ok", renew, "c1", "k", "7", "11", "60000");
	after("GET comet:session:k", "11 7 100 c1");
}

static void numbers_in_use_are_stepped_over(void **state)
{
	(void)state;
	says("1", next_number, "7", "60000");
	session("7_2", "11 7 100 c1");
	session("7_3", "11 7 100 c1");
	says("4", next_number, "7", "60000");
	after("GET comet:number:7", "4", "PTTL comet:number:7", "[56]????");
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
	says("ok * k c1 11", find, "", "3000", "keys", "k", "l", "m", "n", "o");
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
	says("ok * [kl] c[12] 1[12] [kl] c[12] 1[12]", find, "", "3000", "mids", "7", "9");
	after("SCARD comet:mid:7", "2");
}

/* While connections may not be registered again, "nobody" would be a lie; what is found is told all the same. */
static void find_is_unsure_after_a_loss(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	session("k", "11 7 100 c1");
	before("SADD comet:mid:7 k");
	(void)real_redis_sayv(&redis, 3, (const char *[]){"SET", "comet:generation", in_ms(-100)}, NULL);
	says("unsure", find, "1", "3000", "keys", "o");
	says("unsure", find, "1", "3000", "mids", "9");
	says("ok * k c1 11", find, "1", "3000", "keys", "k");
	says("ok * k c1 11", find, "1", "3000", "mids", "7");
	/* To one who knows of no other generation, and when it is old, it is sure. */
	says("ok *", find, "", "3000", "keys", "o");
	says("ok *", find, "1", "99", "keys", "o");
	before("HSET comet:server:c1 registering 1");
	says("unsure", find, "", "3000", "keys", "o");
}

/* ---- comets ---- */

static void lease_is_taken_with_a_new_epoch(void **state)
{
	(void)state;
	before("SET comet:ids 9000000000000000", "HSET comet:rooms:c1 r 1", "XADD comet:push:c1 * a b");
	says("new 9000000000000001 1*", lease, "c1", "", "3000", "1", "region", "sh", "leaving", "0");
	after("HMGET comet:server:c1 epoch sent registering region leaving", "9000000000000001 0 0 sh 0",
	      "HGET comet:server:c1 updated", "1????????????", "SMEMBERS comet:servers", "c1",
	      "EXISTS comet:rooms:c1 comet:push:c1", "0");
}

static void lease_is_kept(void **state)
{
	(void)state;
	comet("c1", "100", 2000);
	before("HSET comet:rooms:c1 r 1", "HSET comet:server:c1 sent 5 registering 1");
	for (int twice = 0; twice < 2; twice++) {
		says("kept 100 1*", lease, "c1", "100", "3000", "1", "region", "sh");
		after("HMGET comet:server:c1 epoch sent registering region", "100 5 1 sh", "HGET comet:rooms:c1 r",
		      "1");
	}
	/* However late, where nobody else took it. */
	comet("c1", "100", 60000);
	says("kept 100 1*", lease, "c1", "100", "3000", "1", "region", "sh");
}

static void lease_of_another_that_lives_is_not_taken(void **state)
{
	(void)state;
	comet("c1", "100", 2000);
	says("taken 100 1*", lease, "c1", "", "3000", "1", "region", "sh");
	before("HSET comet:server:c1 leaving 1");
	says("leaving 100 1*", lease, "c1", "", "3000", "1", "region", "sh");
	after("HGET comet:server:c1 region", "nil");
}

static void lease_that_is_over_is_taken(void **state)
{
	(void)state;
	comet("c1", "100", 4000);
	before("HSET comet:rooms:c1 r 1", "HSET comet:server:c1 leaving 1 dropped 5");
	says("new 1* 1*", lease, "c1", "", "3000", "1", "region", "sh");
	after("HGET comet:server:c1 epoch", "1???????????????", "HMGET comet:server:c1 leaving dropped", "nil nil",
	      "EXISTS comet:rooms:c1", "0", "SMEMBERS comet:servers", "c1");
}

static void lease_that_went_to_another_fences(void **state)
{
	(void)state;
	comet("c1", "101", 60000);
	says("fenced 101 1*", lease, "c1", "100", "3000", "1", "region", "sh");
	after("HGET comet:server:c1 epoch", "101");
}

/* Sessions that were saved are valid again, and until all are, the lease says so. */
static void lease_that_was_lost_comes_back_with_its_epoch(void **state)
{
	(void)state;
	says("new 100 1*", lease, "c1", "100", "3000", "1", "region", "sh");
	after("HMGET comet:server:c1 epoch registering sent", "100 1 0", "EXISTS comet:ids", "0");
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
	after("KEYS comet:*", "comet:session:k");
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
	after("DBSIZE", "0");
}

static void leases_lists_them_and_drops_empty_names(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	before("HSET comet:server:c1 updated 1700000000000", "SADD comet:servers c2");
	says("c1 100 1700000000000", leases, NULL);
	after("SMEMBERS comet:servers", "c1");
}

/* ---- pushes ---- */

#define PUSH "target", "all", "op", "5"

static void push_goes_to_all_comets(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 60000);
	before("HSET comet:server:c2 sent 7");
	says("ok * c[12] [12]00 [18] c[12] [12]00 [18]", push, "1000", "3000", "", "", "", "0", PUSH);
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
	before("HSET comet:rooms:c1 r 1", "HSET comet:rooms:c2 s 1", "HSET comet:server:c4 registering 1",
	       "SADD comet:servers c5");
	says("ok * c[134] [134]00 1 c[134] [134]00 1 c[134] [134]00 1", push, "1000", "3000", "", "", "r", "0", PUSH);
	after("EXISTS comet:push:c1 comet:push:c3 comet:push:c4", "3", "EXISTS comet:push:c2 comet:push:c5", "0");
}

static void push_to_keys_goes_only_where_they_are(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	comet("c2", "200", 0);
	session("k", "11 7 100 c1");
	session("l", "12 7 200 c2");
	session("m", "13 7 199 c2"); /* of an earlier lease: nowhere */
	says("ok * c1 100 1", push, "1000", "3000", "", "c1", "", "3", "k", "m", "o", PUSH);
	says("moved", push, "1000", "3000", "", "c1", "", "2", "k", "l", PUSH);
	after("XLEN comet:push:c1", "1", "EXISTS comet:push:c2", "0");
	/* Its comet is gone. */
	says("moved", push, "1000", "3000", "", "c3", "", "1", "o", PUSH);
	/* A kick names no keys here: it goes to a comet, or nowhere. */
	says("ok *", push, "1000", "3000", "", "c3", "", "0", PUSH);
	after("EXISTS comet:push:c3 comet:server:c3", "0");
}

static void push_after_a_loss_is_refused(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	(void)real_redis_sayv(&redis, 3, (const char *[]){"SET", "comet:generation", in_ms(-100)}, NULL);
	says("young", push, "1000", "3000", "1", "", "", "0", PUSH);
	after("EXISTS comet:push:c1", "0", "HGET comet:server:c1 sent", "0");
	says("ok * c1 100 1", push, "1000", "3000", "", "", "", "0", PUSH);
	says("ok * c1 100 2", push, "1000", "99", "1", "", "", "0", PUSH);
}

static void push_trims_the_stream(void **state)
{
	(void)state;
	comet("c1", "100", 0);
	for (int i = 0; i < 300; i++)
		says("ok * c1 100 *", push, "10", "3000", "", "", "", "0", PUSH);
	after("XINFO STREAM comet:push:c1", "length 1?? *", "HGET comet:server:c1 sent", "300");
}

/* ---- the layout ---- */

static void schema_is_written_where_there_was_none(void **state)
{
	(void)state;
	comet("c1", "100", 0); /* of a program that wrote no number */
	says("ok 1", schema, "1", "3000");
	after("GET comet:schema", "1");
	says("ok 1", schema, "1", "3000");
}

static void schema_of_newer_data_is_told_and_left(void **state)
{
	(void)state;
	before("SET comet:schema 3");
	says("newer 3", schema, "2", "3000");
	after("GET comet:schema", "3");
}

/* Those that wrote no number are of the first layout. */
static void schema_of_older_data_is_raised_when_nobody_writes_it(void **state)
{
	(void)state;
	comet("c1", "100", 2000);
	says("older 1", schema, "2", "3000");
	after("EXISTS comet:schema", "0");
	comet("c1", "100", 4000);
	(void)real_redis_sayv(&redis, 4, (const char *[]){"ZADD", "comet:logics", in_ms(1000), "l1"}, NULL);
	says("older 1", schema, "2", "3000");
	(void)real_redis_sayv(&redis, 4, (const char *[]){"ZADD", "comet:logics", in_ms(-1), "l1"}, NULL);
	says("ok 2", schema, "2", "3000");
	after("GET comet:schema", "2");
	comet("c1", "100", 0);
	says("ok 2", schema, "2", "3000");
}

static void a_lease_is_for_the_data_s_layout_only(void **state)
{
	(void)state;
	before("SET comet:schema 2");
	says("newer 2 1*", lease, "c1", "", "3000", "1", "region", "sh");
	after("EXISTS comet:server:c1 comet:ids", "0");
	comet("c1", "100", 2000);
	says("newer 2 1*", lease, "c1", "100", "3000", "1", "region", "sh");
	says("older 2 1*", lease, "c2", "", "3000", "3", "region", "sh");
	after("HGET comet:server:c1 region", "nil", "EXISTS comet:server:c2", "0");
	says("kept 100 1*", lease, "c1", "100", "3000", "2", "region", "sh");
}

/* When Redis has lost the number with all else, who comes back first writes it. */
static void a_lost_layout_is_written_again_by_a_lease(void **state)
{
	(void)state;
	says("new 100 1*", lease, "c1", "100", "3000", "2", "region", "sh");
	after("GET comet:schema", "2");
	before("FLUSHALL");
	says("ok 1*", announce, "l1", "3000", "2");
	after("GET comet:schema", "2");
}

static void a_logic_is_announced_for_the_data_s_layout_only(void **state)
{
	(void)state;
	before("SET comet:schema 2");
	says("newer 2", announce, "l1", "3000", "1");
	comet("c1", "100", 2000);
	says("older 2", announce, "l1", "3000", "3");
	after("EXISTS comet:logics", "0");
}

/* ---- logics ---- */

static void announce_says_until_when(void **state)
{
	(void)state;
	(void)real_redis_sayv(&redis, 4, (const char *[]){"ZADD", "comet:logics", in_ms(-61000), "long-over"}, NULL);
	(void)real_redis_sayv(&redis, 4, (const char *[]){"ZADD", "comet:logics", in_ms(-50000), "over"}, NULL);
	for (int twice = 0; twice < 2; twice++)
		says("ok 1????????????", announce, "l1", "3000", "1");
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
		cmocka_unit_test_setup(connect_that_comes_late_changes_nothing, empty),
		cmocka_unit_test_setup(connect_without_a_lease_changes_nothing, empty),
		cmocka_unit_test_setup(connect_replaces_the_session_of_the_same_comet, empty),
		cmocka_unit_test_setup(connect_twice_leaves_one_session, empty),
		cmocka_unit_test_setup(connect_leaves_a_key_where_it_is_served, empty),
		cmocka_unit_test_setup(connect_replaces_what_a_dead_comet_left, empty),
		cmocka_unit_test_setup(ids_grow_whatever_the_clock_says, empty),
		cmocka_unit_test_setup(disconnect_leaves_a_mark_for_a_moment, empty),
		cmocka_unit_test_setup(disconnect_of_an_older_session_changes_nothing, empty),
		cmocka_unit_test_setup(disconnect_leaves_another_comet_its_key, empty),
		cmocka_unit_test_setup(disconnect_overwrites_what_a_dead_comet_left, empty),
		cmocka_unit_test_setup(renew_keeps_a_session, empty),
		cmocka_unit_test_setup(renew_brings_back_what_redis_lost, empty),
		cmocka_unit_test_setup(renew_moves_a_key_and_tells_where_from, empty),
		cmocka_unit_test_setup(renew_without_a_lease_changes_nothing, empty),
		cmocka_unit_test_setup(renew_does_not_bring_back_what_has_gone, empty),
		cmocka_unit_test_setup(renew_of_one_that_was_replaced_says_so, empty),
		cmocka_unit_test_setup(numbers_in_use_are_stepped_over, empty),
		cmocka_unit_test_setup(find_tells_where_keys_are, empty),
		cmocka_unit_test_setup(find_tells_where_users_are, empty),
		cmocka_unit_test_setup(find_is_unsure_after_a_loss, empty),
		cmocka_unit_test_setup(lease_is_taken_with_a_new_epoch, empty),
		cmocka_unit_test_setup(lease_is_kept, empty),
		cmocka_unit_test_setup(lease_of_another_that_lives_is_not_taken, empty),
		cmocka_unit_test_setup(lease_that_is_over_is_taken, empty),
		cmocka_unit_test_setup(lease_that_went_to_another_fences, empty),
		cmocka_unit_test_setup(lease_that_was_lost_comes_back_with_its_epoch, empty),
		cmocka_unit_test_setup(load_goes_only_into_a_lease, empty),
		cmocka_unit_test_setup(servers_are_those_whose_lease_stands, empty),
		cmocka_unit_test_setup(others_are_those_that_take_clients, empty),
		cmocka_unit_test_setup(trim_up_keeps_the_newest_within_so_many_bytes, empty),
		cmocka_unit_test_setup(remove_takes_all_that_a_comet_has, empty),
		cmocka_unit_test_setup(remove_spares_one_that_is_another_now, empty),
		cmocka_unit_test_setup(leases_lists_them_and_drops_empty_names, empty),
		cmocka_unit_test_setup(push_goes_to_all_comets, empty),
		cmocka_unit_test_setup(push_to_a_room_goes_where_it_may_be, empty),
		cmocka_unit_test_setup(push_to_keys_goes_only_where_they_are, empty),
		cmocka_unit_test_setup(push_after_a_loss_is_refused, empty),
		cmocka_unit_test_setup(push_trims_the_stream, empty),
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
