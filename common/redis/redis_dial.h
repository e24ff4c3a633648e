/* redis_dial: the socket under a redis. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_DIAL_H
#define COMMON_REDIS_REDIS_DIAL_H

#include <stdint.h>

struct redisContext; /* hiredis/hiredis.h; freed with redisFree */

/* Connect to "host:port", "[v6]:port" or "unix:/path". Where the host is a name, each of its addresses is tried, of version 4 and 6, in
 * the resolver's order. timeout_ms bounds each connect, and each write and read from then on, but not the resolver.
 * 0; -EINVAL: no such place; -ENOMEM; -ERR_NAME: the name does not resolve; or the -errno of the last try */
int redis_dial(const char *place, int64_t timeout_ms, struct redisContext **out);

#endif
