/* redis_master: the server that the Sentinels name as the master, as this program knows it. One that they have left may go on saying that
 * it is a master for ten seconds, and everything written there meanwhile is lost. A program has one Redis, so this is the whole
 * program's. Any thread; never waits. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_MASTER_H
#define COMMON_REDIS_REDIS_MASTER_H

#include <stdbool.h>

#define REDIS_MASTER_BYTES 320 /* of an address, its zero byte included */

/* So many times it became another one: connections that were made before are to be given up. */
unsigned redis_master_switches(void);
/* This one it is: a Sentinel has said that it became the master, or a connection that was just made stands. Returns the number of
 * switches until then. */
unsigned redis_master_is(const char *address);
/* A Sentinel names this one. Is it the one that was left last? Then that Sentinel is behind, if another one names the new one. */
bool redis_master_was_left(const char *address);
/* Is it the one that this program knows, or does it know none yet? */
bool redis_master_is_known(const char *address);

#endif
