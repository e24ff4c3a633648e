/* arrival: see arrival.h. On the reader's thread. SPDX-License-Identifier: MIT */
#include "comet/arrival.h"

#include <errno.h>
#include <stdlib.h>

#include "comet/bouncer.h"
#include "comet/fence.h"
#include "comet/join_body.h"
#include "comet/joined.h"
#include "comet/own_stream.h"
#include "comet/proof.h"
#include "comet/whitelist.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"

/* Only a client of version 2 can have them. */
static int take_streams(struct connection *c, const struct wire_session *session, const struct wire_connect *request,
			struct join_streams *streams)
{
	int rc;

	if (c->dialect != DIALECT_V2 || !join_streams_asked(request->token, request->token_bytes, streams))
		return 0;
	if ((rc = joins_new(&c->joins)) < 0)
		return rc;
	c->dialect = DIALECT_V2S;
	c->joins->key_is_made = session->key_is_made;
	own_stream_claim(c->server, c, streams);
	return 0;
}

static int take_session(struct connection *c, const struct wire_session *session, const struct wire_connect *request,
			struct join_streams *streams)
{
	const struct seat seat = wire_session_seat(session);
	size_t n;
	int rc;

	/* A client that speaks text is answered in text, whatever the token looks like. */
	c->dialect = transport_is_text(c->transport) ? DIALECT_V1_JSON : session->dialect;
	c->heartbeat_ns = session->heartbeat_ms * CLOCK_MS;
	c->renewed_ns = clock_now_ns();
	connection_set_lifetime(c, session->lifetime_ms);
	atomic_store(&c->issued_s, session->issued_s);
	if ((rc = seat_copy(&seat, &c->seat)) < 0)
		return rc;
	if ((rc = take_streams(c, session, request, streams)) < 0)
		return rc;
	if (!dialect_is_v2(c->dialect))
		return fence_watch_all(c->server, c);
	n = fence_ops(c->server, c, session->accepts, session->n_accepts, FENCE_AUTH_OPS);
	rc = channel_watch(&c->channel, session->accepts, n, (size_t)c->server->cfg->limits_accepts);
	if (rc == -ENOBUFS)
		(void)connection_shutdown(c, CLOSE_ACCEPTS);
	return rc;
}

/* From here on pushes find it; they wait in its mailbox until the dispatcher runs, so AUTH_REPLY goes first. */
static int put_into_bucket(struct server *s, struct connection *c, const char *room)
{
	struct connection *replaced;
	int rc = bucket_put(server_bucket(s, c->seat.key), c, room, &replaced);

	if (rc == -EEXIST) {
		count(COUNT_REPLACED);
		(void)connection_shutdown(c, CLOSE_REPLACED);
		return rc;
	}
	if (rc < 0)
		return rc;
	count(COUNT_AUTHENTICATED);
	count(COUNT_ONLINE);
	c->in_bucket = true;
	whitelist_look(&s->whitelist, c);
	if (replaced != NULL) {
		count(COUNT_REPLACED);
		(void)connection_shutdown(replaced, CLOSE_REPLACED);
		connection_unref(&replaced);
	}
	/* A drain that listed the online connections before this one was there has set the flag before. */
	if (atomic_load(&s->admission.draining))
		(void)connection_shutdown(c, CLOSE_DRAINING);
	return 0;
}

/* What it cannot have now it may have on another comet, or later. */
static int put_off(struct connection *c, int rc)
{
	count(COUNT_LOGIC_FAILED);
	(void)connection_shutdown(c, close_reason_of_connect(rc));
	return rc;
}

/* All who must know that it is in, after the bucket does, and before the client itself. One that comes from another comet, which had the
 * key until here, is taken over: so no push falls between the two. */
static int announce(struct server *s, struct connection *c, const struct wire_session *session)
{
	const char *room = session->room;
	int rc;

	(void)bouncer_lets_stay(s, c);
	admission_pass(&s->admission, &c->ticket);
	logic_client_arrived(&s->logic, &c->seat);
	if (room[0] != '\0')
		logic_client_join(&s->logic, &room, 1);
	if (!session->takes_over || connection_is_closing(c))
		return 0;
	rc = logic_client_take_over(&s->logic, &c->seat);
	return rc < 0 ? put_off(c, rc) : 0;
}

static bool let_into_room(const struct server *s, struct connection *c, const char *room)
{
	(void)fence_ask(s, c, &room, 1, "");
	return fence_lets_in(s, c, room, FENCE_AUTH_ROOM);
}

/* Ask logic, and register what it says. The session is large and gone when this returns, so that a reader that waits for
 * packets has a small stack: hence noinline. */
__attribute__((noinline)) int arrive(struct server *s, struct connection *c, struct packet *p, struct join_outcome *own)
{
	struct wire_session session = {0};
	struct proof proof;
	int64_t asked_ns = clock_now_ns();
	struct join_streams streams;
	bool refused;
	int rc;

	if (!bouncer_lets_ask(s, c))
		return -ERR_BANNED;
	if ((rc = proof_gather(c, p, &proof)) == 0) {
		proof.request.upgrade = c->transport->upgrade;
		rc = logic_client_connect(&s->logic, &proof.request, &session);
	}
	upgrade_drop(&c->transport->upgrade);
	refused = rc == -ERR_REFUSED || rc == -ERR_BANNED || rc == -ERR_PER_USER;
	if (rc == 0 || refused) /* what gave up has its own counter */
		count_observe(COUNT_AUTH, clock_now_ns() - asked_ns);
	if (rc < 0) {
		count(refused ? COUNT_AUTH_REFUSED : COUNT_LOGIC_FAILED);
		connection_explain(c, session.refusal);
		(void)connection_shutdown(c, close_reason_of_connect(rc));
		return rc;
	}
	c->grants = session.grants;
	if ((rc = take_session(c, &session, &proof.request, &streams)) == 0 && !let_into_room(s, c, session.room))
		session.room[0] = '\0';
	if (rc == 0) {
		atomic_store(&c->place.until_ns, fence_until(s, c, session.room));
		fence_forget(c);
		rc = put_into_bucket(s, c, session.room);
	}
	if (rc == 0)
		rc = announce(s, c, &session);
	if (rc == 0 && joins_has_own(c->joins) && (rc = own_stream_join(s, c, &streams, own)) < 0)
		(void)put_off(c, rc);
	if (c->seat.key == NULL) { /* no memory even to remember it by: leave() cannot tell logic */
		const struct seat seat = wire_session_seat(&session);

		logic_client_disconnect(&s->logic, &seat);
	}
	free(session.accepts);
	return rc;
}
