/* api_body: parameters that come in the body of a call and not in its query, since lists may be long: as JSON or as a form, where
 * Content-Type says so. For logic/api*.c only. SPDX-License-Identifier: MIT */
#ifndef LOGIC_API_BODY_H
#define LOGIC_API_BODY_H

#include <stdbool.h>

#include "common/http/http_request.h"

struct api_body {
	struct http_request request; /* as if they stood in the query; its body is what they call "body", or NULL */
	struct http_param *params;
	void *json; /* what the parameters point into: this, */
	char *text; /* or this */
};

/* May this call's parameters stand in its body? A push with a query has its message there, whatever its type is. */
bool api_body_has_params(const struct http_request *request);
/* Are they JSON, of which Content-Type says nothing? For calls that need parameters. */
bool api_body_lacks_type(const struct http_request *request);
/* Take them out. 0; -EINVAL: they cannot be read; -EDOM: a value of JSON is of a type that no parameter has; -ENOMEM. api_body_fini is due in
 * each case. */
int api_body_init(struct api_body *b, const struct http_request *request);
/* The same of bytes that are JSON, whatever their type is; nothing follows them. */
int api_body_init_json(struct api_body *b, const struct http_request *request);
void api_body_fini(struct api_body *b);

#endif
