/* channel_filter: the operations that a connection accepts, as its channel knows them: see channel.h.
 * SPDX-License-Identifier: MIT */
#include "comet/channel.h"

int channel_watch(struct channel *ch, const int32_t *ops, size_t n, size_t max)
{
	int rc;

	lock_take(&ch->lock);
	rc = accepts_add(&ch->accepts, ops, n, max);
	lock_drop(&ch->lock);
	return rc;
}

void channel_unwatch(struct channel *ch, const int32_t *ops, size_t n)
{
	lock_take(&ch->lock);
	accepts_remove(&ch->accepts, ops, n);
	lock_drop(&ch->lock);
}

void channel_keep(struct channel *ch, bool (*may)(void *arg, int32_t op), void *arg)
{
	lock_take(&ch->lock);
	accepts_keep(&ch->accepts, may, arg);
	lock_drop(&ch->lock);
}

void channel_watch_all(struct channel *ch)
{
	lock_take(&ch->lock);
	ch->accepts.all = true;
	lock_drop(&ch->lock);
}
