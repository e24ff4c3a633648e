/* bans: all that are known here, asked at each client that comes in. Where there are none that costs nothing, and otherwise a few
 * look-ups. Those that were lifted are in it until their end, so that an older copy, from a Redis that lost data, does not bring them
 * back. Any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_BANS_H
#define COMMON_WIRE_BANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cidr.h"
#include "common/wire/ban.h"

struct bans;

/* None yet. 0 or -ENOMEM. */
int bans_new(struct bans **out);
void bans_free(struct bans **b);

/* Take these, each unless a newer one of its name is there, and drop those that are over. `max`: so many at most, 0: no bound.
 * *older (may be NULL) is set where one of them was older than ours. Then the listener is called, if any was new.
 *   0
 *   -ENOSPC  there would be more than max: nothing has changed
 *   -ENOMEM  some may have been taken */
int bans_take(struct bans *b, const struct ban *list, size_t n, size_t max, bool *older);
/* From now on heard(arg) is called after each change, with no lock held, on the thread that brings it. Once, before there are any. */
void bans_listen(struct bans *b, void (*heard)(void *arg), void *arg);

/* Those of a cluster are not known before they have been read: says so, or that they are from now on. At first they are. */
void bans_set_known(struct bans *b, bool known);
bool bans_are_known(const struct bans *b);

/* A number above all stamps that are there: the time in microseconds, where that is one. */
uint64_t bans_next_stamp(struct bans *b);
/* How many are there at this time, wall time of whoever asks; those over by then are dropped. */
size_t bans_count(struct bans *b, int64_t now_ms);
/* A copy of all, also of the lifted ones, in one allocation with their names: free(*list). 0 or -ENOMEM. */
int bans_copy(struct bans *b, struct ban **list, size_t *n);

/* A client, as far as it is known; what is not is NULL. */
struct ban_subject {
	const struct cidr *address;
	const char *key;
	const char *user;
	int64_t issued_s; /* iat of its token, 0: it has none */
};

struct ban_found {
	enum ban_kind kind;
	int64_t until_ms;
	char network[CIDR_BYTES]; /* BAN_NETWORK: which */
};

/* Is it to be kept out? By its network before all others. */
bool bans_find(struct bans *b, const struct ban_subject *who, struct ban_found *found);

#endif
