/* join: see join.h. All rooms of a JOIN are decided, then the answer is queued, then what was missed. SPDX-License-Identifier: MIT */
#include "comet/join.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "comet/allowance.h"
#include "comet/dispatch.h"
#include "comet/fence.h"
#include "comet/join_body.h"
#include "comet/joins.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/park.h"

static const char *const results[JOIN_RESULTS] = {[JOIN_LIVE] = "live",
						  [JOIN_REPLAYED] = "replayed",
						  [JOIN_GAP] = "gap",
						  [JOIN_REFUSED] = "refused",
						  [JOIN_UNAVAILABLE] = "unavailable"};

COUNTER_LABELS(JOINS, results, JOIN_RESULTS);

/* A client that is put off comes again no sooner. */
#define RETRY_LEAST_MS 500

/* One of the rooms asked for. */
struct guest {
	const struct join_wish *wish;
	struct joined *joined; /* NULL: it is not */
};

struct joining {
	struct server *server;
	struct connection *connection;
	struct join_ask ask;
	/* one for each room asked for */
	struct guest *guests;
	struct join_outcome *outcomes;
	/* one for each that it was not in before */
	const char **entered;
	size_t n_entered;
	/* one for each whose history is not held yet */
	struct feed_asked *feeds;
	size_t *of; /* the number of its room */
	size_t n_feeds;
	int asked_rc; /* of fence_ask */
};

static void free_joining(struct joining *j)
{
	free(j->guests);
	free(j->outcomes);
	free(j->entered);
	free(j->feeds);
	free(j->of);
	join_ask_fini(&j->ask);
}

static int make_space(struct joining *j)
{
	size_t n = j->ask.n + 1; /* none is no failure */

	j->guests = calloc(n, sizeof(*j->guests));
	j->outcomes = calloc(n, sizeof(*j->outcomes));
	j->entered = calloc(n, sizeof(*j->entered));
	j->feeds = calloc(n, sizeof(*j->feeds));
	j->of = calloc(n, sizeof(*j->of));
	return j->guests != NULL && j->outcomes != NULL && j->entered != NULL && j->feeds != NULL && j->of != NULL
		       ? 0
		       : -ENOMEM;
}

/* ---- no ---- */

static void refuse(struct joining *j, size_t i, int error, const char *reason, int64_t retry_ms)
{
	struct guest *g = &j->guests[i];

	j->outcomes[i] = (struct join_outcome){.error = error, .reason = reason, .retry_ms = retry_ms};
	if (g->joined != NULL)
		joins_leave(j->server, j->connection, g->joined, retry_ms >= 0);
	g->joined = NULL;
}

static void refuse_for_good(struct joining *j, size_t i, int error, const char *reason)
{
	refuse(j, i, error, reason, -1);
}

/* Also without stream.spread nobody asks again at once: that would be a loop, for as long as the answer is the same. */
static void put_off(struct joining *j, size_t i, int rc)
{
	int64_t retry_ms = RETRY_LEAST_MS + feeds_reload_ms(&j->server->feeds);

	if (rc == -EBUSY)
		refuse(j, i, 429, "rate", retry_ms);
	else
		refuse(j, i, 503, "unavailable", retry_ms);
}

/* ---- in ---- */

/* May it, by its token or a back end's word? Otherwise it is refused, and out of the room if it was in. */
static bool may_enter(struct joining *j, size_t i)
{
	struct connection *c = j->connection;
	const char *room = j->guests[i].wish->room;
	bool is_known = j->asked_rc == 0 || fence_grants(j->server, c, room);
	int rc;

	if (joins_are_led(j->server, c, room) || (is_known && fence_lets_in(j->server, c, room, FENCE_JOIN)))
		return true;
	if ((rc = joins_leave_refused(j->server, c, room)) == 1)
		return true;
	if (rc == -EALREADY)
		refuse_for_good(j, i, 400, "twice");
	else if (is_known)
		refuse_for_good(j, i, 403, "not_granted");
	else
		put_off(j, i, j->asked_rc);
	return false;
}

/* JOIN of a room that it is in is a LEAVE and a JOIN: it hears nothing until that is decided anew. */
static void enter(struct joining *j, size_t i)
{
	struct guest *g = &j->guests[i];
	int rc;

	if (!may_enter(j, i))
		return;
	rc = joins_enter(j->server, j->connection, g->wish->room, &g->joined);
	if (rc == -EALREADY)
		refuse_for_good(j, i, 400, "twice"); /* the first one keeps it */
	else if (rc == -EDQUOT)
		refuse_for_good(j, i, 429, "rooms");
	else if (rc < 0)
		put_off(j, i, rc);
	else if (rc == 1)
		j->entered[j->n_entered++] = g->wish->room;
}

static bool must_ask(const struct joining *j)
{
	size_t i = 0;

	while (i < j->ask.n && j->ask.rooms[i].ticket == NULL)
		i++;
	return i < j->ask.n || j->server->cfg->auth_rooms == CONFIG_ROOMS_WEBHOOK;
}

/* For passes to those that nothing grants yet, all at once. */
static int ask_for_all(const struct joining *j)
{
	const char **rooms = calloc(j->ask.n + 1, sizeof(*rooms));
	size_t n = 0, bytes = 0;
	char *tickets = NULL;
	FILE *out = open_memstream(&tickets, &bytes);
	int rc = -ENOMEM;

	for (size_t i = 0; rooms != NULL && out != NULL && i < j->ask.n; i++) {
		const struct join_wish *wish = &j->ask.rooms[i];

		if (wish->wrong != NULL)
			continue;
		rooms[n++] = wish->room;
		if (wish->ticket != NULL)
			(void)fprintf(out, "%s\n", wish->ticket);
	}
	if (out != NULL && fclose(out) == 0 && rooms != NULL)
		rc = fence_ask(j->server, j->connection, rooms, n, tickets);
	free(tickets);
	free(rooms);
	return rc;
}

static void enter_all(struct joining *j)
{
	j->connection->joins->asked++;
	for (size_t i = 0; i < j->ask.n; i++) {
		j->guests[i].wish = &j->ask.rooms[i];
		if (j->ask.rooms[i].wrong != NULL)
			refuse_for_good(j, i, 400, j->ask.rooms[i].wrong);
		else
			enter(j, i);
	}
	if (j->n_entered > 0)
		logic_client_join(&j->server->logic, j->entered, j->n_entered);
}

/* The histories of the rooms that have one, all at once. */
static void hold_all(struct joining *j, int64_t deadline_ns)
{
	for (size_t i = 0; i < j->ask.n; i++) {
		const struct guest *g = &j->guests[i];

		if (g->joined == NULL || g->joined->feed != NULL || !feeds_keep(&j->server->feeds, g->wish->room))
			continue;
		j->of[j->n_feeds] = i;
		j->feeds[j->n_feeds++].room = g->wish->room;
	}
	if (j->n_feeds > 0)
		feed_hold(&j->server->feeds, j->feeds, j->n_feeds, deadline_ns);
	for (size_t k = 0; k < j->n_feeds; k++) {
		struct joined *joined = j->guests[j->of[k]].joined;

		BUG_UNLESS(joined != NULL);
		joined->feed = j->feeds[k].feed;
		if (j->feeds[k].rc < 0)
			put_off(j, j->of[k], j->feeds[k].rc);
	}
}

/* It may be the room of AUTH or op 12, too: that is a joined room from now on, whose pushes have numbers. */
static bool is_place_of(const struct connection *c, const struct joined *joined)
{
	return atomic_load(&c->place.room) == atomic_load(&joined->member.room);
}

static void leave_place(const struct joining *j, const struct joined *joined)
{
	struct connection *c = j->connection;
	struct bucket *b = server_bucket(j->server, c->seat.key);

	lock_take(&b->places);
	if (is_place_of(c, joined))
		bucket_leave_place(b, c);
	lock_drop(&b->places);
}

static void decide_all(struct joining *j, int64_t deadline_ns)
{
	for (size_t i = 0; i < j->ask.n; i++) {
		const struct guest *g = &j->guests[i];
		struct join_outcome *outcome = &j->outcomes[i];
		_Atomic uint64_t *place = &j->connection->place.after;
		int rc;

		if (g->joined == NULL)
			continue;
		if (!is_place_of(j->connection, g->joined))
			place = NULL;
		/* A room without numbers: from now on, and nobody knows what came before. */
		if (g->joined->feed == NULL)
			outcome->place.gap = g->wish->feed.since > 0;
		else if ((rc = feed_decide(&j->server->feeds, g->joined->feed, &g->wish->feed, deadline_ns, place,
					   &outcome->place)) < 0)
			put_off(j, i, rc);
		if (outcome->place.gap)
			outcome->reload_ms = feeds_reload_ms(&j->server->feeds);
	}
}

static enum join_result result_of(const struct join_outcome *outcome)
{
	if (outcome->error != 0)
		return outcome->error == 503 ? JOIN_UNAVAILABLE : JOIN_REFUSED;
	if (outcome->place.gap)
		return JOIN_GAP;
	return outcome->place.replay > 0 ? JOIN_REPLAYED : JOIN_LIVE;
}

static void count_all(const struct joining *j)
{
	for (size_t i = 0; i < j->ask.n; i++)
		count_by(COUNT_JOINS, result_of(&j->outcomes[i]));
}

/* In a cluster the rooms are written down for the logics, and what is not here is read. */
static void decide(struct joining *j)
{
	const int64_t timeout_ns = j->server->cfg->logic_timeout * CLOCK_MS;
	const bool asks = must_ask(j);
	int64_t deadline_ns;

	if (j->server->logic.waits_to_tell || asks)
		connection_excuse(j->connection, 3 * timeout_ns);
	j->asked_rc = asks ? ask_for_all(j) : 0;
	if (j->server->logic.waits_to_tell)
		park_wait_begin();
	enter_all(j);
	fence_forget(j->connection);
	deadline_ns = clock_now_ns() + timeout_ns; /* writing them down has one of its own */
	hold_all(j, deadline_ns);
	decide_all(j, deadline_ns);
	count_all(j);
	if (j->server->logic.waits_to_tell)
		park_wait_end();
}

/* After the answer is queued: what the rooms with numbers bring comes behind it. 0, or -errno of joins_queue. */
static int begin_all(struct joining *j)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < j->ask.n; i++) {
		struct joined *joined = j->guests[i].joined;

		if (joined != NULL && joined->feed != NULL) {
			leave_place(j, joined);
			joins_begin(j->connection, joined, j->outcomes[i].place.at);
		} else if (joined != NULL) {
			rc = joins_done(j->server, j->connection, joined);
		}
	}
	return rc;
}

/* Before the answer is queued, and perhaps read at once: what is pushed to a room without numbers from then on is not to be had again.
 * A push that comes before the answer is one of before the JOIN, and dropped by the client. */
static void hear_without_numbers(struct joining *j)
{
	for (size_t i = 0; i < j->ask.n; i++) {
		struct joined *joined = j->guests[i].joined;

		if (joined == NULL || joined->feed != NULL)
			continue;
		leave_place(j, joined);
		atomic_store(&joined->member.after, 0);
	}
}

static int answer(struct connection *c, struct message *answer)
{
	bool owed = false;
	int rc = joins_queue(c, &answer, &owed);

	if (owed)
		dispatch_now(c);
	return rc;
}

static int join_rooms(struct server *s, struct connection *c, const struct packet *p)
{
	struct joining j = {.server = s, .connection = c};
	struct message *message = NULL;
	const char *wrong;
	int rc = join_read(p->body, p->body_bytes, &j.ask, &wrong);

	if (rc == -EBADMSG)
		return (rc = join_answer_wrong(OP_JOIN_REPLY, wrong, p->seq, &message)) < 0 ? rc : answer(c, message);
	if (rc == 0 && (rc = make_space(&j)) == 0) {
		allowance_use_joins(s, c, j.ask.n);
		decide(&j);
		hear_without_numbers(&j);
		if ((rc = join_answer(&j.ask, j.outcomes, p->seq, &message)) == 0 && (rc = answer(c, message)) == 0)
			rc = begin_all(&j);
	}
	free_joining(&j);
	return rc;
}

/* ---- out ---- */

static size_t leave_named(struct server *s, struct connection *c, const struct join_ask *ask)
{
	size_t n = 0;

	for (size_t i = 0; i < ask->n; i++)
		n += ask->rooms[i].room != NULL && joins_leave_named(s, c, ask->rooms[i].room);
	return ask->n > 0 ? n : joins_leave_all(s, c);
}

static int leave_rooms(struct server *s, struct connection *c, const struct packet *p)
{
	struct message *message = NULL;
	struct join_ask ask;
	const char *wrong;
	int rc = join_read_leave(p->body, p->body_bytes, &ask, &wrong);

	if (rc == -EBADMSG) {
		rc = join_answer_wrong(OP_LEAVE_REPLY, wrong, p->seq, &message);
	} else if (rc == 0) {
		rc = join_answer_left(leave_named(s, c, &ask), p->seq, &message);
		join_ask_fini(&ask);
	}
	return rc < 0 ? rc : answer(c, message);
}

int join(struct server *s, struct connection *c, struct packet *p)
{
	int rc = p->op == OP_JOIN ? join_rooms(s, c, p) : leave_rooms(s, c, p);

	packet_drop_body(p);
	p->kind = PACKET_NOTHING;
	return rc;
}
