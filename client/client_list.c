/* client_list: see client_list.h. SPDX-License-Identifier: MIT */
#include "client/client_list.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"

void client_list_drop(struct client_rooms *s, struct client_room **at)
{
	struct client_room *room = *at;

	if (s->handed == room)
		s->handed = NULL;
	*at = room->next;
	client_room_free(&room);
}

bool client_list_is_users(const struct client_room *room)
{
	return room->id[0] == '\0';
}

struct client_room *client_list_find(const struct client_rooms *s, const char *id)
{
	struct client_room *room = s->first;

	while (room != NULL && (id == NULL || strcmp(room->id, id) != 0))
		room = room->next;
	return room;
}

/* Behind those that the application has asked for. */
static void put(struct client_rooms *s, struct client_room *room)
{
	struct client_room **at = &s->first;

	while (*at != NULL && !(*at)->is_led)
		at = &(*at)->next;
	room->next = *at;
	*at = room;
}

int client_list_add(struct client_rooms *s, const char *id, struct client_room **out)
{
	if ((*out = client_room_new(id)) == NULL)
		return -ENOMEM;
	put(s, *out);
	return 0;
}

void client_list_own(struct client_rooms *s, struct client_room *room)
{
	struct client_room **at = &s->first;

	if (!room->is_led)
		return;
	while (*at != room)
		at = &(*at)->next;
	*at = room->next;
	room->is_led = false;
	put(s, room);
}

int client_list_add_led(struct client_rooms *s, const char *id, struct client_room **out)
{
	unsigned n = 0;

	for (struct client_room **at = &s->first->next, *room; (room = *at) != NULL;) {
		const bool is_over =
			!room->is_wanted && room->news == 0 && room->due_ns == INT64_MAX && room->leave_seq == 0;

		if (room->is_led && is_over) {
			client_list_drop(s, at);
			continue;
		}
		n += room->is_led;
		at = &room->next;
	}
	if (n >= 2 * s->welcome.max_rooms)
		return -EPROTO;
	if (client_list_add(s, id, out) < 0)
		return -ENOMEM;
	(*out)->is_led = true;
	return 0;
}

void client_list_see_to_gap(const struct client_rooms *s, struct client_room *room)
{
	if (s->opt.state != NULL && (room->news & NEWS_GAP) && !client_list_is_users(room))
		room->due_ns = clock_now_ns() + room->wait_ms * CLOCK_MS;
}
