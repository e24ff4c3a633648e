/* park_sockets: see park_sockets.h. SPDX-License-Identifier: MIT */
#include "common/base/park_sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/obj.h"
#include "common/base/stack.h"

/* Descriptors beyond are watched once. 16 MiB of a table of which only pages in use are there. */
#define DESCRIPTORS_MAX (1u << 20)

/* What epoll is given to tell: an owner's address, which is even, or for edges its descriptor and serial number, and the lowest bit. */
#define IS_EDGE 1u

int park_sockets_open(struct park_sockets *s)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0};
	struct rlimit files;

	*s = (struct park_sockets){.max = DESCRIPTORS_MAX, .epoll = -1, .bell = -1};
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max < s->max)
		s->max = (unsigned)files.rlim_max;
	if ((s->table = calloc(s->max, sizeof(*s->table))) == NULL)
		return -ENOMEM;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll < 0 || s->bell < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->bell, &event) < 0)
		return -errno;
	return 0;
}

void park_sockets_close(struct park_sockets *s)
{
	if (s->epoll >= 0)
		(void)close(s->epoll);
	if (s->bell >= 0)
		(void)close(s->bell);
	free(s->table);
}

/* It cannot fail short of 2^64 rings, and is never read: each write is an edge. */
void park_sockets_ring(const struct park_sockets *s)
{
	(void)eventfd_write(s->bell, 1);
}

/* ThreadSanitizer believes that epoll_ctl() still looks at fd when another thread has it. */
static int control(int epoll, int op, int fd, struct epoll_event *event)
{
#if defined(__SANITIZE_THREAD__) || STACK_HAS(thread_sanitizer)
	return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
#else
	return epoll_ctl(epoll, op, fd, event);
#endif
}

int park_sockets_watch_once(const struct park_sockets *s, struct parked *p, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events | EPOLLONESHOT, .data.u64 = (uintptr_t)p};
	bool was_known = atomic_load_explicit(&p->known, memory_order_relaxed);

	/* Before: once epoll has it, it may be gone. */
	atomic_store_explicit(&p->known, true, memory_order_release);
	if (control(s->epoll, was_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	atomic_store_explicit(&p->known, was_known, memory_order_relaxed);
	return -errno;
}

static int descriptor_of(uint64_t told)
{
	return (int)((told & UINT32_MAX) >> 1);
}

/* NULL: the bell, or one who has gone. */
static struct parked *owner_of(const struct park_sockets *s, uint64_t told)
{
	const struct park_socket *its;
	struct parked *p;

	if ((told & IS_EDGE) != 0) {
		its = &s->table[descriptor_of(told)];
		return its->serial == told >> 32 ? its->owner : NULL;
	}
	p = (struct parked *)(uintptr_t)told;
	/* What the thread that parked it wrote before is seen from here on. The kernel sees to that, and the language is told by `known`. */
	BUG_UNLESS(p == NULL || atomic_load_explicit(&p->known, memory_order_acquire));
	return p;
}

void park_sockets_find(const struct park_sockets *s, const struct epoll_event *event, struct park_queue *ready)
{
	struct parked *p = owner_of(s, event->data.u64);
	bool is_edge = (event->data.u64 & IS_EDGE) != 0;
	/* The next read that takes less than it could may have ended before an urgent byte. */
	unsigned turns = (event->events & EPOLLPRI) != 0 ? 2 : 1;

	if (p == NULL)
		return;
	if (is_edge && (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		p->ends = true;
	if (!is_edge || p->where == PARK_WATCHED) {
		park_queue_put_last(ready, p, PARK_FOUND);
		turns--;
	}
	if (p->owed < turns)
		p->owed = turns;
}

/* ---- for edges ---- */

uint64_t park_sockets_own(struct park_sockets *s, struct parked *p, int fd)
{
	struct park_socket *its = &s->table[fd];

	its->owner = p;
	its->serial++;
	p->fd = fd;
	return (uint64_t)its->serial << 32 | (uint64_t)fd << 1 | IS_EDGE;
}

int park_sockets_watch(const struct park_sockets *s, uint64_t told)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data.u64 = told};

	return control(s->epoll, EPOLL_CTL_ADD, descriptor_of(told), &event) < 0 ? -errno : 0;
}

bool park_sockets_park(struct parked *p, struct park_queue *ready)
{
	bool is_ready = p->owed > 0 || p->ends;

	if (p->owed > 0)
		p->owed--;
	if (is_ready)
		park_queue_put_last(ready, p, PARK_FOUND);
	else
		p->where = PARK_WATCHED;
	return is_ready;
}

void park_sockets_forget(struct park_sockets *s, const struct parked *p)
{
	if (s->table[p->fd].owner == p)
		s->table[p->fd].owner = NULL;
}
