/* Tests of comet/transport/tcp, over a socket pair. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "comet/channel.h"
#include "comet/round.h"
#include "comet/transport/tcp.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/peer.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define MAX_BODY  1000
#define MAX_TOKEN 3000
#define SMALL     64 /* tcp's own buffer, before it borrows one */

static struct round shares;
static struct buffers *buffers;
static struct transport *tcp;
static int peer;
static int tcp_fd;

static void fire(struct timer_entry *e)
{
	(void)e;
}

static int begin_with_timeout(int64_t write_timeout_ns)
{
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1234)};
	const struct tcp_options opt = {
		.max_body = MAX_BODY, .max_token = MAX_TOKEN, .write_timeout_ns = write_timeout_ns};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	peer = ends[0];
	tcp_fd = ends[1];
	return tcp_new(tcp_fd, (const struct sockaddr *)&address, buffers, &opt, &tcp);
}

static void end(void)
{
	if (tcp != NULL)
		transport_free(&tcp);
	if (peer >= 0)
		(void)close(peer);
	peer = -1;
}

static int set_up(void **state)
{
	uint8_t *kept;

	(void)state;
	if (round_init(&shares, 1, PACKET_HEAD_BYTES + MAX_TOKEN, fire) < 0)
		return -1;
	buffers = round_buffers(&shares, 0);
	/* One buffer to lend: it tells by n_free whether it is lent. */
	if ((kept = buffers_get(buffers)) == NULL)
		return -1;
	buffers_put(buffers, kept);
	return begin_with_timeout(60 * CLOCK_SEC);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	end();
	round_fini(&shares);
	return 0;
}

static bool has_borrowed(void)
{
	return buffers->n_free == 0;
}

/* ---- what the peer does ---- */

static void send_bytes(const void *bytes, size_t n)
{
	assert_int_equal(write(peer, bytes, n), n);
}

/* A packet whose body says its own place; returns its length. */
static size_t lay_packet(uint8_t *out, int32_t seq, uint32_t body_bytes)
{
	packet_encode(out, 1, OP_HEARTBEAT, seq, body_bytes);
	for (uint32_t i = 0; i < body_bytes; i++)
		out[PACKET_HEAD_BYTES + i] = (uint8_t)(i + (uint32_t)seq);
	return PACKET_HEAD_BYTES + body_bytes;
}

static void send_packet(int32_t seq, uint32_t body_bytes)
{
	uint8_t bytes[PACKET_HEAD_BYTES + MAX_BODY];

	send_bytes(bytes, lay_packet(bytes, seq, body_bytes));
}

/* A header with these lengths, as no codec would make it. */
static void send_head(uint32_t package_bytes, uint16_t head_bytes)
{
	uint8_t head[PACKET_HEAD_BYTES] = {0};

	packet_put_i32(head, (int32_t)package_bytes);
	head[4] = (uint8_t)(head_bytes >> 8);
	head[5] = (uint8_t)head_bytes;
	packet_put_i32(head + 8, 7);
	send_bytes(head, sizeof(head));
}

static void assert_reads(int32_t seq, uint32_t body_bytes)
{
	struct packet p;

	assert_int_equal(transport_read(tcp, &p), 0);
	assert_int_equal(p.op, OP_HEARTBEAT);
	assert_int_equal(p.ver, 1);
	assert_int_equal(p.seq, seq);
	assert_int_equal(p.body_bytes, body_bytes);
	assert_false(p.body_owned);
	for (uint32_t i = 0; i < body_bytes; i++)
		assert_int_equal(p.body[i], (uint8_t)(i + (uint32_t)seq));
}

static int read_rc(void)
{
	struct packet p;

	return transport_read(tcp, &p);
}

/* ---- reading ---- */

static void packets_of_all_sizes_are_read_as_they_were_sent(void **state)
{
	static const uint32_t sizes[] = {0, 1, 4, SMALL - 17, SMALL - 16, SMALL - 15, 500, MAX_BODY - 1, MAX_BODY, 0};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		send_packet((int32_t)i, sizes[i]);
		assert_reads((int32_t)i, sizes[i]);
		assert_false(transport_has_packet(tcp));
	}
}

/* So many bytes at the most come with each recv: every split of every packet is among them, byte by byte first. */
static void packets_may_come_in_pieces_of_any_size(void **state)
{
	static const uint32_t sizes[] = {0, 3, 0, 60, 48, 300, 1, 0};
	const unsigned n = sizeof(sizes) / sizeof(sizes[0]);

	(void)state;
	for (unsigned piece = 1; piece < 600; piece++) {
		seam_limit_bytes(piece);
		for (unsigned i = 0; i < n; i++)
			send_packet((int32_t)i, sizes[i]);
		for (unsigned i = 0; i < n; i++)
			assert_reads((int32_t)i, sizes[i]);
		assert_false(transport_has_packet(tcp));
	}
}

struct pieces {
	uint8_t bytes[PACKET_HEAD_BYTES + MAX_BODY];
	size_t total, first;
};

static void *send_in_two(void *arg)
{
	const struct pieces *p = arg;
	int unread = 1;

	if (write(peer, p->bytes, p->first) != (ssize_t)p->first)
		abort();
	/* The second half only once the reader has the first and waits for more. */
	while (unread > 0)
		if (ioctl(tcp_fd, FIONREAD, &unread) < 0)
			abort();
	if (write(peer, p->bytes + p->first, p->total - p->first) != (ssize_t)(p->total - p->first))
		abort();
	return NULL;
}

static void a_packet_may_be_cut_in_two_at_every_byte(void **state)
{
	(void)state;
	for (unsigned body_bytes = 0; body_bytes <= 100; body_bytes += 50) {
		struct pieces pieces = {.total = PACKET_HEAD_BYTES + body_bytes};

		(void)lay_packet(pieces.bytes, 7, body_bytes);
		for (pieces.first = 1; pieces.first < pieces.total; pieces.first++) {
			pthread_t sender;

			assert_int_equal(pthread_create(&sender, NULL, send_in_two, &pieces), 0);
			assert_reads(7, body_bytes);
			assert_int_equal(pthread_join(sender, NULL), 0);
		}
	}
}

static void a_burst_is_read_whole_and_in_order(void **state)
{
	uint8_t bytes[300 * PACKET_HEAD_BYTES * 3];
	size_t n = 0;

	(void)state;
	for (int32_t i = 0; i < 300; i++)
		n += lay_packet(bytes + n, i, (uint32_t)i % 30);
	send_bytes(bytes, n);
	for (int32_t i = 0; i < 300; i++)
		assert_reads(i, (uint32_t)i % 30);
	assert_false(transport_has_packet(tcp));
}

static void it_says_whether_a_whole_packet_is_there(void **state)
{
	uint8_t bytes[3 * PACKET_HEAD_BYTES + 10];
	size_t n;

	(void)state;
	assert_false(transport_has_packet(tcp));
	n = lay_packet(bytes, 1, 0);
	n += lay_packet(bytes + n, 2, 10);
	/* The second lacks its last byte. */
	send_bytes(bytes, n - 1);
	assert_reads(1, 0);
	assert_false(transport_has_packet(tcp));
	send_bytes(bytes + n - 1, 1);
	assert_reads(2, 10);
	n = lay_packet(bytes, 3, 0);
	n += lay_packet(bytes + n, 4, 10);
	send_bytes(bytes, n);
	assert_reads(3, 0);
	assert_true(transport_has_packet(tcp));
	assert_reads(4, 10);
	assert_false(transport_has_packet(tcp));
}

/* So that what was answered before it goes out, and the error is met at once. */
static void a_wrong_header_is_a_packet_that_is_there(void **state)
{
	(void)state;
	send_packet(1, 0);
	send_head(15, 16);
	assert_reads(1, 0);
	assert_true(transport_has_packet(tcp));
	assert_int_equal(read_rc(), -ERR_PACKET_LENGTH);
}

/* What is left of it is read, so that the goodbye is not lost. */
static void an_auth_may_be_as_long_as_a_token(void **state)
{
	static uint8_t body[MAX_TOKEN + 1];
	uint8_t head[PACKET_HEAD_BYTES];
	struct packet p;

	(void)state;
	packet_encode(head, 1, OP_AUTH, 1, MAX_TOKEN);
	send_bytes(head, sizeof(head));
	send_bytes(body, MAX_TOKEN);
	assert_int_equal(transport_read(tcp, &p), 0);
	assert_int_equal(p.body_bytes, MAX_TOKEN);
	packet_encode(head, 1, OP_SUB, 1, MAX_BODY + 1);
	send_bytes(head, sizeof(head));
	assert_int_equal(transport_read(tcp, &p), -ERR_PACKET_BODY);
	end();
	assert_int_equal(begin_with_timeout(CLOCK_SEC), 0);
	packet_encode(head, 1, OP_AUTH, 1, MAX_TOKEN + 1);
	send_bytes(head, sizeof(head));
	assert_int_equal(transport_read(tcp, &p), -ERR_TOKEN);
	send_bytes(body, MAX_TOKEN + 1);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(transport_read(tcp, &p), -ERR_EOF);
}

static void lengths_that_no_packet_has_are_refused(void **state)
{
	static const struct {
		uint32_t package_bytes;
		uint16_t head_bytes;
		int rc;
	} cases[] = {
		{0x80000000, 16, -ERR_PACKET_LENGTH}, {0xffffffff, 16, -ERR_PACKET_LENGTH},
		{0, 16, -ERR_PACKET_LENGTH},          {15, 16, -ERR_PACKET_LENGTH},
		{16, 0, -ERR_PACKET_HEADER},          {16, 15, -ERR_PACKET_HEADER},
		{16, 17, -ERR_PACKET_HEADER},         {16, 0xffff, -ERR_PACKET_HEADER},
		{16 + MAX_TOKEN + 1, 16, -ERR_TOKEN}, {0x7fffffff, 16, -ERR_TOKEN},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet p;

		send_head(cases[i].package_bytes, cases[i].head_bytes);
		assert_int_equal(transport_read(tcp, &p), cases[i].rc);
		assert_int_equal(p.op, 7); /* for the log */
		assert_false(has_borrowed());
		end();
		assert_int_equal(begin_with_timeout(CLOCK_SEC), 0);
	}
}

static void an_end_between_packets_is_not_one_inside_a_packet(void **state)
{
	uint8_t bytes[PACKET_HEAD_BYTES + 10];
	size_t total = lay_packet(bytes, 1, 10);

	(void)state;
	for (size_t n = 0; n < total; n++) {
		send_packet(0, 3);
		if (n > 0)
			send_bytes(bytes, n);
		assert_int_equal(shutdown(peer, SHUT_WR), 0);
		assert_reads(0, 3);
		assert_int_equal(read_rc(), n == 0 ? -ERR_EOF : -ERR_CUT);
		end();
		assert_int_equal(begin_with_timeout(CLOCK_SEC), 0);
	}
}

static void an_interrupted_read_goes_on_and_a_failed_one_does_not(void **state)
{
	(void)state;
	send_packet(1, 20);
	seam_fail(SEAM_RECV, 0, 3, EINTR);
	assert_reads(1, 20);
	assert_int_equal(seam_failed(SEAM_RECV), 3);
	seam_fail(SEAM_RECV, 0, 1, ECONNRESET);
	assert_int_equal(read_rc(), -ECONNRESET);
}

static void without_memory_a_large_packet_is_not_read(void **state)
{
	uint8_t *kept = buffers_get(buffers);

	(void)state;
	send_packet(1, 500);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(read_rc(), -ENOMEM);
	buffers_put(buffers, kept);
	assert_reads(1, 500);
}

static void *read_in_thread(void *arg)
{
	*(int *)arg = read_rc();
	return NULL;
}

/* With the socket set not to block, a read that would wait comes back instead. */
static void assert_waits_with_no_buffer(void)
{
	assert_int_equal(fcntl(tcp_fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read_rc(), -EAGAIN);
	assert_false(has_borrowed());
	assert_int_equal(fcntl(tcp_fd, F_SETFL, 0), 0);
}

static void a_connection_that_waits_for_a_packet_holds_no_buffer(void **state)
{
	(void)state;
	send_packet(1, 500);
	assert_reads(1, 500);
	assert_true(has_borrowed()); /* the body is in it */
	assert_waits_with_no_buffer();
	send_packet(2, 10);
	assert_reads(2, 10);
	assert_waits_with_no_buffer();
}

/* Bytes that fill the buffer to its last look like the middle of a burst. */
static void a_burst_that_just_fills_the_buffer_leaves_none_behind(void **state)
{
	(void)state;
	for (int32_t i = 0; i < SMALL / PACKET_HEAD_BYTES; i++)
		send_packet(i, 0);
	for (int32_t i = 0; i < SMALL / PACKET_HEAD_BYTES; i++)
		assert_reads(i, 0);
	assert_waits_with_no_buffer();
	send_packet(9, 700);
	assert_reads(9, 700);
	assert_waits_with_no_buffer();
}

static void half_a_packet_keeps_its_buffer_and_the_end_gives_it_back(void **state)
{
	uint8_t bytes[PACKET_HEAD_BYTES + 500];

	(void)state;
	(void)lay_packet(bytes, 1, 500);
	send_bytes(bytes, 300);
	assert_int_equal(fcntl(tcp_fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read_rc(), -EAGAIN);
	assert_true(has_borrowed());
	send_bytes(bytes + 300, sizeof(bytes) - 300);
	assert_reads(1, 500);
	assert_true(has_borrowed());
	transport_free(&tcp);
	assert_null(tcp);
	assert_false(has_borrowed());
	assert_int_equal(fcntl(tcp_fd, F_GETFD), -1);
}

/* ---- writing ---- */

/* What came to the peer so far. */
static size_t receive_bytes(uint8_t *into, size_t max)
{
	size_t n = 0;
	ssize_t got;

	while (n < max && (got = recv(peer, into + n, max - n, MSG_DONTWAIT)) > 0)
		n += (size_t)got;
	return n;
}

static struct message *message_of(int32_t op, const char *body)
{
	struct message *m;

	assert_int_equal(message_new(op, body, (uint32_t)strlen(body), &m), 0);
	return m;
}

static size_t lay_text(uint8_t *out, int16_t ver, int32_t op, int32_t seq, const char *body)
{
	size_t n = strlen(body);

	packet_encode(out, ver, op, seq, (uint32_t)n);
	memcpy(out + PACKET_HEAD_BYTES, body, n);
	return PACKET_HEAD_BYTES + n;
}

static void a_haul_is_written_in_the_dialect_of_the_client(void **state)
{
	struct message *empty = message_of(1000, ""), *hello = message_of(1001, "hello");
	struct packet answer = {.ver = 3, .op = 8, .seq = 5}, echo = {.ver = 4, .op = 15, .seq = 6};
	uint8_t wanted[200], got[200];

	(void)state;
	echo.body = (uint8_t *)"1,2";
	echo.body_bytes = 3;
	for (enum dialect d = DIALECT_V1; d <= DIALECT_V2; d++) { /* with streams: below */
		struct haul h = {
			.answers = {&answer, &echo}, .messages = {empty, hello}, .n_answers = 2, .n_messages = 2};
		bool v2 = d == DIALECT_V2;
		size_t n = lay_text(wanted, 3, 8, 5, "");

		n += lay_text(wanted + n, 4, 15, 6, "1,2");
		n += lay_text(wanted + n, v2, v2 ? 1000 : OP_SEND_REPLY, 0, "");
		n += lay_text(wanted + n, v2, v2 ? 1001 : OP_SEND_REPLY, 0, "hello");
		assert_int_equal(transport_write(tcp, &h, d, TRANSPORT_NOW), 0);
		assert_int_equal(h.answers_done, 2);
		assert_int_equal(h.messages_done, 2);
		assert_int_equal(h.begun_bytes, 0);
		assert_int_equal(receive_bytes(got, sizeof(got)), n);
		assert_memory_equal(got, wanted, n);
	}
	message_unref(&empty);
	message_unref(&hello);
}

/* The largest and the smallest, cut at every byte: what is done and what is begun is counted by the packets of this dialect. */
static void a_haul_with_streams_may_end_at_any_byte(void **state)
{
	struct message *hello = message_of(1001, "hello"), *answer = message_of(OP_JOIN_REPLY, "{}"),
		       *none = message_of(7, "");
	const size_t ends[] = {18, 18 + 34, 18 + 34 + 21};
	uint8_t got[200];

	(void)state;
	hello->number = 1;
	assert_int_equal(message_number_it(hello, "chat://1"), 0);
	assert_int_equal(message_number_it(none, ""), 0);
	for (size_t takes = 1; takes <= ends[2]; takes++) {
		struct haul h = {.messages = {answer, hello, none}, .n_messages = 3}, rest;
		unsigned done = 0;

		while (done < 3 && takes >= ends[done])
			done++;
		seam_limit_bytes((unsigned)takes);
		seam_fail(SEAM_SENDMSG, 1, 1, EAGAIN);
		(void)transport_write(tcp, &h, DIALECT_V2S, TRANSPORT_NOW);
		seam_reset();
		assert_int_equal(h.messages_done, done);
		assert_int_equal(h.begun_bytes, takes - (done > 0 ? ends[done - 1] : 0));
		rest = (struct haul){.n_messages = 3 - done, .skip_bytes = h.begun_bytes};
		memcpy(rest.messages, h.messages + done, rest.n_messages * sizeof(struct message *));
		if (done < 3)
			assert_int_equal(transport_write(tcp, &rest, DIALECT_V2S, TRANSPORT_NOW), 0);
		assert_int_equal(receive_bytes(got, sizeof(got)), ends[2]);
	}
	message_unref(&hello);
	message_unref(&answer);
	message_unref(&none);
}

static void the_largest_haul_fits_into_one_write(void **state)
{
	struct message *m = message_of(1000, "message");
	struct packet answer = {.ver = 1, .op = 5, .body = (uint8_t *)"answer", .body_bytes = 6};
	struct haul h = {.n_answers = HAUL_ANSWERS, .n_messages = HAUL_MESSAGES};
	uint8_t got[4096];

	(void)state;
	for (unsigned i = 0; i < HAUL_ANSWERS; i++)
		h.answers[i] = &answer;
	for (unsigned i = 0; i < HAUL_MESSAGES; i++)
		h.messages[i] = m;
	/* A second call would fail. */
	seam_fail(SEAM_SENDMSG, 1, 1, EIO);
	assert_int_equal(transport_write(tcp, &h, DIALECT_V1, TRANSPORT_WAIT), 0);
	assert_int_equal(receive_bytes(got, sizeof(got)), HAUL_ANSWERS * 22 + HAUL_MESSAGES * 23);
	message_unref(&m);
}

static void put_answer(struct channel *ch, int32_t seq, const char *body)
{
	struct packet *p;

	assert_int_equal(channel_ring_set(ch, &p), 0);
	*p = (struct packet){.ver = 1, .op = 15, .seq = seq};
	assert_int_equal(packet_set_body(p, body, (uint32_t)strlen(body)), 0);
	(void)channel_ring_set_adv(ch);
}

static void put_message(struct channel *ch, int32_t op, const char *body)
{
	struct message *m = message_of(op, body);

	assert_int_equal(channel_push(ch, m, false), 0);
	message_unref(&m);
}

static int write_some(struct channel *ch, enum transport_wait wait)
{
	struct haul h;
	int rc;

	assert_true(channel_take(ch, &h));
	rc = transport_write(tcp, &h, DIALECT_V2, wait);
	channel_done(ch, &h, rc < 0);
	return rc;
}

/* Two answers and two messages, of which the socket takes `first` bytes, then `second`, then the rest. In between another
 * answer and another message come. Each packet must arrive whole, and each of its kind in order. */
static void write_in_three(unsigned first, unsigned second)
{
	const struct channel_options opt = {.ring_size = 8, .queue_max = 8};
	uint8_t got[300];
	size_t n, at = 0;
	int32_t answers = 0, messages = 1000;
	struct channel ch;

	assert_int_equal(channel_init(&ch, &opt), 0);
	put_answer(&ch, 0, "");
	put_answer(&ch, 1, "one");
	put_message(&ch, 1000, "m");
	put_message(&ch, 1001, "");
	for (unsigned i = 0; i < 2; i++) {
		seam_limit_bytes(i == 0 ? first : second);
		seam_fail(SEAM_SENDMSG, 1, 1, EAGAIN);
		assert_int_equal(write_some(&ch, TRANSPORT_NOW), -EAGAIN);
		put_answer(&ch, 2 + (int32_t)i, "two");
		put_message(&ch, 1002 + (int32_t)i, "message");
	}
	seam_reset();
	assert_int_equal(write_some(&ch, TRANSPORT_NOW), 0);
	assert_int_equal(channel_fini(&ch), 0);

	n = receive_bytes(got, sizeof(got));
	for (struct packet p; at < n; at += PACKET_HEAD_BYTES + p.body_bytes) {
		assert_int_equal(packet_decode(got + at, 100, &p), 0);
		if (p.op == 15)
			assert_int_equal(p.seq, answers++);
		else
			assert_int_equal(p.op, messages++);
	}
	assert_int_equal(at, n);
	assert_int_equal(answers, 4);
	assert_int_equal(messages, 1004);
}

static void a_haul_may_go_out_in_pieces_of_any_size(void **state)
{
	const unsigned total = 16 + 19 + 17 + 16;

	(void)state;
	for (unsigned first = 1; first < total; first++)
		for (unsigned second = 1; second < total - first; second++)
			write_in_three(first, second);
}

static void what_is_not_taken_at_all_is_not_begun(void **state)
{
	struct packet answer = {.ver = 1, .op = 8};
	struct haul h = {.answers = {&answer}, .n_answers = 1};

	(void)state;
	seam_fail(SEAM_SENDMSG, 0, 1, EAGAIN);
	assert_int_equal(transport_write(tcp, &h, DIALECT_V2, TRANSPORT_NOW), -EAGAIN);
	assert_int_equal(h.answers_done, 0);
	assert_int_equal(h.begun_bytes, 0);
}

static void a_write_that_waits_goes_on_until_all_is_gone(void **state)
{
	struct message *m = message_of(1000, "0123456789");
	struct haul h = {.messages = {m, m, m}, .n_messages = 3};
	uint8_t got[100];

	(void)state;
	seam_limit_bytes(1);
	assert_int_equal(transport_write(tcp, &h, DIALECT_V2, TRANSPORT_WAIT), 0);
	assert_int_equal(h.messages_done, 3);
	assert_int_equal(receive_bytes(got, sizeof(got)), 3 * 26);
	message_unref(&m);
}

/* Until the socket holds no more. */
static void fill_socket(void)
{
	static const char zeros[4096];

	while (send(tcp_fd, zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
		;
	while (send(tcp_fd, zeros, 1, MSG_DONTWAIT) > 0)
		;
}

static void a_peer_that_takes_nothing_ends_the_write_at_its_deadline(void **state)
{
	const struct timeval moment = {.tv_usec = 20000};
	struct packet answer = {.ver = 1, .op = 8};
	struct haul h = {.answers = {&answer}, .n_answers = 1};

	(void)state;
	assert_int_equal(setsockopt(tcp_fd, SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof(moment)), 0);
	fill_socket();
	assert_int_equal(transport_write(tcp, &h, DIALECT_V2, TRANSPORT_NOW), -EAGAIN);
	assert_int_equal(transport_write(tcp, &h, DIALECT_V2, TRANSPORT_WAIT), -ETIMEDOUT);
	assert_int_equal(h.answers_done, 0);
}

static void a_peer_that_takes_a_byte_at_a_time_ends_it_too(void **state)
{
	struct packet answer = {.ver = 1, .op = 8};
	struct haul h = {.answers = {&answer}, .n_answers = 1};

	(void)state;
	end();
	assert_int_equal(begin_with_timeout(1), 0);
	seam_limit_bytes(1);
	assert_int_equal(transport_write(tcp, &h, DIALECT_V2, TRANSPORT_WAIT), -ETIMEDOUT);
	assert_int_equal(h.answers_done, 0);
	assert_int_equal(h.begun_bytes, 2);
}

static void an_interrupted_write_goes_on_and_a_failed_one_says_how_far_it_got(void **state)
{
	struct message *m = message_of(1000, "0123456789");
	struct haul h = {.messages = {m, m}, .n_messages = 2};

	(void)state;
	seam_limit_bytes(30);
	seam_fail(SEAM_SENDMSG, 0, 2, EINTR);
	assert_int_equal(transport_write(tcp, &h, DIALECT_V2, TRANSPORT_NOW), 0);
	assert_int_equal(seam_failed(SEAM_SENDMSG), 2);
	h.messages_done = 0;
	seam_fail(SEAM_SENDMSG, 1, 1, ENOBUFS);
	assert_int_equal(transport_write(tcp, &h, DIALECT_V2, TRANSPORT_WAIT), -ENOBUFS);
	assert_int_equal(h.messages_done, 1);
	assert_int_equal(h.begun_bytes, 4);
	message_unref(&m);
}

/* And no SIGPIPE, which would end the test. */
static void writing_to_a_peer_that_has_gone_fails(void **state)
{
	struct packet answer = {.ver = 1, .op = 8};

	(void)state;
	assert_int_equal(close(peer), 0);
	peer = -1;
	assert_int_equal(transport_write_packet(tcp, &answer, DIALECT_V2, TRANSPORT_WAIT), -EPIPE);
}

/* ---- ending ---- */

static void a_shutdown_ends_a_read_that_waits(void **state)
{
	pthread_t reader;
	int rc = 0;

	(void)state;
	assert_int_equal(pthread_create(&reader, NULL, read_in_thread, &rc), 0);
	transport_shutdown(tcp);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_int_equal(rc, -ERR_EOF);
	assert_int_equal(read_rc(), -ERR_EOF);
}

static void *write_in_thread(void *arg)
{
	struct packet answer = {.ver = 1, .op = 8};

	*(int *)arg = transport_write_packet(tcp, &answer, DIALECT_V2, TRANSPORT_WAIT);
	return NULL;
}

static void a_shutdown_ends_a_write_that_waits(void **state)
{
	pthread_t writer;
	int rc = 0;

	(void)state;
	fill_socket();
	assert_int_equal(pthread_create(&writer, NULL, write_in_thread, &rc), 0);
	transport_shutdown(tcp);
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_int_equal(rc, -EPIPE);
}

static void after_the_last_write_the_peer_reads_all_then_the_end(void **state)
{
	struct packet answer = {.ver = 1, .op = 8};
	uint8_t got[100];

	(void)state;
	assert_int_equal(transport_write_packet(tcp, &answer, DIALECT_V2, TRANSPORT_WAIT), 0);
	transport_finish_writing(tcp, 1000, "", TRANSPORT_WAIT);
	assert_int_equal(recv(peer, got, sizeof(got), 0), PACKET_HEAD_BYTES);
	assert_int_equal(recv(peer, got, sizeof(got), 0), 0);
	/* It may still be heard. */
	send_packet(1, 0);
	assert_reads(1, 0);
}

/* ---- the rest ---- */

static void without_memory_the_descriptor_stays_the_callers(void **state)
{
	const struct sockaddr_in address = {.sin_family = AF_INET};
	const struct tcp_options opt = {.max_body = MAX_BODY};
	struct transport *t = NULL;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(tcp_new(peer, (const struct sockaddr *)&address, buffers, &opt, &t), -ENOMEM);
	assert_null(t);
	assert_int_not_equal(fcntl(peer, F_GETFD), -1);
}

static void assert_peer(const struct sockaddr *address, const char *with_port, const char *without)
{
	const struct tcp_options opt = {.max_body = MAX_BODY};
	char text[TRANSPORT_PEER_BYTES];
	struct transport *t;

	assert_int_equal(tcp_new(dup(peer), address, buffers, &opt, &t), 0);
	peer_text(transport_peer(t), true, text, sizeof(text));
	assert_string_equal(text, with_port);
	peer_text(transport_peer(t), false, text, sizeof(text));
	assert_string_equal(text, without);
	transport_free(&t);
}

static void peers_are_named_as_people_write_them(void **state)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(65535)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};

	(void)state;
	assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr), 1);
	assert_peer((struct sockaddr *)&v4, "192.0.2.1:65535", "192.0.2.1");
	v6.sin6_addr = in6addr_loopback;
	assert_peer((struct sockaddr *)&v6, "[::1]:80", "::1");
	assert_int_equal(inet_pton(AF_INET6, "ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888", &v6.sin6_addr), 1);
	assert_peer((struct sockaddr *)&v6, "[ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888]:80",
		    "ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888");
	/* One client, one name, whichever socket it came by. */
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr), 1);
	assert_peer((struct sockaddr *)&v6, "192.0.2.1:80", "192.0.2.1");
}

#define tcp_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tcp_test(packets_of_all_sizes_are_read_as_they_were_sent),
		tcp_test(packets_may_come_in_pieces_of_any_size),
		tcp_test(a_packet_may_be_cut_in_two_at_every_byte),
		tcp_test(a_burst_is_read_whole_and_in_order),
		tcp_test(it_says_whether_a_whole_packet_is_there),
		tcp_test(a_wrong_header_is_a_packet_that_is_there),
		tcp_test(an_auth_may_be_as_long_as_a_token),
		tcp_test(lengths_that_no_packet_has_are_refused),
		tcp_test(an_end_between_packets_is_not_one_inside_a_packet),
		tcp_test(an_interrupted_read_goes_on_and_a_failed_one_does_not),
		tcp_test(without_memory_a_large_packet_is_not_read),
		tcp_test(a_connection_that_waits_for_a_packet_holds_no_buffer),
		tcp_test(a_burst_that_just_fills_the_buffer_leaves_none_behind),
		tcp_test(half_a_packet_keeps_its_buffer_and_the_end_gives_it_back),
		tcp_test(a_haul_is_written_in_the_dialect_of_the_client),
		tcp_test(a_haul_with_streams_may_end_at_any_byte),
		tcp_test(the_largest_haul_fits_into_one_write),
		tcp_test(a_haul_may_go_out_in_pieces_of_any_size),
		tcp_test(what_is_not_taken_at_all_is_not_begun),
		tcp_test(a_write_that_waits_goes_on_until_all_is_gone),
		tcp_test(a_peer_that_takes_nothing_ends_the_write_at_its_deadline),
		tcp_test(a_peer_that_takes_a_byte_at_a_time_ends_it_too),
		tcp_test(an_interrupted_write_goes_on_and_a_failed_one_says_how_far_it_got),
		tcp_test(writing_to_a_peer_that_has_gone_fails),
		tcp_test(a_shutdown_ends_a_read_that_waits),
		tcp_test(a_shutdown_ends_a_write_that_waits),
		tcp_test(after_the_last_write_the_peer_reads_all_then_the_end),
		tcp_test(without_memory_the_descriptor_stays_the_callers),
		tcp_test(peers_are_named_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
