/* fence: see fence.h. SPDX-License-Identifier: MIT */
#include "comet/fence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/base/park.h"
#include "common/base/pattern.h"
#include "common/base/peer.h"
#include "common/wire/grants.h"

_Static_assert(GRANTS_NAME_BYTES == WIRE_ROOM_BYTES, "each room can be granted");

static const char *const causes[FENCE_CAUSES] = {
	[FENCE_AUTH_ROOM] = "auth_room",
	[FENCE_AUTH_OPS] = "auth_ops",
	[FENCE_ROOM] = "room",
	[FENCE_JOIN] = "join",
	[FENCE_OPS] = "ops",
	[FENCE_RENEWED_ROOM] = "renewed_room",
	[FENCE_EXPIRED_ROOM] = "expired_room",
};

COUNTER_LABELS(NOT_GRANTED, causes, FENCE_CAUSES);

static bool lists(const char *list, const char *name)
{
	char pattern[WIRE_ROOM_BYTES];

	while (config_list_next(&list, pattern, sizeof(pattern)))
		if (pattern_matches(pattern, name))
			return true;
	return false;
}

/* ---- rooms ---- */

/* As grants_room_until has it. */
static int64_t may_enter_until(const struct server *s, const struct connection *c, const char *room)
{
	int64_t until_ns, asked_ns;

	if (room[0] == '\0' || s->cfg->auth_rooms == CONFIG_ROOMS_OPEN || lists(s->cfg->auth_rooms_open, room))
		return GRANTS_FOR_EVER;
	until_ns = grants_room_until(c->grants, room);
	asked_ns = grants_room_until(c->asked, room);
	return until_ns > asked_ns ? until_ns : asked_ns;
}

bool fence_grants(const struct server *s, const struct connection *c, const char *room)
{
	const int64_t until_ns = may_enter_until(s, c, room);

	return until_ns != 0 && (until_ns == GRANTS_FOR_EVER || clock_now_ns() < until_ns);
}

/* Those that are to be asked for. */
static size_t pick(const struct server *s, const struct connection *c, const char *const *rooms, size_t n,
		   struct wire_room_count *out)
{
	size_t picked = 0;

	for (size_t i = 0; i < n; i++)
		if (!fence_grants(s, c, rooms[i]))
			out[picked++].room = rooms[i];
	return picked;
}

int fence_ask(const struct server *s, struct connection *c, const char *const *rooms, size_t n, const char *tickets)
{
	char peer[TRANSPORT_PEER_BYTES];
	const struct wire_connect request = {
		.token = (const uint8_t *)tickets, .token_bytes = strlen(tickets), .peer = peer};
	struct wire_room_count *asked;
	int rc = 0;

	if (tickets[0] == '\0' && s->cfg->auth_rooms != CONFIG_ROOMS_WEBHOOK)
		return 0;
	if ((asked = calloc(n + 1, sizeof(*asked))) == NULL)
		return -ENOMEM;
	if ((n = pick(s, c, rooms, n, asked)) > 0) {
		peer_text(transport_peer(c->transport), false, peer, sizeof(peer));
		fence_forget(c);
		park_wait_begin();
		rc = logic_client_permit(&s->logic, &request, &c->seat, asked, n, &c->asked);
		park_wait_end();
	}
	free(asked);
	return rc;
}

void fence_forget(struct connection *c)
{
	grants_free(&c->asked);
}

int64_t fence_until(const struct server *s, const struct connection *c, const char *room)
{
	const int64_t until_ns = may_enter_until(s, c, room);

	return until_ns == GRANTS_FOR_EVER ? 0 : until_ns;
}

static void say_not_granted(const struct connection *c, const char *room, enum fence_cause cause)
{
	static struct log_limit limit = LOG_LIMIT(5);
	char peer[TRANSPORT_PEER_BYTES];

	count_by(COUNT_NOT_GRANTED, cause);
	LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_ROOM_NOT_GRANTED),
		    user_log(&c->seat.user), log_str("room", room), log_str("at", causes[cause]));
}

bool fence_lets_in(const struct server *s, const struct connection *c, const char *room, enum fence_cause cause)
{
	if (fence_grants(s, c, room))
		return true;
	say_not_granted(c, room, cause);
	return false;
}

void fence_say_over(const struct connection *c, const char *room)
{
	say_not_granted(c, room, FENCE_EXPIRED_ROOM);
}

/* If it is in this room still, and no back end has led it there meanwhile. */
static void leave_place(struct server *s, struct connection *c, const struct room *room)
{
	struct bucket *b = server_bucket(s, c->seat.key);

	lock_take(&b->places);
	if (atomic_load(&c->place.room) == room && !membership_is_led(&c->place))
		bucket_leave_place(b, c);
	lock_drop(&b->places);
}

void fence_end_pass(struct server *s, struct connection *c)
{
	struct room *room;

	if (!membership_is_over(&c->place))
		return;
	room = bucket_room_of(server_bucket(s, c->seat.key), &c->place);
	if (room != NULL)
		fence_say_over(c, room->tally->id);
	leave_place(s, c, room);
	if (room != NULL)
		room_unref(&room);
}

/* ---- operations ---- */

static bool may_accept(const struct server *s, const struct connection *c, int32_t op)
{
	char name[12];

	(void)snprintf(name, sizeof(name), "%d", (int)op);
	return s->cfg->auth_ops == CONFIG_OPS_OPEN || grants_op(c->grants, op) || lists(s->cfg->auth_ops_open, name);
}

size_t fence_ops(const struct server *s, const struct connection *c, int32_t *ops, size_t n, enum fence_cause cause)
{
	static struct log_limit limit = LOG_LIMIT(5);
	char peer[TRANSPORT_PEER_BYTES];
	size_t kept = 0;
	int32_t refused = 0;

	for (size_t i = 0; i < n; i++)
		if (may_accept(s, c, ops[i]))
			ops[kept++] = ops[i];
		else
			refused = ops[i];
	if (kept == n)
		return n;
	count_by(COUNT_NOT_GRANTED, cause);
	LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_OPS_NOT_GRANTED),
		    user_log(&c->seat.user), log_i64("op", refused), log_i64("refused", (int64_t)(n - kept)),
		    log_str("at", causes[cause]));
	return kept;
}

/* Those that auth.ops_open names, too. */
static size_t add_open_ops(const struct server *s, int32_t ops[2 * GRANTS_MAX], size_t n)
{
	const char *list = s->cfg->auth_ops_open;
	char pattern[WIRE_ROOM_BYTES], *end;

	while (n < 2 * GRANTS_MAX && config_list_next(&list, pattern, sizeof(pattern))) {
		long long op = strtoll(pattern, &end, 10);

		if (end > pattern && *end == '\0' && op >= INT32_MIN && op <= INT32_MAX)
			ops[n++] = (int32_t)op;
	}
	return n;
}

static bool may_accept_all(const struct server *s, const struct connection *c)
{
	return s->cfg->auth_ops == CONFIG_OPS_OPEN || grants_every_op(c->grants) || lists(s->cfg->auth_ops_open, "*");
}

int fence_watch_all(const struct server *s, struct connection *c)
{
	int32_t ops[2 * GRANTS_MAX];
	size_t n;

	if (may_accept_all(s, c)) {
		channel_watch_all(&c->channel);
		return 0;
	}
	n = add_open_ops(s, ops, grants_named_ops(c->grants, ops));
	/* With those of a token before, which are there still. */
	return channel_watch(&c->channel, ops, n, 4 * GRANTS_MAX);
}

/* ---- a new token ---- */

struct asker {
	const struct server *s;
	const struct connection *c;
};

static bool still_accepts(void *arg, int32_t op)
{
	const struct asker *a = arg;

	return may_accept(a->s, a->c, op);
}

/* Unless a back end has led it there meanwhile. */
static void set_until(struct membership *m, int64_t had_ns, int64_t until_ns)
{
	(void)atomic_compare_exchange_strong(&m->until_ns, &had_ns, until_ns);
}

bool fence_keeps(const struct server *s, const struct connection *c, struct membership *m, const char *room)
{
	const int64_t had_ns = atomic_load(&m->until_ns), until_ns = may_enter_until(s, c, room);

	/* The back end has let it in, and sends it away. */
	if (had_ns == MEMBERSHIP_LED || (s->cfg->auth_rooms == CONFIG_ROOMS_WEBHOOK && had_ns == 0))
		return true;
	if (until_ns != GRANTS_FOR_EVER && had_ns != 0 && !membership_is_over(m)) {
		if (until_ns > had_ns)
			set_until(m, had_ns, until_ns);
		return true;
	}
	if (!fence_lets_in(s, c, room, FENCE_RENEWED_ROOM))
		return false;
	set_until(m, had_ns, until_ns == GRANTS_FOR_EVER ? 0 : until_ns);
	return true;
}

int fence_renew(struct server *s, struct connection *c, struct grants *grants)
{
	struct room *room = bucket_room_of(server_bucket(s, c->seat.key), &c->place);
	struct asker asker = {s, c};
	int rc = 0;

	grants_free(&c->grants);
	c->grants = grants;
	if (room != NULL && !fence_keeps(s, c, &c->place, room->tally->id))
		leave_place(s, c, room);
	if (room != NULL)
		room_unref(&room);
	if (s->cfg->auth_ops == CONFIG_OPS_OPEN)
		return rc;
	/* Those that come first, so that no push of an operation that was granted and still is falls in between. */
	if (!dialect_is_v2(c->dialect))
		rc = fence_watch_all(s, c);
	if (dialect_is_v2(c->dialect) || !may_accept_all(s, c))
		channel_keep(&c->channel, still_accepts, &asker);
	return rc;
}

/* ---- the start ---- */

void fence_warn(const struct config *cfg)
{
	if (cfg->auth_mode != CONFIG_AUTH_OPEN && cfg->auth_rooms == CONFIG_ROOMS_OPEN &&
	    cfg->auth_ops == CONFIG_OPS_OPEN)
		LOG(LOG_WARN, log_what(EVENT_ROOMS_OPEN));
}
