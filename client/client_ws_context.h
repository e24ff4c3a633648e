/* client_ws_context: a context of libwebsockets' that leaves the rest of the process alone: what SIGPIPE does stays as it was, and
 * nothing is logged. Any thread, several at a time. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_WS_CONTEXT_H
#define CLIENT_CLIENT_WS_CONTEXT_H

#include <libwebsockets.h>

/* NULL: no memory. A program that has told libwebsockets to log keeps that. */
struct lws_context *client_ws_context_new(const struct lws_context_creation_info *wanted);
/* Close all that it has, and free it. *context becomes NULL. */
void client_ws_context_free(struct lws_context **context);

#endif
