/* alone: see alone.h. The only file that knows both comet/ and logic/. SPDX-License-Identifier: MIT */
#include "comet/alone.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/look.h"
#include "comet/who.h"
#include "common/base/clock.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "logic/api.h"
#include "logic/bans_file.h"
#include "logic/bus.h"
#include "logic/logic.h"
#include "logic/occupied.h"
#include "logic/registry.h"
#include "logic/upstream.h"
#include "logic_client/kicks.h"

/* From logic's answer to the place in the bucket is a moment, also on a machine that is very busy. */
#define KICKS_KEEP_NS (10 * CLOCK_SEC)

struct alone {
	unsigned magic;
#define ALONE_MAGIC 0xa1013a1e
	const struct config *cfg;
	struct server *server;
	const char *server_id;
	struct logic logic;
	struct bus_memory bus;
	struct bans_file *bans_file;
	push_sink *sink;
	void *sink_self;
	struct kicks kicks;
	struct occupied occupied;
	atomic_uint listing; /* calls that list connections now */
	atomic_bool draining;
};

static struct alone *alone_of(void *self)
{
	struct alone *a = self;

	OBJ_CHECK(a, ALONE_MAGIC);
	return a;
}

/* ---- the way up ---- */

static int connect_client(void *self, const struct wire_connect *request, struct wire_session *session)
{
	struct alone *a = alone_of(self);

	return logic_connect(&a->logic, a->server_id, request, session);
}

static int reauth(void *self, const struct wire_connect *request, const struct seat *seat, struct wire_renewal *renewal)
{
	struct alone *a = alone_of(self);

	return logic_reauth(&a->logic, a->server_id, request, seat, renewal);
}

static int permit(void *self, const struct wire_connect *request, const struct seat *seat,
		  const struct wire_room_count *rooms, size_t n, struct grants **grants)
{
	return logic_permit(&alone_of(self)->logic, request, seat, rooms, n, grants);
}

static void disconnect_client(void *self, const struct seat *seat)
{
	struct alone *a = alone_of(self);

	/* Memory does not fail at forgetting. */
	(void)logic_disconnect(&a->logic, a->server_id, seat);
}

static int heartbeat(void *self, const struct seat *seat)
{
	struct alone *a = alone_of(self);
	uint64_t written;

	return logic_heartbeat(&a->logic, a->server_id, seat, &written);
}

static int renew_online(void *self, const struct wire_load *load, const struct wire_room_count *rooms, size_t n,
			void (*each)(void *arg, const char *room, int64_t count), void *arg)
{
	struct alone *a = alone_of(self);
	const struct config *cfg = a->cfg;
	struct registry_server server = {
		.id = (char *)(uintptr_t)a->server_id,
		.region = cfg->server_region,
		.addrs = cfg->server_addrs[0] != '\0' ? cfg->server_addrs : cfg->tcp_bind,
		.weight = cfg->server_weight,
		.connections = load->connections,
		.addresses = load->addresses,
		.updated_ms = clock_wall_ms(),
	};

	occupied_report(&a->occupied, load->taken_ns, rooms, n);
	return logic_renew_online(&a->logic, &server, rooms, n, each, arg);
}

static void arrived(void *self, const struct seat *seat)
{
	struct alone *a = alone_of(self);

	kicks_repeat(&a->kicks, seat, a->sink, a->sink_self);
}

/* Pushes to rooms look into the buckets themselves. */
static void join_rooms(void *self, const char *const *rooms, size_t n)
{
	struct alone *a = alone_of(self);

	for (size_t i = 0; i < n; i++)
		occupied_join(&a->occupied, rooms[i]);
	/* Who has gone by now, or never came in, changes no count any more: the rooms are counted all the same. */
	atomic_fetch_add(&a->server->tallies.changes, 1);
}

static void expect_room(void *self, const char *room)
{
	join_rooms(self, &room, 1);
}

static int receive(void *self, const struct seat *seat, const struct packet *p)
{
	struct alone *a = alone_of(self);

	return logic_receive(&a->logic, a->server_id, seat, p);
}

/* ---- the way down, and the API ---- */

/* A client that logic knows already may not be in its bucket yet, so that a kick finds nobody there: it is noted before. */
static int take_push(void *self, const struct wire_push *push)
{
	struct alone *a = alone_of(self);
	int rc;

	if (push->target == WIRE_KICK && (rc = kicks_add(&a->kicks, push)) < 0)
		return rc;
	return a->sink(a->sink_self, push);
}

static void look(void *self, const struct wire_push *push, struct fate *fate)
{
	look_at(alone_of(self)->server, push, fate);
}

/* The stream of this name, for feed_release. 0, or -errno of feed_hold. */
static int hold(struct alone *a, const char *name, struct feed **out)
{
	struct feed_asked asked = {.room = name};

	feed_hold(&a->server->feeds, &asked, 1, 0);
	*out = asked.feed;
	return asked.rc;
}

static int read_history(void *self, const struct histories_query *query, struct histories_found *found)
{
	struct alone *a = alone_of(self);
	const struct feed_wish wish = {query->since, query->last};
	const unsigned most = kept_of_stream(&a->logic.kept, query->name)->messages;
	struct feed_place place;
	struct feed *feed;
	int rc;

	*found = (struct histories_found){.messages = calloc(most, sizeof(struct message *))};
	if (found->messages == NULL)
		return -ENOMEM;
	if ((rc = hold(a, query->name, &feed)) < 0) {
		free(found->messages);
		return rc;
	}
	found->n = feed_read(&a->server->feeds, feed, &wish, &place, found->messages, most);
	found->at = place.at;
	found->newest = place.newest;
	found->gap = place.gap;
	feed_release(&a->server->feeds, &feed);
	return 0;
}

static int read_positions(void *self, const char *const *names, size_t n, uint64_t *numbers)
{
	struct alone *a = alone_of(self);

	for (size_t i = 0; i < n; i++) {
		struct feed *feed;
		int rc = hold(a, names[i], &feed);

		if (rc < 0)
			return rc;
		numbers[i] = feed_newest(&a->server->feeds, feed);
		feed_release(&a->server->feeds, &feed);
	}
	return 0;
}

/* The only comet there is: it has answered. */
static int list_people(void *self, const char *const *servers, size_t n, const struct who_query *query,
		       struct who_page *page, bool *silent)
{
	struct alone *a = alone_of(self);
	int rc = -EBUSY;

	(void)servers;
	if (n > 0)
		memset(silent, 0, n * sizeof(*silent));
	park_go_long();
	if (atomic_fetch_add(&a->listing, 1) < PEOPLE_AT_ONCE)
		rc = who_list(a->server, a->server_id, query, page);
	atomic_fetch_sub(&a->listing, 1);
	return rc;
}

static int read_confirmed(void *self, const char *name, struct acks *out)
{
	struct alone *a = alone_of(self);
	struct feed *feed;
	int rc = hold(a, name, &feed);

	if (rc < 0)
		return rc;
	rc = feed_confirmed(&a->server->feeds, feed, 0, out);
	feed_release(&a->server->feeds, &feed);
	return rc;
}

static int ready(void *arg, char *text, size_t text_bytes)
{
	struct alone *a = alone_of(arg);

	if (!atomic_load(&a->draining))
		return 0;
	(void)snprintf(text, text_bytes, "draining");
	return -ESHUTDOWN;
}

static void handle(void *arg, const struct http_request *request, struct http_reply *reply)
{
	api_handle(&alone_of(arg)->logic, request, reply);
}

static void opened(void *self, struct client_ports ports)
{
	alone_of(self)->logic.ports = ports;
}

static void draining(void *self)
{
	atomic_store(&alone_of(self)->draining, true);
}

static void stop_waiting(void *self)
{
	logic_stop_waiting(&alone_of(self)->logic);
}

int alone_try_auth(const struct config *cfg)
{
	int rc;

	if (cfg->logic_mode != CONFIG_LOGIC_EMBEDDED)
		return 0;
	rc = auth_try(cfg);
	return rc == 0 ? bans_file_try(cfg) : rc;
}

/* ---- start and stop ---- */

/* What it has before its logic. NULL: no memory. */
static struct alone *new_empty(struct server *s, const char *server_id, push_sink *sink, void *sink_self)
{
	struct alone *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->magic = ALONE_MAGIC;
	a->cfg = s->cfg;
	a->server = s;
	a->server_id = server_id;
	a->sink = sink;
	a->sink_self = sink_self;
	a->bus = (struct bus_memory){.sink = take_push, .look = look, .sink_self = a};
	kicks_init(&a->kicks, KICKS_KEEP_NS);
	occupied_init(&a->occupied, &a->logic.tidings);
	return a;
}

static void free_empty(struct alone *a)
{
	occupied_fini(&a->occupied);
	kicks_fini(&a->kicks);
	a->magic = 0;
	free(a);
}

/* What logic asks of a comet. */
static void lend(struct alone *a)
{
	struct logic *l = &a->logic;

	l->cfg = a->cfg;
	l->alone = true;
	l->kept = a->server->feeds.kept;
	l->histories = (struct histories){
		.read = read_history, .positions = read_positions, .confirmed = read_confirmed, .self = a};
	l->people = (struct people){.list = list_people, .self = a};
	l->health = (struct http_health){ready, a, a->server->chronicle};
	l->bus = bus_memory(&a->bus);
	l->bans = a->server->bans;
}

/* What logic has of its own. */
static int make_logic(struct alone *a)
{
	const struct config *cfg = a->cfg;
	struct logic *l = &a->logic;
	int rc;

	if ((rc = repeats_new(&l->repeats)) < 0)
		return rc;
	if ((rc = bans_file_new(cfg, l->bans, &a->bans_file)) < 0)
		goto free_repeats;
	l->ban_keeper = bans_file_keeper(a->bans_file);
	if ((rc = auth_new(cfg, &l->auth)) < 0)
		goto free_bans_file;
	auth_heed(l->auth, l->bans);
	if ((rc = tidings_memory_new(cfg, a->server_id, &l->tidings)) < 0)
		goto free_auth;
	if ((rc = registry_memory_new(&l->registry)) < 0)
		goto free_tidings;
	registry_memory_tell(&l->registry, &l->tidings);
	if ((rc = upstream_memory_new((size_t)cfg->limits_upstream_bytes, &l->upstream)) < 0)
		goto free_registry;
	if ((rc = unacked_new(cfg, &l->histories, &l->tidings, &l->unacked)) < 0)
		goto free_upstream;
	l->tells_unacked = l->unacked != NULL;
	if ((rc = unacked_start(l->unacked)) < 0 || (rc = auth_start(l->auth)) < 0)
		goto free_unacked;
	return 0;

free_unacked:
	unacked_free(&l->unacked);
free_upstream:
	upstream_memory_free(&l->upstream);
free_registry:
	registry_memory_free(&l->registry);
free_tidings:
	tidings_memory_free(&l->tidings);
free_auth:
	auth_free(&l->auth);
free_bans_file:
	bans_file_free(&a->bans_file);
free_repeats:
	repeats_free(&l->repeats);
	return rc;
}

static void free_alone(void *self)
{
	struct alone *a = alone_of(self);

	unacked_free(&a->logic.unacked);
	upstream_memory_free(&a->logic.upstream);
	registry_memory_free(&a->logic.registry);
	tidings_memory_free(&a->logic.tidings);
	bans_file_free(&a->bans_file);
	auth_free(&a->logic.auth);
	repeats_free(&a->logic.repeats);
	free_empty(a);
}

int alone_wire(struct server *s, const char *server_id, push_sink *sink, void *sink_self, struct wiring *out)
{
	struct alone *a = new_empty(s, server_id, sink, sink_self);
	int rc;

	*out = (struct wiring){0};
	if (a == NULL)
		return -ENOMEM;
	lend(a);
	if ((rc = make_logic(a)) < 0) {
		free_empty(a);
		return rc;
	}
	*out = (struct wiring){
		.logic = {.connect = connect_client,
			  .reauth = reauth,
			  .permit = permit,
			  .disconnect = disconnect_client,
			  .heartbeat = heartbeat,
			  .renew_online = renew_online,
			  .arrived = arrived,
			  .join = join_rooms,
			  .expect = expect_room,
			  .receive = receive,
			  .waits_to_ask = auth_waits(a->logic.auth),
			  .self = a},
		.alone = true,
		.reload = auth_reload(a->logic.auth),
		.reload_rooms = auth_reload_rooms(a->logic.auth),
		.handle = handle,
		.self = a,
		.opened = opened,
		.draining = draining,
		.stop_waiting = stop_waiting,
		.free = free_alone,
	};
	return 0;
}
