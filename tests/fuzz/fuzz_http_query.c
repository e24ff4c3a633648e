/* Fuzzes percent-encoding: any text as a query and as a path. What was taken apart must, encoded again, be taken apart to
 * the same. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"
#include "common/http/http_query.h"
#include "common/http/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static char *encode(char *to, const char *text)
{
	for (; *text != '\0'; text++)
		to += snprintf(to, 4, "%%%02x", (unsigned char)*text);
	return to;
}

static void must_come_back(const struct http_param *params, size_t n, size_t query_bytes)
{
	/* Each byte becomes three; an equals sign and an ampersand each. */
	char *query = malloc(query_bytes * 5 + 1), *to = query;
	struct http_param *again = NULL;
	size_t n_again = 0;

	BUG_UNLESS(query);
	for (size_t i = 0; i < n; i++) {
		to = encode(to, params[i].name);
		*to++ = '=';
		to = encode(to, params[i].value);
		*to++ = '&';
	}
	*to = '\0';
	BUG_UNLESS(http_params_decode(query, &again, &n_again) == 0 && n_again == n);
	for (size_t i = 0; i < n; i++)
		BUG_UNLESS(strcmp(again[i].name, params[i].name) == 0 && strcmp(again[i].value, params[i].value) == 0);
	free(again);
	free(query);
}

static void must_be_a_path_or_stay(const char *text)
{
	char *path = strdup(text);
	int rc;

	BUG_UNLESS(path);
	rc = http_path_decode(path);
	BUG_UNLESS(rc == 0 ? strlen(path) <= strlen(text) : rc == -EINVAL && strcmp(path, text) == 0);
	free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *text = malloc(bytes + 1), *own;
	struct http_param *params = NULL;
	size_t n = 0;
	int rc;

	BUG_UNLESS(text);
	memcpy(text, data, bytes);
	text[bytes] = '\0';
	own = strdup(text);
	BUG_UNLESS(own);
	rc = http_params_decode(own, &params, &n);
	BUG_UNLESS(rc == 0 || rc == -EINVAL);
	must_come_back(params, n, bytes);
	free(params);
	free(own);
	must_be_a_path_or_stay(text);
	free(text);
	return 0;
}
