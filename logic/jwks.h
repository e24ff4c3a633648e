/* jwks: the keys that a login service publishes at auth.jwks_url, fetched by a thread of its own: at start, every auth.jwks_refresh, and when a
 * token names a key that is not among them, but then at most every ten seconds (or auth.jwks_refresh). What was good last stays while the service does not answer, so
 * nobody with a known key waits for it. SPDX-License-Identifier: MIT */
#ifndef LOGIC_JWKS_H
#define LOGIC_JWKS_H

#include <stdbool.h>

#include "common/config/config.h"
#include "logic/jwt_keys.h"

struct jwks;

/* cfg outlives it, and names a jwks_url. 0 or -ENOMEM. */
int jwks_new(const struct config *cfg, struct jwks **out);
/* The first fetch begins. 0, or thread_spawn's errors. */
int jwks_start(struct jwks *j);
/* Nobody asks any more. A fetch that is under way is broken off. */
void jwks_free(struct jwks **j);

/* The caller's reference; NULL: none have come yet. Any thread. */
struct jwt_keys *jwks_keys(struct jwks *j);

/* A token names this key, which was not among jwks_keys. True: it is being looked for, so the client may try again in a moment;
 * false: it was looked for, just now, and is none of theirs. "" is a key without a name. Takes the lock of jwks, and does not wait.
 * Any thread. */
bool jwks_may_come(struct jwks *j, const char *kid);

#endif
