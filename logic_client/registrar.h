/* registrar: registers all connections of a comet again when Redis has lost them, not faster than redis.register_rate. On a thread of its
 * own. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REGISTRAR_H
#define LOGIC_CLIENT_REGISTRAR_H

#include <pthread.h>
#include <stdbool.h>

#include "cluster/member.h"
#include "common/base/lock.h"
#include "common/wire/seat.h"
#include "logic_client/redis_lease.h"
#include "logic_client/redis_tell.h"

/* As redis_client_each. */
typedef bool registrar_each(void *arg, const struct seat *seat);

/* All fields are registrar.c's. */
struct registrar {
	unsigned magic;
#define REGISTRAR_MAGIC 0x4e915742
	/* set once */
	const struct cluster_member *member;
	int (*each_online)(void *self, registrar_each *each, void *arg);
	void *each_online_self;
	struct redis_lease *lease;
	struct redis_tell *tell;
	struct thread *thread;
	/* under lock */
	struct lock lock;
	pthread_cond_t wake;
	bool stop;
	bool lost;     /* all connections are to be registered again ... */
	unsigned loss; /* ... because of this loss of the lease's */
};

/* The arguments outlive it; each_online is struct redis_client_options'. */
void registrar_init(struct registrar *r, const struct cluster_member *member,
		    int (*each_online)(void *self, registrar_each *each, void *arg), void *each_online_self);
/* After the stop. */
void registrar_fini(struct registrar *r);

/* Both outlive the stop. 0, or thread_spawn's errors. */
int registrar_start(struct registrar *r, struct redis_lease *lease, struct redis_tell *tell);
/* Join, at once. Also where it was not started. */
void registrar_stop(struct registrar *r);

/* The lease's word that all are lost, from init to fini: one that comes before the start is remembered, one after the stop is not
 * heard. */
void registrar_lost(struct registrar *r, unsigned loss);

#endif
