/* seat: see seat.h. SPDX-License-Identifier: MIT */
#include "common/wire/seat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int seat_copy(const struct seat *from, struct seat *to)
{
	const char *key = strdup(from->key);

	*to = (struct seat){0};
	if (key == NULL)
		return -ENOMEM;
	*to = *from;
	to->key = key;
	return 0;
}

const char *seat_owner(const struct seat *seat, char owner[SEAT_OWNER_BYTES])
{
	if (seat->mid != 0)
		(void)snprintf(owner, SEAT_OWNER_BYTES, "%lld", (long long)seat->mid);
	else
		(void)snprintf(owner, SEAT_OWNER_BYTES, "key %s", seat->key);
	return owner;
}

void seat_fini(struct seat *seat)
{
	free((char *)(uintptr_t)seat->key);
	*seat = (struct seat){0};
}
