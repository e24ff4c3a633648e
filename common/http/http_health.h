/* http_health: the paths for those who watch a program: /healthz, /readyz, /metrics and /metrics/history. All of our programs have them.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_HEALTH_H
#define COMMON_HTTP_HTTP_HEALTH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/chronicle.h"
#include "common/http/http_request.h"

struct http_health {
	/* May it get work now? 0, perhaps with words in text that an operator should know; or -errno with words. NULL: always. */
	int (*ready)(void *arg, char *text, size_t text_bytes);
	void *arg;
	struct chronicle *chronicle;
};

#define HTTP_HEALTH_WORDS_BYTES 256

/* Is it ready? With words, or "". */
bool http_health_ask(const struct http_health *health, char words[HTTP_HEALTH_WORDS_BYTES]);

/* Answer the call if its path is one of these. False: it is not, and the reply is untouched. */
bool http_health_handle(const struct http_health *health, const struct http_request *request, struct http_reply *reply);

#endif
