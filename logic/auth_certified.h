/* auth_certified: clients whose certificate says who they are; the comet has looked at it, and names the user in it. Pure functions.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_CERTIFIED_H
#define LOGIC_AUTH_CERTIFIED_H

#include "common/config/config.h"
#include "logic/auth_identity.h"

/* What the client says of itself, as with auth.mode = open, but as the user of its certificate, whom also a key that it chooses has to
 * be of. 0; -ERR_REFUSED; -ENOMEM. */
int auth_certified_check(const struct config *cfg, const struct auth_request *request, struct auth_identity *who);

/* An identity that was found otherwise: it is the certificate's user, or nobody and so becomes that, and ends with the certificate. The
 * same. */
int auth_certified_hold(const struct config *cfg, const struct auth_request *request, struct auth_identity *who);

#endif
