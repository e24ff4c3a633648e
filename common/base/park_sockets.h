/* park_sockets: the epoll of a park, and whose each socket is.
 *
 * A socket is watched in one of two ways. Once: epoll tells of it a single time, and is asked again for the next. Or for edges: epoll
 * is asked at the start, and tells each time that something comes, also while its owner runs, or has just gone: so what it tells is
 * the descriptor and a serial number, and only the table knows whether the owner is there. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_PARK_SOCKETS_H
#define COMMON_BASE_PARK_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "common/base/park_queue.h"

struct park_socket {
	struct parked *owner; /* NULL: nobody */
	uint32_t serial;      /* of the owner, among all that had this descriptor */
};

struct park_sockets {
	/* set once */
	int epoll;
	int bell;                  /* an eventfd in the epoll, for whoever is on watch there */
	unsigned max;              /* descriptors that the table has place for */
	struct park_socket *table; /* by descriptor, under the park's lock */
};

/* 0, or -errno: -EMFILE, -ENOMEM; park_sockets_close also then. */
int park_sockets_open(struct park_sockets *s);
void park_sockets_close(struct park_sockets *s);

/* Whoever is in epoll_wait comes back, or comes back at once from its next. */
void park_sockets_ring(const struct park_sockets *s);

/* Is there place in the table for the descriptor? */
static inline bool park_sockets_has_place(const struct park_sockets *s, int fd)
{
	return fd >= 0 && (unsigned)fd < s->max;
}

/* Have epoll tell once of fd's next event, or at once of one that is there. p->known: it was asked before. From this call on another
 * thread may have p. 0, or -errno: p is the caller's. */
int park_sockets_watch_once(const struct park_sockets *s, struct parked *p, int fd, uint32_t events);

/* Of what epoll has told goes into `ready` whoever is parked there. Under the park's lock. */
void park_sockets_find(const struct park_sockets *s, const struct epoll_event *event, struct park_queue *ready);

/* ---- for edges; under the park's lock, but for park_sockets_watch ---- */

/* p, which runs, is the owner of fd until park_sockets_forget. Returns what park_sockets_watch is told. */
uint64_t park_sockets_own(struct park_sockets *s, struct parked *p, int fd);
/* Have epoll tell of the owner's bytes and end, from those on that are there. Once. 0, or -errno. */
int park_sockets_watch(const struct park_sockets *s, uint64_t told);
/* p is parked: PARK_WATCHED; or in `ready` (true), where something has come while it ran, or may be left behind an urgent byte. */
bool park_sockets_park(struct parked *p, struct park_queue *ready);
/* p runs, for the last time. Nobody finds it from now on. */
void park_sockets_forget(struct park_sockets *s, const struct parked *p);

#endif
