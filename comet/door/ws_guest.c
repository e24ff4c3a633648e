/* ws_guest: see ws_guest.h. SPDX-License-Identifier: MIT */
#include "comet/door/ws_guest.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "comet/close_reason.h"
#include "comet/connection.h"
#include "comet/door/ws_upgrade.h"
#include "comet/serve.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/obj.h"
#include "common/base/utf8.h"

/* How long a peer may take for a goodbye, once nobody waits for it any more. */
#define PARTING_US 2000000

/* A socket from accept to close, as its service thread sees it. */
struct ws_guest {
	unsigned magic;
#define WS_GUEST_MAGIC 0x90e57a11
	struct ws_host *host;
	struct ws_link *link;
	struct connection *c;            /* until its reader was started */
	struct lws *wsi;                 /* from adoption to its end */
	lws_sorted_usec_list_t deadline; /* of the handshake, then of a write that the peer does not take */
	enum close_reason why;           /* of a handshake that came to nothing */
	int fd;                          /* until adoption */
	bool tls;
	bool adopting; /* its own callbacks may come before lws has told us the wsi */
	bool choked;
	bool failed;  /* to write a frame */
	bool closing; /* a close frame is on its way, or was answered: nothing may be written after it */
	bool parted;  /* the peer has said goodbye */
	bool broken;  /* what came was no TLS, or not as it has to be */
	struct ws_guest *next;
};

void ws_host_fini(struct ws_host *host)
{
	free(host->frame.data);
}

/* ---- before the service thread has it ---- */

int ws_guest_new(struct ws_host *host, int fd, const struct sockaddr *peer, bool tls, unsigned share,
		 enum ticket *ticket, struct ws_guest **out)
{
	const struct config *cfg = host->server->cfg;
	struct ws_link_options opt = {
		.max_body = (uint32_t)cfg->protocol_max_body,
		.write_timeout_ns = cfg->protocol_write_timeout * CLOCK_MS,
		.ask = host->ask,
		.service = host->service,
	};
	struct ws_guest *g = calloc(1, sizeof(*g));
	struct transport *t;
	int rc;

	if (g == NULL)
		return -ENOMEM;
	*g = (struct ws_guest){.magic = WS_GUEST_MAGIC, .host = host, .why = CLOSE_CLIENT_CUT, .fd = fd, .tls = tls};
	if ((rc = ws_link_new(peer, &opt, &g->link, &t)) < 0)
		goto free_guest;
	if ((rc = connection_new(t, &host->server->connection, &g->c)) < 0)
		goto free_link;
	g->c->turn = share;
	g->c->ticket = ticket_take(ticket);
	ws_link_set_tag(g->link, g);
	serve_enter(host->server, g->c);
	*out = g;
	return 0;

free_link:
	transport_free(&t);
	ws_link_unref(&g->link);
free_guest:
	free(g);
	return rc;
}

struct ws_guest **ws_guest_next(struct ws_guest *g)
{
	OBJ_CHECK(g, WS_GUEST_MAGIC);
	return &g->next;
}

/* ---- the handshake ---- */

/* Answer with a status and no more, and let lws close. */
static int refuse(struct ws_guest *g, struct lws *wsi, const char *status, enum close_reason why)
{
	uint8_t text[LWS_PRE + 256];
	int n = snprintf((char *)text + LWS_PRE, sizeof(text) - LWS_PRE,
			 "HTTP/1.1 %s\r\nContent-Length: 0\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n\r\n",
			 status);

	g->why = why;
	(void)lws_write(wsi, text + LWS_PRE, (size_t)n, LWS_WRITE_HTTP_HEADERS);
	return -1;
}

static int confirm_upgrade(struct ws_guest *g, struct lws *wsi, const char *to)
{
	enum close_reason why;
	const char *status = ws_upgrade_fault(wsi, to, g->host->server->cfg->websocket_origins, &why);

	return status != NULL ? refuse(g, wsi, status, why) : 0;
}

static int answer_http(struct ws_guest *g, struct lws *wsi)
{
	return refuse(g, wsi, ws_upgrade_missing(wsi), CLOSE_WEBSOCKET_UPGRADE);
}

/* Count the frames that lws has given to the kernel since it last told us; one that it could not write is dropped with the
 * link. */
static void count_written(struct ws_guest *g, struct lws *wsi)
{
	if (!g->failed && !lws_partial_buffered(wsi))
		ws_link_frames_written(g->link);
}

/* The socket is closed at once, in whatever state it is. */
static void kill_hard(struct ws_guest *g)
{
	count_written(g, g->wsi);
	g->closing = true;
	/* Else lws would first wait for a peer that does not read. The descriptor is open as long as there is a wsi. */
	(void)shutdown(lws_get_socket_fd(g->wsi), SHUT_RDWR);
	lws_set_timeout(g->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void handshake_expired(lws_sorted_usec_list_t *deadline)
{
	struct ws_guest *g = lws_container_of(deadline, struct ws_guest, deadline);

	OBJ_CHECK(g, WS_GUEST_MAGIC);
	if (g->why == CLOSE_CLIENT_CUT) /* else it was refused, and has not gone */
		g->why = CLOSE_HANDSHAKE_TIMEOUT;
	kill_hard(g);
}

/* Only now does the connection cost threads. */
static int established(struct ws_guest *g)
{
	struct connection *c = g->c;

	lws_sul_cancel(&g->deadline);
	g->c = NULL;
	(void)serve_begin(c); /* where no thread is left the client is told so through the link */
	return 0;
}

/* ---- reading ---- */

static int say_close(struct ws_guest *g, struct lws *wsi, int code)
{
	g->closing = true;
	lws_close_reason(wsi, (enum lws_close_status)code, NULL, 0);
	return -1;
}

static int receive(struct ws_guest *g, struct lws *wsi, const void *bytes, size_t n)
{
	int rc;

	if (g->closing)
		return 0;
	rc = ws_link_receive(g->link, bytes, n, lws_is_first_fragment(wsi), lws_is_final_fragment(wsi),
			     !lws_frame_is_binary(wsi), lws_remaining_packet_payload(wsi));
	if (rc < 0)
		return say_close(g, wsi, ws_link_close_code(g->link));
	if (rc > 0)
		(void)lws_rx_flow_control(wsi, 0);
	return 0;
}

/* lws answers with the same code, but does not look closely at what it got. Codes from 5000 on are nobody's. */
static int peer_closes(struct ws_guest *g, struct lws *wsi, const uint8_t *payload, size_t n)
{
	g->parted = true;
	if (n == 1 || (n >= 2 && (payload[0] << 8 | payload[1]) >= 5000))
		return say_close(g, wsi, WS_CLOSE_PROTOCOL);
	if (n > 2 && !utf8_is_valid(payload + 2, n - 2))
		return say_close(g, wsi, WS_CLOSE_NOT_CONSISTENT);
	g->closing = true;
	return 0;
}

/* Has the other end of the socket gone? */
static bool is_cut(struct lws *wsi)
{
	char byte;
	ssize_t n = recv(lws_get_socket_fd(wsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	SSL *ssl = lws_get_ssl(wsi);

	return n == 0 || (n < 0 && errno != EAGAIN) || (ssl != NULL && (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN));
}

/* Closed before it was a WebSocket. Where we have not said why and the peer has not gone, lws met what is no request. */
static void closed_early(struct ws_guest *g, struct lws *wsi)
{
	bool cut = is_cut(wsi);

	g->closing = true;
	if (g->adopting && cut)
		g->why = CLOSE_CLIENT_CUT;
	else if (!g->adopting && !cut && g->why == CLOSE_CLIENT_CUT)
		g->why = CLOSE_WEBSOCKET_UPGRADE;
}

/* The connection is on its way out. If neither we nor the peer wanted that, lws met a frame that is not allowed, and for
 * some of them it would say nothing. Before it has established the connection, it had no memory for it, nor for a close
 * frame: asked for one it would crash. */
static void dropping(struct ws_guest *g, struct lws *wsi)
{
	count_written(g, wsi);
	if (g->closing || g->wsi == NULL || is_cut(wsi)) {
		g->closing = true;
		return;
	}
	if (g->c != NULL) {
		g->closing = true;
		g->why = CLOSE_NO_MEMORY;
		return;
	}
	if (g->broken) {
		g->closing = true;
		ws_link_end(g->link, -ERR_TLS);
		return;
	}
	(void)say_close(g, wsi, WS_CLOSE_PROTOCOL);
	ws_link_end(g->link, -ERR_FRAME);
}

/* ---- writing ---- */

static void write_expired(lws_sorted_usec_list_t *deadline)
{
	struct ws_guest *g = lws_container_of(deadline, struct ws_guest, deadline);

	OBJ_CHECK(g, WS_GUEST_MAGIC);
	ws_link_end(g->link, -ETIME);
	kill_hard(g);
}

/* A peer that does not take one frame within the write deadline is not worth waiting for. */
static void set_choked(struct ws_guest *g, bool choked)
{
	if (g->choked == choked)
		return;
	g->choked = choked;
	ws_link_set_choked(g->link, choked);
	if (choked)
		lws_sul_schedule(g->host->context, 0, &g->deadline, write_expired,
				 g->host->server->cfg->protocol_write_timeout * LWS_US_PER_MS);
	else
		lws_sul_cancel(&g->deadline);
}

/* Frames that one connection may write before the others of its thread have their turn. Else one whose outbox is refilled as
 * fast as its peer reads would keep them all waiting. */
#define FRAMES_A_TURN 32

/* 0: all that goes was written; 1: and now the close frame is due; negative: the socket is broken. */
static int send_frames(struct ws_guest *g, struct lws *wsi)
{
	struct ws_frame *frame = &g->host->frame;
	unsigned left = FRAMES_A_TURN;

	while (!g->closing) {
		enum ws_next next;
		int n;

		set_choked(g, lws_partial_buffered(wsi) != 0);
		if (g->choked) {
			(void)lws_callback_on_writable(wsi);
			return 0;
		}
		ws_link_frames_written(g->link);
		next = ws_link_next_frame(g->link, LWS_PRE, frame);
		if (next == WS_NEXT_NOTHING)
			return 0;
		if (next == WS_NEXT_CLOSE)
			return 1;
		n = lws_write(wsi, frame->data + LWS_PRE, frame->bytes,
			      frame->is_text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY);
		if (n < 0) {
			g->failed = true;
			return -EPIPE;
		}
		if (--left == 0) {
			(void)lws_callback_on_writable(wsi);
			return 0;
		}
	}
	return 0;
}

static int writeable(struct ws_guest *g, struct lws *wsi)
{
	int rc = send_frames(g, wsi);

	return rc > 0 ? say_close(g, wsi, ws_link_close_code(g->link)) : rc;
}

/* ---- the end ---- */

static void gone(struct ws_guest *g)
{
	if (g->adopting)
		return; /* ws_guest_adopt() sees to it */
	lws_sul_cancel(&g->deadline);
	ws_link_set_tag(g->link, NULL);
	if (g->c != NULL)
		serve_never(g->c, g->broken ? CLOSE_TLS_FAILED : g->why);
	else
		ws_link_end(g->link, g->parted ? 0 : -ERR_CUT);
	ws_link_unref(&g->link);
	g->magic = 0;
	free(g);
}

/* ---- TLS ---- */

/* Whom this thread is adopting: their handshake begins before we can know the SSL. */
static __thread struct ws_guest *arriving;

/* What OpenSSL does; lws drops a connection whose TLS is broken without telling. That we have no memory is not the peer's
 * fault, and that it has gone leaves no error. */
static void watch(const SSL *ssl, int what, int value)
{
	struct ws_guest *g = SSL_get_app_data(ssl);
	bool is_alert = (what & SSL_CB_ALERT) && (value >> 8) == SSL3_AL_FATAL;

	if (g == NULL)
		g = arriving;
	if (g == NULL)
		return;
	OBJ_CHECK(g, WS_GUEST_MAGIC);
	if (is_alert)
		g->broken |= !((what & SSL_CB_WRITE) && (value & 0xff) == SSL_AD_INTERNAL_ERROR);
	else if ((what & SSL_CB_EXIT) && value <= 0 && ERR_peek_error() != 0)
		g->broken |= !ERR_FATAL_ERROR(ERR_peek_last_error());
}

static void parting_over(lws_sorted_usec_list_t *deadline)
{
	struct ws_guest *g = lws_container_of(deadline, struct ws_guest, deadline);

	OBJ_CHECK(g, WS_GUEST_MAGIC);
	kill_hard(g);
}

/* A write that fails for good ends the connection, from the service loop, for lws is in the middle of it here. In its own
 * goodbye lws would not see that, and try again without a pause for as long as its patience lasts. */
static long watch_socket(BIO *bio, int what, const char *bytes, size_t n, int number, long more, int rc, size_t *done)
{
	struct ws_guest *g = (void *)BIO_get_callback_arg(bio);

	(void)bytes, (void)n, (void)number, (void)more, (void)done;
	if (what == (BIO_CB_WRITE | BIO_CB_RETURN) && rc <= 0 && !BIO_should_retry(bio)) {
		OBJ_CHECK(g, WS_GUEST_MAGIC);
		lws_sul_schedule(g->host->context, 0, &g->deadline, parting_over, 1);
	}
	return rc;
}

static void watch_socket_of(struct ws_guest *g, SSL *ssl)
{
	BIO *bio = SSL_get_wbio(ssl);

	(void)SSL_set_app_data(ssl, g);
	BIO_set_callback_arg(bio, (char *)g);
	BIO_set_callback_ex(bio, watch_socket);
}

void ws_guest_watch(SSL_CTX *ctx)
{
	SSL_CTX_set_info_callback(ctx, watch);
}

/* ---- what the service thread does with it ---- */

/* The socket behind a descriptor, by a number that no other ever has: socket(7). 0: there is none. */
static uint64_t socket_number(int fd)
{
	uint64_t number = 0;
	socklen_t bytes = sizeof(number);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &number, &bytes) == 0 ? number : 0;
}

void ws_guest_adopt(struct ws_guest *g)
{
	const struct ws_host *host = g->host;
	uint64_t number = socket_number(g->fd);
	lws_adopt_desc_t desc = {
		.vh = g->tls ? host->tls : host->plain,
		.type = LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET | (g->tls ? LWS_ADOPT_ALLOW_SSL : 0),
		.fd.sockfd = g->fd,
		.opaque = g,
	};
	int64_t left_ns = g->c->born_ns + host->server->cfg->protocol_handshake_timeout * CLOCK_MS;

	left_ns -= clock_now_ns();
	g->adopting = true;
	g->why = CLOSE_NO_MEMORY;
	arriving = g;
	g->wsi = lws_adopt_descriptor_vhost_via_info(&desc);
	arriving = NULL;
	g->adopting = false;
	if (g->wsi != NULL) {
		SSL *ssl = lws_get_ssl(g->wsi);

		if (ssl != NULL)
			watch_socket_of(g, ssl);
		g->why = CLOSE_CLIENT_CUT;
		lws_sul_schedule(host->context, 0, &g->deadline, handshake_expired,
				 left_ns > 1000 ? left_ns / 1000 : 1);
	} else {
		/* For some failures lws has closed the descriptor, and it may be another's by now; for others it has not. */
		if (number != 0 && socket_number(g->fd) == number)
			(void)close(g->fd);
		gone(g);
	}
}

/* A link that is closing still sends its close frame, if the peer takes it soon; any other ends where it stands. lws would
 * wait for ten seconds over TLS. */
static void end(struct ws_guest *g)
{
	if (g->closing)
		lws_sul_schedule(g->host->context, 0, &g->deadline, parting_over, PARTING_US);
	else if (g->c == NULL && !g->choked && ws_link_is_closing(g->link)) {
		(void)say_close(g, g->wsi, ws_link_close_code(g->link));
		lws_set_timeout(g->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
	} else {
		kill_hard(g);
	}
}

void ws_guest_grant(struct ws_guest *g, unsigned wishes)
{
	int rc = 0;

	OBJ_CHECK(g, WS_GUEST_MAGIC);
	if (g->wsi == NULL)
		return; /* not adopted yet */
	if ((wishes & WS_WISH_READ) && !g->closing)
		(void)lws_rx_flow_control(g->wsi, 1);
	if ((wishes & WS_WISH_WRITE) && g->c == NULL)
		rc = send_frames(g, g->wsi);
	if ((wishes & WS_WISH_KILL) || rc < 0)
		end(g);
	else if (rc > 0)
		(void)lws_callback_on_writable(g->wsi); /* a close must come from there */
}

/* ---- what lws tells ---- */

int ws_guest_callback(struct lws *wsi, enum lws_callback_reasons reason, void *in, size_t n)
{
	struct ws_guest *g = lws_get_opaque_user_data(wsi);

	if (g == NULL)
		return 0; /* lws' own business */
	OBJ_CHECK(g, WS_GUEST_MAGIC);
	switch (reason) {
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return confirm_upgrade(g, wsi, in);
	case LWS_CALLBACK_HTTP:
		return answer_http(g, wsi);
	case LWS_CALLBACK_ESTABLISHED:
		return established(g);
	case LWS_CALLBACK_RECEIVE:
		return receive(g, wsi, in, n);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return writeable(g, wsi);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		return peer_closes(g, wsi, in, n);
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
		dropping(g, wsi);
		return 0;
	case LWS_CALLBACK_CLOSED_HTTP:
		closed_early(g, wsi);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		gone(g);
		return 0;
	default:
		return 0;
	}
}
