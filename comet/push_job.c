/* push_job: see push_job.h. SPDX-License-Identifier: MIT */
#include "comet/push_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/feed_source.h"

static const enum close_reason reasons[WIRE_REASONS] = {
	[WIRE_KICKED] = CLOSE_KICKED, [WIRE_REPLACED] = CLOSE_REPLACED, [WIRE_PER_USER] = CLOSE_PER_USER};

static void free_job(struct push_job *job)
{
	if (job->message != NULL)
		message_unref(&job->message);
	for (size_t i = 0; job->keys != NULL && i < job->n_keys; i++)
		free(job->keys[i].key);
	if (job->feed != NULL)
		feed_release(job->feeds, &job->feed);
	if (job->under_way != NULL)
		atomic_fetch_sub(job->under_way, 1);
	free(job->keys);
	free(job->room);
	free(job->stream);
	free(job);
}

void push_job_unref(struct push_job *job)
{
	if (atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) == 1)
		free_job(job);
}

static int copy_key(struct push_job *job, const struct server *s, const char *key)
{
	struct push_job_key *k = &job->keys[job->n_keys];

	*k = (struct push_job_key){.key = strdup(key)};
	if (k->key == NULL)
		return -ENOMEM;
	k->bucket = server_bucket_number(s, k->key);
	job->bytes += strlen(k->key) + sizeof(*k);
	job->n_keys++;
	return 0;
}

static int copy_keys(struct push_job *job, const struct server *s, const struct wire_push *push)
{
	int rc = 0;

	if ((job->keys = calloc(push->n_keys, sizeof(*job->keys))) == NULL)
		return -ENOMEM;
	job->keys_space = push->n_keys;
	for (size_t i = 0; rc == 0 && i < push->n_keys; i++)
		if ((rc = copy_key(job, s, push->keys[i])) == 0 && push->sessions != NULL)
			job->keys[i].session_id = push->sessions[i];
	return rc;
}

struct push_job *push_job_new(const struct server *s, const struct wire_push *push)
{
	struct push_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	atomic_init(&job->refs, 1);
	/* The word of a gap goes to connections, as his pushes do. */
	job->target = push->stream != NULL ? WIRE_KEYS : push->target;
	job->is_kept = push->stream != NULL || (push->target == WIRE_ROOM && !push->unkept);
	if (push->message != NULL) {
		job->message = message_ref(push->message);
		job->bytes = push->message->body_bytes;
	}
	job->why = reasons[push->reason];
	if ((push->room != NULL && (job->room = strdup(push->room)) == NULL) ||
	    (push->stream != NULL && (job->stream = strdup(push->stream)) == NULL) ||
	    (push->n_keys > 0 && copy_keys(job, s, push) < 0)) {
		free_job(job);
		return NULL;
	}
	return job;
}

int push_job_lead(struct push_job *job, struct server *s, atomic_uint *under_way)
{
	struct feeds *feeds = &s->feeds;
	const uint64_t at = job->message->number;

	atomic_fetch_add(under_way, 1);
	job->under_way = under_way;
	logic_client_expect(&s->logic, job->room);
	/* Without a number a logic does not keep this room. */
	if (!feeds_keep(feeds, job->room) || (at == 0 && feed_source_is(feeds)))
		return 0;
	job->feeds = feeds;
	return feed_lead(feeds, job->room, at, &job->feed);
}

/* ---- its number ---- */

/* For this connection, too, which has the user's stream. 0 or -ENOMEM. */
static int add_key(struct push_job *job, const struct server *s, const struct seat *seat)
{
	struct push_job_key *k;
	int rc;

	if (job->n_keys == job->keys_space) {
		size_t space = 2 * job->keys_space + 2;
		struct push_job_key *keys = realloc(job->keys, space * sizeof(*keys));

		if (keys == NULL)
			return -ENOMEM;
		job->keys = keys;
		job->keys_space = space;
	}
	if ((rc = copy_key(job, s, seat->key)) < 0)
		return rc;
	k = &job->keys[job->n_keys - 1];
	k->has_stream = true;
	k->session_id = seat->session_id;
	return 0;
}

struct reached {
	struct push_job *job;
	const struct server *server;
};

static int add_connection(void *arg, const struct connection *c)
{
	const struct reached *reached = arg;

	return add_key(reached->job, reached->server, &c->seat);
}

int push_job_number(struct push_job *job, struct server *s)
{
	const struct feed_reach reach = {add_connection, &(struct reached){job, s}};
	const char *stream = job->stream != NULL ? job->stream : job->room;
	const struct feed_reach *whom = job->stream != NULL ? &reach : NULL;

	if (job->target == WIRE_CLEAR || (job->stream != NULL && job->message->notice))
		return feed_jump(&s->feeds, stream, &job->message->number, whom);
	if (job->feed != NULL && !feed_source_is(&s->feeds))
		job->message->number = feed_newest(&s->feeds, job->feed);
	return job->is_kept ? feed_append(&s->feeds, stream, job->message, whom) : 0;
}
