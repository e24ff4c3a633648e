/* redis_address: where a Redis or a Sentinel is, and who we are there, as redis.addr and redis.sentinels say it. Pure; any thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_REDIS_ADDRESS_H
#define COMMON_CONFIG_REDIS_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct redis_address {
	char place[320];    /* "host:port", "[v6]:port" or "unix:/path" */
	char user[256];     /* "": none was given */
	char password[512]; /* the same */
	int64_t db;         /* -1: the same */
	bool has_port;      /* false: the place has the one that a Redis has mostly */
};

/* Take "host:port", "[v6]:port", "unix:/path" or "redis://[[user]:password@]host[:port][/db]" apart; bytes in user and password may
 * be written as %40. NULL, or the fault in words that say nothing of the text. */
const char *redis_address_parse(const char *text, struct redis_address *out);

#endif
