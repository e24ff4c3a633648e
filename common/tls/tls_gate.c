/* tls_gate: see tls_gate.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/tls/tls_gate.h"

#include <errno.h>

#include "common/base/cores.h"
#include "common/base/counters.h"

void tls_gate_init(struct tls_gate *gate)
{
	unsigned half = cores() / 2;

	lock_init(&gate->lock, LOCK_POOL);
	lock_cond_init(&gate->left);
	gate->places = half > 0 ? half : 1;
	gate->waiting = 0;
}

void tls_gate_fini(struct tls_gate *gate)
{
	(void)pthread_cond_destroy(&gate->left);
	lock_fini(&gate->lock);
}

int tls_gate_enter(struct tls_gate *gate, int64_t deadline_ns)
{
	bool late = false;
	int rc = 0;

	lock_take(&gate->lock);
	if (gate->places == 0)
		count(COUNT_TLS_WAITED);
	gate->waiting++;
	while (gate->places == 0 && !late)
		late = !lock_wait_until(&gate->left, &gate->lock, deadline_ns);
	gate->waiting--;
	if (gate->places > 0)
		gate->places--;
	else
		rc = -ETIME;
	lock_drop(&gate->lock);
	return rc;
}

void tls_gate_leave(struct tls_gate *gate)
{
	bool wake;

	lock_take(&gate->lock);
	gate->places++;
	wake = gate->waiting > 0;
	lock_drop(&gate->lock);
	if (wake)
		(void)pthread_cond_signal(&gate->left);
}
