/* upgrade: the part of the request that opened a WebSocket which the back end hears that decides about the client. Bytes that may
 * be no UTF-8. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_UPGRADE_H
#define COMMON_WIRE_UPGRADE_H

#include <stddef.h>

/* Both together. */
#define UPGRADE_BYTES 8192

/* All zero: there is none. */
struct upgrade {
	const char *query; /* behind the ? */
	size_t query_bytes;
	const char *headers; /* those that auth.headers names: lines of "Name: value", each with a line feed */
	size_t headers_bytes;
	char *owned; /* memory that both stand in; NULL: it is somebody else's */
};

/* Forget it: there may be cookies in it. */
void upgrade_drop(struct upgrade *u);

#endif
