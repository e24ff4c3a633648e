/* client_said: see client_said.h. SPDX-License-Identifier: MIT */
#include "client/client_said.h"

#include <errno.h>
#include <limits.h>

#include "common/wire/message.h"

#define VERSION        1
#define LEAST_MAX_BODY 64 /* into which no JOIN fits, or hardly one */
#define MOST_MAX_BODY  (16 << 20)
#define MOST_ROOMS     10000 /* as limits.rooms */

int client_said_at(const json_t *said, int64_t *at)
{
	const json_t *member = json_object_get(said, "at");
	const json_int_t n = json_integer_value(member);

	*at = n;
	return json_is_integer(member) && n >= 0 && n < MESSAGE_NUMBERS_END ? 0 : -EPROTO;
}

int client_said_int(const json_t *said, const char *name, int *out)
{
	const json_t *member = json_object_get(said, name);
	const json_int_t n = json_integer_value(member);

	*out = n > INT_MAX ? INT_MAX : (int)n;
	return member == NULL || (json_is_integer(member) && n >= 0) ? 0 : -EPROTO;
}

int client_said_text(const json_t *said, const char *name, const char **out)
{
	const json_t *member = json_object_get(said, name);

	*out = json_string_value(member);
	return member == NULL || *out != NULL ? 0 : -EPROTO;
}

int client_said_place(const json_t *said, struct client_place *out)
{
	const json_t *gap = json_object_get(said, "gap");

	out->gap = json_is_true(gap);
	if (!json_is_boolean(gap) || client_said_at(said, &out->at) < 0 ||
	    client_said_int(said, "replay", &out->replay) < 0 || client_said_int(said, "reload_ms", &out->wait_ms) < 0)
		return -EPROTO;
	return 0;
}

int client_said_welcome(const json_t *said, struct client_welcome *out)
{
	const json_t *user = json_object_get(said, "user");
	int most, rooms;

	*out = (struct client_welcome){0};
	if (json_integer_value(json_object_get(said, "v")) != VERSION)
		return 0;
	if (client_said_int(said, "max_body", &most) < 0 || client_said_int(said, "max_rooms", &rooms) < 0 ||
	    (user != NULL && client_said_place(user, &out->user) < 0))
		return -EPROTO;
	if (most < LEAST_MAX_BODY)
		return 0;
	out->max_body = most < MOST_MAX_BODY ? (uint32_t)most : MOST_MAX_BODY;
	out->max_rooms = rooms < MOST_ROOMS ? (unsigned)rooms : MOST_ROOMS;
	out->has_user = user != NULL;
	return 0;
}
