/* auth_question: see auth_question.h. SPDX-License-Identifier: MIT */
#include "logic/auth_question.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/json.h"
#include "common/wire/wire_text.h"
#include "common/wire/wire_user.h"

/* A line "Name: value". Of a name that comes again the values stand in one, as RFC 9110 and RFC 6265 put them together. */
static int add_value(json_t *headers, const char *line, size_t n)
{
	const char *colon = memmem(line, n, ": ", 2), *before;
	char name[128], *joined;
	int rc;

	if (colon == NULL || (size_t)(colon - line) >= sizeof(name))
		return 0;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(colon - line), line);
	n -= (size_t)(colon + 2 - line);
	if ((before = json_string_value(json_object_get(headers, name))) == NULL)
		return wire_text_set(headers, name, colon + 2, n);
	rc = asprintf(&joined, "%s%s%.*s", before, strcasecmp(name, "Cookie") == 0 ? "; " : ", ", (int)n, colon + 2);
	if (rc < 0)
		return -ENOMEM;
	rc = wire_text_set(headers, name, joined, (size_t)rc);
	free(joined);
	return rc;
}

/* "headers":{"Cookie":"..."}. */
static int set_headers(json_t *question, const struct upgrade *u)
{
	const char *at = u->headers, *end = u->headers + u->headers_bytes, *eol;
	json_t *headers = json_object();
	int rc = headers != NULL ? 0 : -ENOMEM;

	for (; rc == 0 && at < end && (eol = memchr(at, '\n', (size_t)(end - at))) != NULL; at = eol + 1)
		rc = add_value(headers, at, (size_t)(eol - at));
	if (rc == 0 && json_object_set(question, "headers", headers) < 0)
		rc = -ENOMEM;
	json_decref(headers);
	return rc;
}

char *auth_question(const struct auth_request *request, size_t *bytes)
{
	json_t *question;
	char *text = NULL;
	int rc;

	json_watch();
	question = json_pack("{s:s, s:s}", "peer", request->peer, "server", request->server);
	if (question == NULL)
		return NULL;
	rc = wire_text_set(question, "token", request->token, request->token_bytes);
	if (rc == 0 && request->seat != NULL &&
	    (json_object_set_new(question, "key", json_string(request->seat->key)) < 0 ||
	     json_object_set_new(question, "mid", json_integer(request->seat->user.mid)) < 0 ||
	     wire_user_set(question, &request->seat->user) < 0))
		rc = -ENOMEM;
	if (rc == 0 && request->upgrade.query_bytes > 0)
		rc = wire_text_set(question, "query", request->upgrade.query, request->upgrade.query_bytes);
	if (rc == 0 && request->upgrade.headers_bytes > 0)
		rc = set_headers(question, &request->upgrade);
	if (rc == 0)
		text = json_write(question, 0, bytes);
	json_decref(question);
	return text;
}
