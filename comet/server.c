/* server: see server.h. SPDX-License-Identifier: MIT */
#include "comet/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/figures.h"
#include "comet/transport/ws.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/obj.h"
#include "common/wire/packet.h"

/* So many the machine allows; limit: what does not allow more. */
static int64_t machine_max(const struct config *cfg, char limit[64])
{
	return admission_machine_max(cfg->http_callers, server_parks(cfg), limit, 64);
}

int64_t server_connections_max(const struct config *cfg)
{
	char limit[64];

	return cfg->limits_connections > 0 ? cfg->limits_connections : machine_max(cfg, limit);
}

static void find_machine_max(struct server *s)
{
	const struct config *cfg = s->cfg;
	char limit[64];

	s->machine_max = machine_max(cfg, limit);
	if (cfg->limits_connections > s->machine_max)
		LOG(LOG_WARN, log_what(EVENT_CONNECTIONS_NOT_ALLOWED),
		    log_i64("limits.connections", cfg->limits_connections), log_i64("allowed", s->machine_max),
		    log_str("by", limit));
	else
		LOG(LOG_INFO, log_what(EVENT_CONNECTIONS_ALLOWED), log_i64("allowed", s->machine_max),
		    log_str("by", limit));
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

static void take_rate(struct rate_live *live, int64_t per_second, int64_t burst_ns)
{
	rate_change(live, &(struct rate){per_second, burst_ns});
}

/* As many rooms as it may be in at once, and a whole history, come without delay. */
static void take_join_rates(struct server *s, const struct config *cfg)
{
	const int64_t joins = cfg->limits_joins, replay = cfg->limits_replay, burst = cfg->limits_burst * CLOCK_MS;
	const int64_t rooms_ns = joins > 0 ? cfg->limits_rooms * CLOCK_SEC / joins : 0;

	take_rate(&s->joins, joins, rooms_ns > burst ? rooms_ns : burst);
	take_rate(&s->replays, replay,
		  replay > 0 ? (int64_t)((double)cfg->stream_bytes / (double)replay * CLOCK_SEC) : burst);
}

static void take_limits(struct server *s, const struct config *cfg)
{
	const int64_t burst = cfg->limits_burst * CLOCK_MS;

	s->connection.channel.queue_bytes_max = (size_t)cfg->limits_queued_bytes;
	take_rate(&s->packets, cfg->limits_packets, burst);
	take_rate(&s->bytes, cfg->limits_bytes, burst);
	take_rate(&s->upstream, cfg->limits_upstream, burst);
	take_join_rates(s, cfg);
}

static void take_settings(struct server *s, const struct config *cfg)
{
	*s = (struct server){.cfg = cfg};
	s->connection = (struct connection_options){
		.channel = {.ring_size = (uint32_t)cfg->protocol_cli_proto,
			    .queue_max = (uint32_t)cfg->protocol_svr_proto,
			    .use_baton = cfg->protocol_baton},
		.write_timeout_ns = cfg->protocol_write_timeout * CLOCK_MS,
		.goodbye = &s->goodbye,
	};
	take_limits(s, cfg);
}

static struct admission_options admission_of(const struct server *s)
{
	const struct config *cfg = s->cfg;
	const int64_t burst = cfg->limits_burst * CLOCK_MS;

	return (struct admission_options){
		.connections_max = server_connections_max(cfg),
		.per_ip_max = cfg->limits_per_ip,
		.handshakes_max = cfg->limits_handshakes,
		.connects = {.per_second = cfg->limits_connects, .burst_ns = burst},
		.connects_per_ip = {.per_second = cfg->limits_connects_per_ip, .burst_ns = burst},
	};
}

/* ---- operations for the back end ---- */

static int make_ops(struct server *s, const struct config *cfg)
{
	if ((s->next_ops = calloc(1, sizeof(*s->next_ops))) == NULL)
		return -ENOMEM;
	return ranges_parse(cfg->limits_upstream_ops, &s->next_ops->ops); /* the settings have been checked */
}

static bool are_same(const struct ranges *a, const struct ranges *b)
{
	return a->n == b->n && memcmp(a->list, b->list, a->n * sizeof(a->list[0])) == 0;
}

static void settle_ops(struct server *s, bool use)
{
	struct upstream_ops *next = s->next_ops;

	s->next_ops = NULL;
	/* The same again would be kept beside them until the end. */
	if (!use || (s->upstream_ops != NULL && are_same(&s->upstream_ops->ops, &next->ops))) {
		free(next);
		return;
	}
	next->before = s->upstream_ops;
	s->upstream_ops = next;
}

static void free_ops(struct server *s)
{
	struct upstream_ops *ops = s->upstream_ops, *before;

	for (; ops != NULL; ops = before) {
		before = ops->before;
		free(ops);
	}
	s->upstream_ops = NULL;
}

/* ---- reloads ---- */

int server_prepare(struct server *s, const struct config *next)
{
	int rc = make_ops(s, next);

	if (rc == 0 && (rc = whitelist_prepare(&s->whitelist, next)) < 0)
		settle_ops(s, false);
	return rc;
}

static bool trace_again(void *arg, struct connection *c)
{
	whitelist_look(arg, c);
	return true;
}

void server_retrace(struct server *s)
{
	static struct log_limit limit = LOG_LIMIT(1);

	if (server_each(s, trace_again, &s->whitelist) < 0)
		LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_TRACE_INCOMPLETE));
}

void server_settle(struct server *s, bool use)
{
	struct admission_options admission;

	settle_ops(s, use);
	whitelist_settle(&s->whitelist, use);
	if (!use)
		return;
	admission = admission_of(s);
	take_limits(s, s->cfg);
	admission_change(&s->admission, &admission);
	server_retrace(s);
}

/* ---- start and stop ---- */

static uint32_t longest_body(const struct config *cfg)
{
	return cfg->protocol_max_body > PACKET_TOKEN_BYTES ? (uint32_t)cfg->protocol_max_body : PACKET_TOKEN_BYTES;
}

int server_init(struct server *s, const struct config *cfg, unsigned timers)
{
	struct admission_options admission;
	int rc;

	take_settings(s, cfg);
	find_machine_max(s);
	admission = admission_of(s);
	lock_init(&s->lock, LOCK_SERVICE);
	lock_cond_init(&s->changed);
	tally_table_init(&s->tallies);
	feeds_init(&s->feeds, cfg, &s->logic);
	if ((rc = bans_new(&s->bans)) < 0)
		goto fini_tallies;
	if ((rc = admission_init(&s->admission, &admission)) < 0)
		goto free_bans;
	if ((rc = whitelist_init(&s->whitelist, cfg)) < 0)
		goto fini_admission;
	if ((rc = make_ops(s, cfg)) < 0)
		goto fini_whitelist;
	settle_ops(s, true);
	if ((rc = buckets_new(s)) < 0)
		goto fini_whitelist;
	if ((rc = figures_new(&s->chronicle)) < 0)
		goto free_buckets;
	if ((rc = round_init(&s->round, timers, ws_buffer_bytes(longest_body(cfg)), connection_expired)) < 0)
		goto free_chronicle;
	return 0;

free_chronicle:
	chronicle_free(&s->chronicle);
free_buckets:
	buckets_free(s);
fini_whitelist:
	free(s->next_ops);
	free_ops(s);
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
	chronicle_free(&s->chronicle);
	buckets_free(s);
	free_ops(s);
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

/* When the i-th of n has to go: divided first, since an hour's nanoseconds times millions of connections is no int64. */
static int64_t turn_of(int64_t start_ns, int64_t over_ms, size_t i, size_t n)
{
	return start_ns + over_ms * CLOCK_MS / (int64_t)n * (int64_t)i;
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
