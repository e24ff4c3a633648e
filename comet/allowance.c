/* allowance: see allowance.h. SPDX-License-Identifier: MIT */
#include "comet/allowance.h"

#include "comet/errand.h"
#include "comet/joined.h"
#include "comet/reader.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/base/rate.h"

/* Packets before AUTH, which are read and forgotten: no client has a use for more than a few. */
static const struct rate strangers = {.per_second = 10, .burst_ns = CLOCK_SEC};

/* Frames that are no packet: pings, pongs and fragments of a WebSocket. A message of a thousand fragments still comes at once. */
static const struct rate frames = {.per_second = 100, .burst_ns = 10 * CLOCK_SEC};

/* New tokens from one client. Each may cost a signature or a call to the back end, which those who come in are waiting for,
 * and a client with a good one needs the next in minutes: two at once, because one may be lost, and then one a second. */
static const struct rate renewals = {.per_second = 1, .burst_ns = CLOCK_SEC};

static void say_held_back(struct connection *c, enum connection_limit which)
{
	static const char *const words[LIMIT_MAX] = {
		[LIMIT_PACKETS] = "it sends more packets a second than limits.packets",
		[LIMIT_BYTES] = "it sends more bytes a second than limits.bytes",
		[LIMIT_FRAMES] = "it sends many pings, pongs or fragments a second",
		[LIMIT_BEFORE_AUTH] = "it sends packets before it says who it is",
		[LIMIT_RENEWALS] = "it sends new tokens again and again",
		[LIMIT_UPSTREAM] = "it sends more packets for a back end a second than limits.upstream",
		[LIMIT_JOINS] = "it joins more rooms a second than limits.joins",
	};
	static struct log_limit limit = LOG_LIMIT(1);
	char peer[TRANSPORT_PEER_BYTES];

	count_by(COUNT_LIMITED, which);
	LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_CONNECTION_HELD_BACK),
		    log_str("why", words[which]));
}

static void wait_for(enum connection_limit *which, int64_t *wait_ns, enum connection_limit other, int64_t other_ns)
{
	if (other_ns <= *wait_ns)
		return;
	*which = other;
	*wait_ns = other_ns;
}

int64_t allowance_use(const struct server *s, struct connection *c, const struct packet *p)
{
	bool whole = p->kind == PACKET_WHOLE, stranger = c->seat.key == NULL && whole, auth = p->op == OP_AUTH && whole;
	const struct rate packets = rate_now(&s->packets), in_bytes = rate_now(&s->bytes), up = rate_now(&s->upstream);
	bool upstream = whole && up.per_second > 0 && errand_goes_up(s, c, p->op);
	uint32_t bytes = transport_taken(c->transport, p);
	enum connection_limit which = LIMIT_MAX;
	int64_t now, wait_ns = 0;

	if (packets.per_second == 0 && in_bytes.per_second == 0 && whole && !auth && !stranger && !upstream)
		return 0;
	now = clock_now_ns();
	wait_for(&which, &wait_ns, LIMIT_PACKETS, rate_pace(&packets, &c->packets_ns, now, 1));
	wait_for(&which, &wait_ns, LIMIT_BYTES, rate_pace(&in_bytes, &c->bytes_ns, now, bytes));
	if (!whole)
		wait_for(&which, &wait_ns, LIMIT_FRAMES, rate_pace(&frames, &c->frames_ns, now, 1));
	if (stranger)
		wait_for(&which, &wait_ns, LIMIT_BEFORE_AUTH, rate_pace(&strangers, &c->strange_ns, now, 1));
	if (auth)
		wait_for(&which, &wait_ns, LIMIT_RENEWALS, rate_pace(&renewals, &c->renewals_ns, now, 1));
	if (upstream)
		wait_for(&which, &wait_ns, LIMIT_UPSTREAM, rate_pace(&up, &c->upstream_ns, now, 1));
	if (wait_ns == 0)
		return 0;
	say_held_back(c, which);
	return now + wait_ns;
}

void allowance_use_joins(const struct server *s, struct connection *c, size_t rooms)
{
	const struct rate joins = rate_now(&s->joins);
	int64_t now = clock_now_ns(), wait_ns = rate_pace(&joins, &c->joins->asked_ns, now, (int64_t)rooms);

	if (wait_ns == 0)
		return;
	say_held_back(c, LIMIT_JOINS);
	reader_hold_until(c, now + wait_ns);
}
