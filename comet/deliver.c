/* deliver: see deliver.h. SPDX-License-Identifier: MIT */
#include "comet/deliver.h"

#include <errno.h>

#include "comet/dispatch.h"
#include "comet/join_body.h"
#include "comet/joined.h"
#include "comet/whitelist.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"

/* How long a push waits for a dispatcher that has not had its turn. On a machine so busy that this is not enough, the
 * message meets the policy for slow consumers. */
#define TURN_NS CLOCK_SEC

/* Whom a message is for: a connection, or its membership in a room or in its user's stream. */
struct receiver {
	struct connection *connection;
	const struct membership *member; /* NULL: not as the member of anything */
	const struct room *room;         /* NULL of a stream */
	bool filter;
};

/* Has it joined the room, or the stream, so that pushes have numbers? */
static bool has_joined(const struct receiver *to)
{
	return to->member != NULL && to->member != &to->connection->place;
}

/* What has a number, or tells of them, is its user's if it comes to a connection by its key. */
static struct receiver receiver_of(struct connection *c, const struct message *message, bool filter)
{
	struct receiver to = {.connection = c, .filter = filter};

	if ((message->number > 0 || message->notice) && joins_has_own(c->joins))
		to.member = &c->joins->own.member;
	return to;
}

static void too_slow(struct server *s, struct connection *c, bool is_numbered)
{
	static struct log_limit limit = LOG_LIMIT(5);
	char peer[TRANSPORT_PEER_BYTES];

	connection_dropped(c, DROP_QUEUE_FULL, 1);
	if (is_numbered || s->cfg->protocol_slow_consumer == CONFIG_SLOW_DISCONNECT)
		(void)connection_shutdown(c, CLOSE_SLOW_CONSUMER); /* its reader logs the end */
	else
		LOG_LIMITED(LOG_WARN, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_MESSAGE_DROPPED));
}

/* Count one message by the return code of its push. One with a number is never lost in silence: who has joined its room and cannot
 * have it is closed, and comes again with its position. */
static void account(struct server *s, const struct receiver *to, const struct message *message, int rc)
{
	bool is_numbered = has_joined(to) && message->number > 0;

	switch (rc) {
	case -ENOMSG:
		count(COUNT_FILTERED);
		trace(to->connection, EVENT_TRACE_FILTERED,
		      (&(const struct packet){.op = message->op, .body_bytes = message->body_bytes}));
		break;
	case -ENOBUFS:
		too_slow(s, to->connection, is_numbered);
		break;
	case -ENOMEM:
		connection_dropped(to->connection, DROP_NO_MEMORY, 1);
		if (is_numbered)
			(void)connection_shutdown(to->connection, CLOSE_NO_MEMORY);
		break;
	default:
		connection_dropped(to->connection, DROP_CLOSED, 1);
		break;
	}
}

/* "" for what is in no room. */
static const char *name_of(const struct receiver *to)
{
	return to->room != NULL ? to->room->tally->id : "";
}

/* The message as this receiver is to have it: with a number, if it has joined the room. NULL: no memory. */
static struct message *form_for(const struct receiver *to, struct message *message)
{
	const char *room = name_of(to);

	if (to->connection->dialect != DIALECT_V2S || message->notice)
		return message;
	if (!has_joined(to) && (message = message_unnumbered(message)) == NULL)
		return NULL;
	return message_number_it(message, room) == 0 ? message : NULL;
}

/* `message` is the form of one that has this number. */
static int push_once(const struct receiver *to, struct message *message, uint64_t number)
{
	struct channel *ch = &to->connection->channel;

	if (to->member != NULL)
		return channel_push_to_member(ch, message, number, to->member, to->room);
	return channel_push(ch, message, to->filter);
}

/* *owed: the baton is ours, and a write with it. A full queue tells of a slow peer only if its socket is full, too: so first
 * we write, or let the dispatcher have its turn. */
static int push_with_patience(const struct receiver *to, struct message *pushed, bool *owed)
{
	struct message *message = form_for(to, pushed);
	int rc = message != NULL ? push_once(to, message, pushed->number) : -ENOMEM;

	if (rc == -ENOBUFS && *owed) {
		dispatch_now(to->connection);
		*owed = false;
		rc = push_once(to, message, pushed->number);
	}
	if (rc == -ENOBUFS && channel_wait_for_space(&to->connection->channel, message, clock_now_ns() + TURN_NS))
		rc = push_once(to, message, pushed->number);
	return rc;
}

/* The room's numbers jumped: those who have joined it are told, each of its own time to ask the back end. */
static int deliver_notice(struct server *s, const struct receiver *to, uint64_t at, bool *owed)
{
	struct message *notice;
	int rc;

	if (!has_joined(to))
		return 0;
	if ((rc = join_notice_gap(name_of(to), at, feeds_reload_ms(&s->feeds), &notice)) < 0)
		return rc;
	if ((rc = push_with_patience(to, notice, owed)) >= 0)
		count_by(COUNT_STREAM_GAPS, GAP_JUMP);
	message_unref(&notice);
	return rc;
}

/* All of them into the mailbox, then one write. */
static void deliver_batch(struct server *s, const struct receiver *to, struct message *const *messages, unsigned n)
{
	bool owed = false;

	for (unsigned i = 0; i < n; i++) {
		int rc = messages[i]->notice ? deliver_notice(s, to, messages[i]->number, &owed)
					     : push_with_patience(to, messages[i], &owed);

		if (rc < 0)
			account(s, to, messages[i], rc);
		else
			owed |= rc == 1;
	}
	if (owed)
		dispatch_now(to->connection);
}

void deliver(struct server *s, struct connection *c, struct message *message, bool filter)
{
	const struct receiver to = receiver_of(c, message, filter);

	deliver_batch(s, &to, &message, 1);
}

bool deliver_at_once(struct server *s, struct connection *c, struct message *message)
{
	const struct receiver to = receiver_of(c, message, true);
	struct message *form;
	int rc;

	if (message->notice)
		return false;
	form = form_for(&to, message);
	rc = form != NULL ? push_once(&to, form, message->number) : -ENOMEM;
	if (rc == -ENOBUFS)
		return false;
	if (rc < 0)
		account(s, &to, message, rc);
	else if (rc == 1)
		dispatch_now(c);
	return true;
}

/* A connection is touched once a push, so on a large room nearly all of it comes from memory: ask for what the next ones
 * need while this one's write is under way. The transport's lines can only be asked for once its pointer is here. */
#define AHEAD 4

static void prefetch(const struct connection *c)
{
	for (size_t line = 0; line < sizeof(*c); line += 64)
		__builtin_prefetch((const char *)c + line, 1);
}

void deliver_to_all(struct server *s, struct connections *all, struct message *const *messages, unsigned n)
{
	for (size_t i = 0; i < all->n; i++) {
		if (i + AHEAD < all->n)
			prefetch(all->all[i + AHEAD]);
		if (i + AHEAD / 2 < all->n)
			__builtin_prefetch(all->all[i + AHEAD / 2]->transport);
		deliver_batch(s, &(struct receiver){.connection = all->all[i], .filter = true}, messages, n);
	}
	connections_drop(all);
}

void deliver_to_members(struct server *s, struct members *list, struct message *const *messages, unsigned n)
{
	for (size_t i = 0; i < list->n; i++) {
		struct membership *m = list->all[i];

		if (i + 2 * AHEAD < list->n)
			__builtin_prefetch(list->all[i + 2 * AHEAD]);
		if (i + AHEAD < list->n)
			prefetch(list->all[i + AHEAD]->connection);
		if (i + AHEAD / 2 < list->n)
			__builtin_prefetch(list->all[i + AHEAD / 2]->connection->transport);
		deliver_batch(s, &(struct receiver){.connection = m->connection, .member = m, .room = list->room},
			      messages, n);
	}
	members_drop(list);
}

void deliver_to_nobody(struct room *room)
{
	struct connection *some[64];
	size_t n;

	while ((n = room_some_joined(room, some, sizeof(some) / sizeof(some[0]))) > 0)
		for (size_t i = 0; i < n; i++) {
			(void)connection_shutdown(some[i], CLOSE_NO_MEMORY);
			connection_unref(&some[i]);
		}
}
