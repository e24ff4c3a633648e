/* tls_gate: how many handshakes sign at one time. A signature takes up to milliseconds, strangers get one for the asking, and those
 * who are served need the cores, too. Resumed sessions need none. SPDX-License-Identifier: MIT */
#ifndef COMMON_TLS_TLS_GATE_H
#define COMMON_TLS_TLS_GATE_H

#include <pthread.h>
#include <stdint.h>

#include "common/base/lock.h"

struct tls_gate {
	/* under lock */
	struct lock lock;
	pthread_cond_t left;
	unsigned places;
	unsigned waiting;
};

/* Half of the cores, and at least one, may be inside. */
void tls_gate_init(struct tls_gate *gate);
void tls_gate_fini(struct tls_gate *gate);

/* Wait for a place, up to deadline_ns. 0; -ETIME: there was none. Takes LOCK_POOL; not under a lock. */
int tls_gate_enter(struct tls_gate *gate, int64_t deadline_ns);
void tls_gate_leave(struct tls_gate *gate);

#endif
