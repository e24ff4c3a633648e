/* api_admin: what operators and their tools ask for. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/version.h"
#include "logic/api_route.h"

static void wrong_method(struct api_call *call)
{
	api_reply_text(call, 405, "text/plain; charset=utf-8", "method not allowed\n");
}

static void metrics(struct api_call *call)
{
	struct counters_text text = {0};

	counters_expose(&text);
	if (text.failed) {
		free(text.text);
		return; /* 500, as the reply came */
	}
	call->reply->status = 200;
	call->reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
	call->reply->body = text.text;
	call->reply->body_bytes = text.bytes;
}

static void healthz(struct api_call *call)
{
	api_reply_text(call, 200, "text/plain; charset=utf-8", "ok\n");
}

static void readyz(struct api_call *call)
{
	struct logic *l = call->logic;
	char words[128] = "";

	if (l->ready == NULL || l->ready(l->ready_arg, words, sizeof(words) - 1) == 0) {
		api_reply_text(call, 200, "text/plain; charset=utf-8", "ready\n");
		return;
	}
	words[strlen(words)] = '\n';
	api_reply_text(call, 503, "text/plain; charset=utf-8", words);
}

static const char paths[] = "POST /goim/push/mids?operation=1000&mids=123      the body is the message\n"
			    "POST /goim/push/keys?operation=1000&keys=KEY\n"
			    "POST /goim/push/room?operation=1000&type=live&room=1000\n"
			    "POST /goim/push/all?operation=1000&speed=0\n"
			    "POST /goim/kick?mids=123                          or keys=KEY\n"
			    "GET  /goim/online/total                           /goim/online/top?type=live&limit=10\n"
			    "GET  /goim/online/room?type=live&rooms=1000\n"
			    "GET  /goim/nodes/weighted                         /goim/nodes/instances\n"
			    "GET  /goim/upstream?after=0&wait=1000             what clients send to the back end\n"
			    "POST /1/push?uid=123                              and the rest of goim's first API\n"
			    "GET  /metrics                                     /healthz /readyz\n"
			    "GET  /                                            this, or in a browser the console\n";

void api_help(struct api_call *call)
{
	char words[sizeof(paths) + 128];

	(void)snprintf(words, sizeof(words), "comet %s\n\n%s", version_text, paths);
	api_reply_text(call, 200, "text/plain; charset=utf-8", words);
}

static const struct api_route routes[] = {
	/* Probes of a load balancer or a container engine know no key, and the list of paths says nothing that the docs do not. */
	{"GET", "/help", HTTP_FREE, api_help},
	{"GET", "/healthz", HTTP_FREE, healthz},
	{"GET", "/readyz", HTTP_FREE, readyz},
	{"GET", "/metrics", HTTP_READ, metrics},
	{NULL, NULL, 0, NULL},
};

const struct api_dialect api_admin = {.routes = routes, .wrong_method = wrong_method};
