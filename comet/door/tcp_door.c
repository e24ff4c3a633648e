/* tcp_door: see tcp_door.h. SPDX-License-Identifier: MIT */
#include "comet/door/tcp_door.h"

#include <unistd.h>

#include "comet/goodbye.h"
#include "comet/serve.h"
#include "comet/transport/tcp.h"

void tcp_door_turn_away(void *arg, int fd, enum close_reason why)
{
	struct tcp_door *door = arg;
	uint8_t packet[PACKET_HEAD_BYTES + GOODBYE_BYTES];
	size_t body =
		goodbye_body(&door->server->goodbye, why, NULL, (char *)packet + PACKET_HEAD_BYTES, GOODBYE_BYTES);

	packet_encode(packet, 1, OP_DISCONNECT, 0, (uint32_t)body);
	if (send(fd, packet, PACKET_HEAD_BYTES + body, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
		(void)shutdown(fd, SHUT_WR);
		/* Bytes left unread would make the close a reset, and that may overtake what was just said. */
		(void)recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
	}
	(void)close(fd);
}

void tcp_door_turn_away_tls(void *arg, int fd, enum close_reason why)
{
	(void)arg;
	(void)why; /* admission has counted and logged it */
	(void)close(fd);
}

int tcp_door_let_in(void *arg, int fd, const struct sockaddr *peer, enum ticket *ticket)
{
	struct tcp_door *door = arg;
	struct server *s = door->server;
	struct tcp_options opt = {
		.max_body = (uint32_t)s->cfg->protocol_max_body,
		.tls = door->tls,
		.write_timeout_ns = s->connection.write_timeout_ns,
	};
	unsigned turn = atomic_fetch_add(&door->accepted, 1);
	struct transport *t;
	struct connection *c;
	int rc;

	if ((rc = tcp_new(fd, peer, round_buffers(&s->round, turn), &opt, &t)) < 0) {
		(void)close(fd);
		return rc;
	}
	if ((rc = connection_new(t, &s->connection, &c)) < 0) {
		transport_free(&t);
		return rc;
	}
	c->turn = turn;
	c->ticket = ticket_take(ticket);
	return serve_start(s, c);
}
