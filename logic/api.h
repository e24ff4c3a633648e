/* api: the HTTP API of logic. Routes are tables, one for each dialect (api_v1.c, api_v2.c, api_console.c).
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_API_H
#define LOGIC_API_H

#include "common/http/http_request.h"
#include "logic/logic.h"

/* The handler for http_start; arg is a struct logic *. Finds the route, checks that the caller may take it, answers 401,
 * 403, 404 and 405 with a JSON error. */
void api_handle(void *logic, const struct http_request *request, struct http_reply *reply);

/* Beginnings of the paths of pushes, ended by NULL: for http_options. */
extern const char *const api_short_paths[];

#endif
