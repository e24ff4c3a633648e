/* seat: see seat.h. SPDX-License-Identifier: MIT */
#include "common/wire/seat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int seat_copy(const struct seat *from, struct seat *to)
{
	const char *key = strdup(from->key), *name = from->user.name != NULL ? strdup(from->user.name) : NULL;

	*to = *from;
	to->key = key;
	to->user.name = name;
	if (key != NULL && (name != NULL) == (from->user.name != NULL))
		return 0;
	seat_fini(to);
	return -ENOMEM;
}

const char *seat_owner(const struct seat *seat, char owner[SEAT_OWNER_BYTES])
{
	if (user_is_somebody(&seat->user))
		return user_escaped(&seat->user, owner);
	(void)snprintf(owner, SEAT_OWNER_BYTES, "key %s", seat->key);
	return owner;
}

void seat_fini(struct seat *seat)
{
	free((char *)(uintptr_t)seat->key);
	free((char *)(uintptr_t)seat->user.name);
	*seat = (struct seat){0};
}
