/* tls_gate: see tls_gate.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/tls/tls_gate.h"

#include <errno.h>
#include <stddef.h>

#include "common/base/cores.h"
#include "common/base/counters.h"

void tls_gate_init(struct tls_gate *gate)
{
	unsigned half = cores() / 2;

	/* Before the park's: whoever is woken may end and free its guest, so it is woken under this lock. */
	lock_init(&gate->lock, LOCK_TIMER);
	lock_cond_init(&gate->left);
	gate->places = half > 0 ? half : 1;
	gate->waiting = 0;
	gate->first = gate->last = NULL;
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

static void take_out_locked(struct tls_gate *gate, struct tls_guest *guest) NEEDS(gate->lock)
{
	*(guest->prev != NULL ? &guest->prev->next : &gate->first) = guest->next;
	*(guest->next != NULL ? &guest->next->prev : &gate->last) = guest->prev;
}

/* A place is free: for the guest that waits longest, or else for a thread. */
static void let_in_locked(struct tls_gate *gate) NEEDS(gate->lock)
{
	struct tls_guest *guest = gate->first;

	if (guest != NULL && gate->places > 0) {
		gate->places--;
		take_out_locked(gate, guest);
		guest->state = TLS_GUEST_INSIDE;
		park_wake(guest->park, guest->parked);
	} else if (gate->waiting > 0) {
		(void)pthread_cond_signal(&gate->left);
	}
}

void tls_gate_leave(struct tls_gate *gate)
{
	lock_take(&gate->lock);
	gate->places++;
	let_in_locked(gate);
	lock_drop(&gate->lock);
}

int tls_gate_try(struct tls_gate *gate, struct tls_guest *guest)
{
	int rc = -EAGAIN;

	lock_take(&gate->lock);
	if (guest->state == TLS_GUEST_OUTSIDE && gate->places > 0 && gate->first == NULL) {
		gate->places--;
		guest->state = TLS_GUEST_INSIDE;
	}
	if (guest->state == TLS_GUEST_INSIDE)
		rc = 0;
	else if (guest->state == TLS_GUEST_GONE)
		rc = -EPIPE;
	lock_drop(&gate->lock);
	return rc;
}

void tls_gate_park(struct tls_gate *gate, struct tls_guest *guest, struct park *park, struct parked *p)
{
	count(COUNT_TLS_WAITED);
	lock_take(&gate->lock);
	if (guest->state != TLS_GUEST_OUTSIDE) {
		/* It was sent away meanwhile, or still waits after a wake that was for something else. */
		if (guest->state == TLS_GUEST_GONE)
			park_wake(park, p);
	} else {
		*guest = (struct tls_guest){TLS_GUEST_WAITS, NULL, gate->last, park, p};
		*(gate->last != NULL ? &gate->last->next : &gate->first) = guest;
		gate->last = guest;
		let_in_locked(gate); /* somebody may have left since it tried */
	}
	lock_drop(&gate->lock);
	park_asleep(park, p);
}

void tls_gate_forget(struct tls_gate *gate, struct tls_guest *guest)
{
	lock_take(&gate->lock);
	if (guest->state == TLS_GUEST_WAITS)
		take_out_locked(gate, guest);
	if (guest->state == TLS_GUEST_INSIDE) {
		gate->places++;
		let_in_locked(gate);
	}
	if (guest->state != TLS_GUEST_GONE)
		guest->state = TLS_GUEST_OUTSIDE;
	lock_drop(&gate->lock);
}

void tls_gate_send_away(struct tls_gate *gate, struct tls_guest *guest)
{
	lock_take(&gate->lock);
	if (guest->state == TLS_GUEST_WAITS) {
		take_out_locked(gate, guest);
		park_wake(guest->park, guest->parked);
	}
	if (guest->state != TLS_GUEST_INSIDE)
		guest->state = TLS_GUEST_GONE;
	lock_drop(&gate->lock);
}
