/* api_route: the common part of the dialects of the HTTP API: routes as tables, parameters, replies. For logic/api*.c only.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_API_ROUTE_H
#define LOGIC_API_ROUTE_H

#include <jansson.h>

#include "common/http/http_request.h"
#include "logic/logic.h"

struct api_call {
	struct logic *logic;
	const struct http_request *request;
	struct http_reply *reply;
	size_t targets; /* for the log: how many keys, users, rooms it names, 0 for everybody, */
	int code;       /* and what was answered, 0 for success */
	bool in_batch;  /* it is a line of one */
};

struct api_route {
	const char *method;
	const char *path;
	unsigned scopes; /* of common/http/http_keys.h: the API key must have one of them */
	void (*handle)(struct api_call *call);
	const char *help; /* the words behind the path on its line of /help; NULL: it has no line */
	const char *
		takes; /* for /openapi.json; NULL: it is not for programs. Names of logic/api_param.def, with a ! behind one that
			    * must be there, and a | behind those of which one must; its body: =message, =json or =lines; its
			    * answer, where it is not JSON: >text or >lines; the schema of its data in api_schemas.json: >Name,
			    * or that of the whole answer: >=Name */
};

/* A dialect: its routes, ended by a NULL path, and its answers to wrong requests. */
struct api_dialect {
	const struct api_route *routes;
	void (*wrong_method)(struct api_call *call);
	void (*bad_params)(struct api_call *call); /* the query did not decode; NULL: it has no parameters */
	bool in_body;                              /* they may also stand there: logic/api_body.h */
};
extern const struct api_dialect api_v1, api_v2, api_console;

/* A call inside another one: may it be made, by its path? False: it is answered. And it is answered: its line for an audit. */
bool api_inner_may(struct api_call *call);
void api_inner_done(const struct api_call *call);

void api_openapi(struct api_call *call);

#define API_JSON "application/json; charset=utf-8"

/* Send this JSON (NULL: out of memory; taken over) with this status. */
void api_reply_json(struct api_call *call, int status, json_t *body);

/* A whole number in [min, max] from a text that is nothing else. */
bool api_read_number(const char *text, long long min, long long max, long long *out);

/* All values of a repeated parameter; empty ones are left out. A comma is a character like any other, since keys and rooms
 * may have it. The strings are in one allocation with the array: free(*list), which is NULL on an error. 0 or -ENOMEM. */
int api_read_list(const struct http_request *request, const char *name, const char ***list, size_t *n);
/* Users, as the values of "mids", which are numbers, also several in one value, with commas; or as those of "users", whose strings
 * are the request's. free(*list), which is NULL on an error. 0; -EINVAL: one is none; -ENOMEM. */
int api_read_mids(const struct http_request *request, struct user **list, size_t *n);
int api_read_users(const struct http_request *request, struct user **list, size_t *n);

#endif
