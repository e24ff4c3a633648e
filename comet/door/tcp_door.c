/* tcp_door: see tcp_door.h. SPDX-License-Identifier: MIT */
#include "comet/door/tcp_door.h"

#include <errno.h>
#include <unistd.h>

#include "comet/goodbye.h"
#include "comet/serve.h"
#include "comet/transport/stream.h"
#include "comet/transport/tcp.h"
#include "comet/transport/ws.h"
#include "comet/transport/ws_answer.h"
#include "common/wire/packet.h"

_Static_assert(GOODBYE_BYTES <= WS_GOODBYE_BYTES, "an answer of ws_answer.h holds every goodbye");

/* As far as that goes at once. */
static void say_and_close(int fd, const void *bytes, size_t n)
{
	if (send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
		(void)shutdown(fd, SHUT_WR);
		stream_forget_unread(fd);
	}
	(void)close(fd);
}

void tcp_door_turn_away(void *arg, int fd, enum close_reason why)
{
	struct tcp_door *door = arg;
	uint8_t packet[PACKET_HEAD_BYTES + GOODBYE_BYTES];
	size_t body =
		goodbye_body(&door->server->goodbye, why, NULL, (char *)packet + PACKET_HEAD_BYTES, GOODBYE_BYTES);

	packet_encode(packet, 1, OP_DISCONNECT, 0, (uint32_t)body);
	say_and_close(fd, packet, PACKET_HEAD_BYTES + body);
}

void tcp_door_turn_away_websocket(void *arg, int fd, enum close_reason why)
{
	struct tcp_door *door = arg;
	char body[GOODBYE_BYTES], answer[WS_ANSWER_BYTES + WS_GOODBYE_BYTES];
	size_t n = goodbye_body(&door->server->goodbye, why, NULL, body, sizeof(body));

	say_and_close(fd, answer, ws_answer_full(answer, sizeof(answer), body, n));
}

void tcp_door_turn_away_tls(void *arg, int fd, enum close_reason why)
{
	(void)arg;
	(void)why; /* admission has counted and logged it */
	(void)close(fd);
}

/* A proxy has told whose connection it is. */
static int rename_client(void *arg, const struct sockaddr *client)
{
	struct connection *c = arg;
	enum close_reason why = admission_rename(&c->server->admission, transport_peer(c->transport), client);

	if (why == CLOSE_NONE)
		return 0;
	(void)connection_shutdown(c, why);
	return why == CLOSE_NO_MEMORY ? -ENOMEM : -EPIPE;
}

static int new_transport(const struct tcp_door *door, int fd, const struct sockaddr *peer, bool for_other,
			 unsigned turn, struct transport **out)
{
	const struct config *cfg = door->server->cfg;
	struct buffers *buffers = round_buffers(&door->server->round, turn);
	struct tcp_options tcp = {
		.max_body = (uint32_t)cfg->protocol_max_body,
		.max_token = PACKET_TOKEN_BYTES,
		.tls = door->tls,
		.parks = door->server->connection.park != NULL,
		.write_timeout_ns = door->server->connection.write_timeout_ns,
	};
	struct ws_options ws = {
		.max_body = tcp.max_body,
		.max_token = tcp.max_token,
		.origins = &door->origins,
		.ping = &door->ping,
		.proxies = for_other ? &door->proxies : NULL,
		.upgrade_headers = cfg->auth_mode == CONFIG_AUTH_WEBHOOK ? cfg->auth_headers : NULL,
		.deflate = cfg->websocket_deflate,
		.tls = tcp.tls,
		.parks = tcp.parks,
		.write_timeout_ns = tcp.write_timeout_ns,
	};

	return door->websocket ? ws_new(fd, peer, buffers, &ws, out) : tcp_new(fd, peer, buffers, &tcp, out);
}

int tcp_door_let_in(void *arg, int fd, const struct sockaddr *peer, bool for_other, enum ticket *ticket)
{
	struct tcp_door *door = arg;
	struct server *s = door->server;
	unsigned turn = atomic_fetch_add(&door->accepted, 1);
	struct transport *t;
	struct connection *c;
	int rc;

	if ((rc = new_transport(door, fd, peer, for_other, turn, &t)) < 0) {
		(void)close(fd);
		return rc;
	}
	if ((rc = connection_new(t, &s->connection, &c)) < 0) {
		transport_free(&t);
		return rc;
	}
	t->named = rename_client;
	t->named_arg = c;
	c->turn = turn;
	c->ticket = ticket_take(ticket);
	return serve_start(s, c);
}
