/* http_reload: POST /goim/reload, which all of our programs have: SIGHUP as a call that is told what came of it.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_RELOAD_H
#define COMMON_HTTP_HTTP_RELOAD_H

#include "common/http/http_request.h"

/* Reload and tell. The caller has seen to path, method and scope. Waits for main. The answer's code: 0, or -500. */
int http_reload(struct http_reply *reply);

/* Answer the call if its path is this one. False: it is not, and the reply is untouched. */
bool http_reload_handle(const struct http_request *request, struct http_reply *reply);

#endif
