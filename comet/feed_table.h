/* feed_table: the numbered streams of this comet, in a map, and in the order of their last use. All under the table's lock; feed.h has what
 * others call. SPDX-License-Identifier: MIT */
#ifndef COMET_FEED_TABLE_H
#define COMET_FEED_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/history.h"
#include "comet/membership.h"
#include "common/base/kept.h"
#include "common/base/lock.h"
#include "common/base/rate.h"
#include "common/base/strmap.h"
#include "common/config/config.h"
#include "common/wire/acks.h"
#include "logic_client/logic_client.h"

struct feeds {
	unsigned magic;
#define FEEDS_MAGIC 0x57e4a350
	/* set once */
	const struct logic_client *logic;
	struct kept kept;
	size_t history_bytes, memory_bytes;
	int64_t position_ttl_ns, idle_ttl_ns, spread_ms;
	struct rate new_rate;
	/* any thread */
	atomic_uint waiting_to_tell; /* in feed_source_tell_of */
	/* under lock */
	struct lock lock;
	pthread_cond_t loaded; /* in a cluster: one was read */
	struct strmap all;
	struct feed *newest, *oldest; /* by their last use */
	struct feed *sweep;           /* feeds_sweep goes on there, */
	struct feed *stay;            /* and feed_source_stay there; NULL: at the oldest */
	struct feed *to_tell;         /* in a cluster: those with acks that Redis does not have, each of them held */
	size_t bytes;                 /* of all, of which at most memory_bytes */
	int64_t new_full_ns;          /* the bucket of new_rate */
	uint64_t gone_at; /* the highest number of a stream that is not here any more: new ones begin above */
};

/* comet_stream_gaps_total */
enum feed_gap { GAP_OLD, GAP_AHEAD, GAP_JUMP, GAP_MEMORY, GAP_OVERRUN, GAP_UNKNOWN, FEED_GAPS };
/* comet_stream_holes_total */
enum feed_hole { HOLE_FILLED, HOLE_GAP, FEED_HOLES };

/* One of the rooms of a JOIN, or the user's stream in AUTH. */
struct feed_asked {
	const char *room;  /* its name: feeds_keep, or a user's (common/base/kept.h) */
	struct feed *feed; /* 0: the caller's from now on, until feed_release */
	bool was_read;     /* in a cluster: for this asker, just now */
	int rc;            /* 0; -EBUSY: stream.new, too many numbers are made (429, rate); -ENOMEM, and in a cluster
				* -ERR_NO_LOGIC: it cannot be read now (503) */
};

/* Called for each connection that a push to a user's stream is for, under the lock of all feeds. 0, or -errno, which ends it. */
struct feed_reach {
	int (*each)(void *arg, const struct connection *c);
	void *arg;
};

/* In a cluster: read from Redis, or being read for the first time, or that failed and it is out of the table. */
enum feed_state { FEED_READY, FEED_LOADING, FEED_FAILED };

struct feed {
	unsigned magic;
#define FEED_MAGIC 0x57e4a301
	/* set once */
	char *id;
	const struct kept_type *type;
	/* under the table's lock */
	struct feed *newer, *older;
	struct history history;
	unsigned held;
	struct membership *members; /* of a user's stream: his connections that have it */
	struct acks acks;           /* of a user's stream; in a cluster those that Redis does not have */
	int64_t used_ns;            /* its last push, join or end of one */
	int64_t pushed_ns;          /* its last push; 0: there was none */
	uint64_t jumped;            /* it jumped to this number, or 0 */
	uint64_t given_up;          /* for stream.memory all up to this number went, or 0 */
	/* in a cluster */
	enum feed_state state;
	int failed_rc;
	bool is_read;           /* somebody reads it again */
	struct history pending; /* what was pushed while it was loading */
	uint64_t from, passed;  /* the push threads have had those above `from` up to `passed` */
	int64_t hole_ns;        /* since then one before the next push cannot be had; 0: none is missing */
	int64_t stayed_ns;      /* its number was renewed */
	bool is_to_tell;        /* it is in that list, */
	struct feed *tell_next; /* before this one */
};

struct feed *feed_table_find(struct feeds *s, const char *room, int64_t now) NEEDS(s->lock);
/* A new one, which has no number yet. NULL: no memory. */
struct feed *feed_table_make(struct feeds *s, const char *room, int64_t now) NEEDS(s->lock);
/* Out of the table; nobody holds it, or in a cluster the last who does frees it. */
void feed_table_remove(struct feeds *s, struct feed *f) NEEDS(s->lock);
void feed_table_free(struct feed *f);
/* Forget what is over. True: the feed itself is gone, which nobody held. */
bool feed_table_expire(struct feeds *s, struct feed *f, int64_t now) NEEDS(s->lock);
/* It is used now: the last to give something up. */
void feed_table_use(struct feeds *s, struct feed *f, int64_t now) NEEDS(s->lock);
/* One more message, which has the number at + 1. 0 or -ENOMEM. */
int feed_table_add(struct feeds *s, struct feed *f, struct message *m) NEEDS(s->lock);
void feed_table_forget_history(struct feeds *s, struct feed *f) NEEDS(s->lock);
/* Tell for whom a push is; `reach` may be NULL. 0, or -errno of it. */
int feed_table_reach(struct feeds *s, const struct feed *f, const struct feed_reach *reach) NEEDS(s->lock);
/* acks_set. */
int feed_table_confirm(struct feeds *s, struct feed *f, const char *key, uint64_t at) NEEDS(s->lock);
/* They are the caller's from now on. */
struct acks feed_table_take_acks(struct feeds *s, struct feed *f) NEEDS(s->lock);

#endif
