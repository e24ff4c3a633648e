/* server: see server.h. SPDX-License-Identifier: MIT */
#include "comet/server.h"

#include <errno.h>
#include <stdlib.h>

#include "comet/transport/ws.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/obj.h"
#include "common/wire/packet.h"

static int64_t connections_max(const struct config *cfg)
{
	char limit[64];
	int64_t machine = admission_machine_max(cfg->http_callers, server_parks(cfg), limit, sizeof(limit));

	if (cfg->limits_connections > machine)
		LOG(LOG_WARN, log_what(EVENT_CONNECTIONS_NOT_ALLOWED),
		    log_i64("limits.connections", cfg->limits_connections), log_i64("allowed", machine),
		    log_str("by", limit));
	else
		LOG(LOG_INFO, log_what(EVENT_CONNECTIONS_ALLOWED), log_i64("allowed", machine), log_str("by", limit));
	return cfg->limits_connections > 0 ? cfg->limits_connections : machine;
}

static int buckets_new(struct server *s)
{
	s->n_buckets = (unsigned)s->cfg->bucket_size;
	s->buckets = calloc(s->n_buckets, sizeof(*s->buckets));
	if (s->buckets == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < s->n_buckets; i++)
		bucket_init(&s->buckets[i], &s->tallies);
	return 0;
}

static void buckets_free(struct server *s)
{
	for (unsigned i = 0; i < s->n_buckets; i++)
		bucket_fini(&s->buckets[i]);
	free(s->buckets);
	s->buckets = NULL;
}

/* As many rooms as it may be in at once, and a whole history, come without delay. */
static void take_join_rates(struct server *s, const struct config *cfg)
{
	int64_t burst = cfg->limits_burst * CLOCK_MS;

	s->joins = (struct rate){cfg->limits_joins, burst};
	if (cfg->limits_joins > 0 && cfg->limits_rooms * CLOCK_SEC / cfg->limits_joins > burst)
		s->joins.burst_ns = cfg->limits_rooms * CLOCK_SEC / cfg->limits_joins;
	s->replays = (struct rate){cfg->limits_replay, burst};
	if (cfg->limits_replay > 0)
		s->replays.burst_ns = (int64_t)((double)cfg->stream_bytes / (double)cfg->limits_replay * CLOCK_SEC);
}

static void take_settings(struct server *s, const struct config *cfg)
{
	*s = (struct server){.cfg = cfg};
	s->connection = (struct connection_options){
		.channel = {.ring_size = (uint32_t)cfg->protocol_cli_proto,
			    .queue_max = (uint32_t)cfg->protocol_svr_proto,
			    .queue_bytes_max = (size_t)cfg->limits_queued_bytes,
			    .use_baton = cfg->protocol_baton},
		.write_timeout_ns = cfg->protocol_write_timeout * CLOCK_MS,
		.goodbye = &s->goodbye,
	};
	s->packets = (struct rate){cfg->limits_packets, cfg->limits_burst * CLOCK_MS};
	s->bytes = (struct rate){cfg->limits_bytes, cfg->limits_burst * CLOCK_MS};
	take_join_rates(s, cfg);
	s->upstream = (struct rate){cfg->limits_upstream, cfg->limits_burst * CLOCK_MS};
	(void)ranges_parse(cfg->limits_upstream_ops, &s->upstream_ops); /* the settings have been checked */
}

static uint32_t longest_body(const struct config *cfg)
{
	return cfg->protocol_max_body > PACKET_TOKEN_BYTES ? (uint32_t)cfg->protocol_max_body : PACKET_TOKEN_BYTES;
}

int server_init(struct server *s, const struct config *cfg, unsigned timers)
{
	struct admission_options admission = {
		.connections_max = connections_max(cfg),
		.per_ip_max = cfg->limits_per_ip,
		.handshakes_max = cfg->limits_handshakes,
		.connects = {.per_second = cfg->limits_connects, .burst_ns = cfg->limits_burst * CLOCK_MS},
		.connects_per_ip = {.per_second = cfg->limits_connects_per_ip,
				    .burst_ns = cfg->limits_burst * CLOCK_MS},
	};
	int rc;

	take_settings(s, cfg);
	lock_init(&s->lock, LOCK_SERVICE);
	lock_cond_init(&s->changed);
	tally_table_init(&s->tallies);
	feeds_init(&s->feeds, cfg, &s->logic);
	if ((rc = bans_new(&s->bans)) < 0)
		goto fini_tallies;
	if ((rc = admission_init(&s->admission, &admission)) < 0)
		goto free_bans;
	if ((rc = whitelist_init(&s->whitelist, cfg->whitelist_list, cfg->whitelist_log)) < 0)
		goto fini_admission;
	if ((rc = buckets_new(s)) < 0)
		goto fini_whitelist;
	if ((rc = round_init(&s->round, timers, ws_buffer_bytes(longest_body(cfg)), connection_expired)) < 0)
		goto free_buckets;
	return 0;

free_buckets:
	buckets_free(s);
fini_whitelist:
	whitelist_fini(&s->whitelist);
fini_admission:
	admission_fini(&s->admission);
free_bans:
	bans_free(&s->bans);
fini_tallies:
	feeds_fini(&s->feeds);
	tally_table_fini(&s->tallies);
	(void)pthread_cond_destroy(&s->changed);
	lock_fini(&s->lock);
	s->cfg = NULL;
	LOG(LOG_ERROR, log_what(EVENT_START_FAILED), log_str("part", "server"), log_str("error", err_text(rc)));
	return rc;
}

void server_fini(struct server *s)
{
	BUG_UNLESS(s->roster == NULL);
	round_fini(&s->round);
	buckets_free(s);
	whitelist_fini(&s->whitelist);
	admission_fini(&s->admission);
	feeds_fini(&s->feeds);
	bans_free(&s->bans);
	tally_table_fini(&s->tallies);
	(void)pthread_cond_destroy(&s->changed);
	lock_fini(&s->lock);
}

unsigned server_bucket_number(const struct server *s, const char *key)
{
	/* Other bits than the map inside the bucket uses, so that its chains stay short. */
	return (unsigned)((strmap_hash(key) >> 32) % s->n_buckets);
}

struct bucket *server_bucket(struct server *s, const char *key)
{
	return &s->buckets[server_bucket_number(s, key)];
}

void server_enter(struct server *s, struct connection *c)
{
	lock_take(&s->lock);
	c->roster_prev = NULL;
	c->roster_next = s->roster;
	if (s->roster != NULL)
		s->roster->roster_prev = c;
	s->roster = c;
	s->on_roster++;
	lock_drop(&s->lock);
}

void server_leave(struct server *s, struct connection *c)
{
	admission_leave(&s->admission, transport_peer(c->transport), &c->ticket);
	lock_take(&s->lock);
	if (c->roster_prev != NULL)
		c->roster_prev->roster_next = c->roster_next;
	else
		s->roster = c->roster_next;
	if (c->roster_next != NULL)
		c->roster_next->roster_prev = c->roster_prev;
	s->on_roster--;
	if (s->on_roster == 0)
		(void)pthread_cond_broadcast(&s->changed);
	lock_drop(&s->lock);
}

int server_each(struct server *s, bool (*each)(void *arg, struct connection *c), void *arg)
{
	bool go_on = true;
	int rc = 0;

	for (unsigned b = 0; go_on && b < s->n_buckets; b++) {
		struct connections all = {0};

		if (bucket_all(&s->buckets[b], &all) < 0)
			rc = -ENOMEM;
		for (size_t i = 0; go_on && i < all.n; i++)
			go_on = each(arg, all.all[i]);
		connections_drop(&all);
	}
	return rc;
}

/* ---- drain ---- */

/* Sleep until the deadline, or until nobody is left: true. */
static bool wait_for_nobody(struct server *s, int64_t deadline_ns)
{
	bool nobody;

	lock_take(&s->lock);
	while (s->on_roster > 0 && clock_now_ns() < deadline_ns)
		(void)lock_wait_until(&s->changed, &s->lock, deadline_ns);
	nobody = s->on_roster == 0;
	lock_drop(&s->lock);
	return nobody;
}

/* References to all that are online now; those without memory to be listed are ended hard later. */
static void list_online(struct server *s, struct connections *all)
{
	for (unsigned i = 0; i < s->n_buckets; i++)
		if (bucket_all(&s->buckets[i], all) < 0)
			LOG(LOG_WARN, log_what(EVENT_DRAIN_WITHOUT_MEMORY));
}

/* Not one wait a connection: those due within the same moment go together. */
#define MOMENT_NS (10 * CLOCK_MS)

/* When the i-th of n has to go. */
static int64_t turn_of(int64_t start_ns, int64_t over_ms, size_t i, size_t n)
{
	return start_ns + over_ms * CLOCK_MS * (int64_t)i / (int64_t)n;
}

/* Each is told when its turn has come, and closed after the grace: both go through the list in order. */
static void send_away(struct server *s, int64_t over_ms, int64_t grace_ms)
{
	struct connections all = {0};
	int64_t start = clock_now_ns(), grace = grace_ms * CLOCK_MS;
	size_t told = 0, closed = 0;

	list_online(s, &all);
	while (closed < all.n) {
		int64_t now = clock_now_ns() + MOMENT_NS, next;

		for (; told < all.n && turn_of(start, over_ms, told, all.n) <= now; told++)
			if (grace > 0)
				connection_forewarn(all.all[told]);
		for (; closed < told && turn_of(start, over_ms, closed, all.n) + grace <= now; closed++) {
			(void)connection_shutdown(all.all[closed], CLOSE_DRAINING);
			connection_unref(&all.all[closed]);
		}
		if (closed == all.n)
			break;
		next = turn_of(start, over_ms, closed, all.n) + grace;
		if (told < all.n && turn_of(start, over_ms, told, all.n) < next)
			next = turn_of(start, over_ms, told, all.n);
		if (wait_for_nobody(s, next))
			break;
	}
	for (; closed < all.n; closed++)
		connection_unref(&all.all[closed]);
	free(all.all);
}

/* References to all that are still there; a connection leaves the roster before its last one goes. */
static int list_roster(struct server *s, struct connections *left)
{
	int rc;

	lock_take(&s->lock);
	if ((rc = connections_reserve(left, (size_t)s->on_roster)) == 0)
		for (struct connection *c = s->roster; c != NULL; c = c->roster_next)
			connections_add(left, c);
	lock_drop(&s->lock);
	return rc;
}

static void end_hard(struct server *s)
{
	struct connections left = {0};

	if (list_roster(s, &left) < 0) {
		/* Without memory there is only the roster itself. Nothing in abort blocks; others just wait longer. */
		lock_take(&s->lock);
		for (struct connection *c = s->roster; c != NULL; c = c->roster_next)
			connection_abort(c, CLOSE_DRAINING);
		lock_drop(&s->lock);
		return;
	}
	for (size_t i = 0; i < left.n; i++)
		connection_abort(left.all[i], CLOSE_DRAINING);
	connections_drop(&left);
}

static int64_t count_roster(struct server *s)
{
	int64_t n;

	lock_take(&s->lock);
	n = s->on_roster;
	lock_drop(&s->lock);
	return n;
}

bool server_drain(struct server *s, int64_t over_ms, int64_t grace_ms)
{
	/* Patience with clients that take their time to read the goodbye and to close. */
	const int64_t goodbye_ns = 2 * CLOCK_SEC, hard_ns = 10 * CLOCK_SEC;

	admission_drain(&s->admission);
	send_away(s, over_ms, grace_ms);
	if (wait_for_nobody(s, clock_now_ns() + goodbye_ns))
		return true;
	end_hard(s);
	if (wait_for_nobody(s, clock_now_ns() + hard_ns + s->cfg->logic_timeout * 2 * CLOCK_MS))
		return true;
	LOG(LOG_ERROR, log_what(EVENT_CONNECTIONS_LEFT), log_i64("left", count_roster(s)));
	return false;
}
