/* http_reload: see http_reload.h. SPDX-License-Identifier: MIT */
#include "common/http/http_reload.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/reload.h"
#include "common/http/http_guard.h"

/* Files are read, and nothing else is waited for: a program that takes longer is about to stop. */
#define TIMEOUT_MS  10000
#define CODE_FAILED (-500)

/* The lines as a list of strings; NULL: no memory. */
static json_t *list_of(const char *lines)
{
	json_t *list = json_array();

	while (list != NULL && *lines != '\0') {
		const size_t n = strcspn(lines, "\n");

		if (json_array_append_new(list, json_stringn(lines, n)) < 0) {
			json_decref(list);
			return NULL;
		}
		lines += n + (lines[n] != '\0');
	}
	return list;
}

static json_t *data_of(const struct reload_told *told)
{
	if (told->rc < 0)
		return json_pack("{s:o,s:o}", "failed", list_of(told->notes[RELOAD_FAILED]), "faults",
				 list_of(told->notes[RELOAD_FAULTS]));
	return json_pack("{s:o,s:o,s:o}", "read", list_of(told->notes[RELOAD_READ]), "changed",
			 list_of(told->notes[RELOAD_CHANGED]), "needs_restart", list_of(told->notes[RELOAD_RESTART]));
}

static json_t *answer(bool is_done, const struct reload_told *told)
{
	const char *faults = told->notes[RELOAD_FAULTS];

	if (!is_done)
		return json_pack("{s:i,s:s}", "code", CODE_FAILED, "message",
				 "the program is about to stop, or has other things to do; see its log");
	if (told->rc >= 0)
		return json_pack("{s:i,s:s,s:o}", "code", 0, "message", "", "data", data_of(told));
	return json_pack("{s:i,s:s+%,s:o}", "code", CODE_FAILED, "message",
			 "nothing was reloaded: ", faults[0] != '\0' ? faults : "the log says why",
			 strcspn(faults, "\n"), "data", data_of(told));
}

int http_reload(struct http_reply *reply)
{
	struct reload_told *told = malloc(sizeof(*told));
	json_t *body;
	bool is_done;
	int code;

	if (told == NULL)
		return CODE_FAILED; /* 500, as the reply came */
	is_done = reload_ask(TIMEOUT_MS, told);
	json_watch();
	if ((body = answer(is_done, told)) != NULL)
		reply->body = json_write(body, 0, &reply->body_bytes);
	if (reply->body != NULL) {
		reply->status = 200;
		reply->content_type = "application/json; charset=utf-8";
	}
	json_decref(body);
	code = is_done && told->rc >= 0 ? 0 : CODE_FAILED;
	free(told);
	return code;
}

bool http_reload_handle(const struct http_request *request, struct http_reply *reply)
{
	if (strcmp(request->path, "/goim/reload") != 0)
		return false;
	if (!http_guard_may(request, HTTP_ADMIN, reply))
		return true;
	if (strcmp(request->method, "POST") == 0)
		(void)http_reload(reply);
	else
		http_reply_wrong_method(reply, "POST");
	return true;
}
