/* uuid: names that nobody else has. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_UUID_H
#define COMMON_BASE_UUID_H

#define UUID_BYTES 37 /* with the zero byte */

/* A random one (RFC 9562, version 4). 0 or -EIO: the system has no random bytes. */
int uuid_make(char text[UUID_BYTES]);

#endif
