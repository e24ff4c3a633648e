/* A client that is opened again by itself, against a server that is the test's. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/comet_client.h"
#include "common/base/clock.h"
#include "common/wire/goodbye.h"
#include "common/wire/packet.h"
#include "tests/unit/seam.h"
#include "tests/unit/tcp_pair.h"

static int listener, peer;
static char here[32], nowhere[] = "127.0.0.1:1";
static struct comet_client_keeper *keeper;
static struct comet_client_message got;
static int32_t answer; /* to AUTH */
static const char *words;

static void say(int32_t op, const char *body)
{
	uint8_t head[PACKET_HEAD_BYTES];

	packet_encode(head, 1, op, 0, (uint32_t)strlen(body));
	assert_int_equal(write(peer, head, sizeof(head)), sizeof(head));
	assert_int_equal(write(peer, body, strlen(body)), strlen(body));
}

static void *let_one_in(void *arg)
{
	uint8_t packet[1024];

	(void)arg;
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer >= 0 && recv(peer, packet, sizeof(packet), 0) > PACKET_HEAD_BYTES)
		say(answer, words);
	return NULL;
}

static int begin(void **state)
{
	const struct timeval soon = {.tv_sec = 5};
	uint16_t port;

	(void)state;
	peer = -1;
	answer = OP_AUTH_REPLY;
	words = "";
	listener = tcp_listen(&port);
	(void)snprintf(here, sizeof(here), "127.0.0.1:%u", port);
	seam_clock_set(CLOCK_SEC, 0);
	return setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
}

static int end(void **state)
{
	(void)state;
	comet_client_keeper_free(&keeper);
	comet_client_keeper_free(&keeper); /* is NULL by now */
	if (peer >= 0)
		close(peer);
	close(listener);
	seam_reset();
	return 0;
}

static void keep(char *const *places, size_t n, const char *key)
{
	const struct comet_client_options opt = {.mid = 7, .key = key, .timeout_ms = 5000};

	assert_int_equal(comet_client_keeper_new(&opt, places, n, &keeper), 0);
	assert_int_equal(comet_client_keeper_fd(keeper), -1);
	assert_null(comet_client_keeper_client(keeper));
}

/* While somebody is let in; the result of the call. */
static int next_and_let_in(void)
{
	pthread_t porter;
	int rc;

	assert_int_equal(pthread_create(&porter, NULL, let_one_in, NULL), 0);
	rc = comet_client_keeper_next(keeper, 0, &got);
	assert_int_equal(pthread_join(porter, NULL), 0);
	return rc;
}

static void assert_event(int rc, int event)
{
	assert_int_equal(rc, 0);
	assert_int_equal(got.event, event);
	assert_string_equal(got.room, "");
}

/* Nothing happens before the next attempt is due. */
static void wait_out(void)
{
	const int wait_ms = got.wait_ms;

	assert_int_equal(comet_client_keeper_next(keeper, 0, &got), -ETIMEDOUT);
	seam_clock_advance(wait_ms * CLOCK_MS);
}

static void it_goes_round_the_places_and_comes_back(void **state)
{
	char *places[] = {nowhere, here};

	(void)state;
	keep(places, 2, NULL);
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_LOST);
	assert_string_equal(got.body, "Connection refused");
	wait_out();
	assert_event(next_and_let_in(), COMET_CLIENT_ONLINE);
	assert_true(comet_client_keeper_fd(keeper) >= 0);
	assert_non_null(comet_client_keeper_client(keeper));
	say(1000, "hello");
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_PUSH);
	assert_memory_equal(got.body, "hello", 5);
	assert_int_equal(comet_client_keeper_next(keeper, 0, &got), -ETIMEDOUT);
	close(peer);
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_LOST);
	assert_int_equal(comet_client_keeper_fd(keeper), -1);
	wait_out();
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_LOST); /* the first one again */
	wait_out();
	assert_event(next_and_let_in(), COMET_CLIENT_ONLINE);
}

static void what_is_of_no_use_is_not_tried_again(void **state)
{
	struct comet_client_goodbye goodbye;
	char *places[] = {here};

	(void)state;
	keep(places, 1, NULL);
	answer = OP_DISCONNECT;
	words = "{\"code\":5,\"reason\":\"not you\"}";
	for (int i = 0; i < 2; i++)
		assert_int_equal(i == 0 ? next_and_let_in() : comet_client_keeper_next(keeper, 0, &got), -ECONNABORTED);
	comet_client_keeper_last_words(keeper, &goodbye);
	assert_int_equal(goodbye.code, GOODBYE_AUTH_REFUSED);
	assert_string_equal(goodbye.reason, "not you");
}

static void a_server_that_goes_away_is_read_until_it_closes(void **state)
{
	char *places[] = {here}, away[100];
	int old;

	(void)state;
	keep(places, 1, "a key");
	assert_event(next_and_let_in(), COMET_CLIENT_ONLINE);
	(void)snprintf(away, sizeof(away), "{\"code\":4,\"reason\":\"away\",\"nodes\":[\"%s\"]}", here);
	places[0] = nowhere; /* it goes where it is sent */
	say(OP_DISCONNECT, away);
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_LOST);
	assert_string_equal(got.body, "away");
	assert_true(got.wait_ms < 200);
	say(1000, "before");
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_PUSH);
	assert_memory_equal(got.body, "before", 6);
	seam_clock_advance(CLOCK_SEC);
	old = peer;
	assert_event(next_and_let_in(), COMET_CLIENT_ONLINE);
	say(1000, "new");
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_PUSH);
	assert_memory_equal(got.body, "new", 3);
	assert_int_equal(write(old, "\0\0\0\x11\0\x10\0\1\0\0\3\xe8\0\0\0\0x", 17), 17);
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_PUSH);
	assert_memory_equal(got.body, "x", 1);
	close(old);
	assert_int_equal(comet_client_keeper_next(keeper, 0, &got), -ETIMEDOUT);
}

static void an_old_connection_is_not_read_for_ever_and_without_a_key_no_longer_than_needed(void **state)
{
	char *places[] = {here};
	char beat[PACKET_HEAD_BYTES];

	(void)state;
	for (int i = 0; i < 2; i++) {
		int old;

		keep(places, 1, i == 0 ? NULL : "a key");
		assert_event(next_and_let_in(), COMET_CLIENT_ONLINE);
		say(OP_DISCONNECT, "{\"code\":4,\"reason\":\"away\"}");
		assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_LOST);
		seam_clock_advance(got.wait_ms * CLOCK_MS);
		old = peer;
		assert_event(next_and_let_in(), COMET_CLIENT_ONLINE);
		assert_int_equal(comet_client_keeper_next(keeper, 0, &got), -ETIMEDOUT);
		if (i == 1) {
			assert_int_equal(recv(old, beat, 1, MSG_DONTWAIT), -1); /* it is still read */
			seam_clock_advance(61 * CLOCK_SEC);
			assert_int_equal(comet_client_keeper_next(keeper, 0, &got), -ETIMEDOUT);
			assert_int_equal(recv(old, beat, sizeof(beat), MSG_WAITALL), sizeof(beat));
		}
		assert_int_equal(recv(old, beat, 1, 0), 0);
		close(old);
		close(peer);
		peer = -1;
		comet_client_keeper_free(&keeper);
	}
}

/* Otherwise a server could have all of its clients knock at somebody's door ten times a second. */
static void who_is_sent_to_and_fro_waits_longer_and_longer(void **state)
{
	char *places[] = {here}, away[100];
	int longest_ms = 0;

	(void)state;
	keep(places, 1, NULL);
	(void)snprintf(away, sizeof(away), "{\"code\":4,\"reason\":\"away\",\"nodes\":[\"%s\"]}", here);
	for (int i = 0; i < 20; i++) {
		const int old = peer;

		assert_event(next_and_let_in(), COMET_CLIENT_ONLINE);
		if (old >= 0)
			close(old);
		say(OP_DISCONNECT, away);
		do
			assert_int_equal(comet_client_keeper_next(keeper, 0, &got), 0);
		while (got.event != COMET_CLIENT_LOST);
		longest_ms = got.wait_ms > longest_ms ? got.wait_ms : longest_ms;
		seam_clock_advance(got.wait_ms * CLOCK_MS);
	}
	assert_true(longest_ms > 1000);
}

static void without_memory_there_is_none(void **state)
{
	const struct comet_client_options opt = {.mid = 7};
	char *places[] = {here};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(comet_client_keeper_new(&opt, places, 1, &keeper), -ENOMEM);
	seam_reset();
	seam_clock_set(CLOCK_SEC, 0);
	keep(places, 1, NULL);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_event(comet_client_keeper_next(keeper, 0, &got), COMET_CLIENT_LOST); /* and it will be tried again */
	assert_string_equal(got.body, "Cannot allocate memory");
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		test(it_goes_round_the_places_and_comes_back),
		test(what_is_of_no_use_is_not_tried_again),
		test(a_server_that_goes_away_is_read_until_it_closes),
		test(an_old_connection_is_not_read_for_ever_and_without_a_key_no_longer_than_needed),
		test(who_is_sent_to_and_fro_waits_longer_and_longer),
		test(without_memory_there_is_none),
	};
#undef test

	return cmocka_run_group_tests(tests, NULL, NULL);
}
