/* crowd: how many connections a user may have at once (limits.per_user), and which of them goes. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CROWD_H
#define LOGIC_CROWD_H

#include "common/config/config.h"
#include "common/wire/wire.h"
#include "logic/bus.h"
#include "logic/registry.h"

struct crowd {
	const struct config *cfg;
	struct registry *registry;
	struct bus *bus;
};

/* This seat was just registered, and replaced none: is there a place for it? The oldest of its user may be told to go for it. Of several
 * that come at the same time each sees those with a smaller session id, and decides the same about them.
 *   0
 *   -ERR_PER_USER  it is one too many, and is registered no more: counted, with words
 * Where the registry does not know who is there, after a loss of data, it is let in. */
int crowd_admit(const struct crowd *c, const char *server, const struct seat *seat, char refusal[WIRE_TEXT_BYTES]);

#endif
