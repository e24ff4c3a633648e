/* channel: the mailbox of one connection, the landing where up and down meet. The reader leaves answers in its ring, any
 * thread pushes messages into its queue, the dispatcher takes both. It knows nothing of sockets.
 *
 * The baton is the right to write to the connection: one writer at a time, one order. The dispatcher holds it while it is
 * awake. When it sleeps and the mailbox is empty, the thread that brings something may be handed the baton (with
 * use_baton): it writes without waiting and gives the baton back; what the socket did not take stays in the mailbox and
 * the dispatcher is woken. Without use_baton the dispatcher is woken each time: the plain way.
 *
 * With parking there is no dispatcher that sleeps: it is started where the drawing says "signalled", and ends where it finds
 * nothing. A close and a notice hand the baton on as a push does, and who finds the channel closed and all of it written says
 * the goodbye; channel_end tells that it was said.
 *
 *     channel_push returns 1, channel_signal true     channel_done_and_release: nothing left
 *   FREE ------------------------------------------------> TAKEN ----------------------------------------> FREE
 *    |                                                      |  channel_done_and_release: stalled, closed, or more came
 *    |  plain way, or channel_close                         v
 *    +--------------------------------------------> DISPATCHER (signalled; channel_ready returns) -- channel_end --> ENDED
 *    ^                                                      |
 *    +------------- channel_ready finds nothing ------------+
 * SPDX-License-Identifier: MIT */
#ifndef COMET_CHANNEL_H
#define COMET_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/accepts.h"
#include "comet/beds.h"
#include "comet/membership.h"
#include "comet/queue.h"
#include "comet/ring.h"
#include "comet/transport/haul.h"
#include "common/base/lock.h"
#include "common/wire/message.h"

enum channel_event { CHANNEL_READY, CHANNEL_IDLE, CHANNEL_FINISH };

enum channel_baton { BATON_FREE, BATON_TAKEN, BATON_DISPATCHER, BATON_ENDED };

struct channel;

/* With parking: what a channel has done by the connection that it lives in. Called without the lock. */
struct channel_calls {
	void (*write)(
		struct channel *ch); /* the caller got the baton: write what waits, without waiting for the peer */
	void (*dispatch)(struct channel *ch); /* the baton is the dispatcher's: start it */
	void (*wake)(struct channel *ch);     /* the reader may go on, which was told to wait */
};

struct channel_options {
	uint32_t ring_size;             /* protocol.cli_proto */
	uint32_t queue_max;             /* protocol.svr_proto */
	_Atomic size_t queue_bytes_max; /* limits.queued_bytes; 0: no limit */
	bool use_baton;
	const struct channel_calls
		*calls; /* with parking, and use_baton; NULL: reader and dispatcher are always there */
};

struct channel {
	unsigned magic;
#define CHANNEL_MAGIC 0x5ea1c0de
	/* set once, read by all */
	bool use_baton;
	const struct channel_calls *calls;
	/* under lock */
	bool closed;
	bool reader_waits;   /* it was told to, and has no thread; calls->wake */
	bool waits_for_half; /* ... until half of the queue is free */
	bool notice;         /* the dispatcher has to write one, see channel_notice */
	bool stalled;        /* the socket took no more when it was last written to */
	unsigned waiting;    /* threads in channel_wait_for_space */
	bool messages_begun; /* skip_bytes belongs to the queue's first message, not to the ring's first answer */
	enum channel_baton baton;
	struct lock lock;
	struct beds *beds; /* with parking NULL until somebody has to sleep */
	struct ring ring;
	struct queue queue;
	size_t skip_bytes;
	struct accepts accepts;
};

/* The baton is taken (by the reader, that is) until channel_open. 0 or -ENOMEM. */
int channel_init(struct channel *ch, const struct channel_options *opt);
/* No thread uses it any more. Messages still queued are dropped; returns how many. */
unsigned channel_fini(struct channel *ch);

/* ---- the reader ---- */

/* The slot for the next packet, the same until channel_ring_set_adv. While the ring is full it waits, or says so with parking. The
 * wait ends when the dispatcher answers or fails, which its write deadline bounds, or when the channel is closed. Takes ch->lock.
 * 0; -EPIPE: closed; -ENOMEM; -EAGAIN: with parking, the reader is woken when it may go on. */
int channel_ring_set(struct channel *ch, struct packet **p) WITHOUT(ch->lock);
/* The packet in the slot is ready to be answered; nobody is told yet. Takes ch->lock. True when the ring is now full. */
bool channel_ring_set_adv(struct channel *ch) WITHOUT(ch->lock);
/* There is something to write: wakes the dispatcher if it sleeps. True: the caller got the baton and must write now
 * (channel_take ... channel_done_and_release). Takes ch->lock. */
bool channel_signal(struct channel *ch) WITHOUT(ch->lock);
/* Is half of the queue free, so that the next would not wait? */
bool channel_half_is_free(struct channel *ch) WITHOUT(ch->lock);
/* Is half of the queue free? Waits for that, or says so with parking; the wait ends as that of channel_ring_set does. Takes ch->lock.
 * 0; -EPIPE: closed; -EAGAIN: with parking, the reader is woken when it may go on. */
int channel_wait_for_half(struct channel *ch) WITHOUT(ch->lock);
/* Sleep until deadline_ns, for a client that is held back; a close ends it. Takes ch->lock. 0, or -EPIPE: closed. */
int channel_pause(struct channel *ch, int64_t deadline_ns) WITHOUT(ch->lock);
/* With parking: the reader is about to wait for something else, and wants to be woken by a close. 0, or -EPIPE: closed. */
int channel_expect(struct channel *ch) WITHOUT(ch->lock);
/* Hand the baton on to the dispatcher, which is about to be started. 0, or -EPIPE: closed meanwhile, start none. Not with
 * parking: there the reader writes (channel_take ... channel_done_and_release). */
int channel_open(struct channel *ch) WITHOUT(ch->lock);
/* Has the goodbye been said? Waits for it, or says so with parking: false, the reader is woken when it has. Any number of times.
 * Its bound is the write deadline. */
bool channel_join(struct channel *ch) WITHOUT(ch->lock);

/* ---- any thread ---- */

/* Queue one more reference to msg. Never waits for the peer. Takes ch->lock.
 *   0         queued; the channel now holds its own reference
 *   1         the same, and the caller got the baton and must write now (channel_take ... channel_done_and_release)
 *   -ENOMSG   filtered: this connection does not accept msg->op (only if `filter`)
 *   -ENOBUFS  queue full, by count or by bytes: nothing was queued, the caller decides by slow_consumer and counts it
 *   -ENOMEM   the same for want of memory
 *   -EPIPE    the channel is closed */
int channel_push(struct channel *ch, struct message *msg, bool filter) WITHOUT(ch->lock);

/* The same for what a client missed. -ENOBUFS already where less than half of the queue is free, so that what comes meanwhile has
 * space. */
int channel_push_missed(struct channel *ch, struct message *msg) WITHOUT(ch->lock);
/* The same for a push to a room, listed with the connection's membership in it, whatever number msg shows to it. -ENOMSG: it has left
 * the room, or has the push. */
int channel_push_to_member(struct channel *ch, struct message *msg, uint64_t number, const struct membership *m,
			   const struct room *room) WITHOUT(ch->lock);

/* After -ENOBUFS: is the peer slow, or only our dispatcher, which has not had its turn yet? Waits for the dispatcher up to
 * deadline_ns, but not for a peer whose socket is full. True: there is space for msg now, push it again. */
bool channel_wait_for_space(struct channel *ch, const struct message *msg, int64_t deadline_ns) WITHOUT(ch->lock);

/* Messages that wait in the queue now. */
uint32_t channel_queued(struct channel *ch) WITHOUT(ch->lock);

/* Have something written that is neither answer nor push, between two of them: channel_take_notice. Never waits; does nothing once
 * the channel is closed. With parking it may be written before this returns. */
void channel_notice(struct channel *ch) WITHOUT(ch->lock);

/* Have the baton for something that is neither answer nor push, and goes at once or not at all. True: the caller got it, and
 * gives it back with channel_give_back. False: somebody is writing, or about to, or it is closed. Never
 * waits. Whatever use_baton says. */
bool channel_seize(struct channel *ch) WITHOUT(ch->lock);
/* Give it back; with parking, what came meanwhile is written first. */
void channel_give_back(struct channel *ch) WITHOUT(ch->lock);

/* No more pushes, no more answers: all that is queued is still written, then channel_ready says FINISH. Wakes each that sleeps.
 * Any number of times. With parking the goodbye may be said before this returns. */
void channel_close(struct channel *ch) WITHOUT(ch->lock);

/* Accept these operations too / no longer. A filter that would grow beyond `max` is left as it was: -ENOBUFS; -ENOMEM. */
int channel_watch(struct channel *ch, const int32_t *ops, size_t n, size_t max) WITHOUT(ch->lock);
void channel_unwatch(struct channel *ch, const int32_t *ops, size_t n) WITHOUT(ch->lock);
/* Accept no longer those for which may() says no, with the lock held; nor every operation, if it was every one. */
void channel_keep(struct channel *ch, bool (*may)(void *arg, int32_t op), void *arg) WITHOUT(ch->lock);
/* Accept every operation (v1). */
void channel_watch_all(struct channel *ch) WITHOUT(ch->lock);

/* ---- the holder of the baton ---- */

/* All that waits, up to a haul. False when nothing does. */
bool channel_take(struct channel *ch, struct haul *h) WITHOUT(ch->lock);
/* Account for what was written (h->*_done, begun_bytes): drops it from the mailbox, lets those go on who wait for space.
 * `stalled`: the socket takes no more now. */
void channel_done(struct channel *ch, const struct haul *h, bool stalled) WITHOUT(ch->lock);
/* channel_done, and give the baton back: to the dispatcher if the socket is stalled or more has come. For holders that are
 * not the dispatcher.
 *   CHANNEL_IDLE    given back
 *   CHANNEL_READY   with parking: more has come, write that too
 *   CHANNEL_FINISH  with parking: closed, and all is written; the caller is the dispatcher now, and says the goodbye */
enum channel_event channel_done_and_release(struct channel *ch, const struct haul *h, bool stalled) WITHOUT(ch->lock);
/* Is a notice due, and nothing half written that it would tear apart? True once for each channel_notice. */
bool channel_take_notice(struct channel *ch) WITHOUT(ch->lock);
/* The goodbye was said, or cannot be: nothing is written any more. Afterwards the caller touches the connection only if it holds a
 * reference of its own. */
void channel_end(struct channel *ch) WITHOUT(ch->lock);

/* ---- the dispatcher ---- */

/* A holder of the baton is the dispatcher from now on, without a thread that was started for it. */
void channel_dispatch_here(struct channel *ch) WITHOUT(ch->lock);

/* Give the baton back, sleep until there is something to write, and take it again. The sleep ends at the latest when the
 * heartbeat deadline closes the channel. CHANNEL_READY: channel_take has something; CHANNEL_FINISH: closed, and nothing is
 * left to write; CHANNEL_IDLE, with parking in place of the sleep: the dispatcher is none any more. */
enum channel_event channel_ready(struct channel *ch) WITHOUT(ch->lock);

#endif
