/* Fuzzes the reader of tokens: any bytes as the body of an AUTH packet. Who is let in has names that every place that keeps
 * them has room for; who is not has left nothing behind. SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/obj.h"
#include "common/wire/wire.h"
#include "logic/auth_open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void must_be_a_name(const char *text, size_t bytes_max)
{
	BUG_UNLESS(strlen(text) < bytes_max);
	for (; *text != '\0'; text++)
		BUG_UNLESS(!iscntrl((unsigned char)*text));
}

static void must_be_somebody(const struct auth_identity *who)
{
	must_be_a_name(who->key, WIRE_KEY_BYTES);
	must_be_a_name(who->room, WIRE_ROOM_BYTES);
	BUG_UNLESS(who->n_accepts <= WIRE_ACCEPTS_MAX && (who->n_accepts == 0 || who->accepts != NULL));
	if (who->dialect == DIALECT_V2)
		must_be_a_name(who->platform, WIRE_TEXT_BYTES);
	else
		BUG_UNLESS(who->mid >= 0 && who->key[0] == '\0' && who->n_accepts == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const struct auth_request request = {.token = data, .token_bytes = bytes, .peer = "", .server = ""};
	struct auth_identity who = {0};
	int rc = auth_open_check(&request, &who);

	BUG_UNLESS(rc == 0 || rc == -ERR_REFUSED);
	if (rc == 0)
		must_be_somebody(&who);
	else
		BUG_UNLESS(who.refusal[0] != '\0');
	auth_identity_fini(&who);
	return 0;
}
