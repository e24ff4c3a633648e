/* tls_gate: how many handshakes sign at one time. A signature takes up to milliseconds, strangers get one for the asking, and those
 * who are served need the cores, too. Resumed sessions need none. SPDX-License-Identifier: MIT */
#ifndef COMMON_TLS_TLS_GATE_H
#define COMMON_TLS_TLS_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/base/park.h"

enum tls_guest_state { TLS_GUEST_OUTSIDE, TLS_GUEST_WAITS, TLS_GUEST_INSIDE, TLS_GUEST_GONE };

/* A handshake that waits without a thread. All zero at first; its fields are the gate's. */
struct tls_guest {
	enum tls_guest_state state;
	struct tls_guest *next, *prev;
	struct park *park;
	struct parked *parked;
};

struct tls_gate {
	/* under lock */
	struct lock lock;
	pthread_cond_t left;
	unsigned places;
	unsigned waiting;               /* threads, */
	struct tls_guest *first, *last; /* and guests */
};

/* Half of the cores, and at least one, may be inside. */
void tls_gate_init(struct tls_gate *gate);
void tls_gate_fini(struct tls_gate *gate);

/* Wait for a place, up to deadline_ns. 0; -ETIME: there was none. Takes LOCK_TIMER; not under a lock. */
int tls_gate_enter(struct tls_gate *gate, int64_t deadline_ns);
void tls_gate_leave(struct tls_gate *gate);

/* Without waiting: is there a place, or has the guest one by now? Its reader. Takes LOCK_TIMER.
 *   0: until tls_gate_forget; -EAGAIN: tls_gate_park waits for one; -EPIPE: it was sent away */
int tls_gate_try(struct tls_gate *gate, struct tls_guest *guest);
/* Park p until the guest has a place, or is sent away. Its reader, which then is another thread. Takes LOCK_TIMER. */
void tls_gate_park(struct tls_gate *gate, struct tls_guest *guest, struct park *park, struct parked *p);
/* The guest's place is free, if it has one. Its reader, or who frees it. Takes LOCK_TIMER. */
void tls_gate_forget(struct tls_gate *gate, struct tls_guest *guest);
/* It gets none any more; if it waits, it is resumed. Any thread, as long as the guest is not freed. Takes LOCK_TIMER. */
void tls_gate_send_away(struct tls_gate *gate, struct tls_guest *guest);

#endif
