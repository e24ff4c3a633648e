/* close_reason: every way a connection ends, as one table. SPDX-License-Identifier: MIT */
#ifndef COMET_CLOSE_REASON_H
#define COMET_CLOSE_REASON_H

#include <stdbool.h>
#include <stddef.h>

enum close_reason {
	CLOSE_NONE, /* still open */
#define reason(NAME, name, code, ws, kind, words) CLOSE_##NAME,
#include "comet/close_reason.def"
#undef reason
	CLOSE_MAX
};

const char *close_reason_name(enum close_reason why); /* "slow_consumer"; "none" for CLOSE_NONE */
int close_reason_code(enum close_reason why);         /* of op 6; 0: the client is not told */
int close_reason_ws_code(enum close_reason why);      /* of a WebSocket's close frame */
bool close_reason_is_error(enum close_reason why);
/* May logic have words of its own for it, which the client is told in place of the table's? */
bool close_reason_has_words(enum close_reason why);

/* Which reason a failed read, write or logic call means (rc as transport.h and logic_client.h give them). */
enum close_reason close_reason_of_read(int rc);
enum close_reason close_reason_of_write(int rc);
enum close_reason close_reason_of_connect(int rc);

/* The body of op 6: {"code":3,"reason":"..."}. `detail` replaces the table's words if it is not NULL or empty. The text
 * is cut to fit; returns its length without the zero byte. */
size_t close_reason_body(enum close_reason why, const char *detail, char *text, size_t text_bytes);

#endif
