/* base64url: reads base64 in the alphabet for addresses (RFC 4648, 5), as tokens and keys of tokens have it. Pure.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_BASE64URL_H
#define LOGIC_BASE64URL_H

#include <stddef.h>
#include <stdint.h>

/* No padding, and bits that are left over must be zero: so each text is the only spelling of its bytes. *out is malloc'ed, and the caller's
 * also after an error. 0; -EBADMSG; -ENOMEM. */
int base64url_decode(const char *text, size_t n, uint8_t **out, size_t *bytes);

#endif
