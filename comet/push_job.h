/* push_job: a push that was accepted, until the last thread that it concerns has done its part. SPDX-License-Identifier: MIT */
#ifndef COMET_PUSH_JOB_H
#define COMET_PUSH_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/close_reason.h"
#include "comet/feed.h"
#include "comet/server.h"
#include "common/wire/message.h"
#include "common/wire/wire.h"

/* Whom one by keys is for. */
struct push_job_key {
	char *key;
	bool has_stream; /* for the connection with this key and session, which has the user's stream; otherwise for one that has not */
	uint64_t session_id; /* WIRE_KICK: of this registration; 0: of any that has the key */
	unsigned bucket;     /* the number of the key's */
	bool is_done;        /* who works for its share only */
};

struct push_job {
	atomic_uint refs; /* threads that have it still to do */
	size_t bytes;     /* about what it holds */
	enum wire_target target;
	struct message *message;
	enum close_reason why;  /* WIRE_KICK */
	char *room, *stream;    /* as in the push */
	bool is_kept;           /* it gets a number, if the room has numbers */
	struct feed *feed;      /* WIRE_JOIN: the room's, held; NULL: it has no numbers */
	struct feeds *feeds;    /* all of them */
	atomic_uint *under_way; /* NULL, or it is one less without this job */
	size_t n_keys, keys_space;
	struct push_job_key *keys;
};

/* A copy of the push, with a reference to its message; refs is 1, the caller's. NULL: no memory. */
struct push_job *push_job_new(const struct server *s, const struct wire_push *push);
void push_job_unref(struct push_job *job);
/* WIRE_JOIN, members are to come into the room: its feed is held, and *under_way is one more as long as the job is there. 0, or -errno of
 * feed_lead. */
int push_job_lead(struct push_job *job, struct server *s, atomic_uint *under_way);
/* Put it into the history of its stream, if it is kept, before any thread has it (feed.h). One to a user is then for the connections that
 * have the stream, too. 0, or -errno of feed_append and feed_jump. */
int push_job_number(struct push_job *job, struct server *s);

#endif
