/* alone: the wiring of a comet that runs alone: the logic_client table filled with direct calls into logic/, the memory
 * registry, the in-process bus. The same logic code as comet-logic runs. SPDX-License-Identifier: MIT */
#ifndef COMET_ALONE_H
#define COMET_ALONE_H

#include "comet/wiring.h"
#include "common/config/config.h"

/* -ENOMEM; -ERR_CONFIG: the keys of tokens or the bans cannot be read (logged). */
wiring_maker alone_wire;

/* For -t: could alone_wire read the keys of tokens, and the bans? 0, where this comet is not alone, too; or as it. */
int alone_try_auth(const struct config *cfg);

#endif
