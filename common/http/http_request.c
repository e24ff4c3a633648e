/* http_request: see http_request.h. SPDX-License-Identifier: MIT */
#include "common/http/http_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/http_callers.h"

bool http_is_abandoned(const struct http_request *request)
{
	return request->caller != NULL && http_caller_is_gone(request->caller);
}

const char *http_param(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->n_params; i++)
		if (strcmp(request->params[i].name, name) == 0)
			return request->params[i].value;
	return NULL;
}

void http_reply_refuse(struct http_reply *reply, int status, const char *words)
{
	free(reply->body);
	*reply = (struct http_reply){.status = status, .content_type = "application/json; charset=utf-8"};
	if (asprintf(&reply->body, "{\"code\":-%d,\"message\":\"%s\"}\n", status, words) >= 0)
		reply->body_bytes = strlen(reply->body);
	else
		reply->body = NULL;
}

void http_reply_text(struct http_reply *reply, int status, const char *words)
{
	reply->status = status;
	reply->content_type = "text/plain; charset=utf-8";
	reply->body = strdup(words);
	reply->body_bytes = reply->body != NULL ? strlen(words) : 0;
}

void http_reply_wrong_method(struct http_reply *reply, const char *method)
{
	reply->extra_header = "Allow";
	reply->extra_value = method;
	http_reply_text(reply, 405, "method not allowed\n");
}
