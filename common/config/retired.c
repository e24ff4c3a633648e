/* retired: see retired.h. SPDX-License-Identifier: MIT */
#include "common/config/retired.h"

#include <stddef.h>
#include <string.h>

const struct retired retired_settings[] = {
#define retired(section, key, since, what_now) {#section "." #key, #section, #key, since, what_now},
#include "common/config/retired.def"
#undef retired
	{.name = NULL},
};

const struct retired *retired_find(const char *section, const char *key)
{
	for (const struct retired *r = retired_settings; r->name != NULL; r++)
		if (strcmp(r->section, section) == 0 && strcmp(r->key, key) == 0)
			return r;
	return NULL;
}
