/* Fuzzes the HTTP API behind the reader of HTTP: the first line of the input is method and target, what follows is the body.
 * Whatever is asked, the answer is one, JSON where it says so, what goes to the bus is a push that the wire can carry, and streams are
 * asked for by names that are kept and numbers that a push can have. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/obj.h"
#include "common/http/http_query.h"
#include "logic/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct config cfg;
static struct logic logic;

static bool is_for_keys(const struct wire_push *push)
{
	return push->target == WIRE_KEYS || push->target == WIRE_KICK || push->target == WIRE_JOIN ||
	       push->target == WIRE_LEAVE;
}

static int on_bus(void *self, const char *server, const struct wire_push *push)
{
	struct wire_entry entry;

	(void)self;
	BUG_UNLESS(push->target >= 0 && push->target < WIRE_TARGETS);
	BUG_UNLESS((push->target == WIRE_KICK || push->target == WIRE_LEAVE) == (push->message == NULL));
	BUG_UNLESS(push->target != WIRE_ROOM || (push->room != NULL && strlen(push->room) < WIRE_ROOM_BYTES));
	BUG_UNLESS(push->stream == NULL || kept_of_stream(&logic.kept, push->stream) != NULL);
	BUG_UNLESS(is_for_keys(push) == (push->n_keys > 0) || push->stream != NULL);
	BUG_UNLESS(push->n_keys == 0 || server != NULL);
	BUG_UNLESS(wire_entry_encode(push, &entry) == 0);
	wire_entry_fini(&entry);
	return 0;
}

/* ---- streams ---- */

/* Two pushes: a text, and bytes that are none. */
static int on_read(void *self, const struct histories_query *query, struct histories_found *found)
{
	(void)self;
	BUG_UNLESS(kept_of_stream(&logic.kept, query->name) != NULL);
	BUG_UNLESS(query->since < (uint64_t)MESSAGE_NUMBERS_END && query->last <= (uint64_t)MESSAGE_NUMBERS_END);
	*found = (struct histories_found){.at = 7, .newest = 9, .gap = query->since > 0};
	BUG_UNLESS((found->messages = calloc(2, sizeof(struct message *))) != NULL);
	for (; found->n < 2; found->n++) {
		BUG_UNLESS(message_new(1000, found->n == 0 ? "text" : "\xff", 1, &found->messages[found->n]) == 0);
		found->messages[found->n]->number = 8 + found->n;
	}
	return 0;
}

static int on_positions(void *self, const char *const *names, size_t n, uint64_t *numbers)
{
	(void)self;
	for (size_t i = 0; i < n; i++) {
		BUG_UNLESS(kept_of_stream(&logic.kept, names[i]) != NULL);
		numbers[i] = 9;
	}
	return 0;
}

static int on_confirmed(void *self, const char *name, struct acks *out)
{
	(void)self;
	BUG_UNLESS(kept_of_stream(&logic.kept, name) != NULL);
	*out = (struct acks){0};
	return acks_set(out, "phone", 8);
}

static const struct histories histories = {.read = on_read, .positions = on_positions, .confirmed = on_confirmed};

/* ---- people ---- */

/* Two, of whom one has a key behind that which was asked for. */
static int on_list(void *self, const char *const *servers, size_t n, const struct who_query *query,
		   struct who_page *page, bool *silent)
{
	(void)self;
	BUG_UNLESS(query->limit >= 1 && query->limit <= WHO_LIMIT_MAX && query->after != NULL && query->queued >= 0);
	BUG_UNLESS(query->room == NULL || strlen(query->room) < WIRE_ROOM_BYTES);
	BUG_UNLESS(query->n_keys <= WHO_KEYS_MAX && query->trace_ms >= 0 && query->trace_ms <= WHO_TRACE_MS_MAX);
	for (size_t i = 0; i < n; i++) {
		BUG_UNLESS(servers[i] != NULL);
		silent[i] = i > 0;
	}
	page->connections = json_pack("[{sss[ss]si}, {sss[]}]", "key", "a", "rooms", "live://1", "chat://2",
				      "rooms_more", 1, "key", "b", "rooms");
	BUG_UNLESS(page->connections != NULL);
	page->more = query->limit < 2;
	return 0;
}

static void join(const char *token)
{
	struct wire_connect request = {.token = (uint8_t *)(uintptr_t)token, .token_bytes = strlen(token), .peer = ""};
	struct wire_session session = {0};

	BUG_UNLESS(logic_connect(&logic, "s", &request, &session) == 0);
	free(session.accepts);
}

/* Once, and again when an input has made the comet "s" be forgotten. */
static void build(void)
{
	static const struct chronicle_figure figures[] = {{"connections", false}};
	static struct chronicle *chronicle;
	static struct tidings tidings;
	static struct auth *auth;

	if (logic.registry.self != NULL) {
		upstream_memory_free(&logic.upstream);
		registry_memory_free(&logic.registry);
	} else {
		BUG_UNLESS(config_init(&cfg) == 0 && config_flag(&cfg, "events.kinds=online", stderr) == 0);
		BUG_UNLESS(auth_new(&cfg, &auth) == 0);
		BUG_UNLESS(chronicle_new(figures, 1, &chronicle) == 0);
		BUG_UNLESS(tidings_memory_new(&cfg, "s", &tidings) == 0 && tidings.self != NULL);
		tidings_memory_tell(&tidings,
				    &(struct tiding){.kind = "online", .key = "a", .user = "7", .session = 1});
		tidings_stop(&tidings); /* nobody waits */
	}
	logic = (struct logic){.cfg = &cfg,
			       .auth = auth,
			       .bus = {.push = on_bus},
			       .histories = histories,
			       .people = {.list = on_list},
			       .tidings = tidings,
			       .health = {.chronicle = chronicle}};
	BUG_UNLESS(kept_parse("chat:10/10m", "10/10m", &logic.kept) == 0);
	BUG_UNLESS(registry_memory_new(&logic.registry) == 0 && upstream_memory_new(1 << 20, &logic.upstream) == 0);
	upstream_stop(&logic.upstream); /* nobody waits */
	join("{\"mid\":7,\"key\":\"a\",\"room_id\":\"live://1\"}");
	join("{\"mid\":7,\"key\":\"b\"}");
	join("9");
}

static void must_be_a_line(const char *text, size_t bytes)
{
	json_t *said = json_read(text, bytes, 0);

	BUG_UNLESS(json_is_object(said));
	BUG_UNLESS(json_is_integer(json_object_get(said, "code")) || json_is_integer(json_object_get(said, "ret")));
	json_decref(said);
}

/* A line for each of the question. */
static void must_be_lines(const struct http_reply *reply, const uint8_t *body, size_t body_bytes)
{
	const char *at = reply->body, *end = at + reply->body_bytes, *newline;
	size_t owed = body_bytes > 0 && body[body_bytes - 1] != '\n';

	for (size_t i = 0; i < body_bytes; i++)
		owed += body[i] == '\n';
	for (; at < end; at = newline + 1, owed--) {
		BUG_UNLESS(owed > 0 && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL);
		must_be_a_line(at, (size_t)(newline - at));
	}
	BUG_UNLESS(owed == 0);
}

static void must_be_an_answer(const struct http_reply *reply, const uint8_t *body, size_t body_bytes)
{
	BUG_UNLESS(reply->status >= 200 && reply->status <= 503 && reply->content_type != NULL);
	BUG_UNLESS(reply->body != NULL || reply->body_bytes == 0);
	if (strcmp(reply->content_type, "application/x-ndjson") == 0)
		must_be_lines(reply, body, body_bytes);
	else if (strncmp(reply->content_type, "application/json", 16) == 0)
		must_be_a_line(reply->body, reply->body_bytes);
}

static void ask(char *method, char *target, const uint8_t *body, size_t body_bytes)
{
	struct http_param *params = NULL;
	struct http_request request = {.method = method,
				       .path = target,
				       .body = body,
				       .body_bytes = body_bytes,
				       .peer = "127.0.0.1",
				       .content_type = body_bytes > 0 && body[0] == '{'
							       ? "application/json"
							       : "application/x-www-form-urlencoded",
				       .key = {.scopes = HTTP_ALL}};
	struct http_reply reply = {.status = 500, .content_type = "text/plain"};
	char *query = strchr(target, '?');

	if (query != NULL) {
		*query++ = '\0';
		request.bad_params = http_params_decode(query, &params, &request.n_params) < 0;
	}
	request.bad_params |= http_path_decode(target) < 0;
	request.params = params;
	api_handle(&logic, &request, &reply);
	must_be_an_answer(&reply, body, body_bytes);
	if (strcmp(target, "/1/server/del") == 0)
		build();
	free(reply.body);
	free(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *text = malloc(bytes + 1), *target, *body;

	BUG_UNLESS(text != NULL);
	memcpy(text, data, bytes);
	text[bytes] = '\0';
	if (logic.registry.self == NULL)
		build();
	body = memchr(text, '\n', bytes);
	if (body == NULL)
		body = text + bytes;
	else
		*body++ = '\0';
	target = strchr(text, ' ');
	if (target != NULL) {
		/* Of its exact size and with the zero byte that http promises, so that a read beyond it is seen. */
		size_t body_bytes = (size_t)(text + bytes - body);
		uint8_t *exact = malloc(body_bytes + 1);

		BUG_UNLESS(exact != NULL);
		memcpy(exact, body, body_bytes);
		exact[body_bytes] = '\0';
		*target++ = '\0';
		ask(text, target, exact, body_bytes);
		free(exact);
	}
	free(text);
	return 0;
}
