/* push_job: see push_job.h. SPDX-License-Identifier: MIT */
#include "comet/push_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	free(job);
}

void push_job_unref(struct push_job *job)
{
	if (atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) == 1)
		free_job(job);
}

static int copy_keys(struct push_job *job, const struct server *s, const struct wire_push *push)
{
	if ((job->keys = calloc(push->n_keys, sizeof(*job->keys))) == NULL)
		return -ENOMEM;
	for (; job->n_keys < push->n_keys; job->n_keys++) {
		struct push_job_key *k = &job->keys[job->n_keys];

		if ((k->key = strdup(push->keys[job->n_keys])) == NULL)
			return -ENOMEM;
		if (push->sessions != NULL)
			k->session_id = push->sessions[job->n_keys];
		k->bucket = server_bucket_number(s, k->key);
		job->bytes += strlen(k->key) + sizeof(*k);
	}
	return 0;
}

struct push_job *push_job_new(const struct server *s, const struct wire_push *push)
{
	struct push_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->target = push->target;
	job->is_kept = push->target == WIRE_ROOM && !push->unkept;
	if (push->message != NULL) {
		job->message = message_ref(push->message);
		job->bytes = push->message->body_bytes;
	}
	job->why = reasons[push->reason];
	if ((push->room != NULL && (job->room = strdup(push->room)) == NULL) ||
	    (push->n_keys > 0 && copy_keys(job, s, push) < 0)) {
		free_job(job);
		return NULL;
	}
	return job;
}
