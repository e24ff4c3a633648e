/* auth_calls: how many calls to a back end may be under way at a time, and the handles that they are made with, each of which
 * may have a connection. Also how few, while names are not found. Any thread. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_CALLS_H
#define LOGIC_AUTH_CALLS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/lock.h"

#define AUTH_CALLS_GROUPS 1024

struct auth_waiter;

struct auth_calls {
	/* set once */
	unsigned most;
	int64_t timeout_ns;
	/* under lock */
	struct lock lock;
	struct auth_waiter *first, *last; /* those that wait, in the order in which they came */
	/* Callers are counted by their network. Two of them seldom share a number, and then they share what one may have. */
	unsigned n_waiting, waiting_of[AUTH_CALLS_GROUPS], under_way_of[AUTH_CALLS_GROUPS];
	void **idle; /* those with a connection are on top, the one used last on all */
	unsigned n_idle, n_made, n_connected;
	unsigned n_lost; /* calls that ended while the name was still looked up, since one that found it */
	int64_t lost_ns; /* when the last of them did */
};

/* At most so many calls, each of which takes at most timeout_ns. 0 or -ENOMEM: fini it then as well. */
int auth_calls_init(struct auth_calls *c, unsigned most, int64_t timeout_ns);
/* All are given back; each is freed. */
void auth_calls_fini(struct auth_calls *c, void (*free_handle)(void *handle));

/* Wait for a call of one's own, up to the deadline, which is timeout_ns after the wish for it. `caller` is whoever asks to be let in,
 * as network_hash has it: while others wait, one gets a third of the calls at most. NULL and *handle (NULL: a new one is to be
 * made); or, in words for the log, why there was none. */
const char *auth_calls_borrow(struct auth_calls *c, uint64_t caller, void **handle, int64_t deadline_ns);
/* After it. NULL: none could be made. connected: a next call with this one needs no name. */
void auth_calls_give_back(struct auth_calls *c, uint64_t caller, void *handle, bool connected);

/* A call has found the name of the back end, or has ended while that was still looked up. */
void auth_calls_found(struct auth_calls *c);
void auth_calls_lost(struct auth_calls *c);

#endif
