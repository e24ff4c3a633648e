/* Tests of comet/serve: the reader's whole story, with its real threads, over a fake transport and a fake logic.
 * SPDX-License-Identifier: MIT */
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
#include <unistd.h>

#include "comet/reader.h"
#include "comet/serve.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

#define PEERS 8

static struct stage stage;
static struct fake_transport peers[PEERS];
static struct fake_transport *const peer = &peers[0];

/* Each case is run with two threads a connection, and again with parking. */
static bool parks;

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage.parks = parks;
	stage_up(&stage);
	for (unsigned i = 0; i < PEERS; i++)
		fake_init(&peers[i]);
	return 0;
}

/* Everybody has left: a case that forgets somebody fails here. */
static int tear_down(void **state)
{
	int64_t connections, addresses;

	(void)state;
	seam_reset();
	admission_load(&stage.server.admission, &connections, &addresses);
	assert_int_equal(connections, 0);
	stage_down(&stage);
	for (unsigned i = 0; i < PEERS; i++)
		fake_fini(&peers[i]);
	return 0;
}

static void enter(struct fake_transport *f)
{
	assert_int_equal(serve_start(&stage.server, stage_guest(&stage, f)), 0);
}

static void log_in(struct fake_transport *f)
{
	enter(f);
	fake_send(f, OP_AUTH, 1, "token");
	until(fake_got_op(f, OP_AUTH_REPLY) == 1);
}

static void until_gone(struct fake_transport *f)
{
	until(fake_is_freed(f));
}

static void leave(struct fake_transport *f)
{
	fake_end(f, -ERR_EOF);
	until_gone(f);
}

/* What a client does that was told goodbye: it closes, too. */
static void heed_goodbye(struct fake_transport *f)
{
	until(fake_is_finished(f));
	leave(f);
}

static struct connection *online(const char *key)
{
	return bucket_get(server_bucket(&stage.server, key), key);
}

static bool is_online(const char *key)
{
	struct connection *c = online(key);
	bool is = c != NULL;

	if (c != NULL)
		connection_unref(&c);
	return is;
}

static int64_t closed(enum close_reason why)
{
	return counters_read_by(COUNT_CLOSED, why);
}

static unsigned told_goodbye(struct fake_transport *f, const char *body)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fake_got(f); i++)
		n += fake_packet(f, i)->op == OP_DISCONNECT && strcmp(fake_packet(f, i)->body, body) == 0;
	return n;
}

static bool told_disconnect(uint64_t session_id)
{
	bool told;

	(void)pthread_mutex_lock(&stage.logic.mutex);
	told = strcmp(stage.logic.disconnected, "key") == 0 && stage.logic.disconnected_session == session_id;
	(void)pthread_mutex_unlock(&stage.logic.mutex);
	return told;
}

static unsigned disconnects(void)
{
	return atomic_load(&stage.logic.disconnects);
}

/* ---- the story ---- */

static void a_client_comes_says_something_and_goes(void **state)
{
	int64_t online_before = counters_read(COUNT_ONLINE), left = closed(CLOSE_CLIENT_LEFT);

	(void)state;
	(void)snprintf(stage.logic.session.room, sizeof(stage.logic.session.room), "live://1");
	enter(peer);
	fake_send_ver(peer, 5, OP_AUTH, 77, "the token");
	until(fake_got(peer) == 1);
	assert_int_equal(fake_packet(peer, 0)->op, OP_AUTH_REPLY);
	assert_int_equal(fake_packet(peer, 0)->ver, 5);
	assert_int_equal(fake_packet(peer, 0)->seq, 77);
	assert_int_equal(fake_packet(peer, 0)->body_bytes, 0);
	assert_string_equal(stage.logic.token, "the token");
	assert_string_equal(stage.logic.peer, "192.0.2.1");
	assert_int_equal(stage.logic.arrived, 1);
	assert_string_equal(stage.logic.joined_room, "live://1");
	assert_true(is_online("key"));
	assert_int_equal(counters_read(COUNT_ONLINE), online_before + 1);
	fake_send(peer, OP_HEARTBEAT, 2, "");
	until(fake_got(peer) == 2);
	assert_int_equal(fake_packet(peer, 1)->op, OP_HEARTBEAT_REPLY);
	assert_int_equal(fake_packet(peer, 1)->seq, 2);
	assert_int_equal(packet_get_i32((const uint8_t *)fake_packet(peer, 1)->body), 1);
	fake_send(peer, 4711, 3, "to the back end");
	until(fake_got(peer) == 3);
	assert_int_equal(fake_packet(peer, 2)->op, 4711);
	leave(peer);
	assert_false(is_online("key"));
	assert_int_equal(disconnects(), 1);
	assert_true(told_disconnect(1));
	assert_int_equal(fake_got(peer), 3);
	assert_int_equal(counters_read(COUNT_ONLINE), online_before);
	assert_int_equal(closed(CLOSE_CLIENT_LEFT), left + 1);
}

static void what_comes_before_auth_is_ignored(void **state)
{
	(void)state;
	enter(peer);
	fake_send(peer, OP_HEARTBEAT, 1, "");
	fake_send(peer, 4711, 2, "x");
	fake_send(peer, OP_AUTH, 3, "token");
	until(fake_got(peer) == 1);
	assert_int_equal(fake_packet(peer, 0)->op, OP_AUTH_REPLY);
	assert_int_equal(fake_packet(peer, 0)->seq, 3);
	leave(peer);
}

static void a_ping_is_written_back_before_auth_and_after(void **state)
{
	(void)state;
	enter(peer);
	fake_send_kind(peer, PACKET_PING, "early");
	until(fake_got(peer) == 1);
	fake_send(peer, OP_AUTH, 1, "token");
	until(fake_got(peer) == 2);
	fake_send_kind(peer, PACKET_PING, "late");
	fake_send_kind(peer, PACKET_NOTHING, "");
	fake_send(peer, OP_HEARTBEAT, 2, "");
	until(fake_got(peer) == 4);
	assert_int_equal(fake_packet(peer, 0)->kind, PACKET_PING);
	assert_string_equal(fake_packet(peer, 0)->body, "early");
	assert_int_equal(fake_packet(peer, 1)->op, OP_AUTH_REPLY);
	assert_int_equal(fake_packet(peer, 2)->kind, PACKET_PING);
	assert_string_equal(fake_packet(peer, 2)->body, "late");
	assert_int_equal(fake_packet(peer, 3)->op, OP_HEARTBEAT_REPLY);
	leave(peer);
}

static void what_is_no_packet_is_nobodys_business(void **state)
{
	int64_t packets = counters_read(COUNT_PACKETS_IN), answered = counters_read(COUNT_ANSWERED);

	(void)state;
	log_in(peer);
	for (unsigned i = 0; i < 20; i++) /* more than the ring holds */
		fake_send_kind(peer, PACKET_NOTHING, "");
	fake_send_kind(peer, PACKET_PING, "");
	until(fake_got(peer) == 2);
	leave(peer);
	assert_int_equal(counters_read(COUNT_PACKETS_IN), packets);
	assert_int_equal(counters_read(COUNT_ANSWERED), answered);
}

static void a_transport_with_a_goodbye_says_it_also_to_who_left_first(void **state)
{
	(void)state;
	fake_says_goodbye(peer);
	log_in(peer);
	fake_end(peer, -ERR_EOF);
	until_gone(peer);
	assert_true(fake_is_finished(peer));
	assert_int_equal(peer->finish_code, 1000);
	assert_string_equal(peer->finish_why, "client_left");
}

static void who_was_refused_by_the_transport_is_told_so_and_seen_off(void **state)
{
	(void)state;
	fake_says_goodbye(peer);
	log_in(peer);
	fake_end(peer, -ERR_FRAME);
	until_gone(peer);
	assert_true(fake_is_finished(peer));
	assert_int_equal(peer->finish_code, 1002);
	assert_string_equal(peer->finish_why, "websocket_frame");
}

static void what_logic_says_it_accepts_is_what_it_gets(void **state)
{
	int32_t accepts[] = {1000, 1001};
	struct connection *c;
	struct message *m;

	(void)state;
	stage.logic.session.accepts = accepts;
	stage.logic.session.n_accepts = 2;
	log_in(peer);
	c = online("key");
	assert_int_equal(c->seat.user.mid, 7);
	assert_int_equal(c->seat.session_id, 1);
	assert_int_equal(message_new(1002, NULL, 0, &m), 0);
	assert_int_equal(channel_push(&c->channel, m, true), -ENOMSG);
	message_unref(&m);
	connection_unref(&c);
	leave(peer);
}

static void what_is_sent_in_a_burst_is_answered_in_one_write(void **state)
{
	(void)state;
	stage_hold_connects(&stage, true);
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "");
	for (int32_t i = 0; i < 3; i++)
		fake_send(peer, OP_HEARTBEAT, 2 + i, "");
	stage_hold_connects(&stage, false);
	until(fake_got(peer) == 4);
	/* The reply to AUTH, and the burst's; a dispatcher that has only just started may find the first of them alone. */
	assert_true(peer->writes <= 3);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fake_packet(peer, i)->seq, i + 1);
	leave(peer);
}

/* More than the ring holds, from a client that reads nothing: its reader waits, and goes on when it reads again. */
static void a_client_that_does_not_read_its_answers_waits_and_loses_none(void **state)
{
	(void)state;
	log_in(peer);
	fake_take(peer, 0);
	for (int32_t i = 0; i < 40; i++)
		fake_send(peer, OP_HEARTBEAT, 2 + i, "");
	until(fake_is_writing(peer));
	assert_int_equal(fake_got(peer), 1);
	fake_take(peer, FAKE_UNLIMITED);
	until(fake_got(peer) == 41);
	for (unsigned i = 0; i < 41; i++)
		assert_int_equal(fake_packet(peer, i)->seq, i + 1);
	leave(peer);
}

static void a_v1_client_is_answered_in_its_dialect(void **state)
{
	int64_t before = closed(CLOSE_PACKET_OP);

	(void)state;
	stage.logic.session.dialect = DIALECT_V1;
	log_in(peer);
	fake_send(peer, OP_HEARTBEAT, 2, "");
	fake_send(peer, OP_SEND, 3, "echo");
	until(fake_got(peer) == 3);
	assert_int_equal(fake_packet(peer, 1)->body_bytes, 0);
	assert_int_equal(fake_packet(peer, 2)->op, OP_SEND_REPLY);
	assert_string_equal(fake_packet(peer, 2)->body, "echo");
	/* An operation that it does not have ends it, without a word. */
	fake_send(peer, 4711, 4, "");
	until_gone(peer);
	assert_int_equal(fake_got(peer), 3);
	assert_int_equal(closed(CLOSE_PACKET_OP), before + 1);
}

/* ---- who does not come in ---- */

static void who_is_refused_is_told_why_in_logics_words(void **state)
{
	int64_t before = counters_read(COUNT_AUTH_REFUSED);

	(void)state;
	stage.logic.connect_rc = -ERR_REFUSED;
	(void)snprintf(stage.logic.session.refusal, sizeof(stage.logic.session.refusal), "the token has expired");
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "");
	heed_goodbye(peer);
	assert_int_equal(fake_got(peer), 1);
	assert_int_equal(told_goodbye(peer, "{\"code\":5,\"reason\":\"the token has expired\"}"), 1);
	assert_int_equal(disconnects(), 0);
	assert_int_equal(counters_read(COUNT_AUTH_REFUSED), before + 1);
}

static void without_logic_nobody_comes_in_and_everybody_is_told(void **state)
{
	int64_t before = counters_read(COUNT_LOGIC_FAILED);

	(void)state;
	stage.logic.connect_rc = -ERR_NO_LOGIC;
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "");
	heed_goodbye(peer);
	assert_int_equal(told_goodbye(peer, "{\"code\":6,\"reason\":\"no logic service answers, try again later\"}"),
			 1);
	assert_int_equal(counters_read(COUNT_LOGIC_FAILED), before + 1);
}

static void a_malformed_packet_before_auth_ends_it_without_a_word(void **state)
{
	int64_t before = closed(CLOSE_PACKET_LENGTH);

	(void)state;
	enter(peer);
	fake_end(peer, -ERR_PACKET_LENGTH);
	until_gone(peer);
	assert_int_equal(fake_got(peer), 0);
	assert_int_equal(atomic_load(&stage.logic.connects), 0);
	assert_int_equal(closed(CLOSE_PACKET_LENGTH), before + 1);
}

static void who_does_not_authenticate_in_time_is_ended(void **state)
{
	int64_t before = closed(CLOSE_HANDSHAKE_TIMEOUT);

	(void)state;
	stage.cfg.protocol_handshake_timeout = 1;
	enter(peer);
	fake_send(peer, OP_HEARTBEAT, 1, "");
	until_gone(peer);
	assert_int_equal(fake_got(peer), 0);
	assert_int_equal(closed(CLOSE_HANDSHAKE_TIMEOUT), before + 1);
}

/* Logic has it registered by then: it must be told. */
static void who_is_too_late_while_logic_thinks_is_taken_back_from_logic(void **state)
{
	int64_t before = closed(CLOSE_HANDSHAKE_TIMEOUT);

	(void)state;
	stage.cfg.protocol_handshake_timeout = 1;
	stage_hold_connects(&stage, true);
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "");
	until(fake_is_shut(peer));
	stage_hold_connects(&stage, false);
	until_gone(peer);
	assert_int_equal(disconnects(), atomic_load(&stage.logic.connects));
	assert_false(is_online("key"));
	assert_int_equal(closed(CLOSE_HANDSHAKE_TIMEOUT), before + 1);
}

static void who_authenticates_while_the_server_drains_is_sent_away(void **state)
{
	(void)state;
	enter(peer);
	admission_drain(&stage.server.admission);
	fake_send(peer, OP_AUTH, 1, "");
	heed_goodbye(peer);
	assert_int_equal(told_goodbye(peer, "{\"code\":4,\"reason\":\"the server is going away, connect again\"}"), 1);
	assert_true(told_disconnect(1));
}

/* ---- the same key again ---- */

static const char replaced_words[] = "{\"code\":2,\"reason\":\"replaced by a newer connection with the same key\"}";

static void a_newer_connection_with_the_key_replaces_the_older(void **state)
{
	int64_t before = counters_read(COUNT_REPLACED);
	struct connection *c;

	(void)state;
	stage.logic.counts_sessions = true;
	log_in(&peers[0]);
	log_in(&peers[1]);
	heed_goodbye(&peers[0]);
	assert_int_equal(told_goodbye(&peers[0], replaced_words), 1);
	assert_int_equal(counters_read(COUNT_REPLACED), before + 1);
	/* The late end of the first took nothing from the second. */
	assert_true(told_disconnect(2));
	c = online("key");
	assert_int_equal(c->seat.session_id, 3);
	connection_unref(&c);
	leave(&peers[1]);
	assert_false(is_online("key"));
}

static void an_older_one_that_arrives_late_is_the_one_replaced(void **state)
{
	(void)state;
	stage.logic.session.id = 9;
	log_in(&peers[0]);
	stage.logic.session.id = 5;
	enter(&peers[1]);
	fake_send(&peers[1], OP_AUTH, 1, "");
	heed_goodbye(&peers[1]);
	assert_int_equal(fake_got(&peers[1]), 1);
	assert_int_equal(told_goodbye(&peers[1], replaced_words), 1);
	assert_true(told_disconnect(5));
	assert_true(is_online("key"));
	leave(&peers[0]);
}

static unsigned finished(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PEERS; i++)
		n += fake_is_finished(&peers[i]);
	return n;
}

static void of_many_with_one_key_one_survives(void **state)
{
	unsigned survivors = 0;

	(void)state;
	stage.logic.counts_sessions = true;
	stage_hold_connects(&stage, true);
	for (unsigned i = 0; i < PEERS; i++) {
		enter(&peers[i]);
		fake_send(&peers[i], OP_AUTH, 1, "");
	}
	until(atomic_load(&stage.logic.connects) == PEERS);
	stage_hold_connects(&stage, false);
	/* All but one are told goodbye, and go. */
	until(disconnects() == PEERS - 1 && finished() == PEERS - 1);
	assert_true(is_online("key"));
	for (unsigned i = 0; i < PEERS; i++) {
		survivors += told_goodbye(&peers[i], replaced_words) == 0 && !fake_is_finished(&peers[i]);
		fake_end(&peers[i], -ERR_EOF);
	}
	for (unsigned i = 0; i < PEERS; i++)
		until_gone(&peers[i]);
	assert_int_equal(survivors, 1);
	assert_false(is_online("key"));
}

/* One may wait for logic at a time, and another does. */
static void who_waits_for_its_turn_to_ask_logic_is_excused(void **state)
{
	int64_t since;

	(void)state;
	if (!parks)
		return; /* each has its own thread to wait on */
	reader_stop_park(&stage.server);
	stage.cfg.logic_calls = 1;
	assert_int_equal(serve_park(&stage.server), 0);
	stage.logic.session.heartbeat_ms = 50;
	log_in(peer);
	stage.logic.session.heartbeat_ms = 60000;
	(void)strcpy(stage.logic.session.key, "other");
	stage_hold_connects(&stage, true);
	enter(&peers[1]);
	fake_send(&peers[1], OP_AUTH, 1, "");
	until(atomic_load(&stage.logic.connects) == 2);
	fake_send(peer, OP_CHANGE_ROOM, 2, "live://2");
	since = clock_now_ns();
	until(clock_now_ns() - since > 300 * CLOCK_MS);
	stage_hold_connects(&stage, false);
	until(fake_got_op(peer, OP_CHANGE_ROOM_REPLY) == 1);
	/* From then on a heartbeat is due again. */
	heed_goodbye(peer);
	assert_true(clock_now_ns() - since > 300 * CLOCK_MS);
	leave(&peers[1]);
}

/* Rooms are written down by logic: how many wait for that, and the most that did at a time. */
static atomic_uint joining, joining_most;
static atomic_bool joins_held;

static void join_slowly(void *self, const char *const *rooms, size_t n)
{
	unsigned now = atomic_fetch_add(&joining, 1) + 1, most = atomic_load(&joining_most);

	(void)self;
	(void)rooms;
	assert_int_equal(n, 1);
	while (now > most && !atomic_compare_exchange_weak(&joining_most, &most, now))
		;
	until(!atomic_load(&joins_held));
	(void)atomic_fetch_sub(&joining, 1);
}

static void log_in_with_streams(struct fake_transport *f, unsigned number)
{
	(void)snprintf(stage.logic.session.key, sizeof(stage.logic.session.key), "key%u", number);
	enter(f);
	fake_send(f, OP_AUTH, 1, "{\"streams\":{}}");
	until(fake_got_op(f, OP_AUTH_REPLY) == 1);
}

static void a_join_waits_for_its_turn_as_all_who_wait_for_logic_do(void **state)
{
	enum { CALLS = 2 };
	int64_t wakes;

	(void)state;
	if (!parks)
		return; /* each has its own thread to wait on */
	reader_stop_park(&stage.server);
	stage.cfg.logic_calls = CALLS;
	stage.server.logic.join = join_slowly;
	assert_int_equal(serve_park(&stage.server), 0);
	for (unsigned i = 0; i < PEERS; i++)
		log_in_with_streams(&peers[i], i);
	until(counters_read(COUNT_PARKED) == PEERS);
	atomic_store(&joins_held, true);
	atomic_store(&joining_most, 0);
	wakes = counters_read(COUNT_WAKES);
	for (unsigned i = 0; i < PEERS; i++)
		fake_send(&peers[i], OP_JOIN, 2, "{\"rooms\":[{\"id\":\"live://1\"}]}");
	/* Each has been found: it waits for logic, or parked for its turn. */
	until(counters_read(COUNT_WAKES) >= wakes + PEERS && atomic_load(&joining) >= CALLS &&
	      counters_read(COUNT_PARKED) + atomic_load(&joining) == PEERS);
	assert_int_equal(atomic_load(&joining_most), CALLS);
	atomic_store(&joins_held, false);
	for (unsigned i = 0; i < PEERS; i++)
		until(fake_got_op(&peers[i], OP_JOIN_REPLY) == 1);
	assert_int_equal(atomic_load(&joining_most), CALLS);
	for (unsigned i = 0; i < PEERS; i++)
		leave(&peers[i]);
}

/* ---- between put and open ---- */

/* The write of AUTH_REPLY is held: the connection is in its bucket, its dispatcher does not run yet. */
static struct connection *hold_in_between(void)
{
	fake_hold_writes(peer, true);
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "");
	until(fake_is_writing(peer));
	return online("key");
}

static void a_push_in_between_goes_out_after_the_reply_to_auth(void **state)
{
	struct connection *c = hold_in_between();
	struct message *m;

	(void)state;
	assert_int_equal(message_new(1000, NULL, 0, &m), 0);
	assert_int_equal(channel_push(&c->channel, m, false), 0);
	message_unref(&m);
	connection_unref(&c);
	fake_hold_writes(peer, false);
	until(fake_got(peer) == 2);
	assert_int_equal(fake_packet(peer, 0)->op, OP_AUTH_REPLY);
	assert_int_equal(fake_packet(peer, 1)->op, 1000);
	leave(peer);
}

static void a_kick_in_between_is_told_after_the_reply_to_auth(void **state)
{
	struct connection *c = hold_in_between();

	(void)state;
	assert_true(connection_shutdown(c, CLOSE_KICKED));
	fake_hold_writes(peer, false);
	until(fake_is_finished(peer));
	/* From here on a second, not a heartbeat's time. */
	assert_true(atomic_load(&c->deadline.deadline_ns) <= clock_now_ns() + CLOCK_SEC);
	connection_unref(&c);
	leave(peer);
	assert_int_equal(fake_got(peer), 2);
	assert_int_equal(fake_packet(peer, 0)->op, OP_AUTH_REPLY);
	assert_int_equal(told_goodbye(peer, "{\"code\":1,\"reason\":\"kicked\"}"), 1);
	assert_true(told_disconnect(1));
}

static void a_reply_to_auth_that_cannot_be_written_ends_it(void **state)
{
	int64_t before = closed(CLOSE_WRITE_FAILED);

	(void)state;
	fake_fail_writes(peer, -ECONNRESET);
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "");
	until_gone(peer);
	assert_true(told_disconnect(1));
	assert_int_equal(closed(CLOSE_WRITE_FAILED), before + 1);
}

/* ---- how it ends ---- */

static void who_sends_more_than_it_may_is_held_back_and_loses_nothing(void **state)
{
	int64_t before = counters_read_by(COUNT_LIMITED, LIMIT_PACKETS), start;
	char body[12];

	(void)state;
	/* The second one has to wait for 100 ms, and each further one as long. */
	rate_change(&stage.server.packets, &(struct rate){.per_second = 10});
	log_in(peer);
	start = clock_now_ns();
	for (int i = 0; i < 4; i++) {
		(void)snprintf(body, sizeof(body), "%d", i);
		fake_send(peer, OP_SUB, i + 2, body);
	}
	until(fake_got_op(peer, OP_SUB_REPLY) == 4);
	assert_true(clock_now_ns() - start >= 300 * CLOCK_MS);
	assert_true(counters_read_by(COUNT_LIMITED, LIMIT_PACKETS) >= before + 3);
	leave(peer);
}

static void who_sends_more_bytes_than_it_may_is_held_back(void **state)
{
	int64_t before = counters_read_by(COUNT_LIMITED, LIMIT_BYTES), start;

	(void)state;
	rate_change(&stage.server.bytes,
		    &(struct rate){.per_second = 10 * (PACKET_HEAD_BYTES + 4), .burst_ns = CLOCK_MS});
	log_in(peer);
	start = clock_now_ns();
	for (int i = 0; i < 3; i++)
		fake_send(peer, OP_SUB, i + 2, "1000");
	until(fake_got_op(peer, OP_SUB_REPLY) == 3);
	assert_true(clock_now_ns() - start >= 190 * CLOCK_MS);
	assert_true(counters_read_by(COUNT_LIMITED, LIMIT_BYTES) >= before + 2);
	leave(peer);
}

static void who_does_not_say_who_he_is_is_read_slowly(void **state)
{
	int64_t before = counters_read_by(COUNT_LIMITED, LIMIT_BEFORE_AUTH), start = clock_now_ns();

	(void)state;
	enter(peer);
	/* Ten at once, then one each 100 ms. */
	for (int i = 0; i < 12; i++)
		fake_send(peer, OP_HEARTBEAT, i, "");
	fake_send(peer, OP_AUTH, 12, "token");
	until(fake_got_op(peer, OP_AUTH_REPLY) == 1);
	assert_true(clock_now_ns() - start >= 190 * CLOCK_MS);
	assert_true(counters_read_by(COUNT_LIMITED, LIMIT_BEFORE_AUTH) >= before + 2);
	leave(peer);
}

static void what_holds_for_packets_holds_before_auth_too(void **state)
{
	int64_t before = counters_read_by(COUNT_LIMITED, LIMIT_PACKETS);

	(void)state;
	rate_change(&stage.server.packets, &(struct rate){.per_second = 9});
	enter(peer);
	fake_send(peer, OP_HEARTBEAT, 1, "");
	fake_send(peer, OP_AUTH, 2, "token");
	until(fake_got_op(peer, OP_AUTH_REPLY) == 1);
	assert_true(counters_read_by(COUNT_LIMITED, LIMIT_PACKETS) >= before + 1);
	leave(peer);
}

static void who_is_held_back_before_auth_is_ended_at_once(void **state)
{
	int64_t before = counters_read_by(COUNT_LIMITED, LIMIT_BEFORE_AUTH);
	struct connection *c = connection_ref(stage_guest(&stage, peer));

	(void)state;
	assert_int_equal(serve_start(&stage.server, c), 0);
	for (int i = 0; i < 60; i++)
		fake_send(peer, OP_HEARTBEAT, i, "");
	until(counters_read_by(COUNT_LIMITED, LIMIT_BEFORE_AUTH) > before);
	connection_abort(c, CLOSE_DRAINING);
	connection_unref(&c);
	until_gone(peer);
	assert_true(counters_read_by(COUNT_LIMITED, LIMIT_BEFORE_AUTH) < before + 45); /* it was not all read first */
}

static void new_tokens_are_taken_one_a_second(void **state)
{
	int64_t before = counters_read_by(COUNT_LIMITED, LIMIT_RENEWALS), start;

	(void)state;
	stage.logic.session.lifetime_ms = 60000;
	stage.logic.renewal.lifetime_ms = 60000;
	log_in(peer);
	start = clock_now_ns();
	for (int i = 0; i < 3; i++)
		fake_send(peer, OP_AUTH, i + 2, "new");
	until(fake_got_op(peer, OP_AUTH_REPLY) == 1 + 3); /* the first is for the one that it came with */
	assert_true(clock_now_ns() - start >= 900 * CLOCK_MS);
	assert_true(counters_read_by(COUNT_LIMITED, LIMIT_RENEWALS) >= before + 1);
	leave(peer);
}

static void a_kick_ends_who_is_held_back_at_once(void **state)
{
	struct connection *c;

	(void)state;
	rate_change(&stage.server.packets, &(struct rate){.per_second = 1});
	log_in(peer);
	for (int i = 0; i < 9; i++)
		fake_send(peer, OP_SUB, i + 2, "1000");
	until(fake_got_op(peer, OP_SUB_REPLY) > 0);
	c = online("key");
	assert_true(connection_shutdown(c, CLOSE_KICKED));
	connection_unref(&c);
	until(told_goodbye(peer, "{\"code\":1,\"reason\":\"kicked\"}") == 1);
	heed_goodbye(peer);
}

static void who_accepts_too_many_ops_is_refused(void **state)
{
	int64_t before = closed(CLOSE_ACCEPTS);
	int32_t accepts[] = {1, 2};

	(void)state;
	stage.cfg.limits_accepts = 1;
	stage.logic.session.accepts = accepts;
	stage.logic.session.n_accepts = 2;
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "token");
	until(told_goodbye(peer, "{\"code\":23,\"reason\":\"accepts more operations than the server allows\"}") == 1);
	heed_goodbye(peer);
	assert_int_equal(closed(CLOSE_ACCEPTS), before + 1);
}

static void a_kick_is_told_and_logic_hears_of_it(void **state)
{
	struct connection *c;

	(void)state;
	log_in(peer);
	c = online("key");
	(void)connection_shutdown(c, CLOSE_KICKED);
	connection_unref(&c);
	heed_goodbye(peer);
	assert_int_equal(told_goodbye(peer, "{\"code\":1,\"reason\":\"kicked\"}"), 1);
	assert_true(told_disconnect(1));
}

static void a_client_that_stays_after_its_goodbye_is_cut_off(void **state)
{
	struct connection *c;

	(void)state;
	log_in(peer);
	c = online("key");
	(void)connection_shutdown(c, CLOSE_KICKED);
	connection_unref(&c);
	until(fake_is_finished(peer));
	/* What it goes on to say is not answered. */
	fake_send(peer, OP_HEARTBEAT, 2, "");
	until_gone(peer);
	assert_int_equal(fake_got(peer), 2);
}

static void a_missed_heartbeat_ends_it_and_is_told(void **state)
{
	(void)state;
	stage.logic.session.heartbeat_ms = 1;
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "");
	heed_goodbye(peer);
	assert_int_equal(told_goodbye(peer, "{\"code\":9,\"reason\":\"no heartbeat in time\"}"), 1);
}

static void a_heartbeat_puts_the_deadline_off(void **state)
{
	struct connection *c;

	(void)state;
	log_in(peer);
	c = online("key");
	seam_clock_set(clock_now_ns() + 30 * CLOCK_SEC, 0);
	fake_send(peer, OP_HEARTBEAT, 2, "");
	until(fake_got(peer) == 2);
	assert_int_equal(atomic_load(&c->deadline.deadline_ns), clock_now_ns() + 60 * CLOCK_SEC);
	connection_unref(&c);
	leave(peer);
}

static void logic_hears_of_heartbeats_once_a_minute(void **state)
{
	int64_t before = counters_read(COUNT_LOGIC_FAILED);

	(void)state;
	stage.logic.session.heartbeat_ms = 480000;
	log_in(peer);
	fake_send(peer, OP_HEARTBEAT, 2, "");
	until(fake_got(peer) == 2);
	assert_int_equal(atomic_load(&stage.logic.heartbeats), 0);
	seam_clock_set(clock_now_ns() + 60 * CLOCK_SEC, 0);
	for (int32_t i = 0; i < 3; i++) {
		fake_send(peer, OP_HEARTBEAT, 3 + i, "");
		until(fake_got(peer) == 3 + (unsigned)i);
	}
	assert_int_equal(atomic_load(&stage.logic.heartbeats), 1);
	/* Without logic the client is answered all the same. */
	stage.logic.heartbeat_rc = -ERR_NO_LOGIC;
	seam_clock_advance(60 * CLOCK_SEC);
	fake_send(peer, OP_HEARTBEAT, 6, "");
	until(fake_got(peer) == 6);
	assert_int_equal(counters_read(COUNT_LOGIC_FAILED), before + 1);
	leave(peer);
}

static void a_bad_room_ends_it_and_is_told(void **state)
{
	(void)state;
	log_in(peer);
	fake_send(peer, OP_CHANGE_ROOM, 2, "a\nb");
	heed_goodbye(peer);
	assert_int_equal(
		told_goodbye(
			peer,
			"{\"code\":10,\"reason\":\"a room id is too long, has control characters or is not UTF-8\"}"),
		1);
}

static void a_cut_inside_a_packet_is_not_a_clients_leaving(void **state)
{
	int64_t before = closed(CLOSE_CLIENT_CUT);

	(void)state;
	log_in(peer);
	fake_end(peer, -ERR_CUT);
	until_gone(peer);
	assert_int_equal(closed(CLOSE_CLIENT_CUT), before + 1);
}

static void a_write_that_fails_ends_the_reader_too(void **state)
{
	int64_t before = closed(CLOSE_WRITE_FAILED);

	(void)state;
	log_in(peer);
	fake_fail_writes(peer, -ECONNRESET);
	fake_send(peer, OP_HEARTBEAT, 2, "");
	until_gone(peer);
	assert_int_equal(closed(CLOSE_WRITE_FAILED), before + 1);
	assert_true(told_disconnect(1));
}

/* A peer that has gone reads no goodbye: a write to it must not hold up the end. */
static void a_client_that_left_is_not_waited_for(void **state)
{
	struct connection *c;
	struct message *m;

	(void)state;
	log_in(peer);
	fake_take(peer, 0);
	c = online("key");
	assert_int_equal(message_new(1000, NULL, 0, &m), 0);
	for (int i = 0; i < 3; i++)
		if (channel_push(&c->channel, m, false) == 1) {
			struct haul h;

			(void)channel_take(&c->channel, &h);
			channel_done_and_release(&c->channel, &h, true);
		}
	message_unref(&m);
	connection_unref(&c);
	until(fake_is_writing(peer));
	leave(peer);
	assert_int_equal(fake_got(peer), 1);
}

/* ---- no threads, no memory ---- */

static void without_a_thread_for_its_reader_a_client_is_told(void **state)
{
	int64_t before = closed(CLOSE_NO_THREAD);

	(void)state;
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(serve_start(&stage.server, stage_guest(&stage, peer)), -EAGAIN);
	assert_true(fake_is_freed(peer));
	assert_int_equal(
		told_goodbye(peer, "{\"code\":11,\"reason\":\"the server has no thread left, try again later\"}"), 1);
	assert_int_equal(closed(CLOSE_NO_THREAD), before + 1);
}

static void without_memory_for_its_readers_stack_a_client_is_told(void **state)
{
	(void)state;
	seam_fail(SEAM_MMAP, 0, 1, ENOMEM);
	assert_int_equal(serve_start(&stage.server, stage_guest(&stage, peer)), -ENOMEM);
	assert_true(fake_is_freed(peer));
	assert_int_equal(
		told_goodbye(peer, "{\"code\":12,\"reason\":\"the server has no memory left, try again later\"}"), 1);
}

static void without_a_thread_for_its_dispatcher_a_client_is_told(void **state)
{
	(void)state;
	seam_fail(SEAM_PTHREAD_CREATE, 1, 1, EAGAIN);
	enter(peer);
	fake_send(peer, OP_AUTH, 1, "");
	heed_goodbye(peer);
	assert_int_equal(fake_got(peer), 2);
	assert_int_equal(
		told_goodbye(peer, "{\"code\":11,\"reason\":\"the server has no thread left, try again later\"}"), 1);
	assert_true(told_disconnect(1));
}

/* No timer bounds this one: it must not wait for the peer to close. */
static void without_memory_for_its_deadline_a_client_is_told_and_cut_off(void **state)
{
	struct timer_entry first[64] = {0};
	struct timer *timer = round_timer(&stage.server.round, 0);
	struct connection *c;

	(void)state;
	/* Stacks for the threads to come. */
	log_in(&peers[1]);
	leave(&peers[1]);
	/* So that one more needs memory. */
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(timer_add(timer, &first[i], INT64_MAX), 0);
	c = stage_guest(&stage, peer);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(serve_start(&stage.server, c), -ENOMEM);
	until_gone(peer);
	assert_int_equal(
		told_goodbye(peer, "{\"code\":12,\"reason\":\"the server has no memory left, try again later\"}"), 1);
	for (unsigned i = 0; i < 64; i++)
		timer_del(&first[i]);
}

/* Whichever allocation of the handshake fails: the client is told, logic too if it knows of it, and nothing is left. */
static void without_memory_in_the_handshake_a_client_is_told(void **state)
{
	int32_t accepts[] = {1000};
	unsigned failures = 0, after = 0;

	(void)state;
	stage.logic.session.accepts = accepts;
	stage.logic.session.n_accepts = 1;
	(void)snprintf(stage.logic.session.room, sizeof(stage.logic.session.room), "live://1");
	for (;; after++) {
		fake_fini(peer);
		fake_init(peer);
		stage_hold_connects(&stage, true);
		enter(peer);
		fake_send(peer, OP_AUTH, 1, "");
		until(atomic_load(&stage.logic.connects) == after + 1);
		/* The reader is inside logic; what it allocates from here on is the handshake's. */
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		stage_hold_connects(&stage, false);
		until(fake_is_finished(peer) || fake_got_op(peer, OP_AUTH_REPLY) == 1);
		failures = seam_failed(SEAM_ALLOC);
		seam_reset();
		leave(peer);
		assert_int_equal(disconnects(), after + 1);
		assert_false(is_online("key"));
		if (failures == 0)
			break;
		assert_int_equal(fake_got_op(peer, OP_AUTH_REPLY), 0);
		assert_int_equal(
			told_goodbye(peer,
				     "{\"code\":12,\"reason\":\"the server has no memory left, try again later\"}"),
			1);
	}
	assert_true(after > 6);
}

static void without_memory_for_an_answer_a_client_is_told(void **state)
{
	(void)state;
	log_in(peer);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	fake_send(peer, OP_HEARTBEAT, 2, "");
	heed_goodbye(peer);
	assert_int_equal(
		told_goodbye(peer, "{\"code\":12,\"reason\":\"the server has no memory left, try again later\"}"), 1);
}

/* ---- tracing ---- */

static void a_traced_client_leaves_its_story_in_the_file(void **state)
{
	char path[] = "/tmp/test_serve_XXXXXX", text[8192];
	int fd = mkstemp(path);
	FILE *f;
	size_t n;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	whitelist_fini(&stage.server.whitelist);
	free(stage.cfg.whitelist_list);
	free(stage.cfg.whitelist_log);
	stage.cfg.whitelist_list = strdup("key");
	stage.cfg.whitelist_log = strdup(path);
	assert_int_equal(whitelist_init(&stage.server.whitelist, &stage.cfg), 0);
	log_in(peer);
	fake_send(peer, OP_HEARTBEAT, 2, "");
	until(fake_got(peer) == 2);
	leave(peer);
	assert_non_null(f = fopen(path, "re"));
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	assert_int_equal(unlink(path), 0);
	for (const char *const *words =
		     (const char *const[]){"event=trace_auth\n", "event=trace_read_end op=2",
					   "event=trace_processed op=3", "event=trace_write_begin op=3",
					   "event=trace_write_end", "event=trace_closed", NULL};
	     *words != NULL; words++)
		assert_non_null(strstr(text, *words));
}

#define serve_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		serve_test(who_accepts_too_many_ops_is_refused),
		serve_test(who_does_not_say_who_he_is_is_read_slowly),
		serve_test(what_holds_for_packets_holds_before_auth_too),
		serve_test(who_is_held_back_before_auth_is_ended_at_once),
		serve_test(new_tokens_are_taken_one_a_second),
		serve_test(a_kick_ends_who_is_held_back_at_once),
		serve_test(who_sends_more_bytes_than_it_may_is_held_back),
		serve_test(who_sends_more_than_it_may_is_held_back_and_loses_nothing),
		serve_test(a_client_comes_says_something_and_goes),
		serve_test(what_comes_before_auth_is_ignored),
		serve_test(a_ping_is_written_back_before_auth_and_after),
		serve_test(what_is_no_packet_is_nobodys_business),
		serve_test(a_transport_with_a_goodbye_says_it_also_to_who_left_first),
		serve_test(who_was_refused_by_the_transport_is_told_so_and_seen_off),
		serve_test(what_logic_says_it_accepts_is_what_it_gets),
		serve_test(what_is_sent_in_a_burst_is_answered_in_one_write),
		serve_test(a_client_that_does_not_read_its_answers_waits_and_loses_none),
		serve_test(a_v1_client_is_answered_in_its_dialect),
		serve_test(who_is_refused_is_told_why_in_logics_words),
		serve_test(without_logic_nobody_comes_in_and_everybody_is_told),
		serve_test(a_malformed_packet_before_auth_ends_it_without_a_word),
		serve_test(who_does_not_authenticate_in_time_is_ended),
		serve_test(who_is_too_late_while_logic_thinks_is_taken_back_from_logic),
		serve_test(who_authenticates_while_the_server_drains_is_sent_away),
		serve_test(a_newer_connection_with_the_key_replaces_the_older),
		serve_test(an_older_one_that_arrives_late_is_the_one_replaced),
		serve_test(of_many_with_one_key_one_survives),
		serve_test(who_waits_for_its_turn_to_ask_logic_is_excused),
		serve_test(a_join_waits_for_its_turn_as_all_who_wait_for_logic_do),
		serve_test(a_push_in_between_goes_out_after_the_reply_to_auth),
		serve_test(a_kick_in_between_is_told_after_the_reply_to_auth),
		serve_test(a_reply_to_auth_that_cannot_be_written_ends_it),
		serve_test(a_kick_is_told_and_logic_hears_of_it),
		serve_test(a_client_that_stays_after_its_goodbye_is_cut_off),
		serve_test(a_missed_heartbeat_ends_it_and_is_told),
		serve_test(a_heartbeat_puts_the_deadline_off),
		serve_test(logic_hears_of_heartbeats_once_a_minute),
		serve_test(a_bad_room_ends_it_and_is_told),
		serve_test(a_cut_inside_a_packet_is_not_a_clients_leaving),
		serve_test(a_write_that_fails_ends_the_reader_too),
		serve_test(a_client_that_left_is_not_waited_for),
		serve_test(without_memory_for_its_deadline_a_client_is_told_and_cut_off),
		serve_test(without_memory_in_the_handshake_a_client_is_told),
		serve_test(without_memory_for_an_answer_a_client_is_told),
		serve_test(a_traced_client_leaves_its_story_in_the_file),
	};

	const struct CMUnitTest threads[] = {
		serve_test(without_a_thread_for_its_reader_a_client_is_told),
		serve_test(without_memory_for_its_readers_stack_a_client_is_told),
		serve_test(without_a_thread_for_its_dispatcher_a_client_is_told),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	failed += cmocka_run_group_tests(threads, NULL, NULL);
	parks = true;
	return failed + cmocka_run_group_tests_name("parked", tests, NULL, NULL);
}
