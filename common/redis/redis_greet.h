/* redis_greet: the first words on a connection that was just opened. On its thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_GREET_H
#define COMMON_REDIS_REDIS_GREET_H

#include "common/redis/redis.h"
#include "common/redis/redis_inner.h"
#include "common/redis/redis_login.h"

/* Say who we are, where there is a password: that of the file, or `set`. 0; -EACCES; as redis_command */
int redis_authenticate(struct redis *r, enum redis_login which, const char *user, const char *set);
/* Be let in, on the right database, and known by a name; and be sure that it is a master, where Sentinels have named it. 0; -EACCES,
 * -EPERM; -EROFS: a replica; as redis_command */
int redis_greet(struct redis *r);

#endif
