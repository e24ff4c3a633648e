/* kicks: see kicks.h. SPDX-License-Identifier: MIT */
#include "logic_client/kicks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

struct kick {
	uint64_t session_id;
	int64_t until_ns;
	enum wire_reason reason;
	char key[];
};

void kicks_init(struct kicks *k, int64_t keep_ns)
{
	*k = (struct kicks){.keep_ns = keep_ns};
	lock_init(&k->lock, LOCK_POOL);
	strmap_init(&k->by_key);
}

/* Drop the oldest kick. The map has another kick where the key was kicked again since. */
static void drop_first_locked(struct kicks *k) NEEDS(k->lock)
{
	struct kick *kick = k->ring[k->first];

	if (strmap_get(&k->by_key, kick->key) == kick)
		(void)strmap_del(&k->by_key, kick->key);
	free(kick);
	k->first = (k->first + 1) % KICKS_MAX;
	k->n--;
}

void kicks_fini(struct kicks *k)
{
	lock_take(&k->lock);
	while (k->n > 0)
		drop_first_locked(k);
	lock_drop(&k->lock);
	strmap_fini(&k->by_key);
	lock_fini(&k->lock);
}

static int add_locked(struct kicks *k, const struct seat *seat, enum wire_reason reason) NEEDS(k->lock)
{
	size_t bytes = strlen(seat->key) + 1;
	struct kick *kick = malloc(sizeof(*kick) + bytes);
	const struct kick *old = strmap_get(&k->by_key, seat->key);

	if (kick == NULL)
		return -ENOMEM;
	*kick = (struct kick){seat->session_id, clock_now_ns() + k->keep_ns, reason};
	memcpy(kick->key, seat->key, bytes);
	/* Kicks of two logics may come in any order. */
	if (old != NULL && old->session_id > seat->session_id)
		kick->session_id = old->session_id;
	if (strmap_put(&k->by_key, seat->key, kick, NULL) < 0) {
		free(kick);
		return -ENOMEM;
	}
	if (k->n == KICKS_MAX)
		drop_first_locked(k);
	k->ring[(k->first + k->n++) % KICKS_MAX] = kick;
	return 0;
}

int kicks_add(struct kicks *k, const struct wire_push *kick)
{
	int rc = 0;

	lock_take(&k->lock);
	while (k->n > 0 && k->ring[k->first]->until_ns < clock_now_ns())
		drop_first_locked(k);
	for (size_t i = 0; rc == 0 && kick->sessions != NULL && i < kick->n_keys; i++) {
		const struct seat seat = {.key = kick->keys[i], .session_id = kick->sessions[i]};

		if (seat.session_id != 0)
			rc = add_locked(k, &seat, kick->reason);
	}
	lock_drop(&k->lock);
	return rc;
}

bool kicks_has(struct kicks *k, const struct seat *seat, enum wire_reason *reason)
{
	const struct kick *kick;
	bool has;

	lock_take(&k->lock);
	kick = strmap_get(&k->by_key, seat->key);
	has = kick != NULL && kick->session_id >= seat->session_id && kick->until_ns >= clock_now_ns();
	if (has)
		*reason = kick->reason;
	lock_drop(&k->lock);
	return has;
}

void kicks_repeat(struct kicks *k, const struct seat *seat, push_sink *sink, void *sink_self)
{
	struct wire_push kick = {.target = WIRE_KICK, .keys = &seat->key, .sessions = &seat->session_id, .n_keys = 1};

	if (!kicks_has(k, seat, &kick.reason))
		return;
	/* With its queue full for long, the next heartbeat finds out. */
	(void)sink(sink_self, &kick);
}
