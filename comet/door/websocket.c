/* websocket: see websocket.h. A context of libwebsockets, and all that is in it, is touched by its service thread only;
 * lws_cancel_service() is the one call for others. So an accept thread leaves what it accepted in a list, and so do
 * connections that wish something; many of them share one cancel. SPDX-License-Identifier: MIT */
#include "comet/door/websocket.h"

#include <errno.h>
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comet/door/ws_guest.h"
#include "comet/goodbye.h"
#include "comet/transport/tls_certs.h"
#include "comet/transport/transport.h"
#include "comet/transport/ws_link.h"
#include "common/base/cores.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/thread.h"

/* A whole record is read at once: a connection that may not be read and has bytes left in OpenSSL's buffer sends lws into
 * a loop that never ends. */
#define TLS_RECORD_BYTES 16384

/* How long lws waits in its own goodbyes, at least; in handshakes our deadline is to come first. */
#define LWS_TIMEOUT_S 10

struct service {
	unsigned magic;
#define SERVICE_MAGIC 0x5e41ce55
	struct websocket *websocket;
	struct ws_host host;
	struct thread *thread;
	/* under lock */
	struct lock lock;
	bool stop;
	bool cancelled; /* the thread will look at the lists again */
	struct ws_guest *arrivals;
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
		lws_cancel_service(s->host.context);
}

static void hand_over(struct service *s, struct ws_guest *g)
{
	bool cancel;

	lock_take(&s->lock);
	*ws_guest_next(g) = s->arrivals;
	s->arrivals = g;
	cancel = rouse_locked(s);
	lock_drop(&s->lock);
	if (cancel)
		lws_cancel_service(s->host.context);
}

/* ---- the doors ---- */

static int let_in(struct websocket *ws, int fd, const struct sockaddr *peer, bool tls, enum ticket *ticket)
{
	unsigned turn = atomic_fetch_add(&ws->turn, 1);
	struct service *s = &ws->services[turn % ws->n_services];
	struct ws_guest *g;
	int rc = ws_guest_new(&s->host, fd, peer, tls, turn, ticket, &g);

	if (rc == 0) {
		hand_over(s, g);
		return 0;
	}
	(void)close(fd);
	return rc;
}

int websocket_let_in(void *arg, int fd, const struct sockaddr *peer, enum ticket *ticket)
{
	struct websocket *ws = arg;

	OBJ_CHECK(ws, WEBSOCKET_MAGIC);
	return let_in(ws, fd, peer, false, ticket);
}

int websocket_let_in_tls(void *arg, int fd, const struct sockaddr *peer, enum ticket *ticket)
{
	struct websocket *ws = arg;

	OBJ_CHECK(ws, WEBSOCKET_MAGIC);
	return let_in(ws, fd, peer, true, ticket);
}

void websocket_turn_away(void *arg, int fd, enum close_reason why)
{
	struct websocket *ws = arg;
	char body[GOODBYE_BYTES], text[GOODBYE_BYTES + 256];
	int n = (int)goodbye_body(&ws->server->goodbye, why, NULL, body, sizeof(body));

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

static int attach(struct websocket *ws, SSL_CTX *ctx)
{
	ws_guest_watch(ctx);
	return tls_certs_attach(ws->certs, ctx);
}

/* Has lws_cancel_service() come through to this thread? */
static __thread bool was_woken;

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
	if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
		was_woken = true;
		return 0;
	}
	if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS && user != NULL)
		return attach(lws_context_user(lws_get_context(wsi)), user);
	return wsi != NULL ? ws_guest_callback(wsi, reason, in, n) : 0;
}

/* ---- the service thread ---- */

/* What came in while the thread served or slept. False: stop. */
static bool look_at_lists(struct service *s)
{
	struct ws_guest *arrivals, *g;
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
		arrivals = *ws_guest_next(g);
		ws_guest_adopt(g);
	}
	while ((link = asking) != NULL) {
		unsigned wishes;

		/* From when the wishes are heard the link may stand in the list again. */
		asking = *ws_link_next_asking(link);
		wishes = ws_link_wishes(link);
		if ((g = ws_link_tag(link)) != NULL)
			ws_guest_grant(g, wishes);
		ws_link_unref(&link);
	}
	return !stop;
}

static void *serve_sockets(void *arg)
{
	struct service *s = arg;

	OBJ_CHECK(s, SERVICE_MAGIC);
	do
		(void)lws_service(s->host.context, 0);
	while (look_at_lists(s));
	return NULL;
}

/* ---- start and stop ---- */

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
		.timeout_secs = lws_timeout_s(cfg),
		.timeout_secs_ah_idle = lws_timeout_s(cfg), /* of who has not said all of its headers */
		.alpn = "http/1.1",
		.provided_client_ssl_ctx = s->websocket->client_ctx,
		.options = tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX : 0,
	};

	return lws_create_vhost(s->host.context, &info);
}

/* lws says nothing if it finds no descriptor to be woken by, and would then sleep for half a minute each time. */
static bool can_be_woken(struct service *s)
{
	was_woken = false;
	lws_cancel_service(s->host.context);
	(void)lws_service(s->host.context, -1); /* what is there, without waiting */
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
	s->host = (struct ws_host){.server = ws->server, .ask = ask, .service = s};
	lock_init(&s->lock, LOCK_POOL);
	if ((s->host.context = lws_create_context(&info)) == NULL)
		return -ENOMEM;
	if ((s->host.plain = new_vhost(s, "plain", false)) == NULL ||
	    (ws->certs != NULL && (s->host.tls = new_vhost(s, "tls", true)) == NULL))
		rc = -ENOMEM;
	else if (!can_be_woken(s))
		rc = -EMFILE;
	else
		rc = thread_spawn(THREAD_SERVICE, "websocket", serve_sockets, s, &s->thread);
	if (rc < 0)
		lws_context_destroy(s->host.context);
	return rc;
}

static void service_stop(struct service *s)
{
	lock_take(&s->lock);
	s->stop = true;
	lock_drop(&s->lock);
	lws_cancel_service(s->host.context);
	thread_join(&s->thread);
	/* Here and not at the thread's end: it may see the stop before lws_cancel_service() above is through, and that one
	 * still writes to the context's descriptor. Closes what is left, with its callbacks. */
	lws_context_destroy(s->host.context);
	BUG_UNLESS(s->arrivals == NULL);
	/* Shutdowns that came while the sockets were being closed. */
	while (s->asking != NULL) {
		struct ws_link *link = s->asking;

		s->asking = *ws_link_next_asking(link);
		ws_link_unref(&link);
	}
	ws_host_fini(&s->host);
	lock_fini(&s->lock);
	s->magic = 0;
}

int websocket_start(struct server *server, struct tls_certs *certs, struct websocket **out)
{
	struct websocket *ws = calloc(1, sizeof(*ws));
	unsigned n = cores();
	int rc = -ENOMEM;

	if (ws == NULL)
		return rc;
	if (server->cfg->websocket_deflate)
		LOG(LOG_ERROR,
		    log_what("websocket.deflate = yes has no effect: messages are not compressed; take it out"));
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
