/* deliver: see deliver.h. SPDX-License-Identifier: MIT */
#include "comet/deliver.h"

#include <errno.h>

#include "comet/dispatch.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"

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
		LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_MESSAGE_DROPPED));
}

/* Count one message by the return code of channel_push. */
static void account(struct server *s, struct connection *c, int rc)
{
	switch (rc) {
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

/* *owed: the baton is ours, and a write with it. A full queue tells of a slow peer only if its socket is full, too: so first
 * we write, or let the dispatcher have its turn. */
static int push_with_patience(struct connection *c, struct message *message, bool filter, bool *owed)
{
	int rc = channel_push(&c->channel, message, filter);

	if (rc == -ENOBUFS && *owed) {
		dispatch_now(c);
		*owed = false;
		rc = channel_push(&c->channel, message, filter);
	}
	if (rc == -ENOBUFS && channel_wait_for_space(&c->channel, message, clock_now_ns() + TURN_NS))
		rc = channel_push(&c->channel, message, filter);
	return rc;
}

/* All of them into the mailbox, then one write. */
static void deliver_batch(struct server *s, struct connection *c, struct message *const *messages, unsigned n,
			  bool filter)
{
	bool owed = false;

	for (unsigned i = 0; i < n; i++) {
		int rc = push_with_patience(c, messages[i], filter, &owed);

		if (rc < 0)
			account(s, c, rc);
		else
			owed |= rc == 1;
	}
	if (owed)
		dispatch_now(c);
}

void deliver(struct server *s, struct connection *c, struct message *message, bool filter)
{
	deliver_batch(s, c, &message, 1, filter);
}

/* A connection is touched once a push, so on a large room nearly all of it comes from memory: ask for what the next ones
 * need while this one's write is under way. The transport's lines can only be asked for once its pointer is here. */
#define AHEAD 4

static void prefetch(const struct connection *c)
{
	for (size_t line = 0; line < sizeof(*c); line += 64)
		__builtin_prefetch((const char *)c + line, 1);
}

void deliver_to_all(struct server *s, struct connections *all, struct message *const *messages, unsigned n, bool filter)
{
	for (size_t i = 0; i < all->n; i++) {
		if (i + AHEAD < all->n)
			prefetch(all->all[i + AHEAD]);
		if (i + AHEAD / 2 < all->n)
			__builtin_prefetch(all->all[i + AHEAD / 2]->transport);
		deliver_batch(s, all->all[i], messages, n, filter);
	}
	connections_drop(all);
}
