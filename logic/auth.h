/* auth: may this client come in, and who is it. Reads the token of an AUTH packet; knows no registry.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_H
#define LOGIC_AUTH_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/packet.h"

/* Who the token says it is. `key` and `room` may be empty: logic fills in the key. Strings and accepts are malloc'ed;
 * auth_identity_fini frees them. */
struct auth_identity {
	int64_t mid;
	char *key;
	char *room;
	char *platform;
	int32_t *accepts;
	size_t n_accepts;
	enum dialect dialect;
	char refusal[128]; /* on -ERR_REFUSED: words for the client */
};
void auth_identity_fini(struct auth_identity *who);

/* Read the token by cfg->auth_mode (open: docs/protocol.md, section 4). 0; -ERR_REFUSED; -ENOMEM. */
int auth_check(const struct config *cfg, const uint8_t *token, size_t token_bytes, struct auth_identity *who);

#endif
