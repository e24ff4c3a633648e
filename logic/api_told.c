/* api_told: see api_told.h. SPDX-License-Identifier: MIT */
#include "logic/api_told.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int api_told_init(struct api_told *told, const struct api_call *call, size_t n, struct logic_message *message)
{
	const struct http_request *request = call->request;
	const bool lists = n > 0 && api_v2_is_1(request, "offline");

	*told = (struct api_told){.is_due = (request->key.scopes & HTTP_ONLINE) != 0};
	if (!told->is_due)
		return 0;
	told->in_body = told->fate.is_asked = lists || request->wants_told || api_v2_is_1(request, "tell");
	if (lists && (told->fate.is_there = calloc(n, sizeof(bool))) == NULL)
		return -ENOMEM;
	/* The line of a batch has no headers. */
	if (call->in_batch && !told->in_body)
		told->is_due = false;
	else
		message->fate = &told->fate;
	return 0;
}

void api_told_fini(struct api_told *told)
{
	free(told->fate.is_there);
	json_decref(told->positions);
}

/* ---- in headers ---- */

static void tell_in_headers(const struct fate *fate, struct http_reply *reply)
{
	struct http_number *at = reply->numbers;

	if (!fate->knows_online)
		return;
	*at++ = (struct http_number){"Comet-Online", fate->online};
	*at++ = (struct http_number){"Comet-Offline", fate->offline};
	if (fate->knows_filters)
		*at = (struct http_number){"Comet-Filtered", fate->filtered};
}

/* ---- in the body ---- */

static json_t *list_accepts(const struct fate *fate)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < fate->n_accepts && i < FATE_ACCEPTS; i++)
		(void)json_array_append_new(list, json_integer(fate->accepts[i]));
	return list;
}

static json_t *list_offline(const struct fate *fate, const void *names, size_t n, api_name *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (!fate->is_there[i])
			(void)json_array_append_new(list, name(names, i));
	return list;
}

/* Without memory it is no answer at all: json_watch. */
static json_t *tell(const struct fate *fate)
{
	json_t *data = json_object();

	if (fate->knows_online) {
		(void)json_object_set_new(data, "online", json_integer((json_int_t)fate->online));
		(void)json_object_set_new(data, "offline", json_integer((json_int_t)fate->offline));
	}
	if (fate->knows_filters)
		(void)json_object_set_new(data, "filtered", json_integer((json_int_t)fate->filtered));
	if (fate->filtered > 0)
		(void)json_object_set_new(data, "accepts", list_accepts(fate));
	if (fate->filtered > 0 && fate->n_accepts > FATE_ACCEPTS)
		(void)json_object_set_new(data, "accepts_more", json_integer(fate->n_accepts - FATE_ACCEPTS));
	return data;
}

void api_told_reply(struct api_told *told, struct api_call *call, int rc, const char *param, const void *names,
		    size_t n, api_name *name)
{
	char member[32];
	json_t *data;

	if (rc == 0 && told->is_due)
		tell_in_headers(&told->fate, call->reply);
	if (rc < 0 || (!told->in_body && told->positions == NULL)) {
		api_v2_reply_result(call, rc);
		return;
	}
	data = told->in_body ? tell(&told->fate) : json_object();
	if (told->positions != NULL)
		(void)json_object_set_new(data, "positions", told->positions);
	told->positions = NULL;
	if (told->fate.is_there != NULL) {
		(void)snprintf(member, sizeof(member), "offline_%s", param);
		(void)json_object_set_new(data, member, list_offline(&told->fate, names, n, name));
	}
	api_v2_reply_data(call, data);
}
