/* seam: see seam.h. Any thread; one mutex, since tests have time. SPDX-License-Identifier: MIT */
#include "tests/unit/seam.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/clock.h"

#define IOV_MAX_LIMITED 64

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct plan {
	unsigned after;
	unsigned times;
	unsigned failed;
	int err;
} plans[SEAM_MAX];
static unsigned limit_bytes;
static bool clock_stopped;
static int64_t stopped_now_ns;
static int64_t stopped_wall_ms;

void seam_fail(enum seam what, unsigned after, unsigned times, int err)
{
	(void)pthread_mutex_lock(&mutex);
	plans[what].after = after;
	plans[what].times = times;
	plans[what].err = err;
	(void)pthread_mutex_unlock(&mutex);
}

unsigned seam_failed(enum seam what)
{
	unsigned failed;

	(void)pthread_mutex_lock(&mutex);
	failed = plans[what].failed;
	(void)pthread_mutex_unlock(&mutex);
	return failed;
}

void seam_limit_bytes(unsigned bytes)
{
	(void)pthread_mutex_lock(&mutex);
	limit_bytes = bytes;
	(void)pthread_mutex_unlock(&mutex);
}

void seam_clock_set(int64_t now_ns, int64_t wall_ms)
{
	(void)pthread_mutex_lock(&mutex);
	clock_stopped = true;
	stopped_now_ns = now_ns;
	stopped_wall_ms = wall_ms;
	(void)pthread_mutex_unlock(&mutex);
}

void seam_clock_advance(int64_t ns)
{
	(void)pthread_mutex_lock(&mutex);
	stopped_now_ns += ns;
	stopped_wall_ms += ns / CLOCK_MS;
	(void)pthread_mutex_unlock(&mutex);
}

void seam_reset(void)
{
	(void)pthread_mutex_lock(&mutex);
	memset(plans, 0, sizeof(plans));
	limit_bytes = 0;
	clock_stopped = false;
	(void)pthread_mutex_unlock(&mutex);
}

/* Is this call one of those that are to fail? Then *err says with what. */
static bool fails(enum seam what, int *err)
{
	struct plan *p = &plans[what];
	bool now = false;

	(void)pthread_mutex_lock(&mutex);
	if (p->times > 0 && p->after > 0) {
		p->after--;
	} else if (p->times > 0) {
		p->times--;
		p->failed++;
		*err = p->err;
		now = true;
	}
	(void)pthread_mutex_unlock(&mutex);
	return now;
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

static size_t limited(size_t bytes)
{
	size_t most;

	(void)pthread_mutex_lock(&mutex);
	most = limit_bytes > 0 && limit_bytes < bytes ? limit_bytes : bytes;
	(void)pthread_mutex_unlock(&mutex);
	return most;
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

WRAP(char *, strdup, const char *s)
{
	return fails_errno(SEAM_ALLOC) ? NULL : __real_strdup(s);
}

/* The stopped clock's time, if it is stopped. */
static bool stopped_at(const int64_t *clock, int64_t *time)
{
	bool stopped;

	(void)pthread_mutex_lock(&mutex);
	stopped = clock_stopped;
	*time = *clock;
	(void)pthread_mutex_unlock(&mutex);
	return stopped;
}

WRAP(int64_t, clock_now_ns, void)
{
	int64_t time;

	return stopped_at(&stopped_now_ns, &time) ? time : __real_clock_now_ns();
}

WRAP(int64_t, clock_wall_ms, void)
{
	int64_t time;

	return stopped_at(&stopped_wall_ms, &time) ? time : __real_clock_wall_ms();
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

/* What a failing recv or sendmsg returns. */
static ssize_t failed_transfer(int err)
{
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

WRAP(ssize_t, recv, int fd, void *buffer, size_t bytes, int flags)
{
	int err;

	return fails(SEAM_RECV, &err) ? failed_transfer(err) : __real_recv(fd, buffer, limited(bytes), flags);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
	struct iovec iov[IOV_MAX_LIMITED];
	struct msghdr less = *message;
	size_t bytes = 0;
	size_t room;
	int err;

	if (fails(SEAM_SENDMSG, &err))
		return failed_transfer(err);
	for (size_t i = 0; i < message->msg_iovlen; i++)
		bytes += message->msg_iov[i].iov_len;
	room = limited(bytes);
	if (room == bytes)
		return __real_sendmsg(fd, message, flags);
	less.msg_iov = iov;
	less.msg_iovlen = 0;
	for (size_t i = 0; room > 0 && i < IOV_MAX_LIMITED; i++) {
		iov[i] = message->msg_iov[i];
		if (iov[i].iov_len > room)
			iov[i].iov_len = room;
		room -= iov[i].iov_len;
		less.msg_iovlen++;
	}
	return __real_sendmsg(fd, &less, flags);
}

WRAP(void *, mmap, void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return fails_errno(SEAM_MMAP) ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, fd, offset);
}

WRAP(int, madvise, void *at, size_t bytes, int advice)
{
	return fails_errno(SEAM_MADVISE) ? -1 : __real_madvise(at, bytes, advice);
}

WRAP(int, setsockopt, int fd, int level, int name, const void *value, socklen_t bytes)
{
	return fails_errno(SEAM_SETSOCKOPT) ? -1 : __real_setsockopt(fd, level, name, value, bytes);
}
