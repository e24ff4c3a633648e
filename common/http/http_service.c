/* http_service: see http_service.h. SPDX-License-Identifier: MIT */
#include "common/http/http_service.h"

#include <string.h>

#include "common/base/counters.h"
#include "common/base/log.h"

/* Whom or what it is for, by the first parameter that says so; NULL: none in the query does. */
static const char *target_of(const struct http_request *request)
{
	static const char *const params[] = {"keys", "mids", "users", "room", "rooms", "uid", "rid", "networks"};
	const char *value = NULL;

	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]) && value == NULL; i++)
		value = http_param(request, params[i]);
	return value;
}

/* One line for each call, for an audit. */
static void say_called(const struct http_call *call)
{
	const struct http_request *request = &call->request;

	if (call->reply.status == 401 || call->reply.status == 403)
		return;
	count_by(COUNT_HTTP_CALLS, request->key.label);
	LOG(LOG_DEBUG, log_str("peer", request->peer),
	    log_str("api_key", request->key.name[0] != '\0' ? request->key.name : NULL), log_what(EVENT_HTTP_CALLED),
	    log_str("method", request->method), log_str("path", request->path),
	    log_str_if("operation", http_param(request, "operation")), log_str_if("target", target_of(request)),
	    log_i64("status", call->reply.status));
}

static bool is_options_of_all(const struct http_request *request)
{
	return strcmp(request->method, "OPTIONS") == 0 &&
	       (strcmp(request->path, "*") == 0 || strcmp(request->path, "/") == 0);
}

bool http_service_is_short(const struct http_service *s, const char *target)
{
	const char *const *path = s->short_paths;

	while (path != NULL && *path != NULL && strncmp(target, *path, strlen(*path)) != 0)
		path++;
	return path != NULL && *path != NULL;
}

void http_service_ask(struct http_service *s, struct http_call *call, bool has_place)
{
	if (!has_place && !http_guard_is_free(&s->guard, call->request.path)) {
		http_reply_refuse(&call->reply, 503, "http.callers calls are being answered; try again");
		return;
	}
	if (is_options_of_all(&call->request)) {
		/* Balancers ask so. */
		http_reply_text(&call->reply, 200, "");
		call->reply.extra_header = "Allow";
		call->reply.extra_value = "GET, HEAD, POST, OPTIONS";
		return;
	}
	if (!http_guard_pass_rate(&s->guard, &call->request, &call->reply))
		return;
	call->request.guard = &s->guard;
	s->handler(s->arg, &call->request, &call->reply);
	say_called(call);
}
