/* redis_name: see redis_name.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_name.h"

#include <stdio.h>

struct redis_name redis_name_key(const struct config *cfg, const char *kind, const char *of)
{
	struct redis_name name;

	(void)snprintf(name.text, sizeof(name.text), "%s:%s%s%s", cfg->redis_prefix, kind, of[0] != '\0' ? ":" : "",
		       of);
	return name;
}

struct redis_name redis_name_channel(const struct config *cfg, const char *kind, const char *of)
{
	struct redis_name name;

	if (cfg->redis_db == 0)
		return redis_name_key(cfg, kind, of);
	(void)snprintf(name.text, sizeof(name.text), "%s:%lld:%s:%s", cfg->redis_prefix, (long long)cfg->redis_db, kind,
		       of);
	return name;
}

struct redis_name redis_name_beginning(const char *prefix)
{
	struct redis_name name;

	(void)snprintf(name.text, sizeof(name.text), "%s:", prefix);
	return name;
}
