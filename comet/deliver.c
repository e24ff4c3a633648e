/* deliver: see deliver.h. SPDX-License-Identifier: MIT */
#include "comet/deliver.h"

#include <errno.h>

#include "comet/dispatch.h"
#include "common/clock.h"
#include "common/counters.h"
#include "common/log.h"

/* How long a push waits for a dispatcher that has not had its turn. On a machine so busy that this is not enough, the
 * message meets the policy for slow consumers. */
#define TURN_NS CLOCK_SEC

static void too_slow(struct server *s, struct connection *c)
{
	static struct log_limit limit = LOG_LIMIT(5);
	char peer[TRANSPORT_PEER_BYTES];

	count_by(COUNT_DROPPED, DROP_QUEUE_FULL);
	if (s->cfg->protocol_slow_consumer == CONFIG_SLOW_DISCONNECT)
		(void)connection_shutdown(c, CLOSE_SLOW_CONSUMER); /* its reader logs the end */
	else
		LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer),
			    log_what("message dropped: the client reads too slowly"));
}

/* A full queue tells of a slow peer only if its socket is full, too. */
static int push_with_patience(struct connection *c, struct message *message, bool filter)
{
	int rc = channel_push(&c->channel, message, filter);

	if (rc == -ENOBUFS && channel_wait_for_room(&c->channel, clock_now_ns() + TURN_NS))
		rc = channel_push(&c->channel, message, filter);
	return rc;
}

void deliver(struct server *s, struct connection *c, struct message *message, bool filter)
{
	switch (push_with_patience(c, message, filter)) {
	case 0:
		break;
	case 1:
		dispatch_now(c);
		break;
	case -ENOMSG:
		count(COUNT_FILTERED);
		break;
	case -ENOBUFS:
		too_slow(s, c);
		break;
	case -ENOMEM:
		count_by(COUNT_DROPPED, DROP_NO_MEMORY);
		break;
	default:
		count_by(COUNT_DROPPED, DROP_CLOSED);
		break;
	}
}

void deliver_to_all(struct server *s, struct connections *all, struct message *message, bool filter)
{
	for (size_t i = 0; i < all->n; i++)
		deliver(s, all->all[i], message, filter);
	connections_drop(all);
}
