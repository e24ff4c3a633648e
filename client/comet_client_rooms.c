/* comet_client_rooms: client_rooms for other programs, by the names of comet_client.h. SPDX-License-Identifier: MIT */
#include <errno.h>

#include "client/client_rooms.h"
#include "client/comet_client.h"

static struct client_rooms *inside(struct comet_client_rooms *rooms)
{
	return (struct client_rooms *)rooms;
}

int comet_client_rooms_new(const struct comet_client_rooms_options *opt, struct comet_client_rooms **out)
{
	static const struct comet_client_rooms_options none = {.store = NULL};
	struct client_rooms *rooms;

	if (opt == NULL)
		opt = &none;
	rooms = client_rooms_new(&(struct client_rooms_options){opt->store, opt->arg, opt->state, opt->unacked != 0});
	if (rooms == NULL)
		return -ENOMEM;
	*out = (struct comet_client_rooms *)rooms;
	return 0;
}

void comet_client_rooms_free(struct comet_client_rooms **rooms)
{
	struct client_rooms *own = inside(*rooms);

	client_rooms_free(&own);
	*rooms = NULL;
}

int comet_client_rooms_join(struct comet_client_rooms *rooms, const struct comet_client_join *wish)
{
	return client_rooms_join(inside(rooms),
				 &(struct client_wish){wish->room, wish->since, wish->last, wish->ticket});
}

int comet_client_rooms_leave(struct comet_client_rooms *rooms, const char *room)
{
	return client_rooms_leave(inside(rooms), room);
}

int64_t comet_client_rooms_position(const struct comet_client_rooms *rooms, const char *room)
{
	return client_rooms_position((const struct client_rooms *)rooms, room);
}
