/* Fuzzes the bodies of JOIN and LEAVE, and the member of AUTH that asks for streams: what is well-formed has names that a room can have and
 * numbers that a push can have, its answer is JSON again, with a member for each, and the rest has left nothing behind. The first
 * byte chooses. SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comet/join_body.h"
#include "common/base/json.h"
#include "common/base/obj.h"
#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void must_be_a_room(const char *room)
{
	BUG_UNLESS(room[0] != '\0' && strlen(room) < WIRE_ROOM_BYTES);
	for (; *room != '\0'; room++)
		BUG_UNLESS(!iscntrl((unsigned char)*room));
}

static void must_be_well_formed(const struct join_wish *wish)
{
	if (wish->wrong != NULL)
		return;
	must_be_a_room(wish->room);
	BUG_UNLESS(wish->feed.since < (uint64_t)MESSAGE_NUMBERS_END && wish->feed.last < (uint64_t)MESSAGE_NUMBERS_END);
}

/* As many as were asked for, whatever their members held. */
static void must_be_answered(const struct join_ask *ask)
{
	struct join_outcome *outcomes = calloc(ask->n + 1, sizeof(*outcomes));
	struct message *m;
	json_t *said;

	if (outcomes == NULL)
		return;
	for (size_t i = 0; i < ask->n; i++) {
		outcomes[i] = (struct join_outcome){.error = ask->rooms[i].wrong != NULL ? 400 : 0, .retry_ms = -1};
		outcomes[i].reason = ask->rooms[i].wrong;
		outcomes[i].place = (struct feed_place){.at = ask->rooms[i].feed.since, .gap = i % 2 == 1};
	}
	BUG_UNLESS(join_answer(ask, outcomes, 1, &m) == 0);
	BUG_UNLESS((said = json_read(message_body(m), m->body_bytes, 0)) != NULL);
	BUG_UNLESS(json_array_size(json_object_get(said, "rooms")) == ask->n);
	json_decref(said);
	message_unref(&m);
	free(outcomes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct join_ask ask;
	const char *wrong;
	int rc;

	if (bytes == 0)
		return 0;
	if (data[0] == 'a') {
		(void)join_streams_asked(data + 1, bytes - 1, &(struct join_streams){0});
		return 0;
	}
	rc = data[0] == 'l' ? join_read_leave(data + 1, bytes - 1, &ask, &wrong)
			    : join_read(data + 1, bytes - 1, &ask, &wrong);
	BUG_UNLESS(rc == 0 || (rc == -EBADMSG && wrong[0] != '\0'));
	if (rc < 0)
		return 0;
	for (size_t i = 0; i < ask.n; i++)
		if (data[0] != 'l')
			must_be_well_formed(&ask.rooms[i]);
		else if (ask.rooms[i].room != NULL)
			must_be_a_room(ask.rooms[i].room);
	if (data[0] != 'l')
		must_be_answered(&ask);
	join_ask_fini(&ask);
	return 0;
}
