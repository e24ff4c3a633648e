/* server: what all threads share. It starts no connection thread itself, so it stands below all that use it.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_SERVER_H
#define COMET_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "comet/admission.h"
#include "comet/bucket.h"
#include "comet/connection.h"
#include "comet/feed.h"
#include "comet/goodbye.h"
#include "comet/round.h"
#include "comet/tally.h"
#include "comet/whitelist.h"
#include "common/base/chronicle.h"
#include "common/base/ranges.h"
#include "common/base/rate.h"
#include "common/config/config.h"
#include "common/wire/bans.h"
#include "logic_client/logic_client.h"

/* The operations of limits.upstream_ops; none: all. One that was replaced stays until the end, as somebody may be looking into it. */
struct upstream_ops {
	struct ranges ops;
	struct upstream_ops *before;
};

struct server {
	/* set once */
	const struct config *cfg;
	struct connection_options connection;
	int64_t machine_max; /* connections */
	struct logic_client logic;
	struct bans *bans; /* ours; whoever is wired in fills it */
	struct whitelist whitelist;
	struct round round;
	struct bucket *buckets;
	unsigned n_buckets;
	/* any thread; a reload changes them */
	struct rate_live packets, bytes, upstream; /* from one client */
	struct rate_live joins, replays;           /* rooms it asks for; bytes that are replayed to it */
	struct upstream_ops *_Atomic upstream_ops;
	/* the reloading thread's */
	struct upstream_ops *next_ops;
	/* any thread, without this lock */
	struct admission admission;
	struct goodbye goodbye;
	struct tally_table tallies;
	struct feeds feeds;
	struct chronicle *chronicle; /* the online thread notes it */
	/* under lock */
	struct lock lock; /* the roster: every connection from accept to its end */
	pthread_cond_t changed;
	struct connection *roster;
	int64_t on_roster;
};

/* Are its connections to be parked? Without the baton each message is the dispatcher's, which then has to be there. */
static inline bool server_parks(const struct config *cfg)
{
	return cfg->protocol_park && cfg->protocol_baton;
}

/* So many may be there at a time: limits.connections or, where that is 0, as many as the machine allows. */
int64_t server_connections_max(const struct config *cfg);

/* Everything but logic and connection.park, which the caller fills in before connections come. Starts `timers` timer threads, at least 1.
 * 0, or -errno with a log line that says what failed; s->cfg is then NULL. */
int server_init(struct server *s, const struct config *cfg, unsigned timers);
/* After server_drain: no connection is left. */
void server_fini(struct server *s);

/* A reload: make all of these settings that may fail, 0 or negative and logged; then go by s->cfg, which has them now, or forget them. */
int server_prepare(struct server *s, const struct config *next);
void server_settle(struct server *s, bool use);

/* Whom the whitelist has now is traced, and nobody else, among those who are online. */
void server_retrace(struct server *s);

/* The bucket that this key belongs to, and its number. */
struct bucket *server_bucket(struct server *s, const char *key);
unsigned server_bucket_number(const struct server *s, const char *key);

/* A connection has come in (admission_enter said CLOSE_NONE) / has gone; server_leave also tells admission. */
void server_enter(struct server *s, struct connection *c) WITHOUT(s->lock);
void server_leave(struct server *s, struct connection *c) WITHOUT(s->lock);

/* each() for all that are online, a bucket at a time, with nothing held meanwhile, until it says false. 0; -ENOMEM: some could not be
 * listed. */
int server_each(struct server *s, bool (*each)(void *arg, struct connection *c), void *arg);

/* Send everybody away: nobody comes in any more, op 6 to all spread evenly over over_ms. Each is served for grace_ms more,
 * then closed; what is left is ended hard. Returns when nobody is left, or false after a last deadline (a thread hangs: a
 * BUG to look into, logged). */
bool server_drain(struct server *s, int64_t over_ms, int64_t grace_ms);

#endif
