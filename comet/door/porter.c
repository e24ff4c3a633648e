/* porter: see porter.h. Headers are looked at with MSG_PEEK and taken off when they are whole, so that not one byte of the
 * client's is lost; epoll tells of new bytes only (edges), or a half header would keep the thread busy.
 * SPDX-License-Identifier: MIT */
#include "comet/door/porter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "comet/close_reason.h"
#include "comet/door/proxy.h"
#include "comet/transport/transport.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/peer.h"
#include "common/base/thread.h"

/* A connection that came just before the end has this long to be announced: mostly the header is there already. */
#define LAST_LOOK_NS (200 * CLOCK_MS)

/* One that waits. */
struct caller {
	int fd;
	struct sockaddr_storage peer;
	void *arg;
	int64_t deadline_ns;
	struct caller *next, *prev;
};

struct porter {
	unsigned magic;
#define PORTER_MAGIC 0x90437e40
	/* set once */
	int64_t timeout_ns;
	unsigned most;
	porter_announce *announce;
	int epoll;
	int wake; /* an eventfd: look at the list, or stop */
	struct thread *thread;
	/* under lock */
	struct lock lock;
	struct caller *first, *last; /* as they came: the first is the first to be late */
	unsigned n;
	int64_t stop_ns; /* by then it ends, and before if nobody waits; INT64_MAX: not asked to */
};

/* ---- those that wait ---- */

static void link_locked(struct porter *p, struct caller *c) NEEDS(p->lock)
{
	c->next = NULL;
	c->prev = p->last;
	*(p->last != NULL ? &p->last->next : &p->first) = c;
	p->last = c;
	p->n++;
}

static void unlink_locked(struct porter *p, struct caller *c) NEEDS(p->lock)
{
	*(c->prev != NULL ? &c->prev->next : &p->first) = c->next;
	*(c->next != NULL ? &c->next->prev : &p->last) = c->prev;
	p->n--;
}

/* Into the list and to epoll in one step: between the two the thread might find it late and free it. epoll_ctl waits for
 * nobody. NULL, or why it cannot wait. */
static const char *add(struct porter *p, struct caller *c)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
	const char *why = NULL;
	bool first;

	lock_take(&p->lock);
	first = p->n == 0;
	if (p->n >= p->most)
		why = "too many wait for theirs";
	else if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		why = "no memory to wait for it";
	else
		link_locked(p, c);
	lock_drop(&p->lock);
	/* The thread slept with no deadline; from now on there is one, and a caller that is silent makes no event. */
	if (why == NULL && first)
		(void)eventfd_write(p->wake, 1);
	return why;
}

static void take_off(struct porter *p, struct caller *c)
{
	lock_take(&p->lock);
	unlink_locked(p, c);
	lock_drop(&p->lock);
}

static void turn_away(struct caller *c, const char *why)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char peer[TRANSPORT_PEER_BYTES];

	count_by(COUNT_REFUSED, CLOSE_PROXY_HEADER);
	peer_text((struct sockaddr *)&c->peer, true, peer, sizeof(peer));
	LOG_LIMITED(LOG_WARN, &limit, log_str("peer", peer), log_what(EVENT_CONNECTION_REFUSED),
		    log_str("reason", close_reason_name(CLOSE_PROXY_HEADER)), log_str("error", why));
	(void)close(c->fd);
	free(c);
}

static void send_away(struct caller *c)
{
	count_by(COUNT_REFUSED, CLOSE_DRAINING);
	(void)close(c->fd);
	free(c);
}

void porter_take(struct porter *p, int fd, const struct sockaddr_storage *peer, void *arg)
{
	struct caller *c = malloc(sizeof(*c));
	const char *why;

	OBJ_CHECK(p, PORTER_MAGIC);
	if (c == NULL) {
		count_by(COUNT_REFUSED, CLOSE_NO_MEMORY);
		(void)close(fd);
		return;
	}
	*c = (struct caller){.fd = fd, .peer = *peer, .arg = arg, .deadline_ns = clock_now_ns() + p->timeout_ns};
	/* Once it is added it is the thread's, which may be done with it before this returns. */
	if ((why = add(p, c)) != NULL)
		turn_away(c, why);
}

/* ---- the thread ---- */

/* The header is whole: the client's own bytes come next. */
static void let_through(struct porter *p, struct caller *c, size_t header_bytes, const struct sockaddr_storage *client)
{
	uint8_t header[PROXY_HEADER_BYTES];

	take_off(p, c);
	(void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	if (recv(c->fd, header, header_bytes, MSG_DONTWAIT) != (ssize_t)header_bytes) {
		turn_away(c, "the connection broke");
		return;
	}
	p->announce(c->arg, c->fd, (const struct sockaddr *)(client->ss_family != AF_UNSPEC ? client : &c->peer));
	free(c);
}

static void look_at(struct porter *p, struct caller *c, uint32_t events)
{
	uint8_t bytes[PROXY_HEADER_BYTES];
	struct sockaddr_storage client;
	size_t header_bytes;
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	int rc = n > 0 ? proxy_parse(bytes, (size_t)n, &client, &header_bytes) : -EAGAIN;

	if (rc == 0) {
		let_through(p, c, header_bytes, &client);
	} else if (rc != -EAGAIN || n == 0 || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
		take_off(p, c);
		turn_away(c, rc == -EAGAIN ? "the connection ended" : "these bytes are none");
	}
}

/* Close those that are late; how long until the next is, in milliseconds, -1: nobody waits. Only the thread takes callers
 * out of the list, so the first stays where it is while the lock is not held. */
static int see_to_late(struct porter *p)
{
	for (;;) {
		int64_t left_ns;
		struct caller *c;

		lock_take(&p->lock);
		c = p->first;
		lock_drop(&p->lock);
		if (c == NULL)
			return -1;
		left_ns = c->deadline_ns - clock_now_ns();
		if (left_ns > 0)
			return (int)((left_ns + CLOCK_MS - 1) / CLOCK_MS);
		take_off(p, c);
		turn_away(c, "it did not come in time");
	}
}

/* How long to wait for the next event, in milliseconds, -1: for ever; `late_ms`: until the next is late. False: to stop. */
static bool next_wait(struct porter *p, int late_ms, int *wait_ms)
{
	int64_t left_ns;
	bool any;

	lock_take(&p->lock);
	left_ns = p->stop_ns == INT64_MAX ? INT64_MAX : p->stop_ns - clock_now_ns();
	any = p->n > 0;
	lock_drop(&p->lock);
	*wait_ms = late_ms;
	if (left_ns == INT64_MAX)
		return true;
	if (left_ns / CLOCK_MS < late_ms)
		*wait_ms = left_ns > 0 ? (int)(left_ns / CLOCK_MS) + 1 : 0;
	return any && left_ns > 0;
}

static void *read_headers(void *arg)
{
	struct porter *p = arg;
	struct epoll_event events[64];
	eventfd_t times;
	int wait_ms;

	OBJ_CHECK(p, PORTER_MAGIC);
	while (next_wait(p, see_to_late(p), &wait_ms)) {
		int n = epoll_wait(p->epoll, events, 64, wait_ms);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr != p)
				look_at(p, events[i].data.ptr, events[i].events);
			else
				(void)eventfd_read(p->wake, &times); /* next_wait has something new to look at */
		}
	}
	return NULL;
}

/* ---- start and stop ---- */

int porter_start(int64_t timeout_ns, unsigned most, porter_announce *announce, struct porter **out)
{
	struct porter *p = calloc(1, sizeof(*p));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->magic = PORTER_MAGIC;
	p->timeout_ns = timeout_ns;
	p->most = most;
	p->stop_ns = INT64_MAX;
	p->announce = announce;
	lock_init(&p->lock, LOCK_POOL);
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->epoll < 0 || p->wake < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->wake, &event) < 0)
		rc = -errno;
	else
		rc = thread_spawn(THREAD_SERVICE, "porter", read_headers, p, &p->thread);
	if (rc < 0) {
		porter_stop(&p);
		return rc;
	}
	*out = p;
	return 0;
}

void porter_stop(struct porter **porter)
{
	struct porter *p = *porter;
	struct caller *c;

	OBJ_CHECK(p, PORTER_MAGIC);
	if (p->thread != NULL) {
		lock_take(&p->lock);
		p->stop_ns = clock_now_ns() + LAST_LOOK_NS;
		lock_drop(&p->lock);
		(void)eventfd_write(p->wake, 1);
		thread_join(&p->thread);
	}
	while ((c = p->first) != NULL) {
		take_off(p, c);
		send_away(c);
	}
	if (p->epoll >= 0)
		(void)close(p->epoll);
	if (p->wake >= 0)
		(void)close(p->wake);
	lock_fini(&p->lock);
	p->magic = 0;
	free(p);
	*porter = NULL;
}
