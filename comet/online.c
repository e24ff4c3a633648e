/* online: see online.h. SPDX-License-Identifier: MIT */
#include "comet/online.h"

#include <errno.h>
#include <stdlib.h>

#include "comet/feed_source.h"
#include "comet/figures.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/obj.h"
#include "common/base/worker.h"

/* Numbered streams looked at each time, whether they are over. */
#define FEEDS_A_ROUND 1000

struct online {
	unsigned magic;
#define ONLINE_MAGIC 0x0911e000
	struct server *server;
	int64_t interval_ns;
	bool only_changes;
	struct worker worker;
	/* the worker's */
	struct wire_load told;
	unsigned told_changes;
	bool told_once;
	int64_t tell_ns; /* when the next report is due */
};

static void each_room(void *arg, const char *room, int64_t count)
{
	struct server *s = arg;

	tally_told(&s->tallies, room, count);
}

static void tell(struct online *o)
{
	static struct log_limit limit = LOG_LIMIT(1);
	struct server *s = o->server;
	/* Read before the report, so that a change in between is told next time. */
	unsigned changes = atomic_load(&s->tallies.changes);
	struct wire_load load;
	struct wire_room_count *rooms;
	size_t n;
	int rc;

	load.taken_ns = clock_now_ns();
	admission_load(&s->admission, &load.connections, &load.addresses);
	load.delivered = counters_read(COUNT_DELIVERED);
	load.dropped = counters_read(COUNT_DROPPED);
	if (o->only_changes && o->told_once && changes == o->told_changes && load.connections == o->told.connections &&
	    load.addresses == o->told.addresses)
		return;
	if ((rc = tally_report(&s->tallies, &rooms, &n)) == 0) {
		rc = logic_client_renew_online(&s->logic, &load, rooms, n, each_room, s);
		tally_report_free(rooms, n);
	}
	if (rc < 0) {
		count(COUNT_LOGIC_FAILED);
		LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_ROOM_COUNTS_NOT_EXCHANGED),
			    log_str("error", err_text(rc)));
		return;
	}
	tally_told_all(&s->tallies);
	o->told = load;
	o->told_changes = changes;
	o->told_once = true;
}

static void keep_telling(void *arg)
{
	struct online *o = arg;
	int64_t note_ns;

	OBJ_CHECK(o, ONLINE_MAGIC);
	do {
		if (clock_now_ns() >= o->tell_ns) {
			tell(o);
			feeds_sweep(&o->server->feeds, FEEDS_A_ROUND);
			feed_source_stay(&o->server->feeds);
			feed_source_tell(&o->server->feeds);
			o->tell_ns = clock_now_ns() + o->interval_ns;
		}
		figures_note(o->server->chronicle, tally_rooms(&o->server->tallies));
		note_ns = chronicle_due_ns(o->server->chronicle);
	} while (worker_nap(&o->worker, note_ns < o->tell_ns ? note_ns : o->tell_ns));
	/* No connection is left, and this is the last time. */
	feed_source_tell(&o->server->feeds);
}

int online_start(struct server *s, int64_t interval_ms, bool only_changes, struct online **out)
{
	struct online *o = calloc(1, sizeof(*o));
	int rc;

	if (o == NULL)
		return -ENOMEM;
	o->magic = ONLINE_MAGIC;
	o->server = s;
	o->interval_ns = interval_ms * CLOCK_MS;
	o->only_changes = only_changes;
	if ((rc = worker_start(&o->worker, "online", keep_telling, o)) < 0) {
		free(o);
		return rc;
	}
	*out = o;
	return 0;
}

void online_stop(struct online **online)
{
	struct online *o = *online;

	OBJ_CHECK(o, ONLINE_MAGIC);
	worker_stop(&o->worker);
	o->magic = 0;
	free(o);
	*online = NULL;
}
