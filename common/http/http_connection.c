/* http_connection: see http_connection.h. What has come is read as far as it goes; answers to requests that came at once go back at
 * once. SPDX-License-Identifier: MIT */
#include "common/http/http_connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/obj.h"
#include "common/base/peer.h"
#include "common/config/networks.h"
#include "common/http/http_buffer.h"
#include "common/http/http_call.h"
#include "common/http/http_head.h"
#include "common/http/http_incoming.h"
#include "common/http/http_socket.h"

/* Answers that gather before they are sent. */
#define GATHER_BYTES 65536
#define PEER_BYTES   64
/* A head up to here is nobody's business; of longer ones a few at a time, since nobody has shown a key yet. */
#define SHORT_HEAD_BYTES 65536
#define LONG_REQUESTS    32

enum phase {
	PHASE_CALLS,  /* one request after the other */
	PHASE_LAST,   /* the last answer is in `out`, */
	PHASE_FORGET, /* or with the caller, and whatever comes is forgotten */
};

struct http_connection {
	struct parked parked; /* first, so that it is found by it */
	unsigned magic;
#define HTTP_CONNECTION_MAGIC 0x477c0447
	/* set once */
	struct http_service *service;
	struct tls *tls; /* or NULL */
	char peer[PEER_BYTES];
	bool from_proxy; /* whose requests say for whom they are */
	struct http_caller caller;
	/* the thread's that has it */
	enum phase phase;
	bool replied; /* since it began to rest or to ask */
	bool rests;   /* between two requests */
	bool drained; /* there is no more to be read now, or another's turn has come: only the park says when to go on */
	bool unread;  /* the end comes before the caller has said all */
	bool is_long; /* counted in long_requests */
	struct http_incoming incoming;
	struct http_buffer out;
	/* of one request: who shows which key */
	struct http_key key;
	bool has_shown_key;
};

/* ---- bytes ---- */

/* 0 with at least one more byte; -EAGAIN: none are there; -ERR_EOF, -ERR_TLS, -errno */
static int take_in(struct http_connection *c)
{
	struct http_buffer *in = &c->incoming.bytes;
	size_t space;
	ssize_t n;

	if (c->drained)
		return -EAGAIN;
	if (http_buffer_reserve(in, http_buffer_count(in) / 4 + 1) < 0)
		return -ENOMEM;
	space = in->size - in->end - 1;
	/* Whoever sends requests, or a body that is not kept, without end has the thread for a buffer more than is answered. */
	if (c->tls != NULL) {
		n = tls_read(c->tls, in->bytes + in->end, space, false);
		c->drained = (c->replied || c->incoming.forget) && n > 0 && !tls_has_more(c->tls);
	} else {
		n = http_socket_recv(c->caller.fd, in->bytes + in->end, space);
		c->drained = c->replied || c->incoming.forget || n < (ssize_t)space;
	}
	if (n <= 0)
		return n == 0 ? -ERR_EOF : (int)n;
	in->end += (size_t)n;
	return 0;
}

/* ---- refusing ---- */

static void say_last(struct http_connection *c, const struct http_reply *reply)
{
	const struct http_answer last = {.idle_seconds = 0};

	c->phase = PHASE_LAST;
	c->unread = true;
	c->caller.answered = true;
	/* Without memory it ends without a word. */
	(void)http_call_answer(reply, &last, &c->out);
}

static void refuse(struct http_connection *c, enum http_fault fault)
{
	struct http_reply reply = {0};

	if (fault == HTTP_FAULT_BODY_TOO_LONG)
		http_guard_refuse_body(&reply);
	else
		http_reply_refuse(&reply, http_fault_status(fault), http_fault_words(fault));
	say_last(c, &reply);
	free(reply.body);
}

/* ---- reading a request ---- */

/* Before anybody has shown a key, memory is for those with short requests. */
static bool may_be_long(struct http_connection *c)
{
	if (c->is_long || http_buffer_count(&c->incoming.bytes) < SHORT_HEAD_BYTES)
		return true;
	c->is_long = atomic_fetch_add(&c->service->long_requests, 1) < LONG_REQUESTS;
	if (!c->is_long)
		(void)atomic_fetch_sub(&c->service->long_requests, 1);
	return c->is_long;
}

static void be_short_again(struct http_connection *c)
{
	if (c->is_long)
		(void)atomic_fetch_sub(&c->service->long_requests, 1);
	c->is_long = false;
}

/* The head is whole: who is it, and what of the body is to come? A path without a key needs no body either: a caller without a key
 * fills no memory. */
static int begin_body(struct http_connection *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const unsigned asks = HTTP_SEEN_CONTINUE | HTTP_SEEN_HTTP_1_1;
	struct http_incoming *in = &c->incoming;
	struct http_request request = {0};
	bool may_come;

	http_guard_identify(&c->service->guard, http_call_shown_key(&in->head, http_incoming_text(in)), c->tls,
			    &request);
	c->has_shown_key = request.has_shown_key;
	c->key = request.key;
	may_come = http_incoming_want(in, c->service->max_body, c->key.scopes != 0);
	if ((in->head.seen & asks) != asks)
		return HTTP_FAULT_NONE;
	/* Others send first and then look for an answer, which a reset would take away from them if the body lay there unread. */
	if (!may_come)
		return HTTP_FAULT_BODY_TOO_LONG;
	if (!http_incoming_lacks_body(in))
		return HTTP_FAULT_NONE;
	if (http_buffer_reserve(&c->out, sizeof(go_on)) < 0)
		return -ENOMEM;
	memcpy(c->out.bytes + c->out.end, go_on, sizeof(go_on) - 1);
	c->out.end += sizeof(go_on) - 1;
	return HTTP_FAULT_NONE;
}

/* 0: a request is whole; -EAGAIN: more is to come; -ENOMEM; other: an enum http_fault */
static int read_request(struct http_connection *c)
{
	int rc;

	if (!c->incoming.has_head) {
		rc = http_incoming_head(&c->incoming);
		if (rc == -EAGAIN && !may_be_long(c))
			rc = HTTP_FAULT_CROWDED;
		if (rc != 0 || (rc = begin_body(c)) != 0)
			return rc;
	}
	return http_incoming_body(&c->incoming);
}

/* ---- answering it ---- */

/* Whose request it is, as far as a proxy tells. */
static void name_client(const struct http_connection *c, char peer[PEER_BYTES])
{
	struct forwarded f = forwarded_start(c->service->proxy_header, c->service->trusted_proxies);
	const struct sockaddr *client;

	memcpy(peer, c->peer, PEER_BYTES);
	if (!c->from_proxy)
		return;
	http_head_forwarded(&c->incoming.head, http_incoming_text(&c->incoming), &f);
	if ((client = forwarded_client(&f)) != NULL)
		peer_text(client, false, peer, PEER_BYTES);
}

/* The request in `in` is whole. 0, or -errno: it is not to be answered. */
static int answer_one(struct http_connection *c)
{
	struct http_service *s = c->service;
	const struct http_incoming *in = &c->incoming;
	char *text = http_incoming_text(in), *end = text + in->head.bytes + in->body_bytes, behind = *end;
	bool head_only = strcmp(text + in->head.method, "HEAD") == 0, keeps = http_head_keeps(&in->head);
	struct http_answer answer = {.idle_seconds = keeps ? s->idle_seconds : 0, .head_only = head_only};
	char peer[PEER_BYTES];
	struct http_call call;
	int rc, place;

	if ((place = http_caller_answer(s->callers, &c->caller)) == -ESHUTDOWN)
		return place;
	name_client(c, peer);
	*end = '\0'; /* for the handler; perhaps the next request's first byte */
	rc = http_call_init(&call, &in->head, text);
	call.request.key = c->key;
	call.request.has_shown_key = c->has_shown_key;
	call.request.peer = peer;
	call.request.caller = &c->caller;
	call.request.body = (const uint8_t *)text + in->head.bytes;
	call.request.body_bytes = in->body_bytes;
	if (rc == 0)
		http_service_ask(s, &call, place == 0);
	else
		http_reply_refuse(&call.reply, 500, "out of memory");
	*end = behind;
	rc = http_call_answer(&call.reply, &answer, &c->out);
	http_call_fini(&call);
	http_caller_reply(s->callers, &c->caller);
	c->replied = true;
	c->phase = keeps ? PHASE_CALLS : PHASE_LAST;
	return rc;
}

static void take_off_request(struct http_connection *c)
{
	be_short_again(c);
	http_incoming_next(&c->incoming);
	c->unread = http_buffer_count(&c->incoming.bytes) > 0;
}

/* A body that is longer takes its handler longer than a push does. */
#define LONG_BYTES 2048

/* Does its handler perhaps wait? Then answers that are there must not wait for it. A push has a body, and does not; a POST without one may
 * be a reload, or a question to all comets. */
static bool may_wait(const struct http_connection *c)
{
	return http_incoming_text(&c->incoming)[c->incoming.head.method] != 'P' || c->incoming.body_bytes == 0;
}

/* Who waits in this thread is not to wait for what this one waits for. */
static bool may_be_nested(const struct http_connection *c)
{
	return !may_wait(c) && c->incoming.body_bytes <= LONG_BYTES &&
	       http_service_is_short(c->service, http_incoming_text(&c->incoming) + c->incoming.head.target);
}

/* Read and answer what is there. 0: go on; -EAGAIN: more is to come, or to be taken; -EBUSY: this thread is not to wait for it; -errno:
 * the end. */
static int answer_all(struct http_connection *c)
{
	int rc;

	while (c->phase < PHASE_LAST && http_buffer_count(&c->out) < GATHER_BYTES) {
		rc = read_request(c);
		if (rc > 0)
			refuse(c, (enum http_fault)rc);
		if (rc != 0)
			return rc > 0 ? 0 : rc;
		if (may_wait(c) && http_buffer_count(&c->out) > 0 &&
		    (rc = http_socket_send(c->caller.fd, c->tls, &c->out)) < 0 && rc != -EAGAIN)
			return rc;
		if (park_is_nested() && !may_be_nested(c))
			return -EBUSY;
		if (may_wait(c) || c->incoming.body_bytes > LONG_BYTES)
			park_go_long();
		if ((rc = answer_one(c)) < 0)
			return rc;
		take_off_request(c);
	}
	return 0;
}

/* ---- its life ---- */

static void end(struct http_connection *c)
{
	be_short_again(c);
	http_callers_leave(c->service->callers, &c->caller);
	if (c->tls != NULL)
		tls_free(&c->tls);
	(void)close(c->caller.fd);
	http_buffer_drop(&c->incoming.bytes);
	http_buffer_drop(&c->out);
	c->magic = 0;
	free(c);
}

/* Bytes left unread would make closing a reset, which may overtake the last answer: they are forgotten, until the caller has closed
 * too, or its time is up. -EAGAIN, or -ERR_EOF. */
static int finish(struct http_connection *c)
{
	ssize_t n;

	if (c->phase == PHASE_LAST) {
		if (c->tls != NULL)
			tls_finish(c->tls);
		if (!c->unread)
			return -ERR_EOF;
		(void)shutdown(c->caller.fd, SHUT_WR);
		(void)http_caller_ask(c->service->callers, &c->caller);
		c->phase = PHASE_FORGET;
	}
	/* Of more the park tells: others wait for the thread. */
	n = recv(c->caller.fd, NULL, INT32_MAX, MSG_DONTWAIT | MSG_TRUNC);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? -EAGAIN : -ERR_EOF;
}

/* All that was there is answered: it rests, or has begun to ask. -EAGAIN; -ESHUTDOWN: the program ends. */
static int wait_for_more(struct http_connection *c)
{
	struct http_callers *callers = c->service->callers;
	bool goes_on = true;

	if (c->replied && !c->incoming.has_head && http_buffer_count(&c->incoming.bytes) == 0) {
		c->rests = true;
		goes_on = http_caller_rest(callers, &c->caller);
	} else if (c->replied) {
		goes_on = http_caller_ask(callers, &c->caller);
	}
	c->replied = false;
	return goes_on ? -EAGAIN : -ESHUTDOWN;
}

/* Read, answer and write as far as it goes. -EAGAIN: wait for the socket; -EBUSY: for another thread; other: the end. */
static int go_on(struct http_connection *c)
{
	int rc;

	c->drained = false;
	for (;;) {
		if ((rc = http_socket_send(c->caller.fd, c->tls, &c->out)) < 0)
			return rc;
		if (c->phase >= PHASE_LAST)
			return finish(c);
		rc = answer_all(c);
		if (rc == 0 || (rc == -EAGAIN && http_buffer_count(&c->out) > 0))
			continue;
		if (rc == -EAGAIN && (rc = take_in(c)) == -EAGAIN)
			return wait_for_more(c);
		if (rc < 0)
			return rc;
		if (c->rests && !http_caller_ask(c->service->callers, &c->caller))
			return -ESHUTDOWN;
		c->rests = false;
	}
}

void http_connection_resume(struct parked *parked)
{
	struct http_connection *c = (struct http_connection *)parked;
	char in[HTTP_BUFFER_BYTES], out[HTTP_BUFFER_BYTES];
	const bool had_run_out = json_ran_out(); /* the one in the place of whose wait this is */
	uint32_t events;
	int rc;

	OBJ_CHECK(c, HTTP_CONNECTION_MAGIC);
	/* What comes mostly goes at once, and then needs no memory but this. */
	http_buffer_lend(&c->incoming.bytes, in);
	http_buffer_lend(&c->out, out);
	rc = go_on(c);
	json_watch_on(had_run_out);
	if ((rc != -EAGAIN && rc != -EBUSY) || http_buffer_keep(&c->incoming.bytes) < 0 ||
	    http_buffer_keep(&c->out) < 0) {
		end(c);
		return;
	}
	events = http_buffer_count(&c->out) > 0 ? EPOLLOUT : EPOLLIN;
	/* From here on it is another thread's. */
	if (rc == -EBUSY)
		park_leave(c->service->park, &c->parked);
	else if (park_on_socket(c->service->park, &c->parked, c->caller.fd, events) < 0)
		end(c);
}

/* ---- coming in ---- */

/* As far as that goes at once. */
static void turn_away(struct http_connection *c)
{
	struct http_reply reply = {0};

	http_reply_refuse(&reply, 503, "all places of http.callers are taken; try again");
	say_last(c, &reply);
	free(reply.body);
	if (c->tls == NULL)
		(void)http_socket_send(c->caller.fd, c->tls, &c->out);
	(void)shutdown(c->caller.fd, SHUT_WR);
	(void)recv(c->caller.fd, NULL, INT32_MAX, MSG_DONTWAIT | MSG_TRUNC);
}

/* 0, or -errno: it is not in. */
static int enter(struct http_connection *c, int fd, const struct sockaddr *peer, struct tls_server *tls)
{
	char network[NETWORK_BYTES];
	int on = 1, rc;

	peer_text(peer, false, c->peer, sizeof(c->peer));
	peer_network(peer, network);
	c->from_proxy = peer->sa_family == AF_UNIX || networks_hold(c->service->trusted_proxies, peer);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (tls != NULL && (rc = tls_new(tls, fd, &c->tls)) < 0)
		return rc;
	rc = http_callers_enter(c->service->callers, &c->caller, fd, network);
	if (rc == -EBUSY)
		turn_away(c);
	return rc;
}

int http_connection_start(struct http_service *service, int fd, const struct sockaddr *peer, struct tls_server *tls)
{
	struct http_connection *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (c == NULL)
		goto close_fd;
	c->magic = HTTP_CONNECTION_MAGIC;
	c->service = service;
	if ((rc = enter(c, fd, peer, tls)) < 0)
		goto free_connection;
	/* From here on it is another thread's. */
	if ((rc = park_on_socket(service->park, &c->parked, fd, EPOLLIN)) < 0)
		end(c);
	return rc;

free_connection:
	if (c->tls != NULL)
		tls_free(&c->tls);
	http_buffer_drop(&c->out);
	free(c);
close_fd:
	(void)close(fd);
	return rc == -EBUSY || rc == -ESHUTDOWN ? 0 : rc;
}
