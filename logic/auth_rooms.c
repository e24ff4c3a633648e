/* auth_rooms: see auth_rooms.h. SPDX-License-Identifier: MIT */
#include "logic/auth_rooms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"
#include "common/wire/wire_user.h"
#include "logic/back_end.h"

/* Answers that are remembered; a newer one takes an older one's place. 256 KiB, as they come into use. */
#define CELLS     16384
#define FOR_S_MAX 86400
/* An owner, a line end, and a room. */
#define NAME_BYTES (SEAT_OWNER_BYTES + 1 + WIRE_ROOM_BYTES)

struct cell {
	uint64_t hash; /* of owner and room, seeded: nobody can make two that are one */
	int64_t until_ns : 63;
	bool allowed : 1;
};

struct auth_rooms {
	unsigned magic;
#define AUTH_ROOMS_MAGIC 0xa07400e5
	struct back_end back_end;
	/* under lock */
	struct lock lock;
	struct cell *cells;
};

/* ---- start and stop ---- */

int auth_rooms_new(const struct config *cfg, struct auth_rooms **out)
{
	struct auth_rooms *r;
	int rc;

	if (cfg->auth_room_url[0] == '\0') {
		LOG(LOG_ERROR, log_what(EVENT_AUTH_ROOM_URL_MISSING));
		return -ERR_CONFIG;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return -ENOMEM;
	r->magic = AUTH_ROOMS_MAGIC;
	if ((rc = back_end_init(&r->back_end, cfg, "auth.room_url", cfg->auth_room_url)) < 0) {
		free(r);
		return rc;
	}
	lock_init(&r->lock, LOCK_POOL);
	if ((r->cells = calloc(CELLS, sizeof(*r->cells))) == NULL) {
		auth_rooms_free(&r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void auth_rooms_free(struct auth_rooms **rooms)
{
	struct auth_rooms *r = *rooms;

	OBJ_CHECK(r, AUTH_ROOMS_MAGIC);
	back_end_fini(&r->back_end);
	free(r->cells);
	lock_fini(&r->lock);
	r->magic = 0;
	free(r);
	*rooms = NULL;
}

struct reload_part auth_rooms_reload(struct auth_rooms *r)
{
	struct reload_part part = {0};

	if (r != NULL)
		part = back_end_reload(&r->back_end);
	part.what = "secret of auth.room_url"; /* the webhook's has the setting's name */
	return part;
}

/* ---- what is remembered ---- */

static uint64_t hash_of(const struct seat *seat, const char *room)
{
	char owner[SEAT_OWNER_BYTES], name[NAME_BYTES];

	/* Guests are each their own. No owner has a line end in its name. */
	(void)snprintf(name, sizeof(name), "%s\n%s", seat_owner(seat, owner), room);
	return strmap_hash(name);
}

/* False: it is not known. */
static bool recall(struct auth_rooms *r, const struct seat *seat, const char *room, bool *allowed)
{
	const uint64_t hash = hash_of(seat, room);
	bool known;

	lock_take(&r->lock);
	known = r->cells[hash % CELLS].hash == hash && r->cells[hash % CELLS].until_ns > clock_now_ns();
	*allowed = r->cells[hash % CELLS].allowed;
	lock_drop(&r->lock);
	return known;
}

static void note(struct auth_rooms *r, const struct seat *seat, const char *room, bool allowed, int64_t for_s)
{
	const uint64_t hash = hash_of(seat, room);
	const int64_t until_ns = clock_now_ns() + for_s * CLOCK_SEC;

	lock_take(&r->lock);
	r->cells[hash % CELLS] = (struct cell){.hash = hash, .until_ns = until_ns, .allowed = allowed};
	lock_drop(&r->lock);
}

/* ---- a question ---- */

/* {"mid":7,"key":"k","peer":"10.0.0.9","rooms":["vip://1"]}: those that are to be asked about. NULL: no memory. */
static char *write_question(const char *peer, const struct seat *seat, const struct wire_room_count *const *rooms,
			    size_t n)
{
	json_t *question, *list;
	size_t bytes;
	char *text = NULL;

	json_watch();
	list = json_array();
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, json_string(rooms[i]->room));
	question = json_pack("{s:s, s:s, s:I, s:o}", "peer", peer, "key", seat->key, "mid", (json_int_t)seat->user.mid,
			     "rooms", list);
	if (question != NULL && wire_user_set(question, &seat->user) == 0)
		text = json_write(question, 0, &bytes);
	json_decref(question);
	return text;
}

/* {"rooms":["vip://1"],"for_s":60}; a name may end in a star. */
static int read_answer(const struct exchange *x, struct grants **granted, int64_t *for_s)
{
	json_t *answer = json_read(x->text, x->n, JSON_REJECT_DUPLICATES), *rooms = json_object_get(answer, "rooms");
	const json_t *for_json = json_object_get(answer, "for_s");
	bool bad_ops;
	int rc = -EBADMSG;

	*for_s = json_integer_value(for_json);
	if (answer == NULL && json_ran_out())
		rc = -ENOMEM;
	else if (json_is_array(rooms) && (for_json == NULL || json_is_integer(for_json)) && *for_s >= 0 &&
		 *for_s <= FOR_S_MAX)
		rc = grants_read(rooms, NULL, granted, &bad_ops);
	json_decref(answer);
	return rc;
}

static int conclude(const struct exchange *x, struct grants **granted, int64_t *for_s, struct auth_identity *why)
{
	int rc;

	if (x->status == 401 || x->status == 403)
		return 0;
	if ((rc = read_answer(x, granted, for_s)) == -EBADMSG)
		return back_end_fail(x, why, AUTH_WEBHOOK_ANSWER, "it has no rooms, or for_s is out of range");
	return rc;
}

static int exchange_words(struct auth_rooms *r, struct exchange *x, struct grants **granted, int64_t *for_s)
{
	struct auth_identity why = {0};
	int rc = -ERR_NO_LOGIC;

	*granted = NULL;
	*for_s = 0;
	if (back_end_enter(&r->back_end, x, &why)) {
		if ((rc = back_end_ask(&r->back_end, x, &why)) == 0)
			rc = conclude(x, granted, for_s, &why);
		back_end_leave(&r->back_end, x);
	}
	if (rc == -ERR_NO_LOGIC)
		count_by(COUNT_ROOM_QUESTIONS_FAILED, why.cause);
	return rc;
}

/* The answer for these rooms, which is remembered if it says so. */
static int take(struct auth_rooms *r, const struct seat *seat, const struct wire_room_count *const *rooms, size_t n,
		const struct grants *granted, int64_t for_s, struct grants **grants)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const bool allowed = grants_room(granted, rooms[i]->room);

		if (for_s > 0)
			note(r, seat, rooms[i]->room, allowed, for_s);
		if (allowed)
			rc = grants_add_pass(grants, rooms[i]->room, INT64_MAX);
	}
	return rc;
}

static int ask(struct auth_rooms *r, const char *peer, const struct seat *seat,
	       const struct wire_room_count *const *rooms, size_t n, struct grants **grants)
{
	struct exchange *x = malloc(sizeof(*x)); /* too large for a connection's stack */
	char *question = write_question(peer, seat, rooms, n);
	struct grants *granted = NULL;
	int64_t for_s = 0;
	int rc = -ENOMEM;

	if (x != NULL && question != NULL) {
		x->question = question;
		x->peer = peer;
		if ((rc = exchange_words(r, x, &granted, &for_s)) == 0)
			rc = take(r, seat, rooms, n, granted, for_s, grants);
	}
	grants_free(&granted);
	free(question);
	free(x);
	return rc;
}

int auth_rooms_ask(struct auth_rooms *r, const char *peer, const struct seat *seat, const struct wire_room_count *rooms,
		   size_t n, struct grants **grants)
{
	const struct wire_room_count **unknown = calloc(n + 1, sizeof(*unknown));
	size_t n_unknown = 0;
	int rc = unknown != NULL ? 0 : -ENOMEM;

	OBJ_CHECK(r, AUTH_ROOMS_MAGIC);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool allowed;

		if (grants_room_until(*grants, rooms[i].room) != 0)
			continue;
		if (!recall(r, seat, rooms[i].room, &allowed))
			unknown[n_unknown++] = &rooms[i];
		else if (allowed)
			rc = grants_add_pass(grants, rooms[i].room, INT64_MAX);
	}
	if (rc == 0 && n_unknown > 0)
		rc = ask(r, peer, seat, unknown, n_unknown, grants);
	free(unknown);
	return rc == -ENOBUFS ? 0 : rc; /* the others are not granted */
}
