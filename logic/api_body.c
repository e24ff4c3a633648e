/* api_body: see api_body.h. SPDX-License-Identifier: MIT */
#include "logic/api_body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/json.h"
#include "common/http/http_query.h"

#define NUMBER_BYTES 24

/* "application/json; charset=utf-8" is of the type "application/json". */
static bool is_of_type(const char *content_type, const char *type)
{
	const size_t n = strlen(type);

	return content_type != NULL && strncasecmp(content_type, type, n) == 0 &&
	       strchr("; \t", content_type[n]) != NULL;
}

static bool is_json(const struct http_request *request)
{
	return is_of_type(request->content_type, "application/json");
}

bool api_body_has_params(const struct http_request *request)
{
	return request->n_params == 0 && strcmp(request->method, "POST") == 0 && request->body_bytes > 0 &&
	       (is_json(request) || is_of_type(request->content_type, "application/x-www-form-urlencoded"));
}

bool api_body_lacks_type(const struct http_request *request)
{
	const uint8_t *body = request->body;
	size_t i = 0;

	while (i < request->body_bytes && memchr(" \t\r\n", body[i], 4) != NULL)
		i++;
	return request->n_params == 0 && strcmp(request->method, "POST") == 0 && !is_json(request) &&
	       i < request->body_bytes && body[i] == '{';
}

/* ---- a form ---- */

static int read_form(struct api_body *b)
{
	const struct http_request *request = &b->request;

	if (memchr(request->body, '\0', request->body_bytes) != NULL)
		return -EINVAL;
	if ((b->text = strdup((const char *)request->body)) == NULL)
		return -ENOMEM;
	return http_params_decode(b->text, &b->params, &b->request.n_params);
}

/* ---- JSON ---- */

static size_t count_values(json_t *object)
{
	const char *name;
	json_t *value;
	size_t n = 0;

	json_object_foreach(object, name, value)
	{
		n += json_is_array(value) ? json_array_size(value) : 1;
	}
	return n;
}

/* A string, or a whole number, which is written to *text; true and false are 1 and 0. */
static int add_value(struct api_body *b, const char *name, const json_t *value, char **text)
{
	struct http_param *param = &b->params[b->request.n_params];

	if (json_is_string(value)) {
		*param = (struct http_param){name, json_string_value(value)};
	} else if (json_is_integer(value)) {
		*param = (struct http_param){name, *text};
		*text += snprintf(*text, NUMBER_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) + 1;
	} else if (json_is_boolean(value)) {
		*param = (struct http_param){name, json_is_true(value) ? "1" : "0"};
	} else {
		return -EDOM;
	}
	b->request.n_params++;
	return 0;
}

static int add_values(struct api_body *b, json_t *object)
{
	char *text = b->text;
	const char *name;
	json_t *value, *one;
	size_t i;
	int rc;

	json_object_foreach(object, name, value)
	{
		if (!json_is_array(value) && (rc = add_value(b, name, value, &text)) < 0)
			return rc;
		json_array_foreach(value, i, one)
		{
			if ((rc = add_value(b, name, one, &text)) < 0)
				return rc;
		}
	}
	return 0;
}

static int read_json(struct api_body *b)
{
	json_t *object = json_read(b->request.body, b->request.body_bytes, JSON_REJECT_DUPLICATES);
	size_t n;

	b->json = object;
	if (!json_is_object(object))
		return json_ran_out() ? -ENOMEM : -EINVAL;
	n = count_values(object);
	b->params = calloc(n + 1, sizeof(*b->params));
	b->text = malloc(n * NUMBER_BYTES + 1);
	return b->params != NULL && b->text != NULL ? add_values(b, object) : -ENOMEM;
}

/* ---- both ---- */

static int init(struct api_body *b, const struct http_request *request, int (*read)(struct api_body *b))
{
	const char *message;
	int rc;

	*b = (struct api_body){.request = *request};
	b->request.params = NULL; /* those of a query are no part of it */
	b->request.n_params = 0;
	rc = read(b);
	b->request.params = b->params;
	message = rc == 0 ? http_param(&b->request, "body") : NULL;
	b->request.body = (const uint8_t *)message;
	b->request.body_bytes = message != NULL ? strlen(message) : 0;
	return rc;
}

int api_body_init(struct api_body *b, const struct http_request *request)
{
	return init(b, request, is_json(request) ? read_json : read_form);
}

int api_body_init_json(struct api_body *b, const struct http_request *request)
{
	return init(b, request, read_json);
}

void api_body_fini(struct api_body *b)
{
	json_decref(b->json);
	free(b->params);
	free(b->text);
}
