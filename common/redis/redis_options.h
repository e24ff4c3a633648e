/* redis_options: where Redis is and who we are there, for one connection. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_OPTIONS_H
#define COMMON_REDIS_REDIS_OPTIONS_H

#include <stdint.h>

#include "common/config/config.h"

struct redis;

struct redis_options {
	const char *addr;      /* as redis_dial takes it; not looked at when there are sentinels */
	const char *sentinels; /* the same, several with commas; "" for none */
	const char *master;    /* the name that the sentinels know it by */
	const char *user;      /* "" for the default one */
	const char *password;  /* "" for none */
	const char *sentinel_user, *sentinel_password; /* the same at the sentinels */
	int64_t db;
	int64_t timeout_ms; /* to connect and to be let in; also the longest that a write may block */
	const char *prefix; /* redis.prefix, for scripts */
	const char *name;   /* of the connection, in CLIENT LIST */
	/* Said on each new connection before all else; after an error there is none. NULL: nothing. */
	int (*arrive)(struct redis *r, const struct redis_options *opt, int64_t deadline_ns);
};

/* The options of the [redis] section; the strings stay the configuration's. */
struct redis_options redis_options_of(const struct config *cfg, const char *name);

#endif
