/* auth_rooms: the back end at auth.room_url, which says who may enter which rooms, and its answers for as long as they count. Any
 * thread. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_ROOMS_H
#define LOGIC_AUTH_ROOMS_H

#include "common/base/reload.h"
#include "common/config/config.h"
#include "common/wire/grants.h"
#include "common/wire/seat.h"
#include "common/wire/wire.h"

struct auth_rooms;

/* cfg outlives it. 0; -ERR_CONFIG (logged); -ENOMEM; secret_start's errors. */
int auth_rooms_new(const struct config *cfg, struct auth_rooms **out);
void auth_rooms_free(struct auth_rooms **r);
/* To read auth.secret_file again. NULL: nothing to reload. */
struct reload_part auth_rooms_reload(struct auth_rooms *r);

/* May this connection enter these rooms? Those that *grants has not opened yet are asked about in one question, or known from before; those
 * that it may enter become passes without an end. Waits for the back end. 0; -ERR_NO_LOGIC: it gave no answer; -ENOMEM. */
int auth_rooms_ask(struct auth_rooms *r, const char *peer, const struct seat *seat, const struct wire_room_count *rooms,
		   size_t n, struct grants **grants);

#endif
