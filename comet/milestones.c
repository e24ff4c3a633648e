/* milestones: see milestones.h. SPDX-License-Identifier: MIT */
#include "comet/milestones.h"

#include <string.h>

#include "comet/bucket.h"
#include "comet/room.h"
#include "comet/tally.h"
#include "comet/whitelist.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/* A connection is conn in the lines of its comet, and key and session in those of logic: this line joins them. */
void milestones_say_authenticated(const struct connection *c)
{
	char peer[TRANSPORT_PEER_BYTES];

	LOG(LOG_DEBUG, CONNECTION_FIELDS(c, peer), log_what(EVENT_CONNECTION_AUTHENTICATED),
	    log_id("session", c->seat.session_id), user_log(&c->seat.user), log_str("over", c->transport->ops->name));
}

/* For the line of its end, where that is written. Without memory it has no room. */
void milestones_keep_room(struct server *s, struct connection *c, enum close_reason why)
{
	struct room *room;

	if (!log_enabled(close_reason_is_error(why) ? LOG_WARN : LOG_DEBUG) ||
	    bucket_rooms_of(server_bucket(s, c->seat.key), c, &room, 1) == 0)
		return;
	c->left_room = strdup(room->tally->id);
	room_unref(&room);
}

/* Messages that still wait reach nobody either. */
static int64_t dropped_by_now(struct connection *c)
{
	return (int64_t)atomic_load(&c->dropped) + channel_queued(&c->channel);
}

void milestones_say_closed(struct connection *c)
{
	static struct log_limit limit = LOG_LIMIT(20);
	enum close_reason why = atomic_load(&c->reason);
	enum log_level level = close_reason_is_error(why) ? LOG_WARN : LOG_DEBUG;
	uint64_t left_out = 0;
	char peer[TRANSPORT_PEER_BYTES];

	trace(c, EVENT_TRACE_CLOSED, NULL);
	if (!log_enabled(level) || (level == LOG_WARN && !log_limit_pass(&limit, &left_out)))
		return;
	log_write(level, (const struct log_field[]){
				 CONNECTION_FIELDS(c, peer),
				 log_what(EVENT_CONNECTION_CLOSED),
				 log_str("reason", close_reason_name(why)),
				 log_str_if("words", c->refusal),
				 user_log(&c->seat.user),
				 log_str("over", c->transport->ops->name),
				 log_i64("age_s", (clock_now_ns() - c->born_ns) / CLOCK_SEC),
				 log_str_if("room", c->left_room),
				 log_i64("delivered", atomic_load(&c->delivered)),
				 log_i64("dropped", dropped_by_now(c)),
				 left_out > 0 ? log_i64("left_out", (int64_t)left_out) : LOG_NONE,
				 LOG_END,
			 });
}
