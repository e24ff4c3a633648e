/* jwk_set: reads a JSON Web Key Set (RFC 7517), as login services publish one. Pure. SPDX-License-Identifier: MIT */
#ifndef LOGIC_JWK_SET_H
#define LOGIC_JWK_SET_H

#include <stddef.h>

#include "logic/jwt_keys.h"

/* The public keys of the set that sign tokens, in its order. Left out, and counted in *left_out: secrets, since everybody can read the
 * set; keys for other uses, of other kinds, too weak, or with a member of a wrong type; a second key of one name; and all beyond JWT_KEYS_MAX.
 * A key without `alg` is for RS256, or for what its curve says.
 *   0         *out is the caller's, with one key or more
 *   -EBADMSG  *fault has the words
 *   -ENOMEM */
int jwk_set_read(const char *text, size_t n, struct jwt_keys **out, unsigned *left_out, const char **fault);

#endif
