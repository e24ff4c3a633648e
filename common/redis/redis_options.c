/* redis_options: see redis_options.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_options.h"

struct redis_options redis_options_of(const struct config *cfg, const char *name)
{
	return (struct redis_options){
		.addr = cfg->redis_addr,
		.sentinels = cfg->redis_sentinels,
		.master = cfg->redis_master,
		.user = cfg->redis_user,
		.password = cfg->redis_password,
		.sentinel_user = cfg->redis_sentinel_user,
		.sentinel_password = cfg->redis_sentinel_password,
		.db = cfg->redis_db,
		.timeout_ms = cfg->redis_timeout,
		.prefix = cfg->redis_prefix,
		.name = name,
	};
}
