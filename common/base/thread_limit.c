/* thread_limit: which limit of the machine stands in the way of one more thread. Read once a spawn failed, by the thread
 * that logs it. The kernel answers EAGAIN for all of them, so the one with the least space left is named.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "common/base/machine.h"
#include "common/base/thread.h"

static double share(const struct machine_reading *r)
{
	return r->value > 0 ? (double)r->used / (double)r->value : 0;
}

void thread_limit_text(char *text, size_t text_bytes)
{
	struct machine_reading worst = machine_read(MACHINE_PID_MAX);

	for (enum machine_limit i = 0; i < MACHINE_LIMITS; i++) {
		struct machine_reading r = machine_read(i);

		if (r.of != MACHINE_FILES && share(&r) > share(&worst))
			worst = r;
	}
	(void)snprintf(text, text_bytes, "%s: %lld of %lld used; raise it: %s", worst.name, (long long)worst.used,
		       (long long)worst.value, worst.how);
}
