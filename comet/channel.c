/* channel: see channel.h. SPDX-License-Identifier: MIT */
#include "comet/channel.h"

#include <errno.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/obj.h"

int channel_init(struct channel *ch, const struct channel_options *opt)
{
	int rc;

	memset(ch, 0, sizeof(*ch));
	if (opt->calls == NULL && (rc = beds_new(&ch->beds)) < 0)
		return rc;
	ring_init(&ch->ring, opt->ring_size);
	BUG_UNLESS(opt->calls == NULL || opt->use_baton);
	ch->magic = CHANNEL_MAGIC;
	ch->use_baton = opt->use_baton;
	ch->calls = opt->calls;
	ch->baton = BATON_TAKEN;
	queue_init(&ch->queue, opt->queue_max, opt->queue_bytes_max);
	lock_init(&ch->lock, LOCK_CHANNEL);
	return 0;
}

unsigned channel_fini(struct channel *ch)
{
	unsigned left;

	OBJ_CHECK(ch, CHANNEL_MAGIC);
	left = queue_fini(&ch->queue);
	accepts_fini(&ch->accepts);
	ring_fini(&ch->ring);
	beds_free(&ch->beds);
	lock_fini(&ch->lock);
	ch->magic = 0;
	return left;
}

/* What is to be done once the lock is dropped. */
struct then {
	bool dispatcher; /* the baton became the dispatcher's */
	bool space;      /* those who wait for space may go on, */
	bool reader;     /* and so may the reader */
	bool write;      /* the caller got the baton, and writes at once */
};

/* Every wake-up is sent after the lock was dropped: the woken thread would otherwise run into it. That is safe because the
 * caller holds a reference to the connection that the channel lives in. */
static void drop_and(struct channel *ch, struct then then) DROPS(ch->lock)
{
	struct beds *beds = ch->beds;

	if (then.reader)
		ch->reader_waits = ch->waits_for_half = false;
	lock_drop(&ch->lock);
	if (then.space && beds != NULL)
		(void)pthread_cond_broadcast(&beds->space);
	if (then.dispatcher && ch->calls != NULL)
		ch->calls->dispatch(ch);
	else if (then.dispatcher && beds != NULL)
		(void)pthread_cond_signal(&beds->wake);
	if (then.write && ch->calls != NULL)
		ch->calls->write(ch);
	if (then.reader && ch->calls != NULL)
		ch->calls->wake(ch);
}

static bool is_empty_locked(const struct channel *ch) NEEDS(ch->lock)
{
	return ring_count(&ch->ring) == 0 && ch->queue.count == 0 && !ch->notice;
}

/* True: nobody had the baton, so the dispatcher gets it, and must be signalled once the lock is dropped. Handed over here
 * and not by the dispatcher itself, so that a burst signals once and not once a message. */
static bool summon_locked(struct channel *ch) NEEDS(ch->lock)
{
	if (ch->baton != BATON_FREE)
		return false; /* its holder will look again before it lets go */
	ch->baton = BATON_DISPATCHER;
	return true;
}

/* A close or a notice: with parking the caller writes it, if nobody has the baton. */
static struct then tell_locked(struct channel *ch) NEEDS(ch->lock)
{
	struct then then = {0};

	if (ch->calls == NULL) {
		then.dispatcher = summon_locked(ch);
	} else if (ch->baton == BATON_FREE) {
		ch->baton = BATON_TAKEN;
		then.write = true;
	}
	return then;
}

/* Something was put into the mailbox. True: signal the dispatcher. *taken: the caller may have the baton, and got it. */
static bool rouse_locked(struct channel *ch, bool *taken) NEEDS(ch->lock)
{
	*taken = ch->baton == BATON_FREE && ch->use_baton && !ch->closed;
	if (!*taken)
		return summon_locked(ch);
	ch->baton = BATON_TAKEN;
	return false;
}

/* ---- the reader ---- */

int channel_ring_set(struct channel *ch, struct packet **p)
{
	int rc;

	lock_take(&ch->lock);
	while (!ch->closed && ring_is_full(&ch->ring) && ch->calls == NULL)
		lock_wait(&ch->beds->space, &ch->lock);
	rc = ch->closed ? -EPIPE : ring_set(&ch->ring, p);
	ch->reader_waits = rc == -EAGAIN;
	lock_drop(&ch->lock);
	return rc;
}

bool channel_ring_set_adv(struct channel *ch)
{
	bool full;

	lock_take(&ch->lock);
	ring_set_adv(&ch->ring);
	full = ring_is_full(&ch->ring);
	lock_drop(&ch->lock);
	return full;
}

bool channel_signal(struct channel *ch)
{
	bool wake = false, taken = false;

	lock_take(&ch->lock);
	if (!is_empty_locked(ch))
		wake = rouse_locked(ch, &taken);
	drop_and(ch, (struct then){.dispatcher = wake});
	return taken;
}

int channel_open(struct channel *ch)
{
	int rc = 0;

	lock_take(&ch->lock);
	BUG_UNLESS(ch->baton == BATON_TAKEN);
	if (ch->closed)
		rc = -EPIPE;
	else
		ch->baton = BATON_DISPATCHER;
	lock_drop(&ch->lock);
	return rc;
}

bool channel_join(struct channel *ch)
{
	bool ended;

	lock_take(&ch->lock);
	while (ch->baton != BATON_ENDED && ch->calls == NULL)
		lock_wait(&ch->beds->space, &ch->lock);
	ended = ch->baton == BATON_ENDED;
	ch->reader_waits = !ended;
	lock_drop(&ch->lock);
	return ended;
}

/* ---- any thread ---- */

/* What decides whether a push is for the connection: its operations, or its place in a room. */
struct gate {
	bool filter;
	bool half;                       /* of the queue has to be free */
	const struct membership *member; /* NULL: the push is to no room */
	const struct room *room;
	uint64_t number;
};

static bool is_open_locked(const struct channel *ch, const struct gate *gate, const struct message *msg) NEEDS(ch->lock)
{
	if (gate->member != NULL)
		return membership_passes(gate->member, gate->room, gate->number);
	return !gate->filter || accepts_has(&ch->accepts, msg->op);
}

static int push_through(struct channel *ch, struct message *msg, const struct gate *gate) WITHOUT(ch->lock)
{
	bool wake = false, taken = false;
	uint32_t depth;
	int rc = 0;

	lock_take(&ch->lock);
	if (ch->closed)
		rc = -EPIPE;
	else if (!is_open_locked(ch, gate, msg))
		rc = -ENOMSG;
	else if (gate->half && !queue_is_half_free(&ch->queue))
		rc = -ENOBUFS;
	if (rc == 0 && (rc = queue_put(&ch->queue, msg)) == 0)
		wake = rouse_locked(ch, &taken);
	depth = ch->queue.count;
	drop_and(ch, (struct then){.dispatcher = wake});
	if (rc == 0)
		count_observe(COUNT_QUEUE_DEPTH, depth);
	return rc < 0 ? rc : taken;
}

int channel_push(struct channel *ch, struct message *msg, bool filter)
{
	return push_through(ch, msg, &(struct gate){.filter = filter});
}

int channel_push_missed(struct channel *ch, struct message *msg)
{
	return push_through(ch, msg, &(struct gate){.half = true});
}

int channel_push_to_member(struct channel *ch, struct message *msg, uint64_t number, const struct membership *m,
			   const struct room *room)
{
	return push_through(ch, msg, &(struct gate){.member = m, .room = room, .number = number});
}

uint32_t channel_queued(struct channel *ch)
{
	uint32_t n;

	lock_take(&ch->lock);
	n = ch->queue.count;
	lock_drop(&ch->lock);
	return n;
}

void channel_notice(struct channel *ch)
{
	struct then then = {0};

	lock_take(&ch->lock);
	if (!ch->closed) {
		ch->notice = true;
		then = tell_locked(ch);
	}
	drop_and(ch, then);
}

bool channel_seize(struct channel *ch)
{
	bool seized;

	lock_take(&ch->lock);
	seized = ch->baton == BATON_FREE && !ch->closed && is_empty_locked(ch);
	if (seized)
		ch->baton = BATON_TAKEN;
	lock_drop(&ch->lock);
	return seized;
}

void channel_close(struct channel *ch)
{
	struct then then = {0};

	lock_take(&ch->lock);
	if (!ch->closed) {
		ch->closed = true;
		ch->notice = false; /* the goodbye says more */
		then = tell_locked(ch);
	}
	then.space = true;
	then.reader = ch->reader_waits;
	drop_and(ch, then);
}

/* ---- the holder of the baton ---- */

bool channel_take(struct channel *ch, struct haul *h)
{
	lock_take(&ch->lock);
	h->n_answers = 0;
	h->answers_done = 0;
	h->messages_done = 0;
	h->begun_bytes = 0;
	h->skip_bytes = ch->skip_bytes;
	h->messages_first = ch->skip_bytes > 0 && ch->messages_begun;
	while (h->n_answers < HAUL_ANSWERS && ring_get(&ch->ring, h->n_answers, &h->answers[h->n_answers]) == 0)
		h->n_answers++;
	h->n_messages = queue_get(&ch->queue, h->messages, HAUL_MESSAGES);
	lock_drop(&ch->lock);
	return h->n_answers > 0 || h->n_messages > 0;
}

/* Drop what was written, and say who waits for the space that it leaves. The messages' references are the caller's to drop, without
 * the lock. */
static struct then account_locked(struct channel *ch, const struct haul *h, bool stalled) NEEDS(ch->lock)
{
	bool goes_on = ring_is_full(&ch->ring) && h->answers_done > 0;

	for (unsigned i = 0; i < h->answers_done; i++)
		ring_get_adv(&ch->ring);
	queue_get_adv(&ch->queue, h->messages_done);
	ch->stalled = stalled;
	ch->skip_bytes = h->begun_bytes;
	ch->messages_begun = h->begun_bytes > 0 &&
			     (h->messages_first ? h->messages_done < h->n_messages : h->answers_done == h->n_answers);
	if (ch->waits_for_half)
		goes_on = queue_is_half_free(&ch->queue);
	return (struct then){.space = goes_on || ch->waiting > 0, .reader = goes_on && ch->reader_waits};
}

static void drop_references(const struct haul *h)
{
	for (unsigned i = 0; i < h->messages_done; i++) {
		struct message *msg = h->messages[i];
		message_unref(&msg);
	}
}

void channel_done(struct channel *ch, const struct haul *h, bool stalled)
{
	lock_take(&ch->lock);
	drop_and(ch, account_locked(ch, h, stalled));
	drop_references(h);
}

/* A baton that is not given away: with parking a dispatcher would have to be started. */
static enum channel_event keep_locked(struct channel *ch, bool stalled) NEEDS(ch->lock)
{
	if (stalled || ch->calls == NULL)
		return CHANNEL_IDLE;
	if (!is_empty_locked(ch))
		return CHANNEL_READY;
	return ch->closed ? CHANNEL_FINISH : CHANNEL_IDLE;
}

enum channel_event channel_done_and_release(struct channel *ch, const struct haul *h, bool stalled)
{
	enum channel_event event;
	struct then then;

	lock_take(&ch->lock);
	BUG_UNLESS(ch->baton == BATON_TAKEN);
	then = account_locked(ch, h, stalled);
	event = keep_locked(ch, stalled);
	if (event == CHANNEL_IDLE)
		then.dispatcher = stalled || ch->closed || !is_empty_locked(ch);
	if (then.dispatcher || event == CHANNEL_FINISH)
		ch->baton = BATON_DISPATCHER;
	else if (event == CHANNEL_IDLE)
		ch->baton = BATON_FREE;
	drop_and(ch, then);
	drop_references(h);
	return event;
}

void channel_give_back(struct channel *ch)
{
	const struct haul nothing = {0};

	if (ch->calls != NULL)
		ch->calls->write(ch);
	else
		(void)channel_done_and_release(ch, &nothing, false);
}

bool channel_take_notice(struct channel *ch)
{
	bool due;

	lock_take(&ch->lock);
	due = ch->notice && ch->skip_bytes == 0;
	if (due)
		ch->notice = false;
	lock_drop(&ch->lock);
	return due;
}

void channel_end(struct channel *ch)
{
	lock_take(&ch->lock);
	BUG_UNLESS(ch->baton != BATON_FREE);
	/* Who gave the reason may not have closed it yet. */
	ch->closed = true;
	ch->baton = BATON_ENDED;
	drop_and(ch, (struct then){.space = true, .reader = ch->reader_waits});
}

/* ---- the dispatcher ---- */

void channel_dispatch_here(struct channel *ch)
{
	lock_take(&ch->lock);
	BUG_UNLESS(ch->baton == BATON_TAKEN);
	ch->baton = BATON_DISPATCHER;
	lock_drop(&ch->lock);
}

enum channel_event channel_ready(struct channel *ch)
{
	enum channel_event event = CHANNEL_READY;

	OBJ_CHECK(ch, CHANNEL_MAGIC);
	lock_take(&ch->lock);
	BUG_UNLESS(ch->baton == BATON_DISPATCHER);
	while (is_empty_locked(ch) && !ch->closed) {
		ch->baton = BATON_FREE;
		if (ch->calls != NULL) {
			lock_drop(&ch->lock);
			return CHANNEL_IDLE;
		}
		while (ch->baton != BATON_DISPATCHER)
			lock_wait(&ch->beds->wake, &ch->lock);
	}
	if (is_empty_locked(ch))
		event = CHANNEL_FINISH;
	lock_drop(&ch->lock);
	return event;
}
