/* A client over WebSocket, against frames of the test's own. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/client.h"
#include "client/client_ws.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"
#include "tests/unit/tcp_pair.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static int listener, peer, cancel_fd;
static char port[8], why[CLIENT_WORDS_BYTES], request[8192];
static struct client *client;
static const char *answer; /* what the server says to the request; NULL: yes */

static int64_t soon(void)
{
	return clock_now_ns() + 5 * CLOCK_SEC;
}

static struct client_options options(void)
{
	return (struct client_options){.host = "127.0.0.1",
				       .port = port,
				       .max_body = 1 << 20,
				       .cancel_fd = cancel_fd,
				       .open = client_ws_open,
				       .path = "/sub?x=y",
				       .why = why};
}

static void write_all(const void *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = send(peer, bytes, n, MSG_NOSIGNAL);

		assert_true(written > 0);
		bytes = (const uint8_t *)bytes + written;
		n -= (size_t)written;
	}
}

static void read_all(void *bytes, size_t n)
{
	assert_int_equal(recv(peer, bytes, n, MSG_WAITALL), n);
}

static void say_yes(void)
{
	char key[100], accept[40], text[300];
	unsigned char hash[20];
	char *at = strstr(request, "Sec-WebSocket-Key: ");

	assert_non_null(at);
	at += 19;
	snprintf(key, sizeof(key), "%.*s" GUID, (int)strcspn(at, "\r"), at);
	lws_SHA1((unsigned char *)key, strlen(key), hash);
	lws_b64_encode_string((char *)hash, sizeof(hash), accept, sizeof(accept));
	snprintf(text, sizeof(text),
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Accept: %s\r\n\r\n",
		 accept);
	write_all(text, strlen(text));
}

/* Take one client, and answer its request. */
static void *welcome(void *unused)
{
	size_t n = 0;

	(void)unused;
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (n < sizeof(request) - 1 && strstr(request, "\r\n\r\n") == NULL) {
		ssize_t got = read(peer, request + n, sizeof(request) - 1 - n);

		if (got <= 0)
			return NULL;
		n += (size_t)got;
	}
	if (answer == NULL)
		say_yes();
	else
		write_all(answer, strlen(answer));
	return NULL;
}

static int connect_to(const char *said, int64_t deadline_ns)
{
	struct client_options opt = options();
	pthread_t thread;
	int rc;

	answer = said;
	memset(request, 0, sizeof(request));
	assert_int_equal(pthread_create(&thread, NULL, welcome, NULL), 0);
	rc = client_connect(&opt, deadline_ns, &client);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return rc;
}

static int listen_only(void **state)
{
	uint16_t number;

	(void)state;
	peer = -1;
	cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	listener = tcp_listen(&number);
	snprintf(port, sizeof(port), "%u", number);
	return cancel_fd < 0 ? -1 : 0;
}

static int connect_both(void **state)
{
	return listen_only(state) < 0 || connect_to(NULL, soon()) < 0 ? -1 : 0;
}

static int close_all(void **state)
{
	(void)state;
	seam_reset();
	client_free(&client);
	close(listener);
	close(cancel_fd);
	if (peer >= 0)
		close(peer);
	return 0;
}

/* ---- frames ---- */

static void say_frame(unsigned first, const void *payload, size_t n)
{
	uint8_t head[10] = {(uint8_t)first, (uint8_t)(n < 126 ? n : n < 65536 ? 126 : 127)};
	size_t head_bytes = n < 126 ? 2 : n < 65536 ? 4 : 10;

	for (size_t i = 2; i < head_bytes; i++)
		head[i] = (uint8_t)((uint64_t)n >> 8 * (head_bytes - 1 - i));
	write_all(head, head_bytes);
	write_all(payload, n);
}

/* A packet into out; returns its bytes. */
static size_t make(uint8_t *out, int32_t op, const void *body, size_t n)
{
	packet_encode(out, 1, op, 3, (uint32_t)n);
	memcpy(out + PACKET_HEAD_BYTES, body, n);
	return PACKET_HEAD_BYTES + n;
}

static void say(int32_t op, const char *body)
{
	uint8_t packet[200];

	say_frame(0x82, packet, make(packet, op, body, strlen(body)));
}

/* A frame of the client's, without its mask: first byte, payload, and how long. */
static size_t hear(uint8_t *first, uint8_t *payload, size_t max)
{
	uint8_t head[2], more[8], mask[4];
	size_t n;

	read_all(head, 2);
	*first = head[0];
	assert_true(head[1] & 0x80);
	n = head[1] & 0x7f;
	if (n >= 126) {
		size_t bytes = n == 126 ? 2 : 8;

		read_all(more, bytes);
		n = 0;
		for (size_t i = 0; i < bytes; i++)
			n = n << 8 | more[i];
	}
	read_all(mask, 4);
	assert_true(n <= max);
	read_all(payload, n);
	for (size_t i = 0; i < n; i++)
		payload[i] ^= mask[i % 4];
	return n;
}

static void assert_read(int32_t op, const char *body)
{
	struct packet p;

	assert_int_equal(client_read(client, soon(), &p), 0);
	assert_int_equal(p.op, op);
	assert_int_equal(p.body_bytes, strlen(body));
	assert_memory_equal(p.body, body, strlen(body));
}

/* ---- the request ---- */

static void the_request_is_plain(void **state)
{
	(void)state;
	assert_int_equal(strncmp(request, "GET /sub?x=y HTTP/1.1\r\n", 23), 0);
	assert_non_null(strstr(request, "\r\nHost: 127.0.0.1:"));
	assert_non_null(strstr(request, port));
	assert_non_null(strstr(request, "\r\nSec-WebSocket-Version: 13\r\n"));
	assert_null(strcasestr(request, "\r\nOrigin:"));
	assert_null(strcasestr(request, "\r\nSec-WebSocket-Extensions:"));
	assert_null(strcasestr(request, "\r\nSec-WebSocket-Protocol:"));
}

static void an_answer_that_is_no_websocket_is_told(void **state)
{
	static const struct {
		const char *says;
		int rc;
		const char *why;
	} answers[] = {
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n", -ERR_REFUSED, "HTTP 403 Forbidden"},
		{"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n", -ERR_REFUSED, "HTTP 404 Not Found"},
		{"HTTP/1.1 400 Bad \x1b[2J\r\n\r\n", -ERR_REFUSED, "HTTP 400 Bad ?[2J"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", -ERR_REFUSED, "HTTP 200 OK"},
		{"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", -ERR_REFUSED, "HTTP 302 Found"},
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", -EAGAIN,
		 "HTTP 503 Service Unavailable"},
		{"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: eA==\r\n\r\n",
		 -EPROTO, "no WebSocket server"},
		{"SSH-2.0-OpenSSH_9.2p1\r\n", -ETIMEDOUT, ""},
		{"", -ETIMEDOUT, ""},
		{"HTTP/1.1 101 Swi", -ETIMEDOUT, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		int rc = connect_to(answers[i].says,
				    clock_now_ns() + (answers[i].rc == -ETIMEDOUT ? 200 * CLOCK_MS : 5 * CLOCK_SEC));

		if (rc != answers[i].rc || strstr(why, answers[i].why) == NULL ||
		    (answers[i].why[0] == '\0') != (why[0] == '\0'))
			fail_msg("\"%s\": %d, \"%s\"", answers[i].says, rc, why);
		close(peer);
		peer = -1;
	}
}

static void long_headers_are_taken(void **state)
{
	static char text[12000];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 403 Forbidden\r\nSet-Cookie: %09000d\r\n\r\n", 0);

	(void)state;
	assert_true(n > 9000);
	assert_int_equal(connect_to(text, soon()), -ERR_REFUSED);
}

static void nobody_listening_is_refused(void **state)
{
	struct client_options opt = options();

	(void)state;
	close(listener);
	listener = -1;
	assert_int_equal(client_connect(&opt, soon(), &client), -ECONNREFUSED);
}

static void a_cancelled_connect_ends_at_once(void **state)
{
	struct client_options opt = options();
	uint64_t one = 1;

	(void)state;
	assert_int_equal(write(cancel_fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(client_connect(&opt, soon(), &client),
			 -ECANCELED);                                      /* the kernel accepts, and nobody answers */
	assert_int_equal(read(cancel_fd, &one, sizeof(one)), sizeof(one)); /* it was polled only */
}

static void without_memory_there_is_no_link(void **state)
{
	struct client_options opt = options();

	(void)state;
	for (unsigned after = 0; after < 3; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(client_connect(&opt, clock_now_ns() + 50 * CLOCK_MS, &client),
				 after < 3 ? -ENOMEM : -ETIMEDOUT);
		seam_reset();
	}
}

/* ---- what comes ---- */

static void packets_come_one_by_one_however_the_frames_are_cut(void **state)
{
	uint8_t bytes[300];
	size_t n = make(bytes, 1000, "one", 3);

	(void)state;
	n += make(bytes + n, 1001, "", 0);
	say_frame(0x82, bytes, n); /* two packets in a message */
	say(1002, "three");
	n = make(bytes, 1003, "four", 4); /* a message of fragments, with a ping and empty ones between */
	say_frame(0x02, bytes, 1);
	say_frame(0x00, bytes + 1, 0);
	say_frame(0x89, "hi", 2);
	say_frame(0x00, bytes + 1, 15);
	say_frame(0x80, bytes + 16, n - 16);
	assert_read(1000, "one");
	assert_read(1001, "");
	assert_read(1002, "three");
	assert_read(1003, "four");
}

static void a_wrapper_of_pushes_is_taken_off(void **state)
{
	uint8_t inner[200], outer[300];
	size_t n = make(inner, 1000, "a", 1);

	(void)state;
	n += make(inner + n, 1001, "bc", 2);
	say_frame(0x82, outer, make(outer, OP_RAW, inner, n));
	say_frame(0x82, outer, make(outer, OP_RAW, "", 0));
	say(1002, "d");
	assert_read(1000, "a");
	assert_read(1001, "bc");
	assert_read(1002, "d");
}

static void a_wrapper_that_holds_no_whole_packets_is_an_error(void **state)
{
	static const size_t cut[] = {1, 15, 16, 18};
	uint8_t inner[100], outer[200];
	struct packet p;
	size_t n = make(inner, 1000, "abc", 3);

	(void)state;
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		say_frame(0x82, outer, make(outer, OP_RAW, inner, cut[i]));
		assert_int_equal(client_read(client, soon(), &p), -ERR_PACKET_LENGTH);
	}
	say_frame(0x82, outer, make(outer, OP_RAW, inner, n));
	assert_read(1000, "abc");
}

static void long_messages_come_whole(void **state)
{
	static const size_t lengths[] = {109, 110, 125, 126, 127, 65519, 65520, 65535, 65536, 300000, 1 << 20};
	uint8_t *packet = malloc((1 << 20) + PACKET_HEAD_BYTES), *body = malloc(1 << 20);
	struct packet p;

	(void)state;
	for (size_t i = 0; i < 1 << 20; i++)
		body[i] = (uint8_t)(i * 31 >> 3);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		pid_t child = fork(); /* the socket takes it only as it is read */

		if (child == 0) {
			say_frame(0x82, packet, make(packet, 1000, body, lengths[i]));
			_exit(0);
		}
		assert_int_equal(client_read(client, soon(), &p), 0);
		assert_int_equal(p.body_bytes, lengths[i]);
		assert_memory_equal(p.body, body, lengths[i]);
		waitpid(child, NULL, 0);
	}
	free(packet);
	free(body);
}

static void a_ping_is_answered_while_we_wait(void **state)
{
	uint8_t first, payload[130];
	struct packet p;

	(void)state;
	say_frame(0x89, "are you there", 13);
	assert_int_equal(client_read(client, clock_now_ns() + 100 * CLOCK_MS, &p), -ETIMEDOUT);
	assert_int_equal(hear(&first, payload, sizeof(payload)), 13);
	assert_int_equal(first, 0x8a);
	assert_memory_equal(payload, "are you there", 13);
	say(1000, "x");
	assert_read(1000, "x");
}

static void a_read_without_time_takes_what_is_there(void **state)
{
	struct packet p;

	(void)state;
	assert_int_equal(client_read(client, 0, &p), -ETIMEDOUT);
	for (int i = 0; i < 100; i++)
		say(1000 + i, "abc");
	for (int i = 0; i < 100; i++) {
		assert_int_equal(client_read(client, clock_now_ns(), &p), 0);
		assert_int_equal(p.op, 1000 + i);
	}
	assert_int_equal(client_read(client, clock_now_ns(), &p), -ETIMEDOUT);
}

static void a_read_ends_at_its_deadline_and_can_be_continued(void **state)
{
	uint8_t packet[40];
	int64_t begin_ns = clock_now_ns(), took_ns;
	struct packet p;

	(void)state;
	make(packet, 1000, "ab", 2);
	say_frame(0x02, packet, 10);
	assert_int_equal(client_read(client, begin_ns + 100 * CLOCK_MS, &p), -ETIMEDOUT);
	took_ns = clock_now_ns() - begin_ns;
	assert_true(took_ns >= 99 * CLOCK_MS && took_ns < CLOCK_SEC);
	say_frame(0x80, packet + 10, 8);
	assert_read(1000, "ab");
}

static void a_cancelled_read_can_be_continued(void **state)
{
	uint64_t one = 1;
	struct packet p;

	(void)state;
	assert_int_equal(write(cancel_fd, &one, sizeof(one)), sizeof(one));
	say(1000, "x");
	for (int i = 0; i < 3; i++)
		assert_int_equal(client_read(client, soon(), &p), -ECANCELED);
	assert_int_equal(read(cancel_fd, &one, sizeof(one)), sizeof(one));
	assert_read(1000, "x");
}

static void a_packet_that_was_sent_as_it_was_cancelled_leaves_nothing_behind(void **state)
{
	uint8_t first, payload[100];
	uint64_t one = 1;

	(void)state;
	assert_int_equal(write(cancel_fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(client_send(client, 1, OP_HEARTBEAT, 1, NULL, 0, soon()), 0);
	assert_int_equal(read(cancel_fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(hear(&first, payload, sizeof(payload)), PACKET_HEAD_BYTES);
	say(1000, "x");
	assert_read(1000, "x");
}

static void the_socket_can_be_polled(void **state)
{
	struct pollfd fd = {client_fd(client), POLLIN, 0};

	(void)state;
	assert_int_equal(poll(&fd, 1, 0), 0);
	say(1000, "x");
	assert_int_equal(poll(&fd, 1, 5000), 1);
	assert_read(1000, "x");
}

static void a_reader_that_is_away_does_not_hoard(void **state)
{
	static uint8_t packet[60016], body[60000];
	uint8_t first, payload[100];
	size_t n = make(packet, 1000, body, sizeof(body)), frames = 0;
	struct packet p;

	(void)state;
	assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
	for (;; frames++) {
		uint8_t head[4] = {0x82, 126, (uint8_t)(n >> 8), (uint8_t)n};
		ssize_t sent;

		/* A write takes in what has come meanwhile, but no more than it must. */
		if (frames % 8 == 0)
			assert_int_equal(client_send(client, 1, OP_HEARTBEAT, 1, NULL, 0, soon()), 0);
		if (send(peer, head, 4, MSG_NOSIGNAL) != 4)
			break;
		sent = send(peer, packet, n, MSG_NOSIGNAL);
		if (sent != (ssize_t)n)
			break;
		assert_true(frames < 2000);
	}
	for (size_t i = 0; i < frames; i++)
		assert_int_equal(client_read(client, soon(), &p), 0);
	assert_int_equal(fcntl(peer, F_SETFL, 0), 0);
	assert_int_equal(hear(&first, payload, sizeof(payload)), PACKET_HEAD_BYTES);
}

/* ---- what goes ---- */

static void a_packet_is_one_binary_message(void **state)
{
	static const size_t lengths[] = {0, 1, 109, 110, 5000, 65519, 65520, 200000};
	static uint8_t body[200000], payload[200016];
	uint8_t first;

	(void)state;
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7 >> 2);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct packet p;

		assert_int_equal(client_send(client, 1, OP_SEND, (int32_t)i, body, (uint32_t)lengths[i], soon()), 0);
		assert_int_equal(hear(&first, payload, sizeof(payload)), PACKET_HEAD_BYTES + lengths[i]);
		assert_int_equal(first, 0x82);
		assert_int_equal(packet_decode(payload, UINT32_MAX, &p), 0);
		assert_int_equal(p.op, OP_SEND);
		assert_int_equal(p.seq, i);
		assert_memory_equal(payload + PACKET_HEAD_BYTES, body, lengths[i]);
	}
}

static void a_peer_that_does_not_read_is_waited_for_to_the_deadline(void **state)
{
	static uint8_t body[1 << 20];
	int64_t begin_ns, took_ns;
	int rc = 0;

	(void)state;
	do {
		begin_ns = clock_now_ns();
		rc = client_send(client, 1, OP_SEND, 1, body, sizeof(body), begin_ns + 200 * CLOCK_MS);
		took_ns = clock_now_ns() - begin_ns;
	} while (rc == 0);
	assert_int_equal(rc, -ETIMEDOUT);
	assert_true(took_ns >= 199 * CLOCK_MS && took_ns < 2 * CLOCK_SEC);
}

static void without_memory_a_packet_is_not_sent(void **state)
{
	uint8_t first, payload[100];

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(client_send(client, 1, OP_SEND, 1, "a", 1, soon()), -ENOMEM);
	assert_int_equal(client_send(client, 1, OP_SEND, 2, "b", 1, soon()), 0);
	assert_int_equal(hear(&first, payload, sizeof(payload)), PACKET_HEAD_BYTES + 1);
	assert_int_equal(payload[PACKET_HEAD_BYTES], 'b');
}

static void without_memory_for_what_comes_it_ends(void **state)
{
	struct packet p;

	(void)state;
	say(1000, "x");
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(client_read(client, soon(), &p), -ENOMEM);
	assert_int_equal(client_send(client, 1, OP_SEND, 1, "a", 1, soon()), -ENOMEM);
}

/* ---- the end ---- */

static void the_end_of_the_stream_is_told(void **state)
{
	struct packet p;

	(void)state;
	say(1000, "last");
	close(peer);
	peer = -1;
	assert_read(1000, "last");
	assert_int_equal(client_read(client, soon(), &p), -ERR_EOF);
	assert_int_equal(client_read(client, soon(), &p), -ERR_EOF);
	assert_int_equal(client_send(client, 1, OP_HEARTBEAT, 1, NULL, 0, soon()), -EPIPE);
	assert_string_equal(client_said(client), "");
}

static void a_close_is_answered_and_its_words_are_kept(void **state)
{
	uint8_t first, payload[130];
	struct packet p;

	(void)state;
	say(1000, "last");
	say_frame(0x88,
		  "\x03\xe9"
		  "draining",
		  10);
	assert_read(1000, "last");
	assert_int_equal(client_read(client, soon(), &p), -ERR_EOF);
	assert_int_equal(hear(&first, payload, sizeof(payload)), 10);
	assert_int_equal(first, 0x88);
	assert_memory_equal(payload, "\x03\xe9", 2);
	assert_string_equal(client_said(client), "closed with 1001 draining");
}

/* They are shown on terminals. */
static void words_of_a_close_have_nothing_that_a_terminal_obeys(void **state)
{
	struct packet p;

	(void)state;
	say_frame(0x88,
		  "\x03\xe9"
		  "\x1b[2Jgone\xc2\x9b",
		  12);
	assert_int_equal(client_read(client, soon(), &p), -ERR_EOF);
	assert_string_equal(client_said(client), "closed with 1001 ?[2Jgone??");
}

static void the_words_are_kept_where_libwebsockets_does_not_know_the_code(void **state)
{
	struct packet p;

	(void)state;
	say_frame(0x88, "\x03\xf5slow_consumer", 15);
	assert_int_equal(client_read(client, soon(), &p), -ERR_EOF);
	assert_non_null(strstr(client_said(client), " slow_consumer")); /* the code becomes 1002 in its hands */
}

static void a_close_without_a_code_says_nothing(void **state)
{
	struct packet p;

	(void)state;
	say_frame(0x88, "", 0);
	assert_int_equal(client_read(client, soon(), &p), -ERR_EOF);
	assert_string_equal(client_said(client), "");
}

static void frames_that_are_forbidden_end_it(void **state)
{
	static const uint8_t bad[][2] = {{0x83, 0}, {0x8b, 0}, {0xc2, 0}, {0x09, 0}, {0x80, 0}};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc;

		write_all(bad[i], 2);
		rc = client_read(client, clock_now_ns() + CLOCK_SEC, &p);
		if (rc == 0)
			fail_msg("frame %02x was taken", bad[i][0]);
		client_free(&client);
		close(peer);
		assert_int_equal(connect_to(NULL, soon()), 0);
	}
}

static void we_say_that_we_go(void **state)
{
	uint8_t first, payload[130];

	(void)state;
	client_free(&client);
	assert_int_equal(hear(&first, payload, sizeof(payload)), 2);
	assert_int_equal(first, 0x88);
	assert_memory_equal(payload, "\x03\xe8", 2);
	assert_int_equal(recv(peer, payload, 1, 0), 0);
}

static void other_signals_and_logs_stay_as_they_are(void **state)
{
	struct sigaction action;

	(void)state;
	assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
	assert_true(action.sa_handler == SIG_DFL);
	assert_false(lwsl_visible(LLL_ERR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define connected(test) cmocka_unit_test_setup_teardown(test, connect_both, close_all)
#define listening(test) cmocka_unit_test_setup_teardown(test, listen_only, close_all)
		connected(the_request_is_plain),
		listening(an_answer_that_is_no_websocket_is_told),
		listening(long_headers_are_taken),
		listening(nobody_listening_is_refused),
		listening(a_cancelled_connect_ends_at_once),
		listening(without_memory_there_is_no_link),
		connected(packets_come_one_by_one_however_the_frames_are_cut),
		connected(a_wrapper_of_pushes_is_taken_off),
		connected(a_wrapper_that_holds_no_whole_packets_is_an_error),
		connected(long_messages_come_whole),
		connected(a_ping_is_answered_while_we_wait),
		connected(a_read_without_time_takes_what_is_there),
		connected(a_read_ends_at_its_deadline_and_can_be_continued),
		connected(a_cancelled_read_can_be_continued),
		connected(a_packet_that_was_sent_as_it_was_cancelled_leaves_nothing_behind),
		connected(the_socket_can_be_polled),
		connected(a_reader_that_is_away_does_not_hoard),
		connected(a_packet_is_one_binary_message),
		connected(without_memory_a_packet_is_not_sent),
		connected(without_memory_for_what_comes_it_ends),
		connected(a_peer_that_does_not_read_is_waited_for_to_the_deadline),
		connected(the_end_of_the_stream_is_told),
		connected(a_close_is_answered_and_its_words_are_kept),
		connected(words_of_a_close_have_nothing_that_a_terminal_obeys),
		connected(the_words_are_kept_where_libwebsockets_does_not_know_the_code),
		connected(a_close_without_a_code_says_nothing),
		connected(frames_that_are_forbidden_end_it),
		connected(we_say_that_we_go),
		connected(other_signals_and_logs_stay_as_they_are),
	};

	setenv("http_proxy", "http://127.0.0.1:1", 1); /* nobody is to ask it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
