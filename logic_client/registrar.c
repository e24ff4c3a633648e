/* registrar: see registrar.h. SPDX-License-Identifier: MIT */
#include "logic_client/registrar.h"

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/thread.h"

/* Registrations are spread over a second in so many portions. */
#define PORTIONS 20
/* So many wait to be told at most, and are looked at so often. A comet of a million connections could fill the whole queue, which other news
 * wait in as well, and what has no place there begins anew. */
#define AHEAD_MAX  4096
#define KEEP_UP_NS (20 * CLOCK_MS)
/* Connections that were left out, for want of memory, are tried again so much later. */
#define LEFT_OUT_NS (250 * CLOCK_MS)

struct walk {
	struct registrar *registrar;
	int64_t begun_ns;
	int64_t n;
	bool left_out; /* any of them, so that all are to be walked again */
};

static bool stopping(struct registrar *r, int64_t until_ns)
{
	bool stop;

	lock_take(&r->lock);
	while (!r->stop && clock_now_ns() < until_ns && lock_wait_until(&r->wake, &r->lock, until_ns))
		;
	stop = r->stop;
	lock_drop(&r->lock);
	return stop;
}

/* Until logic has been told of some. The time is not made up for. False: stopping. */
static bool wait_for_logic(struct walk *w)
{
	const int64_t since_ns = clock_now_ns();

	while (redis_tell_count(w->registrar->tell) >= AHEAD_MAX)
		if (stopping(w->registrar, clock_now_ns() + KEEP_UP_NS))
			return false;
	w->begun_ns += clock_now_ns() - since_ns;
	return true;
}

static bool register_again(void *arg, const struct seat *seat)
{
	struct walk *w = arg;
	struct registrar *r = w->registrar;
	int64_t rate = r->member->cfg->redis_register_rate;

	if (w->n % (rate / PORTIONS + 1) == 0 && stopping(r, w->begun_ns + w->n * CLOCK_SEC / rate))
		return false;
	if (!wait_for_logic(w))
		return false;
	w->left_out = redis_tell_add(r->tell, WIRE_HEARTBEAT, seat) < 0;
	if (w->left_out)
		return false;
	w->n++;
	count(COUNT_REGISTERED_AGAIN);
	return true;
}

static bool was_lost_again(struct registrar *r)
{
	bool lost;

	lock_take(&r->lock);
	lost = r->lost;
	lock_drop(&r->lock);
	return lost;
}

/* Begin again in a moment, unless a newer loss asks for it anyway. */
static void try_again(struct registrar *r, unsigned loss)
{
	(void)stopping(r, clock_now_ns() + LEFT_OUT_NS);
	lock_take(&r->lock);
	if (!r->lost)
		r->loss = loss;
	r->lost = true;
	lock_drop(&r->lock);
}

static void register_all(struct registrar *r, unsigned loss)
{
	struct walk w = {.registrar = r, .begun_ns = clock_now_ns()};
	int rc = r->each_online(r->each_online_self, register_again, &w);
	uint64_t last = redis_tell_last(r->tell);

	if (rc < 0 || w.left_out) {
		try_again(r, loss);
		return;
	}
	/* Registrations that were told by now are in Redis. Those that others have added since do not count: new ones come all the
	 * time. */
	do {
		if (stopping(r, clock_now_ns() + 10 * CLOCK_MS) || was_lost_again(r))
			return;
	} while (!redis_tell_has_told(r->tell, last));
	redis_lease_registered(r->lease, loss);
	LOG(LOG_INFO, log_str("server", r->member->server_id), log_what(EVENT_REGISTRATION_RESTORED),
	    log_i64("connections", w.n));
}

static void *keep_registered(void *arg)
{
	struct registrar *r = arg;
	unsigned loss;

	OBJ_CHECK(r, REGISTRAR_MAGIC);
	lock_take(&r->lock);
	while (!r->stop) {
		/* registrar_stop ends this wait at the latest. */
		if (!r->lost) {
			lock_wait(&r->wake, &r->lock);
			continue;
		}
		r->lost = false;
		loss = r->loss;
		lock_drop(&r->lock);
		register_all(r, loss);
		lock_take(&r->lock);
	}
	lock_drop(&r->lock);
	return NULL;
}

/* ---- start and stop ---- */

void registrar_init(struct registrar *r, const struct cluster_member *member,
		    int (*each_online)(void *self, registrar_each *each, void *arg), void *each_online_self)
{
	*r = (struct registrar){.magic = REGISTRAR_MAGIC,
				.member = member,
				.each_online = each_online,
				.each_online_self = each_online_self};
	lock_init(&r->lock, LOCK_SERVICE);
	lock_cond_init(&r->wake);
}

void registrar_fini(struct registrar *r)
{
	OBJ_CHECK(r, REGISTRAR_MAGIC);
	(void)pthread_cond_destroy(&r->wake);
	lock_fini(&r->lock);
	r->magic = 0;
}

int registrar_start(struct registrar *r, struct redis_lease *lease, struct redis_tell *tell)
{
	OBJ_CHECK(r, REGISTRAR_MAGIC);
	r->lease = lease;
	r->tell = tell;
	return thread_spawn(THREAD_SERVICE, "register", keep_registered, r, &r->thread);
}

void registrar_lost(struct registrar *r, unsigned loss)
{
	OBJ_CHECK(r, REGISTRAR_MAGIC);
	lock_take(&r->lock);
	r->lost = true;
	r->loss = loss;
	lock_drop(&r->lock);
	(void)pthread_cond_signal(&r->wake);
}

void registrar_stop(struct registrar *r)
{
	OBJ_CHECK(r, REGISTRAR_MAGIC);
	lock_take(&r->lock);
	r->stop = true;
	lock_drop(&r->lock);
	(void)pthread_cond_broadcast(&r->wake);
	if (r->thread != NULL)
		thread_join(&r->thread);
}
