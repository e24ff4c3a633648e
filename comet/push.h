/* push: the push threads. Each has a share of the buckets, and every push passes through every thread that it concerns in
 * the order in which it was accepted: so all pushes accepted one after the other reach each connection in that order,
 * whatever their targets, and a large room is worked on by all threads at once. SPDX-License-Identifier: MIT */
#ifndef COMET_PUSH_H
#define COMET_PUSH_H

#include "comet/server.h"
#include "common/wire/wire.h"

struct push;

/* Start n threads, at least 1, with space for queue_max pushes or 64 MiB of them. 0, -ENOMEM, -EAGAIN. */
int push_start(struct server *s, unsigned n, unsigned queue_max, struct push **out);
/* Deliver what was accepted, then join. Nobody calls push_accept any more. */
void push_stop(struct push **p);

/* The push_sink of a comet; self is a struct push *. The push is copied. Waits for space in the queue up to a second.
 *   0        accepted: each target gets it or a counter says why not
 *   -EAGAIN  no space: nothing was taken; counted
 *   -ENOMEM  nothing was taken
 * A push to all with a speed is paced on a thread of its own, beside the order of the others. A push to a room of a kept type, or to a user's stream, has
 * its number in push->message from then on, which must be this push's alone; so has WIRE_CLEAR, whose number the room's feed has jumped
 * to, or 0 where it is not here. */
int push_accept(void *self, const struct wire_push *push);

#endif
