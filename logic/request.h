/* request: a comet's request over the wire, done, and its reply. Knows nothing of how the two travel.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_REQUEST_H
#define LOGIC_REQUEST_H

#include "common/wire/wire.h"
#include "logic/logic.h"

/* Carry the request out. The reply may point into the request; free it with wire_reply_fini. Any thread; blocks as logic does. */
void request_answer(struct logic *l, const struct wire_request *request, struct wire_reply *reply);

/* Does the request authenticate a client? That may wait for a back end. */
static inline bool request_asks_who(const struct wire_request *request)
{
	return request->method == WIRE_CONNECT || request->method == WIRE_REAUTH || request->method == WIRE_PERMIT;
}

#endif
