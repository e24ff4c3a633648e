/* ban_keeper: where bans outlast this program. An interface with two makers: bans_file in a comet alone, bans_redis in a cluster.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_BAN_KEEPER_H
#define LOGIC_BAN_KEEPER_H

#include <stddef.h>

#include "common/wire/ban.h"

struct ban_keeper {
	/* Keep these, newer than all before: each gets its stamp, and is in the program's bans when this returns. Any thread; waits.
	 *   0
	 *   -ENOSPC       there would be more than limits.bans: nothing has changed
	 *   -EIO          they count here, and may be forgotten at the next start: it has been logged why
	 *   -ERR_NO_LOGIC, -ENOMEM  some of them may be kept */
	int (*put)(void *self, struct ban *list, size_t n);
	void *self;
};

#endif
