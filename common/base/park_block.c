/* park_block: a thread that blocks, or takes long, and another that takes its place. See park.h. SPDX-License-Identifier: MIT */
#include "common/base/lock.h"
#include "common/base/park.h"
#include "common/base/park_inside.h"

void park_let_next_block_locked(struct park *park) NEEDS(park->crew.lock)
{
	struct parked *p = park->waits_to_block.first;

	if (p == NULL || park->crew.blocked >= park->opt.blocked_max)
		return;
	park_queue_take_out(&park->waits_to_block, p);
	p->has_turn = true;
	park_make_ready_locked(park, p);
}

/* This thread does nothing for the others for a while. One who went on watch while it looked does not know what it has found. True:
 * crew_add starts another, without the lock. */
static bool hand_on_locked(struct park *park) NEEDS(park->crew.lock)
{
	if (park->ready.count + park->yielded.count > 0)
		park_ring_locked(park);
	return crew_replace_locked(&park->crew);
}

/* Unless somebody has woken it. */
static void wait_for_turn_locked(struct park *park, struct parked *p, bool first) NEEDS(park->crew.lock)
{
	if (p->woken)
		park_make_ready_locked(park, p);
	else if (first)
		park_queue_put_first(&park->waits_to_block, p, PARK_IN_TURN);
	else
		park_queue_put_last(&park->waits_to_block, p, PARK_IN_TURN);
	p->woken = false;
}

/* False: p waits for its turn. */
static bool begin_to_block_locked(struct park *park, struct parked *p) NEEDS(park->crew.lock)
{
	bool had_turn = p->has_turn;

	p->has_turn = false;
	if (park->crew.blocked < park->opt.blocked_max && (had_turn || park->waits_to_block.first == NULL)) {
		crew_block_locked(&park->crew);
		return true;
	}
	wait_for_turn_locked(park, p, had_turn);
	return false;
}

/* No thread is to be had. The last that waits does not block while another that does will come back. */
static bool block_all_the_same(struct park *park, struct parked *p)
{
	bool yes;

	lock_take(&park->crew.lock);
	yes = park->crew.awake > 0 || park->crew.blocked == 1;
	if (!yes) {
		crew_unblock_locked(&park->crew);
		wait_for_turn_locked(park, p, true);
	}
	lock_drop(&park->crew.lock);
	return yes;
}

bool park_block(struct park *park, struct parked *p)
{
	bool may, start;

	lock_take(&park->crew.lock);
	may = begin_to_block_locked(park, p);
	start = may && hand_on_locked(park);
	lock_drop(&park->crew.lock);
	if (start && crew_add(&park->crew) < 0)
		may = block_all_the_same(park, p);
	park_self.waits += may;
	return may;
}

void park_unblock(struct park *park)
{
	park_self.waits--;
	lock_take(&park->crew.lock);
	crew_unblock_locked(&park->crew);
	park_let_next_block_locked(park);
	lock_drop(&park->crew.lock);
}

/* Without a thread to be had nobody takes its place. */
static void hand_on(struct park *park, bool blocks)
{
	bool start;

	lock_take(&park->crew.lock);
	if (blocks)
		crew_block_locked(&park->crew);
	start = hand_on_locked(park);
	lock_drop(&park->crew.lock);
	if (start)
		(void)crew_add(&park->crew);
}

void park_wait_begin(void)
{
	if (park_self.park != NULL && park_self.waits++ == 0)
		hand_on(park_self.park, true);
}

void park_wait_end(void)
{
	if (park_self.park == NULL)
		return;
	if (park_self.waits > 1)
		park_self.waits--;
	else
		park_unblock(park_self.park);
}

void park_go_long(void)
{
	if (park_self.park != NULL && park_self.waits == 0)
		hand_on(park_self.park, false);
}
