/* park: see park.h. Leader and followers: all waiters block in epoll_wait with space for one event, and EPOLLONESHOT gives it to one
 * of them. An eventfd in the same epoll, the bell, tells of work that became ready without a socket: each ring is heard by one
 * waiter (edges), who takes one and rings again for the next. SPDX-License-Identifier: MIT */
#include "common/base/park.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/stack.h"

#define SPARE_NS (2 * CLOCK_SEC)

enum where { RUNNING, ASLEEP, IN_TURN, READY }; /* RUNNING: or in the epoll, which knows by itself */

struct queue {
	struct parked *first, *last;
};

/* A thread that nobody needs now; it lies on that thread's stack. */
struct spare {
	pthread_cond_t called;
	bool is_called;
	struct spare *next;
};

struct park {
	unsigned magic;
#define PARK_MAGIC 0x9a4c10d7
	/* set once */
	struct park_options opt;
	int epoll;
	int bell;
	/* changed under lock */
	atomic_uint working; /* threads that wait or serve: neither blocked nor spare */
	atomic_bool stopping;
	/* under lock */
	struct lock lock;
	pthread_cond_t left;
	unsigned threads;
	unsigned blocked;
	struct spare *spare;         /* the one that became it last is called first, so that others end */
	struct queue ready;          /* to be resumed */
	struct queue waits_to_block; /* until another has unblocked */
};

/* This thread, if it is a waiter. */
static __thread struct {
	struct park *park;
	unsigned waits; /* it blocks: within how many waits */
} self;

/* ---- queues ---- */

static void put_last(struct queue *q, struct parked *p, enum where where)
{
	p->where = where;
	p->next = NULL;
	p->prev = q->last;
	*(q->last != NULL ? &q->last->next : &q->first) = p;
	q->last = p;
}

static void put_first(struct queue *q, struct parked *p, enum where where)
{
	p->where = where;
	p->prev = NULL;
	p->next = q->first;
	*(q->first != NULL ? &q->first->prev : &q->last) = p;
	q->first = p;
}

static void take_out(struct queue *q, struct parked *p)
{
	*(p->prev != NULL ? &p->prev->next : &q->first) = p->next;
	*(p->next != NULL ? &p->next->prev : &q->last) = p->prev;
	p->where = RUNNING;
}

/* ---- being ready without a socket ---- */

/* It cannot fail short of 2^64 rings, and is never read: each write is an edge. */
static void ring(struct park *park)
{
	(void)eventfd_write(park->bell, 1);
}

static void make_ready_locked(struct park *park, struct parked *p) NEEDS(park->lock)
{
	bool first = park->ready.first == NULL;

	put_last(&park->ready, p, READY);
	if (first)
		ring(park);
}

/* Who heard the bell takes one, and lets others hear of the rest. */
static struct parked *take_ready(struct park *park)
{
	struct parked *p;

	lock_take(&park->lock);
	if ((p = park->ready.first) != NULL)
		take_out(&park->ready, p);
	if (park->ready.first != NULL || atomic_load(&park->stopping))
		ring(park);
	lock_drop(&park->lock);
	return p;
}

/* Those whose turn has come; should one not block after all, see serve(). */
static void let_next_block_locked(struct park *park) NEEDS(park->lock)
{
	struct parked *p = park->waits_to_block.first;

	if (p == NULL || park->blocked >= park->opt.blocked_max)
		return;
	take_out(&park->waits_to_block, p);
	p->has_turn = true;
	make_ready_locked(park, p);
}

/* ---- the waiters ---- */

/* What the thread that parked it wrote before is seen from here on. The kernel sees to that, and the language is told by `known`. */
static struct parked *take_over(struct parked *p)
{
	BUG_UNLESS(atomic_load_explicit(&p->known, memory_order_acquire));
	return p;
}

static struct parked *wait_for_next(struct park *park)
{
	struct epoll_event event;

	if (epoll_wait(park->epoll, &event, 1, -1) <= 0)
		return NULL;
	return event.data.ptr != park ? take_over(event.data.ptr) : take_ready(park);
}

static void serve(struct park *park, struct parked *p)
{
	bool has_turn = p->has_turn;

	park->opt.resume(p);
	if (!has_turn)
		return;
	/* It may have had nothing to block for any more: then it has woken nobody. */
	lock_take(&park->lock);
	let_next_block_locked(park);
	lock_drop(&park->lock);
}

/* False: nobody has called within two seconds. */
static bool is_called_locked(struct park *park) NEEDS(park->lock)
{
	struct spare mine = {.next = park->spare}, **at = &park->spare;
	int64_t until_ns = clock_now_ns() + SPARE_NS;

	lock_cond_init(&mine.called);
	park->spare = &mine; /* cppcheck-suppress autoVariables ; it is taken out before this returns */
	while (!mine.is_called && !atomic_load(&park->stopping) && lock_wait_until(&mine.called, &park->lock, until_ns))
		;
	if (!mine.is_called) {
		while (*at != &mine)
			at = &(*at)->next;
		*at = mine.next;
	}
	(void)pthread_cond_destroy(&mine.called);
	return mine.is_called;
}

/* Is this thread still needed? While there are more than are to wait, it is spare. */
static bool go_on(struct park *park)
{
	bool yes;

	if (atomic_load(&park->working) <= park->opt.waiters && !atomic_load(&park->stopping))
		return true;
	lock_take(&park->lock);
	yes = !atomic_load(&park->stopping);
	if (!yes || atomic_load(&park->working) > park->opt.waiters) {
		atomic_fetch_sub(&park->working, 1);
		yes = yes && is_called_locked(park);
	}
	lock_drop(&park->lock);
	return yes;
}

static void leave(struct park *park)
{
	lock_take(&park->lock);
	if (--park->threads == 0)
		(void)pthread_cond_signal(&park->left);
	lock_drop(&park->lock);
}

static void *wait_and_serve(void *arg)
{
	struct park *park = arg;
	struct parked *p;

	OBJ_CHECK(park, PARK_MAGIC);
	self.park = park;
	while (go_on(park))
		if ((p = wait_for_next(park)) != NULL)
			serve(park, p);
	leave(park);
	return NULL;
}

/* It is counted already. */
static int start_waiter(struct park *park)
{
	int rc = thread_spawn_unjoined(park->opt.kind, park->opt.name, wait_and_serve, park);

	if (rc == 0)
		return 0;
	lock_take(&park->lock);
	atomic_fetch_sub(&park->working, 1);
	park->threads--;
	lock_drop(&park->lock);
	return rc;
}

/* ---- parking ---- */

/* ThreadSanitizer believes that epoll_ctl() still looks at fd when another thread has it. */
static int control(int epoll, int op, int fd, struct epoll_event *event)
{
#if defined(__SANITIZE_THREAD__) || STACK_HAS(thread_sanitizer)
	return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
#else
	return epoll_ctl(epoll, op, fd, event);
#endif
}

int park_on_socket(struct park *park, struct parked *p, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events | EPOLLONESHOT, .data.ptr = p};
	bool was_known = atomic_load_explicit(&p->known, memory_order_relaxed);

	p->has_turn = false;
	/* Before: once epoll has it, it may be gone. */
	atomic_store_explicit(&p->known, true, memory_order_release);
	if (control(park->epoll, was_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	atomic_store_explicit(&p->known, was_known, memory_order_relaxed);
	return -errno;
}

void park_asleep(struct park *park, struct parked *p)
{
	lock_take(&park->lock);
	if (p->woken)
		make_ready_locked(park, p);
	else
		p->where = ASLEEP;
	p->woken = false;
	p->has_turn = false;
	lock_drop(&park->lock);
}

void park_yield(struct park *park, struct parked *p)
{
	lock_take(&park->lock);
	p->has_turn = false;
	make_ready_locked(park, p);
	lock_drop(&park->lock);
}

void park_wake(struct park *park, struct parked *p)
{
	lock_take(&park->lock);
	switch ((enum where)p->where) {
	case RUNNING:
		p->woken = true;
		break;
	case ASLEEP:
		make_ready_locked(park, p);
		break;
	case IN_TURN:
		take_out(&park->waits_to_block, p);
		make_ready_locked(park, p);
		break;
	case READY:
		break;
	}
	lock_drop(&park->lock);
}

/* ---- about to block ---- */

/* Another thread waits in place of one that blocks. True: the caller has to start it. */
static bool replace_locked(struct park *park) NEEDS(park->lock)
{
	struct spare *s = park->spare;

	if (atomic_load(&park->working) >= park->opt.waiters)
		return false;
	atomic_fetch_add(&park->working, 1);
	if (s == NULL) {
		park->threads++;
		return true;
	}
	park->spare = s->next;
	s->is_called = true;
	(void)pthread_cond_signal(&s->called); /* under the lock: it lies on a stack that ends */
	return false;
}

/* Unless somebody has woken it. */
static void wait_for_turn_locked(struct park *park, struct parked *p, bool first) NEEDS(park->lock)
{
	if (p->woken)
		make_ready_locked(park, p);
	else if (first)
		put_first(&park->waits_to_block, p, IN_TURN);
	else
		put_last(&park->waits_to_block, p, IN_TURN);
	p->woken = false;
}

/* False: p waits for its turn. */
static bool begin_to_block_locked(struct park *park, struct parked *p) NEEDS(park->lock)
{
	bool had_turn = p->has_turn;

	p->has_turn = false;
	if (park->blocked < park->opt.blocked_max && (had_turn || park->waits_to_block.first == NULL)) {
		park->blocked++;
		atomic_fetch_sub(&park->working, 1);
		return true;
	}
	wait_for_turn_locked(park, p, had_turn);
	return false;
}

/* No thread is to be had. The last that waits does not block while another that does will come back. */
static bool block_all_the_same(struct park *park, struct parked *p)
{
	bool yes;

	lock_take(&park->lock);
	yes = atomic_load(&park->working) > 0 || park->blocked == 1;
	if (!yes) {
		park->blocked--;
		atomic_fetch_add(&park->working, 1);
		wait_for_turn_locked(park, p, true);
	}
	lock_drop(&park->lock);
	return yes;
}

bool park_block(struct park *park, struct parked *p)
{
	bool may, start;

	lock_take(&park->lock);
	may = begin_to_block_locked(park, p);
	start = may && replace_locked(park);
	lock_drop(&park->lock);
	if (start && start_waiter(park) < 0)
		may = block_all_the_same(park, p);
	self.waits += may;
	return may;
}

void park_unblock(struct park *park)
{
	self.waits--;
	lock_take(&park->lock);
	park->blocked--;
	atomic_fetch_add(&park->working, 1);
	let_next_block_locked(park);
	lock_drop(&park->lock);
}

void park_wait_begin(void)
{
	struct park *park = self.park;
	bool start;

	if (park == NULL || self.waits++ > 0)
		return;
	lock_take(&park->lock);
	park->blocked++;
	atomic_fetch_sub(&park->working, 1);
	start = replace_locked(park);
	lock_drop(&park->lock);
	if (start)
		(void)start_waiter(park);
}

void park_wait_end(void)
{
	if (self.park == NULL)
		return;
	if (self.waits > 1)
		self.waits--;
	else
		park_unblock(self.park);
}

void park_count(struct park *park, unsigned *threads, unsigned *blocked)
{
	lock_take(&park->lock);
	*threads = park->threads;
	*blocked = park->blocked;
	lock_drop(&park->lock);
}

/* ---- start and stop ---- */

static int open_epoll(struct park *park)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = park};

	park->epoll = epoll_create1(EPOLL_CLOEXEC);
	park->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (park->epoll < 0 || park->bell < 0 || epoll_ctl(park->epoll, EPOLL_CTL_ADD, park->bell, &event) < 0)
		return -errno;
	return 0;
}

static int start_waiters(struct park *park)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < park->opt.waiters; i++) {
		lock_take(&park->lock);
		atomic_fetch_add(&park->working, 1);
		park->threads++;
		lock_drop(&park->lock);
		rc = start_waiter(park);
	}
	return rc;
}

int park_start(const struct park_options *opt, struct park **out)
{
	struct park *park = calloc(1, sizeof(*park));
	int rc;

	BUG_UNLESS(opt->waiters > 0 && opt->blocked_max > 0);
	if (park == NULL)
		return -ENOMEM;
	park->magic = PARK_MAGIC;
	park->opt = *opt;
	lock_init(&park->lock, LOCK_POOL);
	lock_cond_init(&park->left);
	if ((rc = open_epoll(park)) < 0 || (rc = start_waiters(park)) < 0)
		park_stop(&park);
	else
		*out = park;
	return rc;
}

void park_stop(struct park **reference)
{
	struct park *park = *reference;

	OBJ_CHECK(park, PARK_MAGIC);
	lock_take(&park->lock);
	BUG_UNLESS(park->ready.first == NULL && park->waits_to_block.first == NULL);
	atomic_store(&park->stopping, true);
	for (struct spare *s = park->spare; s != NULL; s = s->next)
		(void)pthread_cond_signal(&s->called);
	ring(park);
	while (park->threads > 0)
		lock_wait(&park->left, &park->lock);
	lock_drop(&park->lock);
	if (park->epoll >= 0)
		(void)close(park->epoll);
	if (park->bell >= 0)
		(void)close(park->bell);
	(void)pthread_cond_destroy(&park->left);
	lock_fini(&park->lock);
	park->magic = 0;
	free(park);
	*reference = NULL;
}
