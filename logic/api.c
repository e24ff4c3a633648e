/* api: see api.h. SPDX-License-Identifier: MIT */
#include "logic/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "logic/api_route.h"

/* ---- replies ---- */

void api_reply_json(struct api_call *call, int status, json_t *body)
{
	struct http_reply *reply = call->reply;
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;

	json_decref(body);
	if (text == NULL) {
		reply->status = 500; /* as it came: no memory even for words */
		return;
	}
	reply->status = status;
	reply->content_type = "application/json; charset=utf-8";
	reply->body = text;
	reply->body_bytes = strlen(text);
}

void api_reply_text(struct api_call *call, int status, const char *content_type, const char *text)
{
	call->reply->status = status;
	call->reply->content_type = content_type;
	call->reply->body = strdup(text);
	call->reply->body_bytes = call->reply->body != NULL ? strlen(text) : 0;
}

/* ---- parameters ---- */

bool api_read_number(const char *text, long long min, long long max, long long *out)
{
	char *end;

	if (text == NULL || text[0] == '\0' || strchr(" \t\n\v\f\r+", text[0]) != NULL)
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && *out >= min && *out <= max;
}

int api_read_list(const struct http_request *request, const char *name, const char ***list, size_t *n)
{
	size_t pieces = 0, bytes = 0;
	char *text;

	*n = 0;
	for (size_t i = 0; i < request->n_params; i++) {
		if (strcmp(request->params[i].name, name) != 0)
			continue;
		bytes += strlen(request->params[i].value) + 1;
		pieces++;
		for (const char *at = request->params[i].value; (at = strchr(at, ',')) != NULL; at++)
			pieces++;
	}
	if ((*list = malloc(pieces * sizeof(**list) + bytes + 1)) == NULL)
		return -ENOMEM;
	text = (char *)(*list + pieces);
	for (size_t i = 0; i < request->n_params; i++) {
		char *rest = text, *piece;

		if (strcmp(request->params[i].name, name) != 0)
			continue;
		memcpy(text, request->params[i].value, strlen(request->params[i].value) + 1);
		text += strlen(text) + 1;
		while ((piece = strsep(&rest, ",")) != NULL)
			if (piece[0] != '\0')
				(*list)[(*n)++] = piece;
	}
	return 0;
}

int api_read_numbers(const struct http_request *request, const char *name, int64_t **list, size_t *n)
{
	const char **texts;
	int rc = api_read_list(request, name, &texts, n);

	*list = NULL;
	if (rc < 0)
		return rc;
	if ((*list = calloc(*n + 1, sizeof(**list))) == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < *n; i++) {
		long long value;

		if (api_read_number(texts[i], INT64_MIN, INT64_MAX, &value))
			(*list)[i] = value;
		else
			rc = -EINVAL;
	}
	free(texts);
	if (rc < 0) {
		free(*list);
		*list = NULL;
	}
	return rc;
}

/* ---- routing ---- */

/* Probes of a load balancer or a container engine know no key, and the front page says nothing that the docs do not. */
static bool needs_key(const char *path)
{
	return strcmp(path, "/healthz") != 0 && strcmp(path, "/readyz") != 0 && strcmp(path, "/") != 0;
}

static bool may_call(const struct api_call *call)
{
	const char *wanted = call->logic->cfg->http_api_key;

	if (wanted[0] == '\0' || !needs_key(call->request->path))
		return true;
	return http_has_key(call->request, wanted);
}

static void not_found(struct api_call *call)
{
	api_reply_json(call, 404, json_pack("{s:i,s:s}", "code", -404, "message", "no such path; GET / lists them"));
}

static void no_key(struct api_call *call)
{
	call->reply->extra_header = "WWW-Authenticate";
	call->reply->extra_value = "Bearer";
	api_reply_json(call, 401,
		       json_pack("{s:i,s:s}", "code", -401, "message",
				 "the API key is missing or wrong; send it as X-Api-Key or Authorization: Bearer"));
}

/* True: the path is one of this dialect. */
static bool route(struct api_call *call, const struct api_dialect *dialect)
{
	const struct api_route *other_method = NULL;

	for (const struct api_route *r = dialect->routes; r->path != NULL; r++) {
		if (strcmp(r->path, call->request->path) != 0)
			continue;
		if (strcmp(r->method, call->request->method) == 0) {
			if (call->request->bad_params && dialect->bad_params != NULL)
				dialect->bad_params(call);
			else
				r->handle(call);
			return true;
		}
		other_method = r;
	}
	if (other_method == NULL)
		return false;
	call->reply->extra_header = "Allow";
	call->reply->extra_value = other_method->method;
	dialect->wrong_method(call);
	return true;
}

void api_handle(void *logic, const struct http_request *request, struct http_reply *reply)
{
	struct api_call call = {.logic = logic, .request = request, .reply = reply};

	if (!may_call(&call))
		no_key(&call);
	else if (!route(&call, &api_v2) && !route(&call, &api_v1) && !route(&call, &api_admin))
		not_found(&call);
}
