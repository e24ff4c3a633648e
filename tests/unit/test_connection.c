/* Tests of comet/connection. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comet/connection.h"
#include "comet/goodbye.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define WRITE_TIMEOUT_NS (10 * CLOCK_SEC)

static struct goodbye nowhere;
static const struct connection_options opt = {{.ring_size = 2, .queue_max = 4}, WRITE_TIMEOUT_NS, &nowhere, NULL};
static struct fake_transport peer;
static struct timer *timer;
static struct connection *c;
static atomic_bool by_hand; /* the test calls connection_expired, and the timer's thread does not */

static void fire(struct timer_entry *e)
{
	if (!atomic_load(&by_hand))
		connection_expired(e);
}

static int set_up(void **state)
{
	(void)state;
	fake_init(&peer);
	atomic_store(&by_hand, false);
	if (timer_new(fire, &timer) < 0)
		return -1;
	return connection_new(&peer.base, &opt, &c);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (c != NULL) {
		timer_del(&c->deadline);
		connection_unref(&c);
	}
	timer_free(&timer);
	fake_fini(&peer);
	return 0;
}

static bool is_closed(void)
{
	bool closed;

	lock_take(&c->channel.lock);
	closed = c->channel.closed;
	lock_drop(&c->channel.lock);
	return closed;
}

static int64_t deadline_in(void)
{
	return atomic_load(&c->deadline.deadline_ns) - clock_now_ns();
}

/* The clock stands, so that what is set can be read back to the nanosecond. */
static void arm(int64_t after_ns)
{
	seam_clock_set(clock_now_ns() + 3600 * CLOCK_SEC, 0);
	assert_int_equal(timer_add(timer, &c->deadline, clock_now_ns() + after_ns), 0);
}

static void without_memory_there_is_no_connection_and_the_transport_stays(void **state)
{
	struct connection *none = NULL;

	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(connection_new(&peer.base, &opt, &none), -ENOMEM);
		assert_null(none);
		assert_false(fake_is_freed(&peer));
	}
}

static void each_connection_has_an_id_of_its_own(void **state)
{
	struct fake_transport other;
	struct connection *second;

	(void)state;
	fake_init(&other);
	assert_int_equal(connection_new(&other.base, &opt, &second), 0);
	assert_true(second->id > c->id);
	connection_unref(&second);
	fake_fini(&other);
}

static void the_last_reference_frees_the_transport(void **state)
{
	struct connection *second = connection_ref(c);

	(void)state;
	connection_unref(&c);
	assert_null(c);
	assert_false(fake_is_freed(&peer));
	connection_unref(&second);
	assert_true(fake_is_freed(&peer));
}

static void what_was_queued_to_the_last_is_counted_as_dropped(void **state)
{
	int64_t before = counters_read_by(COUNT_DROPPED, DROP_CLOSED);
	struct message *m;

	(void)state;
	assert_int_equal(message_new(5, "x", 1, &m), 0);
	assert_int_equal(channel_push(&c->channel, m, false), 0);
	assert_int_equal(channel_push(&c->channel, m, false), 0);
	message_unref(&m);
	connection_unref(&c);
	assert_int_equal(counters_read_by(COUNT_DROPPED, DROP_CLOSED), before + 2);
}

static void the_first_reason_wins(void **state)
{
	(void)state;
	assert_false(connection_is_closing(c));
	assert_true(connection_shutdown(c, CLOSE_KICKED));
	assert_true(connection_is_closing(c));
	assert_false(connection_shutdown(c, CLOSE_REPLACED));
	connection_abort(c, CLOSE_DRAINING);
	assert_int_equal(atomic_load(&c->reason), CLOSE_KICKED);
}

static void a_polite_end_closes_the_mailbox_and_lets_the_peer_be_heard(void **state)
{
	(void)state;
	assert_true(connection_shutdown(c, CLOSE_KICKED));
	assert_true(is_closed());
	assert_false(fake_is_shut(&peer));
}

static void a_polite_end_is_bounded_by_the_write_deadline_and_a_second(void **state)
{
	(void)state;
	arm(480 * CLOCK_SEC);
	(void)connection_shutdown(c, CLOSE_KICKED);
	assert_int_equal(deadline_in(), WRITE_TIMEOUT_NS + CLOCK_SEC);
	/* Who comes later does not put it off. */
	seam_clock_advance(CLOCK_SEC);
	(void)connection_shutdown(c, CLOSE_DRAINING);
	assert_int_equal(deadline_in(), WRITE_TIMEOUT_NS);
}

static void a_hard_end_ends_reading_and_writing_at_once(void **state)
{
	(void)state;
	connection_abort(c, CLOSE_DRAINING);
	assert_int_equal(atomic_load(&c->reason), CLOSE_DRAINING);
	assert_true(is_closed());
	assert_true(fake_is_shut(&peer));
}

/* ---- the deadline ---- */

static void a_deadline_in_the_handshake_is_a_hard_end(void **state)
{
	(void)state;
	connection_expired(&c->deadline);
	assert_int_equal(atomic_load(&c->reason), CLOSE_HANDSHAKE_TIMEOUT);
	assert_true(fake_is_shut(&peer));
}

static void a_deadline_later_is_a_missed_heartbeat_and_a_polite_end(void **state)
{
	(void)state;
	atomic_store(&c->in_handshake, false);
	connection_expired(&c->deadline);
	assert_int_equal(atomic_load(&c->reason), CLOSE_HEARTBEAT_TIMEOUT);
	assert_true(is_closed());
	assert_false(fake_is_shut(&peer));
}

static void a_deadline_while_closing_ends_the_patience(void **state)
{
	(void)state;
	atomic_store(&c->in_handshake, false);
	(void)connection_shutdown(c, CLOSE_KICKED);
	connection_expired(&c->deadline);
	assert_int_equal(atomic_load(&c->reason), CLOSE_KICKED);
	assert_true(fake_is_shut(&peer));
}

/* From the timer's own thread: first politely, then, a write deadline and a second later, for good. */
static void the_timer_ends_a_silent_connection_in_two_steps(void **state)
{
	(void)state;
	atomic_store(&c->in_handshake, false);
	arm(-1);
	until(is_closed());
	until(deadline_in() == WRITE_TIMEOUT_NS + CLOCK_SEC);
	seam_clock_advance(WRITE_TIMEOUT_NS + CLOCK_SEC);
	timer_set(&c->deadline, clock_now_ns() - 1);
	until(fake_is_shut(&peer));
}

/* ---- a lifetime ---- */

/* Past the handshake, with a heartbeat due in a minute. */
static void come_in(void)
{
	arm(5 * CLOCK_SEC);
	atomic_store(&c->in_handshake, false);
	c->heartbeat_ns = 60 * CLOCK_SEC;
	connection_heard(c);
}

static void the_deadline_is_the_earlier_of_heartbeat_and_lifetime(void **state)
{
	(void)state;
	come_in();
	assert_false(connection_expires(c));
	assert_int_equal(deadline_in(), 60 * CLOCK_SEC);
	connection_set_lifetime(c, 90000);
	assert_true(connection_expires(c));
	assert_int_equal(deadline_in(), 60 * CLOCK_SEC);
	seam_clock_advance(50 * CLOCK_SEC);
	connection_heard(c);
	assert_int_equal(deadline_in(), 40 * CLOCK_SEC); /* a heartbeat does not put it off */
	connection_set_lifetime(c, 20000);
	assert_int_equal(deadline_in(), 20 * CLOCK_SEC);
	connection_set_lifetime(c, 3600000);
	assert_int_equal(deadline_in(), 60 * CLOCK_SEC); /* nor is a new token a heartbeat */
	connection_set_lifetime(c, 0);
	assert_false(connection_expires(c));
}

/* ---- pings ---- */

/* Served, with a ping due in 40 s and a heartbeat in 60, and nobody writes. */
static void come_in_with_pings(void)
{
	const struct haul nothing = {0};

	atomic_store(&by_hand, true);
	channel_done_and_release(&c->channel, &nothing, false);
	arm(5 * CLOCK_SEC);
	fake_knows_pings(&peer, clock_now_ns() + 40 * CLOCK_SEC);
	atomic_store(&c->in_handshake, false);
	c->heartbeat_ns = 60 * CLOCK_SEC;
	connection_heard(c);
	assert_int_equal(deadline_in(), 40 * CLOCK_SEC);
}

static void ping_is_due(int rc)
{
	seam_clock_advance(40 * CLOCK_SEC);
	peer.ping_rc = rc;
	connection_expired(&c->deadline);
}

static void a_ping_is_sent_when_it_is_due(void **state)
{
	(void)state;
	come_in_with_pings();
	connection_expired(&c->deadline); /* something came meanwhile */
	assert_int_equal(fake_pings(&peer), 0);
	ping_is_due(0);
	assert_int_equal(fake_pings(&peer), 1);
	assert_false(connection_is_closing(c));
	assert_int_equal(c->channel.baton, BATON_FREE);
}

static void while_somebody_writes_there_is_no_ping(void **state)
{
	(void)state;
	come_in_with_pings();
	assert_true(channel_seize(&c->channel));
	ping_is_due(0);
	assert_int_equal(fake_pings(&peer), 0);
	assert_int_equal(deadline_in(), CLOCK_SEC);
}

static void a_ping_that_does_not_go_now_is_tried_again_but_puts_off_no_end(void **state)
{
	(void)state;
	come_in_with_pings();
	ping_is_due(-EAGAIN);
	assert_int_equal(fake_pings(&peer), 1);
	assert_int_equal(deadline_in(), CLOCK_SEC);
	seam_clock_advance(39 * CLOCK_SEC / 2);
	connection_expired(&c->deadline);
	assert_int_equal(deadline_in(), CLOCK_SEC / 2);
	assert_false(connection_is_closing(c));
}

static void who_does_not_answer_a_ping_is_closed_with_a_reason_of_its_own(void **state)
{
	(void)state;
	come_in_with_pings();
	ping_is_due(-ETIMEDOUT);
	assert_int_equal(atomic_load(&c->reason), CLOSE_PONG_TIMEOUT);
	assert_true(is_closed());
	assert_false(fake_is_shut(&peer));
	assert_int_equal(deadline_in(), WRITE_TIMEOUT_NS + CLOCK_SEC);
}

static void a_lifetime_beyond_the_clock_is_for_ever(void **state)
{
	(void)state;
	come_in();
	connection_set_lifetime(c, INT64_MAX);
	assert_false(connection_expires(c));
	connection_set_lifetime(c, INT64_MAX / CLOCK_MS);
	assert_false(connection_expires(c));
	assert_int_equal(deadline_in(), 60 * CLOCK_SEC);
}

static void a_lifetime_set_in_the_handshake_counts_after_it(void **state)
{
	(void)state;
	arm(5 * CLOCK_SEC);
	c->heartbeat_ns = 60 * CLOCK_SEC;
	connection_set_lifetime(c, 1000);
	assert_int_equal(deadline_in(), 5 * CLOCK_SEC);
	atomic_store(&c->in_handshake, false);
	connection_heard(c);
	assert_int_equal(deadline_in(), CLOCK_SEC);
}

/* It would be overdue at once: no heartbeat is due yet. */
static void one_that_moves_in_its_handshake_is_not_late_for_it(void **state)
{
	(void)state;
	arm(5 * CLOCK_SEC);
	c->heartbeat_ns = 60 * CLOCK_SEC;
	connection_forewarn(c);
	connection_replaced(c);
	assert_int_equal(deadline_in(), 5 * CLOCK_SEC);
	atomic_store(&c->in_handshake, false);
	connection_heard(c);
	assert_int_equal(deadline_in(), CLOCK_SEC / 2);
	seam_clock_advance(CLOCK_SEC / 2);
	connection_expired(&c->deadline);
	assert_int_equal(atomic_load(&c->reason), CLOSE_REPLACED);
}

static void a_lifetime_that_is_over_has_its_own_reason(void **state)
{
	(void)state;
	come_in();
	connection_set_lifetime(c, 1000);
	seam_clock_advance(CLOCK_SEC);
	connection_expired(&c->deadline);
	assert_int_equal(atomic_load(&c->reason), CLOSE_AUTH_EXPIRED);
	assert_true(is_closed());
	assert_false(fake_is_shut(&peer));
}

static void an_end_that_was_put_off_on_the_last_moment_is_none(void **state)
{
	(void)state;
	come_in();
	connection_set_lifetime(c, 1000);
	seam_clock_advance(CLOCK_SEC);
	connection_set_lifetime(c, 5000); /* before the timer's thread gets to it */
	connection_expired(&c->deadline);
	assert_false(connection_is_closing(c));
	assert_int_equal(deadline_in(), 5 * CLOCK_SEC);
	seam_clock_advance(59 * CLOCK_SEC);
	connection_set_lifetime(c, 0);
	connection_expired(&c->deadline);
	assert_int_equal(atomic_load(&c->reason), CLOSE_HEARTBEAT_TIMEOUT);
}

static void the_patience_of_a_goodbye_is_not_put_off_by_a_new_token(void **state)
{
	(void)state;
	come_in();
	(void)connection_shutdown(c, CLOSE_KICKED);
	connection_set_lifetime(c, 3600000);
	assert_int_equal(deadline_in(), WRITE_TIMEOUT_NS + CLOCK_SEC);
}

/* ---- the goodbye ---- */

static void the_goodbye_is_op_6_with_the_reason_then_the_end(void **state)
{
	(void)state;
	arm(480 * CLOCK_SEC);
	(void)connection_shutdown(c, CLOSE_KICKED);
	connection_say_goodbye(c, TRANSPORT_WAIT);
	assert_int_equal(fake_got(&peer), 1);
	assert_int_equal(fake_packet(&peer, 0)->op, OP_DISCONNECT);
	assert_int_equal(fake_packet(&peer, 0)->ver, 1);
	assert_string_equal(fake_packet(&peer, 0)->body, "{\"code\":1,\"reason\":\"kicked\"}");
	assert_true(fake_is_finished(&peer));
	assert_false(fake_is_shut(&peer));
	/* So long the peer has to read it. */
	assert_int_equal(deadline_in(), CLOCK_SEC);
}

static void a_v1_client_is_told_in_its_version(void **state)
{
	(void)state;
	c->dialect = DIALECT_V1;
	(void)connection_shutdown(c, CLOSE_REPLACED);
	connection_say_goodbye(c, TRANSPORT_WAIT);
	assert_int_equal(fake_packet(&peer, 0)->ver, 0);
}

static void logics_own_words_are_told(void **state)
{
	(void)state;
	c->refusal = strdup("banned");
	(void)connection_shutdown(c, CLOSE_AUTH_REFUSED);
	connection_say_goodbye(c, TRANSPORT_WAIT);
	assert_string_equal(fake_packet(&peer, 0)->body, "{\"code\":5,\"reason\":\"banned\"}");
}

static void a_reason_without_a_code_is_not_told(void **state)
{
	(void)state;
	(void)connection_shutdown(c, CLOSE_PACKET_LENGTH);
	connection_say_goodbye(c, TRANSPORT_WAIT);
	assert_int_equal(fake_got(&peer), 0);
	assert_true(fake_is_finished(&peer));
}

static void a_goodbye_that_cannot_be_written_is_an_end_all_the_same(void **state)
{
	(void)state;
	fake_fail_writes(&peer, -EPIPE);
	(void)connection_shutdown(c, CLOSE_KICKED);
	connection_say_goodbye(c, TRANSPORT_WAIT);
	assert_int_equal(fake_got(&peer), 0);
	assert_true(fake_is_finished(&peer));
}

static void the_peer_is_named_with_its_port(void **state)
{
	char text[TRANSPORT_PEER_BYTES];

	(void)state;
	assert_string_equal(connection_peer(c, text), "192.0.2.1:1234");
}

static bool is_asleep(void)
{
	bool asleep;

	lock_take(&c->channel.lock);
	asleep = c->channel.baton == BATON_FREE;
	lock_drop(&c->channel.lock);
	return asleep;
}

static void *wait_and_say_goodbye(void *arg)
{
	struct haul h;

	(void)channel_ready(&c->channel);
	(void)channel_take(&c->channel, &h);
	connection_say_goodbye(c, TRANSPORT_WAIT);
	return arg;
}

/* The dispatcher may be through with its goodbye before the one who ended it goes on. */
static void after_the_goodbye_the_peer_has_a_second_whoever_is_faster(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		pthread_t dispatcher;

		arm(480 * CLOCK_SEC);
		assert_int_equal(channel_open(&c->channel), 0);
		assert_int_equal(pthread_create(&dispatcher, NULL, wait_and_say_goodbye, NULL), 0);
		until(is_asleep());
		assert_true(connection_shutdown(c, CLOSE_KICKED));
		assert_int_equal(pthread_join(dispatcher, NULL), 0);
		assert_int_equal(deadline_in(), CLOCK_SEC);
		timer_del(&c->deadline);
		connection_unref(&c);
		fake_fini(&peer);
		fake_init(&peer);
		assert_int_equal(connection_new(&peer.base, &opt, &c), 0);
		seam_reset();
	}
}

static const struct transport_ops *its_ops;
static int looks;

/* The second look is that of who files; the reader files meanwhile. */
static int64_t the_end_comes_forward(const struct transport *t)
{
	(void)t;
	if (++looks == 2)
		connection_set_lifetime(c, 600000);
	return INT64_MAX;
}

static void an_end_that_comes_forward_is_filed_whoever_files_at_the_same_time(void **state)
{
	struct transport_ops ops;

	(void)state;
	its_ops = peer.base.ops;
	ops = *its_ops;
	ops.ping_due_ns = the_end_comes_forward;
	arm(60 * CLOCK_SEC);
	c->heartbeat_ns = 3600 * CLOCK_SEC;
	connection_end_handshake(c);
	looks = 0;
	peer.base.ops = &ops;
	connection_expired(&c->deadline);
	peer.base.ops = its_ops;
	assert_int_equal(looks, 3);
	assert_int_equal(deadline_in(), 600 * CLOCK_SEC);
}

static void *kick(void *arg)
{
	struct connection *mine = arg;

	(void)connection_shutdown(mine, CLOSE_KICKED);
	connection_unref(&mine);
	return NULL;
}

/* Threads that found it in a bucket end it while its own thread leaves. */
static void many_may_end_it_while_it_ends_itself(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		pthread_t kickers[3];

		assert_int_equal(timer_add(timer, &c->deadline, clock_now_ns() + CLOCK_SEC), 0);
		for (int i = 0; i < 3; i++)
			assert_int_equal(pthread_create(&kickers[i], NULL, kick, connection_ref(c)), 0);
		timer_del(&c->deadline);
		connection_unref(&c);
		for (int i = 0; i < 3; i++)
			assert_int_equal(pthread_join(kickers[i], NULL), 0);
		assert_true(fake_is_freed(&peer));
		fake_fini(&peer);
		fake_init(&peer);
		assert_int_equal(connection_new(&peer.base, &opt, &c), 0);
	}
}

#define connection_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		connection_test(without_memory_there_is_no_connection_and_the_transport_stays),
		connection_test(each_connection_has_an_id_of_its_own),
		connection_test(the_last_reference_frees_the_transport),
		connection_test(what_was_queued_to_the_last_is_counted_as_dropped),
		connection_test(the_first_reason_wins),
		connection_test(a_polite_end_closes_the_mailbox_and_lets_the_peer_be_heard),
		connection_test(a_polite_end_is_bounded_by_the_write_deadline_and_a_second),
		connection_test(a_hard_end_ends_reading_and_writing_at_once),
		connection_test(a_deadline_in_the_handshake_is_a_hard_end),
		connection_test(a_deadline_later_is_a_missed_heartbeat_and_a_polite_end),
		connection_test(a_deadline_while_closing_ends_the_patience),
		connection_test(the_timer_ends_a_silent_connection_in_two_steps),
		connection_test(the_goodbye_is_op_6_with_the_reason_then_the_end),
		connection_test(a_v1_client_is_told_in_its_version),
		connection_test(the_deadline_is_the_earlier_of_heartbeat_and_lifetime),
		connection_test(a_ping_is_sent_when_it_is_due),
		connection_test(while_somebody_writes_there_is_no_ping),
		connection_test(a_ping_that_does_not_go_now_is_tried_again_but_puts_off_no_end),
		connection_test(who_does_not_answer_a_ping_is_closed_with_a_reason_of_its_own),
		connection_test(a_lifetime_beyond_the_clock_is_for_ever),
		connection_test(a_lifetime_set_in_the_handshake_counts_after_it),
		connection_test(one_that_moves_in_its_handshake_is_not_late_for_it),
		connection_test(a_lifetime_that_is_over_has_its_own_reason),
		connection_test(an_end_that_was_put_off_on_the_last_moment_is_none),
		connection_test(the_patience_of_a_goodbye_is_not_put_off_by_a_new_token),
		connection_test(logics_own_words_are_told),
		connection_test(a_reason_without_a_code_is_not_told),
		connection_test(a_goodbye_that_cannot_be_written_is_an_end_all_the_same),
		connection_test(the_peer_is_named_with_its_port),
		connection_test(after_the_goodbye_the_peer_has_a_second_whoever_is_faster),
		connection_test(an_end_that_comes_forward_is_filed_whoever_files_at_the_same_time),
		connection_test(many_may_end_it_while_it_ends_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
