/* auth_webhook: the mode in which a back end identifies a client: the client's token is posted to auth.url. Any thread; a check
 * takes at most auth.timeout. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_WEBHOOK_H
#define LOGIC_AUTH_WEBHOOK_H

#include "common/base/reload.h"
#include "common/config/config.h"
#include "logic/auth_identity.h"

struct auth_webhook;

/* cfg outlives it. 0; -ERR_CONFIG (logged); -ENOMEM. */
int auth_webhook_new(const struct config *cfg, struct auth_webhook **out);
/* Nobody checks any more. */
void auth_webhook_free(struct auth_webhook **w);

/* To read the secret's file again. */
struct reload_part auth_webhook_reload(struct auth_webhook *w);

/* *who is zero. 0; -ERR_REFUSED; -ERR_NO_LOGIC: no answer that says yes or no; -ENOMEM. */
int auth_webhook_check(struct auth_webhook *w, const struct auth_request *request, struct auth_identity *who);

/* The answer of the back end, which came with a status 2xx. 0; -ERR_REFUSED: it says no; -EBADMSG: it says neither yes nor no, or
 * has an impossible value (words in who->refusal); -ENOMEM. */
int auth_webhook_read(const char *text, size_t n, struct auth_identity *who);

#endif
