/* logic: see logic.h. SPDX-License-Identifier: MIT */
#include "logic/logic.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/address.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/uuid.h"
#include "logic/crowd.h"

/* ---- connect ---- */

/* For a client that brought none it is the one that its comet proposes: should the answer get lost, the comet can tell which registration
 * nobody has. */
static int choose_key(struct logic *l, const char *proposed, const struct auth_identity *who, char key[WIRE_KEY_BYTES])
{
	const bool is_numbered = who->dialect != DIALECT_V2 && who->name == NULL;
	const char *given = who->key[0] != '\0' ? who->key : is_numbered ? NULL : proposed;
	uint64_t number;
	int rc;

	if (given != NULL) {
		(void)snprintf(key, WIRE_KEY_BYTES, "%s", given);
		return 0;
	}
	if (!is_numbered)
		return uuid_make(key);
	if ((rc = registry_next_number(&l->registry, who->mid, &number)) == 0)
		(void)snprintf(key, WIRE_KEY_BYTES, "%lld_%llu", (long long)who->mid, (unsigned long long)number);
	return rc;
}

/* A newer connection has the key, and the comet of this one does not know. That telling it fails is no reason to refuse the
 * new one: the old one's next heartbeat ends it. */
static void say_replaced(struct logic *l, const char *server, const struct seat *seat)
{
	static struct log_limit limit = LOG_LIMIT(1);
	const struct wire_push kick = {
		.target = WIRE_KICK,
		.keys = &seat->key,
		.sessions = &seat->session_id,
		.n_keys = 1,
		.reason = WIRE_REPLACED,
	};
	int rc = bus_push(&l->bus, server, &kick);

	if (rc < 0)
		LOG_LIMITED(LOG_WARN, &limit, log_str("key", seat->key), log_what(EVENT_REPLACED_NOT_TOLD),
			    log_id("session", seat->session_id), log_str("server", server),
			    log_str("error", err_text(rc)));
}

/* A comet sees by itself that one of its connections was replaced by another of its own; a connection on another comet it does not see. */
static void replace(struct logic *l, const char *server, const struct registry_found *old)
{
	const struct registry_entry *entry = old->entries;

	if (old->n > 0 && strcmp(entry->server, server) != 0)
		say_replaced(l, entry->server, &(struct seat){.key = entry->key, .session_id = entry->session_id});
}

static int register_client(struct logic *l, const char *server, const struct wire_connect *request,
			   struct auth_identity *who, struct wire_session *session)
{
	struct seat seat = {.key = session->key, .user = auth_identity_user(who)};
	struct registry_found old;
	int rc;

	session->key_is_made = who->key[0] == '\0';
	if ((rc = choose_key(l, request->new_key, who, session->key)) < 0 ||
	    (rc = logic_keeps_out(l, request->peer, &seat, who->issued_s, session->refusal)) < 0 ||
	    (rc = registry_put(&l->registry, server, &seat, request->expires_ms, &old)) < 0)
		return rc;
	session->id = seat.session_id;
	session->takes_over = rc == 1;
	session->written = old.written;
	replace(l, server, &old);
	if (rc == 0 && old.n == 0) /* otherwise it has another's place */
		rc = crowd_admit(&(struct crowd){l->cfg, &l->registry, &l->bus}, server, &seat, session->refusal);
	registry_found_fini(&old);
	if (rc < 0)
		return rc;
	session->mid = who->mid;
	(void)snprintf(session->name, sizeof(session->name), "%s", who->name != NULL ? who->name : "");
	session->dialect = who->dialect;
	session->heartbeat_ms = who->heartbeat_ms > 0        ? who->heartbeat_ms
				: who->dialect == DIALECT_V2 ? l->cfg->logic_heartbeat
							     : l->cfg->logic_heartbeat_v1;
	session->lifetime_ms = who->lifetime_ms;
	session->issued_s = who->issued_s;
	(void)snprintf(session->room, sizeof(session->room), "%s", who->room);
	session->accepts = who->accepts; /* handed over */
	session->n_accepts = who->n_accepts;
	who->accepts = NULL;
	session->grants = who->grants; /* as well */
	who->grants = NULL;
	who->n_accepts = 0;
	return 0;
}

/* The comet listens beyond loopback because its auth.mode is not open; ours is, and would let everybody in. */
static int check_modes(const struct logic *l, const char *server, const struct wire_connect *request)
{
	static struct log_limit limit = LOG_LIMIT(1);

	if (!request->needs_proof || request->certified != NULL || !auth_believes(l->auth))
		return 0;
	LOG_LIMITED(LOG_ERROR, &limit, log_str("server", server), log_what(EVENT_NOBODY_ADMITTED));
	return -ERR_NO_LOGIC;
}

/* Who is it? `seat`: whose the connection is already, or NULL. *who as auth_check leaves it; the words of a refusal go to `refusal`. */
static int identify(struct logic *l, const char *server, const struct wire_connect *request, const struct seat *seat,
		    struct auth_identity *who, char refusal[WIRE_TEXT_BYTES])
{
	const struct auth_request asked = {.token = request->token,
					   .token_bytes = request->token_bytes,
					   .peer = request->peer,
					   .server = server,
					   .seat = seat,
					   .upgrade = request->upgrade,
					   .certified = request->certified,
					   .certified_ms = request->certified_ms};
	int rc;

	if ((rc = check_modes(l, server, request)) < 0 ||
	    (rc = logic_keeps_out(l, request->peer, NULL, 0, refusal)) < 0)
		return rc;
	rc = (seat != NULL ? auth_check_again : auth_check)(l->auth, &asked, who);
	if (rc == -ERR_REFUSED)
		memcpy(refusal, who->refusal, WIRE_TEXT_BYTES);
	return rc;
}

static int admit(struct logic *l, const char *server, const struct wire_connect *request, struct wire_session *session)
{
	struct auth_identity who;
	int rc;

	*session = (struct wire_session){0};
	if ((rc = identify(l, server, request, NULL, &who, session->refusal)) < 0)
		return rc;
	rc = register_client(l, server, request, &who, session);
	auth_identity_fini(&who);
	return rc;
}

/* The session joins these lines with the comet's, where the connection has a number of its own. */
static void say_connect(const char *server, const struct wire_connect *request, const struct wire_session *session,
			int rc)
{
	const struct seat seat = wire_session_seat(session);

	if (rc == 0)
		LOG(LOG_DEBUG, log_str("server", server), log_str("key", session->key), log_str("peer", request->peer),
		    log_what(EVENT_CLIENT_ADMITTED), log_id("session", session->id), user_log(&seat.user));
	else
		LOG(LOG_DEBUG, log_str("server", server), log_str("peer", request->peer),
		    log_what(EVENT_CLIENT_NOT_ADMITTED), log_str("words", session->refusal),
		    log_str("error", err_text(rc)));
}

int logic_connect(struct logic *l, const char *server, const struct wire_connect *request, struct wire_session *session)
{
	int rc = admit(l, server, request, session);

	say_connect(server, request, session, rc);
	return rc;
}

int logic_reauth(struct logic *l, const char *server, const struct wire_connect *request, const struct seat *seat,
		 struct wire_renewal *renewal)
{
	struct auth_identity who;
	int rc;

	*renewal = (struct wire_renewal){0};
	if ((rc = identify(l, server, request, seat, &who, renewal->refusal)) < 0)
		return rc;
	rc = logic_keeps_out(l, request->peer, seat, who.issued_s, renewal->refusal);
	renewal->lifetime_ms = who.lifetime_ms;
	renewal->issued_s = who.issued_s;
	if (rc == 0) {
		renewal->grants = who.grants; /* handed over */
		who.grants = NULL;
	}
	auth_identity_fini(&who);
	return rc;
}

int logic_permit(struct logic *l, const struct wire_connect *request, const struct seat *seat,
		 const struct wire_room_count *rooms, size_t n, struct grants **grants)
{
	const char *at = (const char *)request->token, *end = at + request->token_bytes;
	int rc = 0, one;

	*grants = NULL;
	if (at < end && l->bans != NULL && !bans_are_known(l->bans))
		return -ERR_NO_LOGIC;
	while (at < end && rc != -ENOMEM) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));

		if (line_end == NULL)
			line_end = end;
		one = auth_ticket(l->auth, at, (size_t)(line_end - at), &seat->user, grants);
		if (one == -ENOMEM || one == -ERR_NO_LOGIC)
			rc = one; /* its key may come in a moment */
		at = line_end + 1;
	}
	if (rc == 0)
		rc = auth_ask_rooms(l->auth, request->peer, seat, rooms, n, grants);
	if (rc < 0)
		grants_free(grants);
	return rc;
}

int logic_disconnect(struct logic *l, const char *server, const struct seat *seat)
{
	static struct log_limit limit = LOG_LIMIT(1);
	int rc = registry_del(&l->registry, server, seat);

	/* A registration that stays behind is forgotten when the comet's lease ends, or when the key comes again. */
	if (rc < 0)
		LOG_LIMITED(LOG_WARN, &limit, log_str("key", seat->key), log_what(EVENT_DISCONNECT_UNREGISTERED),
			    log_id("session", seat->session_id), log_str("error", err_text(rc)));
	else
		LOG(LOG_DEBUG, log_str("server", server), log_str("key", seat->key), log_what(EVENT_CLIENT_GONE),
		    log_id("session", seat->session_id));
	return rc;
}

int logic_heartbeat(struct logic *l, const char *server, const struct seat *seat, uint64_t *written)
{
	struct registry_found old;
	int rc = registry_renew(&l->registry, server, seat, &old);

	*written = old.written;
	if (rc == 0)
		replace(l, server, &old);
	registry_found_fini(&old);
	if (rc != -ESTALE)
		return rc;
	/* It was replaced while its comet could not be told, for example while Redis was unreachable. */
	say_replaced(l, server, seat);
	return 0;
}

/* Pushes name a room as type://room, and those of version 1 by a number. */
static bool can_be_pushed_to(const char *room)
{
	const char *digits = room + (room[0] == '-');

	return strstr(room, "://") != NULL || (digits[0] != '\0' && digits[strspn(digits, "0123456789")] == '\0');
}

static void say_unreachable(const struct wire_room_count *rooms, size_t n)
{
	static atomic_bool said;

	for (size_t i = 0; i < n && !atomic_load_explicit(&said, memory_order_relaxed); i++)
		if (!can_be_pushed_to(rooms[i].room) && !atomic_exchange(&said, true))
			LOG(LOG_WARN, log_what(EVENT_ROOM_UNREACHABLE), log_str("room", rooms[i].room));
}

int logic_renew_online(struct logic *l, const struct registry_server *server, const struct wire_room_count *rooms,
		       size_t n, void (*each)(void *arg, const char *room, int64_t count), void *arg)
{
	struct registry_room *told = calloc(n + 1, sizeof(*told));
	struct registry_rooms all;
	int rc;

	if (told == NULL)
		return -ENOMEM;
	say_unreachable(rooms, n);
	for (size_t i = 0; i < n; i++)
		told[i] = (struct registry_room){.room = (char *)(uintptr_t)rooms[i].room, .count = rooms[i].count};
	rc = registry_put_online(&l->registry, server, told, n);
	free(told);
	if (rc < 0 || (rc = registry_online(&l->registry, &all)) < 0)
		return rc;
	for (size_t i = 0; i < all.n; i++)
		each(arg, all.rooms[i].room, all.rooms[i].count);
	registry_rooms_fini(&all);
	return 0;
}

int logic_receive(struct logic *l, const char *server, const struct seat *seat, const struct packet *p)
{
	(void)server;
	return upstream_append(&l->upstream, seat, p);
}

void logic_stop_waiting(struct logic *l)
{
	upstream_stop(&l->upstream);
	tidings_stop(&l->tidings);
	people_stop(&l->people);
}

/* ---- where clients find a comet ---- */

/* The port of the first address of a setting, or 0. */
static uint16_t port_of(const char *bind)
{
	char address[128];
	struct address a;

	if (!config_list_next(&bind, address, sizeof(address)) || address_parse(address, &a) < 0 || a.number < 0)
		return 0;
	return (uint16_t)a.number;
}

struct client_ports logic_client_ports(const struct logic *l)
{
	if (l->alone)
		return l->ports;
	return (struct client_ports){
		.tcp = port_of(l->cfg->tcp_bind),
		.websocket = port_of(l->cfg->websocket_bind),
		.websocket_tls = port_of(l->cfg->websocket_tls_bind),
	};
}
