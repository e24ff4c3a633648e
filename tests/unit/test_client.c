/* The client of comet-cli, against a socket of the test's own. SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/client.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"
#include "tests/unit/tcp_pair.h"

static int listener, peer, cancel_fd;
static char port[8];
static struct client *client;

static int64_t soon(void)
{
	return clock_now_ns() + 5 * CLOCK_SEC;
}

static struct client_options options(void)
{
	return (struct client_options){.host = "127.0.0.1", .port = port, .max_body = 100, .cancel_fd = cancel_fd};
}

static int listen_only(void **state)
{
	uint16_t number;

	(void)state;
	peer = -1;
	cancel_fd = eventfd(0, EFD_CLOEXEC);
	listener = tcp_listen(&number);
	snprintf(port, sizeof(port), "%u", number);
	return cancel_fd < 0 ? -1 : 0;
}

static int connect_both(void **state)
{
	struct client_options opt;

	if (listen_only(state) < 0)
		return -1;
	opt = options();
	if (client_connect(&opt, soon(), &client) < 0)
		return -1;
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return peer < 0 ? -1 : 0;
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

static void say(int32_t op, const char *body)
{
	uint8_t head[PACKET_HEAD_BYTES];

	packet_encode(head, 1, op, 3, (uint32_t)strlen(body));
	assert_int_equal(write(peer, head, sizeof(head)), sizeof(head));
	assert_int_equal(write(peer, body, strlen(body)), strlen(body));
}

static void assert_read(int32_t op, const char *body)
{
	struct packet p;

	assert_int_equal(client_read(client, soon(), &p), 0);
	assert_int_equal(p.op, op);
	assert_int_equal(p.body_bytes, strlen(body));
	assert_memory_equal(p.body, body, strlen(body));
}

static void packets_come_one_by_one(void **state)
{
	(void)state;
	say(1000, "one");
	say(1001, "");
	say(1002, "three");
	assert_read(1000, "one");
	assert_read(1001, "");
	assert_read(1002, "three");
}

static void packets_come_whole_however_few_bytes_arrive_at_a_time(void **state)
{
	(void)state;
	for (unsigned bytes = 1; bytes < 20; bytes++) {
		seam_limit_bytes(bytes);
		say(1000, "one");
		say(1002, "three");
		assert_read(1000, "one");
		assert_read(1002, "three");
	}
}

static void a_read_that_timed_out_can_be_continued(void **state)
{
	uint8_t head[PACKET_HEAD_BYTES];
	struct packet p;

	(void)state;
	assert_int_equal(client_read(client, clock_now_ns(), &p), -ETIMEDOUT);
	packet_encode(head, 1, 1000, 0, 2);
	assert_int_equal(write(peer, head, 7), 7);
	assert_int_equal(client_read(client, clock_now_ns() + CLOCK_MS, &p), -ETIMEDOUT);
	assert_int_equal(write(peer, head + 7, 9), 9);
	assert_int_equal(write(peer, "a", 1), 1);
	assert_int_equal(client_read(client, clock_now_ns() + CLOCK_MS, &p), -ETIMEDOUT);
	assert_int_equal(write(peer, "b", 1), 1);
	assert_read(1000, "ab");
}

static void a_cancelled_read_can_be_continued(void **state)
{
	uint64_t one = 1;
	struct packet p;

	(void)state;
	assert_int_equal(write(cancel_fd, &one, sizeof(one)), sizeof(one));
	say(1000, "x");
	assert_int_equal(client_read(client, soon(), &p), -ECANCELED);
	assert_int_equal(read(cancel_fd, &one, sizeof(one)), sizeof(one));
	assert_read(1000, "x");
}

static void the_end_of_the_stream_is_told_from_a_cut(void **state)
{
	struct packet p;

	(void)state;
	say(1000, "x");
	assert_int_equal(write(peer, "\0\0", 2), 2);
	close(peer);
	peer = -1;
	assert_read(1000, "x");
	assert_int_equal(client_read(client, soon(), &p), -ERR_CUT);
}

static void a_close_at_a_boundary_is_the_end(void **state)
{
	struct packet p;

	(void)state;
	close(peer);
	peer = -1;
	assert_int_equal(client_read(client, soon(), &p), -ERR_EOF);
}

static void a_body_above_the_limit_is_not_taken(void **state)
{
	uint8_t head[PACKET_HEAD_BYTES];
	struct packet p;

	(void)state;
	packet_encode(head, 1, 1000, 0, 101);
	assert_int_equal(write(peer, head, sizeof(head)), sizeof(head));
	assert_int_equal(client_read(client, soon(), &p), -ERR_PACKET_BODY);
}

static void a_large_body_needs_memory(void **state)
{
	struct client_options opt = options();
	char body[8000];
	struct packet p;

	(void)state;
	client_free(&client);
	opt.max_body = sizeof(body);
	assert_int_equal(client_connect(&opt, soon(), &client), 0);
	close(peer);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	say(1000, body);
	seam_fail(SEAM_ALLOC, 0, 1, 0);
	assert_int_equal(client_read(client, soon(), &p), -ENOMEM);
	assert_read(1000, body);
}

static void an_error_of_recv_is_handed_on_but_not_eintr(void **state)
{
	struct packet p;

	(void)state;
	say(1000, "x");
	seam_fail(SEAM_RECV, 0, 1, EINTR);
	assert_read(1000, "x");
	assert_int_equal(seam_failed(SEAM_RECV), 1);
	say(1000, "x");
	seam_fail(SEAM_RECV, 0, 1, ECONNRESET);
	assert_int_equal(client_read(client, soon(), &p), -ECONNRESET);
}

static void connecting_needs_memory_and_an_address(void **state)
{
	struct client_options opt = options();

	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, 0);
		assert_int_equal(client_connect(&opt, soon(), &client), -ENOMEM);
		assert_null(client);
		seam_reset();
	}
	seam_fail(SEAM_SETSOCKOPT, 0, 1, EINVAL);
	assert_int_equal(client_connect(&opt, soon(), &client), -EINVAL);
	seam_reset();
	opt.host = "no such host";
	assert_int_equal(client_connect(&opt, soon(), &client), -ENOENT);
	assert_null(client);
}

/* The lists of two addresses, one after the other. */
static struct addrinfo *both(struct addrinfo *first, struct addrinfo *second)
{
	struct addrinfo *last = first;

	while (last->ai_next != NULL)
		last = last->ai_next;
	last->ai_next = second;
	return first;
}

/* The test's own in place of libc's: the name "two" is an address where nobody answers, then ours. */
int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
		struct addrinfo **restrict out)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
		(int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT,
													"getaddrinfo");
	struct addrinfo *first, *second;
	int rc;

	if (strcmp(host, "two") != 0)
		return real(host, service, hints, out);
	if ((rc = real("127.0.0.2", service, hints, &first)) != 0)
		return rc;
	if ((rc = real("127.0.0.1", service, hints, &second)) != 0)
		freeaddrinfo(first);
	else
		*out = both(first, second);
	return rc;
}

/* A listener at 127.0.0.2 whose queue is full: what comes more is not answered. */
static void fill_up_the_other_address(int fds[4])
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(fds[0], (struct sockaddr *)&at, sizeof(at)), errno);
	assert_return_code(listen(fds[0], 0), errno);
	for (int i = 1; i < 4; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&at, sizeof(at)), -1);
		assert_int_equal(errno, EINPROGRESS);
	}
}

static void an_address_where_nobody_answers_leaves_time_for_the_next(void **state)
{
	struct client_options opt = options();
	int64_t begin_ns = clock_now_ns(), took_ns;
	int fds[4];

	(void)state;
	opt.host = "two";
	fill_up_the_other_address(fds);
	assert_int_equal(client_connect(&opt, begin_ns + 3 * CLOCK_SEC, &client), 0);
	took_ns = clock_now_ns() - begin_ns;
	assert_in_range(took_ns, 3 * CLOCK_SEC / 2, 3 * CLOCK_SEC - 1); /* half went to the first */
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void nobody_listening_is_refused(void **state)
{
	struct client_options opt = options();

	(void)state;
	close(listener);
	listener = -1;
	assert_int_equal(client_connect(&opt, soon(), &client), -ECONNREFUSED);
}

static void what_is_sent_is_a_packet(void **state)
{
	uint8_t got[PACKET_HEAD_BYTES + 5];
	struct packet p;

	(void)state;
	assert_int_equal(client_send(client, 1, 4, 9, "hello", 5, soon()), 0);
	assert_int_equal(recv(peer, got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_int_equal(packet_decode(got, 100, &p), 0);
	assert_int_equal(p.ver, 1);
	assert_int_equal(p.op, 4);
	assert_int_equal(p.seq, 9);
	assert_int_equal(p.body_bytes, 5);
	assert_memory_equal(got + PACKET_HEAD_BYTES, "hello", 5);
}

static void a_peer_that_does_not_read_is_waited_for_to_the_deadline(void **state)
{
	static char much[32 << 20];

	(void)state;
	assert_int_equal(client_send(client, 1, 4, 9, much, sizeof(much), clock_now_ns() + 50 * CLOCK_MS), -ETIMEDOUT);
}

static void authentication_passes_over_what_comes_before_its_answer(void **state)
{
	struct client_goodbye goodbye;

	(void)state;
	say(1000, "early");
	say(OP_AUTH_REPLY, "");
	assert_int_equal(client_authenticate(client, DIALECT_V2, "{}", soon(), &goodbye), 0);
}

static void a_refusal_brings_its_words(void **state)
{
	struct client_goodbye goodbye;

	(void)state;
	say(OP_DISCONNECT, "{\"code\":5,\"reason\":\"bad \\u001b[31mtoken\"}");
	assert_int_equal(client_authenticate(client, DIALECT_V2, "{}", soon(), &goodbye), -ERR_REFUSED);
	assert_int_equal(goodbye.code, GOODBYE_AUTH_REFUSED);
	assert_string_equal(goodbye.reason, "bad ?[31mtoken");
}

static void only_some_goodbyes_are_final(void **state)
{
	static const int64_t final[] = {1, 2, 5, 10, 13, 24, 25, 26};
	const size_t n_final = sizeof(final) / sizeof(final[0]);
	size_t found = 0;

	(void)state;
	for (int64_t code = -1; code < 100; code++) {
		bool is_one = found < n_final && code == final[found];

		assert_int_equal(client_goodbye_is_final(code), is_one);
		found += is_one;
	}
	assert_int_equal(found, n_final);
}

static void a_goodbye_of_another_form_says_nothing(void **state)
{
	static const char *const bodies[] = {"", "no json", "[1]", "{\"code\":\"x\",\"reason\":7}", "{}", "null"};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct packet p = {.body = (uint8_t *)bodies[i], .body_bytes = (uint32_t)strlen(bodies[i])};
		struct client_goodbye goodbye = {9, "before", "here:1"};

		client_read_goodbye(&p, &goodbye);
		assert_int_equal(goodbye.code, GOODBYE_UNSAID);
		assert_string_equal(goodbye.reason, "");
	}
}

static void a_token_says_who_we_are(void **state)
{
	static const int32_t accepts[] = {1000, 1001};
	struct client_identity who = {
		.dialect = DIALECT_V2, .mid = INT64_MAX, .key = "a\"b", .accepts = accepts, .n_accepts = 2};
	char *token;

	(void)state;
	assert_int_equal(client_token(&who, &token), 0);
	assert_string_equal(token, "{\"mid\":9223372036854775807,\"key\":\"a\\\"b\",\"room_id\":\"\",\"platform\":\"\","
				   "\"accepts\":[1000,1001]}");
	free(token);
	who.dialect = DIALECT_V1;
	assert_int_equal(client_token(&who, &token), 0);
	assert_string_equal(token, "9223372036854775807");
	free(token);
	who.dialect = DIALECT_V2;
	who.key = "\xff";
	assert_int_equal(client_token(&who, &token), -EINVAL);
}

#define CONNECTED(test) cmocka_unit_test_setup_teardown(test, connect_both, close_all)
#define LISTENING(test) cmocka_unit_test_setup_teardown(test, listen_only, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONNECTED(packets_come_one_by_one),
		CONNECTED(packets_come_whole_however_few_bytes_arrive_at_a_time),
		CONNECTED(a_read_that_timed_out_can_be_continued),
		CONNECTED(a_cancelled_read_can_be_continued),
		CONNECTED(the_end_of_the_stream_is_told_from_a_cut),
		CONNECTED(a_close_at_a_boundary_is_the_end),
		CONNECTED(a_body_above_the_limit_is_not_taken),
		CONNECTED(a_large_body_needs_memory),
		CONNECTED(an_error_of_recv_is_handed_on_but_not_eintr),
		LISTENING(connecting_needs_memory_and_an_address),
		LISTENING(an_address_where_nobody_answers_leaves_time_for_the_next),
		LISTENING(nobody_listening_is_refused),
		CONNECTED(what_is_sent_is_a_packet),
		CONNECTED(a_peer_that_does_not_read_is_waited_for_to_the_deadline),
		CONNECTED(authentication_passes_over_what_comes_before_its_answer),
		CONNECTED(a_refusal_brings_its_words),
		cmocka_unit_test(only_some_goodbyes_are_final),
		cmocka_unit_test(a_goodbye_of_another_form_says_nothing),
		cmocka_unit_test(a_token_says_who_we_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
