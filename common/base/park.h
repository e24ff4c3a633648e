/* park: a place where work waits without a thread, until its socket is ready or somebody wakes it. It is the netpoller of Go's
 * scheduler, and what the scheduler does around a call that blocks.
 *
 * A few threads, the waiters, take turns in one epoll. Who finds something ready there serves it: it is the thread of that work until
 * `resume` returns, and nothing is handed over. Nobody waits in the epoll meanwhile, for most work is done before another thread would
 * have woken. Before it does something that takes long, or blocks, it says so, and another thread waits in its place; when it is back,
 * one thread too many is spare, and ends after two seconds in which nobody calls it. A short wait costs no other thread where it can serve
 * what is ready within it (park_serve_another).
 *
 * Work is parked by the thread that runs it, and from that call on it is another's: the thread that parked it touches it no more.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_PARK_H
#define COMMON_BASE_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/park_options.h"
#include "common/base/park_queue.h"

struct park;

/* One among others who is resumed in a way of its own, on the same threads. */
struct park_guest {
	struct parked parked; /* .is_guest = true */
	void (*resume)(struct park_guest *guest);
};

/* Starts the waiters. 0, or -errno: -EMFILE, -ENOMEM, -EAGAIN (no thread). */
int park_start(const struct park_options *opt, struct park **out);
/* Nothing is parked any more. Waits until each thread is out of it: as long as the longest resume takes. */
void park_stop(struct park **park);

/* ---- the thread that runs p; after each of these p is another's ---- */

/* Until fd has one of these events (of epoll; EPOLLHUP and EPOLLERR always). What is there already counts, so no wake-up is lost.
 * fd must be the same each time, and leaves the epoll when it is closed. 0; on an error p is still the caller's: -ENOMEM, -ENOSPC
 * (fs.epoll.max_user_watches). */
int park_on_socket(struct park *park, struct parked *p, int fd, uint32_t events);
/* The same of a stream whose bytes it reads, for these and for the end: epoll is asked once, and not each time that it parks. `drained`:
 * the last read took all that was there, or less than it could (so ends one before an urgent byte, too, which the park sees to); else
 * this is park_yield. Before it or fd goes it is forgotten. */
int park_on_stream(struct park *park, struct parked *p, int fd, bool drained);
/* p runs for the last time. Takes LOCK_POOL. */
void park_forget(struct park *park, struct parked *p);
/* Until park_wake, which may have come before: a wake since the last sleep ends this one at once. Takes LOCK_POOL. */
void park_asleep(struct park *park, struct parked *p);
/* Until everybody who is ready now had a turn. Takes LOCK_POOL. */
void park_yield(struct park *park, struct parked *p);

/* ---- about to block ---- */

/* This thread, which runs p, is about to wait for something else than p's socket. True: another waits in its place; park_unblock
 * when it is done. False: too many block by now; p is asleep until its turn, or park_wake. Takes LOCK_POOL, may start a thread. */
bool park_block(struct park *park, struct parked *p);
void park_unblock(struct park *park);

/* The same around a wait somewhere below `resume`, which cannot be put off: should there be no thread to wait in its place, it
 * blocks all the same. For whoever may be called on such a thread; on others, and between park_block and park_unblock, they do
 * nothing. Called with no lock of LOCK_POOL or later. */
void park_wait_begin(void);
void park_wait_end(void);

/* Somewhere below `resume`, before a short wait: serve one who is ready in its place. What was begun for many is then waited for once, and
 * the last to be begun ends first. False: nobody is, so many are within each other that no more go, or who was next is left to another
 * thread. Takes LOCK_POOL; the caller holds no lock that a `resume` takes. */
bool park_serve_another(void);
/* Is this `resume` in the place of another's wait? Then it is to wait for nothing that is not as short, but to leave. */
bool park_is_nested(void);
/* From such a `resume`: the next thread resumes p, before all others. Takes LOCK_POOL. */
void park_leave(struct park *park, struct parked *p);

/* ---- any thread ---- */

/* Whoever calls sees to it that p is not freed meanwhile. Takes LOCK_POOL. */
void park_wake(struct park *park, struct parked *p);

/* What comes next does not wait, but takes longer than a few packets: a signature, a message of many kilobytes. Another thread looks
 * after the others meanwhile. Where park_wait_begin does nothing, nor does this. */
void park_go_long(void);

/* Threads that it has now, how many of them block, and how many neither block nor rest: for tests and counters. */
struct park_count {
	unsigned threads, blocked, awake;
};
struct park_count park_count(struct park *park);

#endif
