/* joins: see joins.h. The gate itself, and why nothing is missed and nothing comes twice: feed.h. SPDX-License-Identifier: MIT */
#include "comet/joins.h"

#include <errno.h>
#include <stdlib.h>

#include "comet/bucket.h"
#include "comet/dispatch.h"
#include "comet/feed.h"
#include "comet/fence.h"
#include "comet/join_body.h"
#include "comet/reader.h"
#include "comet/room.h"
#include "common/base/clock.h"
#include "common/base/counters.h"

/* Taken from a history at once. */
#define SOME_MESSAGES 32
#define SOME_BYTES    65536
/* A room that brings more this often while all was queued is faster than its client. */
#define ROUNDS_MAX 8
/* A message that is too long to fit beside those that wait is tried again so soon. */
#define AGAIN_NS (20 * CLOCK_MS)

/* ---- in and out ---- */

static const char *room_of(const struct joined *j)
{
	const struct room *room = atomic_load(&j->member.room);

	return room != NULL ? room->tally->id : NULL;
}

/* "" of the user's stream. */
static const char *name_of(const struct joined *j)
{
	return room_of(j) != NULL ? room_of(j) : "";
}

static struct joined *first(const struct joins *js)
{
	return js != NULL ? atomic_load(&js->all) : NULL;
}

struct joined *joins_find_locked(const struct joins *js, const char *room)
{
	struct joined *j = first(js);

	while (j != NULL && !room_is(atomic_load(&j->member.room), room))
		j = j->next;
	return j;
}

struct joined *joins_enter_locked(struct bucket *b, struct connection *c, const char *room)
{
	struct joined *j = joins_place(c->joins, c);

	if (j == NULL || bucket_change_room(b, &j->member, room) < 0)
		return NULL;
	c->joins->n++;
	return j;
}

/* Push threads ask under the channel's lock, which whoever queues something takes after this. */
static void make_deaf(struct connection *c, struct joined *j)
{
	atomic_store(&j->member.after, MEMBERSHIP_DEAF);
	if (j->replays)
		c->joins->replaying--;
	j->replays = false;
}

/* Nothing of the room is for it any more, whether it stays in or not. */
static void come_to_rest(struct server *s, struct connection *c, struct joined *j)
{
	make_deaf(c, j);
	if (j->feed != NULL)
		feed_release(&s->feeds, &j->feed);
	j->busy = j->to_leave = false;
}

void joins_leave_locked(struct server *s, struct bucket *b, struct connection *c, struct joined *j)
{
	make_deaf(c, j);
	bucket_leave(b, &j->member);
	come_to_rest(s, c, j);
	atomic_store(&j->member.until_ns, 0);
	c->joins->n--;
}

bool joins_wait_locked(const struct joined *j)
{
	return !j->busy && atomic_load(&j->member.after) == MEMBERSHIP_DEAF;
}

/* Gives the reference up. 0, or -errno of channel_push. */
static int queue_one(struct connection *c, struct message **message, bool *owed)
{
	int rc = channel_push(&c->channel, *message, false);

	message_unref(message);
	*owed |= rc == 1;
	return rc < 0 ? rc : 0;
}

static int close_if_full(struct connection *c, int rc)
{
	if (rc != -ENOBUFS)
		return rc;
	(void)connection_shutdown(c, CLOSE_SLOW_CONSUMER);
	return -EPIPE;
}

int joins_queue(struct connection *c, struct message **message, bool *owed)
{
	return close_if_full(c, queue_one(c, message, owed));
}

/* ---- for the reader ---- */

bool joins_have(struct server *s, struct connection *c, const char *room)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	bool is_in;

	lock_take(&b->places);
	is_in = joins_find_locked(c->joins, room) != NULL;
	lock_drop(&b->places);
	return is_in;
}

bool joins_are_led(struct server *s, struct connection *c, const char *room)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	const struct joined *j;
	bool led;

	lock_take(&b->places);
	j = joins_find_locked(c->joins, room);
	led = j != NULL && membership_is_led(&j->member);
	lock_drop(&b->places);
	return led;
}

static int enter_locked(struct server *s, struct bucket *b, struct connection *c, const char *room, struct joined **out)
	NEEDS(b->places)
{
	struct joined *j = joins_find_locked(c->joins, room);
	bool is_new = j == NULL;

	if (!is_new && j->asked == c->joins->asked)
		return -EALREADY;
	if (is_new && c->joins->n >= (size_t)s->cfg->limits_rooms)
		return -EDQUOT;
	if (is_new && (j = joins_enter_locked(b, c, room)) == NULL)
		return -ENOMEM;
	make_deaf(c, j);
	if (!membership_is_led(&j->member))
		atomic_store(&j->member.until_ns, fence_until(s, c, room));
	j->asked = c->joins->asked;
	j->busy = true;
	*out = j;
	return is_new;
}

int joins_enter(struct server *s, struct connection *c, const char *room, struct joined **out)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	int rc;

	lock_take(&b->places);
	rc = enter_locked(s, b, c, room, out);
	lock_drop(&b->places);
	return rc;
}

void joins_leave(struct server *s, struct connection *c, struct joined *j, bool for_now)
{
	struct bucket *b = server_bucket(s, c->seat.key);

	lock_take(&b->places);
	if (for_now && !j->to_leave && membership_is_led(&j->member))
		come_to_rest(s, c, j);
	else
		joins_leave_locked(s, b, c, j);
	lock_drop(&b->places);
}

int joins_leave_refused(struct server *s, struct connection *c, const char *room)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	struct joined *j;
	int rc = 0;

	lock_take(&b->places);
	if ((j = joins_find_locked(c->joins, room)) != NULL && j->asked == c->joins->asked)
		rc = -EALREADY;
	else if (j != NULL && membership_is_led(&j->member))
		rc = 1;
	else if (j != NULL)
		joins_leave_locked(s, b, c, j);
	lock_drop(&b->places);
	return rc;
}

bool joins_leave_named(struct server *s, struct connection *c, const char *room)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	struct joined *j;

	lock_take(&b->places);
	if ((j = joins_find_locked(c->joins, room)) != NULL)
		joins_leave_locked(s, b, c, j);
	lock_drop(&b->places);
	return j != NULL;
}

size_t joins_leave_all(struct server *s, struct connection *c)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	size_t n = 0;

	if (c->joins == NULL)
		return 0;
	lock_take(&b->places);
	for (struct joined *j = first(c->joins); j != NULL; j = j->next)
		if (room_of(j) != NULL) {
			joins_leave_locked(s, b, c, j);
			n++;
		}
	lock_drop(&b->places);
	return n;
}

/* Out of this room, if it is in it still and no back end has led it in meanwhile, and the client is told why. */
static int put_out(struct server *s, struct connection *c, struct joined *j, const struct room *room, const char *why)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	struct message *notice;
	bool owed = false;
	int rc = join_notice_left(room->tally->id, why, &notice);

	if (rc < 0)
		return rc;
	lock_take(&b->places);
	if (atomic_load(&j->member.room) == room && (j->to_leave || !membership_is_led(&j->member))) {
		joins_leave_locked(s, b, c, j);
		rc = joins_queue(c, &notice, &owed);
	} else {
		message_unref(&notice);
	}
	lock_drop(&b->places);
	if (owed)
		dispatch_now(c);
	return rc;
}

int joins_done(struct server *s, struct connection *c, struct joined *j)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	struct room *room = NULL; /* to be left */
	int rc = 0;

	lock_take(&b->places);
	j->busy = false;
	if (j->to_leave && (room = atomic_load(&j->member.room)) != NULL)
		(void)room_ref(room);
	lock_drop(&b->places);
	if (room == NULL)
		return 0;
	rc = put_out(s, c, j, room, "kicked");
	room_unref(&room);
	return rc;
}

int joins_end_passes(struct server *s, struct connection *c)
{
	int rc = 0;

	for (struct joined *j = first(c->joins); rc == 0 && j != NULL; j = j->next) {
		struct room *room;

		if (!membership_is_over(&j->member) ||
		    (room = bucket_room_of(server_bucket(s, c->seat.key), &j->member)) == NULL)
			continue;
		fence_say_over(c, room->tally->id);
		rc = put_out(s, c, j, room, "expired");
		room_unref(&room);
	}
	return rc;
}

/* A pass that ends before the new grants are in force has perhaps kept a push back: then it is over, whatever they say. */
static const char *why_to_leave(struct server *s, struct connection *c, struct joined *j, const struct room *room)
{
	int64_t had_ns = atomic_load(&j->member.until_ns);

	if (!fence_keeps(s, c, &j->member, room->tally->id))
		return "not_granted";
	return had_ns != 0 && clock_now_ns() >= had_ns ? "expired" : NULL;
}

int joins_renewed(struct server *s, struct connection *c)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	int rc = 0;

	for (struct joined *j = first(c->joins); rc == 0 && j != NULL; j = j->next) {
		struct room *room = bucket_room_of(b, &j->member);
		const char *why = room != NULL ? why_to_leave(s, c, j, room) : NULL;

		if (why != NULL)
			rc = put_out(s, c, j, room, why);
		if (room != NULL)
			room_unref(&room);
	}
	return rc;
}

/* ---- replays ---- */

void joins_begin(struct connection *c, struct joined *j, uint64_t at)
{
	j->sent = at;
	j->rounds = 0;
	j->replays = true;
	c->joins->replaying++;
}

static int end(struct server *s, struct connection *c, struct joined *j)
{
	j->replays = false;
	c->joins->replaying--;
	return j == &c->joins->own ? 0 : joins_done(s, c, j);
}

struct gap {
	struct connection *connection;
	const char *room;
	int64_t reload_ms;
	bool owed;
	int rc;
};

/* Under the lock of all feeds: the queue may be full, and the close comes after it. */
static void say_gap(void *arg, uint64_t at)
{
	struct gap *g = arg;
	struct message *notice;

	if ((g->rc = join_notice_gap(g->room, at, g->reload_ms, &notice)) == 0)
		g->rc = queue_one(g->connection, &notice, &g->owed);
}

/* The history has gone past what the client has got. */
static int skip(struct server *s, struct connection *c, struct joined *j)
{
	struct gap g = {.connection = c, .room = name_of(j), .reload_ms = feeds_reload_ms(&s->feeds)};

	feed_skip(&s->feeds, j->feed, say_gap, &g, &j->member.after);
	if (g.owed)
		dispatch_now(c);
	return g.rc < 0 ? close_if_full(c, g.rc) : end(s, c, j);
}

/* One of them: 0, or -errno of channel_push_missed or for want of memory. */
static int replay_one(struct connection *c, struct joined *j, struct message *m, bool *owed)
{
	int rc = message_number_it(m, name_of(j));

	if (rc == 0)
		rc = channel_push_missed(&c->channel, m);
	*owed |= rc == 1;
	if (rc < 0)
		return rc;
	j->sent++;
	count(COUNT_REPLAYED);
	return 0;
}

/* limits.replay, for what was queued. The next ones are taken from the history when it is over, not kept meanwhile. Half of the queue may be
 * free, and yet the next one not fit. */
static void hold_back(struct server *s, struct connection *c, size_t bytes, bool is_stuck)
{
	const struct rate replays = rate_now(&s->replays);
	int64_t now = clock_now_ns(), wait = rate_pace(&replays, &c->joins->replays_ns, now, (int64_t)bytes);

	if (is_stuck && wait < AGAIN_NS)
		wait = AGAIN_NS;
	if (wait > 0)
		reader_hold_until(c, now + wait);
}

/* 0; -ESTALE: skip; or another -errno. Before what is queued is written it looks whether that was all: then less comes in between. */
static int replay_some(struct server *s, struct connection *c, struct joined *j)
{
	struct message *some[SOME_MESSAGES];
	int rc = feed_take(&s->feeds, j->feed, j->sent, some, SOME_MESSAGES, SOME_BYTES), n = rc < 0 ? 0 : rc;
	uint64_t before = j->sent;
	bool owed = false;
	size_t bytes = 0;

	rc = rc < 0 ? rc : 0;
	for (int i = 0; i < n; i++) {
		if (rc == 0 && (rc = replay_one(c, j, some[i], &owed)) == 0)
			bytes += some[i]->body_bytes;
		message_unref(&some[i]);
	}
	if (rc == 0 && n < SOME_MESSAGES && bytes < SOME_BYTES) {
		if (feed_finish(&s->feeds, j->feed, j->sent, &j->member.after))
			rc = end(s, c, j);
		else if (++j->rounds == ROUNDS_MAX)
			rc = -ESTALE;
	}
	if (owed)
		dispatch_now(c);
	hold_back(s, c, bytes, rc == -ENOBUFS && j->sent == before && channel_half_is_free(&c->channel));
	return rc == -ENOBUFS ? 0 : rc;
}

static struct joined *first_to_replay(struct joins *js)
{
	struct joined *j = js->own.replays ? &js->own : first(js);

	while (!j->replays)
		j = j->next;
	return j;
}

int joins_replay(struct server *s, struct connection *c)
{
	int rc = 0;

	while (rc == 0 && c->joins != NULL && c->joins->replaying > 0) {
		struct joined *j = first_to_replay(c->joins);

		if ((rc = reader_hold_back(c)) != 0 || (rc = reader_wait_for_queue(c, false)) != 0)
			return rc;
		if (membership_is_over(&j->member))
			rc = joins_end_passes(s, c);
		else if ((rc = replay_some(s, c, j)) == -ESTALE)
			rc = skip(s, c, j);
	}
	return rc;
}
