/* usher: see usher.h. SPDX-License-Identifier: MIT */
#include "comet/usher.h"

#include "comet/dispatch.h"
#include "comet/join_body.h"
#include "comet/joins.h"
#include "comet/room.h"
#include "common/base/clock.h"
#include "common/base/counters.h"

/* How long it waits for a dispatcher that has not had its turn. */
#define TURN_NS CLOCK_SEC

static const char *const results[USHER_RESULTS] = {
	[USHER_IN] = "joined", [USHER_OUT] = "left",          [USHER_WAS] = "unchanged",
	[USHER_GONE] = "gone", [USHER_TOO_MANY] = "too_many", [USHER_NO_MEMORY] = "no_memory",
};

COUNTER_LABELS(LED, results, USHER_RESULTS);

/* ---- a client without streams has one room ---- */

static enum usher_result lead_place_locked(struct bucket *b, struct connection *c, const char *room) NEEDS(b->places)
{
	bool was = room_is(atomic_load(&c->place.room), room);

	if (bucket_change_room(b, &c->place, room) < 0)
		return USHER_NO_MEMORY;
	atomic_store(&c->place.until_ns, MEMBERSHIP_LED);
	return was ? USHER_WAS : USHER_IN;
}

static enum usher_result leave_room_locked(struct bucket *b, struct connection *c, const char *room) NEEDS(b->places)
{
	if (!room_is(atomic_load(&c->place.room), room))
		return USHER_WAS;
	bucket_leave_place(b, c);
	return USHER_OUT;
}

/* ---- one with streams has many, and is told ---- */

static enum usher_result join_locked(struct server *s, struct bucket *b, struct connection *c,
				     const struct push_job *job) NEEDS(b->places)
{
	struct joined *j = joins_find_locked(c->joins, job->room);

	if (j != NULL && !joins_wait_locked(j)) {
		atomic_store(&j->member.until_ns, MEMBERSHIP_LED);
		j->to_leave = false;
		return USHER_WAS;
	}
	if (j == NULL && c->joins->n >= 2 * (size_t)s->cfg->limits_rooms)
		return USHER_TOO_MANY;
	if (j == NULL && (j = joins_enter_locked(b, c, job->room)) == NULL)
		return USHER_NO_MEMORY;
	atomic_store(&j->member.until_ns, MEMBERSHIP_LED);
	j->to_leave = false;
	if (job->feed != NULL)
		j->feed = feed_ref(&s->feeds, job->feed);
	/* Pushes up to this number came before, and this thread brings the next ones. */
	atomic_store(&j->member.after, job->message->number);
	if (room_is(atomic_load(&c->place.room), job->room))
		bucket_leave_place(b, c);
	return USHER_IN;
}

static enum usher_result unjoin_locked(struct server *s, struct bucket *b, struct connection *c,
				       const struct push_job *job) NEEDS(b->places)
{
	struct joined *j = joins_find_locked(c->joins, job->room);

	if (j == NULL)
		return leave_room_locked(b, c, job->room);
	if (j->busy)
		j->to_leave = true;
	else
		joins_leave_locked(s, b, c, j);
	return j->busy ? USHER_WAS : USHER_OUT;
}

/* ---- both ---- */

static int make_notice(const struct push_job *job, struct message **out)
{
	if (job->target == WIRE_JOIN)
		return join_notice_led(job->room, job->message->number, out);
	return join_notice_left(job->room, "kicked", out);
}

/* The NOTICE goes out if something was done. */
static enum usher_result lead_locked(struct server *s, struct bucket *b, struct connection *c,
				     const struct push_job *job, struct message **notice, bool *owed) NEEDS(b->places)
{
	bool joins = job->target == WIRE_JOIN;
	enum usher_result result;

	/* Its reader has taken it out of all rooms, or is about to. */
	if (connection_is_closing(c))
		return USHER_GONE;
	if (c->joins == NULL)
		return joins ? lead_place_locked(b, c, job->room) : leave_room_locked(b, c, job->room);
	result = joins ? join_locked(s, b, c, job) : unjoin_locked(s, b, c, job);
	if (result == USHER_IN || result == USHER_OUT)
		(void)joins_queue(c, notice, owed); /* otherwise it is closed, and comes again */
	return result;
}

/* The queue may be full only because it was not written yet. */
static void wait_for_space(struct connection *c, const struct message *notice)
{
	if (c->joins != NULL && !channel_half_is_free(&c->channel))
		(void)channel_wait_for_space(&c->channel, notice, clock_now_ns() + TURN_NS);
}

static enum usher_result lead(struct server *s, struct connection *c, const struct push_job *job)
{
	struct bucket *b = server_bucket(s, c->seat.key);
	struct message *notice;
	enum usher_result result;
	bool owed = false;

	if (make_notice(job, &notice) < 0)
		return USHER_NO_MEMORY;
	wait_for_space(c, notice);
	lock_take(&b->places);
	result = lead_locked(s, b, c, job, &notice, &owed);
	lock_drop(&b->places);
	if (owed)
		dispatch_now(c);
	if (notice != NULL)
		message_unref(&notice);
	return result;
}

void usher(struct server *s, struct connection *c, const struct push_job *job)
{
	count_by(COUNT_LED, c != NULL ? lead(s, c, job) : USHER_GONE);
}
