/* bouncer: see bouncer.h. SPDX-License-Identifier: MIT */
#include "comet/bouncer.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/peer.h"

static const char *const labels[BAN_KINDS] = {"user", "key", "network", "tokens"};
COUNTER_LABELS(KEPT_OUT, labels, BAN_KINDS);

static void say(const struct connection *c, const struct ban_found *found)
{
	static struct log_limit limit = LOG_LIMIT(20);
	char peer[TRANSPORT_PEER_BYTES], until[BAN_TIME_BYTES];

	count_by(COUNT_KEPT_OUT, found->kind);
	ban_time(found->until_ms, until);
	LOG_LIMITED(LOG_INFO, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_CONNECTION_KEPT_OUT),
		    c->seat.key != NULL ? user_log(&c->seat.user) : LOG_NONE,
		    log_str("ban", ban_kind_name(found->kind)),
		    log_str_if("network", found->network[0] != '\0' ? found->network : NULL), log_str("until", until));
}

bool bouncer_lets_ask(struct server *s, struct connection *c)
{
	char words[WIRE_TEXT_BYTES], until[BAN_TIME_BYTES];
	struct ban_found found;
	struct cidr address;

	if (!peer_cidr(transport_peer(c->transport), &address) ||
	    !bans_find(s->bans, &(struct ban_subject){.address = &address}, &found))
		return true;
	say(c, &found);
	ban_time(found.until_ms, until);
	(void)snprintf(words, sizeof(words), "this network is kept out until %s", until);
	connection_explain(c, words);
	(void)connection_shutdown(c, CLOSE_BANNED);
	return false;
}

bool bouncer_lets_stay(struct server *s, struct connection *c)
{
	char user[USER_BYTES];
	struct cidr address;
	struct ban_subject who = {.key = c->seat.key, .issued_s = atomic_load(&c->issued_s)};
	struct ban_found found;

	if (peer_cidr(transport_peer(c->transport), &address))
		who.address = &address;
	if (user_is_somebody(&c->seat.user))
		who.user = user_text(&c->seat.user, user);
	if (!bans_find(s->bans, &who, &found))
		return true;
	if (connection_shutdown(c, found.kind == BAN_TOKENS ? CLOSE_REVOKED : CLOSE_BANNED))
		say(c, &found);
	return false;
}

/* ---- the walk ---- */

/* A walk is to take no more than a quarter of a core, however many bans come: after each it rests for three times as long. */
#define REST 3
/* What could not be listed, for want of memory, is tried again so much later. */
#define AGAIN_NS (250 * CLOCK_MS)

static bool look_at(void *arg, struct connection *c)
{
	(void)bouncer_lets_stay(arg, c);
	return true;
}

static int walk(struct server *s)
{
	static struct log_limit limit = LOG_LIMIT(1);
	int rc = server_each(s, look_at, s);

	if (rc < 0)
		LOG_LIMITED(LOG_ERROR, &limit, log_what(EVENT_BANS_WITHOUT_MEMORY));
	return rc;
}

static void work(void *arg)
{
	struct bouncer *b = arg;
	bool again = false;

	while (worker_wait(&b->worker, again ? clock_now_ns() + AGAIN_NS : WORKER_IDLE)) {
		int64_t begun_ns = clock_now_ns();

		again = walk(b->server) < 0;
		if (!worker_nap(&b->worker, clock_now_ns() + REST * (clock_now_ns() - begun_ns)))
			break;
	}
}

static void wake(void *arg)
{
	worker_wake(&((struct bouncer *)arg)->worker);
}

int bouncer_start(struct bouncer *b, struct server *s)
{
	int rc;

	b->server = s;
	if ((rc = worker_start(&b->worker, "bouncer", work, b)) == 0)
		bans_listen(s->bans, wake, b);
	return rc;
}

void bouncer_stop(struct bouncer *b)
{
	if (b->server != NULL)
		bans_listen(b->server->bans, NULL, NULL);
	worker_stop(&b->worker);
}
