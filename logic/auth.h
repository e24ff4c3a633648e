/* auth: the identity of a client, or its refusal, by auth.mode: open, jwt or webhook. Knows no registry. Any thread.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_H
#define LOGIC_AUTH_H

#include <stdbool.h>

#include "common/base/reload.h"
#include "common/config/config.h"
#include "common/wire/bans.h"
#include "logic/auth_identity.h"

struct auth;

/* Reads the keys, where the mode has some. cfg outlives it. 0; -ERR_CONFIG (logged, with what to set); -ENOMEM. */
int auth_new(const struct config *cfg, struct auth **out);
/* From now on tickets are looked up in them, too, as tokens are by logic. Before the first question; they outlive it. */
void auth_heed(struct auth *a, struct bans *bans);
/* Before the first question: the thread that fetches keys begins, where the settings ask for one. 0, or thread_spawn's errors. */
int auth_start(struct auth *a);
/* Nobody asks any more. */
void auth_free(struct auth **a);

/* To read the keys, or the secret, again; where the mode has none: nothing to reload. */
struct reload_part auth_reload(struct auth *a);
/* The same for auth.rooms = webhook, which has the secret, too. */
struct reload_part auth_reload_rooms(struct auth *a);

/* Who is it? *who needs auth_identity_fini only on 0.
 *   0
 *   -ERR_REFUSED   refused; who->refusal says why
 *   -ERR_NO_LOGIC  the back end that decides gave no answer
 *   -ENOMEM */
int auth_check(struct auth *a, const struct auth_request *request, struct auth_identity *who);
/* The same for an authenticated connection: the new token must be for the same user and, if it names a key, for that
 * one. */
int auth_check_again(struct auth *a, const struct auth_request *request, struct auth_identity *who);

/* A ticket for this user: its rooms become passes of *grants, which may be NULL at first. 0; -ERR_REFUSED, counted by cause, also where
 * auth.mode knows no tickets; -ERR_NO_LOGIC: its key may come in a moment; -ENOMEM. */
int auth_ticket(struct auth *a, const char *ticket, size_t n, const struct user *user, struct grants **grants);

/* Those of these rooms that auth.room_url lets this connection enter become passes, too. Waits for it. 0; -ERR_NO_LOGIC: it gave no
 * answer; -ENOMEM. */
int auth_ask_rooms(struct auth *a, const char *peer, const struct seat *seat, const struct wire_room_count *rooms,
		   size_t n, struct grants **grants);

/* Would auth_new go well? Its answer. For -t. */
int auth_try(const struct config *cfg);

/* Does this mode believe any identity that a client claims? */
bool auth_believes(const struct auth *a);

/* Does a check wait for a back end? Then threads that others wait for must not do it. */
bool auth_waits(const struct auth *a);

#endif
