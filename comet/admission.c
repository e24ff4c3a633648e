/* admission: see admission.h. SPDX-License-Identifier: MIT */
#include "comet/admission.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "comet/transport/transport.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/base/obj.h"
#include "common/base/peer.h"
#include "common/base/stack.h"

int admission_init(struct admission *a, const struct admission_options *opt)
{
	BUG_UNLESS(opt->connections_max > 0);
	*a = (struct admission){.opt = *opt};
	if (rate_table_init(&a->addresses) < 0)
		return -ENOMEM;
	atomic_init(&a->draining, false);
	atomic_init(&a->handshakes, 0);
	lock_init(&a->lock, LOCK_POOL);
	strmap_init(&a->per_ip);
	count_add(COUNT_CONNECTIONS_LIMIT, opt->connections_max);
	return 0;
}

void admission_fini(struct admission *a)
{
	BUG_UNLESS(a->connections == 0 && a->per_ip.count == 0);
	count_add(COUNT_CONNECTIONS_LIMIT, -a->opt.connections_max);
	BUG_UNLESS(atomic_load(&a->handshakes) == 0);
	strmap_fini(&a->per_ip);
	rate_table_fini(&a->addresses);
	lock_fini(&a->lock);
}

void admission_change(struct admission *a, const struct admission_options *opt)
{
	int64_t more;

	lock_take(&a->lock);
	more = opt->connections_max - a->opt.connections_max;
	a->opt = *opt;
	lock_drop(&a->lock);
	count_add(COUNT_CONNECTIONS_LIMIT, more);
}

/* May one more come from this network? */
static enum close_reason check_network_locked(struct admission *a, const char *network, int64_t now) NEEDS(a->lock)
{
	const struct admission_options *opt = &a->opt;

	if (opt->per_ip_max > 0 && (intptr_t)strmap_get(&a->per_ip, network) >= opt->per_ip_max)
		return CLOSE_PER_IP;
	if (opt->connects_per_ip.per_second > 0 &&
	    rate_table_take(&a->addresses, &opt->connects_per_ip, network, now, 1) > 0)
		return CLOSE_CONNECTS_PER_IP;
	return CLOSE_NONE;
}

static enum close_reason check_locked(struct admission *a, const char *network, bool for_other, int64_t now)
	NEEDS(a->lock)
{
	const struct admission_options *opt = &a->opt;
	enum close_reason why;

	if (a->connections >= opt->connections_max)
		return CLOSE_CONNECTIONS;
	if (opt->handshakes_max > 0 && atomic_load(&a->handshakes) >= opt->handshakes_max)
		return CLOSE_HANDSHAKES;
	/* One address that comes too often takes nothing from what all may do. */
	if (!for_other && (why = check_network_locked(a, network, now)) != CLOSE_NONE)
		return why;
	if (rate_take(&opt->connects, &a->connects_ns, now, 1) > 0)
		return CLOSE_CONNECTS;
	return CLOSE_NONE;
}

static int add_locked(struct admission *a, const char *network) NEEDS(a->lock)
{
	intptr_t from_here = (intptr_t)strmap_get(&a->per_ip, network);

	return strmap_put(&a->per_ip, network, (void *)(from_here + 1), NULL);
}

static void remove_locked(struct admission *a, const char *network) NEEDS(a->lock)
{
	intptr_t from_here = (intptr_t)strmap_get(&a->per_ip, network);

	BUG_UNLESS(from_here > 0);
	/* Putting over a key that is there allocates nothing, so it cannot fail. */
	if (from_here > 1)
		BUG_UNLESS(strmap_put(&a->per_ip, network, (void *)(from_here - 1), NULL) == 0);
	else
		(void)strmap_del(&a->per_ip, network);
}

static enum close_reason enter_locked(struct admission *a, const char *network, bool for_other, int64_t now)
	NEEDS(a->lock)
{
	enum close_reason why = check_locked(a, network, for_other, now);

	if (why != CLOSE_NONE)
		return why;
	if (add_locked(a, network) < 0)
		return CLOSE_NO_MEMORY;
	a->connections++;
	(void)atomic_fetch_add(&a->handshakes, 1);
	return CLOSE_NONE;
}

/* The settings that raise the limit, and its value; NULL: it is no limit. */
static const char *what_to_raise(const struct admission_options *opt, enum close_reason why, int64_t *limit)
{
	switch (why) {
	case CLOSE_CONNECTIONS:
		*limit = opt->connections_max;
		return "limits.connections, or the machine's limits";
	case CLOSE_PER_IP:
		*limit = opt->per_ip_max;
		return "limits.per_ip; where a proxy stands in between, websocket.trusted_proxies or "
		       "tcp.proxy_protocol";
	case CLOSE_HANDSHAKES:
		*limit = opt->handshakes_max;
		return "limits.handshakes";
	case CLOSE_CONNECTS:
		*limit = opt->connects.per_second;
		return "limits.connects, or limits.burst";
	case CLOSE_CONNECTS_PER_IP:
		*limit = opt->connects_per_ip.per_second;
		return "limits.connects_per_ip, or limits.burst; where a proxy stands in between, "
		       "websocket.trusted_proxies or tcp.proxy_protocol";
	default:
		return NULL;
	}
}

static void say_refused(struct admission *a, const struct sockaddr *peer, enum close_reason why)
{
	struct admission_options opt;
	static struct log_limit log_limit = LOG_LIMIT(1);
	char address[TRANSPORT_PEER_BYTES];
	int64_t limit = 0;
	const char *raise;

	lock_take(&a->lock);
	opt = a->opt;
	lock_drop(&a->lock);
	raise = what_to_raise(&opt, why, &limit);
	peer_text(peer, false, address, sizeof(address));
	LOG_LIMITED(LOG_WARN, &log_limit, log_str("peer", address), log_what(EVENT_CONNECTION_REFUSED),
		    log_str("reason", close_reason_name(why)), log_str_if("raise", raise),
		    raise != NULL ? log_i64("limit", limit) : LOG_NONE);
}

static void refuse(struct admission *a, const struct sockaddr *peer, enum close_reason why)
{
	count_by(COUNT_REFUSED, why);
	say_refused(a, peer, why);
}

enum close_reason admission_enter(struct admission *a, const struct sockaddr *peer, bool for_other, enum ticket *ticket)
{
	char network[NETWORK_BYTES];
	enum close_reason why = CLOSE_DRAINING;
	int64_t now = clock_now_ns();

	*ticket = TICKET_NONE;
	peer_network(peer, network);
	if (!atomic_load(&a->draining)) {
		lock_take(&a->lock);
		why = enter_locked(a, network, for_other, now);
		lock_drop(&a->lock);
	}
	if (why == CLOSE_NONE) {
		*ticket = TICKET_HANDSHAKE;
		count(COUNT_CONNECTIONS);
	} else {
		refuse(a, peer, why);
	}
	return why;
}

enum close_reason admission_rename(struct admission *a, const struct sockaddr *proxy, const struct sockaddr *client)
{
	char before[NETWORK_BYTES], now[NETWORK_BYTES];
	enum close_reason why;

	peer_network(proxy, before);
	peer_network(client, now);
	lock_take(&a->lock);
	why = check_network_locked(a, now, clock_now_ns());
	/* Also who may not stay is this client, until it has gone. */
	if (add_locked(a, now) < 0)
		why = CLOSE_NO_MEMORY;
	else
		remove_locked(a, before);
	lock_drop(&a->lock);
	if (why != CLOSE_NONE)
		refuse(a, client, why);
	return why;
}

void admission_pass(struct admission *a, enum ticket *ticket)
{
	BUG_UNLESS(*ticket == TICKET_HANDSHAKE && atomic_fetch_sub(&a->handshakes, 1) > 0);
	*ticket = TICKET_IN;
}

void admission_leave(struct admission *a, const struct sockaddr *peer, enum ticket *ticket)
{
	char network[NETWORK_BYTES];

	if (*ticket == TICKET_NONE)
		return;
	if (*ticket == TICKET_HANDSHAKE)
		admission_pass(a, ticket);
	*ticket = TICKET_NONE;
	peer_network(peer, network);
	lock_take(&a->lock);
	BUG_UNLESS(a->connections > 0);
	a->connections--;
	remove_locked(a, network);
	lock_drop(&a->lock);
	count_add(COUNT_CONNECTIONS, -1);
}

void admission_drain(struct admission *a)
{
	atomic_store(&a->draining, true);
}

void admission_load(struct admission *a, int64_t *connections, int64_t *addresses)
{
	lock_take(&a->lock);
	*connections = a->connections;
	*addresses = (int64_t)a->per_ip.count;
	lock_drop(&a->lock);
}

/* ---- what the machine allows ---- */

/* The needs of a connection, of an HTTP caller, and of all the rest: listeners, timers, log, Redis, libraries. */
static const struct need {
	int64_t connection, caller, others;
} needs[MACHINE_RESOURCES] = {
	[MACHINE_FILES] = {1, 1, 100},
	[MACHINE_THREADS] = {2, 1, 200},
	/* Where a guard is a map, so is the stack above it; a caller has its stack from glibc, which does it like that. */
	[MACHINE_MAPS] = {4, 2, 500},
};

/* So many parked connections share what one needs otherwise: only those have threads whose clients are slow, or who wait for logic. */
#define PARKED_SHARE 16

/* Callers mostly are far fewer than they may be: a small limit is not all theirs. */
static int64_t allows(const struct need *need, int64_t value, int64_t callers, int64_t share)
{
	int64_t rest = value - need->others;
	int64_t theirs = callers * need->caller;

	return (rest - (theirs < rest / 2 ? theirs : rest / 2)) * share / need->connection;
}

int64_t admission_machine_max(int64_t http_callers, bool parks, char *text, unsigned text_bytes)
{
	int64_t most = INT32_MAX;

	(void)snprintf(text, text_bytes, "no limit");
	for (enum machine_limit i = 0; i < MACHINE_LIMITS; i++) {
		struct machine_reading r = machine_read(i);
		int64_t share = parks && r.of != MACHINE_FILES ? PARKED_SHARE : 1;
		int64_t n = allows(&needs[r.of], r.value, http_callers, share);

		if (r.value < 1 || n >= most || (r.of == MACHINE_MAPS && !stack_guard_is_map()))
			continue;
		most = n;
		(void)snprintf(text, text_bytes, "%s=%lld", r.name, (long long)r.value);
	}
	return most > 1 ? most : 1;
}
