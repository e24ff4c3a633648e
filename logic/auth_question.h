/* auth_question: the text that auth.url is asked with. Pure. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_QUESTION_H
#define LOGIC_AUTH_QUESTION_H

#include "logic/auth_identity.h"

/* {"token":"...","peer":"10.0.0.9","server":"comet-1"}, of a renewal also "key", "mid" and perhaps "user", of a WebSocket "query" and "headers".
 * Malloc'ed, ended by a zero byte that *bytes does not count. NULL: no memory. */
char *auth_question(const struct auth_request *request, size_t *bytes);

#endif
