/* api: see api.h. SPDX-License-Identifier: MIT */
#include "logic/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/utf8.h"
#include "common/http/http_guard.h"
#include "logic/api_body.h"
#include "logic/api_v2.h"

/* ---- replies ---- */

void api_reply_json(struct api_call *call, int status, json_t *body)
{
	struct http_reply *reply = call->reply;
	size_t bytes = 0;
	char *text = body != NULL ? json_write(body, JSON_REAL_PRECISION(6), &bytes) : NULL;

	json_decref(body);
	if (text == NULL) {
		reply->status = 500; /* as it came: no memory even for words */
		return;
	}
	reply->status = status;
	reply->content_type = API_JSON;
	reply->body = text;
	reply->body_bytes = bytes;
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

/* All values of a repeated parameter in one allocation with the array; with `commas`, each may be a list. */
static int read_list(const struct http_request *request, const char *name, bool commas, const char ***list, size_t *n)
{
	size_t pieces = 0, bytes = 0;
	char *text;

	*n = 0;
	for (size_t i = 0; i < request->n_params; i++) {
		if (strcmp(request->params[i].name, name) != 0)
			continue;
		bytes += strlen(request->params[i].value) + 1;
		pieces++;
		for (const char *at = request->params[i].value; commas && (at = strchr(at, ',')) != NULL; at++)
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
		while ((piece = strsep(&rest, commas ? "," : "")) != NULL)
			if (piece[0] != '\0')
				(*list)[(*n)++] = piece;
	}
	return 0;
}

int api_read_list(const struct http_request *request, const char *name, const char ***list, size_t *n)
{
	return read_list(request, name, false, list, n);
}

int api_read_mids(const struct http_request *request, struct user **list, size_t *n)
{
	const char **texts;
	int rc = read_list(request, "mids", true, &texts, n);

	*list = NULL;
	if (rc < 0)
		return rc;
	if ((*list = calloc(*n + 1, sizeof(**list))) == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < *n; i++) {
		long long value;

		if (api_read_number(texts[i], INT64_MIN, INT64_MAX, &value))
			(*list)[i].mid = value;
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

int api_read_users(const struct http_request *request, struct user **list, size_t *n)
{
	*n = 0;
	if ((*list = calloc(request->n_params + 1, sizeof(**list))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < request->n_params; i++) {
		const char *value = request->params[i].value;

		if (strcmp(request->params[i].name, "users") != 0 || value[0] == '\0')
			continue;
		if (!user_read(value, strlen(value), &(*list)[(*n)++])) {
			free(*list);
			*list = NULL;
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- routing ---- */

static void not_found(struct api_call *call)
{
	api_v2_reply_words(call, 404, -404, "no such path; GET /help lists them");
}

/* Of this path and method; NULL where there is none, and then *other is one for another method, or NULL. */
static const struct api_route *find(const struct api_dialect *dialect, const struct http_request *request,
				    const struct api_route **other)
{
	*other = NULL;
	for (const struct api_route *r = dialect->routes; r->path != NULL; r++) {
		if (strcmp(r->path, request->path) != 0)
			continue;
		if (strcmp(r->method, request->method) == 0)
			return r;
		*other = r;
	}
	return NULL;
}

/* The methods of a path, as Allow has them. */
static const char *allowed(const struct api_dialect *dialect, const char *path, char text[HTTP_EXTRA_BYTES])
{
	size_t n = 0;

	for (const struct api_route *r = dialect->routes; r->path != NULL; r++)
		if (strcmp(r->path, path) == 0 && n < HTTP_EXTRA_BYTES)
			n += (size_t)snprintf(text + n, HTTP_EXTRA_BYTES - n, "%s%s", n > 0 ? ", " : "", r->method);
	return text;
}

/* Names of rooms, keys and users are: JSON has no words for others, in an answer, an event or a question to a comet. The message may be
 * anything. */
static bool are_utf8(const struct http_request *request)
{
	for (size_t i = 0; i < request->n_params; i++) {
		const struct http_param *p = &request->params[i];

		if (strcmp(p->name, "body") != 0 && !utf8_is_valid((const uint8_t *)p->value, strlen(p->value)))
			return false;
	}
	return true;
}

static void handle(struct api_call *call, const struct api_dialect *dialect, const struct api_route *r)
{
	if (dialect->in_body && !are_utf8(call->request))
		api_v2_reply_bad(call, "the parameters are not UTF-8");
	else
		r->handle(call);
}

static void handle_in_body(struct api_call *call, const struct api_dialect *dialect, const struct api_route *r)
{
	const struct http_request *request = call->request;
	struct api_body body;
	int rc = api_body_init(&body, request);

	if (rc == 0) {
		call->request = &body.request;
		handle(call, dialect, r);
		call->request = request;
	} else if (rc == -EINVAL) {
		api_v2_reply_bad(call, "the body is not what its Content-Type says");
	} else if (rc == -EDOM) {
		api_v2_reply_bad(
			call, "each value in the body is a text, a whole number, true, false, or a list of them; JSON "
			      "as a message is a text, too");
	}
	api_body_fini(&body); /* without memory it is 500, as the reply came */
}

/* A line for a call that changes something; pushes are many. */
static void audit(const struct api_call *call, const struct api_route *r)
{
	const struct http_request *request = call->request;
	const int wanted = call->logic->cfg->http_audit, status = call->reply->status;
	/* By its scope, clearing a stream would be one. */
	const bool is_push = strstr(r->path, "/push") != NULL || r->handle == api_batch;

	if (strcmp(r->method, "GET") == 0 || wanted < (is_push ? CONFIG_AUDIT_PUSHES : CONFIG_AUDIT_CHANGES))
		return;
	LOG(LOG_INFO, log_str("peer", request->peer),
	    log_str("api_key", request->key.name[0] != '\0' ? request->key.name : NULL), log_what(EVENT_HTTP_CHANGED),
	    log_str("method", request->method), log_str("path", request->path),
	    log_i64("targets", (int64_t)call->targets), log_i64("code", status == 200 ? call->code : -status));
}

bool api_inner_may(struct api_call *call)
{
	const struct api_route *other, *r = find(&api_v2, call->request, &other);

	return http_guard_may(call->request, r->scopes, call->reply);
}

void api_inner_done(const struct api_call *call)
{
	const struct api_route *other, *r = find(&api_v2, call->request, &other);

	audit(call, r);
}

/* Has it parameters that must be there? */
static bool needs_params(const struct api_route *r)
{
	return r->takes != NULL && strpbrk(r->takes, "!|") != NULL;
}

/* True: the path belongs to this dialect, and the call is answered. */
static bool route(struct api_call *call, const struct api_dialect *dialect)
{
	const struct api_route *other, *r = find(dialect, call->request, &other);

	if (r == NULL && other == NULL)
		return false;
	if (!http_guard_may(call->request, r != NULL ? r->scopes : other->scopes, call->reply))
		return true;
	if (r == NULL) {
		call->reply->extra_header = "Allow";
		call->reply->extra_value = allowed(dialect, call->request->path, call->reply->extra_text);
		dialect->wrong_method(call);
	} else if (call->request->bad_params && dialect->bad_params != NULL) {
		dialect->bad_params(call);
	} else if (dialect->in_body && needs_params(r) && api_body_lacks_type(call->request)) {
		api_v2_reply_bad(
			call,
			"there are no parameters; for those in the body, as JSON, say Content-Type: application/json");
	} else if (dialect->in_body && r->handle != api_batch && api_body_has_params(call->request)) {
		handle_in_body(call, dialect, r);
	} else {
		handle(call, dialect, r);
	}
	if (r != NULL)
		audit(call, r);
	return true;
}

/* Others ask comets, wait for them, or go to Redis for each room that they name: who waits for the thread would wait for all that. */
const char *const api_short_paths[] = {"/goim/push/", "/1/push", NULL};

void api_handle(void *logic, const struct http_request *request, struct http_reply *reply)
{
	struct api_call call = {.logic = logic, .request = request, .reply = reply, .targets = 1};

	if (http_health_handle(&call.logic->health, request, reply))
		return;
	json_watch(); /* a list that lacks an entry for want of memory is no answer */
	if (route(&call, &api_v2) || route(&call, &api_v1) || route(&call, &api_console))
		return;
	/* First the key: a caller without one cannot find out which paths exist. */
	if (http_guard_may(request, HTTP_ALL, reply))
		not_found(&call);
}
