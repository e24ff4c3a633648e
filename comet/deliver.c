/* deliver: see deliver.h. SPDX-License-Identifier: MIT */
#include "comet/deliver.h"

#include <errno.h>

#include "comet/dispatch.h"
#include "common/counters.h"
#include "common/log.h"

enum slow_consumer { SLOW_DISCONNECT, SLOW_DROP }; /* as config.def lists the policies */

static void too_slow(struct server *s, struct connection *c)
{
	static struct log_limit limit = LOG_LIMIT(5);
	char peer[TRANSPORT_PEER_BYTES];

	count_by(COUNT_DROPPED, DROP_QUEUE_FULL);
	if (s->cfg->protocol_slow_consumer == SLOW_DISCONNECT)
		(void)connection_shutdown(c, CLOSE_SLOW_CONSUMER); /* its reader logs the end */
	else
		LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer),
			    log_what("message dropped: the client reads too slowly"));
}

void deliver(struct server *s, struct connection *c, struct message *message, bool filter)
{
	switch (channel_push(&c->channel, message, filter)) {
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
