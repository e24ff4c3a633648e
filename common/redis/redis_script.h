/* redis_script: a script that Redis runs in one step, and how it goes to a server that may know it already.
 *
 * EVAL brings the text, which Redis reads and hashes each time; EVALSHA brings the hash alone, and costs Redis a third less. On
 * each connection the first use is an EVAL and the later ones are EVALSHAs, which meet a server that knows the script: one
 * connection's commands are in order, and a server that was started anew has no old connections. A server forgets a script only
 * at SCRIPT FLUSH and, since Redis 7.4, when clients have brought hundreds of others. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_SCRIPT_H
#define COMMON_REDIS_REDIS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/redis/redis.h"
#include "common/redis/redis_name.h"

/* Treatment of a command whose connection broke before its answer came. */
enum redis_repeat {
	REDIS_ONCE,  /* fail: doing it twice would be wrong */
	REDIS_AGAIN, /* send it again on the next connection, before everything newer, until its deadline */
};

struct redis_script {
	const char *name;
	const char *text, *end;
	int arguments; /* so many; -n: n or more */
	enum redis_repeat repeat;
	bool of_many; /* it runs many calls at once: takes the arguments of each behind their number, and answers an array of what it
		       * says to each, in which there may be errors */
};

/* Calls of a script that run at once. More save little, and keep Redis from others. */
#define REDIS_SCRIPT_CALLS_MAX   16
#define REDIS_SCRIPT_CALLS_BYTES 16384

#define REDIS_SCRIPTS_MAX  32
#define REDIS_SCRIPT_BYTES 41 /* of a hash as a text */

/* The scripts that the server of one connection knows. One thread. */
struct redis_scripts {
	struct redis_name key; /* the one key of each script: see cluster/lua/prelude.lua */
	struct redis_script_known {
		const struct redis_script *script;
		char hash[REDIS_SCRIPT_BYTES];
		bool known;
	} all[REDIS_SCRIPTS_MAX];
	size_t n;
};

/* The arguments of one call, in the form of a command, as redisFormatCommand makes them. */
struct redis_arguments {
	const char *command;
	size_t bytes;
};

/* Append the command that runs the script for these calls, of which there is more than one only where it is of_many. 0; -ENOMEM,
 * -ENOTCONN: a part of it may stand in the buffer. */
int redis_scripts_append(struct redis_scripts *s, struct redis *redis, const struct redis_script *script,
			 const struct redis_arguments *calls, size_t n);
/* The server may not know it (NULL: any): the next use brings the text. */
void redis_scripts_forget(struct redis_scripts *s, const struct redis_script *script);

/* Its name in Redis: SHA-1 of the text. */
void redis_script_hash(const struct redis_script *script, char hash[REDIS_SCRIPT_BYTES]);

#endif
