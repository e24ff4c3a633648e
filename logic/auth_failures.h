/* auth_failures: refused tokens of late: how many came from each network, so that one which sends junk does not keep the back end
 * busy, and which questions they were, so that the same one is not asked again at once. Memory of a fixed size. Any thread; takes
 * its lock. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_FAILURES_H
#define LOGIC_AUTH_FAILURES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/base/rate.h"
#include "common/wire/wire.h"

struct auth_failures {
	/* set once */
	struct rate rate;
	/* under lock */
	struct lock lock;
	struct rate_table networks;
	struct auth_failure *cells;
};

/* So many a second from one network are borne; 0: any number. 0 or -ENOMEM: fini it then as well. */
int auth_failures_init(struct auth_failures *f, int64_t per_second);
void auth_failures_fini(struct auth_failures *f);

/* May a client with this address ask, or have too many tokens of its network been refused? */
bool auth_failures_bear(struct auth_failures *f, const char *peer);
/* Was this question, a text, refused within the last seconds? Then these were the words. */
bool auth_failures_recall(struct auth_failures *f, const char *question, char words[WIRE_TEXT_BYTES]);
/* It was refused now. */
void auth_failures_note(struct auth_failures *f, const char *peer, const char *question, const char *words);

#endif
