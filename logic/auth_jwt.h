/* auth_jwt: the mode in which a signed token identifies a client. Any thread. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_JWT_H
#define LOGIC_AUTH_JWT_H

#include <stdbool.h>

#include "common/base/reload.h"
#include "common/config/config.h"
#include "common/wire/bans.h"
#include "logic/auth_identity.h"

struct auth_jwt;

/* Reads auth.jwt_keys; cfg outlives it. 0; -ERR_CONFIG (logged); -ENOMEM. */
int auth_jwt_new(const struct config *cfg, struct auth_jwt **out);
/* From now on tickets are looked up in them, too, as tokens are. Before the first question; they outlive it. */
void auth_jwt_heed(struct auth_jwt *a, struct bans *bans);
/* Keys of auth.jwks_url begin to come, where it is set. 0, or thread_spawn's errors. */
int auth_jwt_start(struct auth_jwt *a);
void auth_jwt_free(struct auth_jwt **a);
/* To read the files again. NULL: nothing to reload. */
struct reload_part auth_jwt_reload(struct auth_jwt *a);

/* Does this AUTH hold a token, good or not, and not only what a client may say of itself? Its memory failing counts as yes. */
bool auth_jwt_has_token(const struct auth_request *request);

/* *who is zero. 0; -ERR_REFUSED; -ERR_NO_LOGIC: its key may come in a moment; -ENOMEM. */
int auth_jwt_check(struct auth_jwt *a, const struct auth_request *request, struct auth_identity *who);

/* A ticket for this user: its rooms become passes of *grants, which may be NULL at first. 0; -ERR_REFUSED, counted by cause;
 * -ERR_NO_LOGIC: its key may come in a moment; -ENOMEM. */
int auth_jwt_ticket(struct auth_jwt *a, const char *ticket, size_t n, const struct user *user, struct grants **grants);

#endif
