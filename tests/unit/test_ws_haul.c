/* Tests of comet/transport/ws_haul. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "comet/transport/ws_haul.h"
#include "tests/unit/seam.h"

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* Space for any haul. */
static struct iovec iov[WS_LAID_PIECES * (HAUL_ANSWERS + HAUL_MESSAGES)];
static unsigned ends[1 + HAUL_ANSWERS + HAUL_MESSAGES];
static struct ws_laid frames[HAUL_ANSWERS + HAUL_MESSAGES];

static struct message *message_of(int32_t op, const void *body, size_t n)
{
	struct message *m;

	assert_int_equal(message_new(op, body, (uint32_t)n, &m), 0);
	return m;
}

/* All bytes of the layout, one after another. */
static size_t join(const struct ws_layout *l, uint8_t *out)
{
	size_t n = 0, items = 0;

	for (unsigned i = 0; i < l->n; i++) {
		memcpy(out + n, l->iov[i].iov_base, l->iov[i].iov_len);
		n += l->iov[i].iov_len;
	}
	for (unsigned i = 0; i < l->n_frames; i++)
		items += l->frames[i].bytes;
	assert_int_equal(items, n);
	assert_int_equal(l->ends[l->n_ends - 1], l->n);
	return n;
}

static void assert_laid(const struct haul *haul, enum dialect dialect, bool is_text, const void *wanted, size_t n)
{
	static uint8_t got[65536];
	struct ws_layout l = {.iov = iov, .ends = ends, .frames = frames};
	struct haul h = *haul;

	assert_int_equal(ws_haul_lay(&l, &h, dialect, is_text, 0), 0);
	assert_int_equal(join(&l, got), n);
	assert_memory_equal(got, wanted, n);
	assert_int_equal(ws_haul_account(&l, &h, n), 0);
	assert_int_equal(h.answers_done, h.n_answers);
	assert_int_equal(h.messages_done, h.n_messages);
	assert_int_equal(h.begun_bytes, 0);
}

static void answers_go_alone_and_pushes_together(void **state)
{
	static const char wanted[] = "\x82\x10\0\0\0\x10\0\x10\0\x01\0\0\0\x03\0\0\0\x07"
				     "\x82\x12\0\0\0\x12\0\x10\0\x01\0\0\0\x0d\0\0\0\x08ok"
				     "\x82\x36\0\0\0\x36\0\x10\0\x01\0\0\0\x09\0\0\0\0"
				     "\0\0\0\x13\0\x10\0\x01\0\0\x03\xe8\0\0\0\0one"
				     "\0\0\0\x13\0\x10\0\x01\0\0\x03\xe9\0\0\0\0two";
	struct packet answers[2] = {{.ver = 1, .op = 3, .seq = 7},
				    {.ver = 1, .op = 13, .seq = 8, .body = (uint8_t *)"ok", .body_bytes = 2}};
	struct message *m[2] = {message_of(1000, "one", 3), message_of(1001, "two", 3)};
	struct haul h = {
		.answers = {&answers[0], &answers[1]}, .n_answers = 2, .messages = {m[0], m[1]}, .n_messages = 2};

	(void)state;
	assert_laid(&h, DIALECT_V2, false, wanted, sizeof(wanted) - 1);
	message_unref(&m[0]);
	message_unref(&m[1]);
}

static void v1_gets_its_packets_bare(void **state)
{
	static const char wanted[] = "\x82\x26\0\0\0\x13\0\x10\0\0\0\0\0\x05\0\0\0\0one"
				     "\0\0\0\x13\0\x10\0\0\0\0\0\x05\0\0\0\0one";
	struct message *m = message_of(1000, "one", 3);
	struct haul h = {.messages = {m, m}, .n_messages = 2};

	(void)state;
	assert_laid(&h, DIALECT_V1, false, wanted, sizeof(wanted) - 1);
	message_unref(&m);
}

static void with_streams_answers_may_stand_among_pushes(void **state)
{
	static const char wanted[] = "\x82\x42\0\0\0\x42\0\x10\0\x01\0\0\0\x09\0\0\0\0"
				     "\0\0\0\x12\0\x10\0\x01\0\0\0\x13\0\0\0\x05{}"
				     "\0\0\0\x20\0\x10\0\x04\0\0\x03\xe8\0\0\0\x07\0\0\0\0\x08"
				     "chat://1one";
	struct message *m[2] = {NULL, message_of(1000, "one", 3)};
	struct haul h = {.n_messages = 2};

	(void)state;
	assert_int_equal(message_answer(OP_JOIN_REPLY, 5, "{}", 2, &m[0]), 0);
	m[1]->number = 7;
	assert_int_equal(message_number_it(m[1], "chat://1"), 0);
	memcpy(h.messages, m, sizeof(m));
	assert_laid(&h, DIALECT_V2S, false, wanted, sizeof(wanted) - 1);
	message_unref(&m[0]);
	message_unref(&m[1]);
}

static void who_speaks_text_gets_arrays(void **state)
{
	static const char wanted[] = "\x81\x25[{\"ver\":1,\"op\":8,\"seq\":3,\"body\":{}}]\n"
				     "\x81\x4a[{\"ver\":0,\"op\":5,\"seq\":0,\"body\":\"one\"},"
				     "{\"ver\":0,\"op\":5,\"seq\":0,\"body\":{}}]";
	struct packet p = {.ver = 1, .op = 8, .seq = 3};
	struct message *m[2] = {message_of(1000, "one", 3), message_of(1000, "{}", 2)};
	struct haul h = {.answers = {&p}, .n_answers = 1, .messages = {m[0], m[1]}, .n_messages = 2};

	(void)state;
	assert_laid(&h, DIALECT_V2, true, wanted, sizeof(wanted) - 1);
	message_unref(&m[0]);
	message_unref(&m[1]);
}

static void a_ping_goes_back_as_it_came(void **state)
{
	struct packet pings[2] = {{.kind = PACKET_PING, .body = (uint8_t *)"there?", .body_bytes = 6},
				  {.kind = PACKET_PING}};
	struct haul h = {.answers = {&pings[0], &pings[1]}, .n_answers = 2};

	(void)state;
	for (unsigned text = 0; text < 2; text++)
		assert_laid(&h, DIALECT_V2, text, "\x8a\x06there?\x8a\0", 10);
}

/* A frame holds 64 KiB, or one message. */
static void frames_are_not_longer_than_they_have_to_be(void **state)
{
	static uint8_t body[100000], got[600000];
	struct message *big = message_of(1000, body, sizeof(body)), *half = message_of(1000, body, 32752);
	struct haul h = {.messages = {half, half, half, big, big, half}, .n_messages = 6};
	static const uint8_t messages[] = {2, 1, 1, 1, 1};
	struct ws_layout l = {.iov = iov, .ends = ends, .frames = frames};

	(void)state;
	assert_int_equal(ws_haul_lay(&l, &h, DIALECT_V1, false, 0), 0);
	assert_int_equal(join(&l, got), 4 * 32768 + 2 * 100016 + 3 * 10 + 2 * 4);
	assert_int_equal(l.n_ends, 5);
	assert_int_equal(l.n_frames, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(l.frames[i].messages, messages[i]);
	assert_int_equal(ws_haul_account(&l, &h, 0), 0);
	message_unref(&big);
	message_unref(&half);
}

static void the_largest_haul_finds_space(void **state)
{
	static uint8_t body[70000], got[40 * 70100];
	struct message *m;
	struct packet p = {.ver = 1, .op = 15, .body = body, .body_bytes = 100};
	struct haul h = {.n_answers = HAUL_ANSWERS, .n_messages = HAUL_MESSAGES};
	struct ws_layout l = {.iov = iov, .ends = ends, .frames = frames};
	size_t n;

	(void)state;
	memset(body, '7', sizeof(body)); /* a number, for JSON */
	m = message_of(1000, body, sizeof(body));
	for (unsigned i = 0; i < HAUL_ANSWERS; i++)
		h.answers[i] = &p;
	for (unsigned i = 0; i < HAUL_MESSAGES; i++)
		h.messages[i] = m;
	for (enum dialect d = DIALECT_V1; d <= DIALECT_V1_JSON; d++) {
		assert_int_equal(ws_haul_lay(&l, &h, d, d == DIALECT_V1_JSON, 0), 0);
		n = join(&l, got);
		assert_true(l.n <= sizeof(iov) / sizeof(iov[0]));
		(void)ws_haul_account(&l, &h, n);
		assert_int_equal(h.messages_done, HAUL_MESSAGES);
	}
	message_unref(&m);
}

static void without_memory_nothing_is_laid(void **state)
{
	struct packet p = {.op = 3};
	struct message *m = message_of(1000, "one", 3);
	struct haul answer = {.answers = {&p}, .n_answers = 1}, push = {.messages = {m}, .n_messages = 1};
	struct ws_layout l = {.iov = iov, .ends = ends, .frames = frames};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct haul *h = i == 0 ? &answer : &push;

		seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
		assert_int_equal(ws_haul_lay(&l, h, DIALECT_V2, true, 0), -ENOMEM);
		assert_int_equal(ws_haul_account(&l, h, 0), 0);
		assert_int_equal(h->answers_done + h->messages_done, 0);
		assert_int_equal(h->begun_bytes, 0);
	}
	message_unref(&m);
}

/* ---- what is left in the middle goes on there ---- */

#define PUSHES 5

/* The mailbox of a client, as channel.c keeps it. */
struct box {
	struct packet answers[4];
	struct message *messages[PUSHES];
	unsigned answers_out, answers_in, messages_out, messages_in;
	size_t skip;
	bool messages_begun;
	unsigned begun;
	size_t window_bytes;
	uint8_t got[1024];
	size_t n;
};

/* One write of which `takes` bytes are taken. */
static void write_some(struct box *b, enum dialect dialect, size_t takes)
{
	struct haul h = {.skip_bytes = b->skip, .messages_first = b->skip > 0 && b->messages_begun};
	uint8_t all[1024];
	struct ws_layout l = {.iov = iov, .ends = ends, .frames = frames, .window_bytes = b->window_bytes};
	size_t n, skip = b->skip;

	for (unsigned i = b->answers_out; i < b->answers_in; i++)
		h.answers[h.n_answers++] = &b->answers[i];
	for (unsigned i = b->messages_out; i < b->messages_in; i++)
		h.messages[h.n_messages++] = b->messages[i];
	assert_int_equal(ws_haul_lay(&l, &h, dialect, dialect == DIALECT_V1_JSON, b->begun), 0);
	n = join(&l, all);
	if (takes > n - skip)
		takes = n - skip;
	memcpy(b->got + b->n, all + skip, takes);
	b->n += takes;
	b->begun = ws_haul_account(&l, &h, skip + takes);
	b->answers_out += h.answers_done;
	b->messages_out += h.messages_done;
	b->skip = h.begun_bytes;
	b->messages_begun = h.begun_bytes > 0 &&
			    (h.messages_first ? h.messages_done < h.n_messages : h.answers_done == h.n_answers);
}

/* Frames with nothing in between; returns how many pushes those have that are whole. */
static unsigned check(const struct box *b, enum dialect dialect)
{
	unsigned pushes = 0;
	size_t at = 0;

	while (at < b->n) {
		size_t payload = at + 1 < b->n ? b->got[at + 1] : SIZE_MAX / 2, start = at + 2;
		bool is_answer;

		if (payload == 126) {
			if (b->n - at < 4)
				break;
			payload = (size_t)b->got[at + 2] << 8 | b->got[at + 3];
			start = at + 4;
		}
		assert_int_equal(b->got[at], dialect == DIALECT_V1_JSON ? 0x81 : 0x82);
		if (b->n - at < start - at + payload)
			break;
		at = start + payload;
		if (dialect == DIALECT_V1_JSON) {
			assert_int_equal(b->got[start], '[');
			is_answer = b->got[at - 1] == '\n';
			assert_int_equal(b->got[at - 1 - is_answer], ']');
			for (size_t i = start; !is_answer && i < at; i++)
				if (b->got[i] == '#')
					assert_int_equal(b->got[i + 1], '0' + pushes++);
			continue;
		}
		is_answer = b->got[start + 11] == 15;
		if (is_answer) {
			assert_int_equal(payload, 19);
			continue;
		}
		if (dialect_is_v2(dialect)) {
			assert_int_equal(packet_get_i32(b->got + start), payload);
			start += 16;
		}
		for (; start < at; start += (size_t)packet_get_i32(b->got + start))
			assert_int_equal(b->got[start + (dialect == DIALECT_V2S ? 23 : 18)], '0' + pushes++);
		assert_int_equal(start, at);
	}
	return pushes;
}

/* Two answers and two messages, of which `first` bytes are taken, then `second`, then the rest; meanwhile more of both come. */
static void write_in_three(enum dialect dialect, size_t first, size_t second)
{
	struct box b = {.answers_in = 2, .messages_in = 2};

	for (unsigned i = 0; i < 4; i++)
		b.answers[i] = (struct packet){.ver = 1, .op = 15, .seq = 1, .body = (uint8_t *)"abc", .body_bytes = 3};
	for (unsigned i = 0; i < PUSHES; i++) {
		const char body[] = {'"', '#', (char)('0' + i), '"'};

		b.messages[i] = message_of(1000, body, sizeof(body));
		assert_int_equal(message_number_it(b.messages[i], ""), 0);
	}
	write_some(&b, dialect, first);
	assert_int_equal(b.messages_out, check(&b, dialect)); /* of a frame that is not whole the client has nothing */
	b.answers_in = 3;
	b.messages_in = 4;
	write_some(&b, dialect, second);
	b.answers_in = 4;
	b.messages_in = 5;
	write_some(&b, dialect, sizeof(b.got));
	assert_int_equal(b.answers_out, 4);
	assert_int_equal(b.messages_out, PUSHES);
	assert_int_equal(b.skip, 0);
	assert_int_equal(check(&b, dialect), PUSHES);
	for (unsigned i = 0; i < PUSHES; i++)
		message_unref(&b.messages[i]);
}

static void a_haul_may_go_out_in_pieces_of_any_size(void **state)
{
	(void)state;
	for (enum dialect d = DIALECT_V1; d <= DIALECT_V2S; d++)
		for (size_t first = 0; first < 220; first++)
			for (size_t second = 0; second < 220; second += 1 + first % 5)
				write_in_three(d, first, second);
}

/* ---- deflated ---- */

/* The payload of a frame with the bit. */
static size_t inflate_payload(const uint8_t *payload, size_t n, uint8_t *out, size_t space)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)payload, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)space};

	assert_int_equal(inflateInit2(&z, -12), Z_OK);
	assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
	assert_int_equal(z.avail_in, 0);
	(void)inflateEnd(&z);
	return space - z.avail_out;
}

/* All frames are whole, all messages there and in order, and the long ones each alone and deflated. */
static void check_deflated(const struct box *b, enum dialect dialect, unsigned n_deflated)
{
	uint8_t plain[2048];
	unsigned pushes = 0;

	for (size_t at = 0, n; at < b->n; at += n) {
		bool is_long = b->got[at + 1] == 126;
		const uint8_t *payload = b->got + at + (is_long ? 4 : 2);
		bool is_deflated = payload[0] != 0; /* and no stored block */
		unsigned before = pushes;
		size_t bytes;

		assert_int_equal(b->got[at], dialect == DIALECT_V1_JSON ? 0xc1 : 0xc2);
		n = is_long ? (size_t)b->got[at + 2] << 8 | b->got[at + 3] : b->got[at + 1];
		bytes = inflate_payload(payload, n, plain, sizeof(plain));
		n += is_long ? 4 : 2;
		for (size_t i = 0; i < bytes; i++)
			if (plain[i] == '#')
				assert_int_equal(plain[i + 1], '0' + pushes++);
		n_deflated -= is_deflated;
		if (is_deflated)
			assert_int_equal(pushes, before + 1);
	}
	assert_int_equal(pushes, PUSHES);
	assert_int_equal(n_deflated, 0);
}

static void deflated_messages_go_on_in_pieces_of_any_size(void **state)
{
	static const size_t sizes[PUSHES] = {4, 300, 400, 4, 500};
	char body[512];

	(void)state;
	memset(body, 'x', sizeof(body));
	body[0] = '"';
	body[1] = '#';
	for (enum dialect d = DIALECT_V1; d <= DIALECT_V1_JSON; d++)
		for (size_t first = 0; first < 300; first++)
			for (size_t second = 0; second < 300; second += 1 + first % 19) {
				struct box b = {.window_bytes = 32768, .messages_in = 2};

				for (unsigned i = 0; i < PUSHES; i++) {
					body[2] = (char)('0' + i);
					body[sizes[i] - 1] = '"';
					b.messages[i] = message_of(1000, body, sizes[i]);
					body[sizes[i] - 1] = 'x';
				}
				write_some(&b, d, first);
				b.messages_in = 4;
				write_some(&b, d, second);
				b.messages_in = PUSHES;
				write_some(&b, d, sizeof(b.got));
				assert_int_equal(b.messages_out, PUSHES);
				check_deflated(&b, d, 3);
				for (unsigned i = 0; i < PUSHES; i++)
					message_unref(&b.messages[i]);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(answers_go_alone_and_pushes_together, tear_down),
		cmocka_unit_test_teardown(v1_gets_its_packets_bare, tear_down),
		cmocka_unit_test_teardown(with_streams_answers_may_stand_among_pushes, tear_down),
		cmocka_unit_test_teardown(who_speaks_text_gets_arrays, tear_down),
		cmocka_unit_test_teardown(a_ping_goes_back_as_it_came, tear_down),
		cmocka_unit_test_teardown(frames_are_not_longer_than_they_have_to_be, tear_down),
		cmocka_unit_test_teardown(the_largest_haul_finds_space, tear_down),
		cmocka_unit_test_teardown(without_memory_nothing_is_laid, tear_down),
		cmocka_unit_test_teardown(a_haul_may_go_out_in_pieces_of_any_size, tear_down),
		cmocka_unit_test_teardown(deflated_messages_go_on_in_pieces_of_any_size, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
