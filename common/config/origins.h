/* origins: whose pages may connect, as websocket.origins lists them. An entry is an origin as browsers send it, whose first label
 * may be *, or "null" alone, or * for all. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_ORIGINS_H
#define COMMON_CONFIG_ORIGINS_H

#include <stdbool.h>
#include <stddef.h>

struct config;

struct origins {
	const char *_Atomic list; /* the config's; a reload changes it */
	bool loopback_only; /* of an empty list: only pages of this machine, or of the host that they connect to */
};

/* Those of the settings. Where auth.mode = open believes everybody, and only this machine may connect, a stranger's page in a browser
 * here must not: there an empty list is not all. */
struct origins origins_of(const struct config *cfg);

/* May a page of this origin connect? `host`: the request's Host. */
bool origins_let_in(const struct origins *o, const char *origin, size_t origin_bytes, const char *host,
		    size_t host_bytes);

/* Space for an entry. */
#define ORIGIN_BYTES 320

/* The nearest entry that a browser's origin can match: the entry itself where it can, but for case. False: there is none. */
bool origins_nearest(const char *entry, char nearest[ORIGIN_BYTES]);

#endif
