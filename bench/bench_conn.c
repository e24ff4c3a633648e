/* bench_conn: see bench_conn.h. The phases of a connection, in order: start, shake_hands, connected, authenticated,
 * take_online, and end. SPDX-License-Identifier: MIT */
#include "bench/bench_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/bench_body.h"
#include "bench/bench_tls.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/obj.h"

/* For take_packet, beside the packet. */
struct reading {
	struct bench_crowd *crowd;
	struct bench_conn *c;
};

void bench_conn_drop(struct bench_conn *c)
{
	if (c->tls != NULL)
		bench_tls_free(c->tls);
	if (c->fd >= 0)
		close(c->fd); /* takes it out of the epoll set too */
	free(c->held);
	free(c->unsent);
	c->fd = -1;
	c->tls = NULL;
	c->held = c->unsent = NULL;
	c->held_bytes = c->unsent_bytes = 0;
	c->state = CONN_GONE;
}

/* Words for an error; where the machine ran out of something, they say how to get more. */
static const char *words_of(int rc)
{
	switch (rc) {
	case -ECONNABORTED:
		return "took longer than --handshake";
	case -EADDRNOTAVAIL:
		return "no source port left; net.ipv4.ip_local_port_range widens the range";
	case -EPROTO:
		return "what answers there does not speak this --transport";
	case -ERR_TLS:
		return bench_tls_why();
	case -EMFILE:
	case -ENFILE:
		return "no file left; raise RLIMIT_NOFILE (ulimit -n) or fs.file-max";
	default:
		return err_text(rc);
	}
}

/* Count an end under the server's words, or under ours if it said none. */
static void count_end(struct bench_crowd *crowd, const char *when, int rc)
{
	char words[BENCH_REASON_BYTES];

	if (crowd->goodbye.code != GOODBYE_UNSAID)
		snprintf(words, sizeof(words), "%s: op 6: %.70s", when, crowd->goodbye.reason);
	else
		snprintf(words, sizeof(words), "%s: %s", when, words_of(rc));
	bench_reason_count(crowd->share->reasons, words);
	crowd->goodbye.code = GOODBYE_UNSAID;
}

/* The end of a connection that the server, the network or the machine brought about. */
void bench_conn_end(struct bench_crowd *crowd, struct bench_conn *c, int rc)
{
	static const char *const when[] = {"", "connect", "tls", "hello", "auth", "online", ""};

	count_end(crowd, when[c->state], rc);
	if (c->state == CONN_ONLINE) {
		bench_count(&crowd->share->lost, 1);
		bench_count(&crowd->share->open, (uint64_t)-1);
	} else {
		bench_count(&crowd->share->failed, 1);
		crowd->handshaking--;
	}
	bench_conn_drop(c);
}

static int watch(struct bench_crowd *crowd, struct bench_conn *c, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	return epoll_ctl(crowd->epoll, how, c->fd, &event) < 0 ? -errno : 0;
}

static ssize_t put(struct bench_conn *c, const uint8_t *bytes, size_t n)
{
	ssize_t sent;

	if (c->tls != NULL)
		return bench_tls_send(c->tls, bytes, n);
	sent = send(c->fd, bytes, n, MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

static ssize_t take(struct bench_conn *c, uint8_t *buf, size_t max)
{
	ssize_t n;

	if (c->tls != NULL)
		return bench_tls_receive(c->tls, buf, max);
	n = recv(c->fd, buf, max, 0);
	return n < 0 ? -errno : n;
}

/* Send, or keep what the socket does not take. What is sent here is small, and its answer is waited for before the next:
 * more than one such rest means that the server does not read. */
static int send_all(struct bench_crowd *crowd, struct bench_conn *c, const uint8_t *bytes, size_t n)
{
	ssize_t sent;

	if (c->unsent != NULL)
		return -ENOBUFS;
	sent = put(c, bytes, n);
	if (sent == (ssize_t)n)
		return 0;
	if (sent < 0 && sent != -EAGAIN && sent != -EINTR)
		return (int)sent;
	n -= sent > 0 ? (size_t)sent : 0;
	if ((c->unsent = malloc(n)) == NULL)
		return -ENOMEM;
	memcpy(c->unsent, bytes + (sent > 0 ? sent : 0), n);
	c->unsent_bytes = (uint32_t)n;
	return watch(crowd, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static int send_rest(struct bench_crowd *crowd, struct bench_conn *c)
{
	uint8_t *rest = c->unsent;
	size_t n = c->unsent_bytes;
	int rc;

	c->unsent = NULL;
	c->unsent_bytes = 0;
	rc = rest != NULL ? send_all(crowd, c, rest, n) : 0;
	free(rest);
	return rc == 0 && c->unsent == NULL ? watch(crowd, c, EPOLL_CTL_MOD, EPOLLIN) : rc;
}

static int send_packet(struct bench_crowd *crowd, struct bench_conn *c, int32_t op, const void *body,
		       uint32_t body_bytes)
{
	uint8_t bytes[BENCH_WIRE_WRAP_BYTES];

	return send_all(crowd, c, bytes, crowd->opt->wire->wrap(bytes, op, 1, body, body_bytes));
}

static int send_auth(struct bench_crowd *crowd, struct bench_conn *c)
{
	int64_t mid = crowd->opt->mid + crowd->first + (c - crowd->conns);
	char token[256];
	int n = snprintf(token, sizeof(token),
			 "{\"mid\":%lld,\"key\":\"\",\"room_id\":\"" BENCH_ROOM_TYPE
			 "://%s\",\"platform\":\"bench\",\"accepts\":[%d]}",
			 (long long)mid, crowd->opt->run, crowd->opt->op);

	c->state = CONN_AUTH;
	return send_packet(crowd, c, OP_AUTH, token, (uint32_t)n);
}

int bench_conn_beat(struct bench_crowd *crowd, struct bench_conn *c)
{
	return send_packet(crowd, c, OP_HEARTBEAT, NULL, 0);
}

int bench_conn_echo(struct bench_crowd *crowd, struct bench_conn *c)
{
	c->since_ns = clock_now_ns();
	return send_packet(crowd, c, OP_HEARTBEAT, NULL, 0);
}

static const struct bench_server *server_of(const struct bench_crowd *crowd, const struct bench_conn *c)
{
	return &crowd->opt->servers[(size_t)(c - crowd->conns) % crowd->opt->n_servers];
}

/* The TCP connection stands, and TLS on it. */
static int connected(struct bench_crowd *crowd, struct bench_conn *c)
{
	const struct bench_wire *wire = crowd->opt->wire;
	char hello[BENCH_WIRE_WRAP_BYTES];

	if (wire->hello == NULL)
		return send_auth(crowd, c);
	c->state = CONN_HELLO;
	return send_all(crowd, c, (uint8_t *)hello,
			wire->hello(hello, sizeof(hello), crowd->opt->host, server_of(crowd, c)->port));
}

/* Begin one connection. An error has been counted. */
void bench_conn_start(struct bench_crowd *crowd, struct bench_conn *c)
{
	const struct bench_server *server = server_of(crowd, c);
	const struct sockaddr *to = (const struct sockaddr *)&server->address;
	int rc, on = 1;

	bench_count(&crowd->share->started, 1);
	crowd->handshaking++;
	c->state = CONN_CONNECTING;
	c->since_ns = clock_now_ns();
	c->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ? -errno : 0;
	if (rc == 0)
		rc = bench_source_bind(&crowd->source, c->fd);
	if (rc == 0 && connect(c->fd, to, server->address_bytes) < 0 && errno != EINPROGRESS)
		rc = -errno;
	if (rc == 0)
		rc = watch(crowd, c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	if (rc < 0)
		bench_conn_end(crowd, c, rc);
}

/* A churning connection has done its work: the next one takes its place, also where it was so quick that the word that the
 * run has begun is still on its way to us. */
static void churn(struct bench_crowd *crowd, struct bench_conn *c)
{
	bench_count(&crowd->share->open, (uint64_t)-1);
	bench_conn_drop(c);
	if (crowd->phase != PHASE_END)
		bench_conn_start(crowd, c);
}

static int authenticated(struct bench_crowd *crowd, struct bench_conn *c)
{
	c->state = CONN_ONLINE;
	crowd->handshaking--;
	histogram_add(&crowd->share->handshakes, crowd->now_ns - c->since_ns);
	crowd->share->last_online_ns = crowd->now_ns;
	bench_count(&crowd->share->online, 1);
	bench_count(&crowd->share->open, 1);
	return 0;
}

static void take_push(struct bench_crowd *crowd, struct bench_conn *c, const struct packet *p)
{
	int64_t sent_ns;
	uint32_t n;

	if (c->seen.bits == NULL || !bench_body_read(p->body, p->body_bytes, crowd->opt->run, &n, &sent_ns) ||
	    n >= crowd->pushes_max) {
		bench_count(&crowd->share->foreign, 1);
		return;
	}
	switch (sequence_take(&c->seen, n)) {
	case SEQUENCE_DUPLICATE:
		bench_count(&crowd->share->duplicates, 1);
		return;
	case SEQUENCE_REORDERED:
		bench_count(&crowd->share->reordered, 1);
		break;
	case SEQUENCE_NEXT:
		break;
	}
	histogram_add(&crowd->share->latencies, crowd->now_ns - sent_ns);
	bench_count(&crowd->share->delivered, 1);
}

static int take_online(struct bench_crowd *crowd, struct bench_conn *c, const struct packet *p)
{
	if (p->op != OP_HEARTBEAT_REPLY) {
		take_push(crowd, c, p);
		return 0;
	}
	if (crowd->opt->kind != BENCH_ECHO || crowd->phase != PHASE_RUN || c->since_ns == 0)
		return 0;
	histogram_add(&crowd->share->latencies, crowd->now_ns - c->since_ns);
	bench_count(&crowd->share->echoes, 1);
	return bench_conn_echo(crowd, c);
}

static int take_packet(void *arg, const struct packet *p)
{
	struct reading *r = arg;

	if (p->op == OP_DISCONNECT) {
		client_read_goodbye(p, &r->crowd->goodbye);
		return -ERR_EOF;
	}
	if (r->c->state == CONN_ONLINE)
		return take_online(r->crowd, r->c, p);
	return p->op == OP_AUTH_REPLY ? authenticated(r->crowd, r->c) : 0;
}

static int take_ping(void *arg, const uint8_t *payload, size_t payload_bytes)
{
	uint8_t bytes[BENCH_WIRE_WRAP_BYTES];
	struct reading *r = arg;

	return send_all(r->crowd, r->c, bytes, r->crowd->opt->wire->pong(bytes, payload, payload_bytes));
}

/* Take what is whole of n bytes in the buffer, and keep the rest with the connection. */
static int take_bytes(struct bench_crowd *crowd, struct bench_conn *c, size_t n)
{
	struct reading r = {crowd, c};
	struct bench_wire_sink sink = {take_packet, take_ping, &r};
	uint8_t *at = crowd->buffer;
	ssize_t done;
	int rc = 0;

	if (c->state == CONN_HELLO) {
		if ((done = crowd->opt->wire->welcome(at, n)) < 0)
			return (int)done;
		at += done;
		n -= (size_t)done;
		if (done > 0)
			rc = send_auth(crowd, c);
	}
	if (rc == 0 && c->state != CONN_HELLO) {
		if ((done = crowd->opt->wire->feed(at, n, &sink)) < 0)
			return (int)done;
		at += done;
		n -= (size_t)done;
	}
	if (rc == 0 && n > 0) {
		if ((c->held = malloc(n)) == NULL)
			return -ENOMEM;
		memcpy(c->held, at, n);
		c->held_bytes = (uint32_t)n;
	}
	return rc;
}

/* As take; of a long packet, of which there is a part, all that has come: that part is copied each time, and TLS takes 16 KB at a time. An
 * end or an error behind bytes is met once more. */
static ssize_t take_all(struct bench_conn *c, uint8_t *into, size_t space, bool is_long)
{
	ssize_t n = take(c, into, space), more = n;

	while (is_long && more > 0 && (size_t)n < space)
		if ((more = take(c, into + n, space - (size_t)n)) > 0)
			n += more;
	return n;
}

/* Take what has come, as much as the buffer holds. 0; 1: there may be more, of which epoll knows nothing. */
static int receive_some(struct bench_crowd *crowd, struct bench_conn *c)
{
	size_t held = c->held_bytes;
	ssize_t n;
	int rc;

	if (held > 0) {
		memcpy(crowd->buffer, c->held, held);
		free(c->held);
		c->held = NULL;
		c->held_bytes = 0;
	}
	if (held == BENCH_READ_BYTES)
		return -ERR_PACKET_BODY;
	n = take_all(c, crowd->buffer + held, BENCH_READ_BYTES - held, held > 0);
	crowd->now_ns = clock_now_ns();
	if (n == 0)
		return held > 0 ? -ERR_CUT : -ERR_EOF;
	if (n < 0 && n != -EAGAIN && n != -EINTR)
		return (int)n;
	if (n > 0 && c->state == CONN_ONLINE)
		bench_count(&crowd->share->bytes, (uint64_t)n);
	if ((rc = take_bytes(crowd, c, held + (n > 0 ? (size_t)n : 0))) < 0)
		return rc;
	return n == (ssize_t)(BENCH_READ_BYTES - held);
}

static int receive(struct bench_crowd *crowd, struct bench_conn *c)
{
	int rc;

	do
		rc = receive_some(crowd, c);
	while (rc > 0);
	return rc;
}

static int shake_hands(struct bench_crowd *crowd, struct bench_conn *c)
{
	int rc = bench_tls_shake(c->tls);

	if (rc > 0)
		return watch(crowd, c, EPOLL_CTL_MOD, (uint32_t)rc);
	return rc < 0 ? rc : connected(crowd, c);
}

static int finish_connect(struct bench_crowd *crowd, struct bench_conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	if (error != 0)
		return -error;
	error = watch(crowd, c, EPOLL_CTL_MOD, EPOLLIN);
	if (error < 0 || !crowd->opt->wire->tls)
		return error < 0 ? error : connected(crowd, c);
	c->state = CONN_TLS;
	error = bench_tls_start(crowd->opt->tls, crowd->opt->host, c->fd, &c->tls);
	return error < 0 ? error : shake_hands(crowd, c);
}

void bench_conn_event(struct bench_crowd *crowd, struct bench_conn *c, uint32_t events)
{
	int rc = 0;

	if (c->state == CONN_CONNECTING)
		rc = finish_connect(crowd, c);
	else if (c->state == CONN_TLS)
		rc = shake_hands(crowd, c);
	else if ((events & EPOLLOUT) != 0)
		rc = send_rest(crowd, c);
	if (rc == 0 && c->state != CONN_TLS && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		rc = receive(crowd, c);
	if (rc < 0)
		bench_conn_end(crowd, c, rc);
	else if (crowd->opt->kind == BENCH_CHURN && c->state == CONN_ONLINE)
		churn(crowd, c);
}
