/* api_stream: /goim/stream: the numbered streams of rooms and users. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/http/http_guard.h"
#include "common/wire/message.h"
#include "logic/api_v2.h"

/* Rooms or users of one call of /goim/stream/position. */
#define NAMES_MAX 100

/* ---- parameters ---- */

/* A parameter that is a number, and what it must be. */
struct number {
	const char *name, *words;
};

/* It, or 0 where it is not given. False: the caller was told. */
static bool read_number(struct api_call *call, const struct number *number, uint64_t *out)
{
	const char *text = http_param(call->request, number->name);
	long long value = 0;

	if (text != NULL && !api_read_number(text, 0, MESSAGE_NUMBERS_END - 1, &value)) {
		api_v2_reply_bad(call, number->words);
		return false;
	}
	*out = (uint64_t)value;
	return true;
}

/* rc is not 0. */
static void reply_failure(struct api_call *call, int rc)
{
	if (rc == -EBUSY)
		api_v2_reply_words(call, 429, -429,
				   "too many streams that have no number were asked for; try again (stream.new)");
	else
		api_v2_reply_result(call, rc);
}

/* ---- a history ---- */

static json_t *describe_message(const struct message *m)
{
	json_t *described = json_pack("{s:I,s:i}", "n", (json_int_t)m->number, "op", (int)m->op);

	api_v2_set_body(described, message_body(m), m->body_bytes);
	return described;
}

static void reply_history(struct api_call *call, const struct histories_found *found)
{
	json_t *list = json_array();

	for (size_t i = 0; i < found->n; i++)
		(void)json_array_append_new(list, describe_message(found->messages[i]));
	api_v2_reply_data(call, json_pack("{s:I,s:I,s:b,s:o}", "at", (json_int_t)found->at, "newest",
					  (json_int_t)found->newest, "gap", (int)found->gap, "messages", list));
}

void api_stream(struct api_call *call)
{
	static const struct number since = {"since", "since must be a position: a whole number from 0 to 2^53 - 1"};
	static const struct number last = {"last", "last must be a whole number, 0 or more"};
	char name[USER_STREAM_BYTES];
	struct histories_query query = {.name = name};
	struct histories_found found = {0};
	int rc = 0;

	if (!api_v2_read_stream(call, name) || !read_number(call, &since, &query.since) ||
	    !read_number(call, &last, &query.last))
		return;
	/* 0 is the position of those who have had nothing yet. */
	if (query.since == 0 && http_param(call->request, "last") == NULL)
		query.last = MESSAGE_NUMBERS_END; /* all */
	if (kept_of_stream(&call->logic->kept, name) != NULL)
		rc = call->logic->histories.read(call->logic->histories.self, &query, &found);
	else
		found.gap = query.since > 0; /* nothing is known of it */
	if (rc < 0) {
		reply_failure(call, rc);
		return;
	}
	reply_history(call, &found);
	histories_found_fini(&found);
}

/* ---- positions ---- */

/* A stream that is asked for, and how the answer calls it. */
struct asked {
	char name[USER_STREAM_BYTES];
	char label[WIRE_ROOM_BYTES];
};

static void reply_positions(struct api_call *call, const struct asked *asked, size_t n, const uint64_t *numbers)
{
	json_t *data = json_object();

	for (size_t i = 0; i < n; i++)
		(void)json_object_set_new(data, asked[i].label, json_integer((json_int_t)numbers[i]));
	api_v2_reply_data(call, data);
}

/* Of those that are kept; the others have 0. */
static int read_positions(struct logic *l, const struct asked *asked, size_t n, uint64_t numbers[NAMES_MAX])
{
	const char *kept[NAMES_MAX];
	uint64_t found[NAMES_MAX];
	size_t of[NAMES_MAX] = {0}, n_kept = 0;
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		numbers[i] = 0;
		if (kept_of_stream(&l->kept, asked[i].name) == NULL)
			continue;
		of[n_kept] = i;
		kept[n_kept++] = asked[i].name;
	}
	if (n_kept > 0)
		rc = l->histories.positions(l->histories.self, kept, n_kept, found);
	for (size_t k = 0; rc == 0 && k < n_kept; k++)
		numbers[of[k]] = found[k];
	return rc;
}

static void tell_positions(struct api_call *call, const struct asked *asked, size_t n)
{
	uint64_t numbers[NAMES_MAX];
	int rc = read_positions(call->logic, asked, n, numbers);

	if (rc < 0)
		reply_failure(call, rc);
	else
		reply_positions(call, asked, n, numbers);
}

/* False: the caller was told. */
static bool name_rooms(struct api_call *call, const char *const *rooms, size_t n, struct asked *asked)
{
	const char *type = http_param(call->request, "type");

	for (size_t i = 0; i < n; i++) {
		if (!api_v2_name_room(call, type, rooms[i], asked[i].name))
			return false;
		(void)snprintf(asked[i].label, sizeof(asked[i].label), "%s", asked[i].name);
	}
	return true;
}

static bool name_users(struct api_call *call, const struct user *users, size_t n, struct asked *asked)
{
	char text[USER_BYTES];

	if (!http_guard_may_room(call->request, "", call->reply))
		return false; /* they are in none */
	for (size_t i = 0; i < n; i++) {
		if (!user_is_somebody(&users[i])) {
			api_v2_reply_bad(call, "mids must be numbers above 0");
			return false;
		}
		(void)user_stream(&users[i], asked[i].name);
		(void)snprintf(asked[i].label, sizeof(asked[i].label), "%s", user_text(&users[i], text));
	}
	return true;
}

/* One of both. */
static void positions_of(struct api_call *call, const char *const *rooms, const struct user *users, size_t n)
{
	struct asked *asked;

	if (n > NAMES_MAX) {
		api_v2_reply_bad(call, "at most 100 rooms or users in one call");
		return;
	}
	if ((asked = calloc(n, sizeof(*asked))) == NULL)
		api_v2_reply_result(call, -ENOMEM);
	else if (rooms != NULL ? name_rooms(call, rooms, n, asked) : name_users(call, users, n, asked))
		tell_positions(call, asked, n);
	free(asked);
}

static void positions_of_users(struct api_call *call, bool by_name)
{
	struct user *users;
	size_t n;
	int rc = by_name ? api_read_users(call->request, &users, &n) : api_read_mids(call->request, &users, &n);

	if (api_v2_list_is_good(call, rc, n, "mids must be whole numbers, and users names"))
		positions_of(call, NULL, users, n);
	free(users);
}

void api_stream_position(struct api_call *call)
{
	const bool by_name = http_param(call->request, "users") != NULL;
	const char **rooms;
	size_t n;
	int rc;

	if (by_name || http_param(call->request, "mids") != NULL) {
		positions_of_users(call, by_name);
		return;
	}
	if (api_v2_read_type(call) == NULL)
		return;
	rc = api_read_list(call->request, "rooms", &rooms, &n);
	if (api_v2_list_is_good(call, rc, n, "rooms is missing"))
		positions_of(call, rooms, NULL, n);
	free(rooms);
}

/* ---- clear ---- */

void api_stream_clear(struct api_call *call)
{
	char name[USER_STREAM_BYTES];
	uint64_t at;
	int rc;

	if (!api_v2_read_stream(call, name) ||
	    !http_guard_may(call->request, name[0] == KEPT_USER ? HTTP_PUSH_USERS : HTTP_PUSH_ROOMS, call->reply))
		return;
	if (kept_of_stream(&call->logic->kept, name) == NULL) {
		api_v2_reply_bad(call,
				 "it is not kept: stream.rooms does not name this type, or stream.users is empty");
		return;
	}
	rc = logic_clear(call->logic, name, &at);
	if (rc == 0)
		api_v2_set_position(call, at);
	api_v2_reply_result(call, rc);
}

/* ---- what was confirmed ---- */

static json_t *describe_acks(const struct acks *acks)
{
	json_t *keys = json_object();

	for (size_t i = 0; i < acks->n; i++)
		(void)json_object_set_new(keys, acks->of[i].key, json_integer((json_int_t)acks->of[i].at));
	return keys;
}

void api_stream_acks(struct api_call *call)
{
	const struct histories *h = &call->logic->histories;
	char name[USER_STREAM_BYTES];
	const char *one = name;
	struct acks acks = {0};
	uint64_t at = 0;
	int rc = 0;

	if (!api_v2_read_user_stream(call, name))
		return;
	if (kept_has_users(&call->logic->kept) && (rc = h->positions(h->self, &one, 1, &at)) == 0)
		rc = h->confirmed(h->self, name, &acks);
	if (rc < 0)
		reply_failure(call, rc);
	else
		api_v2_reply_data(call, json_pack("{s:I,s:o}", "at", (json_int_t)at, "keys", describe_acks(&acks)));
	acks_fini(&acks);
}
