/* config_redis: the rules of the section [redis]. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_CONFIG_REDIS_H
#define COMMON_CONFIG_CONFIG_REDIS_H

#include "common/config/config.h"

/* As config_check. No complaint shows any of an address before its last @. */
int config_redis_check(const struct config *cfg, FILE *errors);
/* After a check that found nothing: what a URL in redis.addr or redis.sentinels says of user, password and database goes to the
 * settings that are for it, and the addresses are plain ones from now on. 0 or -ENOMEM. */
int config_redis_settle(struct config *cfg);

#endif
