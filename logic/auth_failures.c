/* auth_failures: see auth_failures.h. SPDX-License-Identifier: MIT */
#include "logic/auth_failures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/network.h"
#include "common/base/strmap.h"

/* An office whose tokens ran out over night comes in at once. */
#define BURST_NS (10 * CLOCK_SEC)
/* A client that was refused mostly tries again with the same token; a user who was let in meanwhile does not wait long. */
#define REMEMBER_NS (5 * CLOCK_SEC)
#define CELLS       1024

struct auth_failure {
	uint64_t question; /* its hash: no token is kept */
	int64_t until_ns;
	char words[WIRE_TEXT_BYTES];
};

int auth_failures_init(struct auth_failures *f, int64_t per_second)
{
	*f = (struct auth_failures){.rate = {per_second, BURST_NS}};
	lock_init(&f->lock, LOCK_POOL);
	f->cells = calloc(CELLS, sizeof(*f->cells));
	return f->cells != NULL && rate_table_init(&f->networks) == 0 ? 0 : -ENOMEM;
}

void auth_failures_fini(struct auth_failures *f)
{
	rate_table_fini(&f->networks);
	free(f->cells);
	lock_fini(&f->lock);
}

bool auth_failures_bear(struct auth_failures *f, const char *peer)
{
	char network[NETWORK_BYTES];
	bool may;

	lock_take(&f->lock);
	may = rate_table_ask(&f->networks, &f->rate, network_of(peer, network), clock_now_ns()) == 0;
	lock_drop(&f->lock);
	return may;
}

bool auth_failures_recall(struct auth_failures *f, const char *question, char words[WIRE_TEXT_BYTES])
{
	uint64_t hash = strmap_hash(question);
	const struct auth_failure *cell = &f->cells[hash % CELLS];
	bool found;

	lock_take(&f->lock);
	if ((found = cell->question == hash && clock_now_ns() < cell->until_ns))
		(void)snprintf(words, WIRE_TEXT_BYTES, "%s", cell->words);
	lock_drop(&f->lock);
	return found;
}

/* NOLINTNEXTLINE(bugprone-easily-swappable-parameters): whose, what, and what was said to it */
void auth_failures_note(struct auth_failures *f, const char *peer, const char *question, const char *words)
{
	char network[NETWORK_BYTES];
	uint64_t hash = strmap_hash(question);
	struct auth_failure *cell = &f->cells[hash % CELLS];
	int64_t now = clock_now_ns();

	lock_take(&f->lock);
	/* Calls that were under way when it was one too many count as well: so it is as many as may be, over some time. */
	rate_table_spend(&f->networks, &f->rate, network_of(peer, network), now);
	*cell = (struct auth_failure){.question = hash, .until_ns = now + REMEMBER_NS};
	(void)snprintf(cell->words, sizeof(cell->words), "%s", words);
	lock_drop(&f->lock);
}
