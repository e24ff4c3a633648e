/* request: see request.h. SPDX-License-Identifier: MIT */
#include "logic/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/strmap.h"

/* ---- counts of the rooms that the comet has, over all comets ---- */

struct counts {
	struct strmap asked; /* room -> its struct wire_room_count in the request */
	struct wire_room_count *list;
	size_t n;
};

static void take_count(void *arg, const char *room, int64_t count)
{
	struct counts *c = arg;
	const struct wire_room_count *asked = strmap_get(&c->asked, room);

	if (asked != NULL)
		c->list[c->n++] = (struct wire_room_count){asked->room, count};
}

static int count_rooms(struct logic *l, const struct wire_request *request, struct counts *c)
{
	const struct registry_server server = {
		.id = (char *)(uintptr_t)request->server,
		.region = (char *)(uintptr_t) "",
		.addrs = (char *)(uintptr_t) "",
		.connections = request->load.connections,
		.addresses = request->load.addresses,
		.updated_ms = clock_wall_ms(),
	};
	int rc = 0;

	if ((c->list = calloc(request->n_rooms + 1, sizeof(*c->list))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < request->n_rooms; i++)
		rc = strmap_put(&c->asked, request->rooms[i].room, (void *)(uintptr_t)&request->rooms[i], NULL);
	if (rc == 0)
		rc = logic_renew_online(l, &server, request->rooms, request->n_rooms, take_count, c);
	return rc;
}

static int renew_online(struct logic *l, const struct wire_request *request, struct wire_reply *reply)
{
	struct counts counts = {0};
	int rc;

	strmap_init(&counts.asked);
	rc = count_rooms(l, request, &counts);
	strmap_fini(&counts.asked);
	reply->owned[1] = counts.list;
	reply->cluster = l->cluster;
	if (rc == 0) {
		reply->rooms = counts.list;
		reply->n_rooms = counts.n;
	}
	return rc;
}

/* ---- the others ---- */

static int reauth(struct logic *l, const struct wire_request *request, struct wire_session *session)
{
	struct wire_renewal renewal;
	int rc = logic_reauth(l, request->server, &request->connect, &request->seat, &renewal);

	session->lifetime_ms = renewal.lifetime_ms;
	session->issued_s = renewal.issued_s;
	session->grants = renewal.grants;
	memcpy(session->refusal, renewal.refusal, sizeof(session->refusal));
	return rc;
}

static int do_it(struct logic *l, const struct wire_request *r, struct wire_reply *reply)
{
	switch (r->method) {
	case WIRE_CONNECT:
		return logic_connect(l, r->server, &r->connect, &reply->session);
	case WIRE_REAUTH:
		return reauth(l, r, &reply->session);
	case WIRE_PERMIT:
		return logic_permit(l, &r->connect, &r->seat, r->rooms, r->n_rooms, &reply->session.grants);
	case WIRE_DISCONNECT:
		return logic_disconnect(l, r->server, &r->seat);
	case WIRE_HEARTBEAT:
		return logic_heartbeat(l, r->server, &r->seat, &reply->session.written);
	case WIRE_RECEIVE:
		return logic_receive(l, r->server, &r->seat, &r->packet);
	case WIRE_RENEW_ONLINE:
	default:
		return renew_online(l, r, reply);
	}
}

void request_answer(struct logic *l, const struct wire_request *request, struct wire_reply *reply)
{
	*reply = (struct wire_reply){.id = request->id};
	reply->rc = do_it(l, request, reply);
}
