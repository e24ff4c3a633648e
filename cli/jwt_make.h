/* jwt_make: signs a JSON Web Token with a secret (HS256). Pure. SPDX-License-Identifier: MIT */
#ifndef CLI_JWT_MAKE_H
#define CLI_JWT_MAKE_H

#include <jansson.h>
#include <stddef.h>

/* kid: the name of the secret, or NULL. *token is malloc'ed, zero-terminated. 0 or -ENOMEM. */
int jwt_make(const json_t *claims, const char *kid, const void *secret, size_t secret_bytes, char **token);

#endif
