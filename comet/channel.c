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
	if ((rc = ring_init(&ch->ring, opt->ring_size)) < 0)
		return rc;
	ch->magic = CHANNEL_MAGIC;
	ch->use_baton = opt->use_baton;
	ch->baton = BATON_TAKEN;
	queue_init(&ch->queue, opt->queue_max, opt->queue_bytes_max);
	lock_init(&ch->lock, LOCK_CHANNEL);
	lock_cond_init(&ch->wake);
	lock_cond_init(&ch->space);
	return 0;
}

unsigned channel_fini(struct channel *ch)
{
	unsigned left;

	OBJ_CHECK(ch, CHANNEL_MAGIC);
	left = queue_fini(&ch->queue);
	accepts_fini(&ch->accepts);
	ring_fini(&ch->ring);
	(void)pthread_cond_destroy(&ch->wake);
	(void)pthread_cond_destroy(&ch->space);
	lock_fini(&ch->lock);
	ch->magic = 0;
	return left;
}

/* Every wake-up is sent after the lock was dropped: the woken thread would otherwise run into it. That is safe because the
 * caller holds a reference to the connection that the channel lives in. */
static void drop_and_wake(struct channel *ch, bool dispatcher, bool waiting) DROPS(ch->lock)
{
	lock_drop(&ch->lock);
	if (dispatcher)
		(void)pthread_cond_signal(&ch->wake);
	if (waiting)
		(void)pthread_cond_broadcast(&ch->space);
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

bool channel_signal(struct channel *ch)
{
	bool wake = false, taken = false;

	lock_take(&ch->lock);
	if (!is_empty_locked(ch))
		wake = rouse_locked(ch, &taken);
	drop_and_wake(ch, wake, false);
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

static int enqueue_locked(struct channel *ch, struct message *msg, bool filter) NEEDS(ch->lock)
{
	if (ch->closed)
		return -EPIPE;
	if (filter && !accepts_has(&ch->accepts, msg->op))
		return -ENOMSG;
	return queue_put(&ch->queue, msg);
}

int channel_push(struct channel *ch, struct message *msg, bool filter)
{
	bool wake = false, taken = false;
	uint32_t depth;
	int rc;

	lock_take(&ch->lock);
	if ((rc = enqueue_locked(ch, msg, filter)) == 0)
		wake = rouse_locked(ch, &taken);
	depth = ch->queue.count;
	drop_and_wake(ch, wake, false);
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
		wake = summon_locked(ch);
	}
	drop_and_wake(ch, wake, false);
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
	bool wake = false;

	lock_take(&ch->lock);
	if (!ch->closed) {
		ch->closed = true;
		ch->notice = false; /* the goodbye says more */
		wake = summon_locked(ch);
	}
	drop_and_wake(ch, wake, true);
}

bool channel_wait_for_space(struct channel *ch, const struct message *msg, int64_t deadline_ns)
{
	bool space, late = false;

	lock_take(&ch->lock);
	ch->waiting++;
	while (!ch->closed && !ch->stalled && !late && !queue_has_space(&ch->queue, msg))
		late = !lock_wait_until(&ch->space, &ch->lock, deadline_ns);
	ch->waiting--;
	space = !ch->closed && queue_has_space(&ch->queue, msg);
	lock_drop(&ch->lock);
	return space;
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
	h->answers_done = 0;
	h->messages_done = 0;
	h->begun_bytes = 0;
	h->skip_bytes = ch->skip_bytes;
	h->messages_first = ch->skip_bytes > 0 && ch->messages_begun;
	while (h->n_answers < HAUL_ANSWERS && ring_get(&ch->ring, h->n_answers, &h->answers[h->n_answers]) == 0)
		h->n_answers++;
	h->n_messages = queue_get(&ch->queue, h->messages, HAUL_MESSAGES);
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

/* Drop what was written. True: somebody waits for the space that it leaves. The messages' references are the caller's to
 * drop, without the lock. */
static bool account_locked(struct channel *ch, const struct haul *h, bool stalled) NEEDS(ch->lock)
{
	bool was_full = ring_is_full(&ch->ring);

	for (unsigned i = 0; i < h->answers_done; i++)
		ring_get_adv(&ch->ring);
	queue_get_adv(&ch->queue, h->messages_done);
	ch->stalled = stalled;
	ch->skip_bytes = h->begun_bytes;
	ch->messages_begun = h->begun_bytes > 0 &&
			     (h->messages_first ? h->messages_done < h->n_messages : h->answers_done == h->n_answers);
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
	drop_and_wake(ch, false, space);
	drop_references(h);
}

void channel_done_and_release(struct channel *ch, const struct haul *h, bool stalled)
{
	bool space, wake;

	lock_take(&ch->lock);
	BUG_UNLESS(ch->baton == BATON_TAKEN);
	space = account_locked(ch, h, stalled);
	wake = stalled || ch->closed || !is_empty_locked(ch);
	ch->baton = wake ? BATON_DISPATCHER : BATON_FREE;
	drop_and_wake(ch, wake, space);
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
