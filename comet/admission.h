/* admission: may this one come in? Totals, per address, draining. Both doors (accept, websocket) ask it.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_ADMISSION_H
#define COMET_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "comet/close_reason.h"
#include "common/lock.h"
#include "common/strmap.h"

struct admission {
	/* set once */
	int64_t connections_max; /* always above 0 */
	int64_t per_ip_max;      /* 0: no limit */
	/* any thread */
	atomic_bool draining;
	/* under lock */
	struct lock lock;
	int64_t connections;
	struct strmap per_ip; /* address -> how many, in the pointer */
};

void admission_init(struct admission *a, int64_t connections_max, int64_t per_ip_max);
void admission_fini(struct admission *a);

/* One more from this address (text without the port). CLOSE_NONE: counted in, and admission_leave is owed; else why not,
 * counted and logged with the limit and the setting that raises it. Takes a->lock. */
enum close_reason admission_enter(struct admission *a, const char *address) WITHOUT(a->lock);
void admission_leave(struct admission *a, const char *address) WITHOUT(a->lock);

/* From now on nobody comes in. */
void admission_drain(struct admission *a);

/* Connections now, and from how many addresses. Takes a->lock. */
void admission_load(struct admission *a, int64_t *connections, int64_t *addresses) WITHOUT(a->lock);

/* How many connections this machine's limits allow this process, and which limit says so (static words with its value in
 * text). Reads RLIMIT_NOFILE, RLIMIT_NPROC, kernel.pid_max and threads-max. */
int64_t admission_machine_max(char *text, unsigned text_bytes);

#endif
