/* api_openapi: /openapi.json, which describes the API for programs. It is made of the tables of routes, so that it cannot lag behind
 * them; the schemas of bodies and answers, which routes name, are in api_schemas.json. SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/obj.h"
#include "common/base/version.h"
#include "logic/api_route.h"

#define NAME_BYTES 64

/* The file in the read-only data, as the assembler puts it there; the Makefile lists it, too. */
__asm__(".pushsection .rodata\n"
	".globl api_schemas, api_schemas_end\n"
	".hidden api_schemas, api_schemas_end\n"
	"api_schemas:\n"
	".incbin \"logic/api_schemas.json\"\n"
	"api_schemas_end:\n"
	".popsection\n");
extern const char api_schemas[], api_schemas_end[];

static const struct param {
	const char *name, *in, *type, *example, *words;
} params[] = {
#define param(name, in, type, example, words) {name, in, type, example, words},
#include "logic/api_param.def"
#undef param
};

/* Those that any program of ours has: common/http/http_health.c. */
static const struct api_route health[] = {
	{"GET", "/healthz", HTTP_FREE, NULL, NULL, ">text"},
	{"GET", "/readyz", HTTP_FREE, NULL, NULL, ">text 503"},
	{"GET", "/metrics", HTTP_METRICS, NULL, NULL, ">text"},
	{"GET", "/metrics/history", HTTP_METRICS, NULL, NULL, "by last >Figures"},
	{NULL, NULL, 0, NULL, NULL, NULL},
};

/* What a route's `takes` says. */
struct takes {
	json_t *params;
	const char *body;        /* media type, or NULL: */
	const char *body_schema; /* and its schema */
	const char *answer;      /* media type */
	char schema[NAME_BYTES]; /* of the answer's data, or empty; where it begins with = of the whole answer */
	char one_of[256];
	bool is_unready;
};

/* ---- parameters ---- */

static const struct param *find(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if (strlen(params[i].name) == n && strncmp(params[i].name, name, n) == 0)
			return &params[i];
	return NULL;
}

static json_t *schema_of(const struct param *p)
{
	const size_t n = strlen(p->type);

	if (strcmp(p->type, "flag") == 0)
		return json_pack("{s:s,s:[ii]}", "type", "integer", "enum", 0, 1);
	if (p->type[n - 1] == 's')
		return json_pack("{s:s,s:{s:s%}}", "type", "array", "items", "type", p->type, n - 1);
	return json_pack("{s:s}", "type", p->type);
}

static json_t *example_of(const struct param *p)
{
	const bool is_list = p->type[strlen(p->type) - 1] == 's', is_text = p->type[0] == 's';
	json_t *one = is_text ? json_string(p->example) : json_integer(strtoll(p->example, NULL, 10));

	return is_list ? json_pack("[o]", one) : one;
}

static void add_param(struct takes *t, const struct param *p, bool is_required)
{
	(void)json_array_append_new(t->params, json_pack("{s:s,s:s,s:b,s:s,s:o,s:o}", "name", p->name, "in", p->in,
							 "required", (int)is_required, "description", p->words,
							 "schema", schema_of(p), "example", example_of(p)));
}

static void note_alternative(struct takes *t, const char *name)
{
	const size_t n = strlen(t->one_of);

	(void)snprintf(t->one_of + n, sizeof(t->one_of) - n, "%s%s", n > 0 ? ", " : "One is needed of: ", name);
}

static void read_word(struct takes *t, const char *word, size_t n)
{
	static const struct {
		const char *word, *type;
		const char *schema; /* of a body; NULL: it is an answer */
	} types[] = {{"=message", "application/octet-stream", "Message"},
		     {"=json", "application/json", "PushsOfGoim"},
		     {"=lines", "application/x-ndjson", "BatchLine"},
		     {">text", "text/plain", NULL},
		     {">lines", "application/x-ndjson", NULL}};
	const struct param *p;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i].word) != n || strncmp(types[i].word, word, n) != 0)
			continue;
		*(types[i].schema == NULL ? &t->answer : &t->body) = types[i].type;
		if (types[i].schema != NULL)
			t->body_schema = types[i].schema;
		return;
	}
	if (word[0] == '>') {
		(void)snprintf(t->schema, sizeof(t->schema), "%.*s", (int)n - 1, word + 1);
		return;
	}
	if (n == 3 && strncmp(word, "503", n) == 0) {
		t->is_unready = true;
		return;
	}
	p = find(word, n - (word[n - 1] == '!' || word[n - 1] == '|'));
	BUG_UNLESS(p != NULL); /* the table of routes has a word that api_param.def has not */
	add_param(t, p, word[n - 1] == '!');
	if (word[n - 1] == '|')
		note_alternative(t, p->name);
}

static void read_takes(const char *text, struct takes *t)
{
	*t = (struct takes){.params = json_array(), .answer = "application/json"};
	for (size_t n; *text != '\0'; text += n + strspn(text + n, " ")) {
		n = strcspn(text, " ");
		read_word(t, text, n);
	}
}

/* ---- answers ---- */

struct status {
	const char *code, *words;
	const char *schema, *type; /* NULL: an Answer in JSON */
	const char *data;          /* schema of its data; NULL: there are none */
};

static json_t *refer(const char *schema)
{
	return json_pack("{s:s+}", "$ref", "#/components/schemas/", schema);
}

static void add_status(json_t *answers, const struct status *status)
{
	const char *type = status->type != NULL ? status->type : "application/json";
	json_t *schema = refer(status->schema != NULL ? status->schema : "Answer"), *content = json_object();

	if (status->data != NULL)
		schema = json_pack("{s:[o,{s:s,s:{s:o}}]}", "allOf", schema, "type", "object", "properties", "data",
				   refer(status->data));
	(void)json_object_set_new(content, type, json_pack("{s:o}", "schema", schema));
	(void)json_object_set_new(answers, status->code,
				  json_pack("{s:s,s:o}", "description", status->words, "content", content));
}

static void add_success(json_t *answers, const struct api_route *r, const struct takes *t)
{
	const bool is_v1 = strncmp(r->path, "/1/", 3) == 0, is_json = strcmp(t->answer, "application/json") == 0;
	struct status success = {"200", "code is 0, or -500 for a fault of the server", is_json ? "Answer" : "Text",
				 t->answer, NULL};

	if (is_v1) {
		success.words = "ret is 1, or 65535 for a fault";
		success.schema = "Ret";
	}
	if (t->schema[0] == '=')
		success.schema = t->schema + 1;
	else if (t->schema[0] != '\0')
		success.data = t->schema;
	add_status(answers, &success);
	if (!is_v1 && (json_array_size(t->params) > 0 || t->body != NULL))
		add_status(answers, &(struct status){"400", "a parameter is missing or wrong", NULL, NULL, NULL});
}

/* All but 404 and 405, which are of no route, and those of what is not HTTP. */
static json_t *answers_of(const struct api_route *r, const struct takes *t)
{
	static const struct status of_keys[] = {
		{"401", "the API key is missing, wrong or over", NULL, NULL, NULL},
		{"403", "the API key is not for this", NULL, NULL, NULL},
		{"429", "too many; Retry-After says when to come again", NULL, NULL, NULL},
		{"503", "http.callers calls are being answered", NULL, NULL, NULL},
	};
	json_t *answers = json_object();

	add_success(answers, r, t);
	for (size_t i = 0; r->scopes != HTTP_FREE && i < sizeof(of_keys) / sizeof(of_keys[0]); i++)
		add_status(answers, &of_keys[i]);
	if (t->body != NULL)
		add_status(answers, &(struct status){"413", "the body is too long", NULL, NULL, NULL});
	if (t->is_unready)
		add_status(answers, &(struct status){"503", "it should get no new clients", "Text", t->answer, NULL});
	return answers;
}

/* ---- routes ---- */

/* post_goim_push_keys */
static void id_of(const struct api_route *r, char id[NAME_BYTES])
{
	size_t n = (size_t)snprintf(id, NAME_BYTES, "%s%s", r->method, r->path);

	BUG_UNLESS(n < NAME_BYTES);
	for (size_t i = 0; i < n; i++)
		id[i] = isalnum((unsigned char)id[i]) ? (char)tolower((unsigned char)id[i]) : '_';
}

static void describe_scopes(const struct api_route *r, const struct takes *t, char *text, size_t bytes)
{
	char words[HTTP_SCOPES_BYTES];

	http_scopes_words(r->scopes, " or ", words);
	(void)snprintf(text, bytes, "%s%s%s%s%s", r->scopes != HTTP_FREE ? "Scope " : "Needs no key",
		       r->scopes != HTTP_FREE ? words : "", ".", t->one_of[0] != '\0' ? " " : "", t->one_of);
}

static json_t *describe(const struct api_route *r)
{
	char id[NAME_BYTES], text[HTTP_SCOPES_BYTES + 300];
	struct takes t;
	json_t *content, *described;

	read_takes(r->takes, &t);
	id_of(r, id);
	describe_scopes(r, &t, text, sizeof(text));
	described = json_pack("{s:s,s:s,s:o,s:o}", "operationId", id, "description", text, "parameters", t.params,
			      "responses", answers_of(r, &t));
	if (r->scopes == HTTP_FREE)
		(void)json_object_set_new(described, "security", json_array());
	if (t.body != NULL) {
		const bool may_be_empty = strcmp(t.body, "application/octet-stream") == 0;

		content = json_object();
		(void)json_object_set_new(content, t.body, json_pack("{s:o}", "schema", refer(t.body_schema)));
		(void)json_object_set_new(described, "requestBody",
					  json_pack("{s:b,s:o}", "required", !may_be_empty, "content", content));
	}
	return described;
}

static void add_routes(json_t *paths, const struct api_route *routes)
{
	for (const struct api_route *r = routes; r->path != NULL; r++) {
		json_t *path = json_object_get(paths, r->path);
		char method[8] = "";

		if (r->takes == NULL)
			continue;
		for (size_t i = 0; r->method[i] != '\0' && i + 1 < sizeof(method); i++)
			method[i] = (char)tolower((unsigned char)r->method[i]);
		if (path == NULL) {
			path = json_object();
			(void)json_object_set_new(paths, r->path, path);
		}
		(void)json_object_set_new(path, method, describe(r));
	}
}

static json_t *components(void)
{
	const bool had_run_out = json_ran_out();
	const uintptr_t from = (uintptr_t)api_schemas,
			to = (uintptr_t)api_schemas_end; /* one object for the assembler only */
	json_t *schemas = json_read(api_schemas, (size_t)(to - from), 0);

	json_watch_on(json_ran_out() || had_run_out);
	return json_pack("{s:o,s:{s:{s:s,s:s,s:s},s:{s:s,s:s}}}", "schemas", schemas, "securitySchemes", "key", "type",
			 "apiKey", "in", "header", "name", "X-Api-Key", "bearer", "type", "http", "scheme", "bearer");
}

void api_openapi(struct api_call *call)
{
	json_t *paths = json_object();

	add_routes(paths, api_v2.routes);
	add_routes(paths, api_v1.routes);
	add_routes(paths, api_console.routes);
	add_routes(paths, health);
	api_reply_json(call, 200,
		       json_pack("{s:s,s:{s:s,s:s,s:{s:s,s:s},s:s},s:o,s:o,s:[{s:[]},{s:[]}]}", "openapi", "3.0.3",
				 "info", "title", "Comet", "version", version_text, "license", "name", "MIT", "url",
				 "https://opensource.org/license/mit", "description",
				 "The HTTP API for back ends. docs/http-api.md shows each call.", "paths", paths,
				 "components", components(), "security", "key", "bearer"));
	call->reply->for_any_site = true; /* as the docs are */
}
