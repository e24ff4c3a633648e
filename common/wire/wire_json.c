/* wire_json: see wire_json.h. SPDX-License-Identifier: MIT */
#include "common/wire/wire_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"

/* The text of a comet with its largest number of rooms; more is no message of ours. */
#define TEXT_MAX (32u << 20)

/* ---- reading ---- */

int wire_json_load(const char *text, size_t bytes, json_t **out)
{
	*out = bytes <= TEXT_MAX ? json_read(text, bytes, JSON_REJECT_DUPLICATES) : NULL;
	if (json_is_object(*out))
		return 0;
	json_decref(*out);
	*out = NULL;
	return bytes <= TEXT_MAX && json_ran_out() ? -ENOMEM : -EBADMSG;
}

bool wire_json_string(const json_t *object, const char *name, size_t space, const char **out)
{
	const json_t *value = json_object_get(object, name);

	*out = "";
	if (value == NULL)
		return true;
	if (!json_is_string(value) || json_string_length(value) >= space)
		return false;
	*out = json_string_value(value);
	return strlen(*out) == json_string_length(value);
}

bool wire_json_integer(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *out)
{
	const json_t *value = json_object_get(object, name);

	*out = 0;
	if (value == NULL)
		return true;
	if (!json_is_integer(value))
		return false;
	*out = json_integer_value(value);
	return *out >= min && *out <= max;
}

int wire_json_rooms(const json_t *object, const struct wire_room_count **out, size_t *n, void **owned)
{
	json_t *rooms = json_object_get(object, "rooms");
	struct wire_room_count *list;
	const char *room;
	json_t *value;

	*n = 0;
	if (rooms == NULL)
		return 0;
	if (!json_is_object(rooms))
		return -EBADMSG;
	if ((list = calloc(json_object_size(rooms) + 1, sizeof(*list))) == NULL)
		return -ENOMEM;
	*owned = list;
	*out = list;
	json_object_foreach(rooms, room, value)
	{
		if (!json_is_integer(value) || strlen(room) >= WIRE_ROOM_BYTES)
			return -EBADMSG;
		list[(*n)++] = (struct wire_room_count){room, json_integer_value(value)};
	}
	return 0;
}

/* ---- writing ---- */

int wire_json_set_rooms(json_t *object, const struct wire_room_count *rooms, size_t n)
{
	json_t *all = json_object();

	if (all == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		json_t *name = json_string(rooms[i].room);

		/* A client may name a room in any bytes; JSON cannot carry those that are not UTF-8. */
		if (name == NULL)
			continue;
		json_decref(name);
		if (json_object_set_new(all, rooms[i].room, json_integer(rooms[i].count)) < 0) {
			json_decref(all);
			return -ENOMEM;
		}
	}
	return json_object_set_new(object, "rooms", all) < 0 ? -ENOMEM : 0;
}

int wire_json_write(json_t *object, int rc, char **text, size_t *bytes)
{
	*text = rc == 0 ? json_write(object, 0, bytes) : NULL;
	json_decref(object);
	return *text != NULL ? 0 : -ENOMEM;
}
