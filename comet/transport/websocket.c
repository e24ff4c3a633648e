/* websocket: see websocket.h. A context of libwebsockets, and all that is in it, is touched by its service thread only;
 * lws_cancel_service() is the one call for others. So an accept thread leaves what it accepted in a list, and so do
 * connections that wish something; many of them share one cancel. SPDX-License-Identifier: MIT */
#include "comet/transport/websocket.h"

#include <errno.h>
#include <libwebsockets.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comet/goodbye.h"
#include "comet/serve.h"
#include "comet/transport/tcp.h"
#include "comet/transport/ws_link.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/obj.h"
#include "common/thread.h"
#include "common/utf8.h"

/* A whole record is read at once: a connection that may not be read and has bytes left in OpenSSL's buffer sends lws into
 * a loop that never ends. */
#define TLS_RECORD_BYTES 16384

/* How long a peer may take for a goodbye, once nobody waits for it any more. */
#define PARTING_US 2000000

/* How long lws waits in its own goodbyes, at least; in handshakes our deadline is to come first. */
#define LWS_TIMEOUT_S 10

/* A socket from accept to close, as its service thread sees it. */
struct guest {
	unsigned magic;
#define GUEST_MAGIC 0x90e57a11
	struct service *service;
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
	struct guest *next;
};

struct service {
	unsigned magic;
#define SERVICE_MAGIC 0x5e41ce55
	struct websocket *websocket;
	struct lws_context *context;
	struct lws_vhost *plain, *tls;
	struct thread *thread;
	struct ws_frame frame;
	/* under lock */
	struct lock lock;
	bool stop;
	bool cancelled; /* the thread will look at the lists again */
	struct guest *arrivals;
	struct ws_link *asking;
};

struct websocket {
	unsigned magic;
#define WEBSOCKET_MAGIC 0x0eb50cc3
	struct server *server;
	struct tls_certs *certs;
	struct lws_protocols plain[2], tls[2];
	SSL_CTX *client_ctx; /* never used: lws would make one itself, with all certificates of the system */
	atomic_uint turn;
	unsigned n_services;
	struct service *services;
};

/* ---- asking a service thread, from others ---- */

/* True: the caller must cancel the wait, once the lock is dropped. */
static bool rouse_locked(struct service *s) NEEDS(s->lock)
{
	bool first = !s->cancelled;

	s->cancelled = true;
	return first;
}

static void ask(void *arg, struct ws_link *link)
{
	struct service *s = arg;
	bool cancel;

	lock_take(&s->lock);
	*ws_link_next_asking(link) = s->asking;
	s->asking = ws_link_ref(link);
	cancel = rouse_locked(s);
	lock_drop(&s->lock);
	if (cancel)
		lws_cancel_service(s->context);
}

static void hand_over(struct service *s, struct guest *g)
{
	bool cancel;

	lock_take(&s->lock);
	g->next = s->arrivals;
	s->arrivals = g;
	cancel = rouse_locked(s);
	lock_drop(&s->lock);
	if (cancel)
		lws_cancel_service(s->context);
}

/* ---- the doors ---- */

static int let_in(struct websocket *ws, int fd, const struct sockaddr *peer, bool tls)
{
	const struct config *cfg = ws->server->cfg;
	unsigned turn = atomic_fetch_add(&ws->turn, 1);
	struct service *s = &ws->services[turn % ws->n_services];
	struct ws_link_options opt = {
		.max_body = (uint32_t)cfg->protocol_max_body,
		.write_timeout_ns = cfg->protocol_write_timeout * CLOCK_MS,
		.ask = ask,
		.service = s,
	};
	char address[TRANSPORT_PEER_BYTES];
	struct guest *g = calloc(1, sizeof(*g));
	struct transport *t;
	int rc = -ENOMEM;

	if (g == NULL)
		goto close;
	*g = (struct guest){.magic = GUEST_MAGIC, .service = s, .why = CLOSE_CLIENT_CUT, .fd = fd, .tls = tls};
	if ((rc = ws_link_new(peer, &opt, &g->link, &t)) < 0)
		goto close;
	if ((rc = connection_new(t, &ws->server->channel, opt.write_timeout_ns, &g->c)) < 0)
		goto free_link;
	g->c->share = turn;
	ws_link_set_tag(g->link, g);
	serve_enter(ws->server, g->c);
	hand_over(s, g);
	return 0;

free_link:
	t->ops->free(&t);
	ws_link_unref(&g->link);
close:
	free(g);
	(void)close(fd);
	tcp_address_text(peer, false, address, sizeof(address));
	admission_leave(&ws->server->admission, address, false);
	return rc;
}

int websocket_let_in(void *arg, int fd, const struct sockaddr *peer)
{
	struct websocket *ws = arg;

	OBJ_CHECK(ws, WEBSOCKET_MAGIC);
	return let_in(ws, fd, peer, false);
}

int websocket_let_in_tls(void *arg, int fd, const struct sockaddr *peer)
{
	struct websocket *ws = arg;

	OBJ_CHECK(ws, WEBSOCKET_MAGIC);
	return let_in(ws, fd, peer, true);
}

void websocket_turn_away(int fd, enum close_reason why)
{
	char body[GOODBYE_BYTES], text[GOODBYE_BYTES + 256];
	int n = (int)goodbye_body(why, NULL, body, sizeof(body));

	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
		     "Retry-After: 5\r\nConnection: close\r\n\r\n%s",
		     n, body);
	if (send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
		(void)shutdown(fd, SHUT_WR);
		/* Bytes left unread would make the close a reset, and that may overtake what was just said. */
		(void)recv(fd, text, sizeof(text), MSG_DONTWAIT);
	}
	(void)close(fd);
}

/* ---- the handshake ---- */

/* Answer with a status and no more, and let lws close. */
static int refuse(struct guest *g, struct lws *wsi, const char *status, enum close_reason why)
{
	uint8_t text[LWS_PRE + 256];
	int n = snprintf((char *)text + LWS_PRE, sizeof(text) - LWS_PRE,
			 "HTTP/1.1 %s\r\nContent-Length: 0\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n\r\n",
			 status);

	g->why = why;
	(void)lws_write(wsi, text + LWS_PRE, (size_t)n, LWS_WRITE_HTTP_HEADERS);
	return -1;
}

static bool header_is(struct lws *wsi, enum lws_token_indexes token, const char *wanted)
{
	char value[32];

	return lws_hdr_copy(wsi, value, sizeof(value), token) > 0 && strcmp(value, wanted) == 0;
}

/* Any page may connect where no origin is listed; what is no page sends none. */
static bool is_origin_allowed(const struct guest *g, struct lws *wsi)
{
	const char *list = g->service->websocket->server->cfg->websocket_origins;
	char origin[256], allowed[256];

	if (list[0] == '\0' || lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) == 0)
		return true;
	if (lws_hdr_copy(wsi, origin, sizeof(origin), WSI_TOKEN_ORIGIN) <= 0)
		return false; /* too long to be one of ours */
	while (config_list_next(&list, allowed, sizeof(allowed)))
		if (strcasecmp(origin, allowed) == 0)
			return true;
	return false;
}

/* The key must be 16 bytes in base64. */
static bool has_key(struct lws *wsi)
{
	char key[32];
	int n = lws_hdr_copy(wsi, key, sizeof(key), WSI_TOKEN_KEY);

	return n == 24 && strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == 22 &&
	       strcmp(key + 22, "==") == 0;
}

/* lws would do with less: it takes any path, any version, and HTTP/2. */
static int confirm_upgrade(struct guest *g, struct lws *wsi, const char *to)
{
	if (strcasecmp(to, "websocket") != 0)
		return refuse(g, wsi, "400 Bad Request", CLOSE_WEBSOCKET_UPGRADE);
	if (!header_is(wsi, WSI_TOKEN_GET_URI, "/sub"))
		return refuse(g, wsi, "404 Not Found", CLOSE_WEBSOCKET_UPGRADE);
	if (!header_is(wsi, WSI_TOKEN_VERSION, "13"))
		return refuse(g, wsi, "426 Upgrade Required", CLOSE_WEBSOCKET_UPGRADE);
	/* We have no subprotocol to choose, and browsers insist on a choice. */
	if (!header_is(wsi, WSI_TOKEN_HTTP, "HTTP/1.1") || !has_key(wsi) ||
	    lws_hdr_total_length(wsi, WSI_TOKEN_HOST) == 0 || lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0)
		return refuse(g, wsi, "400 Bad Request", CLOSE_WEBSOCKET_UPGRADE);
	if (!is_origin_allowed(g, wsi))
		return refuse(g, wsi, "403 Forbidden", CLOSE_WEBSOCKET_ORIGIN);
	return 0;
}

static int answer_http(struct guest *g, struct lws *wsi)
{
	return refuse(g, wsi, header_is(wsi, WSI_TOKEN_GET_URI, "/sub") ? "426 Upgrade Required" : "404 Not Found",
		      CLOSE_WEBSOCKET_UPGRADE);
}

/* Count the frames that lws has given to the kernel since it last told us; one that it could not write is dropped with the
 * link. */
static void count_written(struct guest *g, struct lws *wsi)
{
	if (!g->failed && !lws_partial_buffered(wsi))
		ws_link_frames_written(g->link);
}

/* The socket is closed at once, in whatever state it is. */
static void kill_hard(struct guest *g)
{
	count_written(g, g->wsi);
	g->closing = true;
	/* Else lws would first wait for a peer that does not read. The descriptor is open as long as there is a wsi. */
	(void)shutdown(lws_get_socket_fd(g->wsi), SHUT_RDWR);
	lws_set_timeout(g->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void handshake_expired(lws_sorted_usec_list_t *deadline)
{
	struct guest *g = lws_container_of(deadline, struct guest, deadline);

	OBJ_CHECK(g, GUEST_MAGIC);
	if (g->why == CLOSE_CLIENT_CUT) /* else it was refused, and has not gone */
		g->why = CLOSE_HANDSHAKE_TIMEOUT;
	kill_hard(g);
}

/* Only now does the connection cost threads. */
static int established(struct guest *g)
{
	struct connection *c = g->c;

	lws_sul_cancel(&g->deadline);
	g->c = NULL;
	(void)serve_begin(c); /* where no thread is left the client is told so through the link */
	return 0;
}

/* ---- reading ---- */

static int say_close(struct guest *g, struct lws *wsi, int code)
{
	g->closing = true;
	lws_close_reason(wsi, (enum lws_close_status)code, NULL, 0);
	return -1;
}

static int receive(struct guest *g, struct lws *wsi, const void *bytes, size_t n)
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
static int peer_closes(struct guest *g, struct lws *wsi, const uint8_t *payload, size_t n)
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
static void closed_early(struct guest *g, struct lws *wsi)
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
static void dropping(struct guest *g, struct lws *wsi)
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
	struct guest *g = lws_container_of(deadline, struct guest, deadline);

	OBJ_CHECK(g, GUEST_MAGIC);
	ws_link_end(g->link, -ETIME);
	kill_hard(g);
}

/* A peer that does not take one frame within the write deadline is not worth waiting for. */
static void set_choked(struct guest *g, bool choked)
{
	const struct service *s = g->service;

	if (g->choked == choked)
		return;
	g->choked = choked;
	ws_link_set_choked(g->link, choked);
	if (choked)
		lws_sul_schedule(s->context, 0, &g->deadline, write_expired,
				 s->websocket->server->cfg->protocol_write_timeout * LWS_US_PER_MS);
	else
		lws_sul_cancel(&g->deadline);
}

/* Frames that one connection may write before the others of its thread have their turn. Else one whose outbox is refilled as
 * fast as its peer reads would keep them all waiting. */
#define FRAMES_A_TURN 32

/* 0: all that goes was written; 1: and now the close frame is due; negative: the socket is broken. */
static int send_frames(struct guest *g, struct lws *wsi)
{
	struct service *s = g->service;
	/* A compressor may have more to say before it takes the next one. */
	unsigned left = s->websocket->server->cfg->websocket_deflate ? 1 : FRAMES_A_TURN;

	while (!g->closing) {
		enum ws_next next;
		int n;

		set_choked(g, lws_partial_buffered(wsi) != 0);
		if (g->choked) {
			(void)lws_callback_on_writable(wsi);
			return 0;
		}
		ws_link_frames_written(g->link);
		next = ws_link_next_frame(g->link, LWS_PRE, &s->frame);
		if (next == WS_NEXT_NOTHING)
			return 0;
		if (next == WS_NEXT_CLOSE)
			return 1;
		n = lws_write(wsi, s->frame.data + LWS_PRE, s->frame.bytes,
			      s->frame.is_text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY);
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

static int writeable(struct guest *g, struct lws *wsi)
{
	int rc = send_frames(g, wsi);

	return rc > 0 ? say_close(g, wsi, ws_link_close_code(g->link)) : rc;
}

/* ---- the end ---- */

static void gone(struct guest *g)
{
	if (g->adopting)
		return; /* adopt() sees to it */
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
static __thread struct guest *arriving;

/* What OpenSSL does; lws drops a connection whose TLS is broken without telling. That we have no memory is not the peer's
 * fault, and that it has gone leaves no error. */
static void watch(const SSL *ssl, int what, int value)
{
	struct guest *g = SSL_get_app_data(ssl);
	bool is_alert = (what & SSL_CB_ALERT) && (value >> 8) == SSL3_AL_FATAL;

	if (g == NULL)
		g = arriving;
	if (g == NULL)
		return;
	OBJ_CHECK(g, GUEST_MAGIC);
	if (is_alert)
		g->broken |= !((what & SSL_CB_WRITE) && (value & 0xff) == SSL_AD_INTERNAL_ERROR);
	else if ((what & SSL_CB_EXIT) && value <= 0 && ERR_peek_error() != 0)
		g->broken |= !ERR_FATAL_ERROR(ERR_peek_last_error());
}

static void parting_over(lws_sorted_usec_list_t *deadline)
{
	struct guest *g = lws_container_of(deadline, struct guest, deadline);

	OBJ_CHECK(g, GUEST_MAGIC);
	kill_hard(g);
}

/* A write that fails for good ends the connection, from the service loop, for lws is in the middle of it here. In its own
 * goodbye lws would not see that, and try again without a pause for as long as its patience lasts. */
static long watch_socket(BIO *bio, int what, const char *bytes, size_t n, int number, long more, int rc, size_t *done)
{
	struct guest *g = (void *)BIO_get_callback_arg(bio);

	(void)bytes, (void)n, (void)number, (void)more, (void)done;
	if (what == (BIO_CB_WRITE | BIO_CB_RETURN) && rc <= 0 && !BIO_should_retry(bio)) {
		OBJ_CHECK(g, GUEST_MAGIC);
		lws_sul_schedule(g->service->context, 0, &g->deadline, parting_over, 1);
	}
	return rc;
}

static void watch_closely(struct guest *g, SSL *ssl)
{
	BIO *bio = SSL_get_wbio(ssl);

	(void)SSL_set_app_data(ssl, g);
	BIO_set_callback_arg(bio, (char *)g);
	BIO_set_callback_ex(bio, watch_socket);
}

static int attach(struct websocket *ws, SSL_CTX *ctx)
{
	SSL_CTX_set_info_callback(ctx, watch);
	return tls_certs_attach(ws->certs, ctx);
}

/* Has lws_cancel_service() come through to this thread? */
static __thread bool was_woken;

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
	struct guest *g = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

	if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
		was_woken = true;
		return 0;
	}
	if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS && user != NULL) {
		return attach(lws_context_user(lws_get_context(wsi)), user);
	}
	if (g == NULL)
		return 0; /* lws' own business */
	OBJ_CHECK(g, GUEST_MAGIC);
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

/* ---- the service thread ---- */

/* The socket behind a descriptor, by a number that no other ever has: socket(7). 0: there is none. */
static uint64_t socket_number(int fd)
{
	uint64_t number = 0;
	socklen_t bytes = sizeof(number);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &number, &bytes) == 0 ? number : 0;
}

static void adopt(struct service *s, struct guest *g)
{
	uint64_t number = socket_number(g->fd);
	lws_adopt_desc_t desc = {
		.vh = g->tls ? s->tls : s->plain,
		.type = LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET | (g->tls ? LWS_ADOPT_ALLOW_SSL : 0),
		.fd.sockfd = g->fd,
		.opaque = g,
	};
	int64_t left_ns = g->c->born_ns + s->websocket->server->cfg->protocol_handshake_timeout * CLOCK_MS;

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
			watch_closely(g, ssl);
		g->why = CLOSE_CLIENT_CUT;
		lws_sul_schedule(s->context, 0, &g->deadline, handshake_expired, left_ns > 1000 ? left_ns / 1000 : 1);
	} else {
		/* For some failures lws has closed the descriptor, and it may be another's by now; for others it has not. */
		if (number != 0 && socket_number(g->fd) == number)
			(void)close(g->fd);
		gone(g);
	}
}

/* A link that is closing still sends its close frame, if the peer takes it soon; any other ends where it stands. lws would
 * wait for ten seconds over TLS. */
static void end(struct guest *g)
{
	if (g->closing)
		lws_sul_schedule(g->service->context, 0, &g->deadline, parting_over, PARTING_US);
	else if (g->c == NULL && !g->choked && ws_link_is_closing(g->link)) {
		(void)say_close(g, g->wsi, ws_link_close_code(g->link));
		lws_set_timeout(g->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
	} else {
		kill_hard(g);
	}
}

static void grant(struct guest *g, unsigned wishes)
{
	int rc = 0;

	if ((wishes & WS_WISH_READ) && !g->closing)
		(void)lws_rx_flow_control(g->wsi, 1);
	if ((wishes & WS_WISH_WRITE) && g->c == NULL)
		rc = send_frames(g, g->wsi);
	if ((wishes & WS_WISH_KILL) || rc < 0)
		end(g);
	else if (rc > 0)
		(void)lws_callback_on_writable(g->wsi); /* a close must come from there */
}

/* What came in while the thread served or slept. False: stop. */
static bool look_at_lists(struct service *s)
{
	struct guest *arrivals, *g;
	struct ws_link *asking, *link;
	bool stop;

	lock_take(&s->lock);
	arrivals = s->arrivals;
	asking = s->asking;
	stop = s->stop;
	s->arrivals = NULL;
	s->asking = NULL;
	s->cancelled = false;
	lock_drop(&s->lock);
	while ((g = arrivals) != NULL) {
		arrivals = g->next;
		adopt(s, g);
	}
	while ((link = asking) != NULL) {
		unsigned wishes;

		/* From when the wishes are heard the link may stand in the list again. */
		asking = *ws_link_next_asking(link);
		wishes = ws_link_wishes(link);
		if ((g = ws_link_tag(link)) != NULL && g->wsi != NULL)
			grant(g, wishes);
		ws_link_unref(&link);
	}
	return !stop;
}

static void *serve_sockets(void *arg)
{
	struct service *s = arg;

	OBJ_CHECK(s, SERVICE_MAGIC);
	do
		(void)lws_service(s->context, 0);
	while (look_at_lists(s));
	return NULL;
}

/* ---- start and stop ---- */

static const struct lws_extension deflate[] = {
	{"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate; client_no_context_takeover"},
	{NULL, NULL, NULL},
};

static void log_line(int level, const char *line)
{
	char text[256];

	(void)level;
	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(line, "\n"), line);
	LOG(LOG_DEBUG, log_what("libwebsockets"), log_str("says", text));
}

static unsigned lws_timeout_s(const struct config *cfg)
{
	int64_t handshake_s = cfg->protocol_handshake_timeout / 1000 + 2;

	return handshake_s > LWS_TIMEOUT_S ? (unsigned)handshake_s : LWS_TIMEOUT_S;
}

static struct lws_vhost *new_vhost(struct service *s, const char *name, bool tls)
{
	const struct config *cfg = s->websocket->server->cfg;
	struct lws_context_creation_info info = {
		/* None listens. lws would move a connection from one to the other by the host that it names, were these the
		 * same. */
		.port = tls ? CONTEXT_PORT_NO_LISTEN_SERVER : CONTEXT_PORT_NO_LISTEN,
		.vhost_name = name,
		.protocols = tls ? s->websocket->tls : s->websocket->plain,
		.extensions = cfg->websocket_deflate ? deflate : NULL,
		.timeout_secs = lws_timeout_s(cfg),
		.timeout_secs_ah_idle = lws_timeout_s(cfg), /* of who has not said all of its headers */
		.alpn = "http/1.1",
		.provided_client_ssl_ctx = s->websocket->client_ctx,
		.options = tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX : 0,
	};

	return lws_create_vhost(s->context, &info);
}

/* lws says nothing if it finds no descriptor to be woken by, and would then sleep for half a minute each time. */
static bool can_be_woken(struct service *s)
{
	was_woken = false;
	lws_cancel_service(s->context);
	(void)lws_service(s->context, -1); /* what is there, without waiting */
	return was_woken;
}

static int service_start(struct websocket *ws, struct service *s)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.user = ws,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.timeout_secs = LWS_TIMEOUT_S,
		.pt_serv_buf_size = TLS_RECORD_BYTES,
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
			   (ws->certs != NULL ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
	};
	int rc;

	s->magic = SERVICE_MAGIC;
	s->websocket = ws;
	lock_init(&s->lock, LOCK_POOL);
	if ((s->context = lws_create_context(&info)) == NULL)
		return -ENOMEM;
	if ((s->plain = new_vhost(s, "plain", false)) == NULL ||
	    (ws->certs != NULL && (s->tls = new_vhost(s, "tls", true)) == NULL))
		rc = -ENOMEM;
	else if (!can_be_woken(s))
		rc = -EMFILE;
	else
		rc = thread_spawn(THREAD_SERVICE, "websocket", serve_sockets, s, &s->thread);
	if (rc < 0)
		lws_context_destroy(s->context);
	return rc;
}

static void service_stop(struct service *s)
{
	lock_take(&s->lock);
	s->stop = true;
	lock_drop(&s->lock);
	lws_cancel_service(s->context);
	thread_join(&s->thread);
	/* Here and not at the thread's end: it may see the stop before lws_cancel_service() above is through, and that one
	 * still writes to the context's descriptor. Closes what is left, with its callbacks. */
	lws_context_destroy(s->context);
	BUG_UNLESS(s->arrivals == NULL);
	/* Shutdowns that came while the sockets were being closed. */
	while (s->asking != NULL) {
		struct ws_link *link = s->asking;

		s->asking = *ws_link_next_asking(link);
		ws_link_unref(&link);
	}
	free(s->frame.data);
	lock_fini(&s->lock);
	s->magic = 0;
}

int websocket_start(struct server *server, struct tls_certs *certs, struct websocket **out)
{
	struct websocket *ws = calloc(1, sizeof(*ws));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = server->cfg->websocket_threads > 0 ? (unsigned)server->cfg->websocket_threads
							: (cores > 0 ? (unsigned)cores : 1);
	int rc = -ENOMEM;

	if (ws == NULL)
		return rc;
	lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
	ws->magic = WEBSOCKET_MAGIC;
	ws->server = server;
	ws->certs = certs;
	/* A user space of some size, or lws would not tell of the end of a connection. Frames are written whole. */
	ws->plain[0] = (struct lws_protocols){
		.name = "comet",
		.callback = callback,
		.per_session_data_size = 1,
		.rx_buffer_size = 1024,
		.tx_packet_size = INT32_MAX / 2,
	};
	ws->tls[0] = ws->plain[0];
	ws->tls[0].rx_buffer_size = TLS_RECORD_BYTES;
	if (certs != NULL)
		ws->client_ctx = SSL_CTX_new(TLS_client_method());
	if ((certs == NULL || ws->client_ctx != NULL) && (ws->services = calloc(n, sizeof(*ws->services))) != NULL)
		for (rc = 0; ws->n_services < n; ws->n_services++)
			if ((rc = service_start(ws, &ws->services[ws->n_services])) < 0)
				break;
	if (rc < 0) {
		LOG(LOG_ERROR, log_what("cannot start the WebSocket threads"), log_str("error", err_text(rc)));
		websocket_stop(&ws);
		return rc;
	}
	*out = ws;
	return 0;
}

void websocket_stop(struct websocket **websocket)
{
	struct websocket *ws = *websocket;

	OBJ_CHECK(ws, WEBSOCKET_MAGIC);
	for (unsigned i = 0; i < ws->n_services; i++)
		service_stop(&ws->services[i]);
	free(ws->services);
	SSL_CTX_free(ws->client_ctx);
	ws->magic = 0;
	free(ws);
	*websocket = NULL;
}
