/* usher: leads a connection into a room and out of it, because a back end wants it. On a push thread, so that what was pushed before
 * comes before, and what is pushed after comes after. No token has a say in it. SPDX-License-Identifier: MIT */
#ifndef COMET_USHER_H
#define COMET_USHER_H

#include "comet/push_job.h"
#include "comet/server.h"

/* What became of it: labels of comet_led_total. */
enum usher_result {
	USHER_IN,
	USHER_OUT,
	USHER_WAS,      /* it was where it is wanted */
	USHER_GONE,     /* there is no such connection */
	USHER_TOO_MANY, /* it is in twice limits.rooms */
	USHER_NO_MEMORY,
	USHER_RESULTS
};

/* Do what the job (WIRE_JOIN, WIRE_LEAVE) wants of this connection; NULL: it is not there. One with streams joins the room beside others, and
 * is told by NOTICE; of another the room is the only one, and it is told nothing. */
void usher(struct server *s, struct connection *c, const struct push_job *job);

#endif
