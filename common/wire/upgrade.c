/* upgrade: see upgrade.h. SPDX-License-Identifier: MIT */
#include "common/wire/upgrade.h"

#include <stdlib.h>
#include <string.h>

void upgrade_drop(struct upgrade *u)
{
	if (u->owned != NULL)
		explicit_bzero(u->owned, u->query_bytes + u->headers_bytes);
	free(u->owned);
	*u = (struct upgrade){0};
}
