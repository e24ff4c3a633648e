/* Tests of comet/transport/ws_link: both worlds played by the test, without a socket. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/v1_json.h"
#include "comet/transport/ws_link.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define MAX_BODY 1000
#define FRONT    16

struct bench {
	struct ws_link *link;
	struct transport *t;
	struct ws_frame frame;
	atomic_uint asked;
};

static void ask(void *service, struct ws_link *link)
{
	struct bench *b = service;

	assert_ptr_equal(link, b->link);
	atomic_fetch_add(&b->asked, 1);
}

static int set_up(void **state)
{
	static const struct sockaddr_in peer = {.sin_family = AF_INET};
	struct bench *b = calloc(1, sizeof(*b));
	struct ws_link_options opt = {
		.max_body = MAX_BODY, .write_timeout_ns = 50 * CLOCK_MS, .ask = ask, .service = b};

	*state = b;
	return ws_link_new((const struct sockaddr *)&peer, &opt, &b->link, &b->t);
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	seam_reset();
	transport_free(&b->t);
	if (b->link != NULL)
		ws_link_unref(&b->link);
	free(b->frame.data);
	free(b);
	return 0;
}

static int feed(struct bench *b, const void *bytes, size_t n)
{
	return ws_link_receive(b->link, bytes, n, true, true, false, 0);
}

static int feed_text(struct bench *b, const char *text)
{
	return ws_link_receive(b->link, text, strlen(text), true, true, true, 0);
}

static int feed_packet(struct bench *b, int32_t op, const char *body)
{
	uint8_t packet[256];
	size_t n = strlen(body);

	packet_encode(packet, 1, op, 3, (uint32_t)n);
	memcpy(packet + PACKET_HEAD_BYTES, body, n);
	return feed(b, packet, PACKET_HEAD_BYTES + n);
}

/* ---- reading ---- */

static void whole_message_is_a_packet(void **state)
{
	struct bench *b = *state;
	struct packet p;

	assert_false(transport_has_packet(b->t));
	assert_int_equal(feed_packet(b, 7, "token"), 0);
	assert_true(transport_has_packet(b->t));
	assert_int_equal(transport_read(b->t, &p), 0);
	assert_int_equal(p.op, 7);
	assert_int_equal(p.seq, 3);
	assert_int_equal(p.body_bytes, 5);
	assert_memory_equal(p.body, "token", 5);
	assert_false(transport_is_text(b->t));
}

static void message_may_come_byte_by_byte(void **state)
{
	struct bench *b = *state;
	uint8_t packet[PACKET_HEAD_BYTES + 5];
	struct packet p;

	packet_encode(packet, 1, 7, 3, 5);
	memcpy(packet + PACKET_HEAD_BYTES, "token", 5);
	for (size_t i = 0; i < sizeof(packet); i++) {
		assert_false(transport_has_packet(b->t));
		assert_int_equal(ws_link_receive(b->link, packet + i, 1, i == 0, i + 1 == sizeof(packet), false, 0), 0);
	}
	assert_int_equal(transport_read(b->t, &p), 0);
	assert_memory_equal(p.body, "token", 5);
}

static void message_that_is_no_packet_is_refused(void **state)
{
	static const struct {
		uint32_t says, has;
	} lengths[] = {{5, 4}, {5, 6}, {0, 1}, {100, 0}};
	struct bench *b = *state;
	struct packet p;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t packet[64] = {0};

		packet_encode(packet, 1, 7, 3, lengths[i].says);
		assert_int_equal(feed(b, packet, PACKET_HEAD_BYTES + (size_t)lengths[i].has), 0);
		assert_int_equal(transport_read(b->t, &p), -ERR_PACKET_LENGTH);
		assert_null(p.body);
	}
	assert_int_equal(feed(b, "short", 5), 0);
	assert_int_equal(transport_read(b->t, &p), -ERR_PACKET_LENGTH);
	assert_int_equal(feed(b, NULL, 0), 0);
	assert_int_equal(transport_read(b->t, &p), -ERR_PACKET_LENGTH);
	assert_int_equal(ws_link_close_code(b->link), WS_CLOSE_POLICY);
}

static void longest_message_is_taken_and_a_longer_one_is_not(void **state)
{
	struct bench *b = *state;
	uint8_t packet[PACKET_HEAD_BYTES + MAX_BODY + 1] = {0};
	struct packet p;

	packet_encode(packet, 1, 7, 3, MAX_BODY);
	assert_int_equal(feed(b, packet, sizeof(packet) - 1), 0);
	assert_int_equal(transport_read(b->t, &p), 0);
	assert_int_equal(p.body_bytes, MAX_BODY);
	assert_int_equal(feed(b, packet, sizeof(packet)), -ERR_PACKET_BODY);
	assert_int_equal(ws_link_close_code(b->link), WS_CLOSE_TOO_BIG);
	assert_int_equal(transport_read(b->t, &p), -ERR_PACKET_BODY);
}

static void too_long_a_message_is_refused_before_it_is_read(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ws_link_receive(b->link, "x", 1, true, false, false, UINT64_MAX >> 1), -ERR_PACKET_BODY);
}

static void text_and_binary_do_not_mix(void **state)
{
	struct bench *b = *state;
	struct packet p;

	assert_int_equal(feed_text(b, "{\"ver\":1,\"op\":7,\"seq\":1,\"body\":123}"), 0);
	assert_int_equal(transport_read(b->t, &p), 0);
	assert_true(transport_is_text(b->t));
	assert_memory_equal(p.body, "123", 3);
	assert_int_equal(feed_packet(b, 2, ""), -ERR_FRAME);
	assert_int_equal(ws_link_close_code(b->link), WS_CLOSE_UNSUPPORTED);
}

static void text_must_be_utf8_and_a_packet(void **state)
{
	struct bench *b = *state;
	struct packet p;

	assert_int_equal(feed_text(b, "{}"), 0);
	assert_int_equal(transport_read(b->t, &p), -ERR_PACKET_JSON);
	/* A sequence that is cut by a fragment's end is whole in the message. */
	assert_int_equal(ws_link_receive(b->link, "\"\xc3", 2, true, false, true, 0), 0);
	assert_int_equal(ws_link_receive(b->link, "\xa9\"", 2, false, true, true, 0), 0);
	assert_int_equal(feed_text(b, "\xc3"), -ERR_FRAME);
	assert_int_equal(ws_link_close_code(b->link), WS_CLOSE_NOT_CONSISTENT);
}

static void full_inbox_stops_the_socket_until_half_is_read(void **state)
{
	struct bench *b = *state;
	struct packet p;

	for (unsigned i = 0; i < WS_LINK_INBOX; i++)
		assert_int_equal(feed_packet(b, 2, ""), i + 1 == WS_LINK_INBOX);
	for (unsigned i = 0; i + 1 < WS_LINK_INBOX / 2; i++)
		assert_int_equal(transport_read(b->t, &p), 0);
	assert_int_equal(ws_link_wishes(b->link), 0);
	assert_int_equal(transport_read(b->t, &p), 0);
	assert_int_equal(atomic_load(&b->asked), 1);
	assert_int_equal(ws_link_wishes(b->link), WS_WISH_READ);
}

static void what_came_before_the_end_is_read_first(void **state)
{
	struct bench *b = *state;
	struct packet p;

	assert_int_equal(feed_packet(b, 2, ""), 0);
	ws_link_end(b->link, 0);
	ws_link_end(b->link, -ERR_CUT); /* the first counts */
	assert_int_equal(transport_read(b->t, &p), 0);
	assert_int_equal(transport_read(b->t, &p), -ERR_EOF);
	assert_int_equal(transport_read(b->t, &p), -ERR_EOF);
}

static void message_without_memory_ends_the_connection(void **state)
{
	struct bench *b = *state;
	struct packet p;

	seam_fail(SEAM_ALLOC, 0, 1, 0);
	assert_int_equal(feed_packet(b, 2, ""), -ENOMEM);
	assert_int_equal(ws_link_close_code(b->link), WS_CLOSE_INTERNAL);
	assert_int_equal(transport_read(b->t, &p), -ENOMEM);
}

static void *read_one(void *arg)
{
	struct bench *b = arg;
	struct packet p;

	return (void *)(intptr_t)transport_read(b->t, &p);
}

static void shutdown_wakes_the_reader(void **state)
{
	struct bench *b = *state;
	pthread_t reader;
	void *rc;

	assert_int_equal(pthread_create(&reader, NULL, read_one, b), 0);
	transport_shutdown(b->t);
	transport_shutdown(b->t);
	assert_int_equal(pthread_join(reader, &rc), 0);
	assert_int_equal((intptr_t)rc, -ERR_EOF);
	assert_int_equal(atomic_load(&b->asked), 1);
	assert_int_equal(ws_link_wishes(b->link), WS_WISH_KILL);
}

/* ---- writing ---- */

static int write_haul(struct bench *b, struct haul *h, enum dialect dialect, enum transport_wait wait)
{
	return transport_write(b->t, h, dialect, wait);
}

static struct message *message_of(const char *body)
{
	struct message *m;

	assert_int_equal(message_new(1000, body, (uint32_t)strlen(body), &m), 0);
	return m;
}

static void assert_frame(struct bench *b, const void *wanted, size_t n, bool is_text)
{
	assert_int_equal(ws_link_next_frame(b->link, FRONT, &b->frame), WS_NEXT_FRAME);
	assert_int_equal(b->frame.is_text, is_text);
	assert_int_equal(b->frame.bytes, n);
	assert_memory_equal(b->frame.data + FRONT, wanted, n);
}

static void answers_go_alone_and_pushes_together(void **state)
{
	struct bench *b = *state;
	struct packet answers[2] = {{.ver = 1, .op = 3, .seq = 7}, {.ver = 1, .op = 13, .seq = 8}};
	struct message *m[2] = {message_of("one"), message_of("two")};
	struct haul h = {
		.answers = {&answers[0], &answers[1]}, .n_answers = 2, .messages = {m[0], m[1]}, .n_messages = 2};
	uint8_t wanted[PACKET_HEAD_BYTES * 3 + 6];

	assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_NOW), 0);
	assert_int_equal(h.answers_done, 2);
	assert_int_equal(h.messages_done, 2);
	assert_int_equal(atomic_load(&b->asked), 1);
	assert_int_equal(ws_link_wishes(b->link), WS_WISH_WRITE);
	packet_encode(wanted, 1, 3, 7, 0);
	assert_frame(b, wanted, PACKET_HEAD_BYTES, false);
	packet_encode(wanted, 1, 13, 8, 0);
	assert_frame(b, wanted, PACKET_HEAD_BYTES, false);
	packet_encode(wanted, 1, OP_RAW, 0, 2 * PACKET_HEAD_BYTES + 6);
	packet_encode(wanted + 16, 1, 1000, 0, 3);
	memcpy(wanted + 32, "one", 3);
	packet_encode(wanted + 35, 1, 1000, 0, 3);
	memcpy(wanted + 51, "two", 3);
	assert_frame(b, wanted, sizeof(wanted), false);
	assert_int_equal(ws_link_next_frame(b->link, FRONT, &b->frame), WS_NEXT_NOTHING);
	message_unref(&m[0]);
	message_unref(&m[1]);
}

static void v1_gets_its_packets_bare(void **state)
{
	struct bench *b = *state;
	struct message *m = message_of("one");
	struct haul h = {.messages = {m, m}, .n_messages = 2};
	uint8_t wanted[2 * (PACKET_HEAD_BYTES + 3)];

	assert_int_equal(write_haul(b, &h, DIALECT_V1, TRANSPORT_NOW), 0);
	for (unsigned i = 0; i < 2; i++) {
		packet_encode(wanted + 19 * i, 0, 5, 0, 3);
		memcpy(wanted + 19 * i + 16, "one", 3);
	}
	assert_frame(b, wanted, sizeof(wanted), false);
	message_unref(&m);
}

static void who_speaks_text_gets_arrays(void **state)
{
	static const char answer[] = "[{\"ver\":1,\"op\":8,\"seq\":3,\"body\":{}}]\n";
	static const char pushes[] =
		"[{\"ver\":0,\"op\":5,\"seq\":0,\"body\":\"one\"},{\"ver\":0,\"op\":5,\"seq\":0,\"body\":{}}]";
	struct bench *b = *state;
	struct packet p = {.ver = 1, .op = 8, .seq = 3};
	struct message *m[2] = {message_of("one"), message_of("{}")};
	struct haul h = {.answers = {&p}, .n_answers = 1, .messages = {m[0], m[1]}, .n_messages = 2};

	assert_int_equal(feed_text(b, "{}"), 0);
	assert_int_equal(write_haul(b, &h, DIALECT_V1_JSON, TRANSPORT_NOW), 0);
	assert_frame(b, answer, sizeof(answer) - 1, true);
	assert_frame(b, pushes, sizeof(pushes) - 1, true);
	message_unref(&m[0]);
	message_unref(&m[1]);
}

/* A goodbye to one for whom there is no thread, say: what it speaks is found out when its first message has come. */
static void answer_from_before_the_first_message_stays_binary(void **state)
{
	struct bench *b = *state;
	struct packet p = {.ver = 1, .op = 6};
	struct haul h = {.answers = {&p}, .n_answers = 1};
	uint8_t wanted[PACKET_HEAD_BYTES];

	packet_encode(wanted, 1, 6, 0, 0);
	assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_NOW), 0);
	assert_int_equal(feed_text(b, "{}"), 0);
	assert_frame(b, wanted, sizeof(wanted), false);
}

static void fill_outbox(struct bench *b)
{
	struct message *m = message_of("x");
	struct haul h = {.messages = {m}, .n_messages = 1};

	for (unsigned i = 0; i < WS_LINK_OUTBOX; i++)
		assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_NOW), 0);
	message_unref(&m);
}

static void choked_socket_is_not_waited_for_with_now(void **state)
{
	struct bench *b = *state;
	struct message *m = message_of("x");
	struct haul h = {.messages = {m}, .n_messages = 1};

	fill_outbox(b);
	ws_link_set_choked(b->link, true);
	assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_NOW), -EAGAIN);
	assert_int_equal(h.messages_done, 0);
	assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_WAIT), -ETIMEDOUT);
	assert_int_equal(h.messages_done, 0);
	message_unref(&m);
}

struct writer {
	struct bench *b;
	struct message *m;
	atomic_int rc;
};

static void *write_many(void *arg)
{
	struct writer *w = arg;
	struct haul h = {.n_messages = HAUL_MESSAGES};

	for (unsigned i = 0; i < HAUL_MESSAGES; i++)
		h.messages[i] = w->m;
	atomic_store(&w->rc, write_haul(w->b, &h, DIALECT_V2, TRANSPORT_NOW));
	return NULL;
}

static void busy_service_thread_is_waited_for_with_now(void **state)
{
	struct bench *b = *state;
	struct writer w = {.b = b, .m = message_of("y"), .rc = 1};
	pthread_t thread;
	unsigned frames = 0;

	fill_outbox(b);
	assert_int_equal(pthread_create(&thread, NULL, write_many, &w), 0);
	until((frames += ws_link_next_frame(b->link, FRONT, &b->frame) == WS_NEXT_FRAME) > 0 &&
	      atomic_load(&w.rc) != 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&w.rc), 0);
	message_unref(&w.m);
}

static void writing_fails_once_the_peer_is_gone(void **state)
{
	struct bench *b = *state;
	struct packet p = {.op = 3};
	struct haul h = {.answers = {&p}, .n_answers = 1};

	ws_link_end(b->link, -ERR_CUT);
	assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_WAIT), -EPIPE);
	assert_int_equal(h.answers_done, 0);
}

static void close_comes_after_all_that_was_written(void **state)
{
	struct bench *b = *state;
	struct packet p = {.op = 6};
	struct haul h = {.answers = {&p}, .n_answers = 1};

	assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_WAIT), 0);
	assert_false(ws_link_is_closing(b->link));
	transport_finish_writing(b->t);
	assert_true(ws_link_is_closing(b->link));
	assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_WAIT), -EPIPE);
	assert_int_equal(ws_link_next_frame(b->link, FRONT, &b->frame), WS_NEXT_FRAME);
	assert_int_equal(ws_link_next_frame(b->link, FRONT, &b->frame), WS_NEXT_CLOSE);
	assert_int_equal(ws_link_close_code(b->link), WS_CLOSE_NORMAL);
}

static void answer_without_memory_is_not_done(void **state)
{
	struct bench *b = *state;
	struct packet p = {.op = 3};
	struct haul h = {.answers = {&p}, .n_answers = 1};

	seam_fail(SEAM_ALLOC, 0, 1, 0);
	assert_int_equal(write_haul(b, &h, DIALECT_V2, TRANSPORT_NOW), -ENOMEM);
	assert_int_equal(h.answers_done, 0);
}

static void frame_without_memory_ends_the_connection(void **state)
{
	struct bench *b = *state;
	struct packet p;

	fill_outbox(b);
	seam_fail(SEAM_ALLOC, 0, 1, 0);
	assert_int_equal(ws_link_next_frame(b->link, FRONT, &b->frame), WS_NEXT_CLOSE);
	assert_int_equal(ws_link_close_code(b->link), WS_CLOSE_INTERNAL);
	assert_int_equal(transport_read(b->t, &p), -ENOMEM);
}

/* ---- the end ---- */

static void last_reference_frees_what_is_left(void **state)
{
	struct bench *b = *state;

	assert_int_equal(feed_packet(b, 2, ""), 0);
	assert_int_equal(ws_link_receive(b->link, "half", 4, true, false, false, 0), 0);
	fill_outbox(b);
	ws_link_unref(&b->link);
	assert_null(b->link); /* and the sanitizer says that all is freed in tear_down */
}

static void link_without_memory_is_refused(void **state)
{
	static const struct sockaddr_in peer = {.sin_family = AF_INET};
	struct ws_link_options opt = {.ask = ask};
	struct ws_link *link;
	struct transport *t;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, 0);
	assert_int_equal(ws_link_new((const struct sockaddr *)&peer, &opt, &link, &t), -ENOMEM);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(whole_message_is_a_packet),
		test(message_may_come_byte_by_byte),
		test(message_that_is_no_packet_is_refused),
		test(longest_message_is_taken_and_a_longer_one_is_not),
		test(too_long_a_message_is_refused_before_it_is_read),
		test(text_and_binary_do_not_mix),
		test(text_must_be_utf8_and_a_packet),
		test(full_inbox_stops_the_socket_until_half_is_read),
		test(what_came_before_the_end_is_read_first),
		test(message_without_memory_ends_the_connection),
		test(shutdown_wakes_the_reader),
		test(answers_go_alone_and_pushes_together),
		test(v1_gets_its_packets_bare),
		test(who_speaks_text_gets_arrays),
		test(choked_socket_is_not_waited_for_with_now),
		test(busy_service_thread_is_waited_for_with_now),
		test(writing_fails_once_the_peer_is_gone),
		test(close_comes_after_all_that_was_written),
		test(answer_without_memory_is_not_done),
		test(answer_from_before_the_first_message_stays_binary),
		test(frame_without_memory_ends_the_connection),
		test(last_reference_frees_what_is_left),
		test(link_without_memory_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
