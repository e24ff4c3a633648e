/* thread: spawn with a name, join, and small stacks (common/base/stack) for the two threads of every connection.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_THREAD_H
#define COMMON_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

enum thread_kind {
	THREAD_SERVICE,    /* one of a few: 1 MiB stack of glibc's, of which few touch more than some pages */
	THREAD_CONNECTION, /* one of thousands: a stack from the slab */
};

struct thread; /* lies in its stack's descriptor (connection) or on the heap (service) */

/* Start fn(arg) on a thread named `name` (static, at most 15 bytes, shown by top and gdb) with all signals blocked but
 * those of its own faults.
 *   0       *out is the caller's to thread_join; it is set before fn runs
 *   -EAGAIN a limit of the machine (threads, memory maps); counted. thread_limit_text() says which
 *   -ENOMEM no memory for the stack; counted
 * Takes LOCK_POOL. */
int thread_spawn(enum thread_kind kind, const char *name, void *(*fn)(void *), void *arg, struct thread **out);

/* Wait for the thread's end and give its stack back; *t becomes NULL. The bound is the thread's own to keep. */
void thread_join(struct thread **t);

/* Like thread_spawn, for a thread that nobody waits for: those that leave their function later join it, and the last few
 * are left to thread_reap(). */
int thread_spawn_unjoined(enum thread_kind kind, const char *name, void *(*fn)(void *), void *arg);

/* Join every unjoined thread that has left its function. Called at stop; returns how many have not left yet. */
unsigned thread_reap(void);

/* Give all free stacks back to the kernel. At stop, after thread_reap() returned 0; before that it is a BUG. */
void thread_fini(void);

/* Give back the pages of this thread's stack below the caller's frame, which a deep call touched once: for a connection's
 * thread about to wait for long. Elsewhere it does nothing. */
void thread_trim_stack(void);

/* Which limit most likely made a spawn fail, with its value and how to raise it: written to text. Reads /proc. */
void thread_limit_text(char *text, size_t text_bytes);

#endif
