/* jwt: reads a JSON Web Token (RFC 7519, as a JWS in compact form), and believes no part of it before its signature is
 * checked. Any thread. SPDX-License-Identifier: MIT */
#ifndef LOGIC_JWT_H
#define LOGIC_JWT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "logic/auth_identity.h"
#include "logic/jwt_keys.h"

/* The keys that are known: those of files, and those of auth.jwks_url (NULL: none). */
struct jwt_sets {
	const struct jwt_keys *files, *fetched;
};

/* A token whose signature is good. */
struct jwt_token {
	json_t *header, *claims;
	const char *
		signer; /* the header's: the name of the key in a file that has signed it; NULL: a key without a name, or a fetched one */
};
void jwt_token_fini(struct jwt_token *token);

struct jwt_refusal {
	enum auth_cause cause;
	char kid[128]; /* AUTH_UNKNOWN_KEY: the name that is not known, perhaps cut; else empty */
};

/* A token that names a key is checked with the key of exactly this name, in a file first; where there is none, and for a token that names none,
 * with all keys that have no name. Of the header only alg and kid are looked at: jku, x5u, jwk and their like point to keys that the
 * sender chose. A token with crit is refused, since it asks for extensions that we do not know; so are "none", members that come twice,
 * base64url with padding or with bits left over, and nesting deeper than JSON_DEPTH_MAX. Claims are not judged here.
 *   0             jwt_token_fini is due for *out
 *   -ERR_REFUSED  *why says why
 *   -ENOMEM */
int jwt_read(const struct jwt_sets *sets, const char *token, size_t n, struct jwt_token *out, struct jwt_refusal *why);

#endif
