/* fail: a library to preload (LD_PRELOAD) that makes calls of the program under test fail, by a plan that the test writes
 * while the program runs. The plan is a file, FAIL_PLAN names it: one slot for each call of fail.def, mapped by the
 * program and by the test. Without a plan every call goes through.
 *
 * Sees what goes through the linker: calls of the program and of its libraries, not those that glibc makes inside itself.
 * Any thread; no locks, and no memory of malloc's. SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
#define call(name) CALL_##name,
#include "tests/shim/fail.def"
#undef call
	CALL_MAX
};

struct slot {
	/* Calls still to let through (high half), then to fail (low half), in one word: a call takes its place in one step. */
	_Atomic uint64_t plan;
	_Atomic uint32_t err;
	_Atomic uint32_t every;  /* beside the plan: each so many-th fails */
	_Atomic uint32_t seen;   /* calls so far, whatever became of them */
	_Atomic uint32_t failed; /* of those */
	char only[16];           /* the threads whose calls count, by the beginning of their name; empty: all */
};

static struct slot *slots;

/* With the system calls themselves: open and mmap are among those that may fail. */
__attribute__((constructor)) static void map_plan(void)
{
	const char *path = getenv("FAIL_PLAN");
	long fd = path != NULL ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	long at;

	if (fd < 0)
		return;
	at = syscall(SYS_mmap, NULL, sizeof(struct slot) * CALL_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)syscall(SYS_close, fd);
	if (at > 0)
		slots = (struct slot *)at;
}

/* With FAIL_TUNABLES as the loader of glibc 2.39 does it to a program that has capabilities of its own, of setcap(8). */
__attribute__((constructor)) static void take_tunables(void)
{
	if (getenv("FAIL_TUNABLES") != NULL)
		(void)unsetenv("GLIBC_TUNABLES");
}

static bool is_meant(const struct slot *s)
{
	char name[16] = "";

	if (s->only[0] == '\0')
		return true;
	(void)prctl(PR_GET_NAME, name);
	return strncmp(name, s->only, strnlen(s->only, sizeof(s->only))) == 0;
}

/* Does the plan say that this call fails? It takes its place in it. */
static bool takes_failure(struct slot *s)
{
	uint64_t plan = atomic_load(&s->plan), then;

	do {
		if ((uint32_t)plan == 0)
			return false;
		then = plan >> 32 > 0 ? plan - (UINT64_C(1) << 32) : plan - 1;
	} while (!atomic_compare_exchange_weak(&s->plan, &plan, then));
	return plan >> 32 == 0;
}

static bool fails(enum call which)
{
	struct slot *s;
	uint32_t every, seen;
	bool yes;

	if (slots == NULL)
		return false;
	s = &slots[which];
	if (!is_meant(s))
		return false;
	seen = atomic_fetch_add(&s->seen, 1) + 1;
	every = atomic_load(&s->every);
	yes = (every > 0 && seen % every == 0) || takes_failure(s);
	if (yes) {
		errno = (int)atomic_load(&s->err);
		atomic_fetch_add(&s->failed, 1);
	}
	return yes;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): these are names and lists of parameters. */

/* The call of that name which comes after ours. */
#define NEXT(name)                                                                                                     \
	__extension__({                                                                                                \
		static _Atomic(void *) next;                                                                           \
		void *p = atomic_load(&next);                                                                          \
		if (p == NULL) {                                                                                       \
			p = dlsym(RTLD_NEXT, #name);                                                                   \
			atomic_store(&next, p);                                                                        \
		}                                                                                                      \
		(__typeof__(&name))p;                                                                                  \
	})

/* A call like any other: what it returns when it fails, and how it is made when it does not. */
#define CALL(type, name, bad, parameters, arguments)                                                                   \
	type name parameters                                                                                           \
	{                                                                                                              \
		return fails(CALL_##name) ? (bad) : NEXT(name) arguments;                                              \
	}

/* NOLINTEND(bugprone-macro-parentheses) */

/* ---- memory: dlsym may need some, so these go to glibc by its other names. Sanitizers have their own: built for them the
 * library goes without ---- */
#ifndef FAIL_NO_MEMORY

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);

void *malloc(size_t bytes)
{
	return fails(CALL_malloc) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	return fails(CALL_calloc) ? NULL : __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
	return fails(CALL_realloc) ? NULL : __libc_realloc(p, bytes);
}

CALL(void *, mmap, MAP_FAILED, (void *at, size_t n, int protection, int flags, int fd, off_t offset),
     (at, n, protection, flags, fd, offset))
CALL(void *, aligned_alloc, NULL, (size_t alignment, size_t bytes), (alignment, bytes))
CALL(int, mprotect, -1, (void *at, size_t n, int protection), (at, n, protection))
CALL(int, madvise, -1, (void *at, size_t n, int advice), (at, n, advice))

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	return mmap(at, n, protection, flags, fd, offset);
}

#endif

/* ---- sockets and files ---- */

CALL(int, accept4, -1, (int fd, struct sockaddr *address, socklen_t *n, int flags), (fd, address, n, flags))
CALL(int, socket, -1, (int family, int type, int protocol), (family, type, protocol))
CALL(int, connect, -1, (int fd, const struct sockaddr *address, socklen_t n), (fd, address, n))
CALL(int, bind, -1, (int fd, const struct sockaddr *address, socklen_t n), (fd, address, n))
CALL(int, listen, -1, (int fd, int backlog), (fd, backlog))
CALL(ssize_t, recv, -1, (int fd, void *into, size_t n, int flags), (fd, into, n, flags))
CALL(ssize_t, recvmsg, -1, (int fd, struct msghdr *message, int flags), (fd, message, flags))
CALL(ssize_t, read, -1, (int fd, void *into, size_t n), (fd, into, n))
CALL(ssize_t, send, -1, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags))
CALL(ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
CALL(ssize_t, writev, -1, (int fd, const struct iovec *from, int n), (fd, from, n))
CALL(int, setsockopt, -1, (int fd, int level, int name, const void *value, socklen_t n), (fd, level, name, value, n))
CALL(int, getsockname, -1, (int fd, struct sockaddr *restrict address, socklen_t *restrict n), (fd, address, n))
CALL(int, poll, -1, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout))
CALL(int, epoll_create1, -1, (int flags), (flags))
CALL(int, epoll_ctl, -1, (int epoll, int what, int fd, struct epoll_event *event), (epoll, what, fd, event))
CALL(int, epoll_wait, -1, (int epoll, struct epoll_event *events, int n, int timeout), (epoll, events, n, timeout))
CALL(int, eventfd, -1, (unsigned count, int flags), (count, flags))

/* Not where it wakes another thread: an eventfd that has room does not say no. */
ssize_t write(int fd, const void *from, size_t n)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) != 0 && fails(CALL_write))
		return -1;
	return NEXT(write)(fd, from, n);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_list more;

		va_start(more, flags);
		mode = va_arg(more, mode_t);
		va_end(more);
	}
	return fails(CALL_open) ? -1 : NEXT(open)(path, flags, mode);
}

int fcntl(int fd, int what, ...)
{
	va_list more;
	void *argument;

	va_start(more, what);
	argument = va_arg(more, void *); /* a number, too, comes in a register of this width */
	va_end(more);
	return fails(CALL_fcntl) ? -1 : NEXT(fcntl)(fd, what, argument);
}

/* ---- threads ---- */

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	return fails(CALL_pthread_create) ? errno : NEXT(pthread_create)(thread, attr, fn, arg);
}

/* ---- what programs call that were built for large files, or fortified ---- */

int open64(const char *path, int flags, ...)
{
	va_list more;
	int fd;

	va_start(more, flags);
	fd = open(path, flags, va_arg(more, mode_t));
	va_end(more);
	return fd;
}

int fcntl64(int fd, int what, ...)
{
	va_list more;
	int rc;

	va_start(more, what);
	rc = fcntl(fd, what, va_arg(more, void *));
	va_end(more);
	return rc;
}

ssize_t __recv_chk(int fd, void *into, size_t n, size_t room, int flags);
ssize_t __recv_chk(int fd, void *into, size_t n, size_t room, int flags)
{
	(void)room;
	return recv(fd, into, n, flags);
}

ssize_t __read_chk(int fd, void *into, size_t n, size_t room);
ssize_t __read_chk(int fd, void *into, size_t n, size_t room)
{
	(void)room;
	return read(fd, into, n);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	(void)room;
	return poll(fds, n, timeout);
}
