/* http_health: see http_health.h. SPDX-License-Identifier: MIT */
#include "common/http/http_health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/http/http_guard.h"

static void healthz(const struct http_health *health, const struct http_request *request, struct http_reply *reply)
{
	(void)health, (void)request;
	http_reply_text(reply, 200, "ok\n");
}

bool http_health_ask(const struct http_health *health, char words[HTTP_HEALTH_WORDS_BYTES])
{
	words[0] = '\0';
	return health->ready == NULL || health->ready(health->arg, words, HTTP_HEALTH_WORDS_BYTES) == 0;
}

static void readyz(const struct http_health *health, const struct http_request *request, struct http_reply *reply)
{
	char words[HTTP_HEALTH_WORDS_BYTES], text[sizeof(words) + 8];
	bool is_ready = http_health_ask(health, words);

	(void)request;
	(void)snprintf(text, sizeof(text), "%s%s%s", is_ready ? "ready\n" : "", words, words[0] != '\0' ? "\n" : "");
	http_reply_text(reply, is_ready ? 200 : 503, text);
}

/* Takes the text over. */
static void send_text(struct http_reply *reply, struct counters_text *text, const char *type)
{
	if (text->failed) {
		free(text->text);
		return; /* 500, as the reply came */
	}
	reply->status = 200;
	reply->content_type = type;
	reply->body = text->text;
	reply->body_bytes = text->bytes;
}

static void metrics(const struct http_health *health, const struct http_request *request, struct http_reply *reply)
{
	struct counters_text text = {0};

	(void)health, (void)request;
	counters_expose(&text);
	send_text(reply, &text, "text/plain; version=0.0.4; charset=utf-8");
}

/* False: the caller was told. */
static bool read_steps(const struct http_request *request, struct http_reply *reply, bool *by_minutes, unsigned *steps)
{
	const char *by = http_param(request, "by"), *last = http_param(request, "last");

	const unsigned long wanted = last != NULL ? strtoul(last, NULL, 10) : CHRONICLE_MINUTES;

	*by_minutes = by != NULL && strcmp(by, "minutes") == 0;
	*steps = (unsigned)wanted;
	if (by != NULL && !*by_minutes && strcmp(by, "seconds") != 0)
		http_reply_refuse(reply, 400, "by must be seconds or minutes");
	else if (last != NULL &&
		 (strspn(last, "0123456789") != strlen(last) || wanted < 1 || wanted > CHRONICLE_MINUTES))
		http_reply_refuse(reply, 400, "last must be from 1 to 1440");
	else
		return true;
	return false;
}

static void history(const struct http_health *health, const struct http_request *request, struct http_reply *reply)
{
	struct counters_text text = {0};
	bool by_minutes;
	unsigned steps;

	if (!read_steps(request, reply, &by_minutes, &steps))
		return;
	counters_text_add(&text, "{\"code\":0,\"message\":\"\",\"data\":");
	if (chronicle_expose(health->chronicle, by_minutes, steps, &text) < 0)
		text.failed = 1;
	counters_text_add(&text, "}");
	send_text(reply, &text, "application/json; charset=utf-8");
}

static const struct path {
	const char *path;
	unsigned scopes;
	void (*get)(const struct http_health *health, const struct http_request *request, struct http_reply *reply);
} paths[] = {
	/* Probes of a load balancer or a container engine know no key. */
	{"/healthz", HTTP_FREE, healthz},
	{"/readyz", HTTP_FREE, readyz},
	{"/metrics", HTTP_METRICS, metrics},
	{"/metrics/history", HTTP_METRICS, history},
};

bool http_health_handle(const struct http_health *health, const struct http_request *request, struct http_reply *reply)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (strcmp(paths[i].path, request->path) != 0)
			continue;
		if (!http_guard_may(request, paths[i].scopes, reply))
			return true;
		if (strcmp(request->method, "GET") == 0)
			paths[i].get(health, request, reply);
		else
			http_reply_wrong_method(reply, "GET");
		return true;
	}
	return false;
}
