/* auth_open: the mode for trying out, and for networks where everybody is trusted: it believes the client.
 * docs/protocol.md, section 4, has the forms. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_OPEN_H
#define LOGIC_AUTH_OPEN_H

#include "logic/auth_identity.h"

/* *who is zero. 0; -ERR_REFUSED; -ENOMEM. */
int auth_open_check(const struct auth_request *request, struct auth_identity *who);

#endif
