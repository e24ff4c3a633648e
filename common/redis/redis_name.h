/* redis_name: the names of keys and channels in Redis: redis.prefix, then what it is, then whose. No other file makes one, but for
 * the scripts, which are given the beginning (cluster/lua/prelude.lua); cluster/schema.md lists them all. Pure; any thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_NAME_H
#define COMMON_REDIS_REDIS_NAME_H

#include "common/config/config.h"

/* Holds the longest prefix with the longest name of a comet or logic; what is longer is cut off. */
struct redis_name {
	char text[256];
};

/* "comet:push:comet-1"; with of "", "comet:servers". */
struct redis_name redis_name_key(const struct config *cfg, const char *kind, const char *of);
/* "comet:logic:logic-1", and in a database other than 0 "comet:3:logic:logic-1": a database has keys of its own, but channels are
 * the whole server's. */
struct redis_name redis_name_channel(const struct config *cfg, const char *kind, const char *of);
/* "comet:", with which all of them begin. */
struct redis_name redis_name_beginning(const char *prefix);

#endif
