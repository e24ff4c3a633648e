/* redis_login: see redis_login.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_login.h"

#include <stdio.h>

static struct secret passwords[REDIS_LOGINS] = {
	[REDIS_LOGIN_SERVER] = SECRET_STATIC("redis.password_file"),
	[REDIS_LOGIN_SENTINEL] = SECRET_STATIC("redis.sentinel_password_file"),
};

int redis_login_start(const struct config *cfg)
{
	int rc = secret_start(&passwords[REDIS_LOGIN_SERVER], cfg->redis_password_file);
	int rc_sentinel = secret_start(&passwords[REDIS_LOGIN_SENTINEL], cfg->redis_sentinel_password_file);

	return rc < 0 ? rc : rc_sentinel;
}

struct reload_part redis_login_reload(enum redis_login which)
{
	return secret_reload(&passwords[which]);
}

void redis_login_password(enum redis_login which, const char *set, char password[SECRET_BYTES])
{
	if (!secret_copy(&passwords[which], password))
		(void)snprintf(password, SECRET_BYTES, "%s", set);
}
