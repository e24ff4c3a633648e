/* auth_claims: what a token whose signature is good says, and its reader. Pure functions. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_CLAIMS_H
#define LOGIC_AUTH_CLAIMS_H

#include <jansson.h>

#include "common/config/config.h"
#include "logic/auth_identity.h"

/* The claims of a token, and the client's members beside it, which nobody has signed; NULL: there are none. */
struct auth_told {
	const json_t *claims;
	const json_t *said;
	const char *signer; /* the name of the key in a file that has signed it, or NULL; auth.user_prefix goes by it */
};

/* The identity. A claim counts; where the token has none, the client's member beside it. 0; -ERR_REFUSED; -ENOMEM. */
int auth_claims_take(const struct config *cfg, const struct auth_told *told, struct auth_identity *who);

/* When it was issued, in seconds since 1970; 0: it does not say, or not as a date. */
int64_t auth_claims_issued(const json_t *claims);

/* A ticket for this user: each room of its claim "ticket", one or a list, becomes a pass of *grants, which may be NULL at first. Nothing
 * is said beside it. 0; -ERR_REFUSED, *why has the cause; -ENOMEM. */
int auth_claims_ticket(const struct config *cfg, const struct auth_told *told, const struct user *user,
		       struct grants **grants, struct auth_identity *why);

#endif
