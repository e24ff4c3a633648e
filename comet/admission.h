/* admission: may this one come in? Totals, per address, how fast they come, how many are not through the handshake, draining.
 * accept asks it. One address is, for IPv6, a network of 64 bits, as one subscriber has it.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_ADMISSION_H
#define COMET_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "comet/close_reason.h"
#include "comet/ticket.h"
#include "common/base/lock.h"
#include "common/base/rate.h"
#include "common/base/strmap.h"

struct sockaddr;

/* 0 is no limit, but for connections_max. */
struct admission_options {
	int64_t connections_max; /* always above 0 */
	int64_t per_ip_max;
	int64_t handshakes_max;
	struct rate connects;
	struct rate connects_per_ip;
};

struct admission {
	/* any thread */
	atomic_bool draining;
	atomic_llong handshakes; /* tickets of that kind */
	/* under lock */
	struct lock lock;
	struct admission_options opt;
	int64_t connections;
	struct strmap per_ip;        /* network -> how many, in the pointer */
	int64_t connects_ns;         /* the bucket of opt.connects */
	struct rate_table addresses; /* those of opt.connects_per_ip */
};

/* 0 or -ENOMEM (fini is then not needed). */
int admission_init(struct admission *a, const struct admission_options *opt);
void admission_fini(struct admission *a);
/* Go by these from now on; who is in stays. Takes a->lock. */
void admission_change(struct admission *a, const struct admission_options *opt) WITHOUT(a->lock);

/* One more from this address. CLOSE_NONE: counted in, and *ticket says so; otherwise why not, counted and logged with the
 * limit and the setting that raises it. for_other: it is a proxy's, and whose it really is will be told (admission_rename): the limits
 * of one address do not hold for it. Takes a->lock. */
enum close_reason admission_enter(struct admission *a, const struct sockaddr *peer, bool for_other, enum ticket *ticket)
	WITHOUT(a->lock);
/* The one that came in from this proxy is this client. CLOSE_NONE: from now on it counts as coming from there, and leaves from
 * there. Otherwise why it may not stay, counted and logged; for CLOSE_NO_MEMORY it counts as before, for all else as coming from
 * there, too. Takes a->lock. */
enum close_reason admission_rename(struct admission *a, const struct sockaddr *proxy, const struct sockaddr *client)
	WITHOUT(a->lock);
/* It is through the handshake: the ticket is TICKET_IN. */
void admission_pass(struct admission *a, enum ticket *ticket);
/* The connection with that ticket from that address goes; TICKET_NONE: nothing happens. The ticket is then TICKET_NONE. Takes
 * a->lock. */
void admission_leave(struct admission *a, const struct sockaddr *peer, enum ticket *ticket) WITHOUT(a->lock);

/* From now on nobody comes in. */
void admission_drain(struct admission *a);

/* Connections now, and from how many addresses. Takes a->lock. */
void admission_load(struct admission *a, int64_t *connections, int64_t *addresses) WITHOUT(a->lock);

/* How many connections this machine's limits (common/base/machine.def) allow this process beside so many HTTP callers, and which
 * limit says so (its name and value in text). `parks`: they are parked, and few have threads at a time. */
int64_t admission_machine_max(int64_t http_callers, bool parks, char *text, unsigned text_bytes);

#endif
