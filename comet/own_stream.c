/* own_stream: see own_stream.h. On the reader's thread. SPDX-License-Identifier: MIT */
#include "comet/own_stream.h"

#include <errno.h>

#include "comet/feed.h"
#include "comet/feed_source.h"
#include "comet/joins.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/wire/user.h"

#define ACK_BYTES 8
/* So long a connection waits at its end until Redis knows what it has confirmed. */
#define TELL_WAIT_NS (CLOCK_SEC / 2)

void own_stream_claim(const struct server *s, struct connection *c, const struct join_streams *asked)
{
	struct joined *own = &c->joins->own;

	own->member.connection = c;
	atomic_init(&own->member.after, MEMBERSHIP_DEAF);
	c->joins->has_own = !asked->no_user && kept_has_users(&s->feeds.kept) && user_is_somebody(&c->seat.user);
}

/* ---- joining ---- */

/* What this device has confirmed, or else the most that another one has; an entry that was lost looks like one that never was, so that is
 * a gap. *known: it is this device's. */
static int find_confirmed(struct server *s, struct connection *c, int64_t deadline_ns, uint64_t *at, bool *known)
{
	struct acks acks;
	int rc = feed_confirmed(&s->feeds, c->joins->own.feed, deadline_ns, &acks);

	if (rc < 0)
		return rc;
	*at = acks_get(&acks, c->seat.key);
	*known = *at > 0;
	if (!*known)
		*at = acks_get(&acks, NULL);
	acks_fini(&acks);
	return 0;
}

/* From where the client asks; "unacked" from what was confirmed, and where that cannot be had, all that there is. */
static int decide(struct server *s, struct connection *c, const struct join_streams *asked, int64_t deadline_ns,
		  struct feed_place *place)
{
	struct feed_wish wish = {.since = asked->since};
	bool known = true;
	int rc = 0;

	if (asked->unacked) {
		wish.last = MESSAGE_NUMBERS_END;
		rc = find_confirmed(s, c, deadline_ns, &wish.since, &known);
	}
	if (rc < 0 || (rc = feed_decide(&s->feeds, c->joins->own.feed, &wish, deadline_ns, NULL, place)) < 0)
		return rc;
	if (!known && !place->gap)
		count_by(COUNT_STREAM_GAPS, GAP_UNKNOWN);
	place->gap |= !known;
	return 0;
}

int own_stream_join(struct server *s, struct connection *c, const struct join_streams *asked,
		    struct join_outcome *outcome)
{
	const int64_t deadline_ns = clock_now_ns() + s->cfg->logic_timeout * CLOCK_MS;
	struct joined *own = &c->joins->own;
	char name[USER_STREAM_BYTES];
	struct feed_asked feed = {.room = user_stream(&c->seat.user, name)};
	int rc;

	feed_hold(&s->feeds, &feed, 1, deadline_ns);
	if (feed.rc < 0)
		return feed.rc;
	own->feed = feed.feed;
	feed_enter(&s->feeds, own->feed, &own->member);
	if ((rc = feed_catch_up(&s->feeds, &feed, deadline_ns)) < 0 ||
	    (rc = decide(s, c, asked, deadline_ns, &outcome->place)) < 0)
		return rc;
	if (outcome->place.gap)
		outcome->reload_ms = feeds_reload_ms(&s->feeds);
	return 0;
}

void own_stream_begin(struct connection *c, const struct join_outcome *outcome)
{
	joins_begin(c, &c->joins->own, outcome->place.at);
}

/* ---- what was confirmed ---- */

void own_stream_leave(struct server *s, struct connection *c)
{
	struct joined *own = c->joins != NULL ? &c->joins->own : NULL;

	if (own == NULL || own->feed == NULL)
		return;
	if (feed_source_is(&s->feeds))
		feed_source_tell_of(&s->feeds, own->feed, clock_now_ns() + TELL_WAIT_NS);
	atomic_store(&own->member.after, MEMBERSHIP_DEAF);
	feed_leave(&s->feeds, own->feed, &own->member);
	feed_release(&s->feeds, &own->feed);
}

/* ---- ACK ---- */

static bool take_ack(struct server *s, struct connection *c, const struct packet *p)
{
	struct joins *js = c->joins;
	uint64_t said, at;

	if (p->body_bytes != ACK_BYTES || js->own.feed == NULL)
		return false;
	said = (uint64_t)(uint32_t)packet_get_i32(p->body) << 32 | (uint32_t)packet_get_i32(p->body + 4);
	if (said == 0 || said < js->confirmed)
		return false;
	at = feed_confirm(&s->feeds, js->own.feed, js->key_is_made ? NULL : c->seat.key, said);
	js->confirmed = at;
	return at == said;
}

void own_stream_ack(struct server *s, struct connection *c, struct packet *p)
{
	count(take_ack(s, c, p) ? COUNT_ACKS : COUNT_ACKS_BAD);
	packet_drop_body(p);
	p->kind = PACKET_NOTHING;
}
