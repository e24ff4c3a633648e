/* http_health: see http_health.h. SPDX-License-Identifier: MIT */
#include "common/http/http_health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/http/http_guard.h"

static void healthz(const struct http_health *health, struct http_reply *reply)
{
	(void)health;
	http_reply_text(reply, 200, "ok\n");
}

bool http_health_ask(const struct http_health *health, char words[HTTP_HEALTH_WORDS_BYTES])
{
	words[0] = '\0';
	return health->ready == NULL || health->ready(health->arg, words, HTTP_HEALTH_WORDS_BYTES) == 0;
}

static void readyz(const struct http_health *health, struct http_reply *reply)
{
	char words[HTTP_HEALTH_WORDS_BYTES], text[sizeof(words) + 8];
	bool is_ready = http_health_ask(health, words);

	(void)snprintf(text, sizeof(text), "%s%s%s", is_ready ? "ready\n" : "", words, words[0] != '\0' ? "\n" : "");
	http_reply_text(reply, is_ready ? 200 : 503, text);
}

static void metrics(const struct http_health *health, struct http_reply *reply)
{
	struct counters_text text = {0};

	(void)health;
	counters_expose(&text);
	if (text.failed) {
		free(text.text);
		return; /* 500, as the reply came */
	}
	reply->status = 200;
	reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
	reply->body = text.text;
	reply->body_bytes = text.bytes;
}

static const struct path {
	const char *path;
	unsigned scopes;
	void (*get)(const struct http_health *health, struct http_reply *reply);
} paths[] = {
	/* Probes of a load balancer or a container engine know no key. */
	{"/healthz", HTTP_FREE, healthz},
	{"/readyz", HTTP_FREE, readyz},
	{"/metrics", HTTP_METRICS, metrics},
};

bool http_health_handle(const struct http_health *health, const struct http_request *request, struct http_reply *reply)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (strcmp(paths[i].path, request->path) != 0)
			continue;
		if (!http_guard_may(request, paths[i].scopes, reply))
			return true;
		if (strcmp(request->method, "GET") == 0)
			paths[i].get(health, reply);
		else
			http_reply_wrong_method(reply, "GET");
		return true;
	}
	return false;
}
