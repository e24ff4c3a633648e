/* seam: what unit tests can make fail. The linker's --wrap sends the calls of the house to tests/unit/seam.c (Makefile:
 * SEAMS); a test says which call is to fail, how often, and what time it is. Calls inside libraries are not touched.
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SEAM_H
#define TESTS_UNIT_SEAM_H

#include <stdbool.h>
#include <stdint.h>

enum seam {
	SEAM_ALLOC, /* malloc, calloc, realloc, reallocarray, strdup: returns NULL with ENOMEM */
	SEAM_PTHREAD_CREATE,
	SEAM_ACCEPT4,
	SEAM_RECV,
	SEAM_SENDMSG,
	SEAM_MMAP,
	SEAM_MADVISE,
	SEAM_MPROTECT,
	SEAM_SETSOCKOPT,
	SEAM_MAX
};

/* Let `after` further calls through (of all threads), then fail the `times` after those with this errno (0 for a
 * RECV or SENDMSG: return 0; pthread_create returns it). */
void seam_fail(enum seam what, unsigned after, unsigned times, int err);
/* How many calls were made to fail since seam_reset(). */
unsigned seam_failed(enum seam what);
/* recv and sendmsg move at most this many bytes a call; 0 = no limit. */
void seam_limit_bytes(unsigned bytes);
/* The same of sendmsg alone: a read that takes less than it could, though more is there, is none that a kernel does, and who parks
 * goes by that. */
void seam_limit_sends(unsigned bytes);
/* Stop the clocks at this time (monotonic ns, wall ms); seam_clock_advance moves both, and stops them first if they
 * still run. */
void seam_clock_set(int64_t now_ns, int64_t wall_ms);
void seam_clock_advance(int64_t ns);
/* Each look at the monotonic clock, which is stopped, moves it on by so much. */
void seam_clock_tick(int64_t ns);
/* From now on a thread now and then naps or lets others go first before and after epoll_wait and epoll_ctl; 0: no more. */
void seam_jitter(uint64_t seed);
/* Hold back whoever has found something by a look at epoll that does not wait (true), or let go on (false). */
void seam_hold_looks(bool held);
/* How many are held back, and how many are in an epoll_wait without a deadline. */
unsigned seam_looks_held(void);
unsigned seam_watching(void);
/* Everything back to normal; call it in each test's teardown. */
void seam_reset(void);

#endif
