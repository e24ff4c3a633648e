/* redis_dial: the TCP connection under a redis. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_DIAL_H
#define COMMON_REDIS_REDIS_DIAL_H

#include <stdint.h>

struct redisContext; /* hiredis/hiredis.h; freed with redisFree */

/* Connect to "host:port" or "[v6]:port"; timeout_ms bounds the connect, and each write and read from then on, but not the
 * resolver. 0; -EINVAL: no such address; -ENOMEM; -EHOSTUNREACH or another -errno */
int redis_dial(const char *address, int64_t timeout_ms, struct redisContext **out);

#endif
