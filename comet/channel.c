/* channel: see channel.h. Every wake-up is sent after the lock was dropped: the woken thread would run into it else.
 * That is safe because whoever calls holds a reference to the connection that the channel lives in.
 * SPDX-License-Identifier: MIT */
#include "comet/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/obj.h"

int channel_init(struct channel *ch, const struct channel_options *opt)
{
	int rc;

	memset(ch, 0, sizeof(*ch));
	if ((rc = ring_init(&ch->ring, opt->ring_size)) < 0)
		return rc;
	ch->magic = CHANNEL_MAGIC;
	ch->queue_max = opt->queue_max;
	ch->queue_bytes_max = opt->queue_bytes_max;
	ch->use_baton = opt->use_baton;
	ch->baton = BATON_TAKEN;
	ch->queue = ch->slots;
	ch->queue_size = CHANNEL_QUEUE_INLINE;
	lock_init(&ch->lock, LOCK_CHANNEL);
	lock_cond_init(&ch->wake);
	lock_cond_init(&ch->space);
	return 0;
}

unsigned channel_fini(struct channel *ch)
{
	unsigned left = ch->queue_count;

	OBJ_CHECK(ch, CHANNEL_MAGIC);
	for (; ch->queue_count > 0; ch->queue_count--) {
		message_unref(&ch->queue[ch->queue_head]);
		ch->queue_head = (ch->queue_head + 1) & (ch->queue_size - 1);
	}
	if (ch->queue != ch->slots)
		free(ch->queue);
	accepts_fini(&ch->accepts);
	ring_fini(&ch->ring);
	(void)pthread_cond_destroy(&ch->wake);
	(void)pthread_cond_destroy(&ch->space);
	lock_fini(&ch->lock);
	ch->magic = 0;
	return left;
}

static bool is_empty_locked(const struct channel *ch) NEEDS(ch->lock)
{
	return ring_count(&ch->ring) == 0 && ch->queue_count == 0 && !ch->notice;
}

/* Something was put into the mailbox. True: the dispatcher must be signalled once the lock is dropped. *taken: the caller
 * may have the baton, and got it. */
static bool rouse_locked(struct channel *ch, bool *taken) NEEDS(ch->lock)
{
	*taken = false;
	if (ch->baton != BATON_FREE)
		return false; /* its holder will look again before it lets go */
	if (ch->use_baton && !ch->closed) {
		ch->baton = BATON_TAKEN;
		*taken = true;
		return false;
	}
	/* Handed over here and not by the dispatcher itself, so that a burst signals once and not once a message. */
	ch->baton = BATON_DISPATCHER;
	return true;
}

/* ---- the reader ---- */

int channel_ring_set(struct channel *ch, struct packet **p)
{
	int rc;

	lock_take(&ch->lock);
	while (!ch->closed && ring_is_full(&ch->ring))
		lock_wait(&ch->space, &ch->lock);
	rc = ch->closed ? -EPIPE : ring_set(&ch->ring, p);
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

int channel_signal(struct channel *ch)
{
	bool wake = false, taken = false;

	lock_take(&ch->lock);
	if (!is_empty_locked(ch))
		wake = rouse_locked(ch, &taken);
	lock_drop(&ch->lock);
	if (wake)
		(void)pthread_cond_signal(&ch->wake);
	return taken;
}

int channel_pause(struct channel *ch, int64_t deadline_ns)
{
	bool late = false;
	int rc;

	lock_take(&ch->lock);
	while (!ch->closed && !late)
		late = !lock_wait_until(&ch->space, &ch->lock, deadline_ns);
	rc = ch->closed ? -EPIPE : 0;
	lock_drop(&ch->lock);
	return rc;
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

/* ---- any thread ---- */

/* Twice the room for the queue, up to queue_max. */
static int grow_locked(struct channel *ch) NEEDS(ch->lock)
{
	uint32_t size = ch->queue_size * 2;
	struct message **queue = reallocarray(NULL, size, sizeof(struct message *));

	if (queue == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < ch->queue_count; i++)
		queue[i] = ch->queue[(ch->queue_head + i) & (ch->queue_size - 1)];
	if (ch->queue != ch->slots)
		free(ch->queue);
	ch->queue = queue;
	ch->queue_size = size;
	ch->queue_head = 0;
	return 0;
}

/* A message of any size finds room in an empty queue, or it could not be pushed at all. */
static bool has_room_locked(const struct channel *ch, const struct message *msg) NEEDS(ch->lock)
{
	return ch->queue_count < ch->queue_max && (ch->queue_bytes_max == 0 || ch->queue_count == 0 ||
						   ch->queue_bytes + msg->body_bytes <= ch->queue_bytes_max);
}

static int enqueue_locked(struct channel *ch, struct message *msg, bool filter) NEEDS(ch->lock)
{
	int rc;

	if (ch->closed)
		return -EPIPE;
	if (filter && !accepts_has(&ch->accepts, msg->op))
		return -ENOMSG;
	if (!has_room_locked(ch, msg))
		return -ENOBUFS;
	if (ch->queue_count == ch->queue_size && (rc = grow_locked(ch)) < 0)
		return rc;
	ch->queue[(ch->queue_head + ch->queue_count) & (ch->queue_size - 1)] = message_ref(msg);
	ch->queue_count++;
	ch->queue_bytes += msg->body_bytes;
	return 0;
}

int channel_push(struct channel *ch, struct message *msg, bool filter)
{
	bool wake = false, taken = false;
	uint32_t depth;
	int rc;

	lock_take(&ch->lock);
	if ((rc = enqueue_locked(ch, msg, filter)) == 0)
		wake = rouse_locked(ch, &taken);
	depth = ch->queue_count;
	lock_drop(&ch->lock);
	if (wake)
		(void)pthread_cond_signal(&ch->wake);
	if (rc == 0)
		count_observe(COUNT_QUEUE_DEPTH, depth);
	return rc < 0 ? rc : taken;
}

void channel_notice(struct channel *ch)
{
	bool wake = false;

	lock_take(&ch->lock);
	if (!ch->closed) {
		ch->notice = true;
		/* Never handed to the caller: the write may have to wait. */
		wake = ch->baton == BATON_FREE;
		if (wake)
			ch->baton = BATON_DISPATCHER;
	}
	lock_drop(&ch->lock);
	if (wake)
		(void)pthread_cond_signal(&ch->wake);
}

void channel_close(struct channel *ch)
{
	bool wake = false;

	lock_take(&ch->lock);
	if (!ch->closed) {
		ch->closed = true;
		ch->notice = false; /* the goodbye says more */
		wake = ch->baton == BATON_FREE;
		if (wake)
			ch->baton = BATON_DISPATCHER;
	}
	lock_drop(&ch->lock);
	if (wake)
		(void)pthread_cond_signal(&ch->wake);
	(void)pthread_cond_broadcast(&ch->space);
}

bool channel_wait_for_room(struct channel *ch, const struct message *msg, int64_t deadline_ns)
{
	bool room, late = false;

	lock_take(&ch->lock);
	ch->waiting++;
	while (!ch->closed && !ch->stalled && !late && !has_room_locked(ch, msg))
		late = !lock_wait_until(&ch->space, &ch->lock, deadline_ns);
	ch->waiting--;
	room = !ch->closed && has_room_locked(ch, msg);
	lock_drop(&ch->lock);
	return room;
}

int channel_watch(struct channel *ch, const int32_t *ops, size_t n, size_t max)
{
	int rc;

	lock_take(&ch->lock);
	rc = accepts_add(&ch->accepts, ops, n, max);
	lock_drop(&ch->lock);
	return rc;
}

void channel_unwatch(struct channel *ch, const int32_t *ops, size_t n)
{
	lock_take(&ch->lock);
	accepts_remove(&ch->accepts, ops, n);
	lock_drop(&ch->lock);
}

void channel_watch_all(struct channel *ch)
{
	lock_take(&ch->lock);
	ch->accepts.all = true;
	lock_drop(&ch->lock);
}

/* ---- the holder of the baton ---- */

static bool fill_locked(struct channel *ch, struct haul *h) NEEDS(ch->lock)
{
	h->n_answers = 0;
	h->n_messages = 0;
	h->answers_done = 0;
	h->messages_done = 0;
	h->begun_bytes = 0;
	h->skip_bytes = ch->skip_bytes;
	h->messages_first = ch->skip_bytes > 0 && ch->messages_begun;
	while (h->n_answers < HAUL_ANSWERS && ring_get(&ch->ring, h->n_answers, &h->answers[h->n_answers]) == 0)
		h->n_answers++;
	for (; h->n_messages < HAUL_MESSAGES && h->n_messages < ch->queue_count; h->n_messages++)
		h->messages[h->n_messages] = ch->queue[(ch->queue_head + h->n_messages) & (ch->queue_size - 1)];
	return h->n_answers > 0 || h->n_messages > 0;
}

bool channel_take(struct channel *ch, struct haul *h)
{
	bool any;

	lock_take(&ch->lock);
	any = fill_locked(ch, h);
	lock_drop(&ch->lock);
	return any;
}

/* Drop what was written. True: somebody waits for the room that it leaves. The messages' references are the caller's to
 * drop, without the lock. */
static bool account_locked(struct channel *ch, const struct haul *h, bool stalled) NEEDS(ch->lock)
{
	bool was_full = ring_is_full(&ch->ring);

	for (unsigned i = 0; i < h->answers_done; i++)
		ring_get_adv(&ch->ring);
	ch->queue_head = (ch->queue_head + h->messages_done) & (ch->queue_size - 1);
	ch->queue_count -= h->messages_done;
	for (unsigned i = 0; i < h->messages_done; i++)
		ch->queue_bytes -= h->messages[i]->body_bytes;
	ch->stalled = stalled;
	ch->skip_bytes = h->begun_bytes;
	ch->messages_begun = h->begun_bytes > 0 &&
			     (h->messages_first ? h->messages_done < h->n_messages : h->answers_done == h->n_answers);
	if (ch->queue_count == 0 && ch->queue != ch->slots) {
		free(ch->queue);
		ch->queue = ch->slots;
		ch->queue_size = CHANNEL_QUEUE_INLINE;
		ch->queue_head = 0;
	}
	return (was_full && h->answers_done > 0) || ch->waiting > 0;
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
	bool space;

	lock_take(&ch->lock);
	space = account_locked(ch, h, stalled);
	lock_drop(&ch->lock);
	if (space)
		(void)pthread_cond_broadcast(&ch->space);
	drop_references(h);
}

void channel_rest(struct channel *ch, const struct haul *h, bool stalled)
{
	bool space, wake;

	lock_take(&ch->lock);
	BUG_UNLESS(ch->baton == BATON_TAKEN);
	space = account_locked(ch, h, stalled);
	wake = stalled || ch->closed || !is_empty_locked(ch);
	ch->baton = wake ? BATON_DISPATCHER : BATON_FREE;
	lock_drop(&ch->lock);
	if (wake)
		(void)pthread_cond_signal(&ch->wake);
	if (space)
		(void)pthread_cond_broadcast(&ch->space);
	drop_references(h);
}

/* ---- the dispatcher ---- */

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

enum channel_event channel_ready(struct channel *ch)
{
	enum channel_event event = CHANNEL_READY;

	OBJ_CHECK(ch, CHANNEL_MAGIC);
	lock_take(&ch->lock);
	BUG_UNLESS(ch->baton == BATON_DISPATCHER);
	while (is_empty_locked(ch) && !ch->closed) {
		ch->baton = BATON_FREE;
		while (ch->baton != BATON_DISPATCHER)
			lock_wait(&ch->wake, &ch->lock);
	}
	if (is_empty_locked(ch))
		event = CHANNEL_FINISH;
	lock_drop(&ch->lock);
	return event;
}
