/* feed: a numbered stream, as settings and documents call it; here a `stream` is a socket's bytes. The pushes to a room of a kept
 * type (stream.rooms) have consecutive numbers, and so have those to a user (stream.users); the last of them are held here: so whoever
 * was away gets what is missing, or learns that something is. A user's stream has a name of its own (common/base/kept.h), and is a feed
 * like that of a room; but it knows its connections itself (feed_enter), since a user's are in no room.
 *
 * A feed is here while it is held by a joined connection, and in a comet alone also while it is kept: its history for the type's
 * time, its number for stream.position_ttl after its last push or join. In a cluster the history is Redis's, and here is a copy.
 *
 * The join gate, on the reader's thread:
 *   1. into the room, deaf: the membership's `after` is UINT64_MAX
 *   2. feed_hold, then feed_decide; the answer is queued, with what that said
 *   3. feed_take what is above `sent` (at first the answer's `at`), queue it, again, until there is nothing
 *   4. feed_finish: true, the membership hears; false, there is more: 3
 *      Where a take says -ESTALE, or the room is faster than the client: feed_skip
 * A push is in the history before the push threads have it, and they pass it on to a member only if message.number > after (with
 * number 0: if after is not UINT64_MAX). So none is missed, none comes twice, and nobody waits for anybody.
 *
 * One lock for all of them, LOCK_FEED: below bucket and room, above channel; each call takes it for a moment, and none but
 * feed_hold and feed_decide waits for anything else. SPDX-License-Identifier: MIT */
#ifndef COMET_FEED_H
#define COMET_FEED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/feed_table.h"

/* cfg's stream.rooms has been checked; logic is filled in later, and says whether Redis has the streams. Never fails. */
void feeds_init(struct feeds *s, const struct config *cfg, const struct logic_client *logic);
/* Nobody holds a stream any more. */
void feeds_fini(struct feeds *s);

/* Does this room have numbers? Rooms of other types have none: they are joined with after = 0, `at` 0, and `gap` if the client had a
 * position. Takes no lock. */
static inline bool feeds_keep(const struct feeds *s, const char *room)
{
	return kept_of(&s->kept, room) != NULL;
}

/* In how many milliseconds a client that misses something is to ask the back end: random below stream.spread. For every object with
 * "gap":true, and as retry_ms. */
int64_t feeds_reload_ms(const struct feeds *s);

/* ---- a joined connection ---- */

/* Hold the streams of n rooms, each for itself; numbers are made for those without. In a cluster those that are not here are read
 * from Redis in one go, and it waits for that up to deadline_ns: the caller's connection is excused and its thread may block. */
void feed_hold(struct feeds *s, struct feed_asked *asked, size_t n, int64_t deadline_ns);
/* For members that a back end leads into the room: hold its feed. In a cluster it goes on after `at`, and history that is not here is read when
 * somebody wants it. 0; -ENOMEM; in a cluster -EAGAIN: another reads it just now, and for long. */
int feed_lead(struct feeds *s, const char *room, uint64_t at, struct feed **out);
/* One more holds it: feed_release. Returns f. */
struct feed *feed_ref(struct feeds *s, struct feed *f);
/* With the membership, or after it. *feed becomes NULL. */
void feed_release(struct feeds *s, struct feed **feed);

/* What a client said of a room in JOIN. */
struct feed_wish {
	uint64_t since; /* the position that it has; 0: none */
	uint64_t last;  /* so many of the newest; 0: none. With since: if that is a gap */
};

struct feed_place {
	uint64_t at;     /* the client goes on after it: `sent` of the join gate begins here */
	uint64_t newest; /* the number of the newest push */
	bool gap;        /* something is missing before */
	enum feed_gap cause;
	unsigned replay; /* pushes above `at` now: for the answer's "replay" */
};

/* For somebody who is no client: where he goes on by what is here, and references to what is above that, at most n_max; how many. */
unsigned feed_read(struct feeds *s, struct feed *f, const struct feed_wish *wish, struct feed_place *place,
		   struct message **out, unsigned n_max);

/* Where a client goes on, and whether that is proved; a gap is counted. A position above the newest number is asked of Redis in a cluster (the
 * comet may be a moment behind), up to deadline_ns. `place`: the `after` of the client's place in the same room, by AUTH or op 12, or NULL:
 * from that moment it gets nothing above `newest`, which is the join's to bring. 0; -ERR_NO_LOGIC: it cannot be asked (503, and never a gap). */
int feed_decide(struct feeds *s, struct feed *f, const struct feed_wish *wish, int64_t deadline_ns,
		_Atomic uint64_t *place, struct feed_place *out);

/* References to the messages above `above`, the oldest first: at most n_max, and no more once they have bytes_max of body, but
 * always one if there is one. How many; 0: that was all. -ESTALE: the first of them is not held any more, or the stream jumped:
 * feed_skip. */
int feed_take(struct feeds *s, struct feed *f, uint64_t above, struct message **out, unsigned n_max, size_t bytes_max);

/* If `sent` is the newest number: store it into *after, and true. From then on the push threads bring what comes. */
bool feed_finish(struct feeds *s, struct feed *f, uint64_t sent, _Atomic uint64_t *after);

/* End the join with a gap: say(arg, at) under the lock, which queues NOTICE gap with this number in the channel (its lock comes
 * after ours) and never waits; then *after = at. So nothing newer comes before the NOTICE. Counted. */
void feed_skip(struct feeds *s, struct feed *f, void (*say)(void *arg, uint64_t at), void *arg,
	       _Atomic uint64_t *after);

/* ---- a user's stream ---- */

/* The connection is one of those that have the stream, which it holds: its pushes go there from now on. Deaf, before feed_decide. */
void feed_enter(struct feeds *s, struct feed *f, struct membership *m);
/* Before feed_release. */
void feed_leave(struct feeds *s, struct feed *f, struct membership *m);
/* Read what Redis has by now, unless it was read for him who asks, or is nowhere else: while the user was on other comets only, nobody
 * told this one of pushes, though a connection of before may hold the stream. 0; the errors of feed_decide. */
int feed_catch_up(struct feeds *s, const struct feed_asked *asked, int64_t deadline_ns);
/* The device with this key has confirmed all up to `at`, of which what is above the newest number is cut off: what was confirmed. NULL:
 * no device that would come again. In a cluster Redis is told by feed_source_tell. */
uint64_t feed_confirm(struct feeds *s, struct feed *f, const char *key, uint64_t at);
/* What was confirmed, for acks_fini; in a cluster it is asked of Redis. 0; -ENOMEM, -ERR_NO_LOGIC. */
int feed_confirmed(struct feeds *s, struct feed *f, int64_t deadline_ns, struct acks *out);

/* ---- the way down: push.c, under its lock, so that the order of numbers is that of its queues ---- */

/* Put the push into the history of the stream of this name: a comet alone numbers it, message->number, which nobody else knows yet; in a
 * cluster it comes with its number. Whom it is for (`reach`, or NULL for a room's) is told in the same step, so that each connection of
 * the user has it by that or by the history. A room that is not kept: 0, and nothing happens. 0; -ENOMEM: it is not to be delivered; in a
 * cluster -EALREADY: it was delivered, and -ESTALE: one before it is missing, feed_source_fill. */
int feed_append(struct feeds *s, const char *name, struct message *message, const struct feed_reach *reach);

/* The number of the newest push; in a comet alone. */
uint64_t feed_newest(struct feeds *s, struct feed *f);

/* Empty the history, and jump: what came before and what comes cannot be told to follow each other. *at is the new number (in a cluster it
 * comes with it, and where the stream has no feed here nothing happens). It goes
 * to the room's members, or the user's connections, as a message with `notice`: deliver makes NOTICE gap of it, for each connection that
 * has joined and whose `after` is below the number. A room that is not kept: 0, and nothing happens. 0; -ENOMEM: nothing has happened. */
int feed_jump(struct feeds *s, const char *name, uint64_t *at, const struct feed_reach *reach);

/* ---- now and then, one thread ---- */

/* Forget what is over: at most so many streams are looked at. */
void feeds_sweep(struct feeds *s, unsigned n);

#endif
