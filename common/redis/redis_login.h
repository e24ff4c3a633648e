/* redis_login: the passwords for Redis and for its Sentinels: those of the settings, or those of files that SIGHUP reads again. A
 * program has one Redis, so these are the whole program's. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_LOGIN_H
#define COMMON_REDIS_REDIS_LOGIN_H

#include "common/base/reload.h"
#include "common/base/secret.h"
#include "common/config/config.h"

enum redis_login { REDIS_LOGIN_SERVER, REDIS_LOGIN_SENTINEL, REDIS_LOGINS };

/* Read the files of redis.password_file and redis.sentinel_password_file, where there are any; before the first connection. cfg
 * outlives all. 0; -errno, -ERR_CONFIG: logged */
int redis_login_start(const struct config *cfg);
/* To read them again: connections that stand stay, the next ones take the new passwords. */
struct reload_part redis_login_reload(enum redis_login which);

/* The password of the file; where there is none, `set`. Any thread. */
void redis_login_password(enum redis_login which, const char *set, char password[SECRET_BYTES]);

#endif
