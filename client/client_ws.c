/* client_ws: see client_ws.h. Each link has a context of libwebsockets' of its own, which works on the thread of the link, in
 * the calls of the link and at no other time (serve). libwebsockets has its own poll(): the deadline is one of its timers there,
 * and cancel_fd one of its files. SPDX-License-Identifier: MIT */
#include "client/client_ws.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/client_tls.h"
#include "client/client_ws_context.h"
#include "client/inbox.h"
#include "client/sigpipe.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/wire/packet.h"

#define FILES        8     /* of a context: its eventfd, the socket, cancel_fd, and some to spare */
#define READ_BYTES   16384 /* of one read of the socket */
#define HEADER_BYTES 16384 /* of the server's answer to the request */
#define INBOX_BYTES  65536 /* no more is read until somebody takes these */
#define PASSES       16    /* over what libwebsockets has read already, where there is no time to wait */

struct client_ws {
	struct client_link link;
	const struct client_options *opt; /* until it is up */
	SSL_CTX *tls;
	struct lws_context *context;
	struct lws *wsi;
	bool up, hides_host;
	int alert; /* of the server's, by which TLS ended; 0: none */
	int end;   /* 0, or the error by which it ended */
	/* while it serves */
	lws_sorted_usec_list_t alarm;
	bool rang, cancelled;
	struct inbox inbox;
	bool stopped; /* the socket is not read, since the inbox is full */
	/* to be sent: LWS_PRE bytes of space, and the message */
	uint8_t *message;
	size_t message_bytes;
	bool sent, unsent /* a message, so that no other may follow */, leaving;
};

/* ---- what libwebsockets tells ---- */

static void end_with(struct client_ws *w, int rc)
{
	if (w->end == 0)
		w->end = rc;
}

/* Its words are all that there is to tell what went wrong on the way up. */
static void not_up(struct client_ws *w, struct lws *wsi, const char *words, int words_bytes, int error)
{
	unsigned status = lws_http_client_http_response(wsi);
	char line[CLIENT_WORDS_BYTES / 2] = "";

	if (w->end != 0)
		return; /* a certificate: that was said */
	if (status != 0 && status != 101) {
		if (lws_hdr_copy(wsi, line, sizeof(line), WSI_TOKEN_HTTP) <= 0)
			(void)snprintf(line, sizeof(line), "%u", status);
		client_link_say(w->opt, "no WebSocket at %s: HTTP %s", w->opt->path, line);
		end_with(w, status >= 500 ? -EAGAIN : -ERR_REFUSED);
	} else if (w->alert != 0 || (words_bytes >= 11 && strncmp(words, "connect SSL", 11) == 0)) {
		end_with(w, client_tls_miss(w->opt, w->alert != 0 ? client_tls_alert(w->alert) : ""));
	} else if (words_bytes >= 6 && strncmp(words, "Unable", 6) == 0) {
		end_with(w,
			 error == ENETUNREACH || error == EHOSTUNREACH || error == ETIMEDOUT ? -error : -ECONNREFUSED);
	} else {
		client_link_say(w->opt, "no WebSocket server there (%.*s)", words_bytes, words);
		end_with(w, -EPROTO);
	}
}

/* 0 to go on with this certificate of the chain. */
static int judge(struct client_ws *w, X509_STORE_CTX *chain, bool good)
{
	if (good)
		return 0;
	if (w->opt->insecure) {
		X509_STORE_CTX_set_error(chain, X509_V_OK);
		return 0;
	}
	end_with(w, client_tls_refuse(w->opt, X509_STORE_CTX_get_error(chain)));
	return 1;
}

static int take_in(struct client_ws *w, struct lws *wsi, const void *bytes, size_t n)
{
	int rc = inbox_put(&w->inbox, bytes, n);

	if (rc < 0) {
		end_with(w, rc);
		return -1;
	}
	if (!w->stopped && inbox_held(&w->inbox) >= INBOX_BYTES)
		w->stopped = lws_rx_flow_control(wsi, 0) == 0;
	return 0;
}

/* The socket has space, and libwebsockets holds back nothing. */
static int send_out(struct client_ws *w, struct lws *wsi)
{
	if (w->leaving) {
		lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
		return -1;
	}
	if (w->message == NULL)
		return 0;
	if (w->message_bytes > 0) {
		if (lws_write(wsi, w->message + LWS_PRE, w->message_bytes, LWS_WRITE_BINARY) < (int)w->message_bytes)
			return -1;
		w->message_bytes = 0;
		if (lws_partial_buffered(wsi))
			return lws_callback_on_writable(wsi) < 0 ? -1 : 0;
	}
	w->sent = true;
	return 0;
}

/* Code and reason, as the close frame has them. */
static void take_close(struct client_ws *w, const uint8_t *bytes, size_t n)
{
	if (n < 2)
		return;
	(void)snprintf(w->link.said, sizeof(w->link.said), "closed with %d%s%.*s", bytes[0] << 8 | bytes[1],
		       n > 2 ? " " : "", (int)(n - 2), (const char *)bytes + 2);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
	int error = errno;
	struct client_ws *w = lws_context_user(lws_get_context(wsi));

	switch ((int)reason) {
	case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
		return judge(w, user, n == 1);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		not_up(w, wsi, in != NULL ? in : "", in != NULL ? (int)strnlen(in, n > 0 ? n : 64) : 0, error);
		return 0;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		w->up = true;
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return take_in(w, wsi, in, n);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return send_out(w, wsi);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		take_close(w, in, n);
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY:
		if (wsi == w->wsi) {
			w->wsi = NULL;
			end_with(w, -ERR_EOF);
		}
		return 0;
	case LWS_CALLBACK_RAW_RX_FILE:
		w->cancelled = true;
		return 0;
	default:
		return 0;
	}
}

static const struct lws_protocols protocols[] = {{.name = "comet", .callback = on_event}, {.name = NULL}};

/* ---- the loop ---- */

static void ring(lws_sorted_usec_list_t *alarm)
{
	struct client_ws *w = lws_container_of(alarm, struct client_ws, alarm);

	w->rang = true;
	lws_cancel_service(w->context); /* libwebsockets looks at its timers and then polls */
}

typedef bool condition(const struct client_ws *w);

static bool is_up(const struct client_ws *w)
{
	return w->up;
}

static bool is_sent(const struct client_ws *w)
{
	return w->sent;
}

static bool has_bytes(const struct client_ws *w)
{
	return inbox_held(&w->inbox) > 0;
}

static bool is_over(const struct client_ws *w, condition *done)
{
	return done(w) || w->cancelled || w->end != 0;
}

/* Only over what is there already. */
static void serve_at_once(struct client_ws *w, condition *done)
{
	unsigned passes = 0;

	do
		if (lws_service(w->context, -1) < 0)
			end_with(w, -EIO);
	while (!is_over(w, done) && ++passes < PASSES && lws_service_adjust_timeout(w->context, 1, 0) == 0);
}

static void serve_for(struct client_ws *w, condition *done, int64_t left_us)
{
	lws_sul_schedule(w->context, 0, &w->alarm, ring, left_us);
	while (!is_over(w, done) && !w->rang)
		if (lws_service(w->context, 0) < 0)
			end_with(w, -EIO);
	lws_sul_cancel(&w->alarm);
}

/* Let libwebsockets work until `done`: 0; -ETIMEDOUT, -ECANCELED, or the error by which the connection has ended. */
static int serve(struct client_ws *w, condition *done, int64_t deadline_ns)
{
	int64_t left_us = (deadline_ns - clock_now_ns()) / 1000;
	struct sigpipe held;

	w->rang = w->cancelled = false;
	if (is_over(w, done))
		return done(w) ? 0 : w->end;
	sigpipe_hold(&held);
	if (left_us > 0)
		serve_for(w, done, left_us);
	else
		serve_at_once(w, done);
	sigpipe_drop(&held);
	if (done(w))
		return 0;
	if (w->cancelled)
		return -ECANCELED;
	return w->end != 0 ? w->end : -ETIMEDOUT;
}

/* ---- the link ---- */

static int ws_send(struct client_link *l, const uint8_t *head, const void *body, size_t body_bytes, int64_t deadline_ns)
{
	struct client_ws *w = (struct client_ws *)l;
	int rc;

	if (w->end != 0)
		return w->end == -ERR_EOF ? -EPIPE : w->end;
	w->message_bytes = PACKET_HEAD_BYTES + body_bytes;
	if ((w->message = malloc(LWS_PRE + w->message_bytes)) == NULL)
		return -ENOMEM;
	memcpy(w->message + LWS_PRE, head, PACKET_HEAD_BYTES);
	if (body_bytes > 0)
		memcpy(w->message + LWS_PRE + PACKET_HEAD_BYTES, body, body_bytes);
	w->sent = false;
	rc = lws_callback_on_writable(w->wsi) < 0 ? -EIO : serve(w, is_sent, deadline_ns);
	free(w->message);
	w->message = NULL;
	if (rc < 0)
		w->unsent = true;
	return rc == -ERR_EOF ? -EPIPE : rc;
}

static int ws_receive(struct client_link *l, uint8_t *buf, size_t max, int64_t deadline_ns, size_t *n)
{
	struct client_ws *w = (struct client_ws *)l;
	int rc;

	if (client_link_cancelled(l))
		return -ECANCELED;
	if ((rc = serve(w, has_bytes, deadline_ns)) < 0)
		return rc;
	*n = inbox_take(&w->inbox, buf, max);
	if (w->stopped && !has_bytes(w) && w->end == 0)
		w->stopped = lws_rx_flow_control(w->wsi, 1) != 0;
	return 0;
}

/* Say that we go, as far as the socket takes it at once. */
static void leave(struct client_ws *w)
{
	struct sigpipe held;

	w->leaving = true;
	sigpipe_hold(&held);
	if (lws_callback_on_writable(w->wsi) >= 0)
		for (unsigned pass = 0; pass < 3 && w->end == 0; pass++)
			(void)lws_service(w->context, -1);
	sigpipe_drop(&held);
}

static void ws_free(struct client_link *l)
{
	struct client_ws *w = (struct client_ws *)l;

	if (w->up && w->end == 0 && !w->unsent)
		leave(w);
	end_with(w, -EPIPE); /* nothing that comes on the way down is to be said */
	if (w->context != NULL)
		client_ws_context_free(&w->context);
	SSL_CTX_free(w->tls);
	inbox_fini(&w->inbox);
	free(w);
}

static const struct client_link_ops ops = {ws_send, ws_receive, ws_free};

/* ---- the way up ---- */

/* A server that takes names only is not to be told an address in their place, which libwebsockets would cut at a colon. And
 * of what the server says as it ends TLS libwebsockets tells nothing. */
static void watch_tls(const SSL *ssl, int where, int value)
{
	struct client_ws *w = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if ((where & SSL_CB_HANDSHAKE_START) != 0 && w->hides_host)
		(void)SSL_set_tlsext_host_name((SSL *)ssl, NULL);
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL)
		w->alert = value & 0xff;
}

static int start_tls(struct client_ws *w, const struct client_options *opt)
{
	int rc = client_tls_context(opt, &w->tls);

	if (rc < 0)
		return rc;
	w->hides_host = client_tls_is_address(opt->host);
	if (SSL_CTX_set_app_data(w->tls, w) != 1)
		return -ENOMEM; /* w->tls is freed with w */
	SSL_CTX_set_info_callback(w->tls, watch_tls);
	return 0;
}

/* One with the socket to come, and cancel_fd. */
static int start_context(struct client_ws *w, const struct client_options *opt, int64_t deadline_ns,
			 struct lws_vhost **vhost)
{
	unsigned seconds = (unsigned)((deadline_ns - clock_now_ns()) / CLOCK_SEC + 2); /* ours ends first */
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.user = w,
		.gid = -1,
		.uid = -1,
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
			   LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS,
		.fd_limit_per_thread = FILES,
		.pt_serv_buf_size = READ_BYTES,
		.max_http_header_data2 = HEADER_BYTES,
		.timeout_secs = seconds,
		.connect_timeout_secs = seconds,
		.provided_client_ssl_ctx = w->tls,
	};
	lws_sock_file_fd_type file;

	if (w->tls != NULL)
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	if ((w->context = client_ws_context_new(&info)) == NULL ||
	    (*vhost = lws_create_vhost(w->context, &info)) == NULL)
		return -ENOMEM;
	(void)lws_set_proxy(*vhost, ":0"); /* none, whatever http_proxy says */
	if (opt->cancel_fd < 0)
		return 0;
	/* It closes that one. */
	if ((file.filefd = fcntl(opt->cancel_fd, F_DUPFD_CLOEXEC, 0)) < 0)
		return -errno;
	return lws_adopt_descriptor_vhost(*vhost, LWS_ADOPT_RAW_FILE_DESC, file, "comet", NULL) != NULL ? 0 : -ENOMEM;
}

static int dial(struct client_ws *w, const struct client_options *opt, const struct addrinfo *at,
		struct lws_vhost *vhost)
{
	static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0}; /* packets have heartbeats of their own */
	char address[NI_MAXHOST], port[NI_MAXSERV], host[NI_MAXHOST + NI_MAXSERV + 3];
	bool in_brackets = strchr(opt->host, ':') != NULL;
	struct lws_client_connect_info info = {
		.context = w->context,
		.vhost = vhost,
		.address = address,
		.path = opt->path,
		.host = host,
		.local_protocol_name = "comet",
		.alpn = "http/1.1",
		/* The name is checked by what client_tls_context has set. */
		.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT |
				  (w->tls != NULL ? LCCSCF_USE_SSL | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK : 0),
		.retry_and_idle_policy = &no_pings,
		.pwsi = &w->wsi,
	};
	struct sigpipe held;

	if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof(address), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -EINVAL;
	info.port = atoi(port);
	(void)snprintf(host, sizeof(host), in_brackets ? "[%s]:%s" : "%s:%s", opt->host, port);
	sigpipe_hold(&held);
	if (lws_client_connect_via_info(&info) == NULL)
		end_with(w, -ENOMEM);
	sigpipe_drop(&held);
	return w->end;
}

int client_ws_open(const struct client_options *opt, const struct addrinfo *at, int64_t deadline_ns,
		   struct client_link **out)
{
	struct client_ws *w = calloc(1, sizeof(*w));
	struct lws_vhost *vhost;
	int rc;

	if (w == NULL)
		return -ENOMEM;
	w->link = (struct client_link){.ops = &ops, .fd = -1, .cancel_fd = opt->cancel_fd};
	w->opt = opt;
	if ((opt->tls && (rc = start_tls(w, opt)) < 0) || (rc = start_context(w, opt, deadline_ns, &vhost)) < 0 ||
	    (rc = dial(w, opt, at, vhost)) < 0 || (rc = serve(w, is_up, deadline_ns)) < 0) {
		ws_free(&w->link);
		return rc;
	}
	w->link.fd = lws_get_socket_fd(w->wsi);
	w->opt = NULL;
	*out = &w->link;
	return 0;
}
