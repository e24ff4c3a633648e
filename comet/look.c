/* look: see look.h. SPDX-License-Identifier: MIT */
#include "comet/look.h"

#include <string.h>

#include "comet/joined.h"

/* Does it accept the operation? What the first one accepts that does not is kept, for words. */
static bool accepts(struct channel *ch, int32_t op, struct fate *fate)
{
	bool does;

	lock_take(&ch->lock);
	does = accepts_has(&ch->accepts, op);
	if (!does && fate->filtered == 0) {
		const unsigned kept = ch->accepts.n < FATE_ACCEPTS ? ch->accepts.n : FATE_ACCEPTS;

		if (kept > 0)
			memcpy(fate->accepts, ch->accepts.ops, kept * sizeof(fate->accepts[0]));
		fate->n_accepts = ch->accepts.n;
	}
	lock_drop(&ch->lock);
	return does;
}

static void look_at_keys(struct server *s, const struct wire_push *push, struct fate *fate)
{
	fate->online = 0; /* logic may know of some that are only about to be here */
	for (size_t i = 0; i < push->n_keys; i++) {
		struct connection *c = bucket_get(server_bucket(s, push->keys[i]), push->keys[i]);

		if (c == NULL)
			continue;
		fate->online++;
		/* What is in its user's stream comes whatever it accepts: it would be missing there. */
		if (!(push->stream != NULL && joins_has_own(c->joins)) &&
		    !accepts(&c->channel, push->message->op, fate))
			fate->filtered++;
		connection_unref(&c);
	}
}

void look_at(struct server *s, const struct wire_push *push, struct fate *fate)
{
	if (push->target == WIRE_KEYS)
		look_at_keys(s, push, fate);
	else if (push->target == WIRE_ROOM)
		fate->online = tally_here(&s->tallies, push->room);
	fate->knows_online = fate->knows_filters = true;
}
