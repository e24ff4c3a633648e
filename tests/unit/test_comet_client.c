/* The client library, against a socket of the test's own. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/comet_client.h"
#include "common/wire/packet.h"
#include "tests/unit/seam.h"
#include "tests/unit/tcp_pair.h"

#define SOON_MS 5000

static int listener, peer;
static char port[8];
static struct comet_client *client;
static struct comet_client_goodbye goodbye;
static char heard[8192]; /* body of the last packet that the peer heard */

static struct comet_client_options options(void)
{
	return (struct comet_client_options){.port = port, .mid = 7, .timeout_ms = SOON_MS};
}

/* ---- the server ---- */

static void say_to(int fd, int32_t op, int32_t seq, const char *body)
{
	uint8_t head[PACKET_HEAD_BYTES];

	packet_encode(head, 1, op, seq, (uint32_t)strlen(body));
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	assert_int_equal(write(fd, body, strlen(body)), strlen(body));
}

static void say(int32_t op, int32_t seq, const char *body)
{
	say_to(peer, op, seq, body);
}

/* The next packet that the client sent; its body is in `heard`. */
static struct packet hear(void)
{
	uint8_t head[PACKET_HEAD_BYTES];
	struct packet p;

	assert_int_equal(recv(peer, head, sizeof(head), MSG_WAITALL), sizeof(head));
	assert_int_equal(packet_decode(head, sizeof(heard) - 1, &p), 0);
	/* Asked for nothing, recv would wait for something. */
	if (p.body_bytes > 0)
		assert_int_equal(recv(peer, heard, p.body_bytes, MSG_WAITALL), p.body_bytes);
	heard[p.body_bytes] = '\0';
	return p;
}

static int listen_only(void **state)
{
	const struct timeval soon = {.tv_sec = 5};
	uint16_t number;

	(void)state;
	peer = -1;
	memset(&goodbye, 0, sizeof(goodbye));
	listener = tcp_listen(&number);
	(void)snprintf(port, sizeof(port), "%u", number);
	return setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
}

/* A thread that lets one client in, and answers its AUTH with this. */
struct porter {
	pthread_t thread;
	int32_t op;
	const char *body;
};

static void *let_one_in(void *arg)
{
	const struct porter *porter = arg;
	uint8_t head[PACKET_HEAD_BYTES];

	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer < 0 || recv(peer, head, sizeof(head), MSG_WAITALL) != sizeof(head))
		return NULL;
	(void)recv(peer, heard, (size_t)packet_get_i32(head) - sizeof(head), MSG_WAITALL);
	say_to(peer, porter->op, packet_get_i32(head + 12), porter->body);
	return NULL;
}

static int open_with(const struct comet_client_options *opt, int32_t op, const char *body)
{
	struct porter porter = {.op = op, .body = body};
	int rc;

	memset(heard, 0, sizeof(heard));
	assert_int_equal(pthread_create(&porter.thread, NULL, let_one_in, &porter), 0);
	rc = comet_client_open(opt, &client, &goodbye);
	assert_int_equal(pthread_join(porter.thread, NULL), 0);
	return rc;
}

static int open_usual(void **state)
{
	const struct comet_client_options opt = {.port = port, .mid = 7, .timeout_ms = SOON_MS};

	return listen_only(state) < 0 ? -1 : open_with(&opt, OP_AUTH_REPLY, "");
}

static int close_all(void **state)
{
	(void)state;
	seam_reset();
	comet_client_close(&client);
	comet_client_close(&client); /* is NULL by now */
	close(listener);
	if (peer >= 0)
		close(peer);
	return 0;
}

static void assert_next(int32_t op, const char *body)
{
	struct comet_client_message m;

	assert_int_equal(comet_client_next(client, SOON_MS, &m), 0);
	assert_int_equal(m.op, op);
	assert_int_equal(m.body_bytes, strlen(body));
	assert_memory_equal(m.body, body, m.body_bytes);
}

/* ---- opening ---- */

static void it_says_who_it_is(void **state)
{
	const int32_t accepts[] = {1000, 1001};
	struct comet_client_options opt = options();

	(void)state;
	opt.key = "k";
	opt.room = "live://1";
	opt.accepts = accepts;
	opt.n_accepts = 2;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, ""), 0);
	assert_string_equal(
		heard, "{\"mid\":7,\"key\":\"k\",\"room_id\":\"live://1\",\"platform\":\"c\",\"accepts\":[1000,1001]}");
}

static void a_token_is_said_as_it_is(void **state)
{
	struct comet_client_options opt = options();

	(void)state;
	opt.token = "opaque";
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, ""), 0);
	assert_string_equal(heard, "opaque");
}

static void a_refusal_has_its_words(void **state)
{
	const struct comet_client_options opt = options();

	(void)state;
	assert_int_equal(open_with(&opt, OP_DISCONNECT, "{\"code\":5,\"reason\":\"bad token\"}"), -ECONNABORTED);
	assert_int_equal(goodbye.code, 5);
	assert_string_equal(goodbye.reason, "bad token");
	assert_false(comet_client_may_return(&goodbye));
	assert_null(client);
}

static void nobody_there_and_nobody_who_answers_are_said(void **state)
{
	struct comet_client_options opt = options();

	(void)state;
	opt.timeout_ms = 50; /* accepted by the kernel, and by nobody else */
	assert_int_equal(comet_client_open(&opt, &client, &goodbye), -ETIMEDOUT);
	close(listener);
	assert_int_equal(comet_client_open(&opt, &client, &goodbye), -ECONNREFUSED);
	assert_true(comet_client_may_return(&goodbye));
	listener = -1;
}

static void without_memory_nothing_is_opened(void **state)
{
	const struct comet_client_options opt = options();

	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(comet_client_open(&opt, &client, &goodbye), -ENOMEM);
		seam_reset();
	}
}

/* ---- pushes ---- */

static void pushes_come_in_their_order(void **state)
{
	struct comet_client_message m;

	(void)state;
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
	say(1000, 0, "one");
	say(1001, 0, "");
	assert_next(1000, "one");
	assert_next(1001, "");
	assert_int_equal(comet_client_next(client, 1, &m), -ETIMEDOUT);
	assert_true(comet_client_fd(client) >= 0);
}

static void the_end_is_said(void **state)
{
	struct comet_client_message m;

	(void)state;
	say(1000, 0, "before");
	say(OP_DISCONNECT, 0, "{\"code\":3,\"reason\":\"too slow\"}");
	assert_next(1000, "before");
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -ECONNABORTED);
	comet_client_last_words(client, &goodbye);
	assert_int_equal(goodbye.code, 3);
	assert_string_equal(goodbye.reason, "too slow");
	assert_true(comet_client_may_return(&goodbye));
}

static void a_server_that_goes_away_is_read_on(void **state)
{
	struct comet_client_message m;

	(void)state;
	say(OP_DISCONNECT, 0, "{\"code\":4,\"reason\":\"draining\"}");
	say(1000, 0, "behind");
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -ECONNABORTED);
	assert_next(1000, "behind");
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -ECONNABORTED);
}

static void it_is_said_where_else_to_go(void **state)
{
	static const char *const none[] = {"[]", "[7]", "\"a:1\"", "{}"};
	struct comet_client_message m;
	char body[512];

	(void)state;
	say(OP_DISCONNECT, 0, "{\"code\":4,\"reason\":\"draining\",\"nodes\":[\"10.0.0.2:3101\",\"10.0.0.3:3101\"]}");
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -ECONNABORTED);
	comet_client_last_words(client, &goodbye);
	assert_string_equal(goodbye.node, "10.0.0.2:3101");
	for (size_t i = 0; i <= sizeof(none) / sizeof(none[0]); i++) {
		if (i < sizeof(none) / sizeof(none[0]))
			(void)snprintf(body, sizeof(body), "{\"code\":4,\"nodes\":%s}", none[i]);
		else /* longer than a name and a port are */
			(void)snprintf(body, sizeof(body), "{\"code\":4,\"nodes\":[\"%0128d\"]}", 1);
		say(OP_DISCONNECT, 0, body);
		assert_int_equal(comet_client_next(client, SOON_MS, &m), -ECONNABORTED);
		comet_client_last_words(client, &goodbye);
		assert_string_equal(goodbye.node, "");
	}
}

static void an_end_without_words_and_garbage_are_said(void **state)
{
	struct comet_client_message m;

	(void)state;
	assert_int_equal(write(peer, "no packet at all", 16), 16);
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -EPROTO);
	comet_client_close(&client);
	close(peer);
	assert_int_equal(open_with(&(struct comet_client_options){.port = port}, OP_AUTH_REPLY, ""), 0);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -ECONNABORTED);
	comet_client_last_words(client, &goodbye);
	assert_int_equal(goodbye.code, 0);
}

/* ---- questions ---- */

/* They are answered beforehand, since asking blocks: the sequence numbers are known. */
static void what_is_asked_is_answered_and_pushes_meanwhile_are_kept(void **state)
{
	const int32_t ops[] = {1001, -5};

	(void)state;
	say(1000, 0, "one");
	say(OP_CHANGE_ROOM_REPLY, 2, "live://2");
	assert_int_equal(comet_client_change_room(client, "live://2"), 0);
	say(1000, 0, "two");
	say(OP_SUB_REPLY, 3, "");
	assert_int_equal(comet_client_subscribe(client, ops, 2), 0);
	say(OP_UNSUB_REPLY, 4, "");
	assert_int_equal(comet_client_unsubscribe(client, ops, 1), 0);
	say(4096, 0, "a push with that operation is no answer");
	say(4096, 5, "");
	assert_int_equal(comet_client_send(client, 4096, "score", 5), 0);
	say(OP_CHANGE_ROOM_REPLY, 6, "");
	assert_int_equal(comet_client_change_room(client, NULL), 0);
	say(OP_AUTH_REPLY, 7, "");
	assert_int_equal(comet_client_renew(client, "new"), 0);
	say(OP_AUTH, 8, "");
	assert_int_equal(comet_client_renew(client, "newer"), -EAGAIN);
	say(1000, 0, "three");

	assert_int_equal(hear().op, OP_CHANGE_ROOM);
	assert_string_equal(heard, "live://2");
	assert_int_equal(hear().op, OP_SUB);
	assert_string_equal(heard, "1001,-5");
	assert_int_equal(hear().op, OP_UNSUB);
	assert_string_equal(heard, "1001");
	assert_int_equal(hear().op, 4096);
	assert_string_equal(heard, "score");
	assert_int_equal(hear().body_bytes, 0);

	assert_next(1000, "one");
	assert_next(1000, "two");
	assert_next(4096, "a push with that operation is no answer");
	assert_next(1000, "three");
	assert_int_equal(comet_client_subscribe(client, ops, 0), -EINVAL);
}

static void what_is_not_answered_in_time_is_said(void **state)
{
	struct comet_client_options opt = options();

	(void)state;
	opt.timeout_ms = 1000; /* it is that of opening, too */
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, ""), 0);
	assert_int_equal(comet_client_change_room(client, "live://2"), -ETIME);
}

static void not_more_is_kept_than_there_is_room_for(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4097; i++)
		say(1000, 0, "");
	assert_int_equal(comet_client_change_room(client, "live://2"), -ENOBUFS);
}

static void without_memory_to_keep_a_push_that_is_said(void **state)
{
	(void)state;
	say(1000, 0, "one");
	seam_fail(SEAM_ALLOC, 1, 1, ENOMEM);
	assert_int_equal(comet_client_change_room(client, "live://2"), -ENOMEM);
}

/* ---- rooms ---- */

static struct comet_client_rooms *rooms;

/* A push of ver 4. */
static void say_push_to(const char *room, int32_t op, int32_t number, const char *body)
{
	char whole[64];
	uint8_t head[PACKET_HEAD_BYTES];
	const int n = 5 + snprintf(whole + 5, sizeof(whole) - 5, "%s%s", room, body);

	memset(whole, 0, 4);
	whole[4] = (char)strlen(room);
	packet_encode(head, PACKET_VER_PUSH, op, number, (uint32_t)n);
	assert_int_equal(write(peer, head, sizeof(head)), sizeof(head));
	assert_int_equal(write(peer, whole, (size_t)n), n);
}

static void say_push(int32_t op, int32_t number, const char *body)
{
	say_push_to("chat://1", op, number, body);
}

static void assert_room(int event, int64_t number, const char *body)
{
	struct comet_client_message m;

	assert_int_equal(comet_client_next(client, SOON_MS, &m), 0);
	assert_int_equal(m.event, event);
	assert_string_equal(m.room, "chat://1");
	assert_int_equal(m.number, number);
	assert_int_equal(m.body_bytes, strlen(body));
	assert_memory_equal(m.body, body, m.body_bytes);
}

static int open_with_rooms(void **state)
{
	const struct comet_client_join wish = {.room = "chat://1"};

	if (listen_only(state) < 0 || comet_client_rooms_new(NULL, &rooms) < 0)
		return -1;
	return comet_client_rooms_join(rooms, &wish);
}

static int close_rooms(void **state)
{
	int rc = close_all(state);

	comet_client_rooms_free(&rooms);
	return rc;
}

static void open_rooms(void)
{
	struct comet_client_options opt = options();

	opt.rooms = rooms;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, "{\"v\":1,\"max_body\":4096,\"max_rooms\":100}"), 0);
	assert_non_null(strstr(heard, "\"streams\":{}"));
}

static void a_room_is_joined_and_joined_again_from_its_position(void **state)
{
	struct comet_client_message m;

	(void)state;
	open_rooms();
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
	assert_int_equal(hear().op, OP_JOIN);
	assert_string_equal(heard, "{\"rooms\":[{\"id\":\"chat://1\"}]}");
	say(OP_JOIN_REPLY, 2, "{\"rooms\":[{\"id\":\"chat://1\",\"at\":4,\"gap\":false,\"replay\":0}]}");
	say_push(1000, 5, "five");
	assert_room(COMET_CLIENT_JOINED, 4, "");
	assert_room(COMET_CLIENT_PUSH, 5, "five");
	assert_int_equal(comet_client_rooms_position(rooms, "chat://1"), 4);
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
	assert_int_equal(comet_client_rooms_position(rooms, "chat://1"), 5);
	comet_client_close(&client);
	close(peer);
	open_rooms();
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
	assert_int_equal(hear().op, OP_JOIN);
	assert_string_equal(heard, "{\"rooms\":[{\"id\":\"chat://1\",\"since\":5}]}");
}

static void what_no_good_server_says_is_an_error_with_words(void **state)
{
	struct comet_client_goodbye words = {0};
	struct comet_client_options opt = options();
	struct comet_client_message m;

	(void)state;
	open_rooms();
	say(OP_NOTICE, 0, "{\"room\":\"chat://1\",\"by\":\"server\"}");
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -EPROTO);
	comet_client_last_words(client, &words);
	assert_string_equal(words.reason, "a NOTICE is none");
	comet_client_close(&client);
	close(peer);
	peer = -1;
	opt.rooms = rooms;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, "{\"v\":1,\"max_body\":4096,\"user\":{\"at\":7}}"), -EPROTO);
	assert_string_equal(goodbye.reason, "the answer to AUTH is none");
}

static void what_is_not_confirmed_is_asked_for(void **state)
{
	const struct comet_client_rooms_options unacked = {.unacked = 1};
	struct comet_client_options opt = options();
	struct comet_client_message m;

	(void)state;
	comet_client_rooms_free(&rooms);
	assert_int_equal(comet_client_rooms_new(&unacked, &rooms), 0);
	opt.rooms = rooms;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			open_with(&opt, OP_AUTH_REPLY,
				  "{\"v\":1,\"max_body\":4096,\"max_rooms\":100,\"user\":{\"at\":7,\"gap\":false,"
				  "\"replay\":0}}"),
			0);
		assert_non_null(
			strstr(heard, i == 0 ? "\"streams\":{\"user\":\"unacked\"}" : "\"streams\":{\"user\":7}"));
		assert_int_equal(comet_client_next(client, 0, &m), 0);
		assert_int_equal(m.event, COMET_CLIENT_JOINED);
		assert_string_equal(m.room, "");
		assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT); /* it is done with */
		comet_client_close(&client);
		close(peer);
		peer = -1;
	}
}

static void what_is_done_is_confirmed_before_it_closes(void **state)
{
	struct comet_client_options opt = options();
	struct comet_client_message m;

	(void)state;
	opt.rooms = rooms;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY,
				   "{\"v\":1,\"max_body\":4096,\"max_rooms\":100,\"user\":{\"at\":7,\"gap\":false,"
				   "\"replay\":0}}"),
			 0);
	assert_int_equal(comet_client_next(client, 0, &m), 0);
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
	assert_int_equal(hear().op, OP_ACK);
	assert_int_equal(hear().op, OP_JOIN);
	say_push_to("", 1000, 8, "eight");
	assert_int_equal(comet_client_next(client, SOON_MS, &m), 0);
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT); /* done, and the last ACK was a moment ago */
	comet_client_close(&client);
	assert_int_equal(hear().op, OP_ACK);
	assert_memory_equal(heard, "\0\0\0\0\0\0\0\x08", 8);
}

/* Its operation and number may be those of an answer. */
static void a_push_is_never_taken_for_an_answer(void **state)
{
	struct comet_client_message m;
	int people;

	(void)state;
	open_rooms();
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
	say(OP_JOIN_REPLY, 2, "{\"rooms\":[{\"id\":\"chat://1\",\"at\":2,\"gap\":false,\"replay\":0}]}");
	say_push(OP_CHANGE_ROOM_REPLY, 3, "a");
	say_push(OP_HEARTBEAT_REPLY, 4, "b");
	say_push(OP_DISCONNECT, 5, "c");
	say_push(OP_RAW, 6, "d");
	say(OP_CHANGE_ROOM_REPLY, 4, "");
	assert_int_equal(comet_client_change_room(client, NULL), 0);
	say(OP_HEARTBEAT_REPLY, 5, "\x01\x01\x01\x09");
	assert_int_equal(comet_client_heartbeat(client, &people), 0);
	assert_room(COMET_CLIENT_JOINED, 2, "");
	assert_room(COMET_CLIENT_PUSH, 3, "a");
	assert_room(COMET_CLIENT_PUSH, 4, "b");
	assert_room(COMET_CLIENT_PUSH, 5, "c");
	assert_room(COMET_CLIENT_PUSH, 6, "d");
}

static void what_a_server_puts_off_is_asked_for_again_in_time(void **state)
{
	struct comet_client_message m;

	(void)state;
	open_rooms();
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
	assert_int_equal(hear().op, OP_JOIN);
	say(OP_JOIN_REPLY, 2, "{\"rooms\":[{\"id\":\"chat://1\",\"error\":503,\"retry_ms\":20}]}");
	assert_int_equal(comet_client_next(client, 1000, &m), -ETIMEDOUT);
	assert_int_equal(hear().op, OP_JOIN);
}

static void a_push_without_its_head_is_an_error(void **state)
{
	struct comet_client_message m;
	uint8_t head[PACKET_HEAD_BYTES];

	(void)state;
	open_rooms();
	packet_encode(head, PACKET_VER_PUSH, 1000, 3, 0);
	assert_int_equal(write(peer, head, sizeof(head)), sizeof(head));
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -EPROTO);
}

/* Half of the JOIN is written: nothing may follow it. -ETIMEDOUT would say that the client may be used on. */
static void a_server_that_reads_no_more_is_the_end(void **state)
{
	enum { TICKET_BYTES = 8 << 20 };
	struct comet_client_options opt = options();
	struct comet_client_message m;
	char *ticket = malloc(TICKET_BYTES + 1);

	(void)state;
	assert_non_null(ticket);
	memset(ticket, 'x', TICKET_BYTES);
	ticket[TICKET_BYTES] = '\0';
	assert_int_equal(
		comet_client_rooms_join(rooms, &(struct comet_client_join){.room = "chat://1", .ticket = ticket}), 0);
	free(ticket);
	opt.rooms = rooms;
	opt.timeout_ms = 500;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, "{\"v\":1,\"max_body\":16777216,\"max_rooms\":100}"), 0);
	assert_int_equal(comet_client_next(client, 0, &m), -ETIME);
}

/* ---- heartbeats ---- */

/* Use the client until it has sent something. */
static struct packet hear_meanwhile(void)
{
	struct comet_client_message m;
	char byte;

	for (unsigned i = 0; i < 1000 && recv(peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0; i++)
		assert_int_equal(comet_client_next(client, 5, &m), -ETIMEDOUT);
	return hear();
}

static void heartbeats_are_sent_and_tell_the_people_in_the_room(void **state)
{
	struct comet_client_options opt = options();
	int people = -1;

	(void)state;
	opt.heartbeat_ms = 10;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, ""), 0);
	for (int32_t seq = 2; seq < 5; seq++) {
		struct packet p = hear_meanwhile();

		assert_int_equal(p.op, OP_HEARTBEAT);
		assert_int_equal(p.seq, seq);
		say(OP_HEARTBEAT_REPLY, seq, "\x01\x01\x01\x09");
	}
	say(1000, 0, "kept");
	assert_next(1000, "kept");
	say(1000, 0, "kept, too");
	say(OP_HEARTBEAT_REPLY, 5, "\x01\x01\x01\x02");
	assert_int_equal(comet_client_heartbeat(client, &people), 0);
	assert_int_equal(people, 0x01010102);
	assert_next(1000, "kept, too");
}

static void a_heartbeat_that_is_not_answered_is_the_end(void **state)
{
	struct comet_client_options opt = options();
	struct comet_client_message m;

	(void)state;
	opt.heartbeat_ms = 5;
	opt.timeout_ms = 500;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, ""), 0);
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -ETIME);
}

/* A server replays what was missed before it reads on, and a phone's line is slow. */
static void while_something_comes_an_answer_may_take_longer(void **state)
{
	struct comet_client_options opt = options();
	struct comet_client_message m;

	(void)state;
	opt.heartbeat_ms = 5;
	opt.timeout_ms = 500;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, ""), 0);
	for (unsigned i = 0; i < 60; i++) {
		say(1000, 0, "missed");
		assert_next(1000, "missed");
		assert_int_equal(comet_client_next(client, 15, &m), -ETIMEDOUT);
	}
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -ETIME);
}

static void while_one_long_push_comes_an_answer_may_take_longer(void **state)
{
	struct comet_client_options opt = options();
	struct comet_client_message m;
	uint8_t head[PACKET_HEAD_BYTES];

	(void)state;
	opt.heartbeat_ms = 5;
	opt.timeout_ms = 500;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, ""), 0);
	packet_encode(head, 1, 1000, 0, 80);
	assert_int_equal(write(peer, head, sizeof(head)), sizeof(head));
	for (unsigned i = 0; i < 79; i++) {
		assert_int_equal(write(peer, "x", 1), 1);
		assert_int_equal(comet_client_next(client, 15, &m), -ETIMEDOUT);
	}
	assert_int_equal(write(peer, "x", 1), 1);
	assert_int_equal(comet_client_next(client, SOON_MS, &m), 0);
	assert_int_equal(m.body_bytes, 80);
	assert_int_equal(comet_client_next(client, SOON_MS, &m), -ETIME);
}

static void a_push_is_no_answer_to_a_heartbeat_that_is_not_due(void **state)
{
	(void)state;
	say(OP_HEARTBEAT_REPLY, 0, "a push");
	assert_next(OP_HEARTBEAT_REPLY, "a push");
}

static void an_answer_is_found_by_a_caller_who_was_away(void **state)
{
	struct comet_client_options opt = options();
	struct comet_client_message m;

	(void)state;
	opt.heartbeat_ms = 5;
	opt.timeout_ms = 500;
	assert_int_equal(open_with(&opt, OP_AUTH_REPLY, ""), 0);
	assert_int_equal(comet_client_next(client, 20, &m), -ETIMEDOUT);
	say(OP_HEARTBEAT_REPLY, hear().seq, "1234");
	(void)usleep(600000); /* longer than an answer may take */
	assert_int_equal(comet_client_next(client, 0, &m), -ETIMEDOUT);
}

/* ---- coming back ---- */

static void clients_that_lost_one_server_do_not_come_back_at_one_time(void **state)
{
	int thirds[3] = {0}, longest_ms = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		const int first_ms = comet_client_delay_ms(1), late_ms = comet_client_delay_ms(100);

		assert_in_range(first_ms, 1, 3000);
		assert_in_range(late_ms, 1, 300000);
		thirds[(first_ms - 1) / 1000]++;
		longest_ms = late_ms > longest_ms ? late_ms : longest_ms;
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(thirds[i], 30, 170); /* of 100 or so */
	assert_true(longest_ms > 150000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define OPENING(name) cmocka_unit_test_setup_teardown(name, listen_only, close_all)
#define CASE(name)    cmocka_unit_test_setup_teardown(name, open_usual, close_all)
		OPENING(it_says_who_it_is),
		OPENING(a_token_is_said_as_it_is),
		OPENING(a_refusal_has_its_words),
		OPENING(nobody_there_and_nobody_who_answers_are_said),
		OPENING(without_memory_nothing_is_opened),
		CASE(pushes_come_in_their_order),
		CASE(the_end_is_said),
		CASE(a_server_that_goes_away_is_read_on),
		CASE(it_is_said_where_else_to_go),
		CASE(an_end_without_words_and_garbage_are_said),
		CASE(what_is_asked_is_answered_and_pushes_meanwhile_are_kept),
		OPENING(what_is_not_answered_in_time_is_said),
		CASE(not_more_is_kept_than_there_is_room_for),
		CASE(without_memory_to_keep_a_push_that_is_said),
		OPENING(heartbeats_are_sent_and_tell_the_people_in_the_room),
		OPENING(a_heartbeat_that_is_not_answered_is_the_end),
		OPENING(while_something_comes_an_answer_may_take_longer),
		OPENING(while_one_long_push_comes_an_answer_may_take_longer),
		CASE(a_push_is_no_answer_to_a_heartbeat_that_is_not_due),
		OPENING(an_answer_is_found_by_a_caller_who_was_away),
		OPENING(clients_that_lost_one_server_do_not_come_back_at_one_time),
#define ROOMS(name) cmocka_unit_test_setup_teardown(name, open_with_rooms, close_rooms)
		ROOMS(a_room_is_joined_and_joined_again_from_its_position),
		ROOMS(a_push_is_never_taken_for_an_answer),
		ROOMS(what_a_server_puts_off_is_asked_for_again_in_time),
		ROOMS(a_push_without_its_head_is_an_error),
		ROOMS(a_server_that_reads_no_more_is_the_end),
		ROOMS(what_no_good_server_says_is_an_error_with_words),
		ROOMS(what_is_not_confirmed_is_asked_for),
		ROOMS(what_is_done_is_confirmed_before_it_closes),
#undef ROOMS
#undef CASE
#undef OPENING
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
