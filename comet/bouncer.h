/* bouncer: keeps those out who are banned, and ends those that are in when a ban comes. Logic keeps them out as well, with better
 * words; but a ban may come to it when it has let a client in already, and to this comet before the client is in its bucket. So each
 * connection is looked at once more when it stands where a walk finds it, and each ban begins a walk: whichever comes second sees
 * the other. SPDX-License-Identifier: MIT */
#ifndef COMET_BOUNCER_H
#define COMET_BOUNCER_H

#include <stdbool.h>

#include "comet/connection.h"
#include "comet/server.h"
#include "common/base/worker.h"

/* Before logic is asked: by its address. False: it was refused, and is closing. Reader only. */
bool bouncer_lets_ask(struct server *s, struct connection *c);
/* It stands in its bucket, perhaps with a new token. False: it was ended. Any thread. */
bool bouncer_lets_stay(struct server *s, struct connection *c);

struct bouncer {
	struct server *server;
	struct worker worker;
};

/* From now on each change of s->bans begins a walk through all connections. 0, or thread_spawn's errors. */
int bouncer_start(struct bouncer *b, struct server *s);
/* After all who change s->bans. */
void bouncer_stop(struct bouncer *b);

#endif
