/* park: see park.h. Leader and followers: one thread is on watch in epoll_wait, and gets each socket that is ready once. It serves what
 * it found by itself, one after the other; nobody is on watch meanwhile, since a packet takes microseconds and to wake another thread
 * takes as long. Another takes part when many are ready, and before something that takes long or blocks.
 * SPDX-License-Identifier: MIT */
#include "common/base/park.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/park_inside.h"

/* Sockets that one look at epoll takes over. */
#define LOOK 64
/* When so many more are ready, another thread takes part. Fewer are done before it would have had a part worth its wake-up. */
#define CROWD 32

__thread struct park_self park_self;

/* ---- the waiters ---- */

/* Without the lock meanwhile. */
static void look_locked(struct park *park, int timeout_ms) NEEDS(park->crew.lock)
{
	struct epoll_event events[LOOK];
	int n;

	lock_drop(&park->crew.lock);
	n = epoll_wait(park->sockets.epoll, events, LOOK, timeout_ms);
	lock_take(&park->crew.lock);
	for (int i = 0; i < n; i++)
		park_sockets_find(&park->sockets, &events[i], &park->ready);
}

static void watch_locked(struct park *park) NEEDS(park->crew.lock)
{
	park->crew.watched = true;
	look_locked(park, -1);
	park->crew.watched = false;
	park->rung = false;
}

/* A turn for all who have yielded, behind the sockets that are ready by now. */
static void let_yielded_on_locked(struct park *park) NEEDS(park->crew.lock)
{
	struct parked *p;

	if (!park->crew.watched) {
		look_locked(park, 0);
		if (park->rung) /* for one who is on watch since, and this look may have heard it */
			park_sockets_ring(&park->sockets);
	}
	while ((p = park->yielded.first) != NULL) {
		park_queue_take_out(&park->yielded, p);
		park_queue_put_last(&park->ready, p, PARK_READY);
	}
}

static struct parked *take_ready_locked(struct park *park) NEEDS(park->crew.lock)
{
	struct parked *p = park->ready.first;

	if (p == NULL)
		return NULL;
	park_queue_take_out(&park->ready, p);
	if (park->ready.count >= CROWD)
		(void)crew_call_locked(&park->crew);
	return p;
}

/* Has this thread nothing to do? */
static bool is_spare_locked(const struct park *park) NEEDS(park->crew.lock)
{
	bool idle = park->ready.count == 0 && park->yielded.count == 0;

	return park->crew.awake > park->crew.opt.awake_max || (idle && park->crew.watched);
}

/* NULL: this thread has left, and no longer touches the park. */
static struct parked *wait_for_next(struct park *park)
{
	struct parked *p = NULL;

	lock_take(&park->crew.lock);
	while (p == NULL && !park->crew.stopping) {
		if (is_spare_locked(park)) {
			if (!crew_rest_locked(&park->crew))
				break;
		} else if ((p = take_ready_locked(park)) == NULL) {
			if (park->yielded.count > 0)
				let_yielded_on_locked(park);
			else
				watch_locked(park);
		}
	}
	if (p == NULL)
		crew_leave_locked(&park->crew);
	lock_drop(&park->crew.lock);
	return p;
}

static void resume(const struct park *park, struct parked *p)
{
	struct park_guest *guest;

	if (!p->is_guest) {
		park->opt.resume(p);
		return;
	}
	guest = OBJ_OF(p, struct park_guest, parked);
	guest->resume(guest);
}

static void serve(struct park *park, struct parked *p)
{
	bool has_turn = p->has_turn;

	resume(park, p);
	if (!has_turn)
		return;
	/* It may have had nothing to block for any more: then it has woken nobody. */
	lock_take(&park->crew.lock);
	park_let_next_block_locked(park);
	lock_drop(&park->crew.lock);
}

static void *wait_and_serve(void *arg)
{
	struct park *park = arg;
	struct parked *p;

	OBJ_CHECK(park, PARK_MAGIC);
	park_self.park = park;
	while ((p = wait_for_next(park)) != NULL)
		serve(park, p);
	return NULL;
}

/* ---- parking ---- */

int park_on_socket(struct park *park, struct parked *p, int fd, uint32_t events)
{
	p->has_turn = false;
	return park_sockets_watch_once(&park->sockets, p, fd, events);
}

void park_forget(struct park *park, struct parked *p)
{
	lock_take(&park->crew.lock);
	park_sockets_forget(&park->sockets, p);
	lock_drop(&park->crew.lock);
}

/* What is found of it from now on is noted in p, which runs still. */
static int watch_stream(struct park *park, struct parked *p, int fd)
{
	uint64_t told;
	int rc;

	lock_take(&park->crew.lock);
	told = park_sockets_own(&park->sockets, p, fd);
	lock_drop(&park->crew.lock);
	if ((rc = park_sockets_watch(&park->sockets, told)) < 0)
		park_forget(park, p);
	else
		atomic_store_explicit(&p->known, true, memory_order_relaxed);
	return rc;
}

int park_on_stream(struct park *park, struct parked *p, int fd, bool drained)
{
	int rc;

	if (!park_sockets_has_place(&park->sockets, fd))
		return park_on_socket(park, p, fd, EPOLLIN | EPOLLRDHUP);
	if (!atomic_load_explicit(&p->known, memory_order_relaxed) && (rc = watch_stream(park, p, fd)) < 0)
		return rc;
	lock_take(&park->crew.lock);
	p->has_turn = false;
	if (!drained)
		park_put_locked(park, &park->yielded, p);
	else if (park_sockets_park(p, &park->ready))
		park_ring_locked(park);
	lock_drop(&park->crew.lock);
	return 0;
}

void park_asleep(struct park *park, struct parked *p)
{
	lock_take(&park->crew.lock);
	if (p->woken)
		park_make_ready_locked(park, p);
	else
		p->where = PARK_ASLEEP;
	p->woken = false;
	p->has_turn = false;
	lock_drop(&park->crew.lock);
}

void park_yield(struct park *park, struct parked *p)
{
	lock_take(&park->crew.lock);
	p->has_turn = false;
	park_put_locked(park, &park->yielded, p);
	lock_drop(&park->crew.lock);
}

void park_wake(struct park *park, struct parked *p)
{
	lock_take(&park->crew.lock);
	switch ((enum park_where)p->where) {
	case PARK_RUNNING:
	case PARK_WATCHED:
		p->woken = true;
		break;
	case PARK_ASLEEP:
		park_make_ready_locked(park, p);
		break;
	case PARK_IN_TURN:
		park_queue_take_out(&park->waits_to_block, p);
		park_make_ready_locked(park, p);
		break;
	case PARK_READY:
	case PARK_FOUND:
		break;
	}
	lock_drop(&park->crew.lock);
}

/* ---- in the place of a wait ---- */

bool park_serve_another(void)
{
	struct park *park = park_self.park;
	struct parked *p;
	bool left;

	if (park == NULL || park_self.waits > 0 || park_self.nested >= park->opt.nested_max)
		return false;
	lock_take(&park->crew.lock);
	p = take_ready_locked(park);
	lock_drop(&park->crew.lock);
	if (p == NULL)
		return false;
	park_self.nested++;
	serve(park, p);
	park_self.nested--;
	left = park_self.left;
	park_self.left = false;
	return !left;
}

bool park_is_nested(void)
{
	return park_self.nested > 0;
}

/* First, and not behind those who come meanwhile: these are served within waits, and it would be passed over again and again. */
void park_leave(struct park *park, struct parked *p)
{
	BUG_UNLESS(park_self.nested > 0);
	park_self.left = true;
	lock_take(&park->crew.lock);
	p->has_turn = false;
	park_queue_put_first(&park->ready, p, PARK_READY);
	park_ring_locked(park);
	lock_drop(&park->crew.lock);
}

struct park_count park_count(struct park *park)
{
	struct park_count n;

	lock_take(&park->crew.lock);
	n = (struct park_count){park->crew.threads, park->crew.blocked, park->crew.awake};
	lock_drop(&park->crew.lock);
	return n;
}

/* ---- start and stop ---- */

int park_start(const struct park_options *opt, struct park **out)
{
	struct park *park = calloc(1, sizeof(*park));
	struct crew_options crew = {opt->name, opt->kind, opt->waiters, wait_and_serve, park};
	int rc;

	BUG_UNLESS(opt->waiters > 0 && opt->blocked_max > 0);
	if (park == NULL)
		return -ENOMEM;
	park->magic = PARK_MAGIC;
	park->opt = *opt;
	crew_init(&park->crew, &crew);
	if ((rc = park_sockets_open(&park->sockets)) < 0 || (rc = crew_start(&park->crew)) < 0)
		park_stop(&park);
	else
		*out = park;
	return rc;
}

void park_stop(struct park **reference)
{
	struct park *park = *reference;

	OBJ_CHECK(park, PARK_MAGIC);
	lock_take(&park->crew.lock);
	BUG_UNLESS(park->yielded.count + park->waits_to_block.count == 0);
	for (const struct parked *p = park->ready.first; p != NULL; p = p->next)
		BUG_UNLESS(p->where == PARK_FOUND);
	park->rung = true;
	park_sockets_ring(&park->sockets); /* it is heard even by one who is not yet on watch */
	crew_stop_locked(&park->crew);
	lock_drop(&park->crew.lock);
	park_sockets_close(&park->sockets);
	crew_fini(&park->crew);
	park->magic = 0;
	free(park);
	*reference = NULL;
}
