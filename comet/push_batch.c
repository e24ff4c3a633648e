/* push_batch: see push_batch.h. On the thread that works for the share. SPDX-License-Identifier: MIT */
#include "comet/push_batch.h"

#include <string.h>

#include "comet/deliver.h"
#include "comet/joined.h"
#include "comet/usher.h"
#include "common/base/counters.h"
#include "common/base/log.h"

static void kick(struct connection *c, const struct push_job *job, uint64_t session_id)
{
	/* Only that registration, or one that it has replaced. */
	if (session_id != 0 && c->seat.session_id > session_id)
		return;
	if (job->why == CLOSE_REPLACED)
		connection_replaced(c);
	else
		(void)connection_shutdown(c, job->why);
}

/* A connection with the stream is named by itself: the one that has its key by now, too, if it is another. */
static bool is_for(const struct push_job *job, const struct push_job_key *k, const struct connection *c)
{
	if (job->stream == NULL)
		return true;
	return k->has_stream == joins_has_own(c->joins) && (!k->has_stream || k->session_id == c->seat.session_id);
}

static bool try_key(struct server *s, const struct push_job *job, const struct push_job_key *k)
{
	struct connection *c = bucket_get(&s->buckets[k->bucket], k->key);
	bool is_done;

	if (c == NULL) {
		count_by(COUNT_DROPPED, DROP_GONE);
		return true;
	}
	is_done = !is_for(job, k, c) || deliver_at_once(s, c, job->message);
	connection_unref(&c);
	return is_done;
}

bool push_batch_try(struct server *s, const struct push_share *mine, struct push_job *job)
{
	bool all_done = true;

	for (size_t i = 0; i < job->n_keys; i++)
		if (push_share_has(mine, job->keys[i].bucket)) {
			job->keys[i].is_done = try_key(s, job, &job->keys[i]);
			all_done &= job->keys[i].is_done;
		}
	return all_done;
}

static void do_keys(struct server *s, const struct push_share *mine, const struct push_job *job)
{
	for (size_t i = 0; i < job->n_keys; i++) {
		const struct push_job_key *k = &job->keys[i];
		struct connection *c;

		if (!push_share_has(mine, k->bucket) || k->is_done)
			continue;
		c = bucket_get(&s->buckets[k->bucket], k->key);
		if (job->target == WIRE_JOIN || job->target == WIRE_LEAVE)
			usher(s, c, job);
		if (c == NULL) {
			if (job->target == WIRE_KEYS)
				count_by(COUNT_DROPPED, DROP_GONE);
			continue;
		}
		if (job->target == WIRE_KICK)
			kick(c, job, k->session_id);
		else if (job->target == WIRE_KEYS && is_for(job, k, c))
			deliver(s, c, job->message, true);
		connection_unref(&c);
	}
}

static void say_no_memory(unsigned n)
{
	static struct log_limit limit = LOG_LIMIT(1);

	count_by_add(COUNT_DROPPED, DROP_NO_MEMORY, n);
	LOG_LIMITED(LOG_ERROR, &limit, log_what(EVENT_PUSH_WITHOUT_MEMORY));
}

static bool has_numbers(const struct push_batch *batch)
{
	unsigned i = 0;

	while (i < batch->n && batch->messages[i]->number == 0)
		i++;
	return i < batch->n;
}

static void do_room(struct server *s, const struct push_share *mine, const struct push_batch *batch)
{
	for (unsigned i = mine->index; i < s->n_buckets; i += mine->of) {
		struct room *room = bucket_room(&s->buckets[i], batch->jobs[0]->room);
		struct members members;

		if (room == NULL)
			continue;
		if (room_members(room, &members) < 0) {
			say_no_memory(batch->n);
			if (has_numbers(batch))
				deliver_to_nobody(room);
		}
		room_unref(&room);
		deliver_to_members(s, &members, batch->messages, batch->n);
	}
}

static void do_all(struct server *s, const struct push_share *mine, const struct push_batch *batch)
{
	for (unsigned i = mine->index; i < s->n_buckets; i += mine->of) {
		struct connections all = {0};

		if (bucket_all(&s->buckets[i], &all) < 0)
			say_no_memory(batch->n);
		deliver_to_all(s, &all, batch->messages, batch->n);
	}
}

void push_batch_do(struct server *s, const struct push_share *mine, const struct push_batch *batch)
{
	switch (batch->jobs[0]->target) {
	case WIRE_KEYS:
	case WIRE_KICK:
	case WIRE_JOIN:
	case WIRE_LEAVE:
		do_keys(s, mine, batch->jobs[0]);
		break;
	case WIRE_ROOM:
	case WIRE_CLEAR:
		do_room(s, mine, batch);
		break;
	default:
		do_all(s, mine, batch);
		break;
	}
}

bool push_batch_takes(const struct push_batch *batch, const struct push_job *job)
{
	const struct push_job *first = batch->jobs[0];

	if (batch->n == PUSH_BATCH_MAX || first->target != job->target)
		return false;
	return job->target == WIRE_ALL || (job->target == WIRE_ROOM && strcmp(first->room, job->room) == 0);
}
