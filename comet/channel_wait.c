/* channel_wait: what threads wait for at a channel: space, a time, a close. See channel.h. SPDX-License-Identifier: MIT */
#include "comet/channel.h"

#include <errno.h>

bool channel_half_is_free(struct channel *ch)
{
	bool is_free;

	lock_take(&ch->lock);
	is_free = queue_is_half_free(&ch->queue);
	lock_drop(&ch->lock);
	return is_free;
}

int channel_wait_for_half(struct channel *ch)
{
	int rc = 0;

	lock_take(&ch->lock);
	ch->waiting++;
	while (!ch->closed && !queue_is_half_free(&ch->queue) && ch->calls == NULL)
		lock_wait(&ch->beds->space, &ch->lock);
	ch->waiting--;
	if (ch->closed)
		rc = -EPIPE;
	else if (!queue_is_half_free(&ch->queue))
		rc = -EAGAIN;
	ch->reader_waits = ch->waits_for_half = rc == -EAGAIN;
	lock_drop(&ch->lock);
	return rc;
}

int channel_pause(struct channel *ch, int64_t deadline_ns)
{
	bool late = false;
	int rc;

	lock_take(&ch->lock);
	while (!ch->closed && !late)
		late = !lock_wait_until(&ch->beds->space, &ch->lock, deadline_ns);
	rc = ch->closed ? -EPIPE : 0;
	lock_drop(&ch->lock);
	return rc;
}

int channel_expect(struct channel *ch)
{
	bool open;

	lock_take(&ch->lock);
	ch->reader_waits = open = !ch->closed;
	lock_drop(&ch->lock);
	return open ? 0 : -EPIPE;
}

bool channel_wait_for_space(struct channel *ch, const struct message *msg, int64_t deadline_ns)
{
	bool space, late = false;

	lock_take(&ch->lock);
	ch->waiting++;
	late = beds_new(&ch->beds) < 0;
	while (!ch->closed && !ch->stalled && !late && !queue_has_space(&ch->queue, msg))
		late = !lock_wait_until(&ch->beds->space, &ch->lock, deadline_ns);
	ch->waiting--;
	space = !ch->closed && queue_has_space(&ch->queue, msg);
	lock_drop(&ch->lock);
	return space;
}
