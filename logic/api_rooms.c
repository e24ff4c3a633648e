/* api_rooms: /goim/room/join and /goim/room/leave: a back end leads connections into rooms, and out of them.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "logic/api_v2.h"

/* Each is an entry in the stream of each comet. */
#define ROOMS_MAX 100

/* What one call is about. */
struct led {
	enum wire_target target;
	const char **rooms; /* in texts */
	size_t n_rooms;
	char (*texts)[WIRE_ROOM_BYTES];
};

static void led_fini(struct led *led)
{
	free(led->rooms);
	free(led->texts);
}

/* False: the caller was told. */
static bool name_rooms(struct api_call *call, const char *type, struct led *led)
{
	if ((led->texts = calloc(led->n_rooms, sizeof(*led->texts))) == NULL) {
		api_v2_reply_result(call, -ENOMEM);
		return false;
	}
	for (size_t i = 0; i < led->n_rooms; i++) {
		if (!api_v2_name_room(call, type, led->rooms[i], led->texts[i]))
			return false;
		led->rooms[i] = led->texts[i];
	}
	return true;
}

/* False: the caller was told. led_fini is due in each case. */
static bool read_rooms(struct api_call *call, struct led *led)
{
	const char *type = api_v2_read_type(call);
	int rc;

	if (type == NULL)
		return false;
	rc = api_read_list(call->request, "rooms", &led->rooms, &led->n_rooms);
	if (!api_v2_list_is_good(call, rc, led->n_rooms, "rooms is missing"))
		return false;
	if (led->n_rooms <= ROOMS_MAX)
		return name_rooms(call, type, led);
	api_v2_reply_bad(call, "at most 100 rooms in one call");
	return false;
}

static void reply_led(struct api_call *call, int rc, const struct led *led, size_t n)
{
	if (rc < 0)
		api_v2_reply_result(call, rc);
	else
		api_v2_reply_data(call,
				  json_pack("{s:I}", led->target == WIRE_JOIN ? "joined" : "left", (json_int_t)n));
}

static void lead_keys(struct api_call *call, const struct led *led)
{
	const char **keys;
	size_t n, told = 0;
	int rc = api_read_list(call->request, "keys", &keys, &n);

	if (api_v2_list_is_good(call, rc, n, "keys, mids or users must be given; mids are whole numbers")) {
		rc = logic_lead_keys(call->logic, led->target, led->rooms, led->n_rooms, keys, n, &told);
		reply_led(call, rc, led, told);
	}
	free(keys);
}

static void lead_users(struct api_call *call, const struct led *led, bool by_mids)
{
	struct user *users;
	size_t n, told = 0;
	int rc;

	if (api_v2_read_users(call, by_mids, &users, &n)) {
		rc = logic_lead_users(call->logic, led->target, led->rooms, led->n_rooms, users, n, &told);
		reply_led(call, rc, led, told);
	}
	free(users);
}

static void lead(struct api_call *call, enum wire_target target)
{
	const bool mids = http_param(call->request, "mids") != NULL, users = http_param(call->request, "users") != NULL;
	struct led led = {.target = target};

	if ((http_param(call->request, "keys") != NULL) + mids + users > 1)
		api_v2_reply_bad(call, "give keys, mids or users, and not two of them");
	else if (read_rooms(call, &led)) {
		if (mids || users)
			lead_users(call, &led, mids);
		else
			lead_keys(call, &led);
	}
	led_fini(&led);
}

void api_room_join(struct api_call *call)
{
	lead(call, WIRE_JOIN);
}

void api_room_leave(struct api_call *call)
{
	lead(call, WIRE_LEAVE);
}
