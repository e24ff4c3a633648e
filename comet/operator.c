/* operator: see operator.h. On the reader's thread. Replies echo version and sequence, so only op and body change.
 * SPDX-License-Identifier: MIT */
#include "comet/operator.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/bouncer.h"
#include "comet/errand.h"
#include "comet/fence.h"
#include "comet/join.h"
#include "comet/joins.h"
#include "comet/own_stream.h"
#include "comet/proof.h"
#include "comet/room.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/peer.h"
#include "common/base/thread.h"
#include "common/base/utf8.h"
#include "common/wire/wire.h"

int operate_heartbeat(struct server *s, struct connection *c, struct packet *p)
{
	uint8_t online[4];

	p->op = OP_HEARTBEAT_REPLY;
	packet_drop_body(p);
	if (!dialect_is_v2(c->dialect))
		return 0;
	packet_put_i32(online, bucket_online_in_place(server_bucket(s, c->seat.key), c));
	return packet_set_body(p, online, sizeof(online));
}

/* ---- a new token ---- */

static int end_refused(struct connection *c, const struct wire_renewal *renewal, int rc)
{
	count(COUNT_AUTH_REFUSED);
	connection_explain(c, renewal->refusal);
	(void)connection_shutdown(c, close_reason_of_connect(rc));
	return rc;
}

/* Op 8 says that it may stay longer. If logic does not answer it comes back as op 7: nothing has changed, the client may try again
 * while it has time. Deep calls are behind this when logic is in this program, so the stack is given back. */
static int reauthenticate(struct server *s, struct connection *c, struct packet *p)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char peer[TRANSPORT_PEER_BYTES];
	struct wire_renewal renewal = {0};
	struct proof proof;
	int rc;

	/* Its heartbeats wait behind this packet. As long as an answer may take, with the second try that a cluster makes. */
	connection_excuse(c, 2 * s->cfg->logic_timeout * CLOCK_MS);
	if ((rc = proof_gather(c, p, &proof)) == 0)
		rc = logic_client_reauth(&s->logic, &proof.request, &c->seat, &renewal);
	if (c->opt->park == NULL)
		thread_trim_stack();
	packet_drop_body(p);
	if (rc == -ERR_REFUSED || rc == -ERR_BANNED)
		return end_refused(c, &renewal, rc);
	if (rc == 0 && ((rc = fence_renew(s, c, renewal.grants)) < 0 || (rc = joins_renewed(s, c)) < 0))
		return rc;
	if (rc == 0) {
		count(COUNT_REAUTHENTICATED);
		connection_set_lifetime(c, renewal.lifetime_ms);
		atomic_store(&c->issued_s, renewal.issued_s);
		(void)bouncer_lets_stay(s, c);
		p->op = OP_AUTH_REPLY;
		return 0;
	}
	count(COUNT_LOGIC_FAILED);
	LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_TOKEN_NOT_TAKEN),
		    log_str("error", err_text(rc)));
	return 0;
}

/* ---- v2 ---- */

/* The body as a room id; -EBADMSG for a name that no room may have. */
static int read_room(const struct packet *p, char room[WIRE_ROOM_BYTES])
{
	if (p->body_bytes >= WIRE_ROOM_BYTES)
		return -EBADMSG;
	for (uint32_t i = 0; i < p->body_bytes; i++)
		if (iscntrl(p->body[i]))
			return -EBADMSG;
	/* The counts of rooms go out as JSON. */
	if (!utf8_is_valid(p->body, p->body_bytes))
		return -EBADMSG;
	if (p->body_bytes > 0)
		memcpy(room, p->body, p->body_bytes);
	room[p->body_bytes] = '\0';
	return 0;
}

static void ask_for(const struct server *s, struct connection *c, const char *room)
{
	if (s->cfg->auth_rooms != CONFIG_ROOMS_WEBHOOK)
		return;
	connection_excuse(c, 2 * s->cfg->logic_timeout * CLOCK_MS);
	(void)fence_ask(s, c, &room, 1, "");
}

/* Out of the old one first, which the pass to the new one opens no longer. Into the one that it is in it goes without having been out; a back
 * end that has led it there has the say of that still. */
static int move(struct server *s, struct connection *c, const char *to)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	const struct room *from;
	bool stays;
	int rc;

	lock_take(&b->places);
	from = atomic_load(&c->place.room);
	stays = room_is(from, to);
	if (from != NULL && !stays)
		bucket_leave(b, &c->place);
	if (!stays || !membership_is_led(&c->place))
		atomic_store(&c->place.until_ns, fence_until(s, c, to));
	rc = bucket_change_room(b, &c->place, to);
	lock_drop(&b->places);
	return rc;
}

/* Is it in this room, led there by a back end? No token has a say in it. */
static bool is_led_to(struct server *s, const struct connection *c, const char *room)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	bool is;

	lock_take(&b->places);
	is = room_is(atomic_load(&c->place.room), room) && membership_is_led(&c->place);
	lock_drop(&b->places);
	return is;
}

static int change_room(struct server *s, struct connection *c, struct packet *p)
{
	char room[WIRE_ROOM_BYTES];
	const char *name = room;
	bool is_joined;
	int rc;

	if ((rc = read_room(p, room)) < 0)
		return rc;
	/* Without an answer of logic's it is not granted. The empty answer says that it is in no room. */
	ask_for(s, c, room);
	if (!is_led_to(s, c, room) && !fence_lets_in(s, c, room, FENCE_ROOM)) {
		room[0] = '\0';
		packet_drop_body(p);
	}
	/* A joined one stays as it is, and its pushes come with numbers. */
	is_joined = joins_have(s, c, room);
	rc = move(s, c, is_joined ? "" : room);
	fence_forget(c);
	if (rc < 0)
		return rc;
	if (room[0] != '\0' && !is_joined)
		logic_client_join(&s->logic, &name, 1);
	p->op = OP_CHANGE_ROOM_REPLY;
	return packet_keep_body(p);
}

/* The body as a comma separated list of operations. -EINVAL: malformed; -ENOBUFS: more than any connection may accept. */
static int read_ops(const struct packet *p, int32_t ops[WIRE_ACCEPTS_MAX], size_t *n)
{
	char text[12]; /* the longest int32 with its sign */
	uint32_t at = 0;

	for (*n = 0; at < p->body_bytes; (*n)++) {
		size_t len = 0;
		char *end;
		long long op;

		for (; at < p->body_bytes && p->body[at] != ','; at++) {
			if (len + 1 == sizeof(text))
				return -EINVAL;
			text[len++] = (char)p->body[at];
		}
		at++; /* the comma, or the end */
		text[len] = '\0';
		op = strtoll(text, &end, 10);
		if (len == 0 || end != text + len || isspace((unsigned char)text[0]) || op < INT32_MIN ||
		    op > INT32_MAX)
			return -EINVAL;
		if (*n == WIRE_ACCEPTS_MAX)
			return -ENOBUFS;
		ops[*n] = (int32_t)op;
	}
	return p->body_bytes > 0 && p->body[p->body_bytes - 1] == ',' ? -EINVAL : 0;
}

static void say_too_many(struct connection *c)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char peer[TRANSPORT_PEER_BYTES];

	count_by(COUNT_LIMITED, LIMIT_ACCEPTS);
	LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_OPERATIONS_NOT_ACCEPTED));
}

/* A list that is malformed, or too long, changes nothing and is echoed all the same: the contract knows no error here. */
static int change_accepts(struct server *s, struct connection *c, struct packet *p)
{
	int32_t ops[WIRE_ACCEPTS_MAX];
	size_t n;
	int rc = read_ops(p, ops, &n);

	if (rc == 0) {
		if (p->op == OP_SUB)
			rc = channel_watch(&c->channel, ops, fence_ops(s, c, ops, n, FENCE_OPS),
					   (size_t)s->cfg->limits_accepts);
		else
			channel_unwatch(&c->channel, ops, n);
	}
	if (rc == -ENOBUFS)
		say_too_many(c);
	p->op++; /* to SUB_REPLY or UNSUB_REPLY */
	return rc == -ENOMEM ? rc : packet_keep_body(p);
}

/* An application's own operation goes to the back end, if it is one that the back end wants. It is answered even if logic is
 * unreachable: the contract has no reply that says no, and those online stay online. */
static int forward(struct server *s, struct connection *c, struct packet *p)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char peer[TRANSPORT_PEER_BYTES];
	int rc = 0;

	if (errand_goes_up(s, c, p->op))
		rc = logic_client_receive(&s->logic, &c->seat, p);
	else
		count(COUNT_UPSTREAM_UNWANTED);
	if (rc < 0) {
		count(COUNT_LOGIC_FAILED);
		LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_PACKET_NOT_TAKEN),
			    log_i64("op", p->op), log_str("error", err_text(rc)));
	}
	packet_drop_body(p);
	return 0;
}

static int operate_v2(struct server *s, struct connection *c, struct packet *p)
{
	switch (p->op) {
	case OP_AUTH:
		/* Its time has no end, so there is nothing to put off. A back end that reads clients' packets shall see no
		 * tokens. */
		packet_drop_body(p);
		return 0;
	case OP_CHANGE_ROOM:
		return change_room(s, c, p);
	case OP_SUB:
	case OP_UNSUB:
		return change_accepts(s, c, p);
	default:
		return forward(s, c, p);
	}
}

/* ---- v1 ---- */

static int operate_v1(struct packet *p)
{
	static const char come_on[] = "{\"test\":\"come on\"}";

	switch (p->op) {
	case OP_SEND:
		p->op = OP_SEND_REPLY;
		return packet_keep_body(p);
	case OP_TEST:
		p->op = OP_TEST_REPLY;
		return packet_set_body(p, come_on, sizeof(come_on) - 1);
	default:
		return -ERR_PACKET_OP;
	}
}

int operate(struct server *s, struct connection *c, struct packet *p)
{
	if (p->op == OP_AUTH && connection_expires(c))
		return reauthenticate(s, c, p);
	if (errand_is_join(c, p))
		return join(s, c, p);
	if (errand_is_ack(c, p)) {
		own_stream_ack(s, c, p);
		return 0;
	}
	return dialect_is_v2(c->dialect) ? operate_v2(s, c, p) : operate_v1(p);
}
