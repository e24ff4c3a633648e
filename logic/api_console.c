/* api_console: the page at / and its files, which are in the program as they are in logic/console/ and examples/web/;
 * /console.json, with numbers for the page that no other path has; and /help, for people without a browser.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"
#include "common/base/version.h"
#include "logic/api_route.h"

#define TOP_ROOMS 20

/* The page may only load its own files, ask its own server, and open WebSockets, to any port. Nothing inline. */
#define POLICY                                                                                                         \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "       \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#define HTML   "text/html; charset=utf-8"
#define CSS    "text/css; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define SVG    "image/svg+xml"

/* The assembler puts the file into the read-only data; its path is seen from where make runs. The Makefile lists these
 * files too, since the compiler does not tell it of them. */
#define asset(NAME, path, file, type)                                                                                  \
	__asm__(".pushsection .rodata\n"                                                                               \
		".globl asset_" #NAME ", asset_" #NAME "_end\n"                                                        \
		".hidden asset_" #NAME ", asset_" #NAME "_end\n"                                                       \
		"asset_" #NAME ":\n"                                                                                   \
		".incbin \"" file "\"\n"                                                                               \
		"asset_" #NAME "_end:\n"                                                                               \
		".byte 0\n"                                                                                            \
		".popsection\n");                                                                                      \
	extern const char asset_##NAME[], asset_##NAME##_end[];
#include "logic/console.def"
#undef asset

static const struct asset {
	const char *path;
	const char *type;
	const char *start, *end;
} assets[] = {
#define asset(NAME, path, file, type) {path, type, asset_##NAME, asset_##NAME##_end},
#include "logic/console.def"
#undef asset
};

static const struct asset *find(const char *path)
{
	for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++)
		if (strcmp(assets[i].path, path) == 0)
			return &assets[i];
	return NULL;
}

static void send_asset(struct api_call *call)
{
	const struct asset *asset = find(call->request->path);
	const size_t bytes = (size_t)(asset->end - asset->start);
	struct http_reply *reply = call->reply;

	if ((reply->body = malloc(bytes + 1)) == NULL)
		return;                               /* 500, as the reply came */
	memcpy(reply->body, asset->start, bytes + 1); /* with the zero behind it, as all replies have one */
	reply->body_bytes = bytes;
	reply->status = 200;
	reply->content_type = asset->type;
	reply->extra_header = "Content-Security-Policy";
	reply->extra_value = POLICY;
	reply->for_any_site = strcmp(asset->path, "/comet.js") == 0; /* other sites' pages import it */
}

/* Write the paths of a dialect that have words, a line each; returns the number of bytes. */
static size_t list_paths(const struct api_dialect *dialect, char *text, size_t bytes)
{
	size_t n = 0;

	for (const struct api_route *r = dialect->routes; r->path != NULL; r++) {
		if (r->help != NULL)
			n += (size_t)snprintf(text + n, bytes - n, "%-4s %s%s\n", r->method, r->path, r->help);
		BUG_UNLESS(n < bytes);
	}
	return n;
}

static void help(struct api_call *call)
{
	char words[4096];
	size_t n = (size_t)snprintf(words, sizeof(words), "comet %s\n\n", version_text);

	n += list_paths(&api_v2, words + n, sizeof(words) - n);
	n += list_paths(&api_v1, words + n, sizeof(words) - n);
	(void)snprintf(words + n, sizeof(words) - n,
		       "GET  /metrics  and /metrics/history?by=minutes; /healthz, /readyz, /openapi.json\n"
		       "GET  /  this, or in a browser the console\n");
	http_reply_text(call->reply, 200, words);
}

/* One address for people, with a browser or with curl. */
static void front(struct api_call *call)
{
	if (call->request->wants_html)
		send_asset(call);
	else
		help(call);
}

static json_t *list_rooms(const struct api_call *call, const struct registry_rooms *rooms)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rooms->n && json_array_size(list) < TOP_ROOMS; i++)
		if (http_key_may_room(&call->request->key, rooms->rooms[i].room))
			(void)json_array_append_new(list, json_pack("{s:s,s:I}", "room", rooms->rooms[i].room, "count",
								    (json_int_t)rooms->rooms[i].count));
	return list;
}

/* The types of rooms whose pushes have numbers. */
static json_t *list_kept(const struct kept *kept)
{
	json_t *list = json_array();

	for (size_t i = 0; i < kept->n; i++)
		(void)json_array_append_new(list, json_string(kept->types[i].type));
	return list;
}

static void console_json(struct api_call *call)
{
	const struct logic *l = call->logic;
	const struct client_ports ports = logic_client_ports(l);
	struct registry_rooms rooms = {0};
	/* Without Redis there are no rooms; all other numbers are there. */
	int rc = registry_online(&l->registry, &rooms);
	char words[HTTP_HEALTH_WORDS_BYTES];
	const bool ready = http_health_ask(&l->health, words);

	registry_rooms_sort(&rooms);
	api_reply_json(call, 200,
		       json_pack("{s:i,s:s,s:{s:b,s:s,s:i,s:i,s:i,s:b,s:I,s:o,s:o,s:b,s:o*}}", "code", 0, "message", "",
				 "data", "alone", l->alone, "version", version_text, "tcp_port", (int)ports.tcp,
				 "ws_port", (int)ports.websocket, "wss_port", (int)ports.websocket_tls, "registry",
				 rc == 0, "rooms", (json_int_t)rooms.n, "top", list_rooms(call, &rooms), "kept",
				 list_kept(&l->kept), "ready", ready, "words", json_string(words)));
	registry_rooms_fini(&rooms);
}

static void wrong_method(struct api_call *call)
{
	http_reply_text(call->reply, 405, "method not allowed\n");
}

static const struct api_route routes[] = {
/* Without a key: a browser needs the page to ask for the key, and its files hold only what the public source says. */
#define asset(NAME, path, file, type) {"GET", path, HTTP_FREE, send_asset, NULL, NULL},
	{"GET", "/", HTTP_FREE, front, NULL, NULL},
#include "logic/console.def"
#undef asset
	/* Without a key, too: the list of paths is in the docs. */
	{"GET", "/help", HTTP_FREE, help, NULL, ">text"},
	{"GET", "/openapi.json", HTTP_FREE, api_openapi, NULL, ">=OpenApi"},
	{"GET", "/console.json", HTTP_ONLINE, console_json, NULL, ">Console"},
	{NULL, NULL, 0, NULL, NULL, NULL},
};

const struct api_dialect api_console = {.routes = routes, .wrong_method = wrong_method};
