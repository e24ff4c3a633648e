/* seam: see seam.h. Any thread. Relaxed atomics and no lock: a lock taken by every malloc and every look at the clock
 * would order threads that the house does not order, and so hide its races from ThreadSanitizer.
 * SPDX-License-Identifier: MIT */
#include "tests/unit/seam.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "common/base/clock.h"

/* Pieces of a batch that a limited sendmsg looks at; the rest has to wait for the next call anyway. */
#define LIMITED_PIECES 64

static struct {
	/* Calls still to let through (high half) and then to fail (low half), in one word so that a call takes its place
	 * in one step. 0 most of the time: then a call costs one load. */
	_Atomic uint64_t plan;
	atomic_int err;
	atomic_uint failed;
} seams[SEAM_MAX];

static atomic_uint limit_send_bytes, limit_recv_bytes;

static _Atomic uint64_t jitter;
static atomic_bool hold_looks;
static atomic_uint looks_held, watching;

static atomic_bool clock_stopped;
static _Atomic int64_t tick_ns;
static _Atomic int64_t stopped_now_ns;
static _Atomic int64_t stopped_wall_ns;

/* ---- what a test says ---- */

void seam_fail(enum seam what, unsigned after, unsigned times, int err)
{
	atomic_store_explicit(&seams[what].err, err, memory_order_relaxed);
	atomic_store_explicit(&seams[what].plan, (uint64_t)after << 32 | times, memory_order_release);
}

unsigned seam_failed(enum seam what)
{
	return atomic_load_explicit(&seams[what].failed, memory_order_relaxed);
}

void seam_limit_bytes(unsigned bytes)
{
	seam_limit_sends(bytes);
	atomic_store_explicit(&limit_recv_bytes, bytes, memory_order_relaxed);
}

void seam_limit_sends(unsigned bytes)
{
	atomic_store_explicit(&limit_send_bytes, bytes, memory_order_relaxed);
}

void seam_clock_set(int64_t now_ns, int64_t wall_ms)
{
	atomic_store_explicit(&stopped_now_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&stopped_wall_ns, wall_ms * CLOCK_MS, memory_order_relaxed);
	atomic_store_explicit(&clock_stopped, true, memory_order_relaxed);
}

void seam_clock_advance(int64_t ns)
{
	if (!atomic_load_explicit(&clock_stopped, memory_order_relaxed))
		seam_clock_set(clock_now_ns(), clock_wall_ms());
	atomic_fetch_add_explicit(&stopped_now_ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&stopped_wall_ns, ns, memory_order_relaxed);
}

void seam_clock_tick(int64_t ns)
{
	seam_clock_advance(0);
	atomic_store_explicit(&tick_ns, ns, memory_order_relaxed);
}

void seam_jitter(uint64_t seed)
{
	atomic_store_explicit(&jitter, seed, memory_order_relaxed);
}

void seam_hold_looks(bool held)
{
	atomic_store(&hold_looks, held);
}

unsigned seam_looks_held(void)
{
	return atomic_load(&looks_held);
}

unsigned seam_watching(void)
{
	return atomic_load(&watching);
}

void seam_reset(void)
{
	seam_jitter(0);
	seam_hold_looks(false);
	for (unsigned i = 0; i < SEAM_MAX; i++) {
		atomic_store_explicit(&seams[i].plan, 0, memory_order_relaxed);
		atomic_store_explicit(&seams[i].failed, 0, memory_order_relaxed);
	}
	seam_limit_bytes(0);
	atomic_store_explicit(&clock_stopped, false, memory_order_relaxed);
	atomic_store_explicit(&tick_ns, 0, memory_order_relaxed);
}

/* ---- what becomes of a call ---- */

/* Is this call one of those that are to fail? Then *err says with what. */
static bool fails(enum seam what, int *err)
{
	uint64_t plan = atomic_load_explicit(&seams[what].plan, memory_order_relaxed);
	uint64_t then;

	do {
		if ((uint32_t)plan == 0)
			return false;
		then = plan >> 32 > 0 ? plan - (UINT64_C(1) << 32) : plan - 1;
	} while (!atomic_compare_exchange_weak_explicit(&seams[what].plan, &plan, then, memory_order_acquire,
							memory_order_relaxed));
	if (plan >> 32 > 0)
		return false;
	*err = atomic_load_explicit(&seams[what].err, memory_order_relaxed);
	atomic_fetch_add_explicit(&seams[what].failed, 1, memory_order_relaxed);
	return true;
}

/* The same for calls that report by errno. */
static bool fails_errno(enum seam what)
{
	int err;

	if (!fails(what, &err))
		return false;
	errno = err;
	return true;
}

/* What a failing recv or sendmsg returns. */
static ssize_t failed_transfer(int err)
{
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

/* What --wrap=x makes of a call of x is __wrap_x; x itself is then __real_x. */
#define WRAP(type, name, ...)                                                                                          \
	type __real_##name(__VA_ARGS__);                                                                               \
	type __wrap_##name(__VA_ARGS__);                                                                               \
	type __wrap_##name(__VA_ARGS__)

WRAP(void *, malloc, size_t bytes)
{
	return fails_errno(SEAM_ALLOC) ? NULL : __real_malloc(bytes);
}

WRAP(void *, calloc, size_t n, size_t bytes)
{
	return fails_errno(SEAM_ALLOC) ? NULL : __real_calloc(n, bytes);
}

WRAP(void *, realloc, void *p, size_t bytes)
{
	return fails_errno(SEAM_ALLOC) ? NULL : __real_realloc(p, bytes);
}

WRAP(void *, reallocarray, void *p, size_t n, size_t bytes)
{
	return fails_errno(SEAM_ALLOC) ? NULL : __real_reallocarray(p, n, bytes);
}

WRAP(char *, strdup, const char *text)
{
	return fails_errno(SEAM_ALLOC) ? NULL : __real_strdup(text);
}

WRAP(int64_t, clock_now_ns, void)
{
	if (atomic_load_explicit(&clock_stopped, memory_order_relaxed))
		return atomic_fetch_add_explicit(&stopped_now_ns, atomic_load_explicit(&tick_ns, memory_order_relaxed),
						 memory_order_relaxed);
	return __real_clock_now_ns();
}

WRAP(int64_t, clock_wall_ms, void)
{
	if (atomic_load_explicit(&clock_stopped, memory_order_relaxed))
		return atomic_load_explicit(&stopped_wall_ns, memory_order_relaxed) / CLOCK_MS;
	return __real_clock_wall_ms();
}

WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	int err;

	return fails(SEAM_PTHREAD_CREATE, &err) ? err : __real_pthread_create(thread, attr, fn, arg);
}

WRAP(int, accept4, int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
	return fails_errno(SEAM_ACCEPT4) ? -1 : __real_accept4(fd, address, bytes, flags);
}

WRAP(ssize_t, recv, int fd, void *buffer, size_t bytes, int flags)
{
	size_t limit = atomic_load_explicit(&limit_recv_bytes, memory_order_relaxed);
	int err;

	if (fails(SEAM_RECV, &err))
		return failed_transfer(err);
	return __real_recv(fd, buffer, limit > 0 && limit < bytes ? limit : bytes, flags);
}

/* Leave of the message what comes first and fits; pieces is where its new list of pieces goes. */
static void cut(struct msghdr *message, struct iovec pieces[LIMITED_PIECES], size_t room)
{
	size_t n = 0;

	for (; n < message->msg_iovlen && n < LIMITED_PIECES && room > 0; n++) {
		pieces[n] = message->msg_iov[n];
		if (pieces[n].iov_len > room)
			pieces[n].iov_len = room;
		room -= pieces[n].iov_len;
	}
	message->msg_iov = pieces;
	message->msg_iovlen = n;
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
	size_t limit = atomic_load_explicit(&limit_send_bytes, memory_order_relaxed);
	struct iovec pieces[LIMITED_PIECES];
	struct msghdr less = *message;
	int err;

	if (fails(SEAM_SENDMSG, &err))
		return failed_transfer(err);
	if (limit > 0)
		cut(&less, pieces, limit);
	return __real_sendmsg(fd, &less, flags);
}

WRAP(void *, mmap, void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return fails_errno(SEAM_MMAP) ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, fd, offset);
}

/* What mmap is called where off_t is asked to have 64 bits, as the libraries' flags do. */
WRAP(void *, mmap64, void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return fails_errno(SEAM_MMAP) ? MAP_FAILED : __real_mmap64(at, bytes, protection, flags, fd, offset);
}

WRAP(int, madvise, void *at, size_t bytes, int advice)
{
	return fails_errno(SEAM_MADVISE) ? -1 : __real_madvise(at, bytes, advice);
}

WRAP(int, mprotect, void *at, size_t bytes, int protection)
{
	return fails_errno(SEAM_MPROTECT) ? -1 : __real_mprotect(at, bytes, protection);
}

WRAP(int, setsockopt, int fd, int level, int name, const void *value, socklen_t bytes)
{
	return fails_errno(SEAM_SETSOCKOPT) ? -1 : __real_setsockopt(fd, level, name, value, bytes);
}

static void maybe_wait(void)
{
	static __thread uint64_t dice;
	uint64_t seed = atomic_load_explicit(&jitter, memory_order_relaxed);
	const struct timespec moment = {.tv_nsec = 20000};

	if (seed == 0)
		return;
	dice = (dice + seed) * 0x5851f42d4c957f2d + 0x14057b7ef767814f;
	if (dice >> 59 == 0)
		(void)nanosleep(&moment, NULL);
	else if (dice >> 61 == 1)
		(void)sched_yield();
}

static void wait_while_held(void)
{
	const struct timespec moment = {.tv_nsec = 200000};

	atomic_fetch_add(&looks_held, 1);
	while (atomic_load(&hold_looks))
		(void)nanosleep(&moment, NULL);
	atomic_fetch_sub(&looks_held, 1);
}

WRAP(int, epoll_wait, int epoll, struct epoll_event *events, int max, int timeout_ms)
{
	int n;

	maybe_wait();
	atomic_fetch_add(&watching, timeout_ms < 0);
	n = __real_epoll_wait(epoll, events, max, timeout_ms);
	atomic_fetch_sub(&watching, timeout_ms < 0);
	maybe_wait();
	if (timeout_ms == 0 && n > 0)
		wait_while_held();
	return n;
}

WRAP(int, epoll_ctl, int epoll, int op, int fd, struct epoll_event *event)
{
	int rc;

	maybe_wait();
	rc = __real_epoll_ctl(epoll, op, fd, event);
	maybe_wait();
	return rc;
}
